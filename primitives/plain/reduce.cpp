// Sums, means, products and extremes over some dimensions, and where extremes are along one.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/plain/reduce.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <array>
#include <limits>

#include "primitives/gemm/partial-inl.h"
#include "primitives/plain/loops.h"

#ifndef CONVOPT_PLAIN_FOLD_
#define CONVOPT_PLAIN_FOLD_
namespace convopt::plain {

/// How the elements of one result are put together. Totals are in double precision, parts of some
/// thousand elements in what is fast and as accurate.
struct Fold {
  double start = 0;
  /// `total` and `count` elements, `step` apart.
  double (*run)(double total, const float* x, std::int64_t count, std::int64_t step) = nullptr;
  /// The same for `columns` neighbouring totals, at most kColumns, of `rows` rows of elements.
  void (*rows)(double* totals, const float* x, std::int64_t rows, std::int64_t step,
               std::int64_t columns) = nullptr;

  static constexpr std::int64_t kColumns = 256;
};

/// The place of the first extreme, as a whole number; a NaN is more extreme than any number.
struct Search {
  float (*run)(const float* x, std::int64_t count, std::int64_t step) = nullptr;
  /// For each of `columns` neighbouring columns, at most Fold::kColumns.
  void (*rows)(const float* x, std::int64_t rows, std::int64_t step, std::int64_t columns,
               float* places) = nullptr;
};

}  // namespace convopt::plain
#endif  // CONVOPT_PLAIN_FOLD_

HWY_BEFORE_NAMESPACE();
namespace convopt::plain::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::load_partial;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
inline constexpr std::int64_t kLanes = HWY_LANES(float);

struct Sum {
  using Part = float;
  static constexpr float kStart = 0;
  template <class T>
  static HWY_INLINE T combine(T a, T b) {
    return a + b;
  }
  static HWY_INLINE V combine(V a, V b) { return hn::Add(a, b); }
};

struct Product {
  using Part = double;  // a product of many leaves the range of single precision and comes back
  static constexpr float kStart = 1;
  template <class T>
  static HWY_INLINE T combine(T a, T b) {
    return a * b;
  }
};

struct Maximum {
  using Part = float;
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  template <class T>
  static HWY_INLINE bool leads(T a, T b) {
    return a > b;
  }
  template <class T>
  static HWY_INLINE T combine(T a, T b) {
    return a > b || a != a ? a : b;
  }
  static HWY_INLINE V combine(V a, V b) {
    return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
  }
};

struct Minimum {
  using Part = float;
  static constexpr float kStart = std::numeric_limits<float>::infinity();
  template <class T>
  static HWY_INLINE bool leads(T a, T b) {
    return a < b;
  }
  template <class T>
  static HWY_INLINE T combine(T a, T b) {
    return a < b || a != a ? a : b;
  }
  static HWY_INLINE V combine(V a, V b) {
    return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
  }
};

/// All lanes put together.
template <class F>
HWY_INLINE float across_lanes(V v) {
  const D d;
  if constexpr (kLanes > 1) v = F::combine(v, hn::Reverse2(d, v));
  if constexpr (kLanes > 2) v = F::combine(v, hn::Reverse4(d, v));
  if constexpr (kLanes > 4) v = F::combine(v, hn::Reverse8(d, v));
  if constexpr (kLanes > 8) v = F::combine(v, hn::Reverse(d, v));
  return hn::GetLane(v);
}

/// Neighbouring elements, so few that single precision does.
template <class F>
HWY_INLINE float fold_neighbours(const float* x, std::int64_t count) {
  const D d;
  const V start = hn::Set(d, F::kStart);
  V a = start, b = start, c = start, e = start;
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    a = F::combine(a, hn::LoadU(d, x + i));
    b = F::combine(b, hn::LoadU(d, x + i + kLanes));
    c = F::combine(c, hn::LoadU(d, x + i + 2 * kLanes));
    e = F::combine(e, hn::LoadU(d, x + i + 3 * kLanes));
  }
  for (; i + kLanes <= count; i += kLanes) a = F::combine(a, hn::LoadU(d, x + i));
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    const auto exists = hn::FirstN(d, static_cast<std::size_t>(rest));
    b = F::combine(b, hn::IfThenElse(exists, load_partial(d, x + i, rest), start));
  }
  return across_lanes<F>(F::combine(F::combine(a, b), F::combine(c, e)));
}

template <class F>
double fold_run(double total, const float* x, std::int64_t count, std::int64_t step) {
  if constexpr (std::is_same_v<typename F::Part, float>) {
    constexpr std::int64_t kPart = 4096;
    if (step == 1) {
      for (std::int64_t i = 0; i < count; i += kPart) {
        total = F::combine(total, double{fold_neighbours<F>(x + i, std::min(kPart, count - i))});
      }
      return total;
    }
  }
  // Chains that do not wait for each other.
  double chains[4] = {total, F::kStart, F::kStart, F::kStart};
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (std::int64_t j = 0; j < 4; ++j) {
      chains[j] = F::combine(chains[j], double{x[(i + j) * step]});
    }
  }
  for (; i < count; ++i) chains[0] = F::combine(chains[0], double{x[i * step]});
  return F::combine(F::combine(chains[0], chains[1]), F::combine(chains[2], chains[3]));
}

template <class F>
void fold_rows(double* totals, const float* x, std::int64_t rows, std::int64_t step,
               std::int64_t columns) {
  using Part = typename F::Part;
  constexpr std::int64_t kRows = 64;
  Part parts[Fold::kColumns];
  for (std::int64_t first = 0; first < rows; first += kRows) {
    std::fill_n(parts, columns, Part{F::kStart});
    const std::int64_t end = std::min(rows, first + kRows);
    for (std::int64_t r = first; r < end; ++r) {
      const float* const row = x + r * step;
      for (std::int64_t c = 0; c < columns; ++c) parts[c] = F::combine(parts[c], Part{row[c]});
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      totals[c] = F::combine(totals[c], double{parts[c]});
    }
  }
}

template <class F>
Fold fold_of() {
  return {F::kStart, fold_run<F>, fold_rows<F>};
}

Fold list_fold(Op op) {
  switch (op) {
    case Op::reduce_product:
      return fold_of<Product>();
    case Op::reduce_maximum:
      return fold_of<Maximum>();
    case Op::reduce_minimum:
      return fold_of<Minimum>();
    default:
      return fold_of<Sum>();
  }
}

template <class F>
float search_run(const float* x, std::int64_t count, std::int64_t step) {
  std::int64_t i = 0;
  if (step == 1) {
    // The extreme first, then stretches until it is met.
    float extreme = F::kStart;
    constexpr std::int64_t kPart = 1 << 14;
    for (std::int64_t first = 0; first < count; first += kPart) {
      extreme = F::combine(extreme, fold_neighbours<F>(x + first, std::min(kPart, count - first)));
    }
    const D d;
    const V wanted = hn::Set(d, extreme);
    const auto found = [&](V v) HWY_ATTR {
      return !hn::AllFalse(d, hn::Or(hn::Eq(v, wanted), hn::IsNaN(v)));
    };
    while (i + kLanes <= count && !found(hn::LoadU(d, x + i))) i += kLanes;
    while (i + 1 < count && !(x[i] == extreme || x[i] != x[i])) ++i;
    return static_cast<float>(i);
  }
  float best = x[0];
  std::int64_t place = 0;
  for (i = 1; i < count; ++i) {
    const float next = x[i * step];
    if (F::leads(next, best) || (next != next && best == best)) {
      best = next;
      place = i;
    }
  }
  return static_cast<float>(place);
}

template <class F>
void search_rows(const float* x, std::int64_t rows, std::int64_t step, std::int64_t columns,
                 float* places) {
  float best[Fold::kColumns];
  std::copy_n(x, columns, best);
  std::fill_n(places, columns, 0.0F);
  for (std::int64_t r = 1; r < rows; ++r) {
    const float* const row = x + r * step;
    const auto place = static_cast<float>(r);
    for (std::int64_t c = 0; c < columns; ++c) {
      const float next = row[c], old = best[c];
      const bool leads = F::leads(next, old) | ((next != next) & (old == old));
      best[c] = leads ? next : old;
      places[c] = leads ? place : places[c];
    }
  }
}

Search list_search(Op op) {
  if (op == Op::arg_minimum) return {search_run<Minimum>, search_rows<Minimum>};
  return {search_run<Maximum>, search_rows<Maximum>};
}

}  // namespace convopt::plain::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::plain {
namespace {

HWY_EXPORT(list_fold);
HWY_EXPORT(list_search);

/// Elements of sources that a block reads: some of L1, and enough work for a thread.
constexpr std::int64_t kBlockReads = 8192;
/// Columns of a block, each of so many elements of the source.
std::int64_t block_columns(bool across, std::int64_t length) {
  return across ? Fold::kColumns : std::max<std::int64_t>(1, kBlockReads / length);
}

/// The dimensions that vanish, as runs of elements at equal distances.
class Runs {
 public:
  Runs(const std::vector<int>& axes, const TensorView& view) {
    for (const int axis : axes) {
      const std::int64_t size = view.shape[axis];
      const std::int64_t step = view.strides[static_cast<std::size_t>(axis)];
      if (size == 1) continue;
      if (run_.size > 1 && run_.step == size * step) {
        run_ = {run_.size * size, step};
        continue;
      }
      if (run_.size > 1) outer_[rank_++] = run_;
      run_ = {size, step};
    }
  }

  std::int64_t count() const { return run_.size; }
  std::int64_t step() const { return run_.step; }

  /// Calls `body(offset)` for the start of each run.
  template <class Body>
  void for_each(const Body& body) const {
    std::array<std::int64_t, kMaxRank> index{};
    std::int64_t offset = 0;
    for (;;) {
      body(offset);
      std::size_t d = rank_;
      while (d > 0) {
        const Dimension& dimension = outer_[--d];
        offset += dimension.step;
        if (++index[d] < dimension.size) break;
        offset -= dimension.size * dimension.step;
        index[d] = 0;
        if (d == 0) return;
      }
      if (rank_ == 0) return;
    }
  }

 private:
  struct Dimension {
    std::int64_t size = 1, step = 1;
  };
  std::array<Dimension, kMaxRank> outer_;
  std::size_t rank_ = 0;
  Dimension run_;
};

class ReduceKernel final : public WeightlessKernel {
 public:
  ReduceKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : axes_(workload.axes),
        length_(workload.first.elements() / workload.output().elements()),
        divisor_(workload.op == Op::reduce_mean ? static_cast<double>(length_) : 1),
        fold_(CONVOPT_DISPATCH(list_fold, context.isa)(workload.op)),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Runs runs(axes_, in);
    const Loops<2> loops(out.shape, {in.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    const bool across = loops.columns().size > 1 && columns[0] == 1;
    loops.run(
        threads_,
        [&](const Loops<2>::Block& block) {
          for (std::int64_t r = 0; r < block.rows; ++r) {
            const float* const x = in.as<float>() + block.offsets[0] + r * rows[0];
            float* const y = out.as<float>() + block.offsets[1] + r * rows[1];
            if (across) {
              fold_columns(runs, x, block.columns, y, columns[1]);
            } else {
              for (std::int64_t c = 0; c < block.columns; ++c) {
                y[c * columns[1]] = fold(runs, x + c * columns[0]);
              }
            }
          }
        },
        block_columns(across, length_), kBlockReads / length_);
  }

 private:
  float fold(const Runs& runs, const float* x) const {
    double total = fold_.start;
    runs.for_each([&](std::int64_t offset) {
      total = fold_.run(total, x + offset, runs.count(), runs.step());
    });
    return static_cast<float>(total / divisor_);
  }

  void fold_columns(const Runs& runs, const float* x, std::int64_t columns, float* y,
                    std::int64_t y_step) const {
    std::array<double, Fold::kColumns> totals;
    std::fill_n(totals.begin(), columns, fold_.start);
    runs.for_each([&](std::int64_t offset) {
      fold_.rows(totals.data(), x + offset, runs.count(), runs.step(), columns);
    });
    for (std::int64_t c = 0; c < columns; ++c) {
      y[c * y_step] = static_cast<float>(totals[static_cast<std::size_t>(c)] / divisor_);
    }
  }

  std::vector<int> axes_;
  std::int64_t length_;  ///< elements of the source for each of the result
  double divisor_;
  Fold fold_;
  int threads_;
};

class SearchKernel final : public WeightlessKernel {
 public:
  SearchKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : axis_(static_cast<std::size_t>(workload.axis)),
        count_(workload.first[workload.axis]),
        search_(CONVOPT_DISPATCH(list_search, context.isa)(workload.op)),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Loops<2> loops(out.shape, {in.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    const bool across = loops.columns().size > 1 && columns[0] == 1 && columns[1] == 1;
    loops.run(
        threads_,
        [&](const Loops<2>::Block& block) {
          for (std::int64_t r = 0; r < block.rows; ++r) {
            const float* const x = in.as<float>() + block.offsets[0] + r * rows[0];
            float* const y = out.as<float>() + block.offsets[1] + r * rows[1];
            if (across) {
              search_.rows(x, count_, in.strides[axis_], block.columns, y);
            } else {
              for (std::int64_t c = 0; c < block.columns; ++c) {
                y[c * columns[1]] = search_.run(x + c * columns[0], count_, in.strides[axis_]);
              }
            }
          }
        },
        block_columns(across, count_), kBlockReads / count_);
  }

 private:
  std::size_t axis_;
  std::int64_t count_;  ///< along the axis
  Search search_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_reduce(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<ReduceKernel>(std::move(info), "one pass, along runs or across columns");
}

std::unique_ptr<Primitive> make_search(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<SearchKernel>(std::move(info), "one pass, along runs or across columns");
}

}  // namespace convopt::plain
#endif
