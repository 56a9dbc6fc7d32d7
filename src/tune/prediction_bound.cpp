#include "src/tune/prediction_bound.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace convopt {
namespace {

/// Of values that are log-normal. Those below `noise` are rounding errors of the reference, and do
/// not count.
double bound_of(std::span<const double> values, double noise) {
  const double worst = *std::ranges::max_element(values);
  std::vector<double> logarithms;
  for (const double value : values) {
    if (value > noise) logarithms.push_back(std::log(value));
  }
  if (logarithms.size() < kLeastForBound || std::isinf(worst)) return worst;
  const auto count = static_cast<double>(logarithms.size());
  const double mean = std::accumulate(logarithms.begin(), logarithms.end(), 0.0) / count;
  double squares = 0;
  for (const double value : logarithms) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / (count - 1));
  const double quantile = student_quantile_99(logarithms.size() - 1);
  return std::max(worst, std::exp(mean + quantile * deviation * std::sqrt(1 + 1 / count)));
}

}  // namespace

double student_quantile_99(std::size_t degrees_of_freedom) {
  constexpr double z = 2.3263478740408408;  // of the normal distribution
  constexpr double z2 = z * z;
  const auto n = static_cast<double>(degrees_of_freedom);
  const double first = (z2 + 1) * z / 4;
  const double second = ((5 * z2 + 16) * z2 + 3) * z / 96;
  const double third = (((3 * z2 + 19) * z2 + 17) * z2 - 15) * z / 384;
  const double fourth = ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) * z / 92160;
  return z + (first + (second + (third + fourth / n) / n) / n) / n;
}

Difference prediction_bound(std::span<const Difference> differences) {
  if (differences.empty()) return {};
  std::vector<double> errors, distances;
  for (const Difference& d : differences) {
    errors.push_back(d.error);
    distances.push_back(1 - d.cosine);
  }
  // Sums in f32 have errors of that order in any order of summands; the cosine is of their squares.
  constexpr double kNoise = 1e-7;
  return {bound_of(errors, kNoise), 1 - bound_of(distances, kNoise * kNoise)};
}

}  // namespace convopt
