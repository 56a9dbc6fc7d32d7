// What every kernel is checked against while it is profiled.
#include "profiler/instance.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "convopt/primitive.hpp"
#include "profiler/buffer.h"
#include "profiler/sampler.h"

namespace convopt {
namespace {

TEST(Instance, EveryOperationIsCheckedAgainstTheRightReference) {
  const auto registry = Registry::create({default_isa(), 1, SIZE_MAX});
  ASSERT_TRUE(registry) << registry.error().message;
  std::set<std::pair<Op, bool>> checked, computable;  // of images or not
  for (const Primitive* primitive : (*registry)->primitives()) {
    computable.emplace(primitive->info().op, primitive->info().plain);
  }
  for (int number = 0; number < kOpCount; ++number) {
    SampleLimits limits;
    limits.ops = {static_cast<Op>(number)};
    limits.max_bytes = 1U << 20U;
    std::array<int, 2> drawn = {};  // of images and not
    for (const Workload& workload : sample_workloads(12, 7, limits)) {
      if (++drawn[workload.is_image() ? 1 : 0] > 2) continue;
      Instance instance(workload, 1);
      for (const Primitive* primitive : (*registry)->primitives()) {
        const PrimitiveInfo& info = primitive->info();
        if (!info.computes(workload) ||
            !primitive->applicability(workload, (*registry)->context())) {
          continue;
        }
        const auto kernel =
            primitive->prepare(workload, instance.parameters(), (*registry)->context());
        ASSERT_TRUE(kernel) << kernel.error().message;
        Buffer workspace((*kernel)->workspace_bytes() / sizeof(float) + 1);
        const RunArgs args = instance.args(info, workspace.data());
        instance.reset(info, args);
        // Nothing was written yet, but for residuals in their place.
        const bool is_filled = workload.epilogue.residual && info.traits.overwrites_residual;
        EXPECT_TRUE(is_filled || !std::isfinite(instance.error(args)))
            << workload.text() << " " << info.name;
        (*kernel)->run(args);
        EXPECT_LE(instance.error(args), error_bound(workload, info.traits))
            << workload.text() << " " << info.name;
        checked.emplace(workload.op, info.plain);
      }
    }
  }
  EXPECT_EQ(checked, computable);
}

}  // namespace
}  // namespace convopt
