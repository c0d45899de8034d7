"""Makes tensorboard.tfevents with TensorBoard's own messages and writer, and shows event files.

    pip install tensorboard numpy
    python tfevents.py                # writes the file beside this script
    python tfevents.py show FOLDER    # what TensorBoard would show of a folder
"""

import pathlib
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def limits():
    """Those of TensorFlow's core/lib/histogram/histogram.cc."""
    positive, limit = [], 1e-12
    while limit < 1e20:
        positive.append(limit)
        limit *= 1.1
    positive.append(sys.float_info.max)
    return np.array([-x for x in reversed(positive)] + [0.0] + positive)


def histogram(values):
    values = np.array(values)
    edges = limits()
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges))
    proto = HistogramProto(min=values.min(), max=values.max(), num=len(values))
    # In order, as a loop adds them.
    proto.sum, proto.sum_squares = sum(values.tolist()), sum((values * values).tolist())
    i = 0
    while i < len(edges):
        end, count = edges[i], counts[i]
        i += 1
        while count == 0 and i < len(edges) and counts[i] == 0:
            end = edges[i]
            i += 1
        proto.bucket_limit.append(end)
        proto.bucket.append(count)
    return proto


def make(path):
    numbers = [-2.5, -0.1, -1e-13, 0.0, 0.0, 1e-12, 0.3, 0.3, 1.0, 7.5, 1e21]
    values = [
        Summary.Value(tag="loss/batch", simple_value=0.625),
        Summary.Value(tag="empty", simple_value=0.0),
        Summary.Value(tag="parameter/0.weight", histo=histogram(numbers)),
    ]
    events = [
        Event(wall_time=1700000000.25, file_version="brain.Event:2"),
        Event(wall_time=1700000000.5, step=41, session_log=SessionLog(status=SessionLog.START)),
        Event(wall_time=1700000001.0, step=300, summary=Summary(value=values)),
    ]
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()


def show(folder):
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, [(e.step, round(e.value, 6)) for e in events.Scalars(tag)])
    for tag in events.Tags()["histograms"]:
        for e in events.Histograms(tag):
            h = e.histogram_value
            print(tag, e.step, "num", h.num, "min", h.min, "max", h.max, "buckets", len(h.bucket))


if __name__ == "__main__":
    if sys.argv[1:2] == ["show"]:
        show(sys.argv[2])
    else:
        make(pathlib.Path(__file__).with_name("tensorboard.tfevents"))
