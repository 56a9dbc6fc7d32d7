// Definitions of all operations as straight loops, summed in double precision, for tensor
// views of any layout. Slow and simple; tests, the profiler and `verify` compare against it.
#pragma once

#include <cstdint>
#include <span>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt::reference {

/// Computes the workload. The layouts of sources, residual and destination may all differ. Unlike a
/// kernel it allocates, and it reads the whole residual before it writes.
///
/// Where definitions differ between frameworks: lrn divides alpha by the window and lets an even
/// window reach further up than down (ONNX); an average over no element is 0.
void run(const Workload& workload, const Parameters& parameters, const RunArgs& args);

/// Uniform values in [-1, 1) that depend only on `seed` and the logical index of the element, not
/// on the layout. Zeros in the channel tail.
void fill_random(const TensorView& view, std::uint64_t seed);

/// Uniform values in [-scale, scale).
void fill_random(float* data, std::int64_t count, std::uint64_t seed, float scale);

/// The same as a source of a workload: inside of what the operation is defined for, indices where
/// it wants some, values that are sometimes equal where they are compared.
void fill_source(const Workload& workload, int source, const TensorView& view, std::uint64_t seed);

/// Uniform weights of a scale that keeps results of the size of the inputs, whatever the reduction,
/// times `scale`; resample's indices are within the axis.
void fill_weights(const Workload& workload, std::span<float> weights, std::uint64_t seed,
                  float scale = 1);

/// max|result - expected| / max|expected| over the finite elements of two views of one shape.
/// Infinity if an element that is not finite in one of them is another one in the other, or if a
/// result is not zero where everything expected is.
double max_relative_error(const TensorView& result, const TensorView& expected);

/// Whether the channels that fill up the last block are zero, as every writer promises.
bool tail_is_zero(const TensorView& view);

}  // namespace convopt::reference
