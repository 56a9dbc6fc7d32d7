#include "core/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace convopt {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double quantile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(values.size()));
  const auto chosen =
      values.begin() + static_cast<std::ptrdiff_t>(std::min(rank, values.size() - 1));
  std::nth_element(values.begin(), chosen, values.end());
  return *chosen;
}

double median_deviation(const std::vector<double>& values, double center) {
  std::vector<double> deviations;
  deviations.reserve(values.size());
  for (const double value : values) deviations.push_back(std::abs(value - center));
  return median(std::move(deviations));
}

double relative_uncertainty(const std::vector<double>& values) {
  if (values.size() < 3) return std::numeric_limits<double>::infinity();
  // For normal noise, sigma = 1.4826 MAD, and the median's standard error is 1.2533 sigma /
  // sqrt(n).
  constexpr double kSigmaPerDeviation = 1.4826, kMedianEfficiency = 1.2533;
  const double center = median(values);
  return kMedianEfficiency * kSigmaPerDeviation * median_deviation(values, center) /
         std::sqrt(static_cast<double>(values.size())) / center;
}

}  // namespace convopt
