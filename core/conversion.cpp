#include "core/conversion.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace convopt {
namespace {

// Half precision: a sign, 5 bits of exponent with a bias of 15, 10 bits of mantissa.
constexpr int kHalfMantissa = 10, kHalfBias = 15, kHalfLargestExponent = 31;

float from_half(std::uint16_t bits) {
  const int exponent = (bits >> kHalfMantissa) & kHalfLargestExponent;
  const int mantissa = bits & ((1 << kHalfMantissa) - 1);
  float magnitude = 0;
  if (exponent == kHalfLargestExponent) {
    magnitude = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                              : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), 1 - kHalfBias - kHalfMantissa);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + (1 << kHalfMantissa)),
                           exponent - kHalfBias - kHalfMantissa);
  }
  return (bits >> 15) != 0 ? -magnitude : magnitude;
}

std::uint16_t to_half(float value) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  constexpr std::uint16_t kInfinity = kHalfLargestExponent << kHalfMantissa;
  if (std::isnan(value)) return sign | kInfinity | 1U << (kHalfMantissa - 1);
  const float magnitude = std::abs(value);
  if (magnitude == 0) return sign;
  // What lies half-way between the largest number and the next power of two is rounded up.
  constexpr float kOverflow = 65520.0F;
  if (magnitude >= kOverflow) return sign | kInfinity;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  // The last place of the result, or of the smallest numbers.
  const int place = std::max(exponent - 1, 1 - kHalfBias) - kHalfMantissa;
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, -place)));
  // A mantissa that is rounded up to a power of two carries into the exponent.
  const int biased = std::max(exponent - 1 + kHalfBias, 1) - 1;
  return static_cast<std::uint16_t>(sign | ((biased << kHalfMantissa) + units));
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
