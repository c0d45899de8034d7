"""Word vectors as gensim 4.4 writes them: python make.py"""
import numpy as np
from gensim.models import KeyedVectors

vectors = KeyedVectors(5)
words = ["the", "naïve", "new_york", "日本", "42"]
rows = np.random.default_rng(1).normal(size=(len(words), 5)).astype(np.float32)
vectors.add_vectors(words, rows)
vectors.save_word2vec_format("gensim.bin", binary=True)
vectors.save_word2vec_format("gensim.txt", binary=False)
with open("neighbours.txt", "w") as file:
    for word in words:
        for other, cosine in vectors.most_similar(word, topn=2):
            file.write(f"{word}\t{other}\t{cosine:.6f}\n")
    a = vectors.most_similar(positive=["naïve", "日本"], negative=["the"], topn=1)[0]
    m = vectors.most_similar_cosmul(positive=["naïve", "日本"], negative=["the"], topn=1)[0]
    file.write(f"add\t{a[0]}\t{a[1]:.6f}\nmul\t{m[0]}\t{m[1]:.6f}\n")
    file.write(f"odd\t{vectors.doesnt_match(words)}\t0\n")
