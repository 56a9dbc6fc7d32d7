#include "primitives/cost_parts.h"

namespace convopt::direct {

// Register tiles lie within one row of the result. Also what is assumed of libraries' kernels.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::row_by_row, work);
}

}  // namespace convopt::direct
