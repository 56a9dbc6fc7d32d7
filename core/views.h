// Channels of larger tensors as tensors of their own.
#pragma once

#include "convopt/tensor.hpp"

namespace convopt {

/// Whether a channel range of such a tensor is dense, so that primitives without the trait
/// `strided_views` can take it. With a batch of one, the batch stride is never used.
constexpr bool channels_are_dense(const TensorShape& whole, Layout layout) {
  return whole.n() == 1 && layout != Layout::nhwc;
}

}  // namespace convopt
