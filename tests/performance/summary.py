#!/usr/bin/env python3
"""Summarises `convopt bench --json` documents as the tables of docs/lab/kernels.md.

    tests/performance/summary.py bench.json [more.json ...]

One section per document: best own primitive against oneDNN's best over all layers, Winograd on 3x3
layers, direct convolution's share of the peak, large kernels, and what each family is best at.
Ratios are times, so below 1 is faster.
"""
import json
import math
import re
import sys


class Layer:
    def __init__(self, rows):
        self.name = rows[0]["layer"]
        self.text = rows[0]["shape"]
        self.rows = sorted(rows, key=lambda row: row["us"])
        part = lambda name, default: int((re.search(rf"(?:^|_){name}(\d+)", self.text) or [0, default])[1])
        self.ic, self.oc = part("ic", 1), part("oc", 1)
        self.ih, self.iw = part("ih", 1), part("iw", 1)
        self.kh, self.kw = part("kh", 1), part("kw", 1)
        self.stride = part("s", part("sh", 1))
        self.groups = part("g", 1)
        self.dense = self.groups == 1

    def best(self, *tests):
        """The fastest row that passes all tests, or None."""
        return next((row for row in self.rows if all(test(row) for test in tests)), None)


def own(row):
    return row["family"] != "onednn"


def onednn(row):
    return not own(row)


def winograd(row):
    return "wino" in row["primitive"]


def no_winograd(row):
    return not winograd(row)


def family(name):
    return lambda row: row["family"] == name


def mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else float("nan")


def compare(title, layers, of, to):
    """One line: geometric mean and extremes of `of` over `to`; returns the single ratios."""
    pairs = [(layer, layer.best(*of), layer.best(*to)) for layer in layers]
    ratios = [(a["us"] / b["us"], layer, a, b) for layer, a, b in pairs if a and b]
    if not ratios:
        print(f"| {title} | 0 | - | - | - |")
        return []
    ratios.sort(key=lambda entry: -entry[0])
    worst = ratios[0]
    print(f"| {title} | {len(ratios)} | {mean([r[0] for r in ratios]):.3f} | {worst[0]:.3f} "
          f"({worst[1].name}) | {ratios[-1][0]:.3f} |")
    return ratios


def section(path):
    document = json.load(open(path))
    by_layer = {}
    for row in document["rows"]:
        by_layer.setdefault(row["layer"], []).append(row)
    layers = [Layer(rows) for rows in by_layer.values()]
    print(f"\n## {document['platform']}, {document['timing_mode']}, "
          f"peak {document['peak_gflops']:.0f} GFLOP/s\n")
    three = [l for l in layers if (l.kh, l.kw, l.stride) == (3, 3, 1) and l.dense and min(l.ih, l.iw) >= 14]
    wide = [l for l in three if min(l.ic, l.oc) >= 32]
    large = [l for l in layers if max(l.kh, l.kw) >= 5 and l.stride == 1 and l.dense and min(l.ic, l.oc) >= 32]
    print("| time of ... over time of ... | layers | geometric mean | worst | best |\n|---|---|---|---|---|")
    everything = compare("own / oneDNN's best, all layers", layers, [own], [onednn])
    compare("own Winograd / oneDNN's Winograd, 3x3 stride 1, 14 and up", three,
            [own, winograd], [onednn, winograd])
    compare("own Winograd / oneDNN's direct, 3x3 stride 1, 14 and up", three,
            [own, winograd], [onednn, no_winograd])
    compare("own / oneDNN's best, 3x3 stride 1, 32 channels and up", wide, [own], [onednn])
    compare("own / oneDNN's best, kernels of 5 and up, 32 channels and up", large, [own], [onednn])

    slow = [entry for entry in everything if entry[0] > 1.05]
    if slow:
        print("\nSlower than 1.05:\n\n| layer | shape | own | oneDNN | ratio |\n|---|---|---|---|---|")
        for ratio, layer, a, b in slow:
            print(f"| {layer.name} | {layer.text} | {a['primitive']} {a['us']:.1f} us | "
                  f"{b['primitive']} {b['us']:.1f} us | {ratio:.3f} |")

    peak = [(l, l.best(family("direct"))) for l in layers
            if l.dense and min(l.ic, l.oc) >= 64 and min(l.ih, l.iw) >= 14]
    peak = [(row["percent_of_peak"], layer, row) for layer, row in peak if row]
    if peak:
        values = sorted(entry[0] for entry in peak)
        below = [entry for entry in sorted(peak, key=lambda e: e[0]) if entry[0] < 90]
        print(f"\nOwn direct, 64 channels and images of 14 and up: {len(peak)} layers, median "
              f"{values[len(values) // 2]:.1f} % of the peak, {len(below)} below 90 %")
        for percent, layer, row in below:
            print(f"- {percent:.1f} % {layer.name} {layer.text} ({row['primitive']})")

    print("\n| family | best own choice on | largest lead over the next family | where |\n|---|---|---|---|")
    names = sorted({row["family"] for l in layers for row in l.rows if own(row)})
    for name in names:
        leads = []
        for layer in layers:
            mine, other = layer.best(family(name)), layer.best(own, lambda row: row["family"] != name)
            if mine and (not other or mine["us"] < other["us"]):
                leads.append(((other["us"] / mine["us"]) if other else float("inf"), layer, mine))
        lead = max(leads, key=lambda entry: entry[0], default=None)
        print(f"| {name} | {len(leads)} layers | " + (f"{lead[0]:.3f} | {lead[2]['primitive']}, {lead[1].text} |"
                                                      if lead else "- | |"))


for name in sys.argv[1:]:
    section(name)
