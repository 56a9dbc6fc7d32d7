// Counts that several cost structures share.
#pragma once

#include <cmath>

#include "primitives/cost.h"

namespace convopt {

inline constexpr double kFloatBytes = 4;

inline double round_up_to(double value, double unit) { return std::ceil(value / unit) * unit; }

inline double taps_of(const ConvShape& shape) { return double(shape.kh) * shape.kw; }

/// MR x NR micro-tile: as the traits say, otherwise one vector of output channels and one pixel,
/// which assumes nothing about waste.
struct RegisterTile {
  double channels, pixels;

  static RegisterTile of(const PrimitiveInfo& primitive, int vector) {
    const int block = channel_block(primitive.output_layout);
    const Traits& traits = primitive.traits;
    return {double(traits.tile_oc > 0 ? traits.tile_oc
                   : block > 1        ? block
                                      : vector),
            double(traits.tile_pixels > 0 ? traits.tile_pixels : 1)};
  }
};

/// Whether a register tile may span two rows of the result.
enum class PixelRuns : bool { row_by_row, across_rows };

/// Convolution as a product of pixels by output channels in register tiles; depthwise convolution
/// as one pass over vectors of channels. Images packed while running count as the traits say.
void count_product(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                   PixelRuns runs, WorkEstimate& work);

/// A convolution that multiplies transformed tiles of the image.
struct TransformedTiles {
  double tiles = 1;             ///< of all images
  double outputs_per_tile = 1;  ///< in the image's plane
  double parts = 1;             ///< of the kernel, like more input channels
};

/// Fills in what transformed convolutions share; returns the output channels of a group, padded to
/// register tiles.
double count_transformed(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                         const TransformedTiles& tiles, WorkEstimate& work);

}  // namespace convopt
