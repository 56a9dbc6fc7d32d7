#include "src/runtime/difference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace convopt {

Difference difference(std::span<const float> result, std::span<const float> expected) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double error = 0, low = kInfinity, high = -kInfinity;
  double product = 0, result_square = 0, expected_square = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double got = result[i], want = expected[i];
    if (!std::isfinite(got) || !std::isfinite(want)) {
      if (got == want || (std::isnan(got) && std::isnan(want))) continue;
      return {kInfinity, -1};
    }
    error = std::max(error, std::abs(got - want));
    low = std::min(low, want);
    high = std::max(high, want);
    product += got * want;
    result_square += got * got;
    expected_square += want * want;
  }
  if (error == 0) return {};
  double range = high - low;
  if (range == 0) range = std::abs(high);
  if (range == 0) range = 1;
  const double lengths = std::sqrt(result_square) * std::sqrt(expected_square);
  // Nothing points nowhere. Rounding may put a cosine above 1.
  return {error / range, lengths > 0 ? std::min(product / lengths, 1.0) : 0};
}

Difference worse(const Difference& a, const Difference& b) {
  return {std::max(a.error, b.error), std::min(a.cosine, b.cosine)};
}

}  // namespace convopt
