#include "primitives/cost_parts.h"

namespace convopt::matmul {

// Products of two computed matrices, of which the second is packed once for each: those of which it
// is the same are one product of more rows.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  // A description from a file may name any structure for a convolution.
  if (workload.op != Op::matmul) {
    return count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  }
  const TensorShape result = workload.output();
  const int rank = result.rank();
  double matrices = 1;
  work.m = result[rank - 2];
  work.n = result[rank - 1];
  work.k = workload.first[rank - 1];
  for (int d = rank - 3; d >= 0; --d) {
    (matrices == 1 && workload.second[d] == 1 ? work.m : matrices) *= result[d];
  }
  const RegisterTile tile = RegisterTile::of(primitive, vector);
  const double rows = round_up_to(work.m, tile.pixels);
  const double columns = round_up_to(work.n, tile.channels);
  const double whole_rows = std::floor(work.m / tile.pixels) * tile.pixels;
  const double whole_columns = std::floor(work.n / tile.channels) * tile.channels;
  work.nominal_flops = 2 * matrices * work.m * work.n * work.k;
  work.flops = 2 * matrices * rows * columns * work.k;
  work.fill = work.nominal_flops / work.flops;
  work.pixel_tiles = rows / tile.pixels;
  work.channel_tiles = columns / tile.channels;
  work.tiles = matrices * work.pixel_tiles * work.channel_tiles;
  work.border = matrices * (work.m * work.n - whole_rows * whole_columns);
  work.packed_bytes = kFloatBytes * matrices * columns * work.k;
}

}  // namespace convopt::matmul
