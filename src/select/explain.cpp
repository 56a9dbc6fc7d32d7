#include "src/select/explain.h"

#include <algorithm>

namespace convopt {

Explanation explain(const Problem& problem, const Solution& best, int op,
                    std::chrono::duration<double> time_limit) {
  const std::vector<Option>& options = problem.operators[op];
  const auto primitive_of = [&](const Option& option) {
    return option.candidate < 0 ? nullptr : problem.candidates[option.candidate].primitive;
  };
  const auto baseline_only = [&](const Option& option) {
    return option.candidate >= 0 && problem.candidates[option.candidate].baseline_only;
  };
  std::vector<const Primitive*> primitives;
  for (const Option& option : options) {
    if (baseline_only(option)) continue;
    if (std::ranges::find(primitives, primitive_of(option)) == primitives.end()) {
      primitives.push_back(primitive_of(option));
    }
  }

  Explanation result;
  const Option& chosen = options[best.assignment.operators[op]];
  const double best_ns = expected_ns(problem, best.assignment);
  const auto expected_of = [&](const Option& option) {
    return option.candidate < 0 ? 0.0 : problem.candidates[option.candidate].cost.estimate.ns;
  };
  for (const Primitive* primitive : primitives) {
    const Result<Solution> forced =
        solve(problem, time_limit, [&](int other, const Option& option) {
          return !baseline_only(option) && (other != op || primitive_of(option) == primitive);
        });
    if (!forced) continue;  // absorbed by nothing, or in a layout that leads nowhere
    Explanation::Alternative alternative;
    alternative.primitive = primitive;
    alternative.option = options[forced->assignment.operators[op]];
    if (primitive != nullptr) {
      const Candidate& candidate = problem.candidates[alternative.option.candidate];
      alternative.cost = candidate.cost;
      for (const Problem::Variant& variant : problem.variants[op]) {
        if (variant.workload == candidate.workload) alternative.absorbed = variant.absorbed;
      }
    }
    alternative.risk_adjusted_ns = forced->ns;
    alternative.plan_ns = expected_ns(problem, forced->assignment);
    alternative.elsewhere_ns =
        (alternative.plan_ns - expected_of(alternative.option)) - (best_ns - expected_of(chosen));
    alternative.chosen = primitive == primitive_of(chosen);
    result.alternatives.push_back(std::move(alternative));
  }
  std::ranges::stable_sort(result.alternatives, [](const auto& a, const auto& b) {
    return a.risk_adjusted_ns != b.risk_adjusted_ns ? a.risk_adjusted_ns < b.risk_adjusted_ns
                                                    : a.chosen && !b.chosen;
  });

  // Absent is what has no variant at all; the reason is that of the operator by itself.
  const auto by_itself = [&](int workload) {
    return std::ranges::any_of(problem.variants[op], [&](const Problem::Variant& variant) {
      return variant.workload == workload && variant.absorbed.empty();
    });
  };
  for (const Candidate& candidate : problem.candidates) {
    if (!by_itself(candidate.workload)) continue;
    if (std::ranges::find(primitives, candidate.primitive) != primitives.end()) continue;
    result.absent.push_back({candidate.primitive, candidate.reason});
  }
  return result;
}

}  // namespace convopt
