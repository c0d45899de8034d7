"""Loads the files of `cargo run -p plies-nn --example to_pytorch FOLDER` into PyTorch's models and compares.

    python check.py FOLDER
"""
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from models import MODELS

folder, worst = Path(sys.argv[1]), 0.0
for name, make in MODELS.items():
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        metadata = file.metadata()
    model = make().eval()
    model.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=True)
    io = load_file(folder / f"{name}_io.safetensors")
    with torch.no_grad():
        y = model(io["x"], io.get("lengths"))
    difference = (y - io["y"]).abs().max().item()
    print(f"{name:8}{str(metadata):18}{len(model.state_dict()):3} tensors, y {str(tuple(y.shape)):10}"
          f" largest difference {difference:.1e}")
    worst = max(worst, difference)
sys.exit(worst > 1e-5)
