// The tile registers of AMX.
#pragma once

#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt::amx {

/// Whether this processor and its kernel multiply numbers of that type, bf16 or s8, in tiles. Asks
/// the kernel for them once per process.
bool has_tiles(DataType product, Isa isa);

}  // namespace convopt::amx
