"""Makes the files of this folder: what a user of PyTorch has, and what it computes.

    python make.py      (run with PyTorch 2.15 and safetensors 0.8 on a CPU)

`NAME.safetensors` is a state_dict; `NAME_io.safetensors` holds x, for the tagger lengths as well, and y.
`mlp_module_f16` and `tagger_module_bf16` are state_dicts of models that were trained on several devices and
saved in half precision; `y_half` is what they compute.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from models import MODELS

if not torch.__version__.startswith("2.15."):
    sys.exit(f"the files in this folder are PyTorch 2.15's, this is {torch.__version__}")
torch.manual_seed(1)
folder = Path(__file__).parent
inputs = {
    "mlp": [torch.randn(4, 6)],
    "cnn": [torch.randn(3, 1, 8, 8)],
    "tagger": [torch.randint(0, 7, (3, 5), dtype=torch.int32), torch.tensor([5, 2, 4])],
}
halves = {"mlp": torch.float16, "tagger": torch.bfloat16}
for name, make in MODELS.items():
    model = make()
    if name == "cnn":
        for _ in range(3):  # so that the running averages are of something
            model(2 * torch.randn(5, 1, 8, 8) + 1)
    model.eval()
    save_file(model.state_dict(), folder / f"{name}.safetensors")
    with torch.no_grad():
        tensors = dict(zip(["x", "lengths"], inputs[name])) | {"y": model(*inputs[name])}
        if name in halves:
            short = "f16" if halves[name] == torch.float16 else "bf16"
            half = nn.DataParallel(model).to(halves[name]).state_dict()
            save_file(half, folder / f"{name}_module_{short}.safetensors")
            tensors["y_half"] = model.float()(*inputs[name])
    save_file(tensors, folder / f"{name}_io.safetensors")
