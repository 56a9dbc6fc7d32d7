// How a tensor is stored in int8.
#pragma once

#include "convopt/tensor.hpp"

namespace convopt {

/// A number is scale times the whole number that stands for it.
struct TensorScale {
  DataType type = DataType::f32;  ///< u8 or s8; f32: it cannot be
  float scale = 1;

  bool operator==(const TensorScale&) const = default;
};

}  // namespace convopt
