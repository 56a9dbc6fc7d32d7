#include "core/quantisation.h"

#include <array>
#include <cstddef>

#include "core/conversion.h"

namespace convopt {

bool keeps_scale(Op op) {
  constexpr std::array kKeeping = {
      Op::max_pool, Op::avg_pool_include, Op::avg_pool_exclude, Op::concat,         Op::slice,
      Op::shuffle,  Op::upsample_nearest, Op::transpose,        Op::depth_to_space, Op::pad};
  return std::ranges::find(kKeeping, op) != kKeeping.end();
}

namespace {

/// Whether all are whole numbers of steps, up to what a product of floats loses.
bool lie_on_steps(std::span<const float> values, float step) {
  constexpr float kLost = 1e-4F;
  return std::ranges::all_of(values, [step](float value) {
    const float number = value / step;
    const float whole = quantised(number, DataType::s8);
    return std::abs(number - whole) <= kLost;
  });
}

/// The step of a channel whose largest magnitude that is.
float step_of(std::span<const float> values, float largest) {
  constexpr int kLargest = 127;
  // -128 has no counterpart, and is written by quantisers that cut off at the type's limits.
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
    // Biases are divided by the scale: smaller ones would leave the range of numbers.
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
