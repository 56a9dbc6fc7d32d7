// One direction of a sliding window, in 64 bits because its numbers may come from anywhere.
#pragma once

#include <algorithm>
#include <cstdint>

namespace convopt {

struct WindowAxis {
  std::int64_t in = 1, kernel = 1, stride = 1, dilation = 1;
  std::int64_t before = 0, after = 0;  ///< padding

  std::int64_t extent() const { return (kernel - 1) * dilation + 1; }
  std::int64_t padded() const { return before + in + after; }
  std::int64_t out() const { return (padded() - extent()) / stride + 1; }
  /// Padding behind the image with which the last of `count` windows just fits.
  std::int64_t after_for(std::int64_t count) const {
    return std::max<std::int64_t>((count - 1) * stride + extent() - in - before, 0);
  }

  void pad_same(bool extra_after) {
    before = 0;
    const std::int64_t total = after_for((in + stride - 1) / stride);
    before = extra_after ? total / 2 : total - total / 2;
    after = total - before;
  }

  /// Admits a last, partial window by more padding behind the image, unless it would begin behind
  /// the image: the rule of PyTorch and Caffe.
  void pad_partial_window() {
    std::int64_t count = (padded() - extent() + stride - 1) / stride + 1;
    if ((count - 1) * stride >= in + before) --count;
    if (count != out()) after = after_for(count);
  }
};

}  // namespace convopt
