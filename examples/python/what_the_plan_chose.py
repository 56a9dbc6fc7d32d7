#!/usr/bin/python3
"""What a plan chose for each layer, and what that is expected to gain.

    what_the_plan_chose.py model.onnx [PICTURE.png]

Prints the plan, the time by family of primitives, and, with matplotlib (Debian: python3-matplotlib),
draws the time of every layer, coloured by family, with the interval of its prediction.
"""
import collections
import sys

import convopt


def draw(plan, file):
    """A bar per layer, from the first to the last."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("a picture needs matplotlib: apt-get install python3-matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    layers = plan.layers
    families = sorted({layer["family"] for layer in layers})
    colours = dict(zip(families, pyplot.get_cmap("tab20").colors * 5))
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.2 * len(layers)))
    for place, layer in enumerate(layers):
        time = layer["predicted_ms"]
        # A plan of measured times has no intervals.
        interval = [[max(0, time - layer["low_ms"])], [max(0, layer["high_ms"] - time)]]
        axes.barh(place, time, color=colours[layer["family"]], xerr=interval, ecolor="grey")
    axes.set_yticks(range(len(layers)), [f"{layer['name']}  {layer['output_layout']}" for layer in layers], fontsize=7)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    # An interval may be far longer than all bars.
    axes.set_xlim(0, 1.5 * max(layer["predicted_ms"] for layer in layers))
    axes.set_xlabel("expected time in ms, with the 90 % interval")
    axes.set_title(f"{plan.network}: {plan.predicted_ms:.3g} ms on {plan.platform}")
    axes.legend([pyplot.Rectangle((0, 0), 1, 1, color=colours[family]) for family in families], families,
                loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    plan = convopt.select(sys.argv[1])
    print(plan)  # or pandas.DataFrame(plan.layers)
    by_family = collections.Counter()
    for layer in plan.layers:
        by_family[layer["family"]] += layer["predicted_ms"]
    print("\nby family of primitives:")
    for family, time in by_family.most_common():
        print(f"  {family:14} {time:8.3g} ms  {100 * time / plan.predicted_ms:4.1f} %")
    print("\nwhat others would take:")
    baselines = plan.baselines
    for name, time in ((f"the library's own choice ({baselines['library']})", baselines["library_default_ms"]),
                       (f"{baselines['best_single_primitive']} alone", baselines["best_single_primitive_ms"]),
                       ("the fastest of each layer, then conversions", baselines["greedy_ms"])):
        if time:
            print(f"  {time:8.3g} ms  {time / plan.predicted_ms:5.2f} times as long: {name}")
    if len(sys.argv) > 2:
        draw(plan, sys.argv[2])
        print(f"\ndrawn into {sys.argv[2]}")


if __name__ == "__main__":
    main()
