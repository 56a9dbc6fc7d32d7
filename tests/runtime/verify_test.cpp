#include "src/runtime/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

using enum Layout;

/// A network with all that a plan can do, and a plan that does it.
struct Case {
  Network network = network_of("[1, 3, 8, 8]", R"(
      {"name": "stem", "op": "conv", "oc": 20, "kernel": 3, "padding": 1},
      {"name": "relu", "op": "relu"},
      {"name": "left", "op": "conv", "oc": 20, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["left", "relu"]},
      {"name": "pool", "op": "max_pool", "kernel": 2, "stride": 2},
      {"name": "fc", "op": "fully_connected", "oc": 5})");
  Plan plan = PlanBuilder(network)
                  .layer("stem", nchw, nhwc, {"relu"})
                  .layer("left", nhwc, nChw16c, {"sum"})
                  .layer("pool", nChw16c)
                  .layer("fc", nchw)
                  .convert("relu", nhwc, nChw16c)
                  .convert("pool", nChw16c, nchw)
                  .plan();
  RandomWeights weights{network, kSeed};

  Result<Verification> check(const Registry& registry) const {
    auto executor = Executor::create(network, plan, registry, weights);
    if (!executor) return executor.error();
    const Tensors inputs = random_inputs(network);
    return verify(**executor, network, weights, read_spans(inputs));
  }
};

TEST(Verify, AcceptsWhatIsRight) {
  const auto verified = Case().check(FakeRegistry());
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  std::vector<std::string> names;
  for (const TensorCheck& check : verified->checks) names.push_back(check.name);
  EXPECT_EQ(names, (std::vector<std::string>{"stem", "relu", "left", "pool", "pool", "fc", "fc"}));
  EXPECT_EQ(verified->first_failure(), nullptr);
  EXPECT_LT(verified->max_error(), 1e-6);
}

struct Wrong {
  const char* primitive;
  Defect defect;
  const char* step;
};

class WrongPrimitives : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongPrimitives, AreCaughtWhereTheyAre) {
  const auto& [primitive, defect, step] = GetParam();
  const FakeRegistry registry({{primitive, {.overwrites_residual = false, .defect = defect}}});
  const auto verified = Case().check(registry);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  const TensorCheck* failure = verified->first_failure();
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->name, step);
  EXPECT_EQ(failure->primitive, primitive);
  // Everybody answers for himself: the operators that read the wrong values did nothing wrong. Only
  // a conversion is not an operator, so its readers are held to the tensor that it should have
  // given.
  if (defect != Defect::wrong_value || std::string_view(primitive).starts_with("convert")) return;
  EXPECT_EQ(std::ranges::count_if(verified->checks, [](const auto& c) { return !c.ok(); }), 1);
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongPrimitives,
    ::testing::Values(Wrong{"conv_nchw_nhwc", Defect::wrong_value, "stem"},
                      Wrong{"conv_nhwc_nChw16c", Defect::wrong_value, "left"},
                      Wrong{"conv_nhwc_nChw16c", Defect::not_a_number, "left"},
                      Wrong{"conv_nhwc_nChw16c", Defect::dirty_tail, "left"},
                      Wrong{"convert_nhwc_nChw16c", Defect::wrong_value, "relu"},
                      Wrong{"convert_nChw16c_nchw", Defect::wrong_value, "pool"},
                      Wrong{"max_pool_nChw16c_nChw16c", Defect::not_a_number, "pool"},
                      Wrong{"fully_connected_nchw_nchw", Defect::wrong_value, "fc"}));

/// The network of Case in bf16, but for its last layer.
Plan bf16_plan(const Network& network) {
  constexpr TensorFormat kInput{nchw, DataType::bf16}, kMiddle{nhwc, DataType::bf16},
      kBlocked{nChw16c, DataType::bf16}, kPlain{nchw};
  return PlanBuilder(network)
      .convert("x", kPlain, kInput)
      .layer("stem", kInput, kMiddle, {"relu"})
      .layer("left", kMiddle, kBlocked, {"sum"})
      .layer("pool", kBlocked, kBlocked)
      .layer("fc", nchw)
      .convert("relu", kMiddle, kBlocked)
      .convert("pool", kBlocked, kPlain)
      .plan();
}

TEST(Verify, HoldsBf16ToItsOwnBoundAndReportsTheOutputsErrors) {
  Case bf16;
  bf16.plan = bf16_plan(bf16.network);
  const auto verified = bf16.check(FakeRegistry());
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->first_failure(), nullptr)
      << verified->first_failure()->name << " " << verified->first_failure()->error;
  EXPECT_GT(verified->max_error(), 1e-4);
  ASSERT_EQ(verified->output_errors.size(), 1U);
  EXPECT_EQ(verified->output_errors[0].name, "fc");
  EXPECT_GT(verified->output_errors[0].difference.error, 1e-5);
  EXPECT_LT(verified->output_errors[0].difference.error, 0.05);
  EXPECT_GT(verified->output_errors[0].difference.cosine, 0.999);
  const auto single = Case().check(FakeRegistry());
  ASSERT_EQ(single->output_errors.size(), 1U);
  EXPECT_LT(single->output_errors[0].difference.error, 1e-6);
}

TEST(Verify, FindsWrongPrimitivesInBf16) {
  for (const auto& [primitive, defect, step] :
       {Wrong{"conv_nchw_bf16_nhwc_bf16", Defect::wrong_value, "stem"},
        Wrong{"conv_nhwc_bf16_nChw16c_bf16", Defect::dirty_tail, "left"},
        Wrong{"convert_nhwc_bf16_nChw16c_bf16", Defect::wrong_value, "relu"},
        Wrong{"max_pool_nChw16c_bf16_nChw16c_bf16", Defect::not_a_number, "pool"},
        Wrong{"convert_nChw16c_bf16_nchw", Defect::wrong_value, "pool"}}) {
    Case bf16;
    bf16.plan = bf16_plan(bf16.network);
    const FakeRegistry registry({{primitive, {.overwrites_residual = false, .defect = defect}}});
    const auto verified = bf16.check(registry);
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    ASSERT_NE(verified->first_failure(), nullptr) << primitive;
    EXPECT_EQ(verified->first_failure()->name, step);
    EXPECT_EQ(verified->first_failure()->primitive, primitive);
  }
}

TEST(Difference, IsRelativeToTheRange) {
  const std::vector<float> expected = {1, 2, 3, 5}, result = {1, 2.5F, 3, 4.8F};
  EXPECT_NEAR(difference(result, expected).error, 0.5 / 4, 1e-7);
  EXPECT_NEAR(difference(result, expected).cosine, (1 + 5 + 9 + 24) / std::sqrt(39.0 * 39.29),
              1e-6);
  EXPECT_EQ(difference(expected, expected).error, 0);
  EXPECT_EQ(difference(expected, expected).cosine, 1);
  const std::vector<float> zeros(4, 0.0F), not_finite = {1, 2, NAN, 5};
  EXPECT_EQ(difference(expected, zeros).error, 5);
  EXPECT_EQ(difference(expected, zeros).cosine, 0);
  EXPECT_EQ(difference(not_finite, expected).error, INFINITY);
  EXPECT_EQ(difference(not_finite, not_finite).error, 0);
}

TEST(Verify, ComparesWithTheNetworkNotWithThePlan) {
  // Two tensors of one shape, mixed up: the plan is executed faithfully, but the reference is asked
  // about another network.
  const std::string both = R"(
      {"name": "a", "op": "relu", "inputs": ["x"]},
      {"name": "b", "op": "tanh", "inputs": ["x"]},)";
  const Network meant =
      network_of("[1, 4, 4, 4]", both + R"({"name": "c", "op": "sigmoid", "inputs": ["a"]},
                                          {"name": "d", "op": "add", "inputs": ["c", "b"]})");
  const Network executed =
      network_of("[1, 4, 4, 4]", both + R"({"name": "c", "op": "sigmoid", "inputs": ["b"]},
                                          {"name": "d", "op": "add", "inputs": ["c", "a"]})");
  const Plan plan = PlanBuilder(executed)
                        .layer("a", nchw)
                        .layer("b", nchw)
                        .layer("c", nchw)
                        .layer("d", nchw)
                        .plan();
  const RandomWeights weights(executed, kSeed);
  const FakeRegistry registry;
  auto executor = Executor::create(executed, plan, registry, weights);
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const Tensors inputs = random_inputs(executed);
  const auto verified = verify(**executor, meant, weights, read_spans(inputs));
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  ASSERT_NE(verified->first_failure(), nullptr);
  EXPECT_EQ(verified->first_failure()->name, "c");
}

}  // namespace
}  // namespace convopt::testing
