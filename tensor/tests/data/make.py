"""Makes the files of this folder: arrays in NumPy's formats.

    python make.py      (NumPy 2; what it prints is display.py's)
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
