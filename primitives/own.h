// Shared by convopt's own primitives.
#pragma once

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "convopt/primitive.hpp"
#include "primitives/division.h"

namespace convopt {

/// Makes the primitive of one line of primitives.inc. `info` carries what the line says; the
/// factory adds description, revision and traits. `variant` holds the line's trailing numbers. Null
/// if this processor cannot run it at the context's level.
using Factory = std::unique_ptr<Primitive>(PrimitiveInfo info, const Context& context,
                                           std::initializer_list<int> variant);

/// Everything in primitives.inc, in its order, for one context. Needs no library and, other than a
/// registry, may be called for several ISA levels in one process.
std::vector<std::unique_ptr<Primitive>> own_primitives(const Context& context);

/// Floats on a cache line boundary, for packed weights. Large ones lie in huge pages where the
/// system gives them: on Zen 5 one core then reads 32 MiB at 28 instead of 22 GB/s and 8 MiB at 45
/// instead of 33.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::size_t count) : count_(count) {
    const std::align_val_t alignment{bytes() >= kLarge ? kHugePage : kCacheLine};
    data_ = {static_cast<float*>(::operator new(bytes(), alignment)), Free{alignment}};
    if (bytes() >= kLarge) madvise(data_.get(), bytes() / kHugePage * kHugePage, MADV_HUGEPAGE);
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(float); }

 private:
  static constexpr std::size_t kCacheLine = 64, kHugePage = 2U << 20U, kLarge = 2 * kHugePage;
  struct Free {
    std::align_val_t alignment;
    void operator()(float* data) const { ::operator delete(data, alignment); }
  };
  std::unique_ptr<float, Free> data_{nullptr, Free{std::align_val_t{kCacheLine}}};
  std::size_t count_ = 0;
};

/// Calls `body(index)` for 0 <= index < count on up to `threads` threads, contiguous ranges each.
template <class Body>
void parallel_for(int threads, std::int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

/// Calls `body(index, thread)` for 0 <= index < count on up to `threads` threads, which have
/// numbers from 0.
template <class Body>
void parallel_tasks(int threads, std::int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
#pragma omp for schedule(static) nowait
    for (std::int64_t i = 0; i < count; ++i) body(i, thread);
  }
}

/// As many of `threads` as get `least` units of work each; one if it is too little for two.
constexpr int threads_for(int threads, std::int64_t work, std::int64_t least) {
  return static_cast<int>(std::clamp<std::int64_t>(work / least, 1, threads));
}
/// Work of a thread that is worth a parallel region, which costs 0.45 to 1.1 us
/// (docs/lab/kernels.md) and on two threads gains half of what one takes. A thread moves this many
/// values in half a microsecond, and multiplies and adds this many in one.
inline constexpr std::int64_t kLeastValues = 2048, kLeastProducts = 1 << 15;

/// Single-precision values in the vectors that a kernel dispatched at `isa` really uses.
int simd_lanes(Isa isa);

/// An activation as the last write of a kernel sees it: a clamp between two registers, which costs
/// next to nothing, and for the rarer functions a second pass over what was just written.
struct LastWrite {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  bool needs_pass = false;  ///< then `low` and `high` change nothing

  bool clamps() const { return low != LastWrite{}.low || high != LastWrite{}.high; }
};
/// A clamp is used only where it maps zero to zero, so that channel tails stay zero.
LastWrite last_write(const Activation& activation);

/// data[i] = activation(data[i]) for `count` values; `data` needs no alignment.
using ActivateFunction = void (*)(const Activation& activation, float* data, std::int64_t count);
ActivateFunction activate_function(Isa isa);

/// `count` rows of `width` neighbouring values, rows `from_step` and `to_step` apart.
struct ActivatedRows {
  /// May be `to`, if from_step is to_step; otherwise the two do not overlap.
  const float* from;
  float* to;
  std::int64_t width, count, from_step, to_step;

  static ActivatedRows in_place(float* data, std::int64_t width, std::int64_t count,
                                std::int64_t step) {
    return {data, data, width, count, step, step};
  }
};
/// to[i] = activation(from[i]) for all values of the rows.
using ActivateRowsFunction = void (*)(const Activation& activation, const ActivatedRows& rows);
ActivateRowsFunction activate_rows_function(Isa isa);

/// A kernel that holds nothing and needs nothing but its arguments.
class WeightlessKernel : public Kernel {
 public:
  std::size_t workspace_bytes() const final { return 0; }
  std::size_t packed_bytes() const final { return 0; }
};

/// The primitive of such a kernel: constructible from (info, workload, context), applicable always.
template <class KernelType>
class WeightlessPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload, const Parameters&,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<KernelType>(info(), workload, context));
  }
};

}  // namespace convopt
