#include "primitives/cost_parts.h"

namespace convopt::indirect {

// Reads the image itself through pointers and leaves out taps in the padding.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  const ConvShape& s = workload.shape;
  if (!s.is_depthwise()) work.flops *= s.flops_inside() / s.flops();
}

}  // namespace convopt::indirect
