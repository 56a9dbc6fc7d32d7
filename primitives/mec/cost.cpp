#include "primitives/cost_parts.h"

namespace convopt::mec {

// Lowers the image along its width: for every column of the result, the kw pixels that it sees of
// each row.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  if (primitive.traits.packed_bytes_per_input_byte > 0) return;
  const ConvShape& s = workload.shape;
  work.packed_bytes =
      kFloatBytes * double(s.n) * s.ow() * (s.ih + s.pad_top + s.pad_bottom) * s.kw * s.ic;
}

}  // namespace convopt::mec
