// What the arithmetic and the memory traffic of a primitive should take, by first principles. The
// trained model corrects it by a factor; far from its samples, this is what carries it.
#pragma once

#include "convopt/measurement.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"

namespace convopt {

/// What a processor can do, with every unknown fact of a Machine replaced by a likely one.
struct Capabilities {
  double flops_per_ns = 0;                                                ///< peak of all threads
  double l1_per_ns = 0, l2_per_ns = 0, l3_per_ns = 0, memory_per_ns = 0;  ///< bytes
  double l1_bytes = 0, l2_bytes = 0, l3_bytes = 0;  ///< of one core; of all cores for L3
  int vector = 1;                                   ///< floats
  int threads = 1;

  static Capabilities of(const Platform& platform);
};

/// One kernel as a matrix product or a stream: the quantities that its time is made of.
struct WorkEstimate {
  double flops = 0;            ///< inner product, tiles and channels padded as the kernel pads them
  double nominal_flops = 0;    ///< without any padding, as direct convolution would have it
  double transform_flops = 0;  ///< Winograd and Fourier transforms; element-wise arithmetic
  double m = 1, n = 1, k = 1;  ///< the product: pixels, output channels, reduction, of one group
  double tiles = 0;            ///< register tiles, or transformed image tiles
  double pixel_tiles = 1;      ///< times that all weights pass by
  double channel_tiles = 1;    ///< times that the whole image passes by
  double border = 0;           ///< results in tiles that are not full
  double fill = 1;             ///< useful share of the work in register and image tiles
  double input_bytes = 0, output_bytes = 0, residual_bytes = 0;
  double weight_bytes = 0;  ///< packed, transformed where the algorithm does so
  double packed_bytes = 0;  ///< patch matrices and transformed images made while running

  double tensor_bytes() const { return input_bytes + output_bytes + residual_bytes; }
  double traffic() const;  ///< all bytes moved at least once
};

WorkEstimate estimate_work(const Workload& workload, const PrimitiveInfo& primitive, int vector);

struct AnalyticTime {
  double compute_ns = 0, transform_ns = 0, memory_ns = 0;
  double source_ns = 0, result_ns = 0, weight_ns = 0;  ///< the parts of memory_ns
  double ns = 0;                                       ///< positive and finite
};

AnalyticTime analytic_time(const WorkEstimate& work, const Capabilities& machine, TimingMode mode);

}  // namespace convopt
