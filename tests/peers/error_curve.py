#!/usr/bin/python3
"""Time against admitted error: plans of mixed types beside those of one type each.

    error_curve.py FOLDER MODEL.onnx=SAMPLES.npy [MODEL.onnx=SAMPLES.npy ...]

For each model: the plan in f32, the fastest plans in bf16 and in int8 whatever they err, and the fastest plan of
`--precision auto` at each admitted error, all by the same times, measured for `--profile-time`. Errors are what the
plans err when they are run. Half of the samples calibrate, on the other half errors are measured. Writes curve.json
and curve.svg into FOLDER.
"""
import argparse
import json
import math
import os
import subprocess

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUDGETS = [0.0003, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512]
UNLIMITED = 1e6  # an error that no plan has
COLOURS = {"auto": "#1f6fb4", "f32": "#555555", "bf16": "#c26a00", "int8": "#2b8a3e"}


def run(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode not in (0, 5):
        raise RuntimeError(" ".join(arguments) + ": " + done.stderr.strip())


class Model:
    def __init__(self, options, path, samples):
        self.options, self.path = options, path
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.file = lambda end: os.path.join(options.folder, self.name + end)
        values = numpy.load(samples)
        half = len(values) // 2
        numpy.save(self.file(".calibrate.npy"), values[:half])
        numpy.save(self.file(".judge.npy"), values[half:])

    def select(self, *more):
        """Predicted milliseconds and the measured error of a plan; none if there is no such plan."""
        plan = self.file(".plan.json")
        arguments = [self.options.convopt, "select", self.path, "--threads", "1", "--quiet", "-o", plan,
                     "--profile", self.file(".jsonl"), *more]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode != 0:
            print(self.name, *more, done.stderr.strip())
            return None
        with open(plan) as file:
            found = json.load(file)
        return {"ms": found["predicted_ms"], "error": found.get("accuracy", {}).get("error", 0.0)}

    def measure(self):
        tool = self.options.convopt
        run([tool, "calibrate", self.path, "--threads", "1", "--quiet", "--input", self.file(".calibrate.npy"),
             "-o", self.file(".calibration")])
        run([tool, "profile", "--network", self.path, "--precision", "auto", "--threads", "1", "--quiet",
             "--budget", self.options.profile_time, "-o", self.file(".jsonl")])
        scales = ["--calibration", self.file(".calibration")]
        budget = lambda error: ["--max-output-error", repr(error), "--calibrate", self.file(".judge.npy")]
        points = {"f32": self.select(),
                  "bf16": self.select("--precision", "bf16", *budget(UNLIMITED)),
                  "int8": self.select("--precision", "int8", *budget(UNLIMITED), *scales)}
        curve = [dict(plan, allowed=error) for error in BUDGETS
                 if (plan := self.select("--precision", "auto", *budget(error), *scales))]
        return {"points": {name: point for name, point in points.items() if point}, "auto": curve}


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 320, 62, 20, 44, 52  # of one model's panel, in pixels


def panel(name, result):
    """Time upwards from zero, error to the right by powers of ten; what does not err stands at the left edge."""
    erring = [p["error"] for p in [*result["points"].values(), *result["auto"]] if p["error"] > 0]
    low = math.floor(math.log10(min([*erring, BUDGETS[0]])))
    high = math.ceil(math.log10(max([*erring, BUDGETS[-1]])))
    longest = 1.1 * max(p["ms"] for p in result["points"].values())
    x = lambda error: LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(max(error, 10**low)) - low) / (high - low)
    y = lambda ms: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ms / longest
    text = lambda at_x, at_y, words, more="": f'<text x="{at_x:.1f}" y="{at_y:.1f}" {more}>{words}</text>'
    parts = [text(LEFT, 24, name, 'font-weight="bold" font-size="14"'),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "measured error of the output, part of its range",
                  'text-anchor="middle"')]
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e0e0e0"/>')
        parts.append(text(at, HEIGHT - BOTTOM + 16, f"{10.0**power:g}", 'text-anchor="middle"'))
    step = 10 ** math.floor(math.log10(longest))
    step = step / 5 if longest / step < 2 else step / 2 if longest / step < 5 else step
    for i in range(int(longest / step) + 1):
        at = y(i * step)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e0e0e0"/>')
        parts.append(text(LEFT - 6, at + 4, f"{i * step:g} ms", 'text-anchor="end"'))
    line = " ".join(f'{x(p["error"]):.1f},{y(p["ms"]):.1f}' for p in result["auto"])
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS["auto"]}" stroke-width="2"/>')
    circle = lambda p, radius, kind: parts.append(
        f'<circle cx="{x(p["error"]):.1f}" cy="{y(p["ms"]):.1f}" r="{radius}" fill="{COLOURS[kind]}"/>')
    for p in result["auto"]:
        circle(p, 3, "auto")
    named = {}  # where a type has no primitives its plan is that of f32
    for kind, p in result["points"].items():
        named.setdefault((p["ms"], p["error"]), []).append(kind)
    for (ms, error), kinds in named.items():
        circle({"ms": ms, "error": error}, 5, kinds[0])
        parts.append(text(x(error) + 8, y(ms) - 8, ", ".join(kinds), f'fill="{COLOURS[kinds[0]]}"'))
    return "\n".join(parts)


def drawing(results):
    columns = 2
    rows = (len(results) + columns - 1) // columns
    panels = [f'<g transform="translate({WIDTH * (i % columns)} {HEIGHT * (i // columns)})">\n{panel(*item)}\n</g>'
              for i, item in enumerate(results.items())]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * columns} {HEIGHT * rows}" '
            'font-family="sans-serif" font-size="12" fill="#202124">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(panels) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx=SAMPLES.npy")
    parser.add_argument("--convopt", default=os.path.join(ROOT, "build", "release", "convopt"))
    parser.add_argument("--profile-time", default="60s")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    results = {}
    for pair in options.models:
        model = Model(options, *pair.rsplit("=", 1))
        results[model.name] = model.measure()
        print(model.name, json.dumps(results[model.name]), flush=True)
    with open(os.path.join(options.folder, "curve.json"), "w") as file:
        json.dump(results, file, indent=1)
    with open(os.path.join(options.folder, "curve.svg"), "w") as file:
        file.write(drawing(results))


if __name__ == "__main__":
    main()
