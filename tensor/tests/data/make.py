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
np.save("f2.npy", np.array([0, -0.0, 1, -2.5, 65504, 6e-8, 6.1e-5, 1 / 3, np.inf, np.nan], np.float16))
np.save("i2_big_endian.npy", np.array([-2, 258], ">i2"))
np.save("u8_too_large.npy", np.asfortranarray(np.array([[1, 2, 2**64 - 1], [3, 4, 5]], np.uint64)))
with open("version_3.npy", "wb") as out:
    np.lib.format.write_array(out, a, version=(3, 0))
np.save("records.npy", np.zeros(2, [("x", "f4"), ("y", "i4")]))
np.save("complex.npy", np.zeros(2, np.complex64))
np.savez("stored.npz", a=a, b=np.array([1, 2]))
np.savez_compressed("compressed.npz", a=a, b=np.array([1, 2]))
