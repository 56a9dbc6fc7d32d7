// Microbenchmarks of peak for products of bf16 and int8.
#pragma once

#include <cstdint>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

struct ProductLoop {
  /// Independent sums of products in registers only. Any thread may call it.
  void (*run)(std::int64_t iterations);
  double operations_per_iteration;  ///< a product and a sum each
};

/// One for each kind of instructions for products of bf16 or s8 that this processor and its kernel
/// allow at a level: dot products of vectors (AVX512_BF16, AVX512_VNNI), products of tiles (AMX).
/// Asks the kernel for AMX. None for other types.
std::vector<ProductLoop> product_loops(DataType type, Isa isa);

}  // namespace convopt
