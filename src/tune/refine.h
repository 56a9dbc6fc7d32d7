// Refinement of a plan: measures the primitives that could change it, so that measurements decide
// where it matters and predictions where it does not.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/primitive.hpp"
#include "src/select/select.h"

namespace convopt {

/// Measures these pairs, the most important first, and returns the costs known thereafter; null if
/// no time was left. Costs that it returned earlier are not used again.
using MeasureContested = std::function<Result<const CostSource*>(std::span<const Query> contested)>;

struct Refinement {
  std::size_t asked = 0;  ///< pairs of primitive and workload that were to be timed
  std::size_t timed = 0;  ///< pairs among them that were timed
  int rounds = 0;         ///< rounds of measuring and planning again
  /// No primitive without a time could make a better plan, if the intervals of predictions hold.
  bool settled = false;
};

/// Costs to plan a network with once some of its pairs are timed: times, and predictions that are
/// corrected by those times (src/tune/bias_correction.h). Uncertain predictions have a risk factor
/// (Cost::risk_factor), so that certain ones are preferred.
/// `costs`: measured before predicted times. All sources outlive the result.
Result<std::shared_ptr<const CostSource>> corrected_by_times(
    const Network& network, const Registry& registry, const std::set<DataType>& types,
    const CostSource& costs, const CostSource& predicted, const CostSource& measured);

/// Plans, measures the plan's primitives that have no time and likely faster rivals, and plans
/// again. The times correct the remaining predictions. Once the best plan consists of measured
/// times, predictions are moved step by step to the lower ends of their intervals, and each plan
/// that results is measured, too; the last one by the uncorrected predictions. This is best-arm
/// identification by confidence bounds (Kalyanakrishnan et al., ICML 2012) with a whole plan as the
/// arm, so that layouts and fusions count. Operators below a five-hundredth of the plan's time are
/// left to predictions.
Result<Refinement> refine(const Network& network, const Registry& registry, const CostSource& costs,
                          const SelectOptions& options, const MeasureContested& measure);

}  // namespace convopt
