// Channels of larger tensors as tensors of their own.
#pragma once

#include "convopt/tensor.hpp"

namespace convopt {

/// Whether channels of such a tensor lie as in a dense one, so that also primitives without the
/// trait `strided_views` may be given them: of a single image, the stride between images is never
/// used.
constexpr bool channels_are_dense(const TensorShape& whole, Layout layout) {
  return whole.n() == 1 && layout != Layout::nhwc;
}

}  // namespace convopt
