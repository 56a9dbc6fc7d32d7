#include "primitives/cost.h"

namespace convopt::pooling {

// The rows of a window are combined once per column that windows reach, the columns once per
// result.
void cost(const Workload& workload, const PrimitiveInfo&, int, WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const double rows = double{1} * s.n * s.ic * s.oh();
  const double reached = double{1} * (s.ow() - 1) * s.stride_w + s.kw;
  work.transform_flops += rows * (reached * s.kh + double{1} * s.ow() * s.kw);
}

}  // namespace convopt::pooling
