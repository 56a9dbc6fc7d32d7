// Exact solution: reductions as far as they go, branch and bound for what remains.
#pragma once

#include <chrono>
#include <vector>

#include "src/select/pbqp/graph.h"

namespace convopt::pbqp {

struct GraphSolution {
  std::vector<int> choice;  ///< per node the label of its option; empty if none was found
  double cost = kImpossible;
  double lower_bound = -kImpossible;  ///< proven: no assignment costs less
  int eliminated = 0;                 ///< nodes that exact reductions took
  int branches = 0;                   ///< options that had to be tried

  bool feasible() const { return cost < kImpossible; }
  /// Proven, up to rounding. An infeasible problem is proven by an infinite lower bound.
  bool optimal() const;
  /// Relative distance to the lower bound.
  double gap() const;
};

/// The same graph gives the same solution, unless the time limit cuts the search short: then the
/// best assignment found so far is returned with the bound proven so far. The first assignment is
/// always completed.
GraphSolution solve(const Graph& graph, std::chrono::duration<double> time_limit =
                                            std::chrono::duration<double>::max());

}  // namespace convopt::pbqp
