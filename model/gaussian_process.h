// Gaussian process over a workload's sizes for the residuals of a prediction: a sum of processes,
// one common to all primitives, one per operation, per kind of primitive and per primitive, fitted
// together. Away from the samples it fades to what is the same for all sizes.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/dataset.h"

namespace convopt {

inline constexpr int kSizeCoordinates = 5;
/// Logarithms of sizes, scaled so that a distance of one is a length over which times behave alike.
using SizePoint = std::array<double, kSizeCoordinates>;
SizePoint size_point(const Workload& workload);

struct GaussianProcess {
  std::vector<SizePoint> points;
  /// By operation, kind and name of a primitive, and `all`: one factor per point of its kernel,
  /// then one that is the same everywhere.
  std::map<std::string, std::vector<double>, std::less<>> factors;

  /// `residuals[i]` is the log(measured / expected) of row `rows[i]`.
  static GaussianProcess fit(const Dataset& data, std::span<const std::size_t> rows,
                             std::span<const double> residuals);

  bool empty() const { return factors.empty(); }
  /// Kernel between a point and all of `points`, then a 1: once per workload.
  std::vector<double> kernels(const SizePoint& point) const;
  /// A primitive's factors, of all levels together; empty if none says anything about it.
  std::vector<double> of(const PrimitiveInfo& primitive) const;
  void scale(double weight);
};

}  // namespace convopt
