// Inputs and outputs in nhwc, where the plan converts to or from it anyway.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "src/runtime/executor.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

using enum Layout;

class Steps final : public Observer {
 public:
  void after_step(std::size_t step, const TensorView&) noexcept override { seen.push_back(step); }
  std::vector<std::size_t> seen;
};

constexpr const char* kTwo = R"(
    {"name": "a", "op": "conv", "oc": 4, "kernel": 3, "padding": 1},
    {"name": "b", "op": "conv", "oc": 5, "kernel": 1})";

Plan turned(const Network& network) {
  return PlanBuilder(network)
      .convert("x", nchw, nhwc)
      .layer("a", nhwc)
      .layer("b", nhwc)
      .convert("b", nhwc, nchw)
      .plan();
}

/// n images of c x h x w numbers as h x w x c.
std::vector<float> to_nhwc(const std::vector<float>& from, const TensorShape& shape) {
  std::vector<float> to(from.size());
  const int pixels = shape.h() * shape.w();
  for (int n = 0; n < shape.n(); ++n)
    for (int c = 0; c < shape.c(); ++c)
      for (int p = 0; p < pixels; ++p)
        to[(n * pixels + p) * shape.c() + c] = from[(n * shape.c() + c) * pixels + p];
  return to;
}

class Nhwc : public ::testing::Test {
 protected:
  void prepare(const Network& network, const Plan& plan) {
    network_ = network;
    auto executor = Executor::create(network_, plan, registry_, RandomWeights(network_, kSeed));
    ASSERT_TRUE(executor.ok()) << executor.error().message;
    executor_ = std::move(*executor);
    inputs_ = random_inputs(network_);
  }
  /// The first output and the steps that made it.
  std::vector<float> run(const Tensors& inputs, Layout input, Layout output) {
    Tensors outputs = empty_outputs(network_);
    const std::vector<Layout> from(inputs.size(), input), to(outputs.size(), output);
    Steps steps;
    const auto ran = executor_->run(executor_->frame(), read_spans(inputs), write_spans(outputs),
                                    &steps, {from, to});
    EXPECT_TRUE(ran.ok()) << ran.error().message;
    steps_ = steps.seen;
    return outputs[0];
  }

  const FakeRegistry registry_;
  Network network_;
  std::unique_ptr<Executor> executor_;
  Tensors inputs_;
  std::vector<std::size_t> steps_;
};

using Indices = std::vector<std::size_t>;

TEST_F(Nhwc, LeavesOutTheConversionsAtTheBorder) {
  const Network network = network_of("[2, 3, 6, 5]", kTwo);
  prepare(network, turned(network));
  ASSERT_TRUE(executor_->takes_nhwc(0));
  ASSERT_TRUE(executor_->gives_nhwc(0));
  const std::vector<float> expected = run(inputs_, nchw, nchw);
  EXPECT_EQ(steps_, (Indices{0, 1, 2, 3}));
  const std::vector<float> turned_expected = to_nhwc(expected, TensorShape{2, 5, 6, 5});
  const Tensors turned_inputs = {to_nhwc(inputs_[0], TensorShape{2, 3, 6, 5})};
  const Tensors before = turned_inputs;
  EXPECT_EQ(run(turned_inputs, nhwc, nhwc), turned_expected);
  EXPECT_EQ(steps_, (Indices{1, 2}));
  EXPECT_EQ(run(turned_inputs, nhwc, nchw), expected);
  EXPECT_EQ(steps_, (Indices{1, 2, 3}));
  EXPECT_EQ(run(inputs_, nchw, nhwc), turned_expected);
  EXPECT_EQ(steps_, (Indices{0, 1, 2}));
  // Nothing of the other order is left behind.
  EXPECT_EQ(run(inputs_, nchw, nchw), expected);
  EXPECT_EQ(steps_, (Indices{0, 1, 2, 3}));
  EXPECT_EQ(turned_inputs, before);
  // Frames of other threads do the same.
  auto frame = executor_->make_frame();
  ASSERT_TRUE(frame.ok());
  Tensors outputs = empty_outputs(network_);
  const std::array layout = {nhwc};
  ASSERT_TRUE(
      executor_
          ->run(**frame, read_spans(turned_inputs), write_spans(outputs), nullptr, {layout, layout})
          .ok());
  EXPECT_EQ(outputs[0], turned_expected);
}

TEST_F(Nhwc, IsRefusedWhereNothingIsConverted) {
  const Network network = network_of("[1, 3, 4, 4]", kTwo);
  prepare(network, PlanBuilder(network).layer("a", nchw).layer("b", nchw).plan());
  EXPECT_FALSE(executor_->takes_nhwc(0));
  EXPECT_FALSE(executor_->gives_nhwc(0));
  Tensors outputs = empty_outputs(network_);
  const std::array layout = {nhwc};
  const auto ran = executor_->run(executor_->frame(), read_spans(inputs_), write_spans(outputs),
                                  nullptr, {layout, {}});
  ASSERT_FALSE(ran.ok());
  EXPECT_EQ(ran.error().code, ErrorCode::usage);
}

TEST_F(Nhwc, IsNotTakenWhereTheInputIsReadInItsOwnOrderToo) {
  const Network network = network_of("[1, 3, 4, 4]", R"(
      {"name": "a", "op": "conv", "oc": 4, "kernel": 1},
      {"name": "b", "op": "conv", "oc": 4, "kernel": 1, "inputs": ["x"]},
      {"name": "sum", "op": "add", "inputs": ["a", "b"]})");
  prepare(network, PlanBuilder(network)
                       .convert("x", nchw, nhwc)
                       .layer("a", nhwc, nchw)
                       .layer("b", nchw)
                       .layer("sum", nchw)
                       .plan());
  EXPECT_FALSE(executor_->takes_nhwc(0));
}

TEST_F(Nhwc, IsNotTakenWhereTheInputWouldBeWrittenOver) {
  // The sum takes the place of its residual, the input in nhwc, which dies there.
  const Network network = network_of("[1, 8, 5, 5]", R"(
      {"name": "p", "op": "relu"},
      {"name": "c", "op": "conv", "oc": 8, "kernel": 3, "padding": 1},
      {"name": "a", "op": "add", "inputs": ["c", "x"]})");
  prepare(network, PlanBuilder(network)
                       .convert("x", nchw, nhwc)
                       .layer("p", nhwc)
                       .layer("c", nhwc, {"a"})
                       .convert("a", nhwc, nchw)
                       .plan());
  EXPECT_FALSE(executor_->takes_nhwc(0));
  // The caller's output may hold both, one after the other.
  ASSERT_TRUE(executor_->gives_nhwc(0));
  const std::vector<float> expected = run(inputs_, nchw, nchw);
  EXPECT_EQ(run(inputs_, nchw, nhwc), to_nhwc(expected, TensorShape{1, 8, 5, 5}));
}

TEST_F(Nhwc, IsNotGivenWhereTheResultIsReadInItsOwnOrderToo) {
  const Network network = network_of("[1, 3, 4, 4]", R"(
      {"name": "a", "op": "conv", "oc": 4, "kernel": 1},
      {"name": "b", "op": "conv", "oc": 4, "kernel": 1})",
                                     R"(["a", "b"])");
  prepare(
      network,
      PlanBuilder(network).layer("a", nchw, nhwc).convert("a", nhwc, nchw).layer("b", nchw).plan());
  EXPECT_FALSE(executor_->gives_nhwc(0));
}

TEST_F(Nhwc, ConversionsOfTypeStay) {
  const Network network = network_of("[1, 3, 4, 4]", kTwo);
  const TensorFormat plain{nchw}, turned_bf16{nhwc, DataType::bf16};
  prepare(network, PlanBuilder(network)
                       .convert("x", plain, turned_bf16)
                       .layer("a", turned_bf16, plain)
                       .layer("b", nchw)
                       .plan());
  EXPECT_FALSE(executor_->takes_nhwc(0));
}

}  // namespace
}  // namespace convopt::testing
