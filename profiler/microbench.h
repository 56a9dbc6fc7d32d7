// Microbenchmarks of peak and read bandwidth at any instruction-set level.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt {

struct Microbench {
  /// Independent multiply-add chains in registers only. The result keeps the compiler from removing
  /// the loop.
  float (*multiply_add)(std::int64_t iterations);
  double flops_per_iteration;
  /// Reads `count` floats, a multiple of kReadStep, from aligned memory.
  float (*read)(const float* data, std::size_t count);
};

inline constexpr std::size_t kReadStep = 256;

Microbench microbench(Isa isa);

}  // namespace convopt
