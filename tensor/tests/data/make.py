"""Makes the files of this folder: arrays in NumPy's formats and what NumPy prints.

    python make.py      (NumPy 2)
"""
import numpy as np

a = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
np.save("f4.npy", a)
np.save("f8_fortran.npy", np.asfortranarray(a.astype(np.float64)))
np.save("f8_big_endian.npy", a.astype(">f8"))
np.save("i8.npy", np.array([[-1, 2], [3, 2**31 - 1]]))
np.save("bool.npy", np.array([True, False]))
np.save("scalar.npy", np.float64(2.5))
np.save("empty.npy", np.zeros((0, 3), np.float32))
np.save("i8_too_large.npy", np.array([1, 2**31]))
np.savez("stored.npz", a=a, b=np.array([1, 2]))
np.savez_compressed("compressed.npz", a=a, b=np.array([1, 2]))

f = np.float32
shown = [
    np.array([1, 2.5, -3.25], f),
    np.array([[1, 2.5], [-3.25, 100]], f),
    np.array([1, 2, 3], f),
    np.array([1, 2, 300], np.int32),
    np.array([0.1, 0.25, 1 / 3], f),
    np.array([0.1, 1 / 3]),
    np.array([1e-7, 1.0], f),
    np.array([1e10, 1.5], f),
    np.array([np.nan, np.inf, -np.inf, 1.5], f),
    np.arange(24, dtype=np.int32).reshape(2, 3, 4),
    np.arange(2000, dtype=np.int32),
    np.arange(2000, dtype=np.int32).reshape(50, 40),
    np.arange(40, dtype=np.float32) / 8,
    np.float32(3.5) * np.ones(()),
    np.zeros((0,), f),
    np.zeros((2, 0), f),
    -np.ones((2, 2), f),
    np.array([[0.5]], f),
    np.array([123456.789, 0.001], f),
]
with open("printed.txt", "w") as out:
    for x in shown:
        out.write(str(x) + "\n----\n")
