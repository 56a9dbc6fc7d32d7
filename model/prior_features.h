// Features of a primitive that are fitted before the trees: its intercept, and what its linear cost
// model predicts. Cost models hold beyond the shapes seen; the trees learn where and how far they
// can be trusted.
#pragma once

#include <map>
#include <span>
#include <string>

#include "model/deferred.h"
#include "model/intercepts.h"
#include "model/linear_cost.h"

namespace convopt {

using DeferredCosts = Deferred<LinearCosts>;

struct PriorFeatures {
  Intercepts intercepts;
  DeferredCosts costs{LinearCosts{}};  ///< of all platforms together
  /// By platform identifier, drawn to the common ones.
  std::map<std::string, DeferredCosts, std::less<>> of_platform;

  static PriorFeatures fit(const Dataset& data, std::span<const std::size_t> rows);
  /// Null for a platform that was never seen.
  Result<const LinearCosts*> costs_of(const Platform& platform) const;
  /// That platform's, else the common ones. Never null.
  Result<const LinearCosts*> costs_near(const Platform& platform) const;
};

/// Fills in the last columns of a row of features: see feature_names(). Without a cost model, its
/// columns stay empty.
void write_prior_features(double intercept, const LinearCost* cost, const CostTerms& terms,
                          double log_expected, std::span<float> row);

/// Rows that the trees see without a cost model.
enum class Hide : std::uint8_t {
  unseen_platforms,  ///< those of platforms that have none
  also_some,         ///< and some shapes of others: trees learn from these to do without
};
/// The rows as the trees see them: features with the prior features of each primitive filled in.
Result<FeatureMatrix> select_rows(const Dataset& data, std::span<const std::size_t> rows,
                                  const PriorFeatures& priors, Hide hide = Hide::unseen_platforms);

}  // namespace convopt
