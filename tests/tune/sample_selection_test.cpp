// Few workloads for many.
#include "src/tune/sample_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "profiler/sampler.h"

namespace convopt {
namespace {

TEST(Coverage, KeepsEveryWorkloadAndTheOrderOfOperations) {
  const auto pool = sample_workloads(700, 3);
  const auto ordered = order_by_representativeness(pool);
  ASSERT_EQ(ordered.size(), pool.size());
  std::multiset<std::string> before, after;
  for (std::size_t i = 0; i < pool.size(); ++i) {
    EXPECT_EQ(ordered[i].op, pool[i].op);
    before.insert(pool[i].text());
    after.insert(ordered[i].text());
  }
  EXPECT_EQ(before, after);
  EXPECT_EQ(order_by_representativeness(pool), ordered);
  EXPECT_TRUE(order_by_representativeness({}).empty());
}

TEST(Coverage, TheFirstTenConvolutionsAreOfManyKindsAndCheap) {
  SampleLimits limits;
  limits.ops = {Op::conv};
  const auto pool = sample_workloads(500, 5, limits);
  const auto ordered = order_by_representativeness(pool);
  std::set<int> kernels, strides;
  bool depthwise = false, pointwise_wide = false;
  double chosen_flops = 0, pool_flops = 0;
  for (const Workload& workload : pool) pool_flops += workload.shape.flops();
  for (std::size_t i = 0; i < 10; ++i) {
    const ConvShape& s = ordered[i].shape;
    kernels.insert(s.kh * s.kw);
    strides.insert(s.stride_h);
    depthwise |= s.groups > 1 && s.groups == s.ic;
    pointwise_wide |= s.kh == 1 && s.ic >= 64;
    chosen_flops += s.flops();
  }
  EXPECT_GE(kernels.size(), 3U);
  EXPECT_GE(strides.size(), 2U);
  EXPECT_TRUE(depthwise);
  EXPECT_TRUE(pointwise_wide);
  EXPECT_LT(chosen_flops / 10, pool_flops / 500 / 2);
}

}  // namespace
}  // namespace convopt
