"""A program for onnxruntime, with its import changed.

    onnxruntime_program.py MODEL '[INPUT.npy, ...]' '[OUTPUT.npy, ...]' THREADS SECONDS

Writes the outputs of one run and prints the median time of the runs that fit into SECONDS, as JSON.
"""
import json
import statistics
import sys
import time

import numpy

import convopt as onnxruntime  # was: import onnxruntime


def main():
    model, inputs, outputs, threads, seconds = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {given.name: numpy.load(file) for given, file in zip(session.get_inputs(), json.loads(inputs))}
    for array, file in zip(session.run(None, feed), json.loads(outputs)):
        numpy.save(file, array)
    times = []
    while sum(times) < float(seconds):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    print(json.dumps({"median_ms": 1e3 * statistics.median(times), "predicted_ms": session.plan.predicted_ms}))


if __name__ == "__main__":
    main()
