#include "src/select/pbqp/solver.h"

#include <cmath>
#include <numeric>

#include "src/select/pbqp/reductions.h"

namespace convopt::pbqp {
namespace {

using Clock = std::chrono::steady_clock;

/// Relative difference below which two costs are the same number but for rounding: sums of some
/// thousand doubles are good to about 1e-13.
constexpr double kRounding = 1e-11;

/// Sweeps of message passing per node of the search tree. Four random graphs of 22 nodes with 5
/// options, joined by 40 % of the possible edges: 1, 2, 4 and 8 sweeps tried 4427, 2859, 2454 and
/// 2063 options in all; 4 took the least time, 0.18 s.
constexpr int kSweeps = 4;

/// Nothing to be gained: the bound reaches what is already known.
bool reaches(double bound, double known) {
  return known < kImpossible ? bound >= known - std::abs(known) * kRounding : bound == kImpossible;
}

class Search {
 public:
  explicit Search(std::chrono::duration<double> limit) {
    const std::chrono::duration<double> forever = std::chrono::hours(24 * 365);
    deadline_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::min(limit, forever));
  }

  struct Outcome {
    std::vector<int> choice;  ///< empty: nothing below the limit that was given
    double cost = kImpossible;
    double bound = kImpossible;
  };

  /// The best assignment that costs less than `upper`. `bound` never exceeds the true optimum; it
  /// equals it, or is at least `upper`, unless time ran out.
  Outcome run(Graph graph, double upper) {
    std::vector<Elimination> eliminated;
    if (!reduce(graph, eliminated)) return {};

    Outcome result{std::vector<int>(graph.size(), -1), 0, 0};
    // The eliminated nodes' share of the cost: those without edges are the ends of all folding.
    for (const Elimination& e : eliminated) {
      if (e.neighbours.empty()) result.cost += *std::min_element(e.costs.begin(), e.costs.end());
    }
    result.bound = result.cost;
    std::vector<Part> parts = split(graph);
    for (Part& part : parts) {
      part.bound = reparametrise(part.graph, kSweeps);
      result.bound += part.bound;
    }
    for (Part& part : parts) {
      // Highest cost of this part if all others cost no less than their bounds.
      const double limit = upper - (result.bound - part.bound);
      Outcome outcome = branch(part.graph, part.bound, limit);
      result.bound += outcome.bound - part.bound;
      if (outcome.choice.empty()) return {{}, kImpossible, result.bound};
      result.cost += outcome.cost;
      for (std::size_t i = 0; i < part.nodes.size(); ++i) {
        // Labels of a part are positions in the graph it was taken from.
        result.choice[part.nodes[i]] = graph.node(part.nodes[i]).labels[outcome.choice[i]];
      }
    }
    for (auto e = eliminated.rbegin(); e != eliminated.rend(); ++e) {
      result.choice[e->node] = choose(*e, result.choice);
      assert(result.choice[e->node] >= 0);
    }
    return result;
  }

  int branches() const { return branches_; }
  int eliminated() const { return eliminated_; }

 private:
  /// A connected part of a graph as a graph of its own.
  struct Part {
    Graph graph;
    std::vector<int> nodes;  ///< in the graph it was taken from
    double bound = 0;
  };

  /// Applies every exact reduction. False if there is no possible assignment.
  bool reduce(Graph& graph, std::vector<Elimination>& eliminated) {
    do {
      if (!eliminate(graph, eliminated)) return false;
      // Comparing options costs more than eliminating sparse nodes with all of them, so only what
      // resisted elimination is looked at.
    } while (remove_options(graph));
    if (branches_ == 0) eliminated_ = static_cast<int>(eliminated.size());
    for (int id = 0; id < graph.size(); ++id) {
      if (graph.node(id).alive && graph.node(id).options() == 0) return false;
    }
    return true;
  }

  /// Eliminates nodes with at most two edges or a single option until there are none.
  static bool eliminate(Graph& graph, std::vector<Elimination>& eliminated) {
    std::vector<int> work(graph.size());
    std::iota(work.rbegin(), work.rend(), 0);  // the first node is on top
    while (!work.empty()) {
      const int id = work.back();
      work.pop_back();
      const Graph::Node& node = graph.node(id);
      if (!node.alive) continue;
      if (node.degree() == 0) {
        if (node.costs.empty() || *std::ranges::min_element(node.costs) == kImpossible)
          return false;
        eliminated.push_back(reduce_r0(graph, id));
      } else if (node.options() == 1) {
        eliminated.push_back(fold_decided(graph, id));
      } else if (node.degree() == 1) {
        eliminated.push_back(reduce_r1(graph, id));
      } else if (node.degree() == 2) {
        eliminated.push_back(reduce_r2(graph, id));
      } else {
        continue;
      }
      for (const Elimination::Neighbour& neighbour : eliminated.back().neighbours) {
        work.push_back(neighbour.node);
      }
    }
    return true;
  }

  /// True if that may allow another elimination.
  static bool remove_options(Graph& graph) {
    bool removed = false;
    for (int id = 0; id < graph.size(); ++id) {
      if (!graph.node(id).alive) continue;
      removed = remove_impossible(graph, id) || removed;
      if (graph.node(id).options() == 0) return false;
      removed = remove_dominated(graph, id) || removed;
    }
    return removed;
  }

  static std::vector<Part> split(const Graph& graph) {
    std::vector<Part> parts;
    std::vector<int> place(graph.size(), -1);  // position in its part
    for (int start = 0; start < graph.size(); ++start) {
      if (!graph.node(start).alive || place[start] >= 0) continue;
      Part part;
      part.nodes = {start};
      place[start] = 0;
      for (std::size_t i = 0; i < part.nodes.size(); ++i) {
        const int id = part.nodes[i];
        part.graph.add_node(graph.node(id).costs);
        for (const int e : graph.node(id).edges) {
          const int other = graph.edge(e).other(id);
          if (place[other] >= 0) continue;
          place[other] = static_cast<int>(part.nodes.size());
          part.nodes.push_back(other);
        }
      }
      for (const int id : part.nodes) {
        for (const int e : graph.node(id).edges) {
          const Graph::Edge& edge = graph.edge(e);
          if (edge.a == id) part.graph.add_edge(place[edge.a], place[edge.b], edge.costs);
        }
      }
      parts.push_back(std::move(part));
    }
    return parts;
  }

  /// Tries the options of one node, the most promising first. `bound` is proven for `graph`.
  Outcome branch(const Graph& graph, double bound, double upper) {
    if (reaches(bound, upper)) return {{}, kImpossible, bound};
    // The node with the most edges: fixing it simplifies most. Among those the one with the fewest
    // options makes the smallest tree.
    int node = 0;
    for (int id = 1; id < graph.size(); ++id) {
      const Graph::Node& best = graph.node(node);
      const Graph::Node& candidate = graph.node(id);
      if (std::pair(-candidate.degree(), candidate.options()) <
          std::pair(-best.degree(), best.options())) {
        node = id;
      }
    }
    const std::vector<double>& costs = graph.node(node).costs;
    const double least = *std::min_element(costs.begin(), costs.end());
    std::vector<int> order(costs.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return costs[i] < costs[j]; });

    Outcome best;
    for (const int option : order) {
      // All other nodes at their minima already cost this much.
      const double option_bound = bound + (costs[option] - least);
      // Without any assignment, the descent goes on even after the time limit.
      const bool late = upper < kImpossible && Clock::now() > deadline_;
      if (late || reaches(option_bound, upper)) {
        best.bound = std::min(best.bound, option_bound);
        continue;
      }
      ++branches_;
      Graph fixed = graph;
      fixed.keep_options(node, {option});
      Outcome outcome = run(std::move(fixed), upper);
      best.bound = std::min(best.bound, std::max(outcome.bound, option_bound));
      if (outcome.choice.empty() || outcome.cost >= upper) continue;
      upper = best.cost = outcome.cost;
      best.choice = std::move(outcome.choice);
    }
    return best;
  }

  Clock::time_point deadline_;
  int branches_ = 0, eliminated_ = 0;
};

}  // namespace

bool GraphSolution::optimal() const {
  if (!feasible()) return lower_bound == kImpossible;
  return cost - lower_bound <= 1e-9 * std::abs(cost);
}

double GraphSolution::gap() const {
  if (optimal()) return 0;
  return cost > 0 ? (cost - lower_bound) / cost : kImpossible;
}

GraphSolution solve(const Graph& graph, std::chrono::duration<double> time_limit) {
  GraphSolution solution;
  Search search(time_limit);
  const Search::Outcome outcome = search.run(graph, kImpossible);
  solution.lower_bound = outcome.bound;
  solution.branches = search.branches();
  solution.eliminated = search.eliminated();
  if (graph.size() == 0) {
    solution.cost = solution.lower_bound = 0;
  } else if (!outcome.choice.empty()) {
    solution.choice = outcome.choice;
    solution.cost = graph.cost(solution.choice);
    solution.lower_bound = std::min(outcome.bound, solution.cost);
  }
  return solution;
}

}  // namespace convopt::pbqp
