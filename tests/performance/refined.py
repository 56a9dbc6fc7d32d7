#!/usr/bin/env python3
"""Runs refined plans in turns with those before refinement and with the best single primitive.

    tests/performance/refined.py build/release/convopt data/networks/*.json

For every network: `select`, then `select --refine`, then rounds of `run --plan REFINED --compare
BEFORE best_single_primitive`. Prints a table of medians over the rounds: the refined plan's time,
and its ratios to what it predicts, to the plan before and to the best single primitive. Profile,
model and this machine's facts are those in $XDG_DATA_HOME: `convopt transfer` comes first where it
is wanted, and what is measured is added to the profile there.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("convopt", help="the program")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--refine", default="5s", help="time for measuring before the plan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--time", default="2s", help="of one round, all three plans together")
    options = parser.parse_args()

    def convopt(*arguments):
        command = [options.convopt, *arguments, "--threads", options.threads]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    print(f"{options.threads} threads, --refine {options.refine}, {options.rounds} rounds\n")
    print("| network | ms | predicted | before | single |\n|---|---|---|---|---|")
    close = slower = 0
    with tempfile.TemporaryDirectory() as folder:
        for network in options.networks:
            before, refined = os.path.join(folder, "before.json"), os.path.join(folder, "refined.json")
            convopt("select", network, "-o", before)
            convopt("select", network, "--refine", options.refine, "-o", refined)
            with open(refined) as file:
                predicted = json.load(file)["predicted_ms"]
            rounds = []
            for _ in range(options.rounds):
                document = json.loads(convopt("run", network, "--plan", refined, "--compare", before,
                                              "best_single_primitive", "--time", options.time, "--json"))
                rounds.append([document["median_ms"]] + [plan["median_ms"] for plan in document["compare"]])
            ms = statistics.median(r[0] for r in rounds)
            ratios = [statistics.median(r[0] / r[i] for r in rounds) for i in (1, 2)]
            close += abs(ms / predicted - 1) <= 0.1
            slower += max(ratios) > 1.02
            name = os.path.splitext(os.path.basename(network))[0]
            print(f"| {name} | {ms:.4g} | {ms / predicted:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)
    count = len(options.networks)
    print(f"\nwithin 10 % of predicted: {close} of {count}; slower by more than 2 %: {slower}")


if __name__ == "__main__":
    main()
