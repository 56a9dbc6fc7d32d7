// The performance model: analytic time x effect of the primitive x boosted trees, corrected for the
// platform it was transferred to, with intervals. Saved as one XGBoost model that carries the rest.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convopt/model.hpp"
#include "model/background.h"
#include "model/blend.h"
#include "model/booster.h"
#include "model/dataset.h"
#include "model/intervals.h"

namespace convopt {

/// Smallest and largest range_coordinates() seen, by operation.
using SeenRanges = std::map<std::string, std::pair<std::vector<double>, std::vector<double>>>;
SeenRanges seen_ranges(const Dataset& data);

ModelInfo describe(const Dataset& data, std::uint64_t seed);

/// On workloads that were held out.
struct HoldoutScores {
  double mdrae = 0;  ///< median of |predicted - measured| / measured
  double within_10_percent = 0;
  double spearman = 0;
  double regret = 0;  ///< time of the predicted best over time of the best, summed
};

struct ModelParts {
  ModelInfo info;
  CategoryCodes codes = CategoryCodes::current();
  std::vector<Platform> platforms;
  Background background;
  Blend blend;                  ///< how predictions are put together
  std::optional<Laws> adapted;  ///< of the platform it was transferred to
  Intervals intervals;
  SeenRanges ranges;
  HoldoutScores holdout;
  BoosterParameters parameters;
  std::string method;  ///< `trained`, or how it was transferred

  const Laws& laws_of(const Platform& platform) const {
    return adapted ? *adapted : background.laws_near(platform);
  }
};

class TrainedModel final : public PerformanceModel {
 public:
  /// Computes the identifier from the content.
  static Result<std::unique_ptr<TrainedModel>> create(ModelParts parts, Booster booster);
  static Result<std::unique_ptr<TrainedModel>> load(const std::filesystem::path& path);
  /// `what` names the file in errors.
  static Result<std::unique_ptr<TrainedModel>> parse(std::string bytes, const std::string& what);

  const ModelInfo& info() const override { return parts_.info; }
  Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                        const Platform& platform) const override;
  Result<void> save(const std::filesystem::path& path) const override;

  const ModelParts& parts() const { return parts_; }
  /// The file that save() writes; Booster::deserialize() makes a copy of the trees from it.
  const std::string& bytes() const { return bytes_; }
  /// What effects and trees say about these rows: log(time / analytic time), before the blend.
  Result<std::vector<double>> log_ratios(const Dataset& data,
                                         std::span<const std::size_t> rows) const;

 private:
  TrainedModel(ModelParts parts, Booster booster, std::string bytes)
      : parts_(std::move(parts)), booster_(std::move(booster)), bytes_(std::move(bytes)) {}

  ModelParts parts_;
  Booster booster_;
  std::string bytes_;  ///< the file
};

/// Which rows trees see without a law.
enum class Hide : std::uint8_t {
  unseen_platforms,  ///< those of platforms that have none
  also_some,         ///< and some shapes of others: trees learn from these what to do without
};
/// The rows as the trees see them: features with the background of each primitive filled in.
FeatureMatrix select_rows(const Dataset& data, std::span<const std::size_t> rows,
                          const Background& background, Hide hide = Hide::unseen_platforms);

}  // namespace convopt
