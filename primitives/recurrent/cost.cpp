#include <algorithm>

#include "core/ops/descriptor.h"
#include "primitives/cost_parts.h"

namespace convopt::recurrent {

// A product of all steps by the inputs' weights, and one of each step's images by the state's,
// whose weights pass by once a step.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  // A description from a file may name any structure for a convolution.
  if (!workload.is_recurrent()) {
    return count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  }
  const RegisterTile tile = RegisterTile::of(primitive, vector);
  const double steps = workload.first[0], batch = workload.first[1], inputs = workload.first[2];
  const double directions = workload.second[0], hidden = workload.second[2];
  const double gates = workload.op == Op::lstm ? 4 : 3;
  // So many sums of one column are made at a time before they need not wait for each other.
  constexpr double kSums = 4;
  const double columns = round_up_to(gates * hidden, vector);
  work.m = steps * batch;
  work.n = gates * hidden;
  work.k = inputs + hidden;
  work.nominal_flops = 2 * directions * work.m * work.n * work.k;
  work.flops =
      2 * directions * columns *
      (round_up_to(work.m, tile.pixels) * inputs + steps * std::max(batch, kSums) * hidden);
  work.fill = work.nominal_flops / work.flops;
  work.pixel_tiles = steps;
  work.channel_tiles = std::ceil(columns / tile.channels);
  work.tiles = directions * steps * work.channel_tiles;
  work.weight_bytes = kFloatBytes * directions * columns * work.k;
  work.packed_bytes = kFloatBytes * directions * work.m * work.n;
  work.transform_flops += static_cast<double>(workload.output().elements()) *
                          descriptor(workload.op).arithmetic(workload);
}

}  // namespace convopt::recurrent
