"""Makes the files of this folder: losses in double precision, and their gradients.

    python make.py      (run with PyTorch 2.15 on a CPU)

A file holds a loss's inputs and what it is given besides; `d_none`, the gradient that comes in at the losses
of the single examples; and for each of its settings the mean, the sum and the single losses, `CASE.mean`,
`CASE.sum`, `CASE.none`, and the gradients of mean + 2 sum + Σ d_none none, `CASE.d_x` and the like.
"""
import sys

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
if not torch.__version__.startswith("2.15."):
    sys.exit(f"the files in this folder are PyTorch 2.15's, this is {torch.__version__}")


def golden(name, inputs, given, cases):
    """`inputs` are differentiated; a case is a function of the reduction."""
    leaves = {key: tensor.detach().clone().requires_grad_() for key, tensor in inputs.items()}
    file, d_none = {**leaves, **given}, None
    for case, loss in cases.items():
        found = {way: loss(reduction=way, **leaves) for way in ["mean", "sum", "none"]}
        if d_none is None:
            d_none = file["d_none"] = torch.randn_like(found["none"])
        total = found["mean"] + 2 * found["sum"] + (d_none * found["none"]).sum()
        gradients = torch.autograd.grad(total, list(leaves.values()))
        file.update({f"{case}.{way}": value for way, value in found.items()})
        file.update({f"{case}.d_{key}": g for key, g in zip(leaves, gradients)})
    save_file({k: t.detach().contiguous() for k, t in file.items()}, f"{name}.safetensors")


x, t = 2 * torch.randn(3, 4), torch.randn(3, 4)
shares, sides = torch.rand(3, 4), torch.randn(3, 4).sign()
classes, places = torch.tensor([2, 0, 3]), torch.tensor([[1, 3], [-100, 0], [2, 2]])
weight = torch.tensor([0.5, 2.0, 1.0, 0.25])
ints = lambda classes: classes.to(torch.int32)


def of(function, *given, **options):
    return lambda x, reduction: function(x, *given, reduction=reduction, **options)


golden("mse", {"x": x}, {"t": t}, {"plain": of(F.mse_loss, t)})
golden("l1", {"x": x}, {"t": t}, {"plain": of(F.l1_loss, t)})
golden(
    "smooth_l1",
    {"x": x},
    {"t": t},
    {f"{beta}": of(F.smooth_l1_loss, t, beta=beta) for beta in [1.0, 0.5, 3.0]},
)
golden("huber", {"x": x}, {"t": t}, {f"{delta}": of(F.huber_loss, t, delta=delta) for delta in [1.0, 0.5, 3.0]})
bce = F.binary_cross_entropy_with_logits
golden(
    "binary_cross_entropy",
    {"x": x},
    {"t": shares, "weight": weight},
    {
        "plain": of(bce, shares),
        "pos_weight": of(bce, shares, pos_weight=weight),
        "weight": of(bce, shares, weight=weight),
        "both": of(bce, shares, weight=weight, pos_weight=weight.flip(0)),
    },
)
golden("soft_margin", {"x": x}, {"t": sides}, {"plain": of(F.soft_margin_loss, sides)})
golden(
    "hinge_embedding",
    {"x": x.abs()},
    {"t": sides},
    {f"{margin}": of(F.hinge_embedding_loss, sides, margin=margin) for margin in [1.0, 3.0]},
)
counts = torch.tensor([[0.0, 1.0, 2.0, 5.0], [3.0, 0.0, 1.0, 9.0], [1.0, 2.0, 4.0, 0.0]])
golden(
    "poisson_nll",
    {"x": x.abs()},
    {"t": counts},
    {
        "plain": of(F.poisson_nll_loss, counts),
        "full": of(F.poisson_nll_loss, counts, full=True),
        "rates": of(F.poisson_nll_loss, counts, log_input=False),
        "rates_full": of(F.poisson_nll_loss, counts, log_input=False, full=True, eps=0.1),
    },
)
variances = torch.rand(3, 4) + 0.2
variances[1, 2] = 1e-9


def gaussian(**options):
    # PyTorch wants one variance for all or one for each; the target has no gradient.
    return lambda x, v, reduction: F.gaussian_nll_loss(x, t, v, reduction=reduction, **options)


golden(
    "gaussian_nll",
    {"x": x, "v": variances},
    {"t": t},
    {"plain": gaussian(eps=1e-6), "full": gaussian(full=True), "eps": gaussian(eps=0.5)},
)
golden(
    "margin_ranking",
    {"a": x, "b": t},
    {"t": sides},
    {
        f"{margin}": lambda a, b, reduction, margin=margin: F.margin_ranking_loss(
            a, b, sides, margin=margin, reduction=reduction
        )
        for margin in [0.0, 0.7]
    },
)
golden(
    "cosine_embedding",
    {"a": x, "b": t},
    {"t": sides[:, 0]},
    {
        f"{margin}": lambda a, b, reduction, margin=margin: F.cosine_embedding_loss(
            a, b, sides[:, 0], margin=margin, reduction=reduction
        )
        for margin in [0.0, -0.8]
    },
)


def triplet(**options):
    return lambda a, p, n, reduction: F.triplet_margin_loss(a, p, n, reduction=reduction, **options)


golden(
    "triplet",
    {"a": x, "p": t, "n": x.roll(1, 0) / 2 + t / 3},
    {},
    {"plain": triplet(), "margin": triplet(margin=3.0, p=1.0), "p": triplet(p=3.0), "swap": triplet(swap=True)},
)
golden(
    "multi_margin",
    {"x": x},
    {"t": ints(classes), "weight": weight},
    {
        "plain": of(F.multi_margin_loss, classes),
        "squared": of(F.multi_margin_loss, classes, p=2, margin=0.6),
        "weight": of(F.multi_margin_loss, classes, weight=weight),
    },
)
labels = (shares > 0.5).double()
golden(
    "multi_label_soft_margin",
    {"x": x},
    {"t": labels, "weight": weight},
    {
        "plain": of(F.multilabel_soft_margin_loss, labels),
        "weight": of(F.multilabel_soft_margin_loss, labels, weight=weight),
    },
)


def kl(target, log_target):
    """Over distributions: what PyTorch calls batchmean, and rows added up."""

    def loss(x, reduction):
        each = F.kl_div(x, target, reduction="none", log_target=log_target).sum(1)
        if reduction == "mean":
            assert torch.allclose(each.mean(), F.kl_div(x, target, reduction="batchmean", log_target=log_target))
        return each if reduction == "none" else getattr(each, reduction)()

    return loss


distribution = torch.softmax(t, 1)
distribution[0] = torch.tensor([0.0, 0.25, 0.75, 0.0])
golden(
    "kl_divergence",
    {"x": torch.log_softmax(x, 1)},
    {"t": distribution, "log_t": torch.log_softmax(t, 1)},
    {"plain": kl(distribution, False), "log_target": kl(torch.log_softmax(t, 1), True)},
)
golden(
    "nll",
    {"x": torch.log_softmax(x, 1)},
    {"t": ints(classes), "weight": weight},
    {
        "plain": of(F.nll_loss, classes),
        "weight": of(F.nll_loss, classes, weight=weight),
        "ignore": of(F.nll_loss, classes, ignore_index=0),
    },
)
golden(
    "nll_places",
    {"x": torch.log_softmax(2 * torch.randn(3, 4, 2), 1)},
    {"t": ints(places), "weight": weight},
    {
        "ignore": of(F.nll_loss, places),
        "all": of(F.nll_loss, places, weight=weight),
    },
)


# PyTorch has no multi-class hinge loss of the worst class: its definition, a line for a line.
def hinge(x, reduction):
    rows = []
    for row, target in zip(x, classes.tolist()):
        others = torch.cat([row[:target], row[target + 1 :]])
        rows.append((1 + others.max() - row[target]).clamp(min=0))
    each = torch.stack(rows)
    return each if reduction == "none" else getattr(each, reduction)()


golden("hinge", {"x": x}, {"t": ints(classes)}, {"plain": hinge})
golden(
    "cross_entropy",
    {"x": x},
    {"t": ints(classes), "weight": weight},
    {
        "plain": of(F.cross_entropy, classes),
        "all": of(F.cross_entropy, classes, weight=weight, label_smoothing=0.2, ignore_index=0),
    },
)

# Batch first, as logits: PyTorch's gradient is that of log_softmax and loss together. A repeated label, one
# sequence that is shorter, and one without labels.
def ctc(targets, blank):
    def loss(x, reduction):
        log_probs = torch.log_softmax(x, -1).transpose(0, 1)
        return F.ctc_loss(log_probs, targets.long(), (6, 4, 5), (3, 2, 0), blank=blank, reduction=reduction)

    return loss


spoken = ints(torch.tensor([[1, 1, 3], [2, 3, 0], [0, 0, 0]]))
spoken_blank = ints(torch.tensor([[1, 1, 3], [0, 3, 2], [2, 2, 2]]))
golden(
    "ctc",
    {"x": 2 * torch.randn(3, 6, 4)},
    {
        "t": spoken,
        "t_blank": spoken_blank,
        "input_lengths": ints(torch.tensor([6, 4, 5])),
        "target_lengths": ints(torch.tensor([3, 2, 0])),
    },
    {"plain": ctc(spoken, 0), "blank": ctc(spoken_blank, 2)},
)
