// Linear cost models, one per primitive: a time is a sum of costs that cannot be negative, each
// counted from the shape and turned into nanoseconds by what the platform can do. Few samples
// support the few coefficients, and because a coefficient means the same on every platform, those
// of one machine are a prior for those of the next.
#pragma once

#include <map>
#include <span>
#include <string>

#include "model/dataset.h"

namespace convopt {

struct LinearCost {
  std::array<double, kCostTerms> coefficients{};

  double log_ns(const CostTerms& terms) const;
  LinearCost times(const LinearCost& factors) const;
  LinearCost scaled(double factor) const;
};

struct CostSample {
  CostTerms terms{};
  double log_ns = 0;
  double weight = 1;
  bool lower_bound = false;  ///< the truth is `log_ns` or more
};

/// Non-negative least squares on the logarithm of times, with a Huber loss and a Gaussian prior on
/// the coefficients. `deviation` is the prior's standard deviation relative to its coefficients,
/// which are not all zero. Without samples: the prior.
LinearCost fit_linear_cost(std::span<const CostSample> samples, const LinearCost& prior,
                           double deviation);

/// One cost model per primitive, and one per kind and operation for primitives that were never
/// timed.
struct LinearCosts {
  std::map<std::string, LinearCost, std::less<>> by_primitive, by_kind, by_op;
  std::map<std::string, std::string, std::less<>> op_of_primitive;

  /// From nothing but these samples.
  static LinearCosts fit(const Dataset& data, std::span<const std::size_t> rows);
  /// From another machine's cost models: one factor, then a factor for each term per operation,
  /// then each primitive's own coefficients with the standard deviation `deviation` around that.
  /// With `beyond`, one per row, they are fitted to the logarithms of times less `share` of it.
  static LinearCosts adapt(const LinearCosts& source, const Dataset& data,
                           std::span<const std::size_t> rows, double deviation,
                           std::span<const double> beyond = {}, double share = 0);

  LinearCost of(const PrimitiveInfo& primitive) const;
};

}  // namespace convopt
