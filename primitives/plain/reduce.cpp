// Sums, means, products and extremes over some dimensions, and where extremes are along one.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/plain/reduce.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <array>
#include <limits>

#include "primitives/gemm/lanes-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/plain/loops.h"

#ifndef CONVOPT_PLAIN_FOLD_
#define CONVOPT_PLAIN_FOLD_
namespace convopt::plain {

/// How the elements of a result are put together. Totals are in double precision, parts of some
/// thousand elements in what is fast and as accurate.
struct Fold {
  double start = 0;
  /// Adds `count` elements, `step` apart, to each of `columns` totals, at most kColumns, whose
  /// elements lie `column_step` apart.
  void (*add)(double* totals, const float* x, std::int64_t count, std::int64_t step,
              std::int64_t columns, std::int64_t column_step) = nullptr;

  static constexpr std::int64_t kColumns = 256;
};

/// Writes the place of the first extreme as a whole number, for columns as in Fold and places
/// `place_step` apart; a NaN is more extreme than any number.
using Search = void (*)(const float* x, std::int64_t count, std::int64_t step, std::int64_t columns,
                        std::int64_t column_step, float* places, std::int64_t place_step);

}  // namespace convopt::plain
#endif  // CONVOPT_PLAIN_FOLD_

HWY_BEFORE_NAMESPACE();
namespace convopt::plain::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::combine_lanes;
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

/// Neighbouring elements, so few that single precision does, put together lane by lane.
template <class F>
HWY_INLINE V fold_lanes(const float* x, std::int64_t count) {
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
  if (i > 0) a = F::combine(F::combine(a, b), F::combine(c, e));
  for (; i + kLanes <= count; i += kLanes) a = F::combine(a, hn::LoadU(d, x + i));
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    const auto exists = hn::FirstN(d, static_cast<std::size_t>(rest));
    a = F::combine(a, hn::IfThenElse(exists, load_partial(d, x + i, rest), start));
  }
  return a;
}
template <class F>
HWY_INLINE float fold_neighbours(const float* x, std::int64_t count) {
  return across_lanes<F>(fold_lanes<F>(x, count));
}

/// Most neighbouring elements that are put together in single precision.
inline constexpr std::int64_t kPart = 4096;

/// Calls body(c, vector) for groups of four columns of neighbouring elements, each of which is put
/// together in one of the first four lanes; returns the first column that is left.
template <class F, class Body>
HWY_INLINE std::int64_t fold_fours(const float* x, std::int64_t count, std::int64_t columns,
                                   std::int64_t column_step, const Body& body) {
  std::int64_t c = 0;
  for (; c + 4 <= columns; c += 4, x += 4 * column_step) {
    body(c, combine_lanes(D(), fold_lanes<F>(x, count), fold_lanes<F>(x + column_step, count),
                          fold_lanes<F>(x + 2 * column_step, count),
                          fold_lanes<F>(x + 3 * column_step, count),
                          [](V a, V b) HWY_ATTR { return F::combine(a, b); }));
  }
  return c;
}

template <class F>
HWY_INLINE double fold_run(double total, const float* x, std::int64_t count, std::int64_t step) {
  if constexpr (std::is_same_v<typename F::Part, float>) {
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

// A function of its own, which the compiler vectorises better: inlined it takes a fifth longer.
template <class F>
HWY_NOINLINE void fold_rows(double* totals, const float* x, std::int64_t rows, std::int64_t step,
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
void add(double* totals, const float* x, std::int64_t count, std::int64_t step,
         std::int64_t columns, std::int64_t column_step) {
  if (columns > 1 && column_step == 1) return fold_rows<F>(totals, x, count, step, columns);
  std::int64_t c = 0;
  if constexpr (std::is_same_v<typename F::Part, float>) {
    if (step == 1 && count <= kPart) {
      c = fold_fours<F>(x, count, columns, column_step, [&](std::int64_t at, V folded) HWY_ATTR {
        HWY_ALIGN float lanes[kLanes];
        hn::Store(folded, D(), lanes);
        for (std::int64_t i = 0; i < 4; ++i) {
          totals[at + i] = F::combine(totals[at + i], double{lanes[i]});
        }
      });
    }
  }
  for (; c < columns; ++c) {
    totals[c] = fold_run<F>(totals[c], x + c * column_step, count, step);
  }
}

template <class F>
Fold fold_of() {
  return {F::kStart, add<F>};
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

/// Place of an element that equals the extreme, or of a NaN: the first of them.
HWY_INLINE float find(const float* x, std::int64_t count, float extreme) {
  const D d;
  const V wanted = hn::Set(d, extreme);
  const auto first = [&](V v) HWY_ATTR {
    return hn::FindFirstTrue(d, hn::Or(hn::Eq(v, wanted), hn::IsNaN(v)));
  };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto place = first(hn::LoadU(d, x + i));
    if (place >= 0) return static_cast<float>(i + place);
  }
  return static_cast<float>(i + first(load_partial(d, x + i, static_cast<int>(count - i))));
}

template <class F>
HWY_INLINE float search_run(const float* x, std::int64_t count, std::int64_t step) {
  if (step == 1) return find(x, count, across_lanes<F>(fold_lanes<F>(x, count)));
  float best = x[0];
  std::int64_t place = 0;
  for (std::int64_t i = 1; i < count; ++i) {
    const float next = x[i * step];
    if (F::leads(next, best) || (next != next && best == best)) {
      best = next;
      place = i;
    }
  }
  return static_cast<float>(place);
}

template <class F>
HWY_NOINLINE void search_rows(const float* x, std::int64_t rows, std::int64_t step,
                              std::int64_t columns, float* places) {
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

template <class F>
void search(const float* x, std::int64_t count, std::int64_t step, std::int64_t columns,
            std::int64_t column_step, float* places, std::int64_t place_step) {
  if (columns > 1 && column_step == 1 && place_step == 1) {
    return search_rows<F>(x, count, step, columns, places);
  }
  std::int64_t c = 0;
  if (step == 1) {
    c = fold_fours<F>(x, count, columns, column_step, [&](std::int64_t at, V folded) HWY_ATTR {
      HWY_ALIGN float lanes[kLanes];
      hn::Store(folded, D(), lanes);
      for (std::int64_t i = 0; i < 4; ++i) {
        places[(at + i) * place_step] = find(x + (at + i) * column_step, count, lanes[i]);
      }
    });
  }
  for (; c < columns; ++c) {
    places[c * place_step] = search_run<F>(x + c * column_step, count, step);
  }
}

Search list_search(Op op) { return op == Op::arg_minimum ? search<Minimum> : search<Maximum>; }

}  // namespace convopt::plain::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::plain {
namespace {

CONVOPT_EXPORT(list_fold);
CONVOPT_EXPORT(list_search);

/// Results of a block of so many elements each: it reads some of L1, enough work for a thread.
constexpr std::int64_t block_results(std::int64_t length) {
  constexpr std::int64_t kBlockReads = 8192;
  return std::max<std::int64_t>(1, kBlockReads / length);
}
/// Columns of a block of `loops`: as many as are worked on together where they are neighbours.
std::int64_t block_columns(const Loops<2>& loops, std::int64_t length) {
  return loops.has_neighbours(0) ? Fold::kColumns : std::min(Fold::kColumns, block_results(length));
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
    const float* const x = in.as<float>();
    float* const y = out.as<float>();
    const auto steps = loops.columns().strides;
    loops.for_each_row(
        threads_,
        [&](const auto& at, std::int64_t columns) {
          std::array<double, Fold::kColumns> totals;
          std::fill_n(totals.begin(), columns, fold_.start);
          runs.for_each([&](std::int64_t offset) {
            fold_.add(totals.data(), x + at[0] + offset, runs.count(), runs.step(), columns,
                      steps[0]);
          });
          for (std::int64_t c = 0; c < columns; ++c) {
            y[at[1] + c * steps[1]] =
                static_cast<float>(totals[static_cast<std::size_t>(c)] / divisor_);
          }
        },
        block_columns(loops, length_), block_results(length_));
  }

 private:
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
    const float* const x = in.as<float>();
    float* const y = out.as<float>();
    const auto steps = loops.columns().strides;
    loops.for_each_row(
        threads_,
        [&](const auto& at, std::int64_t columns) {
          search_(x + at[0], count_, in.strides[axis_], columns, steps[0], y + at[1], steps[1]);
        },
        block_columns(loops, count_), block_results(count_));
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
  return make<ReduceKernel>(std::move(info), "one pass, along runs or across columns", {2});
}

std::unique_ptr<Primitive> make_search(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<SearchKernel>(std::move(info), "one pass, along runs or across columns", {2});
}

}  // namespace convopt::plain
#endif
