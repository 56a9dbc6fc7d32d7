#!/usr/bin/env python3
"""Solves a problem that `convopt select NET --export-problem FILE` wrote, in another way than convopt does.

    examples/solve_problem.py FILE

Min-sum variable elimination: take the node with the fewest neighbours, replace it by a table over
these neighbours that holds its best cost for each combination of theirs, until no node is left.
Prints the value found beside the exported one; exit code 1 if they differ.
"""
import itertools
import json
import math
import sys


def solve(problem):
    sizes = [len(node["costs"]) for node in problem["nodes"]]
    value = lambda cost: math.inf if cost is None else cost
    # A factor is (variables, table from their choices to a cost).
    factors = [((n,), {(i,): value(c) for i, c in enumerate(node["costs"])})
               for n, node in enumerate(problem["nodes"])]
    factors += [((e["from"], e["to"]), {(i, j): value(c) for i, row in enumerate(e["costs"])
                                        for j, c in enumerate(row)}) for e in problem["edges"]]
    open_nodes, constant = set(range(len(sizes))), 0.0
    while open_nodes:
        neighbours = {n: set() for n in open_nodes}
        for variables, _ in factors:
            for n in variables:
                neighbours[n].update(variables)
        node = min(open_nodes, key=lambda n: (len(neighbours[n]), n))
        rest = tuple(sorted(neighbours[node] - {node}))
        mine = [f for f in factors if node in f[0]]
        factors = [f for f in factors if node not in f[0]]
        table = {}
        for choice in itertools.product(*(range(sizes[n]) for n in rest)):
            given = dict(zip(rest, choice))
            best = math.inf
            for given[node] in range(sizes[node]):
                best = min(best, sum(t[tuple(given[v] for v in vs)] for vs, t in mine))
            table[choice] = best
        if rest:
            factors.append((rest, table))
        else:
            constant += table[()]
        open_nodes.remove(node)
    return constant


def main():
    with open(sys.argv[1]) as file:
        problem = json.load(file)
    found, exported = solve(problem), problem["value"]
    print(f"{len(problem['nodes'])} nodes: {found:.6f} by elimination, {exported:.6f} exported")
    return 0 if math.isclose(found, exported, rel_tol=1e-9) else 1


if __name__ == "__main__":
    sys.exit(main())
