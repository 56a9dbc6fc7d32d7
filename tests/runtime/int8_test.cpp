// Plans that store tensors in int8.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/runtime/verify.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

constexpr TensorFormat kNchwF32{Layout::nchw}, kU8{Layout::nhwc, DataType::u8},
    kS8{Layout::nhwc, DataType::s8}, kBlockedU8{Layout::nChw16c, DataType::u8},
    kNchwU8{Layout::nchw, DataType::u8};
/// A few layers of 1/2 % each.
constexpr double kInt8Bound = 0.03;

/// A residual block with a projection, then pooling and a classifier.
Network block() {
  return network_of("[1, 4, 8, 8]", R"(
      {"name": "stem", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
      {"name": "relu", "op": "relu"},
      {"name": "side", "op": "conv", "inputs": ["relu"], "oc": 20, "kernel": 1},
      {"name": "main", "op": "conv", "inputs": ["relu"], "oc": 20, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["main", "side"]},
      {"name": "out", "op": "relu"},
      {"name": "pool", "op": "max_pool", "kernel": 2, "stride": 2},
      {"name": "fc", "op": "fully_connected", "oc": 5})");
}

PlanBuilder block_plan(const Network& network) {
  PlanBuilder builder(network);
  builder.convert("x", kNchwF32, kS8)
      .layer("stem", kS8, kU8, {"relu"})
      .layer("side", kU8, kS8)
      .layer("main", kU8, kU8, {"sum", "out"})
      .convert("out", kU8, kBlockedU8)
      .layer("pool", kBlockedU8, kBlockedU8)
      .convert("pool", kBlockedU8, kNchwU8)
      .layer("fc", kNchwU8, kNchwF32)
      .scale("x", DataType::s8, 1.0F / 127)
      .scale("relu", DataType::u8, 3.0F / 255)
      .scale("side", DataType::s8, 1.0F / 127)
      .scale("out", DataType::u8, 4.0F / 255)
      .scale("pool", DataType::u8, 4.0F / 255)
      .scale("fc/flatten", DataType::u8, 4.0F / 255);
  return builder;
}

Result<Verification> check(const Network& network, const Plan& plan, const Registry& registry) {
  const RandomWeights weights(network, kSeed);
  auto executor = Executor::create(network, plan, registry, weights);
  if (!executor) return executor.error();
  const Tensors inputs = random_inputs(network);
  return verify(**executor, network, weights, read_spans(inputs));
}

TEST(Int8Plan, ComputesTheNetwork) {
  const Network network = block();
  const Plan plan = block_plan(network).plan();
  expect_computes(network, plan, FakeRegistry(), kInt8Bound);
  const FakeRegistry overwriting(
      {{"conv_nhwc_u8_nhwc_u8", {.overwrites_residual = true, .defect = Defect::none}}});
  expect_computes(network, plan, overwriting, kInt8Bound);
  const auto schedule = make_schedule(network, plan, overwriting);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  EXPECT_EQ(schedule->steps[3].workload.text(),
            "conv:n1_ic16_ih8_iw8_oc20_kh3_kw3_s1_p1_u8:add_s8+relu");
}

TEST(Int8Plan, WithZeroPointsComputesTheNetwork) {
  const Network network = block();
  PlanBuilder builder(network);
  builder.convert("x", kNchwF32, kU8)
      .layer("stem", kU8, kU8, {"relu"})
      .layer("side", kU8, kU8)
      .layer("main", kU8, kU8, {"sum", "out"})
      .layer("pool", kU8, kU8)
      .convert("pool", kU8, kNchwF32)
      .layer("fc", kNchwF32, kNchwF32)
      .scale("x", DataType::u8, 2.0F / 255, 128)
      .scale("relu", DataType::u8, 3.0F / 255, 7)
      .scale("side", DataType::u8, 4.0F / 255, 100)
      .scale("out", DataType::u8, 4.0F / 255, 3)
      .scale("pool", DataType::u8, 4.0F / 255, 3);
  const Plan plan = builder.plan();
  expect_computes(network, plan, FakeRegistry(), kInt8Bound);
  const auto schedule = make_schedule(network, plan, FakeRegistry());
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  EXPECT_TRUE(schedule->steps[0].workload.text().ends_with("_f32_u8_zp"));
  EXPECT_EQ(schedule->steps[3].workload.text(),
            "conv:n1_ic16_ih8_iw8_oc20_kh3_kw3_s1_p1_u8_zp:add+relu");
  const auto verified = check(network, plan, FakeRegistry());
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->first_failure(), nullptr);

  Plan wrong = plan;
  wrong.scales.push_back(wrong.scales.front());
  EXPECT_FALSE(make_schedule(network, wrong, FakeRegistry()).ok());
  wrong = plan;
  wrong.scales.back().zero_point = 4;  // the pool's, which keeps what it reads
  EXPECT_FALSE(make_schedule(network, wrong, FakeRegistry()).ok());
}

TEST(Int8Plan, OfAQuantisedModelHasItsSteps) {
  const Network network = network_of("[1, 4, 8, 8]", R"json(
      {"name": "conv", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
      {"name": "round", "op": "workload", "inputs": ["conv"],
       "workload": "activation:n1_c16_h8_w8:quantise(0.03125,-60)"},
      {"name": "last", "op": "conv", "oc": 5, "kernel": 3, "padding": 1})json");
  const auto plan_with = [&](float scale, int zero_point) {
    return PlanBuilder(network)
        .convert("x", kNchwF32, {Layout::nhwc})
        .layer("conv", {Layout::nhwc}, {Layout::nhwc})
        .layer("round", {Layout::nhwc}, kU8)
        .layer("last", kU8, kNchwF32)
        .scale("round", DataType::u8, scale, zero_point)
        .plan();
  };
  expect_computes(network, plan_with(0.03125F, 60), FakeRegistry(), kInt8Bound);
  for (const Plan& wrong : {plan_with(0.03125F, 61), plan_with(0.03F, 60)}) {
    const auto schedule = make_schedule(network, wrong, FakeRegistry());
    ASSERT_FALSE(schedule.ok());
    EXPECT_NE(schedule.error().message.find("zero point"), std::string::npos);
  }
}

TEST(Int8Plan, AResidualThatIsStillNeededIsCopiedInItsOwnType) {
  const Network network = network_of("[1, 4, 8, 8]", R"(
      {"name": "side", "op": "conv", "inputs": ["x"], "oc": 8, "kernel": 1},
      {"name": "main", "op": "conv", "inputs": ["x"], "oc": 8, "kernel": 1},
      {"name": "sum", "op": "add", "inputs": ["main", "side"]},
      {"name": "out", "op": "relu"},
      {"name": "both", "op": "concat", "inputs": ["out", "side"]})");
  const Plan plan = PlanBuilder(network)
                        .convert("x", kNchwF32, kS8)
                        .layer("side", kS8, kS8)
                        .layer("main", kS8, kU8, {"sum", "out"})
                        .layer("both", kNchwF32, kNchwF32)
                        .convert("out", kU8, kNchwF32)
                        .convert("side", kS8, kNchwF32)
                        .scale("x", DataType::s8, 1.0F / 127)
                        .scale("side", DataType::s8, 2.0F / 127)
                        .scale("out", DataType::u8, 3.0F / 255)
                        .plan();
  const FakeRegistry overwriting(
      {{"conv_nhwc_s8_nhwc_u8", {.overwrites_residual = true, .defect = Defect::none}}});
  expect_computes(network, plan, overwriting, kInt8Bound);
}

TEST(Int8Plan, AddsTensorsOfBothTypes) {
  const Network network = block();
  const Plan plan = PlanBuilder(network)
                        .convert("x", kNchwF32, kS8)
                        .layer("stem", kS8, kU8, {"relu"})
                        .layer("side", kU8, kS8)
                        .layer("main", kU8, kU8)
                        .layer("sum", kU8, kU8, {"out"})
                        .convert("out", kU8, kNchwF32)
                        .layer("pool", kNchwF32, kNchwF32)
                        .layer("fc", kNchwF32, kNchwF32)
                        .scale("x", DataType::s8, 1.0F / 127)
                        .scale("relu", DataType::u8, 3.0F / 255)
                        .scale("side", DataType::s8, 2.0F / 127)
                        .scale("main", DataType::u8, 4.0F / 255)
                        .scale("out", DataType::u8, 4.0F / 255)
                        .plan();
  const FakeRegistry registry;
  const auto schedule = make_schedule(network, plan, registry);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  EXPECT_EQ(schedule->steps[4].workload.text(), "add:n1_c20_h8_w8_u8+s8:relu");
  const auto verified = check(network, plan, registry);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->first_failure(), nullptr);
}

TEST(Int8Plan, IsVerifiedToHalfAStep) {
  const Network network = block();
  const Plan plan = block_plan(network).plan();
  const auto verified = check(network, plan, FakeRegistry());
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->first_failure(), nullptr)
      << verified->first_failure()->name << " " << verified->first_failure()->error;
  EXPECT_GT(verified->max_error(), 0.1 / 255);
  EXPECT_LT(verified->max_error(), 0.51 / 127);
  ASSERT_EQ(verified->output_errors.size(), 1U);
  EXPECT_GT(verified->output_errors[0].difference.error, 1e-4);
  EXPECT_LT(verified->output_errors[0].difference.error, kInt8Bound);
}

TEST(Int8Plan, WrongPrimitivesAreFound) {
  const Network network = block();
  const Plan plan = block_plan(network).plan();
  for (const auto& [primitive, step] :
       {std::pair{"convert_nchw_nhwc_s8", "x"}, std::pair{"conv_nhwc_s8_nhwc_u8", "stem"},
        std::pair{"conv_nhwc_u8_nhwc_s8", "side"}, std::pair{"conv_nhwc_u8_nhwc_u8", "main"},
        std::pair{"max_pool_nChw16c_u8_nChw16c_u8", "pool"},
        std::pair{"fully_connected_nchw_u8_nchw", "fc"}}) {
    const FakeRegistry registry(
        {{primitive, {.overwrites_residual = false, .defect = Defect::wrong_value}}});
    const auto verified = check(network, plan, registry);
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    ASSERT_NE(verified->first_failure(), nullptr) << primitive;
    EXPECT_EQ(verified->first_failure()->name, step);
  }
}

TEST(Int8Plan, ScalesThatDoNotFitAreRefused) {
  const Network network = block();
  const FakeRegistry registry;
  const auto refusal = [&](const Plan& plan) {
    const auto schedule = make_schedule(network, plan, registry);
    EXPECT_FALSE(schedule.ok());
    if (schedule.ok()) return std::string();
    EXPECT_EQ(schedule.error().code, ErrorCode::bad_input);
    return schedule.error().message;
  };
  Plan plan = block_plan(network).plan();
  plan.scales.erase(plan.scales.begin() + 1);
  EXPECT_NE(refusal(plan).find("stores the tensor 'relu' in nhwc_u8 without a scale"),
            std::string::npos);
  plan = block_plan(network).plan();
  for (const int i : {4, 5}) plan.scales[i].scale *= 2;
  EXPECT_NE(refusal(plan).find("layer 'pool' of the plan reads and writes"), std::string::npos);
  plan = block_plan(network).plan();
  plan.scales.back().scale *= 2;
  EXPECT_NE(refusal(plan).find("reshapes 'pool' into a tensor of another scale"),
            std::string::npos);
  plan = block_plan(network).plan();
  plan.scales[2].type = DataType::u8;  // the projection's, whose layer writes s8
  EXPECT_FALSE(refusal(plan).empty());
}

}  // namespace
}  // namespace convopt::testing
