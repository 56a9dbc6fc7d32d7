#include "src/select/problem.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "core/text.h"
#include "core/views.h"
#include "src/select/pbqp/solver.h"

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

bool names(const std::vector<std::string>& list, const PrimitiveInfo& info) {
  return std::ranges::any_of(
      list, [&](const std::string& name) { return name == info.name || name == info.family; });
}

/// Whether the primitive can read or write the tensor as channels of a larger one.
bool takes_views(const Problem& problem, const Primitive* primitive, TensorId tensor,
                 Layout layout) {
  return primitive->info().traits.strided_views ||
         channels_are_dense(problem.network->tensors[tensor].shape, layout);
}

/// Whether the operator's option can leave its result in that state.
bool can_write(const Problem& problem, const Option& option, TensorId tensor,
               const TensorState& state) {
  if (state.produced != option.output || state.pending != option.pending_out) return false;
  if (option.absorbed_through >= 0) return state.placed == option.placed;
  if (!state.placed || option.in_place) return true;
  return option.candidate >= 0 &&
         takes_views(problem, problem.candidates[option.candidate].primitive, tensor,
                     option.output);
}

bool can_read(const Problem& problem, std::size_t op, const Option& option, int input,
              TensorId tensor, const TensorState& state) {
  if (!state.available(option.input) || state.pending != option.pending_at(input)) return false;
  if (input == option.absorbed_through) return state.placed == option.placed;
  if (option.in_place) return state.placed && state.produced == option.input;
  if (!state.placed || state.produced != option.input) return true;
  // The concatenation that it is a part of reads it in place or not at all.
  if (problem.concatenation[tensor] == static_cast<int>(op)) return false;
  return option.candidate >= 0 &&
         takes_views(problem, problem.candidates[option.candidate].primitive, tensor, option.input);
}

class Builder {
 public:
  Builder(const Network& network, const Registry& registry, const Limits& limits)
      : limits_(limits), flow_(network) {
    problem_.network = &network;
    problem_.registry = &registry;
    problem_.context = registry.context();
    problem_.context.workspace_limit =
        std::min(problem_.context.workspace_limit, limits.max_workspace);
    for (const Primitive* p : registry.primitives()) by_op_[p->info().op].push_back(p);
  }

  Result<Problem> build(const CostSource& costs) {
    problem_.concatenation = placements(network(), flow_);
    find_ways();
    find_candidates();
    if (Result<void> asked = ask_costs(costs); !asked) return asked.error();
    add_options();
    if (Result<void> complete = check_options(); !complete) return complete.error();
    add_conversions();
    add_states();
    return std::move(problem_);
  }

 private:
  const Network& network() const { return *problem_.network; }

  int intern(const Workload& workload) {
    const auto [place, is_new] =
        workload_ids_.try_emplace(workload.text(), static_cast<int>(problem_.workloads.size()));
    if (is_new) {
      problem_.workloads.push_back(workload);
      candidate_ids_.emplace_back();
    }
    return place->second;
  }

  void find_ways() {
    const std::size_t count = network().operators.size();
    problem_.ways.resize(count);
    problem_.library_default.resize(count, nullptr);
    for (std::size_t op = 0; op < count; ++op) {
      if (network().operators[op].kind != OperatorKind::compute) continue;
      for (FusedWorkload& way : fusions(network(), flow_, static_cast<int>(op))) {
        problem_.ways[op].push_back({intern(way.workload), std::move(way.absorbed)});
      }
    }
    for (const Tensor& tensor : network().tensors) {
      // Only images have layouts to convert between.
      convert_workloads_.push_back(
          tensor.shape.is_image()
              ? intern(Workload::pointwise(Op::convert, tensor.shape).of_type(tensor.type))
              : kNoWorkload);
    }
  }

  std::vector<const Primitive*> primitives_for(const Workload& workload) const {
    const auto of_operation = by_op_.find(workload.op);
    if (of_operation == by_op_.end()) return {};
    std::vector<const Primitive*> result;
    std::ranges::copy_if(of_operation->second, std::back_inserter(result),
                         [&](const Primitive* p) { return p->info().computes(workload); });
    return result;
  }

  /// The index of the candidate, made on first use.
  int candidate(int workload, const Primitive* primitive) {
    const auto [place, is_new] = candidate_ids_[workload].try_emplace(
        primitive, static_cast<int>(problem_.candidates.size()));
    if (is_new) problem_.candidates.push_back(assess(workload, primitive));
    return place->second;
  }

  Candidate assess(int id, const Primitive* primitive) const {
    const Workload& workload = problem_.workloads[id];
    const PrimitiveInfo& info = primitive->info();
    Candidate c;
    c.workload = id;
    c.primitive = primitive;
    const auto absent = [&c](Candidate::Absence absence, std::string reason) {
      c.absence = absence;
      c.reason = std::move(reason);
    };
    if (std::string reason = excluded_by(limits_, workload, info); !reason.empty()) {
      const auto of_workload = defaults_.find(id);
      if (of_workload == defaults_.end() || of_workload->second != primitive) {
        absent(Candidate::Absence::limits, std::move(reason));
        return c;
      }
      c.baseline_only = true;
      c.reason = std::move(reason);
    }
    if (Applicability answer = primitive->applicability(workload, problem_.context); !answer) {
      absent(Candidate::Absence::inapplicable, std::move(answer.reason));
    } else if (!c.baseline_only) {
      std::string reason = over_workspace(limits_, workload, *primitive, problem_.context);
      if (!reason.empty()) absent(Candidate::Absence::limits, std::move(reason));
    }
    return c;
  }

  void find_candidates() {
    std::unordered_map<int, const Primitive*> asked;  // library's choice by plain workload
    for (std::size_t op = 0; op < problem_.ways.size(); ++op) {
      const std::vector<Problem::Way>& ways = problem_.ways[op];
      if (ways.empty()) continue;
      const Workload& plain = problem_.workloads[ways[0].workload];
      std::vector<const Primitive*> primitives = primitives_for(plain);
      if (plain.op == Op::conv) {
        const auto [known, is_new] = asked.try_emplace(ways[0].workload, nullptr);
        if (is_new) {
          const Primitive* choice = problem_.registry->library_default(plain);
          if (choice != nullptr && choice->info().computes(plain)) known->second = choice;
        }
        problem_.library_default[op] = known->second;
        if (known->second != nullptr) {
          for (const Problem::Way& way : ways) defaults_[way.workload] = known->second;
          if (std::ranges::find(primitives, known->second) == primitives.end()) {
            primitives.push_back(known->second);  // one that discovery did not meet
          }
        }
      }
      for (const Primitive* primitive : primitives) {
        if (!problem_.candidates[candidate(ways[0].workload, primitive)].present()) continue;
        // Only the longest chain that the primitive can compute.
        for (std::size_t way = ways.size() - 1; way > 0; --way) {
          if (problem_.candidates[candidate(ways[way].workload, primitive)].present()) break;
        }
      }
    }
    for (const int workload : convert_workloads_) {
      if (workload == kNoWorkload) continue;
      for (const Primitive* primitive : primitives_for(problem_.workloads[workload])) {
        candidate(workload, primitive);
      }
    }
  }

  Result<void> ask_costs(const CostSource& costs) {
    // Grouped by workload, which is what sources answer fastest.
    std::vector<int> present;
    for (std::size_t i = 0; i < problem_.candidates.size(); ++i) {
      if (problem_.candidates[i].present()) present.push_back(static_cast<int>(i));
    }
    std::ranges::stable_sort(present, {}, [&](int i) { return problem_.candidates[i].workload; });
    std::vector<Query> queries;
    for (const int i : present) {
      const Candidate& c = problem_.candidates[i];
      queries.push_back({&problem_.workloads[c.workload], &c.primitive->info()});
    }
    const Clock::time_point start = Clock::now();
    Result<std::vector<Cost>> answers = costs.costs(queries);
    problem_.predict_seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (!answers) return answers.error();
    for (std::size_t i = 0; i < present.size(); ++i) {
      Candidate& c = problem_.candidates[present[i]];
      c.cost = std::move(answers.value()[i]);
      if (!c.cost.usable()) {
        c.absence = Candidate::Absence::no_cost;
        c.reason = c.cost.reason;
      }
    }
    return {};
  }

  void add_options() {
    problem_.operators.resize(network().operators.size());
    for (std::size_t op = 0; op < problem_.operators.size(); ++op) {
      const Operator& description = network().operators[op];
      std::vector<Option>& options = problem_.operators[op];
      if (description.kind != OperatorKind::compute) {
        options.push_back({});  // nchw, free
        continue;
      }
      for (const Problem::Way& way : problem_.ways[op]) {
        std::vector<int> ids;
        for (const auto& [primitive, id] : candidate_ids_[way.workload]) ids.push_back(id);
        std::ranges::sort(ids);
        for (const int id : ids) {
          const Candidate& c = problem_.candidates[id];
          if (!c.present()) continue;
          Option option;
          option.candidate = id;
          option.input = c.primitive->info().input_layout;
          option.output = c.primitive->info().output_layout;
          option.pending_out = static_cast<int>(way.absorbed.size());
          options.push_back(option);
        }
      }
      for (std::size_t input = 0; input < description.inputs.size(); ++input) {
        const int longest = longest_chain_into(static_cast<int>(op), description.inputs[input]);
        for (int pending = 1; pending <= longest; ++pending) {
          for (const Layout layout : kLayouts) {
            Option option{-1, layout, layout, static_cast<int>(input), pending, pending - 1};
            options.push_back(option);
            option.placed = true;
            if (may_be_placed(description.inputs[input], pending, layout)) {
              options.push_back(option);
            }
          }
        }
      }
      if (description.workload.op != Op::concat) continue;
      for (const Layout layout : kLayouts) {
        if (!may_be_placed(description.inputs.front(), 0, layout)) continue;
        Option option{-1, layout, layout};
        option.in_place = true;
        options.push_back(option);
      }
    }
  }

  /// Most operators that the tensor's producer may absorb, if `op` is the first of them.
  int longest_chain_into(int op, TensorId tensor) const {
    const int producer = flow_.producer[tensor];
    if (producer < 0 || problem_.ways[producer].size() < 2) return 0;
    const std::vector<int>& absorbed = problem_.ways[producer].back().absorbed;
    return absorbed.front() == op ? static_cast<int>(absorbed.size()) : 0;
  }

  /// Whether a tensor in this layout, or the result of the chain that it is in with so many
  /// operators to come, may be a part of a concatenation without being copied.
  bool may_be_placed(TensorId tensor, int pending, Layout layout) const {
    for (; pending > 0; --pending) {
      tensor = network().operators[flow_.only_consumer(tensor)].outputs.front();
    }
    const int concatenation = problem_.concatenation[tensor];
    return concatenation >= 0 && parts_fit(network().operators[concatenation].workload, layout);
  }

  Result<void> check_options() const {
    for (std::size_t op = 0; op < problem_.operators.size(); ++op) {
      const bool possible = std::ranges::any_of(problem_.operators[op], [&](const Option& o) {
        return o.candidate < 0 || !problem_.candidates[o.candidate].baseline_only;
      });
      if (possible) continue;
      return nothing_left(static_cast<int>(op));
    }
    return {};
  }

  /// One sentence with the reason that the user can do most about: a limit that keeps out what
  /// would do, else an unknown cost, else that nothing applies.
  Error nothing_left(int op) const {
    const int id = problem_.ways[op][0].workload;
    const Workload& workload = problem_.workloads[id];
    if (const std::string lack = lack_of_primitives(*problem_.registry, workload); !lack.empty()) {
      return make_error(ErrorCode::environment, "operator '" + network().operators[op].name +
                                                    "' cannot be planned: " + lack);
    }
    const std::string sentence = "no primitive is left for operator '" +
                                 network().operators[op].name + "' (" + workload.text() + ")";
    Error error = make_error(ErrorCode::environment, sentence + ": there is none for it here");
    for (const Candidate& c : problem_.candidates) {
      if (c.workload != id) continue;
      const std::string example = sentence + ": " + c.primitive->info().name;
      if (c.baseline_only || (c.absence == Candidate::Absence::limits &&
                              c.primitive->applicability(workload, problem_.context))) {
        return make_error(ErrorCode::usage, example + " would do but is " + c.reason);
      }
      if (c.absence == Candidate::Absence::no_cost) {
        error = make_error(ErrorCode::bad_input, example + " is " + c.reason);
      }
    }
    return error;
  }

  void add_conversions() {
    for (const int workload : convert_workloads_) {
      Problem::Conversions fastest;
      for (auto& row : fastest) row.fill(-1);
      if (workload == kNoWorkload) {
        problem_.conversions.push_back(fastest);
        continue;
      }
      for (const Primitive* primitive : primitives_for(problem_.workloads[workload])) {
        const int id = candidate_ids_[workload].at(primitive);
        const Candidate& c = problem_.candidates[id];
        if (!c.present()) continue;
        const PrimitiveInfo& info = primitive->info();
        int& best =
            fastest[static_cast<int>(info.input_layout)][static_cast<int>(info.output_layout)];
        if (best < 0 || c.cost.estimate.ns < problem_.candidates[best].cost.estimate.ns) best = id;
      }
      problem_.conversions.push_back(fastest);
    }
  }

  void add_states() {
    problem_.tensors.resize(network().tensors.size());
    for (std::size_t t = 0; t < problem_.tensors.size(); ++t) {
      std::vector<TensorState>& states = problem_.tensors[t];
      const auto readers =
          static_cast<int>(flow_.consumers[t].size()) + (flow_.is_output[t] != 0 ? 1 : 0);
      const int producer = flow_.producer[t];
      for (const Layout produced : kLayouts) {
        if (producer < 0 && produced != Layout::nchw) continue;  // networks are fed in nchw
        if (!network().tensors[t].shape.is_image() && produced != Layout::nchw) continue;
        for (unsigned converted = 0; converted < 1U << kLayouts.size(); ++converted) {
          const TensorState state{produced, static_cast<std::uint8_t>(converted), 0};
          if (std::popcount(converted) > readers) continue;
          if (((converted >> static_cast<int>(produced)) & 1) != 0) continue;
          if (flow_.is_output[t] != 0 && !state.available(Layout::nchw)) continue;
          bool known = true;
          problem_.for_each_conversion(t, state, [&](int id, Layout) { known = known && id >= 0; });
          if (!known) continue;
          states.push_back(state);
          if (std::popcount(converted) == readers) continue;  // the concatenation reads no copy
          if (!may_be_placed(static_cast<TensorId>(t), 0, produced)) continue;
          bool views = true;
          problem_.for_each_conversion(t, state, [&](int id, Layout) {
            views = views && takes_views(problem_, problem_.candidates[id].primitive,
                                         static_cast<TensorId>(t), produced);
          });
          if (views) states.push_back({produced, state.converted, 0, true});
        }
        const int reader = flow_.only_consumer(static_cast<TensorId>(t));
        if (reader < 0) continue;
        const int longest = longest_chain_into(reader, static_cast<TensorId>(t));
        for (int pending = 1; pending <= longest; ++pending) {
          states.push_back({produced, 0, pending});
          if (may_be_placed(static_cast<TensorId>(t), pending, produced)) {
            states.push_back({produced, 0, pending, true});
          }
        }
      }
    }
  }

  const Limits& limits_;
  DataFlow flow_;
  Problem problem_;
  std::unordered_map<Op, std::vector<const Primitive*>> by_op_;
  std::unordered_map<std::string, int> workload_ids_;
  std::vector<std::unordered_map<const Primitive*, int>> candidate_ids_;  // by workload
  std::unordered_map<int, const Primitive*> defaults_;                    // by workload
  static constexpr int kNoWorkload = -1;
  std::vector<int> convert_workloads_;  // by tensor
};

}  // namespace

std::string excluded_by(const Limits& limits, const Workload& workload, const PrimitiveInfo& info) {
  if (workload.op != Op::conv) return {};
  if (!limits.allow.empty() && !names(limits.allow, info)) {
    return "not among the allowed primitives";
  }
  if (names(limits.exclude, info)) return "excluded by name or family";
  if (!(limits.max_error > 0)) return {};
  const double bound = error_bound(workload, info.traits);
  if (bound <= limits.max_error) return {};
  return "too inexact: its error may reach " + significant(bound, 2) + " of the result, not " +
         significant(limits.max_error, 2);
}

std::string over_workspace(const Limits& limits, const Workload& workload,
                           const Primitive& primitive, const Context& context) {
  if (limits.max_workspace == SIZE_MAX) return {};
  const std::size_t bytes = primitive.workspace_bytes(workload, context);
  if (bytes <= limits.max_workspace) return {};
  return "over the limit of workspace: it needs " + counted(bytes, "byte") + ", allowed are " +
         std::to_string(limits.max_workspace);
}

double Problem::state_ns(std::size_t tensor, const TensorState& state) const {
  double sum = 0;
  for_each_conversion(tensor, state,
                      [&](int id, Layout) { sum += candidates[id].cost.estimate.ns; });
  return sum;
}

std::string lack_of_primitives(const Registry& registry, const Workload& workload) {
  if (std::ranges::any_of(registry.primitives(),
                          [&](const Primitive* p) { return p->info().computes(workload); })) {
    return {};
  }
  std::string types(to_string(workload.input_type));
  if (workload.output_type != workload.input_type) {
    types += " to " + std::string(to_string(workload.output_type));
  }
  if (!workload.is_image()) {
    types += " tensors of rank " + std::to_string(workload.first.rank());
    if (workload.first.is_image()) types += " along axis " + std::to_string(workload.axis);
  }
  return "no primitive computes " + std::string(to_string(workload.op)) + " of " + types;
}

Result<Problem> build_problem(const Network& network, const Registry& registry,
                              const CostSource& costs, const Limits& limits) {
  return Builder(network, registry, limits).build(costs);
}

ProblemGraph to_graph(const Problem& problem, const OptionFilter& filter) {
  const std::vector<Operator>& operators = problem.network->operators;
  ProblemGraph result;
  // Layouts that the operators' remaining options produce and read of each tensor, as bits: a state
  // that is never produced, or converts to a layout that is never read, can be dropped.
  std::vector<unsigned> offered(problem.tensors.size(), 0), asked(problem.tensors.size(), 0);
  const auto bit = [](Layout layout) { return 1U << static_cast<int>(layout); };
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    std::vector<int> kept;
    std::vector<double> costs;
    for (std::size_t i = 0; i < problem.operators[op].size(); ++i) {
      const Option& option = problem.operators[op][i];
      const bool baseline_only =
          option.candidate >= 0 && problem.candidates[option.candidate].baseline_only;
      if (filter ? !filter(static_cast<int>(op), option) : baseline_only) continue;
      kept.push_back(static_cast<int>(i));
      costs.push_back(problem.option_ns(option));
      for (const TensorId t : operators[op].outputs) {
        offered[t] |= bit(option.output) << (kLayouts.size() * option.pending_out);
      }
      for (std::size_t input = 0; input < operators[op].inputs.size(); ++input) {
        asked[operators[op].inputs[input]] |= bit(option.input);
      }
    }
    result.graph.add_node(std::move(costs));
    result.labels.push_back(std::move(kept));
  }
  for (const TensorId t : problem.network->inputs) offered[t] |= bit(Layout::nchw);
  for (const TensorId t : problem.network->outputs) asked[t] |= bit(Layout::nchw);
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    std::vector<int> kept;
    std::vector<double> costs;
    for (std::size_t i = 0; i < problem.tensors[t].size(); ++i) {
      const TensorState& state = problem.tensors[t][i];
      if ((offered[t] & bit(state.produced) << (kLayouts.size() * state.pending)) == 0) continue;
      if ((state.converted & ~asked[t]) != 0) continue;
      kept.push_back(static_cast<int>(i));
      costs.push_back(problem.state_ns(t, state));
    }
    result.graph.add_node(std::move(costs));
    result.labels.push_back(std::move(kept));
  }

  const auto connect = [&](std::size_t op, TensorId t, auto agree) {
    const std::size_t node = operators.size() + static_cast<std::size_t>(t);
    const std::vector<int>& options = result.labels[op];
    const std::vector<int>& states = result.labels[node];
    pbqp::Matrix costs(static_cast<int>(options.size()), static_cast<int>(states.size()));
    for (int i = 0; i < costs.rows(); ++i) {
      for (int j = 0; j < costs.columns(); ++j) {
        if (!agree(problem.operators[op][options[i]], problem.tensors[t][states[j]])) {
          costs(i, j) = pbqp::kImpossible;
        }
      }
    }
    result.graph.add_edge(static_cast<int>(op), static_cast<int>(node), std::move(costs));
  };
  for (std::size_t op = 0; op < operators.size(); ++op) {
    for (const TensorId t : operators[op].outputs) {
      connect(op, t, [&](const Option& option, const TensorState& state) {
        return can_write(problem, option, t, state);
      });
    }
    for (std::size_t input = 0; input < operators[op].inputs.size(); ++input) {
      const TensorId t = operators[op].inputs[input];
      connect(op, t, [&](const Option& option, const TensorState& state) {
        return can_read(problem, op, option, static_cast<int>(input), t, state);
      });
    }
  }
  return result;
}

Result<Solution> solve(const Problem& problem, std::chrono::duration<double> time_limit,
                       const OptionFilter& filter) {
  ProblemGraph formulated = to_graph(problem, filter);
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

Result<double> price_ns(const Problem& problem, const Assignment& assignment,
                        const CostSource& costs) {
  std::vector<int> used;
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][assignment.operators[op]];
    if (option.candidate >= 0) used.push_back(option.candidate);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    problem.for_each_conversion(t, problem.tensors[t][assignment.tensors[t]],
                                [&](int id, Layout) { used.push_back(id); });
  }
  std::vector<Query> queries;
  for (const int id : used) {
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
