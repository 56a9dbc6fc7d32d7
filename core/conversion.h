// Numbers of any type as single-precision numbers, and back.
#pragma once

#include <cstdint>

#include "convopt/tensor.hpp"

namespace convopt {

/// Types of real numbers; the others are of whole numbers or truth values.
constexpr bool is_real(DataType type) {
  return type == DataType::f32 || type == DataType::f64 || type == DataType::f16 ||
         type == DataType::bf16;
}

/// Whole numbers beyond 2^24 and doubles are rounded to the nearest; truth values become 1 and 0.
void to_floats(const void* values, DataType type, std::int64_t count, float* result);

/// Rounded to the nearest in types of real numbers, halves to even; towards zero and to the nearest
/// limit in whole numbers, where NaN becomes 0; 1 for all that are not zero in truth values.
void from_floats(const float* values, std::int64_t count, DataType type, void* result);

/// The number of that type that from_floats() makes of it.
float rounded(float value, DataType type);

}  // namespace convopt
