#include "src/runtime/executor.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/runtime/verify.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

using enum Layout;

constexpr const char* kResidual = R"(
    {"name": "c1", "op": "conv", "oc": 20, "kernel": 3, "padding": 1},
    {"name": "r1", "op": "relu"},
    {"name": "c2", "op": "conv", "oc": 20, "kernel": 3, "padding": 1},
    {"name": "a", "op": "add", "inputs": ["c2", "r1"]},
    {"name": "r2", "op": "relu"},
    {"name": "c3", "op": "conv", "oc": 20, "kernel": 1},
    {"name": "a2", "op": "add", "inputs": ["r2", "c3"]})";

TEST(Executor, ResidualFusedAndInPlace) {
  const Network network = network_of("[2, 3, 9, 7]", kResidual);
  const Plan plan = PlanBuilder(network)
                        .layer("c1", nchw, nChw16c, {"r1"})
                        .layer("c2", nChw16c, nChw16c, {"a", "r2"})
                        .layer("c3", nChw16c, nChw16c, {"a2"})
                        .convert("a2", nChw16c, nchw)
                        .plan();
  expect_computes(network, plan, FakeRegistry());
  // r1 is read by c2 and dies in its epilogue, but is a source there; r2 is both for c3.
  const FakeRegistry overwriting(
      {{"conv_nChw16c_nChw16c", {.overwrites_residual = true, .defect = Defect::none}}});
  expect_computes(network, plan, overwriting);
}

TEST(Executor, FactorsOfChannelsGoIntoTheConvolutionThatReadsTheProduct) {
  const Network network = network_of("[2, 20, 9, 7]", R"(
      {"name": "mean", "op": "global_avg_pool"},
      {"name": "scaled", "op": "multiply", "inputs": ["x", "mean"]},
      {"name": "conv", "op": "conv", "oc": 20, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["conv", "x"]})");
  const auto plan = [&](std::vector<std::string> fused) {
    Plan made = PlanBuilder(network)
                    .convert("x", nchw, nChw16c)
                    .layer("mean", nChw16c)
                    .layer("scaled", nChw16c, std::move(fused))
                    .convert("sum", nChw16c, nchw)
                    .plan();
    made.layers.back().primitive = "conv_nChw16c_nChw16c";
    return made;
  };
  const FakeRegistry registry;
  expect_computes(network, plan({"conv", "sum"}), registry);
  const RandomWeights weights(network, kSeed);
  const auto executor = Executor::create(network, plan({"conv", "sum"}), registry, weights);
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const Tensors inputs = random_inputs(network);
  const auto verified = verify(**executor, network, weights, read_spans(inputs));
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->first_failure(), nullptr);
  // Without the convolution a sum of products has none to go into.
  EXPECT_FALSE(Executor::create(network, plan({"sum"}), registry, weights).ok());
}

constexpr TensorFormat kNchw{nchw}, kNchwBf16{nchw, DataType::bf16},
    kNhwcBf16{nhwc, DataType::bf16}, kBlockedBf16{nChw16c, DataType::bf16};
/// Of a few layers in bf16, of results of the size of their inputs.
constexpr double kBf16Bound = 0.03;

TEST(ExecutorTypes, ResidualInBf16) {
  const Network network = network_of("[2, 3, 9, 7]", kResidual);
  const Plan plan = PlanBuilder(network)
                        .convert("x", kNchw, kNhwcBf16)
                        .layer("c1", kNhwcBf16, kBlockedBf16, {"r1"})
                        .layer("c2", kBlockedBf16, kBlockedBf16, {"a", "r2"})
                        .layer("c3", kBlockedBf16, kBlockedBf16, {"a2"})
                        .convert("a2", kBlockedBf16, kNchw)
                        .plan();
  expect_computes(network, plan, FakeRegistry(), kBf16Bound);
  const FakeRegistry overwriting(
      {{"conv_nChw16c_bf16_nChw16c_bf16", {.overwrites_residual = true, .defect = Defect::none}}});
  expect_computes(network, plan, overwriting, kBf16Bound);
}

TEST(ExecutorTypes, TensorsTakeTheBytesOfTheirType) {
  const Network network = network_of("[1, 16, 16, 16]", R"(
      {"name": "c1", "op": "conv", "oc": 64, "kernel": 1},
      {"name": "c2", "op": "conv", "oc": 64, "kernel": 1},
      {"name": "c3", "op": "conv", "oc": 16, "kernel": 1})");
  const FakeRegistry registry;
  const auto tensors = [&](const Plan& plan) {
    const auto schedule = make_schedule(network, plan, registry);
    EXPECT_TRUE(schedule.ok()) << (schedule.ok() ? "" : schedule.error().message);
    return schedule.ok() ? memory_of(*schedule, registry.context()).tensors : 0;
  };
  const std::size_t elements = std::size_t{64} * 16 * 16;
  const Plan f32 =
      PlanBuilder(network).layer("c1", nchw).layer("c2", nchw).layer("c3", nchw).plan();
  EXPECT_EQ(tensors(f32), 2 * elements * sizeof(float));
  // Primitives may read one type and write the other.
  const Plan bf16 = PlanBuilder(network)
                        .layer("c1", kNchw, kNchwBf16)
                        .layer("c2", kNchwBf16, kNchwBf16)
                        .layer("c3", kNchwBf16, kNchw)
                        .plan();
  EXPECT_EQ(tensors(bf16), elements * sizeof(float));
  expect_computes(network, bf16, registry, kBf16Bound);
}

TEST(ExecutorTypes, ConcatenationInPlaceAndReshapeInBf16) {
  const Network network = network_of("[1, 3, 8, 8]", R"(
      {"name": "a", "op": "conv", "inputs": ["x"], "oc": 16, "kernel": 3, "padding": 1},
      {"name": "b", "op": "max_pool", "inputs": ["a"], "kernel": 3, "stride": 1, "padding": 1},
      {"name": "cat", "op": "concat", "inputs": ["a", "b"]},
      {"name": "flat", "op": "reshape", "shape": [1, 2048, 1, 1]},
      {"name": "fc", "op": "fully_connected", "oc": 7})");
  Plan plan = PlanBuilder(network)
                  .layer("a", kNchw, kNchwBf16)
                  .layer("b", kNchwBf16, kNchwBf16)
                  .layer("fc", kNchwBf16, kNchw)
                  .plan();
  plan.in_place.push_back({"cat", nchw, DataType::bf16});
  const FakeRegistry registry;
  expect_computes(network, plan, registry, kBf16Bound);
  plan.in_place[0].type = DataType::f32;
  const auto refused = make_schedule(network, plan, registry);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::bad_input);
}

TEST(ExecutorTypes, OneTensorInTwoTypes) {
  const Network network = network_of("[1, 4, 8, 8]", R"(
      {"name": "a", "op": "conv", "inputs": ["x"], "oc": 8, "kernel": 1},
      {"name": "b", "op": "conv", "inputs": ["a"], "oc": 8, "kernel": 1},
      {"name": "sum", "op": "add", "inputs": ["a", "b"]})");
  const Plan plan = PlanBuilder(network)
                        .layer("a", nchw)
                        .convert("a", kNchw, kNhwcBf16)
                        .layer("b", kNhwcBf16, kNchw)
                        .layer("sum", nchw)
                        .plan();
  expect_computes(network, plan, FakeRegistry(), kBf16Bound);
}

TEST(ExecutorTypes, PlansThatMixUpTypesAreRefused) {
  const Network network = network_of("[1, 4, 8, 8]", R"(
      {"name": "a", "op": "conv", "oc": 8, "kernel": 1},
      {"name": "b", "op": "conv", "oc": 8, "kernel": 1})");
  const auto refused = [&](const Plan& plan) {
    const auto schedule = make_schedule(network, plan, FakeRegistry());
    return schedule.ok() ? std::string() : schedule.error().message;
  };
  EXPECT_NE(refused(PlanBuilder(network).layer("a", kNchw, kNchwBf16).layer("b", nchw).plan())
                .find("needs the tensor 'a' in nchw, which"),
            std::string::npos);
  EXPECT_NE(
      refused(
          PlanBuilder(network).layer("a", kNchw, kNchwBf16).layer("b", kNchwBf16, kNchwBf16).plan())
          .find("the end of the network needs the tensor 'b' in nchw"),
      std::string::npos);
  Plan plan = PlanBuilder(network).layer("a", nchw).layer("b", nchw).plan();
  plan.layers[0].input_type = DataType::bf16;
  EXPECT_NE(refused(plan).find("for other layouts, types"), std::string::npos);
  plan = PlanBuilder(network).layer("a", nchw).layer("b", nchw).plan();
  plan.layers[0].workload = "conv:n1_ic4_ih8_iw8_oc8_kh1_kw1_s1_p0_bf16";
  EXPECT_NE(refused(plan).find("but the network has"), std::string::npos);
}

TEST(Executor, ResidualUnfused) {
  const Network network = network_of("[1, 3, 9, 7]", kResidual);
  PlanBuilder builder(network);
  builder.convert("x", nchw, nhwc);
  for (const char* name : {"c1", "r1", "c2", "a", "r2", "c3", "a2"}) builder.layer(name, nhwc);
  expect_computes(network, builder.convert("a2", nhwc, nchw).plan(), FakeRegistry());
}

constexpr const char* kShortcut = R"(
    {"name": "left", "op": "conv", "inputs": ["x"], "oc": 12, "kernel": 3, "padding": 1},
    {"name": "right", "op": "conv", "inputs": ["x"], "oc": 12, "kernel": 1},
    {"name": "sum", "op": "add", "inputs": ["right", "left"]},
    {"name": "relu", "op": "relu"})";

TEST(Executor, SumTakesThePlaceOfADyingResidual) {
  const Network network = network_of("[1, 4, 8, 8]", kShortcut);
  const Plan plan = PlanBuilder(network)
                        .layer("right", nchw, nChw8c)
                        .layer("left", nchw, nChw8c, {"sum", "relu"})
                        .convert("relu", nChw8c, nchw)
                        .plan();
  const FakeRegistry registry(
      {{"conv_nchw_nChw8c", {.overwrites_residual = true, .defect = Defect::none}}});
  expect_computes(network, plan, registry);
  const auto schedule = make_schedule(network, plan, registry);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  const ScheduleStep& fused = schedule->steps[1];
  EXPECT_EQ(fused.workload.text(), "conv:n1_ic4_ih8_iw8_oc12_kh3_kw3_s1_p1:add+relu");
  EXPECT_FALSE(fused.copies_residual);
  EXPECT_EQ(schedule->values[fused.residual].storage, schedule->values[fused.destination].storage);
}

TEST(Executor, ResidualThatIsStillNeededSurvives) {
  const std::string two_readers =
      std::string(kShortcut) + R"(, {"name": "late", "op": "add", "inputs": ["relu", "right"]})";
  const Network network = network_of("[1, 4, 8, 8]", two_readers);
  const Plan plan = PlanBuilder(network)
                        .layer("right", nchw)
                        .layer("left", nchw, {"sum", "relu"})
                        .layer("late", nchw)
                        .plan();
  const FakeRegistry registry(
      {{"conv_nchw_nchw", {.overwrites_residual = true, .defect = Defect::none}}});
  const auto schedule = make_schedule(network, plan, registry);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  EXPECT_TRUE(schedule->steps[1].copies_residual);
  expect_computes(network, plan, registry);
}

TEST(Executor, NetworkInputAsResidualIsNotWrittenTo) {
  const Network network = network_of("[1, 8, 5, 5]", R"(
      {"name": "c", "op": "conv", "oc": 8, "kernel": 3, "padding": 1},
      {"name": "a", "op": "add", "inputs": ["c", "x"]})");
  const Plan plan = PlanBuilder(network).layer("c", nchw, {"a"}).plan();
  const FakeRegistry registry(
      {{"conv_nchw_nchw", {.overwrites_residual = true, .defect = Defect::none}}});
  const RandomWeights weights(network, kSeed);
  auto executor = Executor::create(network, plan, registry, weights);
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const Tensors inputs = random_inputs(network);
  const Tensors before = inputs;
  Tensors outputs = empty_outputs(network);
  ASSERT_TRUE((*executor)->run(read_spans(inputs), write_spans(outputs)).ok());
  EXPECT_EQ(inputs, before);
  expect_computes(network, plan, registry);
}

constexpr const char* kInception = R"(
    {"name": "stem", "op": "conv", "oc": 24, "kernel": 3, "stride": 2, "padding": 1},
    {"name": "b1", "op": "conv", "inputs": ["stem"], "oc": 5, "kernel": 1},
    {"name": "b2a", "op": "conv", "inputs": ["stem"], "oc": 6, "kernel": 1},
    {"name": "b2b", "op": "conv", "oc": 7, "kernel": 3, "padding": 1},
    {"name": "pool", "op": "max_pool", "inputs": ["stem"], "kernel": 3, "stride": 1, "padding": 1},
    {"name": "b3", "op": "conv", "oc": 9, "kernel": 1},
    {"name": "cat", "op": "concat", "inputs": ["b1", "b2b", "b3"]},
    {"name": "gap", "op": "global_avg_pool"},
    {"name": "fc", "op": "fully_connected", "oc": 10},
    {"name": "prob", "op": "softmax"})";

TEST(Executor, SharedConversionIsComputedOnce) {
  const Network network = network_of("[1, 3, 12, 12]", kInception);
  const Plan plan = PlanBuilder(network)
                        .layer("stem", nchw, nChw16c)
                        .layer("b1", nhwc)
                        .layer("b2a", nhwc)
                        .layer("b2b", nhwc)
                        .layer("pool", nChw16c)
                        .layer("b3", nChw16c, nhwc)
                        .layer("cat", nhwc)
                        .layer("gap", nhwc)
                        .layer("fc", nchw)
                        .layer("prob", nchw)
                        .convert("stem", nChw16c, nhwc)
                        .convert("gap", nhwc, nchw)
                        .plan();
  const FakeRegistry registry;
  expect_computes(network, plan, registry);
  const auto schedule = make_schedule(network, plan, registry);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  std::vector<std::string> order;
  for (const ScheduleStep& step : schedule->steps) order.push_back(step.name);
  // stem and gap: the layer, then its conversion.
  EXPECT_EQ(order, (std::vector<std::string>{"stem", "stem", "b1", "b2a", "b2b", "pool", "b3",
                                             "cat", "gap", "gap", "fc", "prob"}));
}

TEST(Executor, DepthwiseFlattenAndFullyConnected) {
  const Network network = network_of("[2, 6, 8, 8]", R"(
      {"name": "dw", "op": "conv", "oc": 6, "groups": 6, "kernel": 3, "stride": 2, "padding": 1},
      {"name": "act", "op": "relu6"},
      {"name": "pw", "op": "conv", "oc": 10, "kernel": 1},
      {"name": "flat", "op": "flatten"},
      {"name": "fc", "op": "fully_connected", "oc": 7},
      {"name": "relu", "op": "relu"})");
  const Plan plan = PlanBuilder(network)
                        .convert("x", nchw, nChw8c)
                        .layer("dw", nChw8c, {"act"})
                        .layer("pw", nChw8c)
                        .convert("pw", nChw8c, nchw)
                        .layer("fc", nchw, {"relu"})
                        .plan();
  expect_computes(network, plan, FakeRegistry());
}

TEST(Executor, OutputsThatShareMemory) {
  // An output that others read, its flat view, and an input's flat view.
  const Network network = network_of("[1, 4, 3, 3]", R"(
      {"name": "c", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
      {"name": "flat", "op": "flatten"},
      {"name": "next", "op": "relu", "inputs": ["c"]},
      {"name": "raw", "op": "flatten", "inputs": ["x"]})",
                                     R"(["c", "flat", "next", "raw"])");
  ASSERT_EQ(network.outputs.size(), 4U);
  const Plan plan = PlanBuilder(network).layer("c", nchw).layer("next", nchw).plan();
  expect_computes(network, plan, FakeRegistry());
}

/// Writes its first source's first element everywhere; allocates nothing, as kernels must.
class QuietPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;
  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload&, const Parameters&,
                                              const Context&) const override {
    class Quiet final : public Kernel {
      void run(const RunArgs& args) const noexcept override {
        const TensorView& out = args.destination;
        std::fill_n(out.as<float>(), padded_elements(out.shape, out.layout),
                    args.sources[0].as<float>()[0]);
      }
      std::size_t workspace_bytes() const override { return 0; }
      std::size_t packed_bytes() const override { return 0; }
    };
    return std::unique_ptr<Kernel>(std::make_unique<Quiet>());
  }
};

class QuietRegistry final : public Registry {
 public:
  const Context& context() const override { return context_; }
  std::span<const Primitive* const> primitives() const override { return {}; }
  const Primitive* find(std::string_view name) const override {
    const Primitive* fake = fakes_.find(name);
    if (fake == nullptr) return nullptr;
    quiet_.push_back(std::make_unique<QuietPrimitive>(fake->info()));
    return quiet_.back().get();
  }
  const Libraries& libraries() const override { return libraries_; }
  const Primitive* library_default(const Workload&) const override { return nullptr; }

 private:
  Context context_;
  Libraries libraries_;
  FakeRegistry fakes_{{{"conv_nchw_nchw", {.overwrites_residual = true, .defect = Defect::none}}}};
  mutable std::vector<std::unique_ptr<Primitive>> quiet_;
};

TEST(Executor, RunsWithoutAllocating) {
  const Network network = network_of("[1, 3, 9, 7]", kResidual);
  const Plan plan = PlanBuilder(network)
                        .layer("c1", nchw, {"r1"})
                        .layer("c2", nchw, {"a", "r2"})
                        .layer("c3", nchw, {"a2"})
                        .plan();
  const QuietRegistry registry;
  auto executor = Executor::create(network, plan, registry, RandomWeights(network, kSeed));
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const Tensors inputs = random_inputs(network);
  Tensors outputs = empty_outputs(network);
  const auto sources = read_spans(inputs);
  const auto destinations = write_spans(outputs);
  const long before = allocation_count();
  const bool ok = (*executor)->run(sources, destinations).ok();
  EXPECT_EQ(allocation_count() - before, 0);
  EXPECT_TRUE(ok);
  EXPECT_EQ(outputs[0][0], inputs[0][0]);
}

TEST(Executor, CountsItsMemory) {
  const Network network = network_of("[1, 3, 9, 7]", kResidual);
  const Plan plan = PlanBuilder(network)
                        .layer("c1", nchw, {"r1"})
                        .layer("c2", nchw, {"a", "r2"})
                        .layer("c3", nchw, {"a2"})
                        .plan();
  const FakeRegistry registry;
  auto executor = Executor::create(network, plan, registry, RandomWeights(network, kSeed));
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const MemoryUse& memory = (*executor)->memory();
  // r1 and r2 are alive together; input and output are the caller's.
  const std::size_t tensor = (20 * 9 * 7 * sizeof(float) + 63) / 64 * 64;
  EXPECT_EQ(memory.tensors, 2 * tensor);
  EXPECT_EQ(memory.packed_weights,
            sizeof(float) * (20 * 3 * 9 + 20 + 20 * 20 * 9 + 20 + 20 * 20 + 20));
  EXPECT_EQ(memory.workspace, 400U);
}

TEST(Executor, LayersWithTheSameWeightsShareAKernel) {
  Network network = network_of("[1, 4, 5, 6]", R"(
    {"name": "c1", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
    {"name": "c2", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
    {"name": "c3", "op": "conv", "oc": 4, "kernel": 3, "padding": 1})");
  std::vector<float> values(4 * 4 * 9);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.1F - 0.01F * static_cast<float>(i % 23);
  const auto weights = std::make_shared<const StoredWeights>(StoredWeights{values, {}});
  for (Operator& op : network.operators) op.weights = weights;
  const Plan plan = PlanBuilder(network)
                        .layer("c1", nchw, nchw)
                        .layer("c2", nchw, nchw)
                        .layer("c3", nchw, nChw16c)
                        .convert("c3", nChw16c, nchw)
                        .plan();
  const FakeRegistry registry;
  const NetworkWeights source(network, kSeed);
  auto executor = Executor::create(network, plan, registry, source);
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  // Another primitive has a kernel of its own.
  EXPECT_EQ((*executor)->memory().packed_weights, 2 * sizeof(float) * 4 * 4 * 9);
  const Tensors inputs = random_inputs(network, kSeed);
  const Tensors expected = reference_outputs(network, source, inputs);
  Tensors outputs = empty_outputs(network);
  ASSERT_TRUE((*executor)->run(read_spans(inputs), write_spans(outputs)).ok());
  for (std::size_t i = 0; i < expected[0].size(); ++i)
    EXPECT_NEAR(outputs[0][i], expected[0][i], 1e-5F) << i;
  // A source that has others for each of them.
  expect_computes(network, plan, registry);
}

constexpr const char* kBranches = R"(
    {"name": "a", "op": "conv", "inputs": ["x"], "oc": 16, "kernel": 1},
    {"name": "b", "op": "conv", "inputs": ["x"], "oc": 12, "kernel": 3, "padding": 1},
    {"name": "cat", "op": "concat", "inputs": ["a", "b"]},
    {"name": "last", "op": "conv", "oc": 5, "kernel": 1})";

TEST(Executor, ConcatenatesInPlace) {
  const Network network = network_of("[1, 3, 6, 5]", kBranches);
  Plan plan = PlanBuilder(network)
                  .layer("a", nchw, nChw16c)
                  .layer("b", nchw, nChw16c)
                  .layer("last", nChw16c, nchw)
                  .plan();
  plan.in_place.push_back({"cat", nChw16c});
  const FakeRegistry registry;
  expect_computes(network, plan, registry);
  const auto schedule = make_schedule(network, plan, registry);
  ASSERT_TRUE(schedule.ok()) << schedule.error().message;
  ASSERT_EQ(schedule->steps.size(), 3U);
  const auto storage = [&](int value) { return schedule->values[value].storage; };
  EXPECT_EQ(storage(schedule->steps[0].destination), storage(schedule->steps[1].destination));
  EXPECT_EQ(storage(schedule->steps[0].destination), storage(schedule->steps[2].sources[0]));

  // Of two images, parts have gaps, which these primitives do not promise to handle.
  const Network two = network_of("[2, 3, 6, 5]", kBranches);
  const auto refused = make_schedule(two, plan, registry);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("in place in a concatenation"), std::string::npos)
      << refused.error().message;
}

TEST(Executor, RefusesWrongSizes) {
  const Network network = network_of("[1, 3, 4, 4]", R"({"name": "r", "op": "relu"})");
  const Plan plan = PlanBuilder(network).layer("r", nchw).plan();
  const FakeRegistry registry;
  auto executor = Executor::create(network, plan, registry, RandomWeights(network, kSeed));
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  Tensors inputs = random_inputs(network);
  Tensors outputs = empty_outputs(network);
  EXPECT_EQ((*executor)->run({}, write_spans(outputs)).error().code, ErrorCode::usage);
  inputs[0].pop_back();
  const auto ran = (*executor)->run(read_spans(inputs), write_spans(outputs));
  ASSERT_FALSE(ran.ok());
  EXPECT_EQ(ran.error().message, "input 0 has 47 elements of f32, but the network's has 48");
}

struct BadPlan {
  const char* name;
  Plan (*make)(const Network&);
  const char* part_of_message;
};

class BadPlans : public ::testing::TestWithParam<BadPlan> {};

TEST_P(BadPlans, AreRefusedWithASentence) {
  const Network network = network_of("[1, 3, 9, 7]", kResidual);
  const FakeRegistry registry;
  const auto schedule = make_schedule(network, GetParam().make(network), registry);
  ASSERT_FALSE(schedule.ok());
  EXPECT_NE(schedule.error().message.find(GetParam().part_of_message), std::string::npos)
      << schedule.error().message;
}

PlanBuilder good(const Network& network) {
  return PlanBuilder(network)
      .layer("c1", nchw, {"r1"})
      .layer("c2", nchw, {"a", "r2"})
      .layer("c3", nchw, {"a2"});
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPlans,
    ::testing::Values(
        BadPlan{"MissingLayer",
                [](const Network& n) { return PlanBuilder(n).layer("c1", nchw, {"r1"}).plan(); },
                "does not compute the operator 'c2'"},
        BadPlan{"UnknownLayer", [](const Network& n) { return good(n).layer("zz", nchw).plan(); },
                "has a layer 'zz'"},
        BadPlan{"Twice", [](const Network& n) { return good(n).layer("r1", nchw).plan(); },
                "computes the operator 'r1' twice"},
        BadPlan{"WrongOrder",
                [](const Network& n) { return PlanBuilder(n).layer("c2", nchw).plan(); },
                "layer 'c2' needs the tensor 'r1' in nchw"},
        BadPlan{"NoConversion",
                [](const Network& n) {
                  return PlanBuilder(n).layer("c1", nchw, nhwc, {"r1"}).layer("c2", nchw).plan();
                },
                "layer 'c2' needs the tensor 'r1' in nchw"},
        BadPlan{"ConversionInACircle",
                [](const Network& n) {
                  return PlanBuilder(n)
                      .convert("x", nhwc, nChw8c)
                      .convert("x", nChw8c, nhwc)
                      .layer("c1", nhwc, {"r1"})
                      .plan();
                },
                "needs the tensor 'x' in nhwc"},
        BadPlan{"ConversionTwice",
                [](const Network& n) {
                  return PlanBuilder(n).convert("x", nchw, nhwc).convert("x", nchw, nhwc).plan();
                },
                "converts the tensor 'x' to nhwc twice"},
        BadPlan{"UselessConversion",
                [](const Network& n) { return good(n).convert("r2", nchw, nhwc).plan(); },
                "to nhwc, which nothing reads"},
        BadPlan{"ConversionOfNothing",
                [](const Network& n) { return good(n).convert("zz", nchw, nhwc).plan(); },
                "converts the tensor 'zz'"},
        BadPlan{"FusedButNeededElsewhere",
                [](const Network& n) {
                  return PlanBuilder(n)
                      .layer("c1", nchw, {"r1"})
                      .layer("c2", nchw, {"a", "r2", "a2"})
                      .plan();
                },
                "other operators need what lies between"},
        BadPlan{"FusedPool",
                [](const Network& n) { return PlanBuilder(n).layer("c1", nchw, {"c2"}).plan(); },
                "does not read that result"},
        BadPlan{"UnknownPrimitive",
                [](const Network& n) {
                  Plan plan = good(n).plan();
                  plan.layers[1].primitive = "magic";
                  return plan;
                },
                "by 'magic', which does not exist here"},
        BadPlan{"PrimitiveForOtherLayouts",
                [](const Network& n) {
                  Plan plan = good(n).plan();
                  plan.layers[1].primitive = "conv_nhwc_nhwc";
                  return plan;
                },
                "other layouts"},
        BadPlan{"OtherShape",
                [](const Network& n) {
                  Plan plan = good(n).plan();
                  plan.layers[0].workload = "conv:n1_ic3_ih8_iw7_oc20_kh3_kw3_s1_p1:relu";
                  return plan;
                },
                "but the network has conv:n1_ic3_ih9_iw7"}),
    [](const auto& test) { return test.param.name; });

TEST(Schedule, RefusesOperatorsItDoesNotKnow) {
  const Network network = network_of("[1, 3, 4, 4]", R"({"name": "m", "op": "mystery"})");
  const auto schedule = make_schedule(network, {}, FakeRegistry());
  ASSERT_FALSE(schedule.ok());
  EXPECT_EQ(schedule.error().code, ErrorCode::bad_input);
  EXPECT_EQ(schedule.error().message,
            "operator 'm' of type 'mystery' is not known, so the network cannot be executed");
}

TEST(RandomWeights, DependOnSeedAndNameOnly) {
  const Network network = network_of("[1, 3, 9, 7]", kResidual);
  const Network twice = network_of("[2, 3, 9, 7]", kResidual);
  const RandomWeights weights(network, kSeed);
  const Operator& op = network.operators[2];
  const auto values = [](const RandomWeights& source, const Operator& of) {
    const Weights made = *source.weights(of);
    return std::vector<float>(made.weights.values().begin(), made.weights.values().end());
  };
  const std::vector<float> first = values(weights, op);
  EXPECT_EQ(first, values(weights, op));
  EXPECT_EQ(first, values(RandomWeights(twice, kSeed), twice.operators[2]));
  EXPECT_NE(first, values(RandomWeights(network, kSeed + 1), op));
  EXPECT_NE(first[0], values(weights, network.operators[0])[0]);
  EXPECT_EQ(weights.weights(op)->bias.values().size(), 20U);
  EXPECT_FALSE(weights.weights(network.operators[1]).ok());
}

}  // namespace
}  // namespace convopt::testing
