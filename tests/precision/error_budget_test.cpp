// Plans in several types that are run and held to what they may err.
#include "src/tune/error_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "src/runtime/verify.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

/// What is computed in bf16 takes half the time, and conversions little.
class Halved final : public CostSource {
 public:
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& query : queries) {
      const bool typed = query.workload->input_type == DataType::bf16;
      const double ns = query.workload->op == Op::convert ? 1 : typed ? 50 : 100;
      result.push_back({Cost::Source::predicted, {ns, ns, ns}, {}});
    }
    return result;
  }
};

constexpr std::size_t kSamples = 8;

class Budget : public ::testing::Test {
 protected:
  Budget() {
    for (std::uint64_t i = 0; i < kSamples; ++i)
      samples_.emplace_back(network_, network_.inputs).fill_random(kSeed + i);
  }

  Selection selection() const {
    SelectOptions options;
    options.limits.types = {DataType::f32, DataType::bf16};
    Result<Selection> selected = select(network_, registry_, costs_, platform_, options);
    EXPECT_TRUE(selected.ok()) << (selected.ok() ? "" : selected.error().message);
    return std::move(*selected);
  }
  Result<ErrorReport> fit(Selection& selection, const ErrorBudget& budget) const {
    return fit_error(selection, platform_, weights_, samples_, budget, std::chrono::seconds(5));
  }
  static std::ptrdiff_t in_bf16(const Plan& plan) {
    return std::ranges::count(plan.layers, DataType::bf16, &PlanLayer::input_type);
  }

  FakeRegistry registry_;
  Halved costs_;
  Platform platform_;
  Network network_ = network_of("[1, 4, 8, 8]", R"(
      {"name": "c1", "op": "conv", "oc": 8, "kernel": 3, "padding": 1},
      {"name": "r1", "op": "relu"},
      {"name": "c2", "op": "conv", "oc": 8, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["c2", "r1"]},
      {"name": "r2", "op": "relu"},
      {"name": "c3", "op": "conv", "oc": 8, "kernel": 1},
      {"name": "pool", "op": "max_pool", "kernel": 2, "stride": 2},
      {"name": "fc", "op": "fully_connected", "oc": 5})");
  RandomWeights weights_{network_, kSeed};
  std::vector<Buffers> samples_;
};

TEST_F(Budget, AWideOneChangesNothing) {
  Selection chosen = selection();
  const Assignment before = chosen.solution.assignment;
  ASSERT_GT(in_bf16(chosen.plan), 3);
  const auto report = fit(chosen, {.max_error = 0.5});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_FALSE(report->changed);
  EXPECT_EQ(report->plans, 1);
  EXPECT_EQ(chosen.solution.assignment, before);
  EXPECT_GT(report->difference.error, 1e-4);
  EXPECT_LT(report->difference.error, 0.1);
  ASSERT_TRUE(chosen.plan.accuracy.has_value());
  EXPECT_EQ(chosen.plan.accuracy->error, report->difference.error);
  EXPECT_EQ(chosen.plan.accuracy->allowed_error, 0.5);
  EXPECT_EQ(chosen.plan.accuracy->samples, kSamples);
}

TEST_F(Budget, ATighterOneIsHeldInMeasurementAndCostsTime) {
  Selection widest = selection();
  const auto unlimited = fit(widest, {});
  ASSERT_TRUE(unlimited.ok()) << unlimited.error().message;
  double before = widest.solution.ns;
  std::vector<std::ptrdiff_t> layers;
  for (const double part : {0.9, 0.7, 0.5, 0.01}) {
    SCOPED_TRACE(part);
    Selection chosen = selection();
    const ErrorBudget budget{.max_error = part * unlimited->bound.error};
    const auto report = fit(chosen, budget);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_TRUE(report->changed);
    EXPECT_LE(report->difference.error, report->bound.error);
    EXPECT_LE(report->bound.error, budget.max_error);
    EXPECT_GT(chosen.solution.ns, before - 1e-9);
    before = chosen.solution.ns;
    layers.push_back(in_bf16(chosen.plan));
    // Measured again, by nobody who had a hand in it.
    Selection again = selection();
    again.solution = chosen.solution;
    const auto checked = fit(again, {});
    ASSERT_TRUE(checked.ok());
    EXPECT_EQ(checked->difference.error, report->difference.error);
  }
  // Some layers stay in bf16 until nothing may err.
  EXPECT_GT(layers.front(), 0);
  EXPECT_EQ(layers.back(), 0);
}

TEST_F(Budget, OfTheCosine) {
  Selection widest = selection();
  const auto unlimited = fit(widest, {});
  ASSERT_TRUE(unlimited.ok());
  ASSERT_LT(unlimited->bound.cosine, 1);
  const double distance = 1 - unlimited->bound.cosine;
  Selection chosen = selection();
  const ErrorBudget budget{.min_cosine = 1 - distance / 4};
  const auto report = fit(chosen, budget);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_GE(report->bound.cosine, budget.min_cosine);
  EXPECT_GT(chosen.solution.ns, widest.solution.ns);
}

/// Shorter weights make layers faster.
class ShorterWeights final : public CostSource {
 public:
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& query : queries) {
      const auto bytes = element_bytes(query.primitive->traits.type_of_weights());
      const double ns = 25.0 * static_cast<double>(bytes);
      result.push_back({Cost::Source::predicted, {ns, ns, ns}, {}});
    }
    return result;
  }
};

TEST(ErrorBudget, CountsWeightsThatAloneAreRounded) {
  const Network network = network_of("[1, 60]", R"(
      {"name": "a", "op": "fully_connected", "oc": 70},
      {"name": "r", "op": "relu"},
      {"name": "b", "op": "fully_connected", "oc": 33},
      {"name": "c", "op": "fully_connected", "oc": 9})");
  const RandomWeights weights(network, kSeed);
  std::vector<Buffers> samples;
  samples.emplace_back(network, network.inputs).fill_random(kSeed);
  const auto registry = Registry::create({default_isa(), 1});
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  const ShorterWeights costs;
  Platform platform;
  platform.isa = default_isa();
  const auto in_types = [&](std::set<DataType> types) {
    SelectOptions options;
    options.limits.types = std::move(types);
    Result<Selection> selected = select(network, **registry, costs, platform, options);
    EXPECT_TRUE(selected.ok()) << (selected.ok() ? "" : selected.error().message);
    return std::move(*selected);
  };
  const auto layers_of = [](const Plan& plan, std::string_view primitive) {
    return std::ranges::count(plan.layers, primitive, &PlanLayer::primitive);
  };
  for (const auto& [type, name] :
       {std::pair{DataType::bf16, "gemv_nchw_wbf16"}, {DataType::s8, "gemv_nchw_ws8"}}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(layers_of(in_types({DataType::f32}).plan, name), 0);
    Selection fastest = in_types({DataType::f32, type});
    ASSERT_EQ(layers_of(fastest.plan, name), 3);
    auto executor = Executor::create(network, fastest.plan, **registry, weights);
    ASSERT_TRUE(executor.ok()) << executor.error().message;
    const auto verified = verify(**executor, network, weights, samples.front().inputs());
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_EQ(verified->first_failure(), nullptr);
    ASSERT_EQ(verified->output_errors.size(), 1U);
    const double error = verified->output_errors.front().difference.error;
    EXPECT_GT(error, 1e-4);
    EXPECT_LT(error, 0.05);

    const auto fit = [&](Selection& selection, double max_error) {
      return fit_error(selection, platform, weights, samples, {.max_error = max_error},
                       std::chrono::seconds(5));
    };
    const auto wide = fit(fastest, 0.5);
    ASSERT_TRUE(wide.ok()) << wide.error().message;
    EXPECT_FALSE(wide->changed);
    EXPECT_NEAR(wide->difference.error, error, 1e-6);
    // Some layers keep to shorter weights.
    const auto tight = fit(fastest, 0.8 * error);
    ASSERT_TRUE(tight.ok()) << tight.error().message;
    EXPECT_TRUE(tight->changed);
    EXPECT_LE(tight->difference.error, 0.8 * error);
    EXPECT_GT(layers_of(fastest.plan, name), 0);
    EXPECT_LT(layers_of(fastest.plan, name), 3);
  }
}

TEST(ErrorBudget, SharesAreSquaresOfWhatIsAllowed) {
  const ErrorBudget both{.max_error = 0.02, .min_cosine = 0.99};
  EXPECT_DOUBLE_EQ(both.share({0.01, 1}), 0.25);
  EXPECT_NEAR(both.share({0, 0.995}), 0.5, 1e-9);
  EXPECT_NEAR(both.share({0.02, 0.995}), 1, 1e-9);
  EXPECT_TRUE(both.holds({0.02, 0.99}));
  EXPECT_FALSE(both.holds({0.021, 1}));
  EXPECT_FALSE(both.holds({0, 0.98}));
  EXPECT_EQ(ErrorBudget{}.share({5, -1}), 0);
  EXPECT_TRUE(std::isfinite(both.share({INFINITY, -1})));
}

}  // namespace
}  // namespace convopt::testing
