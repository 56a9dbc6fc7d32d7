#include "model/model_parts.h"

#include <algorithm>
#include <set>

#include "core/try.h"
#include "model/features.h"

namespace convopt {

void name_platform(ModelInfo& info, const Platform& platform) {
  if (std::ranges::count(info.platforms, platform.id()) == 0) {
    info.platforms.push_back(platform.id());
  }
}

SeenRanges seen_ranges(const Dataset& data) {
  SeenRanges ranges;
  for (const Workload& workload : data.workloads) {
    const std::vector<double> coordinates = range_coordinates(workload);
    const auto [at, inserted] =
        ranges.try_emplace(std::string(to_string(workload.op)), coordinates, coordinates);
    auto& [low, high] = at->second;
    for (std::size_t i = 0; i < coordinates.size(); ++i) {
      low[i] = std::min(low[i], coordinates[i]);
      high[i] = std::max(high[i], coordinates[i]);
    }
  }
  return ranges;
}

ModelInfo describe(const Dataset& data, std::uint64_t seed) {
  ModelInfo info;
  for (const Platform& platform : data.platforms) name_platform(info, platform);
  std::set<std::string> names;
  for (const PrimitiveInfo& primitive : data.primitives) {
    if (names.insert(primitive.name).second) info.primitives.push_back(primitive.name);
  }
  info.timing_mode = data.timing_mode;
  info.samples = data.samples.size();
  info.workloads = data.workloads.size();
  info.seed = seed;
  info.libraries = data.libraries;
  info.libraries["xgboost"] = xgboost_version();
  return info;
}

Result<std::vector<double>> log_ratios(const PriorFeatures& priors, const Trees& trees,
                                       const Dataset& data, std::span<const std::size_t> rows) {
  CONVOPT_TRY(const FeatureMatrix features, select_rows(data, rows, priors));
  CONVOPT_TRY(const std::vector<float> sums, trees.predict(features));
  std::vector<double> result(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PrimitiveInfo& primitive = data.primitives[data.samples[rows[i]].primitive];
    result[i] = priors.intercepts.of(primitive) + sums[i];
  }
  return result;
}

}  // namespace convopt
