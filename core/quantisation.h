// Real numbers as the whole numbers of quantised tensors: value = scale * (number - zero point),
// see Quantisation.
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

/// Of what a layer multiplies a source of that type by.
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

/// Whether the operation's results are some of its sources' numbers, or their means, so that
/// quantised ones share type, scale and zero point.
bool keeps_scale(Op op);

/// Whether zero points are more to the operation than a part of its bias, or of what it adds, or
/// nothing: it puts zeros round an image of u8, or makes other numbers of those of u8, or these of
/// others.
bool minds_zero_points(const Workload& workload);

/// The number of that type for `steps` = value / scale: the nearest one, halves to even, and the
/// nearest limit; 0 for NaN.
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

/// The workload that stands for all that differ in the steps of `quantise` only, which take the
/// same time: steps of one, from the lowest number of the type that the result is stored in.
inline Workload with_unit_steps(Workload workload) {
  Activation& activation = workload.epilogue.activation;
  if (activation.kind == ActivationKind::quantise)
    activation = {activation.kind, 1,
                  workload.output_type == DataType::s8 ? smallest_number(DataType::s8) : 0};
  return workload;
}

/// What quantised layers multiply by: numbers of s8 from -127 to 127 with a scale for each output
/// channel.
struct QuantisedWeights {
  std::vector<std::int8_t> numbers;
  std::vector<float> scales;
};

/// What zero points add to a layer's sums of whole numbers times scales, by channel, besides the
/// bias: activation(... + bias + shift). That of the source is left out where `of_source` is false,
/// that of the result, in real numbers, where `of_result` is.
std::vector<float> zero_point_shifts(const QuantisedWeights& weights, const Quantisation& scales,
                                     bool of_source, bool of_result);

/// Scales by the largest weight of each channel, which becomes 127, or fewer where the channel's
/// weights are whole numbers of such steps already, as those of quantised models are; 1 for a
/// channel of zeros. `weights` are [channels][...].
QuantisedWeights quantise_weights(std::span<const float> weights, std::int64_t channels);

/// Makes weights what a layer with sources of that type, bf16 or a quantised one, multiplies by.
void round_weights(std::span<float> weights, std::int64_t channels, DataType source);

}  // namespace convopt
