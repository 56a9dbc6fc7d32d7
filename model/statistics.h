// Robust statistics of predictions.
#pragma once

#include <span>
#include <vector>

#include "core/statistics.h"

namespace convopt::statistics {

using convopt::median;

double mean(std::span<const double> values);  ///< 0 if empty

/// Smallest value whose cumulated weight reaches `share` of the total. `values` is not empty.
struct Weighted {
  double value = 0, weight = 1;
};
double weighted_quantile(std::vector<Weighted> values, double share);

/// Rank correlation; ties share their mean rank. 0 if either side is constant.
double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace convopt::statistics
