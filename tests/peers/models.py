#!/usr/bin/python3
"""Runs every ONNX file of a folder with convopt and with ONNX Runtime; README.md says how.

    models.py MODELS [--threads 1,2] [--only NAME,…] [--rounds 5] [--seconds 0.5] [--python]

Prints a Markdown table per number of threads: what is refused and why, the largest error of the outputs,
both engines' times and their ratio. Results are kept in FOLDER/models.json.
"""
import argparse
import glob
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys

from peers import HERE, ROOT, install, onnxruntime, read_npy, run, write_npy

#: NumPy's names of ONNX's types.
NAMES = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "int64": "<i8", "int32": "<i4", "int16": "<i2",
         "int8": "|i1", "uint8": "|u1", "bool": "|b1"}

#: Largest error relative to an output's largest value.
TOLERANCE = 1e-3


class Refused(Exception):
    """One of the engines does not run the model; the text is its sentence."""


def describe(model, options):
    """ONNX Runtime's description of inputs and outputs."""
    answer = subprocess.run(["node", os.path.join(HERE, "onnxruntime_worker.js"), model],
                            stdout=subprocess.PIPE, text=True,
                            env=dict(os.environ, PEERS_MODULES=options.folder))
    if answer.returncode:
        raise Refused(answer.stdout.strip())
    return json.loads(answer.stdout)


def open_shape(sizes):
    """One image; its open sides are 320 pixels, other open sizes are 64."""
    side = 320 if len(sizes) == 4 else 64
    return [size if isinstance(size, int) and size > 0 else 1 if i == 0 else side
            for i, size in enumerate(sizes)]


def make_values(kind, count, wish):
    """Seeded values: real numbers in [-1, 1), pixels of a byte, ones, or what `wish` says."""
    source = random.Random(1)
    if "value" in wish:
        return [wish["value"]] * count
    if "below" in wish or kind == "uint8":
        return [source.randrange(wish.get("below", 256)) for _ in range(count)]
    if kind.startswith("float"):
        return [source.uniform(-1, 1) for _ in range(count)]
    return [1] * count


def make_inputs(description, wishes, prefix):
    """Files of the inputs, and convopt's options for those whose shape the model leaves open."""
    files, shapes = [], []
    for i, entry in enumerate(description["inputs"]):
        if entry["type"] not in NAMES:
            raise Refused("an input of " + entry["type"])
        wish = wishes.get(entry["name"], {})
        shape = wish.get("shape", open_shape(entry["shape"]))
        if shape != list(entry["shape"]):
            shapes += ["--shape", entry["name"] + "=" + "x".join(map(str, shape))]
        files.append("%s.input%d.npy" % (prefix, i))
        write_npy(files[-1], NAMES[entry["type"]], shape, make_values(entry["type"], math.prod(shape), wish))
    return files, shapes


def run_convopt(model, files, outputs, shapes, threads, options):
    """convopt's report of one turn."""
    environment = None
    command = [options.convopt, "run", model, "--threads", str(threads), "--time", "%gs" % options.seconds,
               "--precision", options.precision, "--json", *shapes]
    for output in outputs:
        command += ["--output", output]
    command += [part for file in files for part in ("--input", file)]
    if options.python:
        environment = dict(os.environ, PYTHONPATH=os.path.join(os.path.dirname(options.convopt), "python"))
        command = ["/usr/bin/python3", os.path.join(HERE, "onnxruntime_program.py"), model, json.dumps(files),
                   json.dumps(outputs), str(threads), str(options.seconds)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600,
                            env=environment)
    if answer.returncode < 0:
        raise Refused("crashed: " + signal.strsignal(-answer.returncode))
    if answer.returncode:
        sentence = (answer.stderr.strip().splitlines() or ["code %d" % answer.returncode])[-1]
        raise Refused(sentence.replace("convopt: ", "").replace(model + ": ", ""))
    return json.loads(answer.stdout)


def difference(found, expected):
    """The largest, and the largest expected value; NaN and infinities have to agree."""
    largest = max((abs(value) for value in expected if math.isfinite(value)), default=0)
    worst = 0
    for a, b in zip(found, expected):
        if a != b and not (math.isnan(a) and math.isnan(b)):
            worst = max(worst, abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf)
    return worst, largest


def compare_outputs(mine, theirs):
    """The largest error relative to its output's largest value, and notes on what is wrong."""
    error, notes = 0, []
    for i, (a, b) in enumerate(zip(mine, theirs)):
        (shape, found), (wanted, expected) = read_npy(a), read_npy(b)
        if shape != wanted:
            notes.append("output %d: shape %s instead of %s" % (i, "x".join(map(str, shape)),
                                                                "x".join(map(str, wanted))))
        if len(found) != len(expected):
            error = math.inf
            continue
        worst, largest = difference(found, expected)
        relative = worst / largest if largest else math.inf if worst else 0
        error = max(error, relative)
        # ONNX Runtime's sigmoid is off by up to 1e-7, which is much of an output that is all but zero.
        if relative >= TOLERANCE and worst >= 1e-6:
            notes.append("output %d: WRONG by up to %.1e" % (i, worst))
    return error, notes


def compare(model, threads, options):
    """One entry of the results."""
    name = os.path.basename(model)
    result = {"model": name, "threads": threads}
    prefix = os.path.join(options.folder, "models", name)
    worker = None
    try:
        description = describe(model, options)
        files, shapes = make_inputs(description, options.wishes.get(name, {}), prefix)
        count = len(description["outputs"])
        theirs = ["%s.onnxruntime%d.npy" % (prefix, i) for i in range(count)]
        mine = ["%s.convopt%d.npy" % (prefix, i) for i in range(count)]
        worker = onnxruntime(model, files, theirs, threads, options.folder)
    except (Refused, RuntimeError) as refused:
        return dict(result, onnxruntime_refuses=str(refused))
    try:
        rounds = {"convopt": [], "onnxruntime": []}
        predicted = None
        for _ in range(options.rounds):
            report = run_convopt(model, files, mine, shapes, threads, options)
            # Behind a network whose shapes depend on numbers follows its rest.
            rounds["convopt"].append(report["median_ms"] + report.get("rest_ms", 0))
            rounds["onnxruntime"].append(statistics.median(worker.times(options.seconds)))
            predicted = report["predicted_ms"]
        result["error"], result["notes"] = compare_outputs(mine, theirs)
        result["ms"] = {engine: statistics.median(times) for engine, times in rounds.items()}
        result["predicted_ms"] = predicted
        result["rounds_ms"] = rounds
    except Refused as refused:
        result["refused"] = str(refused)
    except subprocess.TimeoutExpired:
        result["refused"] = "no end after ten minutes"
    finally:
        worker.close()
    return result


def ratio(result):
    return result["ms"]["onnxruntime"] / result["ms"]["convopt"]


def row(result):
    if "onnxruntime_refuses" in result:
        cells = [""] * 5 + ["ONNX Runtime: " + result["onnxruntime_refuses"]]
    elif "refused" in result:
        cells = [""] * 5 + ["refused: " + result["refused"]]
    else:
        ms = result["ms"]
        cells = ["%.1e" % result["error"], "%.3f" % ms["convopt"], "%.3f" % ms["onnxruntime"],
                 "%.2f" % ratio(result), "%.2f" % (ms["convopt"] / result["predicted_ms"])
                 if result["predicted_ms"] else "", ", ".join(result["notes"])]
    return "| %s | %s |" % (result["model"], " | ".join(cell.replace("|", "/") for cell in cells))


def table(results, threads):
    mine = [result for result in results if result["threads"] == threads]
    possible = [result for result in mine if "onnxruntime_refuses" not in result]
    done = [result for result in possible if "ms" in result]
    lines = ["%d thread%s" % (threads, "" if threads == 1 else "s"), "",
             "| model | largest error | convopt ms | ONNX Runtime ms | ONNX Runtime / convopt | "
             "measured / predicted | |", "|---|---|---|---|---|---|---|"]
    lines += [row(result) for result in sorted(mine, key=lambda result: result["model"].lower())]
    lines += ["", "convopt runs %d of the %d models that ONNX Runtime runs" % (len(done), len(possible))]
    if done:
        ratios = [ratio(result) for result in done]
        lines[-1] += "; geometric mean of the ratios %.2f, smallest %.2f; %d slower; %d wrong" % (
            statistics.geometric_mean(ratios), min(ratios), sum(value < 1 for value in ratios),
            sum("WRONG" in " ".join(result["notes"]) for result in done))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", help="a folder with ONNX files, or one file")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, one after the other")
    parser.add_argument("--only", help="only models whose name contains one of these words")
    parser.add_argument("--inputs", default=os.path.join(HERE, "inputs.json"),
                        help="shapes and values of inputs, by model and input")
    parser.add_argument("--folder", default=os.path.join(ROOT, "build", "peers"))
    parser.add_argument("--convopt", default=os.path.join(ROOT, "build", "release", "convopt"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="f32", help="convopt's, as in `convopt run`")
    parser.add_argument("--python", action="store_true",
                        help="a Python program for onnxruntime whose import was changed, instead of `convopt run`")
    parser.add_argument("--seconds", type=float, default=0.5, help="per engine and round")
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    os.makedirs(os.path.join(options.folder, "models"), exist_ok=True)
    install(options.folder)
    with open(options.inputs) as file:
        options.wishes = json.load(file)
    models = sorted(glob.glob(os.path.join(options.models, "**", "*.onnx"), recursive=True)) \
        if os.path.isdir(options.models) else [options.models]
    if options.only:
        models = [model for model in models if any(word in model for word in options.only.split(","))]
    available = len(os.sched_getaffinity(0))
    results = []
    for threads in map(int, options.threads.split(",")):
        if threads > available:
            print("%d threads are left out: this process may use %d" % (threads, available), file=sys.stderr)
            continue
        for model in models:
            results.append(compare(model, threads, options))
            print(row(results[-1]), file=sys.stderr)
        print(table(results, threads), flush=True)
    with open(os.path.join(options.folder, "models.json"), "w") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
