#include "core/quantisation.h"
#include "primitives/cost_parts.h"

namespace convopt::dot {
namespace {

constexpr double kLaneBytes = 4;  // as in product.h, which needs vectors

/// Bytes that are multiplied of a result's window, as conv.cpp cuts it into steps: pixels filled up
/// to lanes, or the bytes below each row of the kernel where u8 and s8 continue each other.
double window_bytes(const ConvShape& shape, DataType type) {
  const double pixel = double(shape.ic) * static_cast<double>(element_bytes(type));
  if (is_quantised(type) && shape.dilation_w == 1 && std::fmod(pixel, kLaneBytes) != 0) {
    return shape.kh * round_up_to(shape.kw * pixel, kLaneBytes);
  }
  return taps_of(shape) * round_up_to(pixel, kLaneBytes);
}

}  // namespace

// Images with padding, or whose pixels are no whole lanes, are copied first.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  const ConvShape& s = workload.shape;
  const double bytes = static_cast<double>(element_bytes(primitive.input_type));
  const double filled = window_bytes(s, primitive.input_type) / (taps_of(s) * s.ic * bytes);
  work.flops *= filled;
  work.fill /= filled;
  work.weight_bytes *= filled;
  const bool padded = s.pad_top + s.pad_bottom + s.pad_left + s.pad_right > 0;
  if (padded || std::fmod(s.ic * bytes, kLaneBytes) != 0) work.packed_bytes = work.input_bytes;
  // Sums are scaled, rounded and packed.
  constexpr double kPerResult = 4;
  work.transform_flops += kPerResult * double(s.n) * s.oc * s.oh() * s.ow();
}

}  // namespace convopt::dot
