// Work of a kernel in machine-independent quantities: operations, bytes, tiles.
#pragma once

#include "convopt/primitive.hpp"

namespace convopt {

/// The quantities that determine a kernel's time, as a matrix product or a stream.
struct WorkEstimate {
  DataType product_type = DataType::f32;  ///< operands of the inner product
  bool vector_products = false;           ///< in vector registers, even where there is AMX
  double flops = 0;            ///< inner product, tiles and channels padded as the kernel pads them
  double nominal_flops = 0;    ///< without any padding, as direct convolution would have it
  double transform_flops = 0;  ///< Winograd and Fourier transforms; element-wise arithmetic
  double m = 1, n = 1, k = 1;  ///< the product: pixels, output channels, reduction, of one group
  double tiles = 0;            ///< register tiles, or transformed image tiles
  double pixel_tiles = 1;      ///< number of passes over all weights
  double channel_tiles = 1;    ///< number of passes over the whole image
  double border = 0;           ///< results in tiles that are not full
  double fill = 1;             ///< useful share of the work in register and image tiles
  double input_bytes = 0, output_bytes = 0, residual_bytes = 0;
  double weight_bytes = 0;  ///< packed, transformed where the algorithm does so
  double packed_bytes = 0;  ///< patch matrices and transformed images made while running

  double tensor_bytes() const { return input_bytes + output_bytes + residual_bytes; }
  /// All bytes moved at least once.
  double traffic() const { return tensor_bytes() + weight_bytes + 2 * packed_bytes; }
};

/// Work of `primitive` on `workload` by the cost structure that its traits name, from the
/// description alone: a profile's header is enough, the primitive need not exist on this machine.
/// An unknown name counts as direct convolution, as a plain matrix product for fully connected
/// layers, and as element-wise for the rest. `vector`: floats of one vector register. Linked from
/// convopt::costs (primitives/FAMILY/cost.cpp, beside the kernels), which needs no other library.
WorkEstimate estimate_work(const Workload& workload, const PrimitiveInfo& primitive, int vector);

}  // namespace convopt
