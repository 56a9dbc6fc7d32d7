#include "core/quantisation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace convopt {
namespace {

TEST(Quantisation, RoundsToTheNearestAndToEvenWithinTheLimits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> steps = {0.5F,   1.5F, 2.5F,  -0.5F,     -1.5F,     254.6F,
                                    127.4F, 300,  -3e9F, kInfinity, -kInfinity};
  const std::vector<float> u8 = {0, 2, 2, 0, 0, 255, 127, 255, 0, 255, 0};
  const std::vector<float> s8 = {0, 2, 2, 0, -2, 127, 127, 127, -128, 127, -128};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(quantised(steps[i], DataType::u8), u8[i]) << steps[i];
    EXPECT_EQ(quantised(steps[i], DataType::s8), s8[i]) << steps[i];
  }
  EXPECT_EQ(quantised(std::nanf(""), DataType::s8), 0);
}

TEST(Quantisation, WeightsOfAChannelShareAScale) {
  const std::vector<float> weights = {1, -0.5F, 0.3137F, 0, 0, 0, -1e-30F, 1e-31F, 0, 3, -254, 100};
  const QuantisedWeights result = quantise_weights(weights, 4);
  EXPECT_EQ(result.scales, (std::vector<float>{1 / 127.0F, 1, 1, 2}));
  EXPECT_EQ(result.numbers,
            (std::vector<std::int8_t>{127, -64, 40, 0, 0, 0, 0, 0, 0, 2, -127, 50}));
}

TEST(Quantisation, WeightsThatAreWholeNumbersOfStepsStayThem) {
  constexpr float kStep = 0.0123F;
  std::vector<float> weights;
  const std::vector<std::int8_t> numbers = {-128, 3, 77, 100, 11, -9, 1, 0, 0};
  for (const int number : numbers) weights.push_back(static_cast<float>(number) * kStep);
  const QuantisedWeights result = quantise_weights(weights, 3);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(result.numbers[i]) * result.scales[i / 3], weights[i], 1e-6F);
  }
  EXPECT_EQ(result.numbers[0], -128);
}

TEST(Quantisation, StoringInInt8IsTheActivationThatRounds) {
  Workload workload = Workload::conv(ConvShape::parse("n1_ic8_ih8_iw8_oc8_kh1_kw1_s1_p0").value());
  workload.epilogue.activation = {ActivationKind::quantise, 0.25F, -128};
  EXPECT_EQ(activation_before_storing(workload), workload.epilogue.activation);
  EXPECT_EQ(timed_as(workload).epilogue.activation.text(), "quantise(1,0)");
  workload.output_type = DataType::s8;
  EXPECT_EQ(activation_before_storing(workload), Activation{});
  EXPECT_EQ(timed_as(workload).epilogue.activation, Activation{});
}

TEST(Quantisation, ZeroPointsShiftTheSumsOfALayer) {
  const QuantisedWeights weights{{1, 2, -4, 5}, {0.5F, 2}};
  Quantisation scales{0.25F, 3, 7, 10, 2, 11};
  // -3 * 2 of the residual, -0.25 * 10 * 0.5 * (1 + 2) and -0.25 * 10 * 2 * (-4 + 5) of the source.
  EXPECT_EQ(zero_point_shifts(weights, scales, true, false), (std::vector<float>{-9.75F, -11}));
  EXPECT_EQ(zero_point_shifts(weights, scales, true, true), (std::vector<float>{67.25F, 66}));
  EXPECT_EQ(zero_point_shifts(weights, scales, false, false), (std::vector<float>{-6, -6}));
}

TEST(Quantisation, WhoMindsZeroPoints) {
  const auto minds = [](const char* text) {
    return minds_zero_points(Workload::parse(text).value());
  };
  EXPECT_TRUE(minds("conv:n1_ic8_ih8_iw8_oc8_kh3_kw3_s1_p1_u8"));
  EXPECT_FALSE(minds("conv:n1_ic8_ih8_iw8_oc8_kh3_kw3_s1_p0_u8"));
  EXPECT_FALSE(minds("conv:n1_ic8_ih8_iw8_oc8_kh3_kw3_s1_p1"));
  EXPECT_TRUE(minds("convert:n1_c8_h8_w8_u8_f32"));
  EXPECT_FALSE(minds("convert:n1_c8_h8_w8_u8"));
  EXPECT_FALSE(minds("conv:n1_ic8_ih8_iw8_oc8_kh3_kw3_s1_p1_s8_u8"));  // s8 has none
  EXPECT_FALSE(minds("add:n1_c8_h8_w8_u8"));
}

}  // namespace
}  // namespace convopt
