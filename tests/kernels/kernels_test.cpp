// Every own primitive at every ISA level of this processor on every problem it applies to, a test
// for each: --gtest_filter='*avx2_winograd*'. New lines of primitives.inc are tested without a
// change here. Besides the fixed problems there are random ones; CONVOPT_SEED=N repeats those of
// another run, which failures name.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "primitives/own.h"
#include "tests/kernels/harness.h"
#include "tests/kernels/seed.h"

namespace convopt {
namespace {

using harness::Problem;
using harness::seed;
using harness::Setting;

/// Blocks of a few channels and pixels: small shapes cross every border.
constexpr Caches kTinyCaches{1 << 10, 8 << 10, 16 << 10};

struct Case {
  Isa isa;
  std::string primitive;

  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << to_string(c.isa) << ' ' << c.primitive;
  }
};

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const Isa isa : supported_isas()) {
    for (const auto& primitive : own_primitives({isa, 1})) {
      // Those of other types have no problems of floats: see types_test.cpp, cast_test.cpp.
      const PrimitiveInfo& info = primitive->info();
      if (info.input_type != DataType::f32 || info.output_type != DataType::f32) continue;
      list.push_back({isa, std::string(primitive->name())});
    }
  }
  return list;
}

class Kernels : public testing::TestWithParam<Case> {
 protected:
  static const std::vector<Problem>& fixed() {
    static const std::vector<Problem> list = harness::problems();
    return list;
  }
  static const std::vector<Problem>& random() {
    static const std::vector<Problem> list = harness::random_problems(seed());
    return list;
  }

  /// The tested primitive as one context has it.
  static std::unique_ptr<Primitive> make(const Context& context) {
    for (auto& primitive : own_primitives(context)) {
      if (primitive->name() == GetParam().primitive) return std::move(primitive);
    }
    return nullptr;
  }

  /// Checks one problem if it applies; returns whether it does.
  static bool check(const Primitive& primitive, const Context& context, const Setting& setting,
                    const Problem& problem) {
    const Workload& workload = problem.workload();
    const Traits& traits = primitive.info().traits;
    if (!primitive.info().computes(workload)) return false;
    if (setting.gaps && !traits.strided_views) return false;
    if (setting.residual_in_place && !workload.epilogue.residual) return false;
    if (traits.overwrites_residual && !setting.residual_in_place && workload.epilogue.residual) {
      return false;
    }
    if (!primitive.applicability(workload, context)) return false;
    EXPECT_EQ(harness::check(primitive, problem, context, setting), "")
        << context.threads << " threads" << (setting.gaps ? ", with gaps" : "")
        << (setting.residual_in_place ? ", residual in place" : "")
        << (context.caches == kTinyCaches ? ", tiny caches" : "") << ": " << problem.text();
    return true;
  }

  /// Checks all that applies; returns how many did.
  static int check_all(const Context& context, const Setting& setting = {}) {
    const auto primitive = make(context);
    int count = 0;
    for (const Problem& problem : fixed()) count += check(*primitive, context, setting, problem);
    return count;
  }
};

TEST_P(Kernels, ComputeWhatTheReferenceDoes) {
  const Isa isa = GetParam().isa;
  EXPECT_GT(check_all({isa, 1}), 0) << "it applies to no problem of the harness";
  check_all({isa, 1}, {.gaps = true});
  check_all({isa, 1}, {.residual_in_place = true});
}

TEST_P(Kernels, OnSeveralThreads) {
  const Isa isa = GetParam().isa;
  check_all({isa, 2}, {.gaps = true, .residual_in_place = true});
  check_all({isa, 3});
  check_all({isa, 4});  // threads that may form a grid
}

TEST_P(Kernels, CrossEveryBorderOfBlocks) {
  check_all({GetParam().isa, 1, SIZE_MAX, kTinyCaches});
  check_all({GetParam().isa, 3, SIZE_MAX, kTinyCaches}, {.gaps = true});
}

TEST_P(Kernels, TakeAnyShape) {
  SCOPED_TRACE("CONVOPT_SEED=" + std::to_string(seed()));
  const auto any = make({GetParam().isa, 1});
  int number = -1;
  for (const Problem& problem : random()) {
    ++number;
    // Making a primitive makes all of them, so only where there is something to compute.
    if (!any->info().computes(problem.workload())) continue;
    // Settings alternate, each with its own period.
    Context context{GetParam().isa, 1 + number % 4};
    if (number % 3 == 0) context.caches = kTinyCaches;
    const Setting setting = {number % 2 == 0,
                             problem.workload().epilogue.residual && number % 5 < 2};
    check(*make(context), context, setting, problem);
  }
}

TEST_P(Kernels, KeepNaN) {
  static const std::vector<Problem> list = [] {
    std::vector<Problem> made;
    for (const Problem& problem : fixed()) {
      const Workload& workload = problem.workload();
      const bool activates = workload.epilogue.activation.kind != ActivationKind::none;
      if (activates || workload.op == Op::maximum || workload.op == Op::minimum)
        made.push_back(problem.with_nan());
    }
    return made;
  }();
  const Context context{GetParam().isa, 1};
  const auto primitive = make(context);
  for (const Problem& problem : list) check(*primitive, context, {}, problem);
}

INSTANTIATE_TEST_SUITE_P(Own, Kernels, testing::ValuesIn(cases()), [](const auto& test) {
  return std::string(to_string(test.param.isa)) + "_" + test.param.primitive;
});

class Levels : public testing::TestWithParam<Isa> {};

TEST_P(Levels, AreDispatchedToAsAsked) {
  EXPECT_EQ(simd_lanes(GetParam()), vector_floats(GetParam()));
}

TEST_P(Levels, SigmoidsAreGoodToAFewRoundings) {
  const ActivateFunction activate = activate_function(GetParam());
  const auto value = [&](ActivationKind kind, float x) {
    activate({kind}, &x, 1);
    return x;
  };
  const auto sigmoid = [&](float x) { return value(ActivationKind::sigmoid, x); };
  const auto swish = [&](float x) { return value(ActivationKind::swish, x); };
  for (int i = -87000; i <= 87000; ++i) {
    const float x = static_cast<float>(i) / 1000;
    const double expected = 1 / (1 + std::exp(-double{x}));
    // The power of two has an error, which shows where the sigmoid is small: one rounding of the
    // product with log2(e), or where that is not rounded, the rounding of log2(e) itself.
    const bool rounds = GetParam() == Isa::avx512 || GetParam() == Isa::sse4;
    const double bound = 0x1p-22 + std::fabs(x) * (rounds ? 0x1p-23 : 0x1p-25);
    ASSERT_NEAR(sigmoid(x), expected, expected * bound) << x;
    ASSERT_NEAR(sigmoid(x), expected, 0x1p-23 + 0x1p-24) << x;
    ASSERT_NEAR(swish(x), x * expected, std::fabs(x) * expected * bound) << x;
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float beyond : {87.5F, 100.0F, 1e30F, kInfinity}) {
    EXPECT_EQ(sigmoid(beyond), 1) << beyond;
    EXPECT_NEAR(sigmoid(-beyond), 0, 0x1p-120) << beyond;
    EXPECT_EQ(swish(beyond), beyond) << beyond;
  }
  EXPECT_EQ(sigmoid(0), 0.5F);
  for (const float below : {-90.0F, -1e30F}) EXPECT_NEAR(swish(below), 0, 2e-8) << below;
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const float nan : {kNaN, -kNaN}) {
    EXPECT_TRUE(std::isnan(sigmoid(nan)) && std::isnan(swish(nan)));
  }
}

TEST_P(Levels, ActivateRowsAndNothingBetweenThem) {
  const ActivateFunction activate = activate_function(GetParam());
  const ActivateRowsFunction activate_rows = activate_rows_function(GetParam());
  const auto untouched = [](std::int64_t i) { return 0.25F * static_cast<float>(i % 23 - 11); };
  for (const Activation& activation : {Activation{},
                                       {ActivationKind::swish},
                                       {ActivationKind::pow, 2},
                                       {ActivationKind::pow, 3}}) {
    for (const std::int64_t width : {1, 3, 8, 16, 21, 48, 61}) {
      for (const std::int64_t step : {width, width + 5}) {
        constexpr std::int64_t kRows = 4, kBefore = 7;
        std::vector<float> values(static_cast<std::size_t>(kBefore + kRows * step + 16));
        for (std::size_t i = 0; i < values.size(); ++i)
          values[i] = untouched(static_cast<std::int64_t>(i));
        const std::vector<float> before = values;
        activate_rows(activation,
                      ActivatedRows::in_place(values.data() + kBefore, width, kRows, step));
        for (const std::int64_t to_step : {width, width + 2}) {
          std::vector<float> elsewhere(static_cast<std::size_t>(kRows * to_step), 0.5F);
          activate_rows(activation,
                        {before.data() + kBefore, elsewhere.data(), width, kRows, step, to_step});
          for (std::int64_t i = 0; i < std::ssize(elsewhere); ++i) {
            const std::int64_t row = i / to_step, column = i % to_step;
            const float expected =
                column < width ? values[static_cast<std::size_t>(kBefore + row * step + column)]
                               : 0.5F;
            EXPECT_EQ(elsewhere[static_cast<std::size_t>(i)], expected)
                << activation.text() << ", " << width << " from " << step << " to " << to_step
                << ", number " << i;
          }
        }
        for (std::int64_t i = 0; i < std::ssize(values); ++i) {
          const std::int64_t place = i - kBefore;
          float expected = untouched(i);
          const bool inside = place >= 0 && place / step < kRows && place % step < width;
          if (inside) activate(activation, &expected, 1);
          EXPECT_EQ(values[static_cast<std::size_t>(i)], expected)
              << activation.text() << ", " << width << " of " << step << ", number " << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Levels, testing::ValuesIn(supported_isas()),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST(CrashNoteDeathTest, NamesWhatCrashed) {
  EXPECT_DEATH(
      {
        const harness::CrashNote note("avx2, 3 threads, direct_nhwc: n1_ic3");
        raise(SIGILL);
      },
      "crashed in avx2, 3 threads, direct_nhwc: n1_ic3");
}

TEST(ProblemTest, DataFollowFromTheWorkloadAlone) {
  const Workload workload = Workload::fully_connected(1, 5, 3, {});
  const Problem one("a", workload), other("b", workload);
  EXPECT_EQ(one.source(0).at(0, 2, 0, 0), other.source(0).at(0, 2, 0, 0));
  EXPECT_EQ(harness::random_problems(3).front().text(), harness::random_problems(3).front().text());
  EXPECT_NE(harness::random_problems(3).front().text(), harness::random_problems(4).front().text());
}

}  // namespace
}  // namespace convopt
