#include "model/stacking.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

namespace convopt {
namespace {

/// Two primitives on each of a number of workloads, and the held-out errors of two predictors.
struct Stacked {
  Dataset data;
  std::array<std::vector<double>, 2> errors;

  /// Each predictor errs by the same on all workloads: of the first primitive, of the second one.
  Stacked(int workloads, std::array<double, 2> first, std::array<double, 2> second) {
    for (int w = 0; w < workloads; ++w) {
      for (std::size_t p = 0; p < 2; ++p) {
        Sample sample;
        sample.workload = static_cast<std::size_t>(w);
        sample.primitive = p;
        data.samples.push_back(sample);
        errors[0].push_back(first[p]);
        errors[1].push_back(second[p]);
      }
    }
  }
  std::vector<double> weights(std::array<double, 2> prior = {1, 0}) const {
    const std::array<std::span<const double>, 2> both{errors[0], errors[1]};
    return stacking_weights(data, data.all_rows(), both, prior);
  }
};

TEST(Stacking, FewSmallDifferencesLeaveThePrior) {
  // Three shapes, on which the first ranks worse by 5 %: that may be noise.
  const auto weights = Stacked(3, {0.025, -0.025}, {0, 0}).weights();
  EXPECT_GT(weights[0], 0.9);
  EXPECT_NEAR(weights[0] + weights[1], 1, 1e-9);
}

TEST(Stacking, LargeDifferencesOfAsFewShapesOverruleIt) {
  const auto weights = Stacked(3, {1, -1}, {0.1, -0.1}).weights();
  EXPECT_LT(weights[0], 0.35);
}

TEST(Stacking, ManySmallDifferencesDoSo) {
  const auto few = Stacked(3, {0.2, -0.2}, {0, 0}).weights();
  const auto many = Stacked(300, {0.2, -0.2}, {0, 0}).weights();
  EXPECT_GT(few[0], 0.8);
  EXPECT_LT(many[0], 0.15);
}

TEST(Stacking, AnErrorInCommonCountsLessThanADifference) {
  // The first is right about which is faster, and wrong about both times.
  const auto weights = Stacked(100, {0.3, 0.3}, {0.2, -0.2}).weights({0.5, 0.5});
  EXPECT_GT(weights[0], 0.6);
}

TEST(Stacking, OppositeErrorsCancel) {
  const auto weights = Stacked(1000, {0.3, -0.3}, {-0.1, 0.1}).weights();
  EXPECT_NEAR(weights[0], 0.25, 0.02);
}

TEST(Stacking, BoundsAreNoEvidence) {
  Stacked bounds(100, {0.5, -0.5}, {0, 0});
  for (Sample& sample : bounds.data.samples) sample.censored = true;
  EXPECT_NEAR(bounds.weights()[0], 1, 1e-9);
}

}  // namespace
}  // namespace convopt
