// Everything in a trained model except the trees.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convopt/model.hpp"
#include "convopt/transfer.hpp"
#include "model/booster.h"
#include "model/categories.h"
#include "model/ensemble.h"
#include "model/intervals.h"
#include "model/prior_features.h"

namespace convopt {

/// Smallest and largest range_coordinates() seen, by operation.
using SeenRanges = std::map<std::string, std::pair<std::vector<double>, std::vector<double>>>;
SeenRanges seen_ranges(const Dataset& data);

ModelInfo describe(const Dataset& data, std::uint64_t seed);
/// One machine measured on two days is described twice and named once.
void name_platform(ModelInfo& info, const Platform& platform);

/// Intercept and trees of these rows: log(time / analytic time).
Result<std::vector<double>> log_ratios(const PriorFeatures& priors, const Trees& trees,
                                       const Dataset& data, std::span<const std::size_t> rows);

struct ModelParts {
  ModelInfo info;
  CategoryCodes codes = CategoryCodes::current();
  std::vector<Platform> platforms;
  PriorFeatures priors;
  Ensemble ensemble;                   ///< how predictions are put together
  std::optional<LinearCosts> adapted;  ///< of the platform it was transferred to
  Intervals intervals;
  SeenRanges ranges;
  ModelScores holdout;
  BoosterParameters parameters;
  std::string method;  ///< `trained`, or how it was transferred and from which model

  /// Never null.
  Result<const LinearCosts*> costs_near(const Platform& platform) const {
    if (adapted) return &*adapted;
    return priors.costs_near(platform);
  }
};

}  // namespace convopt
