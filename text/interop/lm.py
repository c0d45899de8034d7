"""The model of `cargo text lm` in PyTorch: reads one of ours and measures it, and trains one of the same layers with the
same settings, for tokens a second and bits a character side by side.

    cargo text lm --json ours.json
    python text/interop/lm.py lm.safetensors --epochs 1
"""

import argparse
import gzip
import json
import math
import pathlib
import time

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.functional import cross_entropy

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("text", nargs="?", default=pathlib.Path(__file__).parent / "../data/pride-and-prejudice.txt.gz")
parser.add_argument("--epochs", type=int, default=0)
parser.add_argument("--total", type=int, default=8, help="epochs that the schedule counts to")
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--steps", type=int, default=64)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--windows", type=int, default=10**9, help="of an epoch")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(1)

file = safe_open(args.model, "pt")
metadata = json.loads(next(iter(file.metadata().values())))["entries"]
assert metadata["codec.unit"] == "characters", "for models of characters"
cell, layers, embedding, hidden, tied = metadata["layers"].split()
layers, embedding, hidden = int(layers), int(embedding), int(hidden)
assert tied == "false", "for models with an output of its own"
numbers = {token: i + 1 for i, token in enumerate(json.loads(metadata["codec.tokens"]))}
text = gzip.open(args.text, "rb").read()


def ids(part):
    return torch.tensor([numbers.get(c, 0) for c in part.decode("utf-8")])


def boundary(at):
    """No character is cut: its first byte is no continuation."""
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


held = int(len(text) * 0.05)
cuts = [boundary(len(text) - 2 * held), boundary(len(text) - held)]
train, validation, test = ids(text[: cuts[0]]), ids(text[cuts[0] : cuts[1]]), ids(text[cuts[1] :])


class LanguageModel(nn.Module):
    """The names are those of our files, so that load_state_dict finds all."""

    def __init__(self):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.embedding = nn.Embedding(len(numbers) + 1, embedding)
        self.layers = nn.ModuleList(kind(hidden if l else embedding, hidden, batch_first=True) for l in range(layers))
        self.output = nn.Linear(hidden, len(numbers) + 1)

    def drop(self, x):
        if not self.training or args.dropout == 0:
            return x
        return x * (torch.rand(x.shape[0], 1, x.shape[2]) >= args.dropout) / (1 - args.dropout)

    def forward(self, x, states):
        x = self.drop(self.embedding(x))
        for l, layer in enumerate(self.layers):
            y, states[l] = layer(x, states[l])
            x = self.drop(y)
        return self.output(x)


def streams(ids):
    """[B, T] windows of tokens, and of those after them."""
    length = (len(ids) - 1) // args.batch
    x, y = (ids[i : i + args.batch * length].view(args.batch, length) for i in (0, 1))
    steps = min(args.steps, length)
    for start in range(0, length - length % steps, steps):
        yield x[:, start : start + steps], y[:, start : start + steps]


def bits(model, windows):
    model.eval()
    states, losses, tokens = [None] * layers, 0.0, 0
    with torch.no_grad():
        for x, y in windows:
            losses += cross_entropy(model(x, states).flatten(0, 1), y.flatten(), reduction="sum").item()
            tokens += y.numel()
    return losses / tokens / math.log(2)


def one_stream(ids):
    """The whole text in windows of 256; the first character follows the end of a line."""
    x = torch.cat([torch.tensor([numbers.get("\n", 0)]), ids[:-1]])
    return ((x[None, at : at + 256], ids[None, at : at + 256]) for at in range(0, len(ids), 256))


def detach(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


model = LanguageModel()
model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
print(f"ours, measured by PyTorch {torch.__version__}: {bits(model, one_stream(test)):.4f} bits a character")

model = LanguageModel()
for layer in model.layers:
    if cell == "lstm":
        layer.bias_ih_l0.data[hidden : 2 * hidden] += 1.0
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
per_epoch = len(list(streams(train)))
total, step = per_epoch * args.total, 0
for epoch in range(args.epochs):
    model.train()
    began, tokens, states, loss_sum = (time.perf_counter(), time.process_time()), 0, [None] * layers, 0.0
    for x, y in list(streams(train))[: args.windows]:
        states = [None if s is None else detach(s) for s in states]
        loss = cross_entropy(model(x, states).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        t = max(step - 100, 0) / (total - 100)
        factor = (step + 1) / 100 if step < 100 else 0.05 + 0.95 * (1 + math.cos(math.pi * t)) / 2
        for group in optimizer.param_groups:
            group["lr"] = args.lr * factor
        optimizer.step()
        step, tokens, loss_sum = step + 1, tokens + x.numel(), loss_sum + loss.item() * x.numel()
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    print(
        f"epoch {epoch + 1:>3}  loss {loss_sum / tokens:.3f}  held out {bits(model, streams(validation)):.3f} bits a character  "
        f"{tokens / seconds:,.0f} tokens/s, {tokens / cpu:,.0f} a CPU second",
        flush=True,
    )
