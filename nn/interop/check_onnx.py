"""Runs the files of `cargo run -p plies-nn --features onnx --example onnx FOLDER` in ONNX Runtime and compares.

    python check_onnx.py FOLDER
"""
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, numpy {numpy.__version__}")
worst, files = 0.0, sorted(Path(sys.argv[1]).glob("*.onnx"))
for path in files:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    io = load_file(path.with_name(f"{path.stem}_io.safetensors"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [port.name for port in session.get_outputs()]
    given = {port.name: io[port.name] for port in session.get_inputs()}
    found = session.run(outputs, given)
    for name, y in zip(outputs, found):
        assert y.shape == io[name].shape, f"{path.stem}: {name} {y.shape}, not {io[name].shape}"
    difference = max(float(abs(y - io[name]).max()) for name, y in zip(outputs, found))
    operators = [node.op_type for node in model.graph.node]
    operators = operators if len(operators) < 5 else [f"{len(operators)} nodes"]
    declared = " ".join(str(d) for d in session.get_outputs()[0].shape)
    print(f"{path.stem:26} [{declared:26}] {difference:.1e}  {', '.join(operators)}")
    worst = max(worst, difference)
print(f"{len(files)} models, largest difference {worst:.1e}")
sys.exit(worst > 1e-5 or not files)
