"""Writes display.txt: what NumPy (2.4) prints for the tensors of tests/display.rs.

    python3 display.py > display.txt

Each entry is a line `== name` followed by NumPy's text.
"""
import numpy as np


def show(name, array, **options):
    print("==", name)
    print(np.array2string(array, **options) if options else str(array))


f = lambda *values: np.array(values, np.float32)
d = lambda *values: np.array(values, np.float64)
inf, nan = np.inf, np.nan

show("whole numbers", f(1, 2, 3))
show("decimals are aligned", f(1, 2.5, -100.125))
show("shortest f32", f(0.1, 0.2, 0.3, 1 / 3))
show("shortest f64", d(0.1, 0.2, 0.3, 1 / 3, 2 / 3))
show("ratio", d(0.001, 1.5))
show("ratio on the border", f(0.001, 1))
show("small", f(0.00001, 0.00002))
show("large f32", f(1e6, 2e6))
show("below large f32", f(999999, 100000))
show("large f64", d(1e8, 2e8))
show("below large f64", d(1e7, 2.5e7))
show("long exponents", d(1e-300, -2.5, 1.23456789012e200))
show("zeros", f(0, -0.0, 0))
show("not finite", f(1, nan, inf, -inf))
show("not finite and narrow", f(1, 2, nan))
show("only nan", f(nan, nan))
show("only infinite", f(inf, -inf))
show("not finite and tiny", d(1e-10, nan, -inf))
show("integers", np.array([[1, -200, 3], [40, 5, 6]], np.int32))
show("matrix", np.array([[1, 2.5], [-3.25, 4]], np.float32))
show("rank 3", np.arange(12, dtype=np.int32).reshape(2, 3, 2))
show("rank 4", np.arange(8, dtype=np.float32).reshape(2, 2, 1, 2) / 4)
show("empty", np.zeros((0,), np.float32))
show("empty matrix", np.zeros((2, 0), np.float32))
show("long line", np.arange(30, dtype=np.int32) * 7)
show("long line of decimals", np.arange(40, dtype=np.float64) / 8)
show("long rows", np.arange(60, dtype=np.float32).reshape(2, 30) / 4)
show("long rows of rank 3", np.arange(120, dtype=np.float32).reshape(2, 2, 30) / 4)
show("thousand", np.arange(1000, dtype=np.int32))
show("summary of a vector", np.arange(1001, dtype=np.int32))
show("summary of a matrix", np.arange(5000, dtype=np.float32).reshape(50, 100) / 8)
show("summary of short rows", np.arange(1200, dtype=np.int32).reshape(300, 4))
show("summary of short columns", np.arange(1200, dtype=np.int32).reshape(4, 300))
show("summary of rank 3", np.arange(8000, dtype=np.int32).reshape(20, 20, 20))
show("precision 3", d(3.14159265, 2.5, 0.0004), precision=3)
show("precision 0", f(3.7, 2.5, -1), precision=0)
show("precision 2 of powers", d(1.23456e10, 7), precision=2)
show("precision of a scalar", np.array(3.14159265), precision=3)
show("half to even", d(0.125, 0.375, 2.5), precision=2)
for name, value in [
    ("0.1", 0.1), ("1", 1.0), ("1e15", 1e15), ("1e16", 1e16), ("1e-4", 1e-4), ("1e-5", 1e-5),
    ("0", 0.0), ("-0", -0.0), ("nan", nan), ("-inf", -inf), ("third", 1 / 3), ("big", 1.5e300),
]:
    show("scalar f64 " + name, np.array(value, np.float64))
    if name != "big":
        show("scalar f32 " + name, np.array(value, np.float32))
show("scalar i32", np.array(-7, np.int32))
