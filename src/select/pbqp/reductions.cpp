#include "src/select/pbqp/reductions.h"

#include <cassert>
#include <numeric>

namespace convopt::pbqp {
namespace {

/// Takes the node and its edges out of the graph.
Elimination detach(Graph& graph, int id) {
  Graph::Node& node = graph.node(id);
  assert(node.alive);
  Elimination result;
  result.node = id;
  const std::vector<int> edges = node.edges;
  for (const int e : edges) {
    graph.remove_edge(e);
    Graph::Edge& edge = graph.edge(e);
    const int other = edge.other(id);
    Matrix costs = edge.a == id ? std::move(edge.costs) : edge.costs.transposed();
    edge.costs = {};
    result.neighbours.push_back({other, graph.node(other).labels, std::move(costs)});
  }
  result.costs = std::move(node.costs);
  result.labels = std::move(node.labels);
  node.costs.clear();
  node.labels.clear();
  node.alive = false;
  return result;
}

/// Cheapest own cost plus edge, for each option of the neighbour.
void fold_into(std::vector<double>& neighbour_costs, const std::vector<double>& costs,
               const Matrix& edge) {
  for (int other = 0; other < edge.columns(); ++other) {
    double best = kImpossible;
    for (int own = 0; own < edge.rows(); ++own) {
      best = std::min(best, costs[own] + edge(own, other));
    }
    neighbour_costs[other] += best;
  }
}

}  // namespace

Elimination reduce_r0(Graph& graph, int node) {
  assert(graph.node(node).degree() == 0);
  return detach(graph, node);
}

Elimination reduce_r1(Graph& graph, int node) {
  assert(graph.node(node).degree() == 1);
  Elimination result = detach(graph, node);
  const Elimination::Neighbour& neighbour = result.neighbours[0];
  fold_into(graph.node(neighbour.node).costs, result.costs, neighbour.costs);
  return result;
}

Elimination reduce_r2(Graph& graph, int node) {
  assert(graph.node(node).degree() == 2);
  Elimination result = detach(graph, node);
  const Elimination::Neighbour& first = result.neighbours[0];
  const Elimination::Neighbour& second = result.neighbours[1];
  Matrix joined(first.costs.columns(), second.costs.columns(), kImpossible);
  for (int own = 0; own < first.costs.rows(); ++own) {
    for (int i = 0; i < joined.rows(); ++i) {
      const double so_far = result.costs[own] + first.costs(own, i);
      if (so_far == kImpossible) continue;
      for (int j = 0; j < joined.columns(); ++j) {
        joined(i, j) = std::min(joined(i, j), so_far + second.costs(own, j));
      }
    }
  }
  graph.add_edge(first.node, second.node, std::move(joined));
  return result;
}

Elimination fold_decided(Graph& graph, int node) {
  assert(graph.node(node).options() == 1);
  Elimination result = detach(graph, node);
  double own = result.costs[0];  // goes to the first neighbour, once
  for (const Elimination::Neighbour& neighbour : result.neighbours) {
    std::vector<double>& costs = graph.node(neighbour.node).costs;
    for (int i = 0; i < neighbour.costs.columns(); ++i) costs[i] += own + neighbour.costs(0, i);
    own = 0;
  }
  return result;
}

int choose(const Elimination& elimination, const std::vector<int>& labels) {
  std::vector<double> costs = elimination.costs;
  for (const Elimination::Neighbour& neighbour : elimination.neighbours) {
    const auto found =
        std::lower_bound(neighbour.labels.begin(), neighbour.labels.end(), labels[neighbour.node]);
    assert(found != neighbour.labels.end() && *found == labels[neighbour.node]);
    const int column = static_cast<int>(found - neighbour.labels.begin());
    for (std::size_t i = 0; i < costs.size(); ++i) {
      costs[i] += neighbour.costs(static_cast<int>(i), column);
    }
  }
  const auto best = std::min_element(costs.begin(), costs.end());
  if (best == costs.end() || *best == kImpossible) return -1;
  return elimination.labels[best - costs.begin()];
}

bool remove_impossible(Graph& graph, int id) {
  const Graph::Node& node = graph.node(id);
  std::vector<int> kept;
  for (int own = 0; own < node.options(); ++own) {
    bool possible = node.costs[own] < kImpossible;
    for (std::size_t e = 0; possible && e < node.edges.size(); ++e) {
      const Graph::Edge& edge = graph.edge(node.edges[e]);
      const Graph::Node& neighbour = graph.node(edge.other(id));
      possible = false;
      for (int other = 0; !possible && other < neighbour.options(); ++other) {
        possible = neighbour.costs[other] < kImpossible && edge.at(id, own, other) < kImpossible;
      }
    }
    if (possible) kept.push_back(own);
  }
  const bool removed = static_cast<int>(kept.size()) < node.options();
  graph.keep_options(id, kept);
  return removed;
}

bool remove_dominated(Graph& graph, int id) {
  const Graph::Node& node = graph.node(id);
  // In the order of cost, and comparing only with options already kept. A dearer option may
  // dominate too, through its edges, but hardly ever does; looking for it doubled the time for
  // nothing.
  std::vector<int> order(node.options());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int i, int j) { return node.costs[i] < node.costs[j]; });
  // The extra cost of `worse` by itself must exceed all that it can save on edges:
  // with d = min over the neighbour's options of (worse - better) per edge, cost difference + sum
  // of d >= 0.
  const auto dominates = [&](int better, int worse) {
    double surplus = node.costs[worse] - node.costs[better];
    for (const int e : node.edges) {
      const Graph::Edge& edge = graph.edge(e);
      const int others = graph.node(edge.other(id)).options();
      double least = kImpossible;
      for (int other = 0; other < others; ++other) {
        const double with_worse = edge.at(id, worse, other);
        if (with_worse == kImpossible) continue;
        least = std::min(least, with_worse - edge.at(id, better, other));
      }
      if (least == kImpossible) return true;  // `worse` is impossible anyhow
      surplus += least;
      if (surplus == -kImpossible) return false;
    }
    return surplus >= 0;
  };
  std::vector<int> kept;
  for (const int option : order) {
    if (std::none_of(kept.begin(), kept.end(), [&](int k) { return dominates(k, option); })) {
      kept.push_back(option);
    }
  }
  const bool removed = static_cast<int>(kept.size()) < node.options();
  std::sort(kept.begin(), kept.end());
  graph.keep_options(id, kept);
  return removed;
}

double reparametrise(Graph& graph, int sweeps) {
  // Pull moves what every option of an edge's other end would cost at least into the node; push
  // gives it back to the edges that lead onwards, in equal shares. No cost becomes infinite by
  // this: after remove_impossible every row of every edge has a finite entry.
  const auto pull = [&](int id, int e) {
    Graph::Edge& edge = graph.edge(e);
    Graph::Node& node = graph.node(id);
    const int others = graph.node(edge.other(id)).options();
    for (int own = 0; own < node.options(); ++own) {
      double least = kImpossible;
      for (int other = 0; other < others; ++other) {
        least = std::min(least, edge.at(id, own, other));
      }
      assert(least < kImpossible);
      if (least == 0.0) continue;
      node.costs[own] += least;
      for (int other = 0; other < others; ++other) edge.at(id, own, other) -= least;
    }
  };
  const auto push = [&](int id, int e, const std::vector<double>& share) {
    Graph::Edge& edge = graph.edge(e);
    Graph::Node& node = graph.node(id);
    const int others = graph.node(edge.other(id)).options();
    for (int own = 0; own < node.options(); ++own) {
      node.costs[own] -= share[own];
      for (int other = 0; other < others; ++other) edge.at(id, own, other) += share[own];
    }
  };
  const auto visit = [&](int id, bool forward) {
    Graph::Node& node = graph.node(id);
    if (!node.alive) return;
    int onwards = 0;
    for (const int e : node.edges) {
      pull(id, e);
      onwards += (graph.edge(e).other(id) > id) == forward ? 1 : 0;
    }
    if (onwards == 0) return;
    // Options keep the share of the edges that lead back, so that the return sweep finds it.
    std::vector<double> share = node.costs;
    const int parts = std::max(onwards, node.degree() - onwards);
    const double least = *std::min_element(share.begin(), share.end());
    for (double& s : share) s = (s - least) / parts;
    for (const int e : node.edges) {
      if ((graph.edge(e).other(id) > id) == forward) push(id, e, share);
    }
  };
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (int id = 0; id < graph.size(); ++id) visit(id, true);
    for (int id = graph.size() - 1; id >= 0; --id) visit(id, false);
  }
  double bound = 0;
  for (int id = 0; id < graph.size(); ++id) {
    if (!graph.node(id).alive) continue;
    for (const int e : graph.node(id).edges) pull(id, e);
    const std::vector<double>& costs = graph.node(id).costs;
    bound += *std::min_element(costs.begin(), costs.end());
  }
  return bound;
}

}  // namespace convopt::pbqp
