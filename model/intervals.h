// Prediction intervals of a given coverage, from errors on held-out shapes (conformal prediction).
#pragma once

#include <map>
#include <span>
#include <string>

#include "model/dataset.h"

namespace convopt {

/// The share of times that lies inside the intervals: 90 %.
inline constexpr double kCoverage = 0.9;

/// Quantiles of log(measured / predicted), by operation, in units of what a primitive's errors
/// usually are, so that a primitive that is harder to predict has wider intervals (normalised
/// conformal prediction; Papadopoulos et al. 2011). Every group of shapes weighs the same however
/// many primitives were timed on it, because shapes, not rows, are drawn independently.
struct Intervals {
  struct Range {
    double low = 0, high = 0;
  };
  Range pooled;
  std::map<std::string, Range> by_op;  ///< operations with enough groups
  /// Mean error of a primitive over that of its operation, shrunk to 1.
  std::map<std::string, double, std::less<>> width;

  /// `errors` belongs to `rows`, one held-out log(measured / predicted) each.
  static Intervals fit(const Dataset& data, std::span<const std::size_t> rows,
                       std::span<const double> errors);
  /// Measured on groups whose errors were left out of the fit, fold by fold.
  static double coverage(const Dataset& data, std::span<const std::size_t> rows,
                         std::span<const double> errors, std::span<const int> fold_of_group,
                         int folds);
  Range of(const PrimitiveInfo& primitive) const;

 private:
  double width_of(const PrimitiveInfo& primitive) const;
};

}  // namespace convopt
