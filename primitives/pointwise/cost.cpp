#include "primitives/cost.h"

#include "core/ops/descriptor.h"

namespace convopt::pointwise {

// Streams: a few operations per element of the result.
void cost(const Workload& workload, const PrimitiveInfo&, int, WorkEstimate& work) {
  work.transform_flops += static_cast<double>(workload.output().elements()) *
                          descriptor(workload.op).arithmetic(workload);
}

}  // namespace convopt::pointwise
