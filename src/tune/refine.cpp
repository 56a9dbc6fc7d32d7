#include "src/tune/refine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/timing_key.h"
#include "core/try.h"
#include "src/select/workloads.h"
#include "src/tune/bias_correction.h"

namespace convopt {
namespace {

// Shift of predictions towards the lower ends of their intervals, stage by stage: from the plan
// that is expected to be the best to those that might be.
constexpr double kOptimism[] = {0.0, 0.35, 0.7, 1.0};

// Rough cost of measuring: a constant per workload (its tensors, a reference result, caches emptied
// for each round), and runs of each primitive.
constexpr double kWorkloadNs = 40e6, kRuns = 6;

// Smallest share of the network's time that is worth measuring: small operators are many, gain
// little, and are the hardest to measure.
constexpr double kLeastShare = 0.002;

// Shift of predictions towards the upper ends of their intervals when the last plan is chosen,
// since the minimum of many uncertain predictions is too low on average (the winner's curse). Over
// twelve transfers between three platforms of fifteen networks, the mean regret after 5 s was 1.015
// with 0, 1.009 with 0.25, 1.009 with 0.5 and 1.010 with 1.
constexpr double kRisk = 0.5;

/// Measured costs as they are; predictions moved towards the lower ends of their intervals.
class OptimisticCosts final : public CostSource {
 public:
  OptimisticCosts(std::shared_ptr<const CostSource> costs, double optimism)
      : costs_(std::move(costs)), optimism_(optimism) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    Result<std::vector<Cost>> result = costs_->costs(queries);
    if (!result) return result;
    for (Cost& cost : result.value()) {
      Estimate& e = cost.estimate;
      if (cost.source != Cost::Source::predicted || !(e.ns > 0 && e.low_ns > 0)) continue;
      e.ns *= std::pow(e.low_ns / e.ns, optimism_);
    }
    return result;
  }

 private:
  std::shared_ptr<const CostSource> costs_;
  double optimism_;
};

/// Measured costs as they are; predictions with a risk factor that grows with their intervals. The
/// expected time stays: with the factor in it, plans of few measured times were reported as 1.2
/// times slower than they are.
class RiskAdjustedCosts final : public CostSource {
 public:
  explicit RiskAdjustedCosts(BiasCorrectedCosts costs) : costs_(std::move(costs)) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    Result<std::vector<Cost>> result = costs_.costs(queries);
    if (!result) return result;
    for (Cost& cost : result.value()) {
      const Estimate& e = cost.estimate;
      if (cost.source != Cost::Source::predicted || !(e.ns > 0 && e.high_ns > 0)) continue;
      cost.risk_factor = std::pow(e.high_ns / e.ns, kRisk);
    }
    return result;
  }

 private:
  BiasCorrectedCosts costs_;
};

// Added to the deviation of a primitive that was never timed on this machine, where it may behave
// quite differently: oneDNN's blocked pooling is 60 times as slow at AVX2 as at AVX-512. Values
// from 0.5 to 2 are as good.
constexpr double kNeverRun = 1;

/// The costs before bias correction.
class Uncorrected final : public CostSource {
 public:
  explicit Uncorrected(const BiasCorrectedCosts& costs) : costs_(costs) {}
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    return costs_.uncorrected().costs(queries);
  }

 private:
  const BiasCorrectedCosts& costs_;
};

/// Standard deviation of the logarithm, of whose normal distribution the interval holds 90 %.
double deviation(const Estimate& e) {
  constexpr double kDeviations = 1.645, kLeast = 1e-3;
  return e.ns > 0 ? std::max(kLeast, std::log(e.high_ns / e.ns) / kDeviations) : kLeast;
}

/// By how much the rival is expected to be faster than `ns`, counting nothing where it is slower,
/// if both are uncertain (expected improvement, Jones et al. 1998, for a lognormal time).
double expected_gain(double ns, const Estimate& rival) {
  const double sigma = std::sqrt(2.0) * deviation(rival);
  const double a = std::log(ns / rival.ns) / sigma;
  const auto normal = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  return ns * normal(a) - rival.ns * std::exp(sigma * sigma / 2) * normal(a - sigma);
}

/// Calls `visit(candidate)` for all that the assignment spends time on.
template <class Visit>
void for_each_used(const Problem& problem, const Assignment& assignment, Visit visit) {
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][assignment.operators[op]];
    if (option.candidate >= 0) visit(problem.candidates[option.candidate]);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    problem.for_each_conversion(t, problem.tensors[t][assignment.tensors[t]],
                                [&](int id, TensorFormat) { visit(problem.candidates[id]); });
  }
}

/// A workload whose primitive in the plan has no time, and the primitives that could replace it.
struct OpenDecision {
  double ns = 0, total_ns = 0;  ///< expected time of one use, of all uses
  std::vector<const Candidate*> used, rivals;
  double gain_ns = 0, cost_ns = kWorkloadNs;  ///< of timing `used` and `rivals`

  double uses() const { return total_ns / ns; }
  double gain_rate() const { return gain_ns / cost_ns; }
  void add(double gain, double ns_per_run) {
    gain_ns += gain;
    cost_ns += kRuns * ns_per_run;
  }
};

TimingKey key_of(const Problem& problem, const Candidate& candidate) {
  return {problem.workloads[candidate.workload].text(), candidate.primitive->info().name};
}

/// The plan's open decisions by workload, without those that take too small a share of its time and
/// those about which everything was asked. Each has all rivals that were not asked about.
std::map<int, OpenDecision> open_decisions(const Problem& problem, const Solution& solution,
                                           const std::unordered_set<TimingKey>& asked) {
  std::map<int, OpenDecision> decisions;
  for_each_used(problem, solution.assignment, [&](const Candidate& candidate) {
    if (candidate.cost.source == Cost::Source::measured) return;
    OpenDecision& decision = decisions[candidate.workload];
    decision.ns = candidate.cost.estimate.ns;
    decision.total_ns += decision.ns;
    if (!std::ranges::count(decision.used, &candidate)) decision.used.push_back(&candidate);
  });
  const auto was_asked = [&](const Candidate* c) { return asked.contains(key_of(problem, *c)); };
  std::erase_if(decisions, [&](const auto& entry) {
    return entry.second.total_ns < kLeastShare * solution.ns ||
           std::ranges::all_of(entry.second.used, was_asked);
  });
  for (const Candidate& candidate : problem.candidates) {
    const auto decision = decisions.find(candidate.workload);
    if (decision == decisions.end() || !candidate.present() || candidate.baseline_only) continue;
    if (candidate.cost.source != Cost::Source::predicted) continue;
    if (std::ranges::count(decision->second.used, &candidate) || was_asked(&candidate)) continue;
    decision->second.rivals.push_back(&candidate);
  }
  return decisions;
}

/// Sums up the expected gain and cost of timing the decision's primitives, and keeps as many rivals
/// as raise the gain per time. `timed`: primitives that were timed on some workload.
void keep_worthwhile_rivals(OpenDecision& decision,
                            const std::unordered_set<const Primitive*>& timed) {
  const double uses = decision.uses();
  // A choice that turns out slower than predicted is given up for another: on average the gain is
  // half the mean deviation.
  constexpr double kHalfMeanDeviation = 0.4;
  for (const Candidate* c : decision.used) {
    const Estimate& e = c->cost.estimate;
    const double sigma = deviation(e) + (timed.contains(c->primitive) ? 0 : kNeverRun);
    decision.add(uses * kHalfMeanDeviation * sigma * e.ns, e.ns);
  }
  const auto gain = [&, ns = decision.ns](const Candidate* c) {
    return uses * expected_gain(ns, c->cost.estimate);
  };
  const auto rate = [&](const Candidate* c) {
    return gain(c) / (kRuns * std::max(1.0, c->cost.estimate.ns));
  };
  std::ranges::stable_sort(decision.rivals, std::greater(), rate);
  std::size_t count = 0;
  for (; count < decision.rivals.size() && rate(decision.rivals[count]) > decision.gain_rate();
       ++count) {
    decision.add(gain(decision.rivals[count]), decision.rivals[count]->cost.estimate.ns);
  }
  decision.rivals.resize(count);
}

/// Pairs that the assignment uses without a time, and for each of these workloads as many rivals as
/// raise the expected gain per second of measuring; workloads with the largest gain per second come
/// first. Each pair is named once.
std::vector<Query> contested_by(const Problem& problem, const Solution& solution,
                                std::unordered_set<TimingKey>& asked) {
  std::unordered_set<const Primitive*> timed;
  for (const Candidate& candidate : problem.candidates) {
    if (candidate.cost.source == Cost::Source::measured) timed.insert(candidate.primitive);
  }
  std::map<int, OpenDecision> decisions = open_decisions(problem, solution, asked);
  std::vector<const OpenDecision*> order;
  for (auto& [workload, decision] : decisions) {
    keep_worthwhile_rivals(decision, timed);
    order.push_back(&decision);
  }
  std::ranges::stable_sort(order, std::greater(), &OpenDecision::gain_rate);
  std::vector<Query> result;
  for (const OpenDecision* decision : order) {
    for (const auto* list : {&decision->used, &decision->rivals}) {
      for (const Candidate* candidate : *list) {
        if (!asked.insert(key_of(problem, *candidate)).second) continue;
        result.push_back({&problem.workloads[candidate->workload], &candidate->primitive->info()});
      }
    }
  }
  return result;
}

}  // namespace

Result<std::shared_ptr<const CostSource>> corrected_by_times(
    const Network& network, const Registry& registry, const std::set<DataType>& types,
    const CostSource& costs, const CostSource& predicted, const CostSource& measured) {
  const std::vector<Workload> workloads = network_workloads(network, types);
  std::vector<Query> pairs;
  for (const Workload& workload : workloads) {
    for (const Primitive* primitive : registry.primitives()) {
      const PrimitiveInfo& info = primitive->info();
      const DataType weights = info.traits.weight_type;
      if (weights != DataType::f32 && !types.contains(weights)) continue;
      if (info.computes(workload)) pairs.push_back({&workload, &info});
    }
  }
  CONVOPT_TRY(BiasCorrectedCosts corrected,
              BiasCorrectedCosts::create(costs, predicted, measured, pairs));
  return std::make_shared<RiskAdjustedCosts>(std::move(corrected));
}

Result<Refinement> refine(const Network& network, const Registry& registry, const CostSource& costs,
                          const SelectOptions& options, const MeasureContested& measure) {
  Refinement result;
  const auto corrected = std::make_shared<BiasCorrectedCosts>(costs);
  // A pair is asked for once, even if its timing was cut short and its prediction stays.
  std::unordered_set<TimingKey> asked;
  // Measures until no pair is contested by these costs; false if the time is over before.
  const auto settle = [&](const CostSource& by) -> Result<bool> {
    for (;;) {
      CONVOPT_TRY(const Problem problem, build_problem(network, registry, by, options.limits));
      CONVOPT_TRY(const Solution solution, solve(problem, options.time_limit));
      const std::vector<Query> contested = contested_by(problem, solution, asked);
      if (contested.empty()) return true;
      result.asked += contested.size();
      ++result.rounds;
      CONVOPT_TRY(const auto expected, corrected->expect(contested));
      CONVOPT_TRY(const CostSource* const measured, measure(contested));
      if (measured == nullptr) return false;
      CONVOPT_TRY(const std::size_t learnt, corrected->learn(*measured, contested, expected));
      result.timed += learnt;
    }
  };
  for (const double optimism : kOptimism) {
    CONVOPT_TRY(const bool settled, settle(OptimisticCosts(corrected, optimism)));
    if (!settled) return result;
  }
  // A later plan with these times has no corrections, and should be the same.
  CONVOPT_TRY(result.settled, settle(Uncorrected(*corrected)));
  return result;
}

}  // namespace convopt
