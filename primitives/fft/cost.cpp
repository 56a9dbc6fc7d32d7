#include <algorithm>

#include "primitives/cost_parts.h"
#include "primitives/fft/split.h"

namespace convopt::direct {
extern CostStructure cost;
}

namespace convopt::fft {

// Half a spectrum of complex numbers, three multiply-adds each. A description without the size of
// tiles counts as direct convolution.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  const Traits& traits = primitive.traits;
  if (traits.transform_h <= 0 || traits.transform_w <= 0) {
    return direct::cost(workload, primitive, vector, work);
  }
  const ConvShape& s = workload.shape;
  const Split h = choose_split(traits.transform_h, s.kh, s.oh());
  const Split w = choose_split(traits.transform_w, s.kw, s.ow());
  const double points = double(traits.transform_h) * traits.transform_w;
  const double tiles = double(s.n) * h.tiles * w.tiles, parts = double(h.parts) * w.parts;
  const double oc = count_transformed(
      workload, primitive, vector,
      {.tiles = tiles, .outputs_per_tile = double(h.step) * w.step, .parts = parts}, work);
  const double inputs = work.k * s.groups;
  if (traits.block_tiles > 0) work.pixel_tiles = std::ceil(tiles / traits.block_tiles);
  work.flops =
      3 * points * round_up_to(tiles, RegisterTile::of(primitive, vector).pixels) * inputs * oc;
  work.transform_flops +=
      2.5 * points * std::log2(std::max(2.0, points)) * tiles * (parts * s.ic + s.oc);
  work.weight_bytes = kFloatBytes * points * inputs * oc;
  work.packed_bytes = kFloatBytes * points * tiles * (1.5 * parts * s.ic + s.oc);
}

}  // namespace convopt::fft
