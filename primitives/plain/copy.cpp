// Values that only change their place, all as one copy between two views.
#include "primitives/plain/copy.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// Copies runs of neighbours row by row.
void copy_runs(const float* from, std::int64_t from_step, float* to, std::int64_t to_step,
               std::int64_t rows, std::int64_t columns) {
  // A call of memmove pays for itself from about this many values on.
  constexpr std::int64_t kShort = 32;
  for (std::int64_t r = 0; r < rows; ++r, from += from_step, to += to_step) {
    if (columns >= kShort) {
      std::copy_n(from, columns, to);
    } else {
      for (std::int64_t c = 0; c < columns; ++c) to[c] = from[c];
    }
  }
}

using Four = float __attribute__((vector_size(16)));

Four load(const float* from) {
  Four values;
  std::memcpy(&values, from, sizeof values);
  return values;
}
void store(Four values, float* to) { std::memcpy(to, &values, sizeof values); }

/// Four rows of the destination, of four columns.
void copy_fours(const float* from, std::int64_t from_column, float* to, std::int64_t to_row) {
  const Four a = load(from), b = load(from + from_column), c = load(from + 2 * from_column),
             d = load(from + 3 * from_column);
  const Four low_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Four high_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four low_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Four high_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(__builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5), to);
  store(__builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7), to + to_row);
  store(__builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5), to + 2 * to_row);
  store(__builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7), to + 3 * to_row);
}

/// Few rows of the destination, of which the source holds one column after the other; the compiler
/// makes vectors of it.
template <std::int64_t kRows>
void split(const float* __restrict from, float* __restrict to, std::int64_t to_row,
           std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < kRows; ++r) to[r * to_row + c] = from[c * kRows + r];
  }
}

/// The reverse: few columns of the destination, one row after the other.
template <std::int64_t kColumns>
void join(const float* __restrict from, std::int64_t from_column, float* __restrict to,
          std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < kColumns; ++c) to[r * kColumns + c] = from[r + c * from_column];
  }
}

/// Rows of the destination are columns of the source: tiles, so that lines of either side are used
/// up while they are cached.
void copy_tiles(const float* from, std::int64_t from_column, float* to, std::int64_t to_row,
                std::int64_t rows, std::int64_t columns) {
  if (rows == 2 && from_column == 2) return split<2>(from, to, to_row, columns);
  if (rows == 3 && from_column == 3) return split<3>(from, to, to_row, columns);
  if (columns == 2 && to_row == 2) return join<2>(from, from_column, to, rows);
  if (columns == 3 && to_row == 3) return join<3>(from, from_column, to, rows);
  constexpr std::int64_t kTile = 16;
  for (std::int64_t top = 0; top < rows; top += kTile) {
    const std::int64_t bottom = std::min(top + kTile, rows);
    for (std::int64_t left = 0; left < columns; left += kTile) {
      const std::int64_t right = std::min(left + kTile, columns);
      const auto copy_rest = [&](std::int64_t r, std::int64_t first) {
        for (std::int64_t c = first; c < right; ++c) to[r * to_row + c] = from[r + c * from_column];
      };
      std::int64_t r = top;
      for (; r + 4 <= bottom; r += 4) {
        std::int64_t c = left;
        for (; c + 4 <= right; c += 4) {
          copy_fours(from + r + c * from_column, from_column, to + r * to_row + c, to_row);
        }
        for (std::int64_t i = r; i < r + 4; ++i) copy_rest(i, c);
      }
      for (; r < bottom; ++r) copy_rest(r, left);
    }
  }
}

/// Puts the dimensions in the order in which they lie in the destination, the slowest first.
void order_dimensions(TensorView& from, TensorView& to) {
  std::array<std::size_t, kMaxRank> order{};
  const auto rank = static_cast<std::size_t>(to.shape.rank());
  for (std::size_t d = 0; d < rank; ++d) order[d] = d;
  const auto last = order.begin() + static_cast<std::ptrdiff_t>(rank);
  // Not a stable sort, which allocates.
  std::sort(order.begin(), last, [&](std::size_t a, std::size_t b) {
    const auto x = std::abs(to.strides[a]), y = std::abs(to.strides[b]);
    return x != y ? x > y : a < b;
  });
  const TensorShape shape = to.shape;
  const Strides from_strides = from.strides, to_strides = to.strides;
  for (std::size_t d = 0; d < rank; ++d) {
    to.shape[static_cast<int>(d)] = shape[static_cast<int>(order[d])];
    from.strides[d] = from_strides[order[d]];
    to.strides[d] = to_strides[order[d]];
  }
}

}  // namespace

void copy(const TensorView& source_view, const TensorView& destination_view, int threads) {
  TensorView from = source_view, to = destination_view;
  order_dimensions(from, to);
  Loops<2> loops(to.shape, {from.strides, to.strides});
  loops.make_rows_of_neighbours(0);
  const auto& rows = loops.rows();
  const auto& columns = loops.columns();
  const auto* const source = from.as<const float>();
  auto* const destination = to.as<float>();
  const bool is_transposed =
      rows.strides[0] == 1 && columns.strides[0] != 1 && columns.strides[1] == 1;
  // Both sides of a transposed block are several lines wide; of few rows, the whole block is.
  constexpr std::int64_t kTransposedColumns = 64, kFewRows = 4;
  const std::int64_t most_columns =
      is_transposed && rows.size >= kFewRows ? kTransposedColumns : Loops<2>::kBlock;
  loops.run(
      threads,
      [&](const Loops<2>::Block& block) {
        const float* const x = source + block.offsets[0];
        float* const y = destination + block.offsets[1];
        if (columns.strides[0] == 1 && columns.strides[1] == 1) {
          copy_runs(x, rows.strides[0], y, rows.strides[1], block.rows, block.columns);
        } else if (columns.strides[0] == 0 && columns.strides[1] == 1) {
          for (std::int64_t r = 0; r < block.rows; ++r) {
            std::fill_n(y + r * rows.strides[1], block.columns, x[r * rows.strides[0]]);
          }
        } else if (is_transposed) {
          copy_tiles(x, columns.strides[0], y, rows.strides[1], block.rows, block.columns);
        } else {
          for (std::int64_t r = 0; r < block.rows; ++r) {
            for (std::int64_t c = 0; c < block.columns; ++c) {
              y[r * rows.strides[1] + c * columns.strides[1]] =
                  x[r * rows.strides[0] + c * columns.strides[0]];
            }
          }
        }
      },
      most_columns);
}

namespace {

/// Channels as a matrix of `rows` rows, two dimensions instead of one.
TensorView with_rows(const TensorView& image, int rows) {
  TensorView view = image;
  const int columns = image.shape.c() / rows;
  view.shape = {image.shape.n(), rows, columns, image.shape.h(), image.shape.w()};
  view.strides = {image.strides[0], columns * image.strides[1], image.strides[1], image.strides[2],
                  image.strides[3]};
  return view;
}

/// The source seen in the shape of the result.
TensorView arranged(const Workload& workload, const TensorView& source) {
  TensorView view = source;
  switch (workload.op) {
    case Op::slice: {
      const auto axis = static_cast<std::size_t>(workload.axis);
      view = source.at_offset(workload.begin * source.strides[axis]);
      view.strides[axis] *= workload.step;
      break;
    }
    case Op::transpose:
      for (std::size_t d = 0; d < workload.order.size(); ++d) {
        view.strides[d] = source.strides[static_cast<std::size_t>(workload.order[d])];
      }
      break;
    default:  // expand; a conversion of one type repeats nothing
      view.strides = repeated_strides(source);
  }
  view.shape = workload.output();
  return view;
}

class CopyKernel final : public WeightlessKernel {
 public:
  CopyKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : workload_(workload), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& source = args.sources[0];
    if (workload_.op == Op::shuffle) {
      TensorView transposed = with_rows(source, workload_.groups);
      std::swap(transposed.shape[1], transposed.shape[2]);
      std::swap(transposed.strides[1], transposed.strides[2]);
      copy(transposed, with_rows(args.destination, source.shape.c() / workload_.groups), threads_);
    } else {
      copy(arranged(workload_, source), args.destination, threads_);
    }
  }

 private:
  Workload workload_;
  int threads_;
};

class ConcatKernel final : public WeightlessKernel {
 public:
  ConcatKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : axis_(workload.axis), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    std::int64_t first = 0;
    for (const TensorView& source : args.sources) {
      TensorView part = args.destination.at_offset(
          first * args.destination.strides[static_cast<std::size_t>(axis_)]);
      part.shape = source.shape;
      copy(source, part, threads_);
      first += source.shape[axis_];
    }
  }

 private:
  int axis_;
  int threads_;
};

/// Zeros round an image in nchw or nhwc.
class PadKernel final : public WeightlessKernel {
 public:
  PadKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : pads_(workload.pads), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorShape& image = args.sources[0].shape;
    const auto [top, bottom, left, right] = pads_;
    copy(args.sources[0], part(args.destination, top, left, image.h(), image.w()), threads_);
    const int width = left + image.w() + right;
    clear(part(args.destination, 0, 0, top, width));
    clear(part(args.destination, top + image.h(), 0, bottom, width));
    clear(part(args.destination, top, 0, image.h(), left));
    clear(part(args.destination, top, left + image.w(), image.h(), right));
  }

 private:
  static TensorView part(const TensorView& image, int row, int column, int rows, int columns) {
    TensorView view = image.at_offset(row * image.row_stride() + column * image.column_stride());
    view.shape.h() = rows;
    view.shape.w() = columns;
    return view;
  }

  void clear(const TensorView& view) const {
    if (view.shape.elements() == 0) return;
    float zero = 0;
    TensorView zeros = view;
    zeros.data = &zero;
    zeros.strides.fill(0);
    copy(zeros, view, threads_);
  }

  std::array<int, 4> pads_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_pad(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int> variant) {
  return make<PadKernel>(std::move(info), "copies the image into a frame of zeros", variant);
}

std::unique_ptr<Primitive> make_copy(PrimitiveInfo info, const Context&,
                                     std::initializer_list<int> variant) {
  return make<CopyKernel>(std::move(info), "copies runs, or tiles where dimensions swap", variant);
}

std::unique_ptr<Primitive> make_concat(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int> variant) {
  return make<ConcatKernel>(std::move(info), "copies one source after the other", variant);
}

}  // namespace convopt::plain
