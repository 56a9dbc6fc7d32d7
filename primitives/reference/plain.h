// Operations on tensors of any rank, a file for each group.
#pragma once

#include <span>

#include "convopt/primitive.hpp"
#include "primitives/reference/tensor.h"

namespace convopt::reference {

/// Any of them; the epilogue is the caller's.
void compute_plain(const Workload& workload, const Parameters& parameters,
                   std::span<const Tensor> sources, Tensor& result);

/// reduce_*.
void reduce(const Workload& workload, const Tensor& in, Tensor& result);
/// arg_maximum, arg_minimum, top_k, top_k_indices: a NaN is the largest and the smallest of the
/// first two, and comes last in the others.
void order(const Workload& workload, const Tensor& in, Tensor& result);
void cumulate(const Workload& workload, const Tensor& in, Tensor& result);
/// gather, gather_elements.
void gather(const Workload& workload, const Tensor& in, const Tensor& indices, Tensor& result);
/// scatter*.
void scatter(const Workload& workload, const Tensor& in, const Tensor& indices,
             const Tensor& values, Tensor& result);
void grid_sample(const Workload& workload, const Tensor& in, const Tensor& grid, Tensor& result);
/// roi_*.
void roi(const Workload& workload, const Tensor& in, const Tensor& regions, const Tensor& images,
         Tensor& result);
void matmul(const Workload& workload, const Tensor& a, const Tensor& b, Tensor& result);
/// lstm, gru.
void recur(const Workload& workload, const Parameters& parameters, std::span<const Tensor> sources,
           Tensor& result);
void resample(const Workload& workload, const Parameters& parameters, const Tensor& in,
              Tensor& result);

}  // namespace convopt::reference
