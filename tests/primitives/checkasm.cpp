// Every own primitive at every ISA level of this processor on every problem it applies to. New
// lines of primitives.inc are tested without a change here.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "primitives/own.h"
#include "tests/primitives/harness.h"

namespace convopt {
namespace {

using harness::Problem;
using harness::Setting;

class Checkasm : public testing::TestWithParam<Isa> {
 protected:
  static const std::vector<Problem>& problems() {
    static const std::vector<Problem> list = harness::problems();
    return list;
  }

  /// Checks all that applies; returns the names of the primitives that computed something.
  static std::set<std::string> check_all(const Context& context, const Setting& setting) {
    std::set<std::string> computed;
    for (const auto& primitive : own_primitives(context)) {
      const Traits& traits = primitive->info().traits;
      if (setting.gaps && !traits.strided_views) continue;
      for (const Problem& problem : problems()) {
        const Workload& workload = problem.workload();
        if (workload.op != primitive->info().op) continue;
        if (setting.residual_in_place && !workload.epilogue.residual) continue;
        if (traits.overwrites_residual && !setting.residual_in_place && workload.epilogue.residual)
          continue;
        if (!primitive->applicability(workload, context)) continue;
        computed.insert(std::string(primitive->name()));
        EXPECT_EQ(harness::check(*primitive, problem, context, setting), "")
            << to_string(context.isa) << ", " << context.threads << " threads, "
            << primitive->name() << (setting.gaps ? ", with gaps" : "")
            << (setting.residual_in_place ? ", residual in place" : "") << ": " << problem.text();
      }
    }
    return computed;
  }
};

TEST_P(Checkasm, DispatchesToTheAskedLevel) {
  EXPECT_EQ(simd_lanes(GetParam()), vector_floats(GetParam()));
}

TEST_P(Checkasm, OneThread) {
  const Context context{GetParam(), 1};
  const std::set<std::string> computed = check_all(context, {});
  for (const auto& primitive : own_primitives(context)) {
    EXPECT_TRUE(computed.contains(std::string(primitive->name())))
        << primitive->name() << " applies to no problem of the harness";
  }
}

TEST_P(Checkasm, ThreeThreads) { check_all({GetParam(), 3}, {}); }

// Which may also form a grid.
TEST_P(Checkasm, FourThreads) { check_all({GetParam(), 4}, {}); }

TEST_P(Checkasm, ViewsWithGaps) { check_all({GetParam(), 1}, {.gaps = true}); }

TEST_P(Checkasm, ResidualInPlace) {
  check_all({GetParam(), 1}, {.residual_in_place = true});
  check_all({GetParam(), 2}, {.gaps = true, .residual_in_place = true});
}

INSTANTIATE_TEST_SUITE_P(Isa, Checkasm, testing::ValuesIn(supported_isas()),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace convopt
