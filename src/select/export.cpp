#include "src/select/export.h"

#include <cmath>

#include "core/json.h"

namespace convopt {
namespace {

Json cost(double ns) { return std::isfinite(ns) ? Json(ns / 1e3) : Json(nullptr); }

std::string name_of(const Problem& problem, const Option& option) {
  const std::string through =
      option.absorbed_through >= 0
          ? "absorbed/" + std::to_string(option.absorbed_through) + "/" + to_string(option.input)
      : option.in_place ? "in place/" + to_string(option.input)
                        : "free";
  std::string name =
      option.candidate < 0 ? through : problem.candidates[option.candidate].primitive->info().name;
  if (option.pending_out > 0) name += "+" + std::to_string(option.pending_out);
  if (option.placed) name += "/placed";
  return name;
}

std::string name_of(const Problem& problem, std::size_t tensor, const TensorState& state) {
  std::string name = to_string(state.produced);
  if (state.placed) name += "/placed";
  if (state.pending > 0) return name + "/pending " + std::to_string(state.pending);
  problem.for_each_conversion(tensor, state,
                              [&](int, TensorFormat target) { name += "+" + to_string(target); });
  return name;
}

}  // namespace

std::string export_problem(const Problem& problem, const Solution& solution) {
  const ProblemGraph formulated = to_graph(problem);
  const std::size_t operators = problem.operators.size();
  Json nodes = Json::array(), choices = Json::array();
  for (std::size_t n = 0; n < formulated.labels.size(); ++n) {
    const std::vector<int>& labels = formulated.labels[n];
    const std::size_t t = n - operators;
    const bool is_operator = n < operators;
    const int chosen =
        is_operator ? solution.assignment.operators[n] : solution.assignment.tensors[t];
    Json options = Json::array(), costs = Json::array();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == chosen) choices.push_back(i);
      options.push_back(is_operator ? name_of(problem, problem.operators[n][labels[i]])
                                    : name_of(problem, t, problem.tensors[t][labels[i]]));
      costs.push_back(cost(formulated.graph.node(static_cast<int>(n)).costs[i]));
    }
    nodes.push_back({{"name", is_operator ? problem.network->operators[n].name
                                          : "tensor " + problem.network->tensors[t].name},
                     {"options", std::move(options)},
                     {"costs", std::move(costs)}});
  }
  Json edges = Json::array();
  for (int n = 0; n < formulated.graph.size(); ++n) {
    for (const int id : formulated.graph.node(n).edges) {
      const pbqp::Graph::Edge& edge = formulated.graph.edge(id);
      if (edge.a != n) continue;
      Json rows = Json::array();
      for (int i = 0; i < edge.costs.rows(); ++i) {
        Json row = Json::array();
        for (int j = 0; j < edge.costs.columns(); ++j) row.push_back(cost(edge.costs(i, j)));
        rows.push_back(std::move(row));
      }
      edges.push_back({{"from", edge.a}, {"to", edge.b}, {"costs", std::move(rows)}});
    }
  }
  const Json document = {{"schema", "convopt.pbqp/1"},
                         {"network", problem.network->name},
                         {"unit", "us"},
                         {"nodes", std::move(nodes)},
                         {"edges", std::move(edges)},
                         {"solution", std::move(choices)},
                         {"value", solution.ns / 1e3},
                         {"optimal", solution.optimal}};
  return document.dump() + "\n";
}

}  // namespace convopt
