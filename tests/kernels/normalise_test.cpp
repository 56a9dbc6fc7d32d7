// Rows as long as images, which instance normalisation has.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "primitives/own.h"

namespace convopt {
namespace {

TEST(LayerNorm, LongRowsKeepTheirDigits) {
  constexpr int kChannels = 300001;
  const TensorShape shape{1, kChannels, 1, 1};
  const Workload workload = Workload::layer_norm(shape, 1e-5F);
  // Far from zero in relation to its spread, and larger towards the end.
  std::vector<float> x(kChannels);
  double sum = 0, squares = 0;
  for (int i = 0; i < kChannels; ++i) {
    x[i] = 50 + std::sin(static_cast<float>(i)) + static_cast<float>(i) / kChannels;
    sum += double{x[i]};
  }
  const double mean = sum / kChannels;
  for (const float value : x) squares += (value - mean) * (value - mean);
  const double factor = 1 / std::sqrt(squares / kChannels + 1e-5);
  const std::vector<float> ones(kChannels, 1.0F);
  const Context context{default_isa(), 1};
  int computed = 0;
  for (const auto& primitive : own_primitives(context)) {
    const PrimitiveInfo& info = primitive->info();
    if (!info.computes(workload)) continue;
    SCOPED_TRACE(info.name);
    ++computed;
    const auto kernel = primitive->prepare(workload, {std::span<const float>(ones), {}}, context);
    ASSERT_TRUE(kernel);
    // One pixel's channels lie one behind the other in every layout.
    std::vector<float> source(static_cast<std::size_t>(padded_elements(shape, info.input_layout)));
    std::copy(x.begin(), x.end(), source.begin());
    std::vector<float> result(source.size());
    const TensorView in = TensorView::dense(source.data(), shape, info.input_layout);
    (*kernel)->run(
        {{&in, 1}, TensorView::dense(result.data(), shape, info.output_layout), {}, nullptr});
    double largest = 0;
    for (int i = 0; i < kChannels; ++i) {
      largest = std::max(largest, std::abs(double{result[i]} - (x[i] - mean) * factor));
    }
    EXPECT_LT(largest, 2e-5);
  }
  EXPECT_EQ(computed, 4);
}

}  // namespace
}  // namespace convopt
