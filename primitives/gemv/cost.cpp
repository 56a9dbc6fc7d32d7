#include "primitives/cost_parts.h"

namespace convopt::gemv {

// A fully connected layer whose weights, if they are shorter, become floats in each pass over them,
// of which there is one for every tile of images.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const RegisterTile tile = RegisterTile::of(primitive, vector);
  const double channels = round_up_to(s.oc, vector), weights = double(s.ic) * channels;
  work.k = s.ic;
  work.nominal_flops = 2.0 * s.n * s.ic * s.oc;
  work.flops = 2 * s.n * weights;
  work.fill = s.oc / channels;
  work.pixel_tiles = std::ceil(s.n / tile.pixels);
  work.channel_tiles = std::ceil(s.oc / tile.channels);
  work.tiles = work.pixel_tiles * work.channel_tiles;
  work.weight_bytes = kFloatBytes * weights;
  // An instruction or two for each vector of weights, a quarter of a multiply-add's worth each.
  const DataType type = primitive.traits.weight_type;
  const double conversions = type == DataType::s8 ? 1 : type == DataType::bf16 ? 0.5 : 0;
  work.transform_flops += conversions * work.pixel_tiles * weights;
}

}  // namespace convopt::gemv
