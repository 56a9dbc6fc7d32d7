#include "primitives/cost_parts.h"

namespace convopt::im2col {
extern CostStructure cost;  // the product with a patch matrix that it speeds up
}

namespace convopt::strassen {

// Seven products of quarters instead of eight, each with weights of its own.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  im2col::cost(workload, primitive, vector, work);
  if (workload.shape.is_depthwise()) return;
  work.flops *= 7.0 / 8;
  work.weight_bytes *= 7.0 / 4;
}

}  // namespace convopt::strassen
