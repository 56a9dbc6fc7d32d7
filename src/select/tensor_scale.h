// How a tensor is stored in int8.
#pragma once

#include "convopt/tensor.hpp"

namespace convopt {

/// value = scale * (stored integer - zero point).
struct TensorScale {
  DataType type = DataType::f32;  ///< u8 or s8; f32: it cannot be
  float scale = 1;
  int zero_point = 0;  ///< other than 0 only for u8

  bool operator==(const TensorScale&) const = default;
};

}  // namespace convopt
