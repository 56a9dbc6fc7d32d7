// Analytic time of a primitive: a roofline-like estimate from its operations and bytes. The trained
// model corrects it by a factor; far from the samples, predictions rely on it.
#pragma once

#include <algorithm>
#include <limits>

#include "convopt/measurement.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "convopt/workload.hpp"
#include "core/work.h"

namespace convopt {

/// What a processor can do, with every unknown fact of a Machine replaced by a likely one.
struct Capabilities {
  double flops_per_ns = 0, bf16_flops_per_ns = 0, int8_ops_per_ns = 0;    ///< peak of all threads
  double l1_per_ns = 0, l2_per_ns = 0, l3_per_ns = 0, memory_per_ns = 0;  ///< bytes
  double l1_bytes = 0, l2_bytes = 0, l3_bytes = 0;  ///< of one core; of all cores for L3
  int vector = 1;                                   ///< floats
  int threads = 1;

  static Capabilities of(const Platform& platform);
  /// Peak of products of this type, in vector registers or in whatever is fastest. A vector holds
  /// two or four times as many numbers of bf16 or s8 as of f32; what is beyond that takes others.
  double product_flops_per_ns(DataType type, bool in_vectors) const {
    const double limit = in_vectors ? flops_per_ns : std::numeric_limits<double>::infinity();
    return type == DataType::bf16 ? std::min(bf16_flops_per_ns, 2 * limit)
           : type == DataType::s8 ? std::min(int8_ops_per_ns, 4 * limit)
                                  : flops_per_ns;
  }
};

struct AnalyticTime {
  double compute_ns = 0, transform_ns = 0, memory_ns = 0;
  double source_ns = 0, result_ns = 0, weight_ns = 0;  ///< the parts of memory_ns
  double ns = 0;                                       ///< positive and finite
};

AnalyticTime analytic_time(const WorkEstimate& work, const Capabilities& machine, TimingMode mode);

}  // namespace convopt
