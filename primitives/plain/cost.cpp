#include "core/ops/descriptor.h"
#include "primitives/cost_parts.h"

namespace convopt::plain {

// Streams, as in the family pointwise, and what is held beside the tensors.
void cost(const Workload& workload, const PrimitiveInfo&, int, WorkEstimate& work) {
  work.transform_flops += static_cast<double>(workload.output().elements()) *
                          descriptor(workload.op).arithmetic(workload);
  work.weight_bytes = kFloatBytes * static_cast<double>(workload.weight_elements());
}

}  // namespace convopt::plain
