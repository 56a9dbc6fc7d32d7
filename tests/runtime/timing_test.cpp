#include "src/runtime/timing.h"

#include <gtest/gtest.h>

#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

using enum Layout;

TEST(RunTimes, QuantilesAreNearestRanks) {
  const RunTimes times{{5, 1, 4, 2, 3}, {}};
  EXPECT_EQ(times.min_ns(), 1);
  EXPECT_EQ(times.median_ns(), 3);
  EXPECT_EQ(times.quantile_ns(0.95), 5);
  EXPECT_EQ(RunTimes{}.median_ns(), 0);
}

TEST(Timing, TakesTurnsAndTimesSteps) {
  const Network network = network_of("[1, 4, 6, 6]", R"(
      {"name": "c", "op": "conv", "oc": 8, "kernel": 3},
      {"name": "r", "op": "relu"})");
  const FakeRegistry registry;
  const RandomWeights weights(network, kSeed);
  const auto fused = Executor::create(network, PlanBuilder(network).layer("c", nchw, {"r"}).plan(),
                                      registry, weights);
  const auto apart = Executor::create(
      network, PlanBuilder(network).layer("c", nchw).layer("r", nchw).plan(), registry, weights);
  ASSERT_TRUE(fused.ok() && apart.ok());
  const Tensors inputs = random_inputs(network);
  Tensors outputs = empty_outputs(network);
  TimingOptions options;
  options.repeats = 3;
  options.steps = true;
  const std::vector<Executor*> both = {apart->get(), fused->get()};
  const auto times = time_in_turns(both, read_spans(inputs), write_spans(outputs), options);
  ASSERT_TRUE(times.ok()) << times.error().message;
  ASSERT_EQ(times->size(), 2U);
  for (const RunTimes& mine : *times) {
    EXPECT_EQ(mine.runs_ns.size(), 3U);
    EXPECT_GT(mine.min_ns(), 0);
    EXPECT_LE(mine.min_ns(), mine.median_ns());
  }
  ASSERT_EQ(times->front().steps_ns.size(), 2U);
  EXPECT_GT(times->front().steps_ns[0], 0);
  EXPECT_TRUE(times->back().steps_ns.empty());

  const auto refused = time_in_turns(both, {}, write_spans(outputs), options);
  EXPECT_FALSE(refused.ok());
}

}  // namespace
}  // namespace convopt::testing
