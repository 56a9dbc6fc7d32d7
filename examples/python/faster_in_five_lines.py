#!/usr/bin/python3
"""Runs an ONNX model of your own as fast as this CPU can.

    faster_in_five_lines.py model.onnx [model-input.npy]

The five lines in the middle are all that a program needs. They are those of a program for
onnxruntime with another import.
"""
import sys
import time

import numpy

NUMPY_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


def random_input(described):
    """Numbers from 0 to 1; open sizes are 1 image of 224 pixels."""
    shape = [size if isinstance(size, int) else 1 if i == 0 else 224 for i, size in enumerate(described.shape)]
    kind = NUMPY_TYPES.get(described.type) or described.type[len("tensor("):-1]
    return numpy.random.default_rng(1).random(shape).astype(kind)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model = sys.argv[1]

    import convopt as onnxruntime
    session = onnxruntime.InferenceSession(model)
    feed = {described.name: random_input(described) for described in session.get_inputs()}
    if len(sys.argv) > 2:
        feed[session.get_inputs()[0].name] = numpy.load(sys.argv[2])
    outputs = session.run(None, feed)

    for described, output in zip(session.get_outputs(), outputs):
        print(f"{described.name}: {output.dtype} {output.shape}, {output.ravel()[:4]} ...")
    times = []
    for _ in range(20):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    print(f"{1e3 * sorted(times)[len(times) // 2]:.3g} ms a run; predicted: {session.plan.predicted_ms:.3g} ms")


if __name__ == "__main__":
    main()
