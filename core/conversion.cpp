#include "core/conversion.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace convopt {
namespace {

// Half precision: a sign, 5 bits of exponent with a bias of 15, 10 bits of mantissa. Single
// precision: a sign, 8 bits with a bias of 127, 23 bits. Both functions compute without branches,
// so that the compiler makes vectors of the loops over them, and meet no denormal float, which
// counts as zero while a network runs.
constexpr std::uint32_t kHalfSign = 0x8000, kHalfInfinity = 0x7C00, kHalfNaN = 0x7E00;
constexpr int kMantissaDifference = 23 - 10;
constexpr std::uint32_t kBiasDifference = 127 - 15;

/// A power of two, 2^(exponent - 127), as the bits of a float.
constexpr std::uint32_t power_bits(std::uint32_t exponent) { return exponent << 23U; }

/// With a mask where compilers make a branch of `?:`.
constexpr std::uint32_t select(bool first, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t mask = 0U - static_cast<std::uint32_t>(first);
  return (a & mask) | (b & ~mask);
}

float from_half(std::uint16_t half) {
  const std::uint32_t magnitude = half & (kHalfSign - 1);
  const std::uint32_t normal = (magnitude << kMantissaDifference) + power_bits(kBiasDifference);
  // Without the leading one that the exponent of a normal number would imply.
  const float denormal = std::bit_cast<float>(normal + power_bits(1)) -
                         std::bit_cast<float>(power_bits(kBiasDifference + 1));
  std::uint32_t bits =
      select(magnitude >= kHalfInfinity, normal + power_bits(kBiasDifference), normal);
  bits = select(magnitude < 1U << 10U, std::bit_cast<std::uint32_t>(denormal), bits);
  return std::bit_cast<float>(bits | (half & kHalfSign) << 16U);
}

/// To the nearest, halves to even.
std::uint16_t to_half(float value) {
  const auto all_bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = all_bits & 0x7FFFFFFFU;
  // Half of the last place that stays, less one where that place is 0. A mantissa that is rounded
  // up to a power of two carries into the exponent, and beyond the largest number to infinity.
  const std::uint32_t odd = magnitude >> kMantissaDifference & 1U;
  constexpr std::uint32_t kHalfPlace = (1U << (kMantissaDifference - 1)) - 1;
  const std::uint32_t normal =
      (magnitude - power_bits(kBiasDifference) + kHalfPlace + odd) >> kMantissaDifference;
  // The last place of this power of two is that of the smallest halves: adding it rounds.
  constexpr std::uint32_t kPower = power_bits(kBiasDifference + kMantissaDifference + 1);
  const std::uint32_t denormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(kPower)) -
      kPower;
  std::uint32_t half = select(magnitude < power_bits(kBiasDifference + 1), denormal, normal);
  half = select(magnitude >= power_bits(kBiasDifference + 31), kHalfInfinity, half);
  half = select(magnitude > power_bits(255), kHalfNaN, half);
  return static_cast<std::uint16_t>(half | (all_bits >> 16U & kHalfSign));
}

float from_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

std::uint16_t to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16U | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16U & 1U)) >> 16U);
}

/// The nearest number of the type that is not further from zero.
template <class T>
T to_integer(float value) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(value)) return 0;
  // The limits themselves need not be floats: 2^31 - 1 would be rounded up.
  if (value >= std::ldexp(1.0F, Limits::digits)) return Limits::max();
  if (value <= static_cast<float>(Limits::min())) return Limits::min();
  return static_cast<T>(value);
}

template <class T, class Function>
void read(const void* values, std::int64_t count, float* result, Function function) {
  const T* const from = static_cast<const T*>(values);
  for (std::int64_t i = 0; i < count; ++i) result[i] = function(from[i]);
}

template <class T, class Function>
void write(const float* values, std::int64_t count, void* result, Function function) {
  T* const to = static_cast<T*>(result);
  for (std::int64_t i = 0; i < count; ++i) to[i] = function(values[i]);
}

}  // namespace

void to_floats(const void* values, DataType type, std::int64_t count, float* result) {
  const auto plain = [](auto value) { return static_cast<float>(value); };
  switch (type) {
    case DataType::f32:
      return read<float>(values, count, result, plain);
    case DataType::f64:
      return read<double>(values, count, result, plain);
    case DataType::f16:
      return read<std::uint16_t>(values, count, result, from_half);
    case DataType::bf16:
      return read<std::uint16_t>(values, count, result, from_bfloat);
    case DataType::s8:
      return read<std::int8_t>(values, count, result, plain);
    case DataType::u8:
      return read<std::uint8_t>(values, count, result, plain);
    case DataType::s16:
      return read<std::int16_t>(values, count, result, plain);
    case DataType::u16:
      return read<std::uint16_t>(values, count, result, plain);
    case DataType::u32:
      return read<std::uint32_t>(values, count, result, plain);
    case DataType::u64:
      return read<std::uint64_t>(values, count, result, plain);
    case DataType::s32:
      return read<std::int32_t>(values, count, result, plain);
    case DataType::s64:
      return read<std::int64_t>(values, count, result, plain);
    case DataType::boolean:
      return read<std::uint8_t>(values, count, result,
                                [](std::uint8_t value) { return value != 0 ? 1.0F : 0.0F; });
  }
}

void from_floats(const float* values, std::int64_t count, DataType type, void* result) {
  const auto plain = [](float value) { return value; };
  switch (type) {
    case DataType::f32:
      return write<float>(values, count, result, plain);
    case DataType::f64:
      return write<double>(values, count, result, plain);
    case DataType::f16:
      return write<std::uint16_t>(values, count, result, to_half);
    case DataType::bf16:
      return write<std::uint16_t>(values, count, result, to_bfloat);
    case DataType::s8:
      return write<std::int8_t>(values, count, result, to_integer<std::int8_t>);
    case DataType::u8:
      return write<std::uint8_t>(values, count, result, to_integer<std::uint8_t>);
    case DataType::s16:
      return write<std::int16_t>(values, count, result, to_integer<std::int16_t>);
    case DataType::u16:
      return write<std::uint16_t>(values, count, result, to_integer<std::uint16_t>);
    case DataType::u32:
      return write<std::uint32_t>(values, count, result, to_integer<std::uint32_t>);
    case DataType::u64:
      return write<std::uint64_t>(values, count, result, to_integer<std::uint64_t>);
    case DataType::s32:
      return write<std::int32_t>(values, count, result, to_integer<std::int32_t>);
    case DataType::s64:
      return write<std::int64_t>(values, count, result, to_integer<std::int64_t>);
    case DataType::boolean:
      return write<std::uint8_t>(values, count, result, [](float value) {
        return static_cast<std::uint8_t>(value != 0 ? 1 : 0);
      });
  }
}

float rounded(float value, DataType type) {
  if (type == DataType::f32) return value;
  double memory = 0;  // as large as a number of any type
  from_floats(&value, 1, type, &memory);
  to_floats(&memory, type, 1, &value);
  return value;
}

}  // namespace convopt
