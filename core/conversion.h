// Conversions between f32 and any data type.
#pragma once

#include <cstdint>

#include "convopt/tensor.hpp"

namespace convopt {

/// Whether it is a floating-point type; the others are integers and bool.
constexpr bool is_real(DataType type) {
  return type == DataType::f32 || type == DataType::f64 || type == DataType::f16 ||
         type == DataType::bf16;
}

/// Integers beyond 2^24 and doubles are rounded to the nearest; bool becomes 1 or 0.
void to_floats(const void* values, DataType type, std::int64_t count, float* result);

/// Floating-point types are rounded to nearest even; integers are truncated towards zero and
/// saturated, and NaN becomes 0; bool is 1 for everything but zero.
void from_floats(const float* values, std::int64_t count, DataType type, void* result);

/// The value after a conversion to that type by from_floats().
float rounded(float value, DataType type);

}  // namespace convopt
