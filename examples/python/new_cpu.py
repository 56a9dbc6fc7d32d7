#!/usr/bin/python3
"""Adapts the cost model to this CPU, and shows what that does to the plan of a model.

    new_cpu.py model.onnx [SECONDS]

Measures for SECONDS (30 by default), writes a cost model that every later call finds, and then runs
the plan by the model found before, the new plan, and one that is refined by measuring. For models
whose file says all sizes of their inputs.
"""
import sys
import time

import numpy

import convopt

THREADS = 1  # times are of one number of threads


def progress(state):
    """A line that is written again and again."""
    print(f"\r{state['done']}/{state['total']} shapes, {state['remaining_s']:.0f} s left   ", end="", file=sys.stderr)


def median_ms(model, plan):
    """The median time of runs that take half a second together."""
    session = convopt.InferenceSession(model, plan=plan)
    kinds = {"tensor(float)": "float32", "tensor(double)": "float64"}
    feed = {x.name: numpy.ones(x.shape, kinds.get(x.type) or x.type[len("tensor("):-1]) for x in session.get_inputs()}
    times = []
    while sum(times) < 0.5:
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return 1e3 * sorted(times)[len(times) // 2]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 30
    machine = convopt.measure_machine(threads=THREADS)
    print(f"{machine['cpu']} ({machine['platform']}): {machine['peak_gflops']:.0f} GFLOP/s, "
          f"{machine['memory_gbps']:.0f} GB/s from memory")
    before = convopt.select(model, threads=THREADS)
    report = convopt.transfer(budget=seconds, threads=THREADS, progress=progress)
    print(f"\n{report['samples']} times of {report['shapes']} shapes in {report['seconds']:.0f} s; {report['model']}")
    for method in report["methods"]:
        print(f"  {method['method']:22} {100 * method['mdrae']:5.1f} % error on shapes held out"
              + ("  <- kept" if method["chosen"] else ""))
    after = convopt.select(model, threads=THREADS)
    refined = convopt.select(model, threads=THREADS, refine=seconds / 3, progress=progress)
    print()
    for name, plan in (("model found before", before), ("adapted model", after), ("refined", refined)):
        print(f"{name:20} predicted {plan.predicted_ms:8.3g} ms, takes {median_ms(model, plan):8.3g} ms")


if __name__ == "__main__":
    main()
