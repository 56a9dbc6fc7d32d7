// Steps that make a problem smaller and lose no optimum. Each is a free function on the graph with
// a precondition; those that eliminate a node return what is needed to choose its option later.
#pragma once

#include <vector>

#include "src/select/pbqp/graph.h"

namespace convopt::pbqp {

/// A node taken out of the graph, with its costs and edges as they were at that moment.
struct Elimination {
  struct Neighbour {
    int node = -1;
    std::vector<int> labels;  ///< the neighbour's options at that moment
    Matrix costs;             ///< own option, neighbour's option
  };
  int node = -1;
  std::vector<double> costs;
  std::vector<int> labels;
  std::vector<Neighbour> neighbours;
};

/// R0: a node without edges takes its cheapest option.
Elimination reduce_r0(Graph& graph, int node);
/// R1: a node with one edge folds into its neighbour's costs.
Elimination reduce_r1(Graph& graph, int node);
/// R2: a node with two edges becomes an edge between its neighbours.
Elimination reduce_r2(Graph& graph, int node);
/// A node with a single option adds its edges to the costs of its neighbours, however many.
Elimination fold_decided(Graph& graph, int node);

/// Label of the best option given the labels of the neighbours, the first of equals; -1 if all are
/// impossible.
int choose(const Elimination& elimination, const std::vector<int>& labels);

/// Removes options that are impossible by themselves or beside every option of a neighbour. True
/// if some were removed.
bool remove_impossible(Graph& graph, int node);
/// Removes options for which a cheaper one of the node is at least as good whatever the others
/// choose. Needs node costs that are finite.
bool remove_dominated(Graph& graph, int node);

/// Moves costs between edges and nodes so that every assignment keeps its cost, and returns a lower
/// bound of the graph's cost: the sum of the nodes' minima. These are the sweeps of sequential
/// tree-reweighted message passing (Kolmogorov 2006). Needs a graph where `remove_impossible` finds
/// nothing.
double reparametrise(Graph& graph, int sweeps);

}  // namespace convopt::pbqp
