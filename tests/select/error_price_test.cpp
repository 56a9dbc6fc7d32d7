// Plans that may err, against an enumeration of all of them.
#include "src/select/error_price.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "src/select/select.h"
#include "tests/select/fakes.h"

namespace convopt {
namespace {

using testing::FakeCosts;
using testing::FakeRegistry;
using testing::NetworkBuilder;

constexpr TensorFormat kF32{Layout::nchw}, kBf16{Layout::nchw, DataType::bf16};

/// Six convolutions in a row, which take 100 in f32 and less in bf16; converting takes 10.
class WithinError : public ::testing::Test {
 protected:
  static constexpr int kCount = 6;

  WithinError() {
    registry_.add("f32", "own", Op::conv, kF32, kF32);
    registry_.add("bf16", "own", Op::conv, kBf16, kBf16);
    registry_.add("narrow", "own", Op::convert, kF32, kBf16);
    registry_.add("widen", "own", Op::convert, kBf16, kF32);
    NetworkBuilder builder;
    TensorId last = builder.input();
    for (int i = 0; i < kCount; ++i)
      last = builder.conv("c" + std::to_string(i), last, 1 + 2 * (i % 4));
    network_ = builder.build({last});
    Limits limits;
    limits.types = {DataType::f32, DataType::bf16};
    problem_ = std::make_unique<Problem>(*build_problem(network_, registry_, costs_, limits));
    ErrorShares::Places& shares = shares_.of_types[DataType::bf16];
    for (int i = 0; i <= kCount; ++i) shares.tensors.push_back(0.01 * (1 + i * 7 % 5));
    for (int i = 0; i < kCount; ++i) shares.operators.push_back(0.02 * (1 + i * 5 % 7));
  }

  static double bf16_ns(int kernel) { return 40 + 5.0 * kernel; }

  double tensor_share(int tensor) const {
    return shares_.tensor(static_cast<std::size_t>(tensor), DataType::bf16);
  }

  /// The time of the fastest of all 64 plans that errs no more.
  double enumerated(double limit) const {
    double best = INFINITY;
    for (unsigned choice = 0; choice < 1U << kCount; ++choice) {
      double ns = 0, share = 0;
      bool before = false;  // the type of tensor i
      for (int i = 0; i < kCount; ++i) {
        const bool typed = (choice >> i & 1U) != 0;
        ns += typed ? bf16_ns(1 + 2 * (i % 4)) : 100;
        if (typed != before) ns += 10;
        if (typed || before) share += tensor_share(i);
        if (typed) share += shares_.weights(i, DataType::bf16);
        before = typed;
      }
      if (before) {
        ns += 10;
        share += tensor_share(kCount);
      }
      if (share <= limit + 1e-12) best = std::min(best, ns);
    }
    return best;
  }

  FakeRegistry registry_;
  FakeCosts costs_{[](const Workload& w, const PrimitiveInfo& p) {
    return p.op == Op::convert ? 10.0 : p.name == "bf16" ? bf16_ns(w.shape.kh) : 100.0;
  }};
  Network network_;
  std::unique_ptr<Problem> problem_;
  ErrorShares shares_;
};

TEST_F(WithinError, KeepsTheLimitAndIsNearTheFastest) {
  double before = INFINITY;
  for (int hundredths = 0; hundredths < 100; hundredths += 2) {
    const double limit = hundredths / 100.0;
    SCOPED_TRACE(limit);
    const auto solution = solve_within_error(*problem_, std::chrono::seconds(5), shares_, limit);
    ASSERT_TRUE(solution.ok()) << solution.error().message;
    EXPECT_LE(error_share(*problem_, solution->assignment, shares_), limit + 1e-12);
    EXPECT_DOUBLE_EQ(solution->ns, time_ns(*problem_, solution->assignment));
    const double fastest = enumerated(limit);
    EXPECT_GE(solution->ns, fastest - 1e-9);
    // Prices reach only what lies on the convex hull of times and shares.
    EXPECT_LE(solution->ns, 1.5 * fastest);
    EXPECT_LE(solution->ns, before);
    before = solution->ns;
  }
  EXPECT_EQ(enumerated(0), 600);
}

TEST_F(WithinError, TheOptimumWhereItErrsLittleEnough) {
  const auto free = solve(*problem_, std::chrono::seconds(5));
  const auto solution = solve_within_error(*problem_, std::chrono::seconds(5), shares_, 10);
  ASSERT_TRUE(free.ok() && solution.ok());
  EXPECT_EQ(solution->assignment, free->assignment);
  EXPECT_TRUE(solution->optimal);
  const auto none = solve_within_error(*problem_, std::chrono::seconds(5), shares_, 0);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->ns, 600);
  EXPECT_NEAR(none->gap, (600 - free->ns) / 600, 1e-9);
}

TEST_F(WithinError, ProductsInAnotherTypeErr) {
  FakeRegistry registry;
  registry.add("f32", "own", Op::conv, kF32, kF32);
  registry.add("products", "own", Op::conv, kF32, kF32, {}, false, DataType::bf16);
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("c", builder.input())});
  const FakeCosts costs(
      [](const Workload&, const PrimitiveInfo& p) { return p.name == "products" ? 50.0 : 100.0; });
  Limits limits;
  const auto narrow = build_problem(network, registry, costs, limits);
  ASSERT_TRUE(narrow.ok());
  EXPECT_EQ(solve(*narrow, std::chrono::seconds(5))->ns, 100);
  limits.types = {DataType::f32, DataType::bf16};
  const auto wide = build_problem(network, registry, costs, limits);
  ASSERT_TRUE(wide.ok());
  const ErrorShares shares = {{{DataType::bf16, {{0.5, 0.5}, {0.25}}}}};
  const auto best = solve_within_error(*wide, std::chrono::seconds(5), shares, 1);
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(best->ns, 50);
  // Its source and its weights are rounded, its result is not.
  EXPECT_DOUBLE_EQ(error_share(*wide, best->assignment, shares), 0.75);
  EXPECT_EQ(solve_within_error(*wide, std::chrono::seconds(5), shares, 0.7)->ns, 100);
}

TEST_F(WithinError, ShorterWeightsErrByThemselves) {
  FakeRegistry registry;
  PrimitiveInfo shorter = registry.add("f32", "own", Op::conv, kF32, kF32).info();
  for (const DataType type : {DataType::bf16, DataType::s8}) {
    shorter.name = to_string(type);
    shorter.traits.weight_type = type;
    registry.add(shorter);
  }
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("c", builder.input())});
  const FakeCosts costs([](const Workload&, const PrimitiveInfo& p) {
    return p.name == "s8" ? 25.0 : p.name == "bf16" ? 50.0 : 100.0;
  });
  const auto fastest = [&](std::set<DataType> types) {
    Limits limits;
    limits.types = std::move(types);
    const auto problem = build_problem(network, registry, costs, limits);
    EXPECT_TRUE(problem.ok());
    // No format but the network's own.
    EXPECT_EQ(problem->tensors.front().size(), 1U);
    EXPECT_EQ(solve_in_own_types(*problem, std::chrono::seconds(5))->ns, 100);
    return solve(*problem, std::chrono::seconds(5))->ns;
  };
  EXPECT_EQ(fastest({DataType::f32}), 100);
  EXPECT_EQ(fastest({DataType::f32, DataType::bf16}), 50);
  // No tensor needs a scale.
  EXPECT_EQ(fastest({DataType::f32, DataType::u8, DataType::s8}), 25);

  Limits limits;
  limits.types = {DataType::f32, DataType::bf16, DataType::u8, DataType::s8};
  const auto problem = build_problem(network, registry, costs, limits);
  ASSERT_TRUE(problem.ok());
  const ErrorShares shares = {
      {{DataType::bf16, {{0.5, 0.5}, {0.125}}}, {DataType::s8, {{0.5, 0.5}, {0.25}}}}};
  const auto within = [&](double limit) {
    return solve_within_error(*problem, std::chrono::seconds(5), shares, limit);
  };
  ASSERT_TRUE(within(1).ok());
  EXPECT_EQ(within(1)->ns, 25);
  // Neither source nor result is rounded.
  EXPECT_DOUBLE_EQ(error_share(*problem, within(1)->assignment, shares), 0.25);
  EXPECT_EQ(within(0.2)->ns, 50);
  EXPECT_EQ(within(0.1)->ns, 100);
}

TEST_F(WithinError, RoundingAfterATransformErrsMore) {
  FakeRegistry registry;
  registry.add("f32", "own", Op::conv, kF32, kF32);
  PrimitiveInfo winograd =
      registry.add("direct", "own", Op::conv, kF32, kF32, {}, false, DataType::bf16).info();
  winograd.name = "winograd";
  winograd.traits.transform_h = winograd.traits.transform_w = 6;
  winograd.traits.error_amplification = 3;
  registry.add(winograd);
  NetworkBuilder builder;
  const Network network = builder.build({builder.conv("c", builder.input())});
  const FakeCosts costs([](const Workload&, const PrimitiveInfo& p) {
    return p.name == "winograd" ? 25.0 : p.name == "direct" ? 50.0 : 100.0;
  });
  Limits limits;
  limits.types = {DataType::f32, DataType::bf16};
  const auto problem = build_problem(network, registry, costs, limits);
  ASSERT_TRUE(problem.ok());
  const ErrorShares shares = {{{DataType::bf16, {{0.25, 0.25}, {0.125}}}}};
  const auto fastest = solve_within_error(*problem, std::chrono::seconds(5), shares, 3);
  ASSERT_TRUE(fastest.ok());
  EXPECT_EQ(fastest->ns, 25);
  // The source, and twice the error of its weights, three times as large.
  EXPECT_DOUBLE_EQ(error_share(*problem, fastest->assignment, shares), 0.25 + 2 * 9 * 0.125);
  EXPECT_EQ(solve_within_error(*problem, std::chrono::seconds(5), shares, 2)->ns, 50);
  EXPECT_EQ(solve_within_error(*problem, std::chrono::seconds(5), shares, 0.3)->ns, 100);
}

}  // namespace
}  // namespace convopt
