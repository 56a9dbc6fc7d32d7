// The performance model: analytic time x intercept of the primitive x boosted trees, corrected for
// the platform it was transferred to, with intervals. Saved as one XGBoost model that carries the
// rest (model/model_file.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convopt/model.hpp"
#include "model/model_parts.h"

namespace convopt {

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
  /// Intercept and trees of these rows: log(time / analytic time), before the ensemble.
  Result<std::vector<double>> log_ratios(const Dataset& data,
                                         std::span<const std::size_t> rows) const;

 private:
  TrainedModel(ModelParts parts, Booster booster, std::string bytes)
      : parts_(std::move(parts)), booster_(std::move(booster)), bytes_(std::move(bytes)) {}

  ModelParts parts_;
  Booster booster_;
  std::string bytes_;  ///< the file
};

}  // namespace convopt
