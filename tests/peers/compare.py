#!/usr/bin/python3
"""Times convopt against today's engines on the same ONNX files; README.md says how.

    compare.py [--threads 1] [--networks vgg16,resnet18] [--folder build/peers] [--convopt build/release/convopt]

Results are kept in FOLDER/results.json, one entry per network and number of threads, and printed as the
Markdown table of docs/lab/kernels.md.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

from peers import HERE, ROOT, Worker, install, onnxruntime, read_npy, run

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's PyTorch
NETWORKS = ["vgg16", "resnet18", "resnet50", "googlenet", "squeezenet1_1", "alexnet", "mobilenet_v2"]
#: ONNX Runtime's time over convopt's that is asked for, by threads.
TARGETS = {1: [2.0, 1.7, 1.3, 1.4, 1.35, 1.4, 1.05], 2: [1.8, 1.5, 1.2, 1.2, 1.0, 1.0, 1.0]}
ENGINES = ["convopt", "onnxruntime", "onednn_default", "pytorch"]


def output_error(path, reference):
    """Largest difference over the range of the reference."""
    (_, a), (_, b) = read_npy(path), read_npy(reference)
    if len(a) != len(b):
        raise RuntimeError(path + " has another size than " + reference)
    return max(abs(x - y) for x, y in zip(a, b)) / (max(b) - min(b))


def compare(name, options):
    file = lambda extension: os.path.join(options.folder, name + extension)
    threads = str(options.threads)
    quiet = {"stderr": subprocess.DEVNULL}
    common = [file(".onnx"), "--threads", threads, "--profile", options.profile]
    run(options.convopt, "profile", "--network", file(".onnx"), "--threads", threads, "-o", options.profile,
        "--quiet", **quiet)
    plan = file(".plan%s.json" % threads)
    run(options.convopt, "select", *common, "-o", plan, **quiet)
    mine, theirs, torchs = file(".convopt.npy"), file(".onnxruntime.npy"), file(".pytorch.npy")
    workers = {
        "onnxruntime": onnxruntime(file(".onnx"), [file(".input.npy")], [theirs], threads, options.folder),
        "pytorch": Worker([PYTHON, os.path.join(HERE, "pytorch_worker.py"), file(".pt"), file(".input.npy"),
                           torchs, threads], options.folder)}
    medians = {engine: [] for engine in ENGINES}
    steps = []
    for _ in range(options.rounds):
        report = json.loads(run(options.convopt, "run", *common, "--plan", plan, "--compare", "onednn_default",
                                "--time", "%gs" % (2 * options.seconds), "--input", file(".input.npy"),
                                "--output", mine, "--json", **quiet))
        medians["convopt"].append(report["median_ms"])
        medians["onednn_default"].append(report["compare"][0]["median_ms"])
        steps.append(report["layers"])
        for engine, worker in workers.items():
            medians[engine].append(statistics.median(worker.times(options.seconds)))
    for worker in workers.values():
        worker.close()
    layers = [{"name": layer[0]["name"], "primitive": layer[0]["primitive"],
               "predicted_us": layer[0]["predicted_us"],
               "measured_us": statistics.median(step["measured_us"] for step in layer)}
              for layer in zip(*steps)]
    return {"network": name, "threads": options.threads, "predicted_ms": report["predicted_ms"],
            "ms": {engine: statistics.median(values) for engine, values in medians.items()},
            "rounds_ms": medians, "output_error": output_error(mine, theirs),
            "pytorch_output_error": output_error(torchs, theirs), "layers": layers}


def table(results):
    lines = ["| network | threads | convopt ms | ONNX Runtime ms | oneDNN default ms | PyTorch ms | "
             "ONNX Runtime / convopt | asked for | largest difference of the outputs |",
             "|---|---|---|---|---|---|---|---|---|"]
    for result in sorted(results, key=lambda r: (r["threads"], NETWORKS.index(r["network"])
                                                 if r["network"] in NETWORKS else 99)):
        ms = result["ms"]
        target = ""
        if result["network"] in NETWORKS and result["threads"] in TARGETS:
            target = "%.2f" % TARGETS[result["threads"]][NETWORKS.index(result["network"])]
        lines.append("| %s | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %s | %.1e |" %
                     (result["network"], result["threads"], ms["convopt"], ms["onnxruntime"],
                      ms["onednn_default"], ms["pytorch"], ms["onnxruntime"] / ms["convopt"], target,
                      result["output_error"]))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "peers"))
    parser.add_argument("--convopt", default=os.path.join(ROOT, "build", "release", "convopt"))
    parser.add_argument("--profile", help="default: FOLDER/profile.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="per engine and round")
    parser.add_argument("--prepare", action="store_true", help="only install, export and profile")
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    options.profile = options.profile or os.path.join(options.folder, "profile.jsonl")
    os.makedirs(options.folder, exist_ok=True)
    install(options.folder, "python3-torchvision")
    names = options.networks.split(",")
    run(PYTHON, os.path.join(HERE, "export.py"), options.folder, *names)
    path = os.path.join(options.folder, "results.json")
    results = {}
    if os.path.exists(path):
        with open(path) as file:
            results = {(r["network"], r["threads"]): r for r in json.load(file)}
    for name in names:
        if options.prepare:
            run(options.convopt, "profile", "--network", os.path.join(options.folder, name + ".onnx"),
                "--threads", str(options.threads), "-o", options.profile, "--quiet")
            continue
        results[name, options.threads] = compare(name, options)
        with open(path + ".part", "w") as file:
            json.dump(list(results.values()), file, indent=1)
        os.replace(path + ".part", path)
        print(table([results[name, options.threads]]).split("\n")[-1], file=sys.stderr)
    print(table(results.values()))


if __name__ == "__main__":
    main()
