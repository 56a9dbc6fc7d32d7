#include "primitives/cost_parts.h"

namespace convopt::kn2row {

// One product per tap: over a copy of the image (kn2col), or over the image itself, where taps in
// the padding are left out and every tap after the first reads and writes the result again.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  if (primitive.traits.packed_bytes_per_input_byte > 0) return;
  const ConvShape& s = workload.shape;
  if (!s.is_depthwise()) work.flops *= s.flops_inside() / s.flops();
  work.packed_bytes += (taps_of(s) - 1) * work.output_bytes;
}

}  // namespace convopt::kn2row
