#include "src/select/select.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/parallel.h"
#include "core/plan_text.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Whether the state is in memory in the tensor's int8 type.
bool is_in_int8(const TensorState& state) {
  bool found = is_quantised(state.produced.type);
  state.converted.for_each(
      [&](TensorFormat format) { found = found || is_quantised(format.type); });
  return found && state.pending == 0;
}

/// The workload with the types of another.
Workload in_types_of(const Workload& other, Workload workload) {
  workload.input_type = other.input_type;
  workload.output_type = other.output_type;
  workload.second_type = other.second_type;
  workload.zero_points = other.zero_points;
  return workload;
}

}  // namespace

Result<void> check_names(const Registry& registry, const std::vector<std::string>& names) {
  std::set<std::string> known;
  for (const Primitive* p : registry.primitives()) {
    if (p->info().op != Op::conv) continue;
    known.insert(p->info().name);
    known.insert(p->info().family);
  }
  for (const std::string& name : names) {
    if (known.contains(name)) continue;
    const Primitive* found = registry.find(name);
    if (found != nullptr && found->info().op == Op::conv) continue;
    if (found != nullptr) {
      return make_error(
          ErrorCode::usage,
          "'" + name + "' is no primitive for convolutions, which alone can be chosen");
    }
    const std::string_view nearest = closest_name(name, {known.begin(), known.end()});
    std::string sentence = "there is no primitive or family '" + name + "'";
    sentence += nearest.empty() ? "; `convopt list` shows them"
                                : "; did you mean '" + std::string(nearest) + "'?";
    return make_error(ErrorCode::usage, sentence);
  }
  return {};
}

Plan make_plan(const Problem& problem, const Solution& solution, const Platform& platform) {
  const Network& network = *problem.network;
  Plan plan;
  plan.network = network.name;
  plan.network_hash = network.hash();
  plan.libraries = problem.registry->libraries();
  plan.platform = platform;
  plan.predicted_ms = expected_ns(problem, solution.assignment) / 1e6;
  plan.optimal = solution.optimal;
  plan.gap = solution.gap;

  std::vector<std::pair<int, PlanLayer>> layers;  // with the place in the order of execution
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][solution.assignment.operators[op]];
    if (option.in_place) {
      plan.in_place.push_back(
          {network.operators[op].name, option.output.layout, option.output.type});
    }
    if (option.candidate < 0) continue;
    const Candidate& candidate = problem.candidates[option.candidate];
    const Workload& workload = problem.workloads[candidate.workload];
    PlanLayer layer;
    layer.name = network.operators[op].name;
    layer.op = to_string(workload.op);
    layer.shape = shape_text(in_types_of(network.operators[op].workload, workload));
    layer.workload = workload.text();
    layer.primitive = candidate.primitive->info().name;
    layer.family = candidate.primitive->info().family;
    layer.input_layout = option.input.layout;
    layer.output_layout = option.output.layout;
    layer.input_type = option.input.type;
    layer.output_type = option.output.type;
    layer.predicted_us = candidate.cost.estimate.ns / 1e3;
    layer.low_us = candidate.cost.estimate.low_ns / 1e3;
    layer.high_us = candidate.cost.estimate.high_ns / 1e3;
    layer.measured = candidate.cost.source == Cost::Source::measured;
    layer.extrapolated = candidate.cost.estimate.extrapolated;
    int last = static_cast<int>(op);
    for (const Problem::Variant& variant : problem.variants[op]) {
      if (variant.workload != candidate.workload ||
          static_cast<int>(variant.absorbed.size()) != option.pending_out) {
        continue;
      }
      for (const int absorbed : variant.absorbed) {
        layer.fused.push_back(network.operators[absorbed].name);
        last = std::max(last, absorbed);
      }
    }
    plan.workspace_bytes = std::max(
        plan.workspace_bytes, candidate.primitive->workspace_bytes(workload, problem.context));
    plan.packed_weight_bytes += candidate.primitive->packed_bytes(workload, problem.context);
    layers.emplace_back(last, std::move(layer));
  }
  std::ranges::stable_sort(layers, {}, [](const auto& entry) { return entry.first; });
  for (auto& [place, layer] : layers) plan.layers.push_back(std::move(layer));

  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    const TensorState& state = problem.tensors[t][solution.assignment.tensors[t]];
    if (is_in_int8(state)) {
      plan.scales.push_back({network.tensors[t].name, problem.scales[t].type,
                             problem.scales[t].scale, problem.scales[t].zero_point});
    }
    problem.for_each_conversion(t, state, [&](int id, TensorFormat target) {
      const Candidate& candidate = problem.candidates[id];
      plan.conversions.push_back({network.tensors[t].name, state.produced.layout, target.layout,
                                  candidate.primitive->info().name,
                                  candidate.cost.estimate.ns / 1e3, state.produced.type,
                                  target.type});
      plan.workspace_bytes = std::max(plan.workspace_bytes,
                                      candidate.primitive->workspace_bytes(
                                          problem.workloads[candidate.workload], problem.context));
    });
  }
  return plan;
}

Result<Selection> select(const Network& network, const Registry& registry, const CostSource& costs,
                         const Platform& platform, const SelectOptions& options) {
  const Clock::time_point start = Clock::now();
  for (const auto* names : {&options.limits.allow, &options.limits.exclude}) {
    if (Result<void> known = check_names(registry, *names); !known) return known.error();
  }
  Result<Problem> problem = build_problem(network, registry, costs, options.limits);
  if (!problem) return problem.error();
  Selection selection;
  selection.problem = std::move(problem).value();
  Result<void> solved;
  double solve_ms = 0;
  const auto solve_problem = [&]() -> Result<void> {
    const Clock::time_point solving = Clock::now();
    CONVOPT_TRY(selection.solution, solve(selection.problem, options.time_limit));
    solve_ms = milliseconds_since(solving);
    return {};
  };
  in_parallel(2, [&](std::size_t part) {
    if (part == 0) {
      solved = solve_problem();
    } else {
      selection.baselines = solve_baselines(selection.problem, options.time_limit);
    }
  });
  if (!solved) return solved.error();
  selection.plan = make_plan(selection.problem, selection.solution, platform);
  const auto ms = [&](const std::optional<Solution>& baseline) {
    return baseline ? expected_ns(selection.problem, baseline->assignment) / 1e6 : 0.0;
  };
  PlanBaselines& baselines = selection.plan.baselines;
  baselines.library_default_ms = ms(selection.baselines.library_default);
  baselines.library = selection.baselines.library;
  baselines.best_single_primitive_ms = ms(selection.baselines.best_single);
  baselines.best_single_primitive = selection.baselines.best_single_primitive;
  baselines.greedy_ms = ms(selection.baselines.greedy);
  selection.plan.predict_ms = selection.problem.predict_seconds * 1e3;
  selection.plan.solve_ms = solve_ms;
  selection.plan.total_ms = milliseconds_since(start);
  return selection;
}

void choose(Selection& selection, Solution solution, const Platform& platform) {
  Plan plan = make_plan(selection.problem, solution, platform);
  Plan& old = selection.plan;
  plan.model = std::move(old.model);
  plan.seed = old.seed;
  plan.baselines = std::move(old.baselines);
  plan.load_ms = old.load_ms;
  plan.predict_ms = old.predict_ms;
  plan.solve_ms = old.solve_ms;
  plan.total_ms = old.total_ms;
  selection.plan = std::move(plan);
  selection.solution = std::move(solution);
}

}  // namespace convopt
