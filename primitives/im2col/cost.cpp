#include "primitives/cost_parts.h"

namespace convopt::im2col {

// A product with a patch matrix, or with the image itself for kernels of one tap.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  const ConvShape& s = workload.shape;
  if (primitive.traits.packed_bytes_per_input_byte == 0 && taps_of(s) > 1 && !s.is_depthwise()) {
    work.packed_bytes = kFloatBytes * work.m * work.k * s.groups;
  }
}

}  // namespace convopt::im2col
