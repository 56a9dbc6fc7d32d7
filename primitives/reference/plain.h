// Operations on tensors of any rank, a file for each group.
#pragma once

#include <span>

#include "convopt/primitive.hpp"
#include "primitives/reference/tensor.h"

namespace convopt::reference {

/// Any of them; the epilogue is the caller's.
void compute_plain(const Workload& workload, const Parameters& parameters,
                   std::span<const Tensor> sources, Tensor& result);

}  // namespace convopt::reference
