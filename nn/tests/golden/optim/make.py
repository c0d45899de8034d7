"""Makes the files of this folder: optimisers, schedules and averages in double precision.

    python make.py      (run with PyTorch 2.15 on a CPU)

given.safetensors holds a parameter p and the gradients g of ten steps. The file of an optimiser holds, for
each of its settings, the parameter after each step. schedules.safetensors holds factors of the learning
rate, plateau.safetensors learning rates after each number of `values`, average.safetensors weights and
their averages after each.
"""
import math
import sys

import torch
from safetensors.torch import save_file
from torch import optim
from torch.optim import lr_scheduler

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
if not torch.__version__.startswith("2.15."):
    sys.exit(f"the files in this folder are PyTorch 2.15's, this is {torch.__version__}")


def write(name, tensors):
    save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, f"{name}.safetensors")


# Numbers of very different sizes, two of them always 0.
P = torch.randn(3, 4)
G = torch.randn(10, 3, 4) * torch.logspace(-3, 1, 4)
G[:, 1, 1:3] = 0.0
write("given", {"p": P, "g": G})


# ---------------------------------------------------------------- schedules
def factors(n, make):
    p = torch.zeros(1, requires_grad=True)
    sgd = optim.SGD([p], lr=1.0)
    scheduler, found = make(sgd), []
    for _ in range(n):
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return torch.tensor(found)


def warmed_up(sgd):
    rise = lr_scheduler.LinearLR(sgd, start_factor=1 / 5, total_iters=4)
    fall = lr_scheduler.CosineAnnealingLR(sgd, T_max=15, eta_min=0.1)
    return lr_scheduler.SequentialLR(sgd, [rise, fall], milestones=[5])


def one_cycle(sgd, **options):
    return lr_scheduler.OneCycleLR(sgd, max_lr=1.0, total_steps=20, cycle_momentum=False, **options)


write(
    "schedules",
    {
        "constant": factors(20, lambda s: lr_scheduler.ConstantLR(s, factor=1.0)),
        "linear": factors(
            20, lambda s: lr_scheduler.LinearLR(s, start_factor=1.0, end_factor=0.25, total_iters=20)
        ),
        "polynomial": factors(20, lambda s: lr_scheduler.PolynomialLR(s, total_iters=20, power=2.5)),
        "cosine": factors(20, lambda s: lr_scheduler.CosineAnnealingLR(s, T_max=20, eta_min=0.1)),
        "cosine_warm_up": factors(20, warmed_up),
        "cosine_restarts": factors(
            20, lambda s: lr_scheduler.CosineAnnealingWarmRestarts(s, T_0=6, eta_min=0.05)
        ),
        "cosine_restarts_growing": factors(
            20, lambda s: lr_scheduler.CosineAnnealingWarmRestarts(s, T_0=3, T_mult=2)
        ),
        "exponential": factors(20, lambda s: lr_scheduler.ExponentialLR(s, gamma=0.8)),
        "step": factors(20, lambda s: lr_scheduler.StepLR(s, step_size=6, gamma=0.3)),
        "multi_step": factors(20, lambda s: lr_scheduler.MultiStepLR(s, milestones=[3, 4, 11], gamma=0.5)),
        "one_cycle": factors(20, lambda s: one_cycle(s)),
        "one_cycle_short_rise": factors(
            20, lambda s: one_cycle(s, pct_start=0.1, div_factor=10, final_div_factor=100)
        ),
        "one_cycle_linear": factors(
            20, lambda s: one_cycle(s, pct_start=0.4, anneal_strategy="linear", three_phase=True)
        ),
        "custom": factors(20, lambda s: lr_scheduler.LambdaLR(s, lambda t: 1 / math.sqrt(1 + t))),
    },
)


def plateau(values, **options):
    p = torch.zeros(1, requires_grad=True)
    sgd = optim.SGD([p], lr=1.0)
    scheduler, found = lr_scheduler.ReduceLROnPlateau(sgd, threshold_mode="abs", **options), []
    for value in values:
        scheduler.step(value)
        found.append(sgd.param_groups[0]["lr"])
    return torch.tensor(found)


VALUES = [3.0, 2.0, 2.0, 2.1, 1.95, 1.9, math.nan, 1.91, 1.92, 1.93, 1.94, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.6]
write(
    "plateau",
    {
        "values": torch.tensor(VALUES),
        "plain": plateau(VALUES, factor=0.5, patience=1, threshold=0.0),
        "cooldown": plateau(VALUES, factor=0.5, patience=0, cooldown=2, threshold=0.0),
        "min_delta": plateau(VALUES, factor=0.1, patience=2, threshold=0.06),
        "min_lr": plateau(VALUES, factor=0.1, patience=0, threshold=0.0, min_lr=0.05),
    },
)


# ---------------------------------------------------------------- averages
def average(avg_fn=None):
    module = torch.nn.Module()
    module.p = torch.nn.Parameter(torch.zeros(3, 4))
    averaged, found = optim.swa_utils.AveragedModel(module, avg_fn=avg_fn), []
    for g in G:
        module.p.data = P + g
        averaged.update_parameters(module)
        found.append(averaged.module.p.detach().clone())
    return torch.stack(found)


write(
    "average",
    {
        "all": average(),
        "decay": average(lambda a, p, n: torch.lerp(a, p, 1 - min(0.8, int(n) / (int(n) + 1)))),
    },
)


# ---------------------------------------------------------------- optimisers
def steps(make, p=P, gradients=G):
    p = p.clone().requires_grad_()
    optimizer, found = make([p]), []
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
        found.append(p.detach().clone())
    return torch.stack(found)


class Lion(optim.Optimizer):
    """Algorithm 2 of the paper, a line for a line."""

    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), eta, decay = group["betas"], group["lr"], group["weight_decay"]
            for p in group["params"]:
                m = self.state[p].get("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p -= eta * (torch.sign(c) + decay * p)
                self.state[p]["m"] = beta2 * m + (1 - beta2) * p.grad


# Muon rounds to 16 bits for speed; its formulas are wanted here.
to = torch.Tensor.to


def to_exact(tensor, *args, **options):
    if options.get("dtype") == torch.bfloat16:
        options["dtype"] = torch.float64
    return to(tensor, *args, **options)


def muon(p=P, gradients=G, **options):
    torch.Tensor.to = to_exact
    found = steps(lambda ps: optim.Muon(ps, lr=0.05, **options), p, gradients)
    torch.Tensor.to = to
    return found


CASES = {
    "sgd": (
        optim.SGD,
        {
            "plain": {},
            "weight_decay": {"weight_decay": 0.1},
            "momentum": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            "dampening": {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        },
    ),
    "rmsprop": (
        optim.RMSprop,
        {
            "plain": {},
            "alpha": {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
            "momentum": {"momentum": 0.5},
            "centered": {"centered": True},
            "all": {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1},
        },
    ),
    "adagrad": (optim.Adagrad, {"plain": {}, "all": {"lr_decay": 0.1, "eps": 1e-3, "weight_decay": 0.1}}),
    "adadelta": (optim.Adadelta, {"plain": {}, "all": {"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}}),
    "adam": (
        optim.Adam,
        {
            "plain": {},
            "options": {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
            "amsgrad": {"amsgrad": True, "betas": (0.8, 0.5)},
        },
    ),
    "adamw": (
        optim.AdamW,
        {
            "plain": {"weight_decay": 0.1},
            "amsgrad": {"amsgrad": True, "betas": (0.8, 0.5), "weight_decay": 0.1},
        },
    ),
    "nadam": (
        optim.NAdam,
        {
            "plain": {},
            "options": {"betas": (0.8, 0.95), "eps": 1e-4, "momentum_decay": 0.1, "weight_decay": 0.1},
            "decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
        },
    ),
    "radam": (
        optim.RAdam,
        {
            "plain": {},
            "options": {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
            "decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
        },
    ),
    "lion": (
        Lion,
        {
            "plain": {"betas": (0.9, 0.99), "weight_decay": 0.0},
            "all": {"betas": (0.8, 0.9), "weight_decay": 0.1},
        },
    ),
}
for name, (make, cases) in CASES.items():
    write(
        name,
        {case: steps(lambda ps: make(ps, lr=0.05, **options)) for case, options in cases.items()},
    )
write(
    "muon",
    {
        "plain": muon(weight_decay=0.0),
        "decay": muon(weight_decay=0.1, momentum=0.8),
        "plain_momentum": muon(weight_decay=0.0, nesterov=False),
        "iterations": muon(weight_decay=0.0, ns_steps=3),
        "match_adam": muon(weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        "tall": muon(P.T, G.transpose(1, 2), weight_decay=0.0),
    },
)


# ---------------------------------------------------------------- L-BFGS
def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(x):
    return (torch.arange(1.0, 6.0) * (x - 1) ** 2).sum()


def lbfgs(f, calls, **options):
    x = torch.tensor([-1.2, 1.0, -0.5, 0.8, 1.5], requires_grad=True)
    optimizer, found = optim.LBFGS([x], **options), []

    def closure():
        optimizer.zero_grad()
        loss = f(x)
        loss.backward()
        return loss

    for _ in range(calls):
        optimizer.step(closure)
        found.append(x.detach().clone())
    return torch.stack(found)


wolfe = {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-9, "tolerance_change": 1e-12}
write(
    "lbfgs",
    {
        "rosenbrock": lbfgs(rosenbrock, 12, history_size=10, max_iter=4, max_eval=12, **wolfe),
        "short_history": lbfgs(rosenbrock, 12, history_size=2, max_iter=4, max_eval=12, **wolfe),
        "few_evaluations": lbfgs(rosenbrock, 12, history_size=10, max_iter=6, max_eval=5, **wolfe),
        "long_first_try": lbfgs(rosenbrock, 12, history_size=10, max_iter=4, max_eval=12, lr=3, **wolfe),
        "fixed": lbfgs(bowl, 12, history_size=3, max_iter=1, lr=0.5),
    },
)
