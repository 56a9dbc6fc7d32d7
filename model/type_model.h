// The model of one arithmetic type: expected time x intercept of the primitive x boosted trees,
// corrected for the platform it was transferred to, with intervals.
#pragma once

#include <span>
#include <vector>

#include "convopt/model.hpp"
#include "model/model_parts.h"

namespace convopt {

class TypeModel {
 public:
  TypeModel(ModelParts parts, Trees trees) : parts_(std::move(parts)), trees_(std::move(trees)) {}
  /// Predicts what is expected, without a correction, for primitives that `base` may have learnt.
  static Result<TypeModel> without_correction(const TypeModel& base, const Platform& platform);

  const ModelParts& parts() const { return parts_; }
  const Trees& trees() const { return trees_; }

  /// `expected`: logarithms of times, one per query; empty: of analytic times.
  Result<std::vector<Estimate>> predict(std::span<const Query> queries, const Platform& platform,
                                        std::span<const double> expected = {}) const;
  /// Intercept and trees of these rows: log(time / expected time), before the ensemble.
  Result<std::vector<double>> log_ratios(const Dataset& data,
                                         std::span<const std::size_t> rows) const {
    return convopt::log_ratios(parts_.priors, trees_, data, rows);
  }

 private:
  Result<std::vector<Estimate>> predict_part(std::span<const Query> queries,
                                             const Platform& platform,
                                             std::span<const double> expected) const;

  ModelParts parts_;
  Trees trees_;
};

/// The data with this model's predictions as expected times.
Result<Dataset> expect(const TypeModel& base, Dataset data);

}  // namespace convopt
