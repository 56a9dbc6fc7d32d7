#!/usr/bin/python3
"""As onnxruntime_worker.js, with PyTorch: pytorch_worker.py MODEL.pt INPUT.npy OUTPUT.npy THREADS."""
import json
import sys
import time
import warnings

import numpy
import torch

warnings.filterwarnings("ignore")


def main():
    path, source, target, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    x = torch.from_numpy(numpy.load(source))
    with torch.inference_mode():
        model = torch.jit.freeze(torch.jit.load(path).eval())
        model = torch.jit.optimize_for_inference(model)
        for _ in range(3):  # the just-in-time compiler works in the first runs
            result = model(x)
        numpy.save(target, result.numpy())
        print("ready", flush=True)
        for line in sys.stdin:
            times = []
            model(x)
            end = time.perf_counter() + float(line)
            while not times or time.perf_counter() < end:
                before = time.perf_counter()
                model(x)
                times.append((time.perf_counter() - before) * 1e3)
            print(json.dumps(times), flush=True)


main()
