// A smooth function of a workload's sizes that says what laws leave unexplained: a Gaussian process
// common to an operation, one per kind of primitive, one per primitive, each on what the wider one
// leaves. How much each may say follows from the samples; it fades away from them.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/dataset.h"

namespace convopt {

inline constexpr int kFieldCoordinates = 5;
/// Logarithms of sizes, scaled so that a distance of one is a length over which times behave alike.
using FieldPoint = std::array<double, kFieldCoordinates>;
FieldPoint field_point(const Workload& workload);

struct Field {
  std::vector<FieldPoint> points;
  /// By operation, kind and name of a primitive: one factor per point of its kernel.
  std::map<std::string, std::vector<double>, std::less<>> factors;

  /// `residuals[i]` is the log(measured / expected) of row `rows[i]`.
  static Field fit(const Dataset& data, std::span<const std::size_t> rows,
                   std::span<const double> residuals);

  bool empty() const { return factors.empty(); }
  /// Kernel between a point and all of `points`: once per workload.
  std::vector<double> kernels(const FieldPoint& point) const;
  /// A primitive's factors, of all levels together; empty if none says anything about it.
  std::vector<double> of(const PrimitiveInfo& primitive) const;
  void scale(double weight);
};

}  // namespace convopt
