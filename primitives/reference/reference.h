// Definitions of all operations as straight loops, summed in double precision, for tensor
// views of any layout and type. Slow and simple; tests, the profiler and `verify` compare against
// it.
#pragma once

#include <cstdint>
#include <span>

#include "convopt/primitive.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt::reference {

/// Computes the workload. The layouts and types of sources, residual and destination may all
/// differ, the result is rounded to the destination's. Unlike a kernel it allocates, and it reads
/// the whole residual before it writes. Of the workload's own types follows how weights of
/// convolutions and fully connected layers are rounded. Where its result is a quantised image, the
/// destination gets value / scale within the type's limits, a whole number unless it is of real
/// ones.
///
/// Where definitions differ between frameworks: lrn divides alpha by the window and lets an even
/// window reach further up than down (ONNX); an average over no element is 0.
void run(const Workload& workload, const Parameters& parameters, const RunArgs& args);

/// Uniform values in [-1, 1) that depend only on `seed` and the logical index of the element, not
/// on the layout. Zeros in the channel tail.
void fill_random(const TensorView& view, std::uint64_t seed);

/// Numbers of a quantised type, uniform over its range.
void fill_random(const TensorView& view, DataType type, std::uint64_t seed);

/// Uniform values in [-scale, scale).
void fill_random(float* data, std::int64_t count, std::uint64_t seed, float scale);

/// The same as a source of a workload: inside of what the operation is defined for, indices where
/// it wants some, values that are sometimes equal where they are compared.
void fill_source(const Workload& workload, int source, const TensorView& view, std::uint64_t seed);

/// The same as a residual of a workload.
void fill_residual(const Workload& workload, const TensorView& view, std::uint64_t seed);

/// Scales for such sources and residuals, and one by which some results leave the range of the
/// result's type, of which `largest` is the largest magnitude of a real number.
Quantisation scales_for(const Workload& workload, double largest);

/// Uniform weights of a scale that keeps results of the size of the inputs, whatever the reduction,
/// times `scale`; resample's indices are within the axis.
void fill_weights(const Workload& workload, std::span<float> weights, std::uint64_t seed,
                  float scale = 1);

/// max|result - expected| / max|expected| over the finite elements of two views of one shape, if
/// `magnitude` is not larger; over the largest number of the result's type where that is a
/// quantised one.
/// Infinity if an element that is not finite in one of them is another one in the other, or if a
/// result is not zero where everything expected is.
double max_relative_error(const TensorView& result, const TensorView& expected,
                          double magnitude = 0);

/// What errors of the workload are relative to where its results are smaller, with sources of
/// this file: one for the few products of up to one that make a sample, which may nearly cancel.
double least_magnitude(const Workload& workload);

/// For error_bound(), what rounding makes of results of these sources: the larger of the largest
/// result before the epilogue, which is rounded itself, and of the largest change of one, in unit
/// roundoffs, where each number of the first source moves up or down by a unit roundoff; over the
/// largest expected result. It is large where numbers cancel or an activation leaves little, and at
/// least condition_of_equal_terms() where no weights tell the terms of a sum apart.
/// 0 where nothing is summed, results are whole numbers, or sums are exact.
double condition(const Workload& workload, const Parameters& parameters,
                 std::span<const TensorView> sources, const TensorView& expected);

/// Whether the channels that fill up the last block are zero, as every writer promises.
bool tail_is_zero(const TensorView& view);

}  // namespace convopt::reference
