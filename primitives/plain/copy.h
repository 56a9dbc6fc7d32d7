// Copies between views of one shape.
#pragma once

#include "convopt/tensor.hpp"

namespace convopt::plain {

/// Both views may have any strides; those of the source also zero.
void copy(const TensorView& from, const TensorView& to, int threads);

}  // namespace convopt::plain
