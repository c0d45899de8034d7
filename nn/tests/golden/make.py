"""Makes the files of this folder: layers in double precision, and what comes out of them.

    python make.py      (run with PyTorch 2.15 on a CPU)

A file holds a layer's parameters and inputs; `d_y` and the like, the gradients that come in at its outputs;
the outputs; and `d_x`, `d_weight` and the like, the gradients of inputs and parameters.
"""
import json
import os
import struct
import sys
import zlib
from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(1)
torch.set_num_threads(2)
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
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, f"{name}.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def golden(name, module, inputs, run, after=dict, **given):
    """`inputs` are differentiated, and so are the parameters; `run` returns outputs by name, `after` what else is to
    be compared then."""
    leaves = {key: tensor.requires_grad_() for key, tensor in inputs.items()}
    leaves.update(module.named_parameters())
    outputs = run(**inputs)
    d_outputs = {f"d_{key}": torch.randn_like(y) for key, y in outputs.items()}
    torch.autograd.backward(list(outputs.values()), list(d_outputs.values()))
    gradients = {f"d_{key}": leaf.grad for key, leaf in leaves.items()}
    write(name, {**leaves, **given, **outputs, **d_outputs, **gradients, **after()})


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


def seed(name):
    """Numbers that follow from the name of a file, so that another one changes no file of these."""
    torch.manual_seed(zlib.crc32(name.encode()))


def attention(name, lengths=None, bias=None, causal=False, keys=None, **options):
    """Two sequences, two heads; keys and values are the queries unless their sizes are given."""
    seed(name)
    module = nn.MultiheadAttention(4, 2, batch_first=True, **options)
    inputs = {"x": torch.randn(2, 3, 4)}
    if keys:
        inputs["key"] = torch.randn(2, keys, module.kdim)
        inputs["value"] = torch.randn(2, keys, module.vdim)
    if bias:
        inputs["bias"] = torch.randn(bias)
    for leaf in module.parameters():
        torch.nn.init.uniform_(leaf)
    given = {} if lengths is None else {"lengths": torch.tensor(lengths, dtype=torch.int32)}

    def run(x, key=None, value=None, bias=None):
        key, value = (x, x) if key is None else (key, value)
        shape = 2, 2, x.shape[1], key.shape[1]
        mask = torch.zeros(shape)
        if bias is not None:
            mask = mask + (bias[:, None] if bias.dim() == 3 else bias)
        if causal:
            mask = mask.masked_fill(torch.ones(shape, dtype=torch.bool).triu(1), -torch.inf)
        beyond = None
        if lengths is not None:
            beyond = torch.arange(key.shape[1]) >= given["lengths"][:, None]
        y, weights = module(
            x,
            key,
            value,
            key_padding_mask=beyond if beyond is None else torch.where(beyond, -torch.inf, 0.0),
            attn_mask=mask.flatten(0, 1),
            average_attn_weights=False,
        )
        if beyond is not None and key is x:
            # Beyond the end of a sequence there is nothing.
            y, weights = y * ~beyond[:, :, None], weights * ~beyond[:, None, :, None]
        return {"y": y, "weights": weights}

    golden(name, module, inputs, run, **given)


def transformer(name, layers=0, **options):
    """A layer of an encoder, or a whole encoder with a norm at its end."""
    seed(name)
    module = nn.TransformerEncoderLayer(4, 2, 3, dropout=0.0, batch_first=True, **options)
    if layers:
        module = nn.TransformerEncoder(module, layers, nn.LayerNorm(4), enable_nested_tensor=False)
    for leaf in module.parameters():
        torch.nn.init.uniform_(leaf, -1.0, 1.0)
    lengths = torch.tensor([3, 2], dtype=torch.int32)

    def run(x):
        beyond = torch.arange(3) >= lengths[:, None]
        return {"y": module(x, src_key_padding_mask=beyond) * ~beyond[:, :, None]}

    golden(name, module, {"x": torch.randn(2, 3, 4)}, run, lengths=lengths)


def cell(name, module):
    """One step of three sequences."""
    seed(name)
    for leaf in module.parameters():
        torch.nn.init.uniform_(leaf, -1.0, 1.0)
    letters = "hc" if isinstance(module, nn.LSTMCell) else "h"
    inputs = {key: torch.randn(3, 3) for key in [f"{s}_0" for s in letters]}

    def run(x, **initial):
        states = module(x, tuple(initial.values()) if len(letters) > 1 else initial["h_0"])
        return dict(zip(letters, states if len(letters) > 1 else [states]))

    golden(name, module, {"x": torch.randn(3, 2), **inputs}, run)


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

# Targets that are distributions.
for shape in [(5, 4), (2, 4, 2, 3)]:
    name = "cross_entropy_soft" + ("_2d" if len(shape) > 2 else "")
    seed(name)
    targets = torch.softmax(torch.randn(shape), 1)
    weight = torch.tensor([0.5, 2.0, 1.0, 0.25])
    golden(
        name,
        nn.Module(),
        {"logits": 3 * torch.randn(shape)},
        lambda logits: {
            way: cross_entropy(logits, targets, weight, reduction=way, label_smoothing=0.2)
            for way in ["mean", "sum", "none"]
        },
        targets=targets,
        weight=weight,
    )


def one(name, make, *shape, draw=torch.randn):
    """A layer of one input, whose parameters are no round numbers either."""
    seed(name)
    module = make()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    golden(name, module, {"x": draw(shape)}, lambda x: {"y": module(x)})


def equals(shape):
    """Numbers of which many are equal."""
    return torch.randint(0, 3, shape).double()


one("conv_transpose1d", lambda: nn.ConvTranspose1d(2, 3, 3, 2, 1, 1, dilation=2), 2, 2, 4)
one("conv_transpose2d", lambda: nn.ConvTranspose2d(3, 4, (3, 2), (2, 1), (1, 0), dilation=(1, 2)), 2, 3, 3, 4)
one("conv_transpose2d_groups", lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, (1, 0), 2), 2, 4, 3, 2)
one("conv1d_same", lambda: nn.Conv1d(2, 3, 4, padding="same", dilation=3), 2, 2, 6)
one("conv2d_same", lambda: nn.Conv2d(2, 3, (2, 3), padding="same", padding_mode="reflect"), 1, 2, 3, 4)
for mode in ["reflect", "replicate", "circular"]:
    one(f"conv2d_{mode}", lambda: nn.Conv2d(2, 2, 3, padding=(1, 2), padding_mode=mode), 1, 2, 3, 4)
one("pad_constant", lambda: nn.ConstantPad1d((1, 2), 1.5), 2, 1, 3)
one("pad_reflect", lambda: nn.ReflectionPad2d((1, 2, 0, 1)), 1, 2, 2, 3)
one("pad_replicate", lambda: nn.ReplicationPad2d((1, 4, 0, 3)), 1, 2, 2, 3)
one("pad_circular", lambda: nn.CircularPad2d((3, 2, 0, 1)), 1, 2, 2, 3)
one("max_pool1d_round_up", lambda: nn.MaxPool1d(4, 2, ceil_mode=True), 2, 1, 3)
one("max_pool2d_round_up", lambda: nn.MaxPool2d((2, 3), (3, 2), (1, 0), ceil_mode=True), 2, 2, 5, 6)
one("avg_pool1d_round_up", lambda: nn.AvgPool1d(2, 3, 1, ceil_mode=True), 2, 1, 6)
one("avg_pool2d_round_up", lambda: nn.AvgPool2d((2, 3), (3, 2), (1, 0), ceil_mode=True), 2, 2, 5, 6)
one("avg_pool2d_round_up_inside", lambda: nn.AvgPool2d(3, 2, 1, True, False), 1, 2, 4, 6)
one("adaptive_avg_pool1d", lambda: nn.AdaptiveAvgPool1d(3), 2, 2, 7)
one("adaptive_avg_pool2d", lambda: nn.AdaptiveAvgPool2d((3, 2)), 2, 2, 5, 3)
one("adaptive_avg_pool2d_all", lambda: nn.AdaptiveAvgPool2d(1), 2, 2, 3, 4)
one("adaptive_max_pool1d", lambda: nn.AdaptiveMaxPool1d(4), 2, 2, 7)
one("adaptive_max_pool2d", lambda: nn.AdaptiveMaxPool2d((3, 2)), 2, 2, 5, 3)
one("adaptive_max_pool2d_equals", lambda: nn.AdaptiveMaxPool2d((2, 3)), 2, 2, 5, 4, draw=equals)
one("max_pool2d_equals", lambda: nn.MaxPool2d(3, 1), 1, 2, 5, 4, draw=equals)
one("layer_norm", lambda: nn.LayerNorm(4), 2, 3, 4)
one("layer_norm_axes", lambda: nn.LayerNorm((3, 2), eps=1e-3), 2, 3, 2)
one("layer_norm_without_bias", lambda: nn.LayerNorm(4, bias=False), 2, 4)
one("layer_norm_without_affine", lambda: nn.LayerNorm(4, elementwise_affine=False), 2, 4)
one("rms_norm", lambda: nn.RMSNorm(4, eps=1e-5), 3, 4)
one("rms_norm_without_affine", lambda: nn.RMSNorm(4, eps=1e-5, elementwise_affine=False), 3, 4)
one("group_norm", lambda: nn.GroupNorm(2, 4), 2, 4, 3)
one("group_norm_of_instances", lambda: nn.InstanceNorm2d(2), 2, 2, 3, 2)
one("softmax", lambda: nn.Softmax(1), 2, 3, 2)
one("log_softmax", lambda: nn.LogSoftmax(-1), 2, 3)
one("glu", lambda: nn.GLU(1), 2, 4, 2)
one("prelu", lambda: nn.PReLU(), 3, 4)
one("prelu_of_channels", lambda: nn.PReLU(2), 2, 2, 3)
one("flatten", lambda: nn.Flatten(), 2, 3, 2)
one("flatten_axes", lambda: nn.Flatten(0, -2), 2, 3, 2)
one("unflatten", lambda: nn.Unflatten(1, (3, 2)), 2, 6)
one(
    "sequential",
    lambda: nn.Sequential(OrderedDict([("first", nn.Linear(3, 4)), ("1", nn.Tanh()), ("last", nn.Linear(4, 2))])),
    2,
    3,
)


class Maxout(nn.Linear):
    """Not in PyTorch."""

    def forward(self, x):
        return super().forward(x).unflatten(-1, (3, 2)).amax(-1)


one("maxout", lambda: Maxout(4, 6), 2, 4)


def batch_norm(name, make, *shape):
    """Two steps of training, the statistics after them, and an evaluation by those."""
    seed(name)
    module = make()
    for parameter in module.parameters():
        nn.init.normal_(parameter)

    def run(x, x_1):
        module.train()
        y, y_1 = module(x), module(x_1)
        return {"y": y, "y_1": y_1, "z": module.eval()(x)}

    def after():
        return {k: v if v.dtype == torch.float64 else v.int() for k, v in module.named_buffers()}

    golden(name, module, {"x": torch.randn(shape), "x_1": 3 * torch.randn(shape) + 1}, run, after)


batch_norm("batch_norm", lambda: nn.BatchNorm1d(3), 4, 3)
batch_norm("batch_norm_of_images", lambda: nn.BatchNorm2d(2, momentum=0.3, eps=1e-3), 2, 2, 2, 3)
batch_norm("batch_norm_cumulative", lambda: nn.BatchNorm1d(2, momentum=None, affine=False), 3, 2, 2)
batch_norm("batch_norm_by_itself", lambda: nn.BatchNorm1d(2, track_running_stats=False), 3, 2)

torch.manual_seed(2)
index = torch.tensor([[1, 4, 1], [0, 2, 2]], dtype=torch.int32)
for name, padding in [("embedding", None), ("embedding_padding", 2)]:
    table = nn.Embedding(5, 3, padding)
    golden(name, table, {}, lambda: {"y": table(index)}, index=index)

# Each activation at its kinks, and between and beyond them. A name for each is that of its function.
functions = {
    "identity": nn.Identity(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softplus": nn.Softplus(threshold=50),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "mish": nn.Mish(),
    "softsign": nn.Softsign(),
    "log_sigmoid": nn.LogSigmoid(),
    "relu6": nn.ReLU6(),
    # The slope of nn.Hardsigmoid is 1/6 in single precision.
    "hardsigmoid": lambda x: nn.functional.relu6(x + 3) / 6,
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(),
}
places = torch.tensor([-20, -3, -2.2, -1, -0.3, 0, 0.6, 1, 2.5, 3, 6, 30]).double()
golden(
    "activation",
    nn.Module(),
    {f"x_{name}": places.clone() for name in functions},
    lambda **x: {name: f(x[f"x_{name}"]) for name, f in functions.items()},
)
# Those with a constant of their own, which have no row in the table of activations.
functions = {
    "leaky_relu": nn.LeakyReLU(0.2),
    "elu": nn.ELU(1.3),
    # In the gradient of nn.CELU 1/alpha is in single precision.
    "celu": nn.CELU(0.5),
    "hardtanh": nn.Hardtanh(-0.5, 2),
}
golden(
    "function",
    nn.Module(),
    {f"x_{name}": places + 0.01 for name in functions},
    lambda **x: {name: f(x[f"x_{name}"]) for name, f in functions.items()},
)
attention("multi_head_attention_self")
attention("multi_head_attention_lengths", lengths=[3, 2])
attention("multi_head_attention_causal", lengths=[2, 3], causal=True)
attention("multi_head_attention_bias", bias=(2, 3, 3))
attention("multi_head_attention_heads", bias=(1, 2, 3, 3), lengths=[1, 3])
attention("multi_head_attention_cross", keys=5, lengths=[5, 2])
attention("multi_head_attention_sizes", keys=2, kdim=3, vdim=1)
transformer("transformer_encoder_layer")
transformer("transformer_encoder_layer_norm_first", norm_first=True, activation="gelu")
transformer("transformer_encoder", layers=2, norm_first=True)
cell("rnn_cell", nn.RNNCell(2, 3))
cell("rnn_relu_cell", nn.RNNCell(2, 3, nonlinearity="relu"))
cell("lstm_cell", nn.LSTMCell(2, 3))
cell("gru_cell", nn.GRUCell(2, 3))
