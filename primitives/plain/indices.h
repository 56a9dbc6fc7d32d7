// Indices that stand in tensors of single precision.
#pragma once

#include <cstdint>

namespace convopt::plain {

/// The element that an index names along an axis of `size` elements; negative ones count from the
/// end, the others are brought into the range, so that nothing outside is ever read.
inline std::int64_t element_number(float index, int size) {
  const auto count = static_cast<float>(size);
  const float from_start = index < 0 ? index + count : index;
  // A NaN names the first.
  const float inside = from_start > 0 ? from_start : 0.0F;
  return static_cast<std::int32_t>(inside < count ? inside : count - 1);
}

}  // namespace convopt::plain
