// The largest elements along an axis, and running sums.
#include <omp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>

#include "primitives/plain/loops.h"
#include "primitives/workspace.h"

namespace convopt::plain {
namespace {

/// Orders elements by value, then by place: the largest first, of equal ones the first, NaN last.
std::uint64_t sorting_key(float value, std::uint32_t place) {
  // The bits of floats are in order but for the sign; zeros of both signs are equal.
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);
  const std::uint32_t order = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
  return std::uint64_t{value != value ? 0 : order} << 32 | static_cast<std::uint32_t>(~place);
}
std::uint32_t place_of(std::uint64_t key) { return ~static_cast<std::uint32_t>(key); }

class TopKernel final : public Kernel {
 public:
  TopKernel(const Workload& workload, const Context& context)
      : workload_(workload), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const auto axis = static_cast<std::size_t>(workload_.axis);
    const int size = workload_.first[workload_.axis], count = workload_.count;
    const Loops<2> loops(row_starts(out.shape, workload_.axis), {in.strides, out.strides});
    const std::int64_t from = in.strides[axis], to = out.strides[axis];
    const bool wants_places = workload_.op == Op::top_k_indices;
    loops.for_each_element(
        threads_,
        [&](const auto& at) {
          auto* const keys = static_cast<std::uint64_t*>(args.workspace) +
                             std::int64_t{threads_ > 1 ? omp_get_thread_num() : 0} * size;
          const float* const x = in.as<float>() + at[0];
          float* const y = out.as<float>() + at[1];
          for (int i = 0; i < size; ++i) {
            keys[i] = sorting_key(x[i * from], static_cast<std::uint32_t>(i));
          }
          sort(keys, size, count);
          for (int i = 0; i < count; ++i) {
            const std::uint32_t place = place_of(keys[i]);
            y[i * to] = wants_places ? static_cast<float>(place) : x[place * from];
          }
        },
        kElements, std::max<std::int64_t>(1, kElements / size));
  }
  std::size_t workspace_bytes() const override { return key_bytes(workload_, threads_); }
  std::size_t packed_bytes() const override { return 0; }

  static std::size_t workspace_bytes(const Workload& workload, const Context& context) {
    return key_bytes(workload, context.threads);
  }

 private:
  static constexpr std::int64_t kElements = 4096;  ///< of a block's sources

  static std::size_t key_bytes(const Workload& workload, int threads) {
    return sizeof(std::uint64_t) * static_cast<std::size_t>(workload.first[workload.axis]) *
           static_cast<std::size_t>(threads);
  }

  /// The first `count` keys are the largest, in descending order.
  static void sort(std::uint64_t* keys, int size, int count) {
    // A heap of few keys is rarely touched; many are faster split off, then sorted.
    constexpr int kHeap = 16;
    if (count < size / kHeap) {
      std::partial_sort(keys, keys + count, keys + size, std::greater<>());
      return;
    }
    if (count < size) std::nth_element(keys, keys + count, keys + size, std::greater<>());
    std::sort(keys, keys + count, std::greater<>());
  }

  Workload workload_;
  int threads_;
};

/// Running sums in double precision: long rows stay exact to the last place of single precision.
class CumulateKernel final : public WeightlessKernel {
 public:
  CumulateKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : axis_(static_cast<std::size_t>(workload.axis)),
        count_(workload.first[workload.axis]),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Loops<2> loops(row_starts(out.shape, static_cast<int>(axis_)), {in.strides, out.strides});
    const auto steps = loops.columns().strides;
    const std::int64_t from = in.strides[axis_], to = out.strides[axis_];
    loops.for_each_row(
        threads_,
        [&](const auto& at, std::int64_t columns) {
          const float* x = in.as<float>() + at[0];
          float* y = out.as<float>() + at[1];
          std::array<double, kColumns> sums;
          std::fill_n(sums.begin(), columns, 0);
          for (std::int64_t i = 0; i < count_; ++i, x += from, y += to) {
            for (std::int64_t c = 0; c < columns; ++c) {
              const double sum = sums[static_cast<std::size_t>(c)] + x[c * steps[0]];
              sums[static_cast<std::size_t>(c)] = sum;
              y[c * steps[1]] = static_cast<float>(sum);
            }
          }
        },
        kColumns, kColumns);
  }

 private:
  static constexpr std::int64_t kColumns = 64;  ///< that are worked on together

  std::size_t axis_;
  std::int64_t count_;  ///< along the axis
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_top(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make_primitive<WorkspacePrimitive<TopKernel>>(std::move(info),
                                                       "sorts keys of value and place in part");
}

std::unique_ptr<Primitive> make_cumulate(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int>) {
  return make<CumulateKernel>(std::move(info), "running sums in double precision");
}

}  // namespace convopt::plain
