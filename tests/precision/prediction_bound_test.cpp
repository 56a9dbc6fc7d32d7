// What other inputs err, by what some do.
#include "src/tune/prediction_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace convopt::testing {
namespace {

TEST(PredictionBound, QuantilesAreThoseOfTables) {
  const std::vector<std::pair<std::size_t, double>> table = {
      {3, 4.541}, {4, 3.747}, {7, 2.998}, {15, 2.602}, {31, 2.453}, {1000, 2.330}};
  for (const auto& [degrees, quantile] : table)
    EXPECT_NEAR(student_quantile_99(degrees), quantile, 0.005 * quantile) << degrees;
  EXPECT_NEAR(student_quantile_99(2), 6.965, 0.03 * 6.965);
}

/// Differences whose logarithms are normal.
std::vector<Difference> drawn(std::mt19937_64& random, std::size_t count, double deviation) {
  std::lognormal_distribution<double> error(std::log(1e-2), deviation);
  std::vector<Difference> result;
  for (std::size_t i = 0; i < count; ++i) {
    const double one = error(random);
    result.push_back({one, 1 - one * one / 2});
  }
  return result;
}

TEST(PredictionBound, OneInAHundredOthersIsBeyondIt) {
  std::mt19937_64 random(7);
  for (const std::size_t count : {3, 4, 8, 32}) {
    constexpr int kTrials = 20000;
    int beyond = 0, beyond_cosine = 0;
    for (int i = 0; i < kTrials; ++i) {
      const Difference bound = prediction_bound(drawn(random, count, 0.8));
      const Difference next = drawn(random, 1, 0.8).front();
      beyond += next.error > bound.error ? 1 : 0;
      beyond_cosine += next.cosine < bound.cosine ? 1 : 0;
    }
    EXPECT_NEAR(double(beyond) / kTrials, 0.01, 0.003) << count;
    EXPECT_NEAR(double(beyond_cosine) / kTrials, 0.01, 0.003) << count;
  }
}

TEST(PredictionBound, IsNeverBelowWhatWasSeen) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 100; ++i) {
    // One far from the others, as a normal distribution would not have it.
    std::vector<Difference> differences = drawn(random, 30, 0.01);
    differences.push_back({1, -0.5});
    const Difference bound = prediction_bound(differences);
    EXPECT_GE(bound.error, 1);
    EXPECT_LE(bound.cosine, -0.5);
  }
}

TEST(PredictionBound, FewInputsAndSuchThatErrNothing) {
  EXPECT_EQ(prediction_bound({}).error, 0);
  const std::vector<Difference> two = {{0.01, 0.999}, {0.03, 0.99}};
  EXPECT_EQ(prediction_bound(two).error, 0.03);
  EXPECT_EQ(prediction_bound(two).cosine, 0.99);
  const std::vector<Difference> exact(5);
  EXPECT_EQ(prediction_bound(exact).error, 0);
  EXPECT_EQ(prediction_bound(exact).cosine, 1);
  // Zeros say nothing of the size of the others.
  std::vector<Difference> some = {{0.01, 0.999}, {0.011, 0.999}, {0.012, 0.999}};
  const Difference bound = prediction_bound(some);
  EXPECT_GT(bound.error, 0.013);
  some.resize(20);
  EXPECT_EQ(prediction_bound(some).error, bound.error);
  some.push_back({std::numeric_limits<double>::infinity(), -1});
  EXPECT_TRUE(std::isinf(prediction_bound(some).error));
}

}  // namespace
}  // namespace convopt::testing
