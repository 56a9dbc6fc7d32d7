// What every kernel is checked against while it is profiled.
#include "profiler/instance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "convopt/primitive.hpp"
#include "profiler/buffer.h"
#include "profiler/sampler.h"

namespace convopt {
namespace {

using Checked = std::set<std::pair<Op, bool>>;  ///< of images or not

/// Runs all that computes the workload; unwritten and computed results are told apart.
void check_all(const Workload& workload, const Registry& registry, Checked& checked) {
  Instance instance(workload, 1);
  for (const Primitive* primitive : registry.primitives()) {
    const PrimitiveInfo& info = primitive->info();
    if (!info.computes(workload) || !primitive->applicability(workload, registry.context())) {
      continue;
    }
    const auto kernel = primitive->prepare(workload, instance.parameters(), registry.context());
    ASSERT_TRUE(kernel) << kernel.error().message;
    Buffer workspace((*kernel)->workspace_bytes() / sizeof(float) + 1);
    const RunArgs args = instance.args(info, workspace.data());
    instance.reset(info, args);
    const double bound = error_bound(workload, info.traits);
    // Residuals are in their place already.
    const bool is_filled = workload.epilogue.residual && info.traits.overwrites_residual;
    EXPECT_TRUE(is_filled || !(instance.error(args, info.traits.weight_type) <= bound))
        << workload.text() << " " << info.name;
    (*kernel)->run(args);
    EXPECT_LE(instance.error(args, info.traits.weight_type), bound)
        << workload.text() << " " << info.name;
    checked.emplace(workload.op, info.plain);
  }
}

TEST(Instance, EveryOperationIsCheckedAgainstTheRightReference) {
  const auto registry = Registry::create({default_isa(), 1, SIZE_MAX});
  ASSERT_TRUE(registry) << registry.error().message;
  Checked checked, computable;
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
      check_all(workload, **registry, checked);
    }
  }
  EXPECT_EQ(checked, computable);
}

TEST(Instance, ScaledConvolutionsAreCheckedWithTheirFactors) {
  const auto registry = Registry::create({default_isa(), 1, SIZE_MAX});
  ASSERT_TRUE(registry) << registry.error().message;
  Checked checked;
  const auto workload = Workload::parse("conv:n2_ic20_ih9_iw9_oc32_kh3_kw3_s1_p1_scaled:add+swish");
  ASSERT_TRUE(workload) << workload.error().message;
  check_all(*workload, **registry, checked);
  EXPECT_EQ(checked.size(), 1U);
}

TEST(Instance, TypedTensorsAreCheckedInTheirScales) {
  const auto registry = Registry::create({default_isa(), 1, SIZE_MAX});
  ASSERT_TRUE(registry) << registry.error().message;
  Checked checked;
  const std::string conv = "conv:n1_ic32_ih9_iw9_oc32_kh3_kw3_s1_p1";
  for (const std::string& text :
       {conv + "_bf16:add", conv + "_bf16_f32", conv + "_u8:add_s8+relu", conv + "_u8_s8:add",
        conv + "_s8_u8:add+relu", conv + "_s8", conv + "_u8_f32:add+sigmoid",
        conv + "_s8:add_u8+tanh", std::string("fully_connected:n1_ic300_oc100_u8_s8"),
        std::string("fully_connected:n2_ic300_oc100_s8_f32:relu"),
        std::string("max_pool:n1_c32_ih9_iw9_kh3_kw3_s2_p1_s8"),
        std::string("avg_pool_exclude:n1_c32_ih7_iw7_kh7_kw7_s1_p0_u8"),
        std::string("concat:n1_c32+64_h5_w7_u8"), std::string("convert:n1_c20_h5_w7_f32_u8"),
        std::string("convert:n1_c20_h5_w7_f32_s8"), std::string("convert:n1_c20_h5_w7_u8_f32"),
        std::string("convert:n1_c20_h5_w7_s8")}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload) << workload.error().message;
    check_all(*workload, **registry, checked);
  }
  const bool has_int8 = std::ranges::any_of((*registry)->primitives(), [](const Primitive* p) {
    return p->info().input_type == DataType::u8 && p->info().op == Op::conv;
  });
  EXPECT_TRUE(!has_int8 || checked.size() == 6) << checked.size();
}

}  // namespace
}  // namespace convopt
