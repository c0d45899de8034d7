"""The peers that live in Python. `cargo xtask bench --python PROGRAM` runs this file once for each
library, and it waits for its turn: see src/python.rs.

usage: peers.py numpy|torch|jax THREADS; then on standard input
  case SECTION NAME   answered by the names of this library's contenders (`-`: only one), or an empty line
  run I N             answered by the seconds that N iterations of contender I took: wall and CPU time
The first line that it prints is the library's version, or `absent`. After an error it answers with an empty line.
"""

import os
import sys
import time
import traceback

LIBRARY, THREADS = sys.argv[1], int(sys.argv[2])
if LIBRARY == "jax" and hasattr(os, "sched_setaffinity"):
    # JAX has no switch for the number of threads: it may use as many cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-THREADS:])

VOCABULARY, STEPS = 20_000, 100


def dims(case):
    """nn_64x784x512 -> ("nn", 64, 784, 512)"""
    layout, sizes = case.split("_")
    return (layout, *map(int, sizes.split("x")))


def batch(case):
    """mlp_b64_sgd -> 64"""
    return int(next(part[1:] for part in case.split("_") if part[0] == "b"))


def layer(case):
    """conv5_16_32_forward -> (("conv", 16, 32, 5), "forward", shape of x), as in src/layers.rs"""
    name, mode = case.rsplit("_", 1)
    return {
        "conv5_1_16": (("conv", 1, 16, 5), mode, (64, 1, 28, 28)),
        "conv5_16_32": (("conv", 16, 32, 5), mode, (64, 16, 12, 12)),
        "conv3_64_64": (("conv", 64, 64, 3), mode, (32, 64, 16, 16)),
        "maxpool2_16": (("maxpool", 2), mode, (64, 16, 24, 24)),
        "lstm_128": (("lstm", 128), mode, (32, STEPS, 128)),
        "gru_128": (("gru", 128), mode, (32, STEPS, 128)),
    }[name]


def numpy_peer():
    import numpy as np

    rng = np.random.default_rng(0)

    def gemm(case):
        layout, m, k, n = dims(case)
        a = rng.random((k, m), dtype=np.float32).T if layout == "tn" else rng.random((m, k), dtype=np.float32)
        b = rng.random((n, k), dtype=np.float32).T if layout == "nt" else rng.random((k, n), dtype=np.float32)
        c = np.empty((m, n), np.float32)
        return {"-": lambda: np.matmul(a, b, out=c)}

    def elementwise(case):
        if THREADS > 1:
            return {}  # its element-wise work is single-threaded
        one = np.float32(1)
        name, size = case.rsplit("_", 1)
        if "x" in size:
            x = rng.random(tuple(map(int, size.split("x"))), dtype=np.float32) * 8 - 4
            w = x[0].copy()
        else:
            x = rng.random(int(float(size)), dtype=np.float32) * 8 - 4
        y = x.copy()

        def softmax():
            e = np.exp(x - x.max(1, keepdims=True))
            e /= e.sum(1, keepdims=True)
            return e

        def log_softmax():
            d = x - x.max(1, keepdims=True)
            return d - np.log(np.exp(d).sum(1, keepdims=True))

        def layer_norm():
            d = x - x.mean(1, keepdims=True)
            return d / np.sqrt((d * d).mean(1, keepdims=True) + np.float32(1e-5)) * w + w

        ways = {
            "exp": lambda: np.exp(x),
            "tanh": lambda: np.tanh(x),
            "sigmoid": lambda: one / (one + np.exp(-x)),
            "relu": lambda: np.maximum(x, np.float32(0)),
            "add": lambda: x + y,
            "sum": lambda: x.sum(),
            "mish": lambda: x * np.tanh(np.log1p(np.exp(x))),
            "softmax": softmax,
            "log_softmax": log_softmax,
            "sum_rows": lambda: x.sum(1),
            "sum_columns": lambda: x.sum(0),
            "layer_norm": layer_norm,
        }
        return {"-": ways[name]} if name in ways else {}

    sections = {"gemm": gemm, "elementwise": elementwise}
    return np.__version__, sections, lambda: None


def torch_peer():
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(THREADS)

    def without_gradient(work):
        def run():
            with torch.no_grad():
                work()

        return run

    def gemm(case):
        layout, m, k, n = dims(case)
        a = torch.rand(k, m).t() if layout == "tn" else torch.rand(m, k)
        b = torch.rand(n, k).t() if layout == "nt" else torch.rand(k, n)
        c = torch.empty(m, n)
        return {"-": without_gradient(lambda: torch.mm(a, b, out=c))}

    def elementwise(case):
        name, size = case.rsplit("_", 1)
        shape = tuple(map(int, size.split("x"))) if "x" in size else (int(float(size)),)
        x = torch.rand(shape) * 8 - 4
        y = torch.rand(shape)
        w = y[0].clone()
        ways = {
            "exp": lambda: torch.exp(x),
            "tanh": lambda: torch.tanh(x),
            "sigmoid": lambda: torch.sigmoid(x),
            "relu": lambda: torch.relu(x),
            "add": lambda: x + y,
            "sum": lambda: torch.sum(x),
            "mish": lambda: x * torch.tanh(F.softplus(x)),
            "softmax": lambda: torch.softmax(x, 1),
            "log_softmax": lambda: torch.log_softmax(x, 1),
            "sum_rows": lambda: x.sum(1),
            "sum_columns": lambda: x.sum(0),
            "layer_norm": lambda: F.layer_norm(x, (shape[-1],), w, w),
        }
        return {"-": without_gradient(ways[name])} if name in ways else {}

    def overhead(case):
        a, b = torch.rand(4), torch.rand(4)
        if case != "add4":
            a.requires_grad_()
            b.requires_grad_()

        def chain():
            c = a
            for _ in range(100):
                c = c + b
            c.sum().backward()
            a.grad = b.grad = None

        return {"-": chain if case.startswith("chain") else lambda: a + b}

    def layers(case):
        kind, mode, x_shape = layer(case)
        model = {
            "conv": lambda i, o, k: nn.Conv2d(i, o, k),
            "maxpool": lambda k: nn.MaxPool2d(k),
            "lstm": lambda units: nn.LSTM(units, units, batch_first=True),
            "gru": lambda units: nn.GRU(units, units, batch_first=True),
        }[kind[0]](*kind[1:])
        x = torch.rand(x_shape, requires_grad=mode == "gradients")

        def forward():
            y = model(x)
            return y[0] if isinstance(y, tuple) else y

        if mode == "forward":
            return {"-": without_gradient(forward)}
        d_y = torch.rand_like(forward())

        def gradients():
            (forward() * d_y).sum().backward()
            x.grad = None
            model.zero_grad()

        return {"-": gradients}

    class Recurrent(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 128)
            self.cell = kind(128, 128, batch_first=True)
            self.output = nn.Linear(128, 2)

        def forward(self, x):
            y, _ = self.cell(self.embedding(x))
            return self.output(y[:, -1])

    def network(case):
        b, kind = batch(case), case.split("_")[0]
        if kind == "mlp":
            dropout = [nn.Dropout(0.2)] if "dropout" in case else []
            layers = [nn.Linear(784, 512), nn.ReLU(), *dropout, nn.Linear(512, 512), nn.ReLU(), *dropout]
            return nn.Sequential(*layers, nn.Linear(512, 10)), torch.rand(b, 784) * 2 - 1, 10
        if kind == "tiny":
            return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), torch.rand(b, 64), 10
        if kind == "lenet":
            maps = [nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)]
            head = [nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10)]
            return nn.Sequential(*maps, *head), torch.rand(b, 1, 28, 28), 10
        model = Recurrent(nn.LSTM if kind == "lstm" else nn.GRU)
        return model, torch.randint(0, VOCABULARY, (b, STEPS)), 2

    def train(case):
        def step(fused):
            model, x, classes = network(case)
            y = torch.randint(0, classes, (len(x),))
            if case.endswith("sgd"):
                update = torch.optim.SGD(model.parameters(), lr=1e-2, fused=fused)
            else:
                update = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

            def run():
                update.zero_grad()
                F.cross_entropy(model(x), y).backward()
                update.step()

            return run

        return {"-": step(False), "fused": step(True)}

    sections = {"gemm": gemm, "elementwise": elementwise, "overhead": overhead, "layers": layers, "train": train}
    return torch.__version__, sections, lambda: None


def jax_peer():
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    rng = np.random.default_rng(0)
    last = [None]

    def uniform(*shape):
        return jnp.asarray(rng.random(shape, dtype=np.float32) * 2 - 1)

    def call(f, *arguments):
        def run():
            last[0] = f(*arguments)

        return run

    def gemm(case):
        layout, m, k, n = dims(case)
        a = uniform(k, m) if layout == "tn" else uniform(m, k)
        b = uniform(n, k) if layout == "nt" else uniform(k, n)
        products = {"nn": lambda a, b: a @ b, "tn": lambda a, b: a.T @ b, "nt": lambda a, b: a @ b.T}
        return {"-": call(jax.jit(products[layout]), a, b)}

    def elementwise(case):
        name, size = case.rsplit("_", 1)
        shape = tuple(map(int, size.split("x"))) if "x" in size else (int(float(size)),)
        x, y = uniform(*shape) * 4, uniform(*shape)

        def layer_norm(x, y):
            mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
            return (x - mean) * lax.rsqrt(variance + 1e-5) * y[0] + y[0]

        ways = {
            "exp": lambda x, y: jnp.exp(x),
            "tanh": lambda x, y: jnp.tanh(x),
            "sigmoid": lambda x, y: jax.nn.sigmoid(x),
            "relu": lambda x, y: jnp.maximum(x, 0),
            "add": lambda x, y: x + y,
            "sum": lambda x, y: jnp.sum(x),
            "mish": lambda x, y: x * jnp.tanh(jax.nn.softplus(x)),
            "softmax": lambda x, y: jax.nn.softmax(x, axis=1),
            "log_softmax": lambda x, y: jax.nn.log_softmax(x, axis=1),
            "sum_rows": lambda x, y: x.sum(1),
            "sum_columns": lambda x, y: x.sum(0),
            "layer_norm": layer_norm,
        }
        return {"-": call(jax.jit(ways[name]), x, y)} if name in ways else {}

    def dense(i, o):
        s = 1 / np.sqrt(i)
        return {"w": uniform(i, o) * s, "b": uniform(o) * s}

    def affine(p, x):
        return x @ p["w"] + p["b"]

    def filtered(p, x):
        x = lax.conv_general_dilated(x, p["w"], (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return x + p["b"][None, :, None, None]

    def pooled(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def states(kind, ps, x):
        """The last state of a layer over x [B, T, inputs], and all of them."""
        xs = affine(ps["i"], x).swapaxes(0, 1)
        zero = jnp.zeros((x.shape[0], ps["h"]["w"].shape[0]))

        def lstm(state, x):
            h, c = state
            i, f, g, o = jnp.split(x + affine(ps["h"], h), 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gru(h, x):
            xr, xz, xn = jnp.split(x, 3, 1)
            hr, hz, hn = jnp.split(affine(ps["h"], h), 3, 1)
            n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
            z = jax.nn.sigmoid(xz + hz)
            h = (1 - z) * n + z * h
            return h, h

        if kind == "lstm":
            (h, _), hs = lax.scan(lstm, (zero, zero), xs)
        else:
            h, hs = lax.scan(gru, zero, xs)
        return h, hs.swapaxes(0, 1)

    def layers(case):
        kind, mode, x_shape = layer(case)
        x = uniform(*x_shape)
        if kind[0] == "conv":
            _, i, o, k = kind
            ps, forward = {"w": uniform(o, i, k, k) * 0.1, "b": uniform(o)}, filtered
        elif kind[0] == "maxpool":
            ps, forward = {}, lambda _, x: pooled(x)
        else:
            gates = {"lstm": 4, "gru": 3}[kind[0]]
            ps = {"i": dense(128, 128 * gates), "h": dense(128, 128 * gates)}
            forward = lambda ps, x: states(kind[0], ps, x)[1]
        if mode == "forward":
            return {"-": call(jax.jit(forward), ps, x)}
        d_y = uniform(*forward(ps, x).shape)
        return {"-": call(jax.jit(jax.grad(lambda ps, x, d_y: (forward(ps, x) * d_y).sum(), (0, 1))), ps, x, d_y)}

    def mlp(case):
        rate = 0.2 if "dropout" in case else 0.0

        def forward(ps, x, key):
            for p in ps[:-1]:
                x = jax.nn.relu(affine(p, x))
                if rate:
                    key, used = jax.random.split(key)
                    x = jnp.where(jax.random.bernoulli(used, 1 - rate, x.shape), x / (1 - rate), 0)
            return affine(ps[-1], x)

        sizes = [64, 32, 10] if case.startswith("tiny") else [784, 512, 512, 10]
        ps = [dense(i, o) for i, o in zip(sizes, sizes[1:])]
        return ps, forward, uniform(batch(case), sizes[0]), 10

    def lenet(case):
        def forward(ps, x, _):
            for p in ps[:2]:
                x = pooled(jax.nn.relu(filtered(p, x)))
            return affine(ps[3], jax.nn.relu(affine(ps[2], x.reshape(x.shape[0], -1))))

        maps = [
            {"w": uniform(16, 1, 5, 5) * 0.2, "b": uniform(16) * 0.2},
            {"w": uniform(32, 16, 5, 5) * 0.05, "b": uniform(32) * 0.05},
        ]
        return [*maps, dense(512, 128), dense(128, 10)], forward, uniform(batch(case), 1, 28, 28), 10

    def recurrent(case):
        kind, b = case.split("_")[0], batch(case)
        gates = 4 if kind == "lstm" else 3
        ps = {
            "e": uniform(VOCABULARY, 128),
            "i": dense(128, 128 * gates),
            "h": dense(128, 128 * gates),
            "o": dense(128, 2),
        }

        def forward(ps, x, _):
            return affine(ps["o"], states(kind, ps, ps["e"][x])[0])

        return ps, forward, jnp.asarray(rng.integers(0, VOCABULARY, (b, STEPS))), 2

    def train(case):
        makers = {"mlp": mlp, "tiny": mlp, "lenet": lenet, "lstm": recurrent, "gru": recurrent}
        ps, forward, x, classes = makers[case.split("_")[0]](case)
        y = jnp.asarray(rng.integers(0, classes, (len(x),)))
        tree_map = jax.tree.map
        is_adam = case.endswith("adam")

        def loss(ps, key, x, y):
            logs = jax.nn.log_softmax(forward(ps, x, key))
            return -jnp.mean(jnp.take_along_axis(logs, y[:, None], 1))

        def step(state, x, y):
            ps, m, v, t, key = state
            key, used = jax.random.split(key)
            value, g = jax.value_and_grad(loss)(ps, used, x, y)
            t = t + 1
            if is_adam:
                m = tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
                v = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
                a, b = 1 - 0.9**t, 1 - 0.999**t
                ps = tree_map(lambda p, m, v: p - 1e-3 * (m / a) / (jnp.sqrt(v / b) + 1e-8), ps, m, v)
            else:
                ps = tree_map(lambda p, g: p - 1e-2 * g, ps, g)
            return (ps, m, v, t, key), value

        compiled = jax.jit(step, donate_argnums=0)

        def zeros():
            return tree_map(jnp.zeros_like, ps) if is_adam else ()

        state = [(ps, zeros(), zeros(), jnp.float32(0), jax.random.PRNGKey(0))]

        def run():
            state[0], last[0] = compiled(state[0], x, y)

        return {"-": run}

    def overhead(case):
        if case != "add4":
            return {}
        a, b = uniform(4), uniform(4)
        return {"-": call(jax.jit(lambda a, b: a + b), a, b)}

    sections = {"gemm": gemm, "elementwise": elementwise, "overhead": overhead, "layers": layers, "train": train}
    return jax.__version__, sections, lambda: jax.block_until_ready(last[0])


def main():
    peer = {"numpy": numpy_peer, "torch": torch_peer, "jax": jax_peer}[LIBRARY]
    try:
        version, sections, synchronize = peer()
    except ModuleNotFoundError as error:
        if error.name != LIBRARY:
            raise
        print("absent", flush=True)
        return
    print(version, flush=True)
    contenders = []
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            if command == "case":
                section, name = arguments
                contenders.clear()
                made = sections.get(section, lambda case: {})(name)
                contenders.extend(made.values())
                answer = made
            else:
                contender, iterations = contenders[int(arguments[0])], int(arguments[1])
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(iterations):
                    contender()
                synchronize()
                answer = map(str, (time.perf_counter() - wall, time.process_time() - cpu))
        except Exception:
            traceback.print_exc()
            answer = []
        print(" ".join(answer), flush=True)


main()
