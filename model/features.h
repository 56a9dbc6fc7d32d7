// Features of a workload, a primitive and a platform.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/categories.h"
#include "model/cost_terms.h"

namespace convopt {

/// Names in the order of the columns: the schema of a model file. A model reads those of them that
/// it was trained with.
std::span<const std::string> feature_names();

/// The last columns are prior features of the primitive: its intercept, the logarithm of its cost
/// model's time over the analytic time, and the share of each cost in that (model/prior_features).
inline constexpr std::size_t kPriorColumns = 2 + kCostTerms;

struct FeatureInput {
  const Workload* workload = nullptr;
  const PrimitiveInfo* primitive = nullptr;
  const Platform* platform = nullptr;
  const Capabilities* machine = nullptr;  ///< of `platform`
  const CategoryCodes* codes = nullptr;   ///< of the model that the row is for
  WorkEstimate work{};
  AnalyticTime time{};
};

/// Fills in work and time. Models without codes of units were trained with one peak per type.
void count_work(FeatureInput& input, TimingMode mode);

/// Writes one row of feature_names().size() values; prior features are NaN.
void write_features(const FeatureInput& input, std::span<float> row);

/// Coordinates that decide whether a workload is within the training range; all grow with size and
/// are on logarithmic scales.
inline constexpr int kRangeCount = 10;
std::vector<double> range_coordinates(const Workload& workload);

}  // namespace convopt
