#include "primitives/cost_parts.h"

namespace convopt::gemm {

// A fully connected layer: every weight is read once per image.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const RegisterTile tile = RegisterTile::of(primitive, vector);
  work.k = s.ic;
  work.nominal_flops = 2.0 * s.n * s.ic * s.oc;
  work.flops = 2 * double(s.n) * s.ic * round_up_to(s.oc, tile.channels);
  work.fill = work.nominal_flops / work.flops;
  work.weight_bytes = kFloatBytes * double(s.ic) * s.oc;
}

}  // namespace convopt::gemm
