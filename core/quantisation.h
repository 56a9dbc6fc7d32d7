// Quantisation of tensors to 8-bit integers: value = scale * (number - zero point), see
// Quantisation. `number` is the stored integer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// Types of quantised tensors.
constexpr bool is_quantised(DataType type) { return type == DataType::u8 || type == DataType::s8; }

/// Type of the weights that a source of that type is multiplied by.
constexpr DataType product_type(DataType source) {
  return is_quantised(source) ? DataType::s8 : source;
}

/// Of both types of quantised tensors, the one that this is not.
constexpr DataType other_quantised(DataType type) {
  return type == DataType::u8 ? DataType::s8 : DataType::u8;
}

/// The number that stands for the end of a quantised tensor's range: 255 or 127.
constexpr float largest_number(DataType type) { return type == DataType::u8 ? 255 : 127; }
/// The smallest that the type holds: 0 or -128.
constexpr float smallest_number(DataType type) { return type == DataType::u8 ? 0 : -128; }

/// Whether tensors of the type may have that number stand for zero: those of s8 have only 0.
inline bool is_zero_point(float number, DataType type) {
  const float most = type == DataType::u8 ? largest_number(type) : 0;
  return number >= 0 && number <= most && number == std::nearbyint(number);
}

/// Whether the operation only moves, selects or averages elements, so that quantised sources and
/// result share type, scale and zero point.
bool keeps_scale(Op op);

/// Whether a kernel has to handle zero points other than 0 itself: zero padding of u8 is filled
/// with the zero point, and conversions to or from u8 add it. Elsewhere zero points are folded into
/// the bias or a constant summand, or have no effect.
bool minds_zero_points(const Workload& workload);

/// The number of that type for `steps` = value / scale: rounded to nearest even and saturated; 0
/// for NaN.
inline float quantised(float steps, DataType type) {
  if (std::isnan(steps)) return 0;
  // Numbers of this size have no fraction.
  constexpr float kWhole = 0x1.8p23F;
  return std::clamp(steps, smallest_number(type), largest_number(type)) + kWhole - kWhole;
}

/// The activation that has to be computed before a result is stored: storing in int8 rounds to
/// steps itself.
inline Activation activation_before_storing(const Workload& workload) {
  const Activation& activation = workload.epilogue.activation;
  const bool stored =
      is_quantised(workload.output_type) && activation.kind == ActivationKind::quantise;
  return stored ? Activation{} : activation;
}

/// The representative of all workloads that take the same time: storing in int8 is the rounding, so
/// `quantise` is left out there; in f32 it has a scale of 1.
inline Workload timed_as(Workload workload) {
  Activation& activation = workload.epilogue.activation;
  activation = activation_before_storing(workload);
  if (activation.kind == ActivationKind::quantise) activation = {activation.kind, 1, 0};
  return workload;
}

/// Weights of quantised layers: s8 from -128 to 127 with a scale per output channel.
struct QuantisedWeights {
  std::vector<std::int8_t> numbers;
  std::vector<float> scales;
};

/// Correction of a layer's dequantised sums for zero points, per output channel:
/// activation(... + bias + shift). `of_source`: corrects for the source's zero point. `of_result`:
/// adds the result's, times its scale.
std::vector<float> zero_point_shifts(const QuantisedWeights& weights, const Quantisation& scales,
                                     bool of_source, bool of_result);

/// Quantises each channel by its largest magnitude, which becomes 127. Where the channel's weights
/// are integer multiples of a scale already, as in quantised models, that scale is kept. The scale
/// of a channel of zeros is 1. `weights` are [channels][...].
QuantisedWeights quantise_weights(std::span<const float> weights, std::int64_t channels);

/// Rounds weights to the values that a layer with sources of that type, bf16 or a quantised one,
/// multiplies by.
void round_weights(std::span<float> weights, std::int64_t channels, DataType source);

}  // namespace convopt
