#include "src/tune/refine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace convopt {
namespace {

// How far towards the lower ends of the intervals predictions are moved, stage by stage: first the
// plan that is expected to be the best, then what could be a little better than expected, then what
// might be.
constexpr double kOptimism[] = {0.0, 0.35, 0.7, 1.0};

// Timing several primitives of a workload together costs little more than timing one: the reference
// result and the emptying of the caches are shared.
constexpr std::size_t kRivals = 5;

// A workload that takes less of the network's time than this can gain nothing that counts; small
// operators are many, and their times are the hardest to take.
constexpr double kLeastShare = 0.002;

/// Measured costs as they are; predictions moved towards the lower ends of their intervals.
class OptimisticCosts final : public CostSource {
 public:
  OptimisticCosts(const CostSource& costs, double optimism) : costs_(costs), optimism_(optimism) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    Result<std::vector<Cost>> result = costs_.costs(queries);
    if (!result) return result;
    for (Cost& cost : result.value()) {
      Estimate& e = cost.estimate;
      if (cost.source != Cost::Source::predicted || e.low_ns <= 0 || e.low_ns >= e.ns) continue;
      e.ns *= std::pow(e.low_ns / e.ns, optimism_);
    }
    return result;
  }

 private:
  const CostSource& costs_;
  double optimism_;
};

/// Calls `visit(candidate)` for all that the assignment spends time on.
template <class Visit>
void for_each_used(const Problem& problem, const Assignment& assignment, Visit visit) {
  for (std::size_t op = 0; op < problem.operators.size(); ++op) {
    const Option& option = problem.operators[op][assignment.operators[op]];
    if (option.candidate >= 0) visit(problem.candidates[option.candidate]);
  }
  for (std::size_t t = 0; t < problem.tensors.size(); ++t) {
    problem.for_each_conversion(t, problem.tensors[t][assignment.tensors[t]],
                                [&](int id, Layout) { visit(problem.candidates[id]); });
  }
}

/// What the assignment uses without a time of it, and the most promising few of what might be
/// faster there; the workloads that take most of the network's time come first. A pair is named
/// once only.
std::vector<Query> contested_by(const Problem& problem, const Solution& solution,
                                std::unordered_set<std::string>& asked) {
  struct Place {
    double ns = 0, total_ns = 0;  // of one use, of all
    std::vector<const Candidate*> candidates;
  };
  std::map<int, Place> places;  // by workload
  for_each_used(problem, solution.assignment, [&](const Candidate& candidate) {
    if (candidate.cost.source == Cost::Source::measured) return;
    Place& place = places[candidate.workload];
    place.ns = candidate.cost.estimate.ns;
    place.total_ns += place.ns;
    if (!std::ranges::count(place.candidates, &candidate)) place.candidates.push_back(&candidate);
  });
  const auto name = [&](const Candidate& candidate) {
    return problem.workloads[candidate.workload].text() + '\n' + candidate.primitive->info().name;
  };
  std::erase_if(places, [&](const auto& entry) {
    return entry.second.total_ns < kLeastShare * solution.ns ||
           std::ranges::all_of(entry.second.candidates,
                               [&](const Candidate* c) { return asked.contains(name(*c)); });
  });
  std::map<int, std::vector<const Candidate*>> rivals;
  for (const Candidate& candidate : problem.candidates) {
    const auto place = places.find(candidate.workload);
    if (place == places.end() || !candidate.present() || candidate.baseline_only) continue;
    if (candidate.cost.source != Cost::Source::predicted) continue;
    if (candidate.cost.estimate.low_ns < place->second.ns) {
      rivals[candidate.workload].push_back(&candidate);
    }
  }
  std::vector<const Place*> order;
  for (auto& [workload, place] : places) {
    auto& list = rivals[workload];
    std::ranges::stable_sort(list, {}, [](const Candidate* c) { return c->cost.estimate.ns; });
    if (list.size() > kRivals) list.resize(kRivals);
    place.candidates.insert(place.candidates.end(), list.begin(), list.end());
    order.push_back(&place);
  }
  std::ranges::stable_sort(order, std::greater(), &Place::total_ns);
  std::vector<Query> result;
  for (const Place* place : order) {
    for (const Candidate* candidate : place->candidates) {
      if (!asked.insert(name(*candidate)).second) continue;
      result.push_back({&problem.workloads[candidate->workload], &candidate->primitive->info()});
    }
  }
  return result;
}

}  // namespace

Result<Refinement> refine(const Network& network, const Registry& registry, const CostSource& costs,
                          const SelectOptions& options, const MeasureContested& measure) {
  Refinement result;
  const CostSource* known = &costs;
  // A time that was cut short leaves its prediction standing; it is not asked for again.
  std::unordered_set<std::string> asked;
  for (const double optimism : kOptimism) {
    for (;;) {
      const OptimisticCosts optimistic(*known, optimism);
      Result<Problem> problem = build_problem(network, registry, optimistic, options.limits);
      if (!problem) return problem.error();
      Result<Solution> solution = solve(*problem, options.time_limit);
      if (!solution) return solution.error();
      const std::vector<Query> contested = contested_by(*problem, *solution, asked);
      if (contested.empty()) break;
      result.asked += contested.size();
      ++result.rounds;
      Result<const CostSource*> measured = measure(contested);
      if (!measured) return measured.error();
      if (*measured == nullptr) return result;
      known = *measured;
      const auto costs_now = known->costs(contested);
      if (!costs_now) return costs_now.error();
      result.timed += static_cast<std::size_t>(
          std::ranges::count(*costs_now, Cost::Source::measured, &Cost::source));
    }
  }
  result.settled = true;
  return result;
}

}  // namespace convopt
