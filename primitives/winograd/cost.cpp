#include "primitives/cost_parts.h"
#include "primitives/tiles/grid.h"

namespace convopt::direct {
extern CostStructure cost;
}

namespace convopt::winograd {

// One product per point of a transformed tile. A library's kernel that hides its tiles counts as
// direct convolution.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  const Traits& traits = primitive.traits;
  if (traits.transform_h <= 0 || traits.transform_w <= 0 || traits.output_h <= 0 ||
      traits.output_w <= 0) {
    return direct::cost(workload, primitive, vector, work);
  }
  const ConvShape& s = workload.shape;
  const tiles::Grid grid(s, traits.output_h, traits.output_w);
  const double points = double(traits.transform_h) * traits.transform_w;
  const auto tiles = static_cast<double>(grid.count);
  const double oc = count_transformed(
      workload, primitive, vector,
      {.tiles = tiles, .outputs_per_tile = double(traits.output_h) * traits.output_w}, work);
  const double images = double(s.ic) + s.oc;
  const double ic = work.k;
  if (traits.block_tiles > 0) work.pixel_tiles = std::ceil(tiles / traits.block_tiles);
  work.flops = 2 * points * round_up_to(tiles, RegisterTile::of(primitive, vector).pixels) * ic *
               oc * s.groups;
  // Two small matrix products per tile; about half of the matrices' entries are zeros and ones.
  work.transform_flops +=
      points * (double(traits.transform_h) + traits.transform_w) * tiles * images;
  work.weight_bytes = kFloatBytes * points * ic * oc * s.groups;
  // The transformed image is of the type that is multiplied, what comes before the result's
  // transform is not.
  const auto product_bytes = static_cast<double>(element_bytes(traits.product_type));
  work.packed_bytes = points * tiles * (product_bytes * s.ic + kFloatBytes * s.oc);
}

}  // namespace convopt::winograd
