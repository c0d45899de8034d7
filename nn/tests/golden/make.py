"""Makes the files of this folder: layers in double precision, and what comes out of them.

    python make.py      (run with PyTorch 2.15 on a CPU)

A file holds a layer's parameters and inputs; `d_y` and the like, the gradients that come in at its outputs;
the outputs; and `d_x`, `d_weight` and the like, the gradients of inputs and parameters.
"""
import json
import struct
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
NAMES = {torch.float64: "F64", torch.int32: "I32"}


def write(name, tensors):
    """A safetensors file: the length of a header, the header, the numbers."""
    header, data = {}, b""
    for key in sorted(tensors):
        tensor = tensors[key].detach().contiguous()
        raw = tensor.numpy().tobytes()
        header[key] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{name}.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def golden(name, module, inputs, run, **given):
    """`inputs` are differentiated, and so are the parameters; `run` returns outputs by name."""
    leaves = {key: tensor.requires_grad_() for key, tensor in inputs.items()}
    leaves.update(module.named_parameters())
    outputs = run(**inputs)
    d_outputs = {f"d_{key}": torch.randn_like(y) for key, y in outputs.items()}
    torch.autograd.backward(list(outputs.values()), list(d_outputs.values()))
    gradients = {f"d_{key}": leaf.grad for key, leaf in leaves.items()}
    write(name, {**leaves, **given, **outputs, **d_outputs, **gradients})


def recurrent(name, make, layers, both):
    """Sequences of different lengths; the states of the LSTM are two."""
    module = make(2, 3, num_layers=layers, bidirectional=both, batch_first=True)
    lengths = torch.tensor([4, 1, 3], dtype=torch.int32)
    letters = "hc" if isinstance(module, nn.LSTM) else "h"
    shape = layers * (2 if both else 1), 3, 3
    inputs = {"x": torch.randn(3, 4, 2), **{f"{s}_0": torch.randn(shape) for s in letters}}

    def run(x, **initial):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states = tuple(initial.values())
        y, states = module(packed, states if len(states) > 1 else states[0])
        y = pad_packed_sequence(y, batch_first=True)[0]
        states = states if len(letters) > 1 else [states]
        return {"y": y, **dict(zip(letters, states))}

    golden(f"{name}_{layers}{'_both' if both else ''}", module, inputs, run, lengths=lengths)


def layer(name, module, *shape):
    golden(name, module, {"x": torch.randn(shape)}, lambda x: {"y": module(x)})


if not torch.__version__.startswith("2.15."):
    sys.exit(f"the files in this folder are PyTorch 2.15's, this is {torch.__version__}")
for layers in [1, 2]:
    for both in [False, True]:
        recurrent("rnn", nn.RNN, layers, both)
        recurrent("rnn_relu", lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), layers, both)
        recurrent("lstm", nn.LSTM, layers, both)
        recurrent("gru", nn.GRU, layers, both)
layer("linear", nn.Linear(4, 3), 2, 4)
layer("conv1d", nn.Conv1d(2, 3, 3, stride=2, padding=2, dilation=2), 2, 2, 7)
layer("conv2d", nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), 2, 3, 5, 4)
layer("conv2d_groups", nn.Conv2d(4, 6, 3, padding=1, groups=2), 2, 4, 3, 4)
layer("max_pool1d", nn.MaxPool1d(3, 2, 1), 2, 2, 6)
layer("max_pool2d", nn.MaxPool2d((3, 2), (2, 1), (1, 0)), 2, 2, 5, 4)
layer("avg_pool1d", nn.AvgPool1d(2), 2, 2, 5)
layer("avg_pool2d", nn.AvgPool2d((3, 2), (2, 1), (1, 0)), 2, 2, 5, 4)
layer("avg_pool2d_inside", nn.AvgPool2d(3, 2, 1, count_include_pad=False), 2, 2, 5, 4)
targets = torch.tensor([2, 0, 3, 2, 1], dtype=torch.int32)
golden(
    "cross_entropy",
    nn.Module(),
    {"logits": 3 * torch.randn(5, 4)},
    lambda logits: {"loss": cross_entropy(logits, targets.long())},
    targets=targets,
)
# What does not count is -100, as in PyTorch. Last, a picture of 2 x 3 places.
cases = {
    "cross_entropy_weights": {"weight": torch.tensor([0.5, 2.0, 1.0, 0.25])},
    "cross_entropy_ignore": {"ignore_index": -100},
    "cross_entropy_smoothed": {"label_smoothing": 0.2},
    "cross_entropy_all": {
        "weight": torch.tensor([0.5, 2.0, 1.0, 0.25]),
        "ignore_index": -100,
        "label_smoothing": 0.2,
    },
}
for name, options in cases.items():
    for shape in [(5, 4), (2, 4, 2, 3)]:
        places = shape[:1] + shape[2:]
        targets = torch.randint(0, 4, places, dtype=torch.int32)
        if "ignore_index" in options:
            targets.view(-1)[1::3] = -100
        given = {"targets": targets, **{k: v for k, v in options.items() if k == "weight"}}
        golden(
            name + ("_2d" if len(shape) > 2 else ""),
            nn.Module(),
            {"logits": 3 * torch.randn(shape)},
            lambda logits: {
                way: cross_entropy(logits, targets.long(), reduction=way, **options)
                for way in ["mean", "sum", "none"]
            },
            **given,
        )
