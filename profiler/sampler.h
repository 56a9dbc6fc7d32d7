// Random workloads that are typical of real networks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "convopt/workload.hpp"

namespace convopt {

struct SampleLimits {
  double min_flops = 0.2e6;  ///< of convolutions and fully connected layers
  double max_flops = 8e9;
  std::size_t max_bytes = 256ULL << 20U;  ///< source, destination and weights together
  int batch = 1;
  std::vector<Op> ops;  ///< empty: all, two thirds of them convolutions
};

/// `count` different workloads; the same on every machine for a seed. The first k of a larger count
/// are those of count k. Fewer only if the limits leave no more.
std::vector<Workload> sample_workloads(std::size_t count, std::uint64_t seed,
                                       const SampleLimits& limits = {});

}  // namespace convopt
