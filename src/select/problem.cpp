#include "src/select/problem.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "core/views.h"
#include "src/select/fusion.h"
#include "src/select/pbqp/solver.h"

namespace convopt {
namespace {

/// Whether the operator's option can leave its result in that state.
bool can_write(const Problem& problem, const Option& option, TensorId tensor,
               const TensorState& state) {
  if (state.produced != option.output || state.pending != option.pending_out) return false;
  if (option.absorbed_through >= 0) return state.placed == option.placed;
  if (!state.placed || option.in_place) return true;
  return option.candidate >= 0 &&
         problem.takes_views(*problem.candidates[option.candidate].primitive, tensor,
                             option.output);
}

bool can_read(const Problem& problem, std::size_t op, const Option& option, int input,
              TensorId tensor, const TensorState& state) {
  const TensorFormat format = option.input_at(input);
  if (!state.available(format) || state.pending != option.pending_at(input)) return false;
  if (input == option.absorbed_through) return state.placed == option.placed;
  if (option.in_place) return state.placed && state.produced == format;
  if (!state.placed || state.produced != format) return true;
  // The concatenation that it is a part of reads it in place or not at all.
  if (problem.concatenation[tensor] == static_cast<int>(op)) return false;
  return option.candidate >= 0 &&
         problem.takes_views(*problem.candidates[option.candidate].primitive, tensor, format);
}

/// Whether can_write() and can_read() answer alike for both.
bool are_alike(const Problem& problem, const Option& a, const Option& b) {
  Option other = a;
  other.candidate = b.candidate;
  if (other != b || (a.candidate < 0) != (b.candidate < 0)) return false;
  const auto has_views = [&](const Option& option) {
    return problem.candidates[option.candidate].primitive->info().traits.strided_views;
  };
  return a.candidate < 0 || has_views(a) == has_views(b);
}

}  // namespace

double Problem::state_ns(std::size_t tensor, const TensorState& state) const {
  double sum = 0;
  for_each_conversion(tensor, state,
                      [&](int id, TensorFormat) { sum += candidates[id].cost.risk_adjusted_ns(); });
  return sum;
}

bool Problem::takes_views(const Primitive& primitive, TensorId tensor, TensorFormat format) const {
  return primitive.info().traits.strided_views ||
         channels_are_dense(network->tensors[tensor].shape, format.layout);
}

namespace {

/// Formats in which the remaining options write and read each tensor. A state that is never
/// written, or converts to a format that is never read, can be dropped.
struct UsedFormats {
  explicit UsedFormats(const Problem& problem)
      : written(problem.tensors.size()), read(problem.tensors.size()) {
    for (const TensorId t : problem.network->inputs) written[t][0].add({});
    for (const TensorId t : problem.network->outputs) read[t].add({});
  }
  void add(const Operator& op, const Option& option) {
    for (const TensorId t : op.outputs) written[t][option.pending_out].add(option.output);
    for (std::size_t input = 0; input < op.inputs.size(); ++input) {
      read[op.inputs[input]].add(option.input_at(static_cast<int>(input)));
    }
  }

  std::vector<std::array<FormatSet, kLongestChain + 1>> written;  ///< by operators still to come
  std::vector<FormatSet> read;
};

/// A node's options with the index of each, its label.
struct NodeOptions {
  std::vector<int> labels;
  std::vector<double> costs;

  void add(int label, double cost) {
    labels.push_back(label);
    costs.push_back(cost);
  }
  void erase(std::ptrdiff_t index) {
    labels.erase(labels.begin() + index);
    costs.erase(costs.begin() + index);
  }
};

NodeOptions operator_options(const Problem& problem, std::size_t op, const OptionFilter& filter,
                             const Surcharge& surcharge, Keep keep) {
  NodeOptions node;
  for (std::size_t i = 0; i < problem.operators[op].size(); ++i) {
    const Option& option = problem.operators[op][i];
    const bool baseline_only =
        option.candidate >= 0 && problem.candidates[option.candidate].baseline_only;
    if (filter ? !filter(static_cast<int>(op), option) : baseline_only) continue;
    const double ns = problem.option_ns(option) +
                      (surcharge.option ? surcharge.option(static_cast<int>(op), option) : 0.0);
    if (keep == Keep::cheapest_of_alike) {
      const auto alike = std::ranges::find_if(node.labels, [&](int other) {
        return are_alike(problem, problem.operators[op][other], option);
      });
      if (alike != node.labels.end()) {
        const std::ptrdiff_t index = alike - node.labels.begin();
        if (node.costs[index] <= ns) continue;
        node.erase(index);
      }
    }
    node.add(static_cast<int>(i), ns);
  }
  return node;
}

NodeOptions tensor_states(const Problem& problem, std::size_t tensor, const UsedFormats& used,
                          const Surcharge& surcharge) {
  NodeOptions node;
  for (std::size_t i = 0; i < problem.tensors[tensor].size(); ++i) {
    const TensorState& state = problem.tensors[tensor][i];
    if (!used.written[tensor][state.pending].contains(state.produced)) continue;
    if (!state.converted.is_within(used.read[tensor])) continue;
    node.add(static_cast<int>(i), problem.state_ns(tensor, state) +
                                      (surcharge.state ? surcharge.state(tensor, state) : 0.0));
  }
  return node;
}

/// Adds the edge between an operator and a tensor: free where `agree(option, state)`, else
/// impossible.
template <class Agree>
void connect(const Problem& problem, std::size_t op, TensorId tensor, ProblemGraph& graph,
             const Agree& agree) {
  const std::size_t node = problem.operators.size() + static_cast<std::size_t>(tensor);
  const std::vector<int>& options = graph.labels[op];
  const std::vector<int>& states = graph.labels[node];
  pbqp::Matrix costs(static_cast<int>(options.size()), static_cast<int>(states.size()));
  for (int i = 0; i < costs.rows(); ++i) {
    for (int j = 0; j < costs.columns(); ++j) {
      if (!agree(problem.operators[op][options[i]], problem.tensors[tensor][states[j]])) {
        costs(i, j) = pbqp::kImpossible;
      }
    }
  }
  graph.graph.add_edge(static_cast<int>(op), static_cast<int>(node), std::move(costs));
}

}  // namespace

ProblemGraph to_graph(const Problem& problem, const OptionFilter& filter,
                      const Surcharge& surcharge, Keep keep) {
  const std::vector<Operator>& operators = problem.network->operators;
  ProblemGraph result;
  const auto add_node = [&](NodeOptions node) {
    result.graph.add_node(std::move(node.costs));
    result.labels.push_back(std::move(node.labels));
  };
  UsedFormats used(problem);
  for (std::size_t op = 0; op < operators.size(); ++op) {
    NodeOptions node = operator_options(problem, op, filter, surcharge, keep);
    for (const int i : node.labels) used.add(operators[op], problem.operators[op][i]);
    add_node(std::move(node));
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    add_node(tensor_states(problem, t, used, surcharge));
  }
  for (std::size_t op = 0; op < operators.size(); ++op) {
    for (const TensorId t : operators[op].outputs) {
      connect(problem, op, t, result, [&](const Option& option, const TensorState& state) {
        return can_write(problem, option, t, state);
      });
    }
    for (std::size_t input = 0; input < operators[op].inputs.size(); ++input) {
      const TensorId t = operators[op].inputs[input];
      connect(problem, op, t, result, [&](const Option& option, const TensorState& state) {
        return can_read(problem, op, option, static_cast<int>(input), t, state);
      });
    }
  }
  return result;
}

Result<Solution> solve(const Problem& problem, std::chrono::duration<double> time_limit,
                       const OptionFilter& filter, const Surcharge& surcharge) {
  ProblemGraph formulated = to_graph(problem, filter, surcharge, Keep::cheapest_of_alike);
  const pbqp::GraphSolution solved = pbqp::solve(formulated.graph, time_limit);
  if (!solved.feasible()) {
    return make_error(ErrorCode::environment,
                      "no plan exists for network '" + problem.network->name +
                          "': some layouts cannot be converted into those that follow");
  }
  Solution result;
  result.ns = solved.cost;
  result.lower_bound_ns = solved.lower_bound;
  result.optimal = solved.optimal();
  result.gap = solved.gap();
  result.branches = solved.branches;
  const std::size_t count = problem.operators.size();
  for (std::size_t node = 0; node < formulated.labels.size(); ++node) {
    std::vector<int>& part = node < count ? result.assignment.operators : result.assignment.tensors;
    part.push_back(formulated.labels[node][solved.choice[node]]);
  }
  return result;
}

namespace {

/// One for each operator that takes time and for each conversion.
std::vector<int> used_candidates(const Problem& problem, const Assignment& assignment) {
  std::vector<int> used;
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][assignment.operators[op]];
    if (option.candidate >= 0) used.push_back(option.candidate);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    problem.for_each_conversion(t, problem.tensors[t][assignment.tensors[t]],
                                [&](int id, TensorFormat) { used.push_back(id); });
  }
  return used;
}

}  // namespace

double time_ns(const Problem& problem, const Assignment& assignment) {
  double sum = 0;
  for (std::size_t op = 0; op < problem.operators.size(); ++op)
    sum += problem.option_ns(problem.operators[op][assignment.operators[op]]);
  for (std::size_t t = 0; t < problem.tensors.size(); ++t)
    sum += problem.state_ns(t, problem.tensors[t][assignment.tensors[t]]);
  return sum;
}

double expected_ns(const Problem& problem, const Assignment& assignment) {
  double sum = 0;
  for (const int id : used_candidates(problem, assignment))
    sum += problem.candidates[id].cost.estimate.ns;
  return sum;
}

Result<Solution> solve_in_own_types(const Problem& problem,
                                    std::chrono::duration<double> time_limit) {
  return solve(problem, time_limit, [&](int, const Option& option) {
    return problem.in_own_types(option) &&
           (option.candidate < 0 || !problem.candidates[option.candidate].baseline_only);
  });
}

Result<double> price_ns(const Problem& problem, const Assignment& assignment,
                        const CostSource& costs) {
  std::vector<Query> queries;
  for (const int id : used_candidates(problem, assignment)) {
    const Candidate& c = problem.candidates[id];
    queries.push_back({&problem.workloads[c.workload], &c.primitive->info()});
  }
  const Result<std::vector<Cost>> answers = costs.costs(queries);
  if (!answers) return answers.error();
  double sum = 0;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Cost& cost = answers.value()[i];
    if (!cost.usable()) {
      return make_error(ErrorCode::bad_input, "no time is known for " + queries[i].primitive->name +
                                                  " on " + queries[i].workload->text() + ": " +
                                                  cost.reason);
    }
    sum += cost.estimate.ns;
  }
  return sum;
}

}  // namespace convopt
