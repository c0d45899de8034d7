"""Byte-pair encoding by plies-text and by HuggingFace's tokenizers from the same text, one after the other.

    cargo build --release -p plies-text --features cli --bin plies-text
    pip install tokenizers
    python text/interop/bpe.py TEXT [VOCABULARY]

Checks that ours, opened there, gives the same tokens, and prints seconds of learning and of encoding the text. Set
RAYON_NUM_THREADS=1 to give theirs one thread, as ours has.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

program = Path(__file__).parents[2] / "target/release/plies-text"
text, vocabulary = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4000
lines = open(text, encoding="utf-8", newline="").read().splitlines(keepends=True)

with tempfile.TemporaryDirectory() as folder:
    files = [f"{folder}/{name}" for name in ("vocab.json", "merges.txt")]
    command = [program, "bpe", text, "--vocabulary", str(vocabulary), "--vocab", files[0], "-o", files[1], "--json", "-", "-q"]
    ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    opened = Tokenizer(models.BPE.from_file(*files))
opened.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)

theirs = Tokenizer(models.BPE())
theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=vocabulary, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
began = time.perf_counter()
theirs.train_from_iterator(["".join(lines)], trainer)
learned = time.perf_counter() - began
began = time.perf_counter()
n = sum(len(encoding.ids) for encoding in theirs.encode_batch(lines))
encoded = time.perf_counter() - began
n_opened = sum(len(encoding.ids) for encoding in opened.encode_batch(lines))

print(f"plies-text          learned in {ours['seconds']:.2f} s, encoded in {ours['encode_seconds']:.2f} s: {ours['text_tokens']} tokens")
print(f"tokenizers {tokenizers.__version__:<8} learned in {learned:.2f} s, encoded in {encoded:.2f} s: {n} tokens line by line")
print(f"our files there: {n_opened} tokens line by line")
a, b = (json.loads(t.to_str())["model"]["merges"] for t in (opened, theirs))
print(f"{sum(x == y for x, y in zip(a, b))} of {len(b)} merges are the same, in the same order")
