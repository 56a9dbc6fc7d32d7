// Cost structures: how much arithmetic, memory and repetition a kernel needs for a workload. Each
// stands beside its kernel in FAMILY/cost.cpp, is named in primitives.inc and in its primitives'
// traits, and is reached through estimate_work() of core/work.h.
#pragma once

#include <span>
#include <string_view>

#include "core/work.h"

namespace convopt {

/// A family's part of estimate_work(). `work` already holds the bytes of tensors, the size of the
/// result as pixels by channels, and the arithmetic of the epilogue.
using CostStructure = void(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                           WorkEstimate& work);

/// Names that traits may give.
std::span<const std::string_view> cost_names();

}  // namespace convopt
