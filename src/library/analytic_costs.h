// Times without a model or measurements.
#pragma once

#include <vector>

#include "core/work.h"
#include "model/analytic.h"
#include "src/select/costs.h"

namespace convopt {

/// What a primitive takes by its operation counts. A library's primitive of an unknown algorithm
/// has none of its own and is taken to be slow, so that others are preferred.
class AnalyticCosts final : public CostSource {
 public:
  explicit AnalyticCosts(const Platform& platform) : machine_(Capabilities::of(platform)) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    constexpr double kUnknownAlgorithm = 4;
    std::vector<Cost> costs;
    for (const Query& query : queries) {
      const WorkEstimate work = estimate_work(*query.workload, *query.primitive, machine_.vector);
      const bool is_unknown = query.primitive->traits.algorithm == Algorithm::unknown;
      const double ns =
          analytic_time(work, machine_, TimingMode::warm).ns * (is_unknown ? kUnknownAlgorithm : 1);
      costs.push_back({Cost::Source::predicted, {ns, ns, ns}, {}});
    }
    return costs;
  }

 private:
  Capabilities machine_;
};

}  // namespace convopt
