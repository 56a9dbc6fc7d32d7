#include "core/quantisation.h"

#include <array>
#include <cstddef>
#include <numeric>

#include "core/conversion.h"

namespace convopt {

bool keeps_scale(Op op) {
  constexpr std::array kKeeping = {
      Op::max_pool, Op::avg_pool_include, Op::avg_pool_exclude, Op::concat,         Op::slice,
      Op::shuffle,  Op::upsample_nearest, Op::transpose,        Op::depth_to_space, Op::pad};
  return std::ranges::find(kKeeping, op) != kKeeping.end();
}

bool minds_zero_points(const Workload& workload) {
  const bool reads = workload.input_type == DataType::u8;
  const bool writes = workload.output_type == DataType::u8;
  const ConvShape& s = workload.shape;
  switch (workload.op) {
    case Op::conv:
    case Op::avg_pool_include:
      return reads && s.pad_top + s.pad_bottom + s.pad_left + s.pad_right > 0;
    case Op::pad:
      return reads;
    case Op::convert:
      return reads != writes;
    default:
      return false;
  }
}

std::vector<float> zero_point_shifts(const QuantisedWeights& weights, const Quantisation& scales,
                                     bool of_source, bool of_result) {
  double common = -double{scales.residual} * scales.residual_zero;
  if (of_result) common += double{scales.output} * scales.output_zero;
  std::vector<float> shifts(weights.scales.size(), static_cast<float>(common));
  if (!of_source || scales.input_zero == 0) return shifts;
  const std::size_t length = weights.numbers.size() / shifts.size();
  for (std::size_t channel = 0; channel < shifts.size(); ++channel) {
    const auto first = weights.numbers.begin() + static_cast<std::ptrdiff_t>(channel * length);
    const auto sum =
        std::accumulate(first, first + static_cast<std::ptrdiff_t>(length), std::int64_t{0});
    const double step = double{scales.input} * weights.scales[channel];
    shifts[channel] =
        static_cast<float>(common - step * scales.input_zero * static_cast<double>(sum));
  }
  return shifts;
}

namespace {

/// Whether all are integer multiples of `step`, up to the rounding of a product.
bool lie_on_steps(std::span<const float> values, float step) {
  constexpr float kLost = 1e-4F;
  return std::ranges::all_of(values, [step](float value) {
    const float number = value / step;
    const float whole = quantised(number, DataType::s8);
    return std::abs(number - whole) <= kLost;
  });
}

/// The scale of a channel with that largest magnitude.
float step_of(std::span<const float> values, float largest) {
  constexpr int kLargest = 127;
  // From 128 on: quantisers that saturate at the type's limits write -128.
  for (int number = kLargest + 1; number > 0; --number) {
    const float step = largest / static_cast<float>(number);
    if (lie_on_steps(values, step)) return step;
  }
  return largest / kLargest;
}

}  // namespace

QuantisedWeights quantise_weights(std::span<const float> weights, std::int64_t channels) {
  QuantisedWeights result;
  result.numbers.resize(weights.size());
  result.scales.resize(static_cast<std::size_t>(channels), 1);
  const std::size_t length = weights.size() / result.scales.size();
  for (std::size_t channel = 0; channel < result.scales.size(); ++channel) {
    const std::span<const float> values = weights.subspan(channel * length, length);
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::abs(value));
    // Biases are divided by the scale: smaller scales would make them overflow.
    constexpr float kLeast = 1e-25F;
    if (largest < kLeast) continue;
    const float scale = step_of(values, largest);
    result.scales[channel] = scale;
    std::int8_t* const numbers = result.numbers.data() + channel * length;
    std::ranges::transform(values, numbers, [scale](float value) {
      return static_cast<std::int8_t>(quantised(value / scale, DataType::s8));
    });
  }
  return result;
}

void round_weights(std::span<float> weights, std::int64_t channels, DataType source) {
  if (!is_quantised(source)) {
    for (float& weight : weights) weight = rounded(weight, source);
    return;
  }
  const QuantisedWeights quantised = quantise_weights(weights, channels);
  const std::size_t length = weights.size() / quantised.scales.size();
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = quantised.scales[i / length] * static_cast<float>(quantised.numbers[i]);
}

}  // namespace convopt
