// Which times would change a plan? Predictions of a stated error, true times behind them.
#include "src/tune/refine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "src/select/select.h"
#include "src/select/workloads.h"
#include "src/tune/bias_correction.h"
#include "tests/select/fakes.h"

namespace convopt {
namespace {

using testing::FakeCosts;
using testing::FakeRegistry;
using testing::NetworkBuilder;

constexpr int kVariants = 12;

FakeRegistry many_variants() {
  FakeRegistry registry;
  for (int i = 0; i < kVariants; ++i) {
    const Layout layout = i % 2 == 0 ? Layout::nchw : Layout::nhwc;
    registry.add("conv" + std::to_string(i), "own", Op::conv, layout, layout);
  }
  registry.add_others({Layout::nchw, Layout::nhwc});
  return registry;
}

Network chain_with_a_branch() {
  NetworkBuilder builder;
  const TensorId a = builder.conv("a", builder.input(), 3);
  const TensorId b = builder.relu("b", builder.conv("b_conv", a, 5));
  const TensorId c = builder.add("c", b, builder.conv("c_conv", a, 1));
  return builder.build({builder.pool("d", c)});
}

/// True times; predictions are wrong by up to `error` and say so; what was timed is exact.
class TrueAndPredicted final : public CostSource {
 public:
  TrueAndPredicted(std::uint64_t seed, double error)
      : truth_(FakeCosts::random(seed, 1000)),
        noise_(FakeCosts::random(seed + 1, 1000)),
        error_(error) {}

  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    auto result = truth_.costs(queries);
    const auto noise = noise_.costs(queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      Cost& cost = result.value()[i];
      if (timed.contains(name(queries[i]))) {
        cost.source = Cost::Source::measured;
        continue;
      }
      const double share = noise.value()[i].estimate.ns / 500 - 1;
      cost.estimate.ns *= std::pow(1 + error_, share);
      cost.estimate.low_ns = cost.estimate.ns / (1 + error_);
      cost.estimate.high_ns = cost.estimate.ns * (1 + error_);
    }
    return result;
  }
  static std::string name(const Query& query) {
    return query.workload->text() + " " + query.primitive->name;
  }
  const CostSource& truth() const { return truth_; }

  std::set<std::string> timed;

 private:
  FakeCosts truth_, noise_;
  double error_;
};

TEST(Refine, FindsTheBestPlanWithoutTimingEverything) {
  const Network network = chain_with_a_branch();
  const FakeRegistry registry = many_variants();
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    TrueAndPredicted costs(10 * seed, 0.3);
    const MeasureContested measure =
        [&](std::span<const Query> contested) -> Result<const CostSource*> {
      for (const Query& query : contested) costs.timed.insert(TrueAndPredicted::name(query));
      return &costs;
    };
    const auto refined = refine(network, registry, costs, {}, measure);
    ASSERT_TRUE(refined) << refined.error().message;
    EXPECT_TRUE(refined->settled);
    EXPECT_EQ(refined->asked, costs.timed.size());
    EXPECT_EQ(refined->timed, refined->asked);

    const auto decided = solve(*build_problem(network, registry, costs), std::chrono::seconds(5));
    const auto problem = build_problem(network, registry, costs.truth());
    const auto best = solve(*problem, std::chrono::seconds(5));
    ASSERT_TRUE(decided && best);
    // No plan is faster, but for what takes next to no time.
    const auto decided_ns = price_ns(*problem, decided->assignment, costs.truth());
    ASSERT_TRUE(decided_ns);
    EXPECT_LE(*decided_ns, 1.003 * best->ns) << "seed " << seed;
    EXPECT_LT(refined->asked, problem->candidates.size() / 2) << "seed " << seed;
  }
}

TEST(Refine, StopsWhenTheTimeIsUp) {
  const Network network = chain_with_a_branch();
  const FakeRegistry registry = many_variants();
  TrueAndPredicted costs(1, 0.3);
  int calls = 0;
  const MeasureContested measure =
      [&](std::span<const Query> contested) -> Result<const CostSource*> {
    EXPECT_FALSE(contested.empty());
    ++calls;
    return nullptr;
  };
  const auto refined = refine(network, registry, costs, {}, measure);
  ASSERT_TRUE(refined);
  EXPECT_FALSE(refined->settled);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(refined->rounds, 1);
}

TEST(Refine, AsksNothingTwiceAndReportsFailures) {
  const Network network = chain_with_a_branch();
  const FakeRegistry registry = many_variants();
  TrueAndPredicted costs(2, 0.3);
  std::set<std::string> asked;
  // Nothing can be timed: the same predictions stand, and it ends all the same.
  const auto refined = refine(network, registry, costs, {},
                              [&](std::span<const Query> contested) -> Result<const CostSource*> {
                                for (const Query& query : contested) {
                                  EXPECT_TRUE(asked.insert(TrueAndPredicted::name(query)).second);
                                }
                                return &costs;
                              });
  ASSERT_TRUE(refined);
  EXPECT_EQ(refined->asked, asked.size());
  EXPECT_EQ(refined->timed, 0U);

  const auto failed =
      refine(network, registry, costs, {}, [](std::span<const Query>) -> Result<const CostSource*> {
        return make_error(ErrorCode::environment, "no clock");
      });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "no clock");
}

/// What was timed of it alone.
class Timed final : public CostSource {
 public:
  explicit Timed(const TrueAndPredicted& all) : all_(all) {}
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    auto result = all_.costs(queries);
    for (Cost& cost : result.value()) {
      if (cost.source != Cost::Source::measured) cost = {Cost::Source::unknown, {}, "not timed"};
    }
    return result;
  }

 private:
  const TrueAndPredicted& all_;
};

// Choices are cautious, but what is told of a plan is what is expected of it. With the caution
// told, plans of few times seemed to take 1.2 times as long as they did.
TEST(CorrectedByTimes, APlansTimeIsWhatIsExpectedOfIt) {
  const Network network = chain_with_a_branch();
  const FakeRegistry registry = many_variants();
  std::vector<Query> pairs;
  const std::vector<Workload> workloads = network_workloads(network);
  for (const Workload& workload : workloads) {
    for (const Primitive* primitive : registry.primitives()) {
      if (primitive->info().computes(workload)) pairs.push_back({&workload, &primitive->info()});
    }
  }
  const TrueAndPredicted predicted(7, 1.0);
  TrueAndPredicted some = predicted;
  for (std::size_t i = 0; i < pairs.size(); i += 10) some.timed.insert(some.name(pairs[i]));
  const Timed timed(some);

  const auto costs = corrected_by_times(network, registry, {}, some, predicted, timed);
  ASSERT_TRUE(costs);
  const auto expected = BiasCorrectedCosts::create(some, predicted, timed, pairs);
  ASSERT_TRUE(expected);
  const auto selection = select(network, registry, **costs, Platform{});
  ASSERT_TRUE(selection) << selection.error().message;
  const Solution& solution = selection->solution;
  const auto told_ns = price_ns(selection->problem, solution.assignment, *expected);
  ASSERT_TRUE(told_ns);
  EXPECT_NEAR(selection->plan.predicted_ms, *told_ns / 1e6, 1e-12);
  EXPECT_GT(solution.ns, 1.05 * *told_ns);
  double layers_us = 0;
  for (const PlanLayer& layer : selection->plan.layers) layers_us += layer.predicted_us;
  for (const PlanConversion& conversion : selection->plan.conversions)
    layers_us += conversion.predicted_us;
  EXPECT_NEAR(layers_us, *told_ns / 1e3, 1e-9);
}

}  // namespace
}  // namespace convopt
