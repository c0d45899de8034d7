"""How well `cargo digits serve` reads test digits that are drawn thin, thick, small, large and off-centre.

    pip install numpy scipy scikit-image
    cargo digits serve --quiet &
    python digits/tests/page/drawn.py 127.0.0.1:7028 digits/data [COUNT]

Thin lines are the skeletons of the digits, whole and connected as a pen would draw them; where a loop was full of ink its
skeleton has none. Thick ones are grown by a pixel on each side.
"""

import gzip
import http.client
import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

HOST, DATA = sys.argv[1], Path(sys.argv[2])
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
SIDE = 84


def load(name, start):
    return np.frombuffer(gzip.decompress((DATA / name).read_bytes()), np.uint8, offset=start)


images = load("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:COUNT]
labels = load("t10k-labels-idx1-ubyte.gz", 8)[:COUNT]


def enlarged(image, side):
    return np.clip(ndimage.zoom(image.astype(float) / 255, side / 28, order=1), 0, 1)


def placed(ink, left, top):
    """On the sheet; what is outside is lost."""
    sheet, (rows, columns) = np.zeros((SIDE, SIDE)), ink.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(SIDE, top + rows), min(SIDE, left + columns)
    sheet[y0:y1, x0:x1] = ink[y0 - top : y1 - top, x0 - left : x1 - left]
    return sheet


def thin(ink):
    """The skeleton, which keeps what is connected and what has holes, a line of three pixels."""
    return ndimage.binary_dilation(skeletonize(ink > 0.5)).astype(float)


def thick(ink):
    return ndimage.grey_dilation(ink, footprint=np.hypot(*np.mgrid[-3:4, -3:4]) < 3.3)


WAYS = {
    "as large as the sheet": lambda image: placed(enlarged(image, 84), 0, 0),
    "thin": lambda image: placed(thin(enlarged(image, 84)), 0, 0),
    "thick": lambda image: placed(thick(enlarged(image, 84)), 0, 0),
    "small": lambda image: placed(enlarged(image, 34), 25, 25),
    "in the upper left corner": lambda image: placed(enlarged(image, 50), -4, -4),
    "in the lower right corner": lambda image: placed(enlarged(image, 50), 38, 38),
}

connection = http.client.HTTPConnection(HOST)
for way, draw in WAYS.items():
    wrong = 0
    for image, label in zip(images, labels):
        connection.request("POST", "/read", (255 * draw(image)).astype(np.uint8).tobytes())
        answer = connection.getresponse()
        reading = json.loads(answer.read()) if answer.status == 200 else {"digit": answer.read()}
        wrong += reading["digit"] != label
    print(f"{100 * wrong / len(labels):5.2f} % misread of {len(labels)} {way}", flush=True)
