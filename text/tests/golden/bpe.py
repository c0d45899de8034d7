"""Writes bpe.json: merges that HuggingFace's tokenizers learn from the embedded sentences, and texts encoded
by them. pip install tokenizers; python text/tests/golden/bpe.py"""

import gzip
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

here = pathlib.Path(__file__).parent
lines = gzip.open(here / "../../data/sentences.tsv.gz", "rt", encoding="utf-8").read().splitlines()
text = "".join(line.split("\t")[-1] + "\n" for line in lines).encode()[:100_000].decode()

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=500, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
tokenizer.train_from_iterator([text], trainer)
merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]

texts = [
    "It's a truth universally acknowledged, that a single man",
    "  two  blanks\n\n\tand a tab \n",
    "Größe, 日本語, हिन्दी, ½ and a snowman ☃ and 👩‍🚀!",
    "we'll I'D 12,345.67 ''' x\u00a0y",
]
golden = {"tokenizers": tokenizers.__version__, "merges": merges, "encoded": {t: tokenizer.encode(t).ids for t in texts}}
(here / "bpe.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
