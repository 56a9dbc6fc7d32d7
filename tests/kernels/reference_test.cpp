// What the reference itself promises.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "primitives/reference/reference.h"
#include "tests/kernels/special_values.h"

namespace convopt {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

double error(std::vector<float> result, std::vector<float> expected) {
  const TensorShape shape = {static_cast<int>(result.size())};
  return reference::max_relative_error(TensorView::dense(result.data(), shape, Layout::nchw),
                                       TensorView::dense(expected.data(), shape, Layout::nchw));
}

TEST(MaxRelativeError, IsOfTheLargestExpectedValue) {
  EXPECT_EQ(error({1, 2, 4}, {1, 2, 4}), 0);
  EXPECT_EQ(error({1, 3, 4}, {1, 2, 4}), 0.25);
  EXPECT_EQ(error({0, 1}, {0, 0}), kInfinity);
}

TEST(MaxRelativeError, ValuesThatAreNotFiniteMustBeTheSame) {
  EXPECT_EQ(error({kInfinity, 2, kNone}, {kInfinity, 2, kNone}), 0);
  EXPECT_EQ(error({kInfinity, 2}, {-kInfinity, 2}), kInfinity);
  EXPECT_EQ(error({kNone, 2}, {1, 2}), kInfinity);
  EXPECT_EQ(error({1, 2}, {kNone, 2}), kInfinity);
  EXPECT_EQ(error({3, kInfinity}, {2, kInfinity}), 0.5);
}

/// The condition of an operation of this source, without a bias.
double condition(const Workload& workload, std::vector<float> source,
                 const std::vector<float>& weights) {
  const std::vector<float> bias(static_cast<std::size_t>(workload.bias_elements()), 0);
  const Parameters parameters = {std::span<const float>(weights), std::span<const float>(bias)};
  const TensorView sources[] = {TensorView::dense(source.data(), workload.source(0), Layout::nchw)};
  std::vector<float> result(static_cast<std::size_t>(workload.output().elements()));
  const TensorView expected = TensorView::dense(result.data(), workload.output(), Layout::nchw);
  reference::run(workload, parameters, {sources, expected, {}, nullptr});
  return reference::condition(workload, parameters, sources, expected);
}

/// With weights of one.
double condition(const Workload& workload, std::vector<float> source) {
  return condition(workload, std::move(source),
                   std::vector<float>(static_cast<std::size_t>(workload.weight_elements()), 1));
}

TEST(Condition, IsLargeWhereNumbersCancel) {
  const Workload norm = Workload::layer_norm({1, 3, 1, 1}, 1e-9F);
  EXPECT_LT(condition(norm, {1, 2, 3}), 8);
  EXPECT_GT(condition(norm, {1, 1.001F, 1.002F}), 500);
  const Workload conv =
      Workload::conv(ConvShape::parse("n1_ic2_ih1_iw1_oc1_kh1_kw1_s1_p0").value());
  EXPECT_LT(condition(conv, {1, 2}), 4);
  EXPECT_NEAR(condition(conv, {1, -0.999F}), 1999, 2);
}

TEST(Condition, CountsWhatAnActivationHides) {
  Workload conv = Workload::conv(ConvShape::parse("n1_ic2_ih1_iw2_oc1_kh1_kw1_s1_p0").value());
  conv.epilogue.activation = {ActivationKind::relu};
  // The pixels are -200 and 1.
  EXPECT_EQ(condition(conv, {-100, 0.5F, -100, 0.5F}), 200);
}

TEST(Condition, IsLargeWhereTermsAreAllAlike) {
  const Workload conv =
      Workload::conv(ConvShape::parse("n1_ic900_ih1_iw1_oc1_kh1_kw1_s1_p0").value());
  const std::vector<float> ones(900, 1);
  // Weights of one: 900 additions, each of which may round the same way.
  EXPECT_EQ(condition(conv, ones), condition_of_equal_terms(conv));
  EXPECT_NEAR(error_bound(conv, {}, condition(conv, ones)) / 0x1p-24, 900, 200);
  std::vector<float> weights = ones;
  weights.back() = 0.5F;
  EXPECT_LT(condition(conv, ones, weights), 2);
}

TEST(Condition, IsZeroWhereNothingIsSummed) {
  EXPECT_EQ(condition(Workload::pointwise(Op::activation, {4}, {false, {ActivationKind::floor}}),
                      {1, 2, 3, 4}),
            0);
}

TEST(Reference, ReadsAndWritesViewsOfAnyStrides) {
  std::array<float, 12> from = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  TensorView every_second = TensorView::dense(from.data(), {2, 3}, Layout::nchw);
  every_second.strides = {6, 2};
  std::array<float, 6> to{};
  TensorView turned = TensorView::dense(to.data(), {2, 3}, Layout::nchw);
  turned.strides = {1, 2};
  const TensorView sources[] = {every_second};
  reference::run(Workload::pointwise(Op::convert, {2, 3}), {}, {sources, turned, {}, nullptr});
  EXPECT_EQ(to, (std::array<float, 6>{0, 6, 2, 8, 4, 10}));
}

}  // namespace
}  // namespace convopt
