"""The same words on a plane by `plies-text map` and by scikit-learn's t-SNE: divergence, trustworthiness, seconds.

    python map.py PLIES-TEXT VECTORS.bin [N ...]

Needs gensim, scikit-learn.
"""

import json
import subprocess
import sys
import tempfile
import time

import numpy as np
from gensim.models import KeyedVectors
from sklearn.manifold import TSNE, trustworthiness

program, file, *sizes = sys.argv[1:]
vectors = KeyedVectors.load_word2vec_format(file, binary=True)
print(f"{'words':>6} {'':14} {'KL':>7} {'trust':>7} {'s':>7}")
for n in map(int, sizes or ["500", "2000"]):
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        run = [program, "map", "--vectors", file, "-n", str(n), "--quiet", "--json", "-", "--out", f"{folder}/map.svg"]
        ours = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
        seconds = time.time() - start
    rows = np.array([vectors[w] / np.linalg.norm(vectors[w]) for w in ours["words"]], dtype=np.float32)
    start = time.time()
    theirs = TSNE(init="pca", perplexity=30, random_state=1, n_jobs=-1).fit(rows)
    lines = [
        ("plies-text", ours["divergence"], np.array(ours["points"]), seconds),
        ("scikit-learn", theirs.kl_divergence_, theirs.embedding_, time.time() - start),
    ]
    for name, divergence, points, seconds in lines:
        trust = trustworthiness(rows, points, n_neighbors=10)
        print(f"{n:>6} {name:14} {divergence:7.3f} {trust:7.3f} {seconds:7.1f}")
