"""The classifier of `cargo text rnn` in PyTorch: the same texts, words, batches and sizes, one thread each.

    cargo build --release -p plies-text --features cli --bin plies-text
    pip install torch
    python text/interop/rnn.py TRAIN.tsv TEST.tsv [EPOCHS] [OPTIONS of `rnn`]   # label<TAB>text

A table of 100 numbers for each word, dropout, a bidirectional GRU of 100 units, the largest of each number
over time, dropout, a linear layer; Adam, gradients of length 1 at most, batches of 32 texts of like length.
PyTorch packs its sequences, so that it does not compute the padding either. Prints documents per CPU second of
training, and test accuracy after the last epoch.
"""
import json, os, random, re, resource, subprocess, sys, tempfile
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
from collections import Counter
from pathlib import Path

program = os.environ.get("PLIES_TEXT", Path(__file__).parents[2] / "target/release/plies-text")
train_file, test_file = sys.argv[1:3]
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
read = lambda f: [l.rstrip("\n").split("\t", 1) for l in open(f, encoding="utf-8")]
cut = lambda t: re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", t.lower())
MAX, BATCH, POOL = 400, 32, 40


def shorten(words):
    return words if len(words) <= MAX else words[: MAX // 4] + words[-(MAX - MAX // 4):]


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def ours():
    with tempfile.TemporaryDirectory() as folder:
        before = cpu(resource.RUSAGE_CHILDREN)
        call = [program, "rnn", train_file, "--test", test_file, "--epochs", str(epochs), "--patience", "99", "--word-dropout", "0",
                "--batch", str(BATCH), "--threads", "1", "-q", "-o", f"{folder}/m", "--json", f"{folder}/r", *sys.argv[4:]]
        subprocess.run(call, check=True, capture_output=True)
        report = json.load(open(f"{folder}/r"))
        return report, cpu(resource.RUSAGE_CHILDREN) - before


def theirs():
    import torch
    from torch import nn
    torch.set_num_threads(1)
    torch.manual_seed(1)
    data, test = read(train_file), read(test_file)
    labels = sorted({y for y, _ in data})
    counts = Counter(w for _, t in data for w in shorten(cut(t)))
    number = {w: i + 1 for i, (w, _) in enumerate(counts.most_common(50_000))}
    ids = lambda rows: [([number.get(w, 0) for w in shorten(cut(t))] or [0], labels.index(y)) for y, t in rows if y in labels]
    data, test = ids(data), ids(test)
    random.Random(1).shuffle(data)
    held = min(max(len(data) // 10, 20), 4000)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(len(number) + 1, 100, sparse=True)
            nn.init.normal_(self.embedding.weight, std=0.1)
            self.gru = nn.GRU(100, 100, bidirectional=True, batch_first=True)
            self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(200, len(labels))

        def forward(self, words, lengths):
            x = self.dropout(self.embedding(words))
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            h, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, padding_value=-float("inf"))
            return self.linear(self.dropout(h.amax(1)))

    model = Network()
    dense = [p for n, p in model.named_parameters() if not n.startswith("embedding")]
    steps = [torch.optim.Adam(dense, 1e-3), torch.optim.SparseAdam(list(model.embedding.parameters()), 1e-3)]

    def batches(rows, shuffle):
        rows = rows[:]
        if shuffle:
            random.shuffle(rows)
        pools = [sorted(rows[i:i + BATCH * POOL], key=lambda r: len(r[0])) for i in range(0, len(rows), BATCH * POOL)]
        all = [pool[i:i + BATCH] for pool in pools for i in range(0, len(pool), BATCH)]
        if shuffle:
            random.shuffle(all)
        for some in all:
            lengths = torch.tensor([len(r[0]) for r in some])
            words = torch.zeros(len(some), int(lengths.max()), dtype=torch.long)
            for i, (w, _) in enumerate(some):
                words[i, :len(w)] = torch.tensor(w)
            yield words, lengths, torch.tensor([y for _, y in some])

    def right(rows):
        model.eval()
        with torch.no_grad():
            return sum((model(w, n).argmax(1) == y).sum().item() for w, n, y in batches(rows, False)) / len(rows)

    began = cpu(resource.RUSAGE_SELF)
    for _ in range(epochs):
        model.train()
        for words, lengths, y in batches(data[held:], True):
            loss = nn.functional.cross_entropy(model(words, lengths), y)
            for step in steps:
                step.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(dense, 1.0)
            for step in steps:
                step.step()
        right(data[:held])  # as ours does after each epoch
    seconds = cpu(resource.RUSAGE_SELF) - began
    return epochs * (len(data) - held) / seconds, right(test)


report, seconds = ours()
learnt = report["documents"] - min(max(report["documents"] // 10, 20), 4000)
print(f"{report['documents']} documents, {epochs} epochs")
print(f"plies-text {epochs * learnt / seconds:8.0f} docs per CPU second, reading and testing included; {100 * report['test']['accuracy']:.1f} % right", flush=True)
rate, accuracy = theirs()
print(f"PyTorch    {rate:8.0f} docs per CPU second, training alone; {100 * accuracy:.1f} % right")
