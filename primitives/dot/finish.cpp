#include <algorithm>
#include <cmath>

#include "primitives/dot/product.h"

namespace convopt::dot {

Finish make_finish(const Workload& workload, const Quantisation& scales,
                   const Activation& activation, double most, std::span<float> sum_scales,
                   std::span<float> biases) {
  const LastWrite last = last_write(activation);
  const bool in_steps = is_quantised(workload.output_type);
  // Clamps may happen in steps of the result, other activations are those of real numbers.
  const float unit = in_steps && !last.needs_pass ? scales.output : 1;
  const auto zero = static_cast<float>(scales.output_zero);
  Finish finish;
  finish.residual_type = workload.residual_type();
  finish.residual_scale = scales.residual / unit;
  finish.low = last.low / unit + zero;
  finish.high = last.high / unit + zero;
  for (float& bias : biases) bias /= unit;
  for (float& scale : sum_scales) scale *= scales.input / unit;
  if (last.needs_pass) {
    finish.activate = activate_function(Isa::avx512);
    finish.activation = &activation;
    finish.steps = in_steps ? 1 / scales.output : 1;
    finish.zero_point = zero;
  }
  float smallest = LastWrite{}.low, largest = LastWrite{}.high;
  if (in_steps) {
    // Whole numbers of 32 bits are kept within the type's limits anyway.
    constexpr double kWholeLimit = 0x1p30;
    double result = 0;
    for (std::size_t i = 0; i < sum_scales.size(); ++i) {
      result = std::max(result, double(sum_scales[i]) * most + std::abs(double(biases[i])));
    }
    if (!last.needs_pass && result + double(finish.residual_scale) * 256 < kWholeLimit) {
      smallest = smallest_number(workload.output_type);
      largest = largest_number(workload.output_type);
    }
    finish.low = std::max(finish.low, smallest_number(workload.output_type));
    finish.high = std::min(finish.high, largest_number(workload.output_type));
  }
  finish.clamps_low = finish.low > smallest;
  finish.clamps_high = finish.high < largest;
  return finish;
}

std::vector<std::int32_t> starts_of_shifted(const QuantisedWeights& weights) {
  std::vector<std::int32_t> starts(weights.scales.size());
  const std::size_t reduction = weights.numbers.size() / starts.size();
  for (std::size_t i = 0; i < weights.numbers.size(); ++i) {
    starts[i / reduction] -= 128 * weights.numbers[i];
  }
  return starts;
}

}  // namespace convopt::dot
