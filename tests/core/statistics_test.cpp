#include "core/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "profiler/random.h"

namespace convopt {
namespace {

TEST(Statistics, MedianOfOddEvenAndNothing) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median({}), 0);
}

TEST(Statistics, DeviationIgnoresOneOutlier) {
  EXPECT_EQ(median_deviation({10, 11, 9, 10, 1000}, 10), 1);
}

TEST(Statistics, QuantileIsAnElement) {
  EXPECT_EQ(quantile({5, 1, 4, 2, 3}, 0.25), 2);
  EXPECT_EQ(quantile({5, 1, 4, 2, 3}, 1.0), 5);
}

TEST(Statistics, UncertaintyFallsWithTheRootOfTheSampleCount) {
  // Normal noise of 5 %: the relative standard error of the median of n is 0.0627 / sqrt(n).
  Random random(7);
  const auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.unit();
    return sum;
  };
  std::vector<double> samples;
  for (int i = 0; i < 4000; ++i) samples.push_back(100 + 5 * normal());
  EXPECT_NEAR(relative_uncertainty(samples), 0.0627 / std::sqrt(4000.0), 1e-4);
  samples.resize(1000);
  EXPECT_NEAR(relative_uncertainty(samples), 0.0627 / std::sqrt(1000.0), 2.5e-4);
  EXPECT_TRUE(std::isinf(relative_uncertainty({1, 1})));
  EXPECT_EQ(relative_uncertainty({1, 1, 1}), 0);
}

}  // namespace
}  // namespace convopt
