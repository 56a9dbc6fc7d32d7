// Row-major tensors of any rank as few nested loops.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "primitives/own.h"
#include "primitives/pointwise/rows.h"

namespace convopt::plain {

using pointwise::make_primitive;

/// `variant` may hold a revision.
template <class KernelType>
std::unique_ptr<Primitive> make(PrimitiveInfo info, const char* description,
                                std::initializer_list<int> variant = {1}) {
  return make_primitive<WeightlessPrimitive<KernelType>>(
      std::move(info), description, variant.size() == 0 ? 1 : *variant.begin());
}

using Strides = std::array<std::int64_t, kMaxRank>;

/// Strides of a tensor whose sizes of 1 are repeated.
inline Strides repeated_strides(const TensorView& view) {
  Strides strides = view.strides;
  for (int d = 0; d < view.shape.rank(); ++d) {
    if (view.shape[d] == 1) strides[static_cast<std::size_t>(d)] = 0;
  }
  return strides;
}

/// The shape of the elements at which rows along `axis` start.
inline TensorShape row_starts(TensorShape shape, int axis) {
  shape[axis] = 1;
  return shape;
}

/// Walks several tensors of one shape in step. Neighbouring dimensions that all of them step along
/// alike are one loop; the two innermost loops are left to the caller.
template <std::size_t kTensors>
class Loops {
 public:
  using Offsets = std::array<std::int64_t, kTensors>;
  struct Dimension {
    std::int64_t size = 1;
    Offsets strides{};
  };
  /// A part of rows and columns.
  struct Block {
    Offsets offsets{};  ///< of the first element, in every tensor
    std::int64_t rows = 1, columns = 1;
  };
  /// Elements of a block where nothing asks for others: several tensors' blocks fit into L1.
  static constexpr std::int64_t kBlock = 2048;

  Loops(const TensorShape& shape, const std::array<Strides, kTensors>& strides) {
    for (int d = 0; d < shape.rank(); ++d) {
      if (shape[d] == 1) continue;
      Dimension next{shape[d], {}};
      for (std::size_t i = 0; i < kTensors; ++i) {
        next.strides[i] = strides[i][static_cast<std::size_t>(d)];
      }
      if (rank_ > 0 && continues(next)) {
        next.size *= outer_[rank_ - 1].size;
        outer_[rank_ - 1] = next;
      } else {
        outer_[rank_++] = next;
      }
    }
    if (rank_ > 0) columns_ = outer_[--rank_];
    if (rank_ > 0) rows_ = outer_[--rank_];
  }

  const Dimension& rows() const { return rows_; }
  const Dimension& columns() const { return columns_; }

  /// Whether there are several columns, neighbours in a tensor.
  bool has_neighbours(std::size_t tensor) const {
    return columns_.size > 1 && columns_.strides[tensor] == 1;
  }

  /// Makes rows of the dimension in which `tensor` has its smallest stride, unless columns are.
  void make_rows_of_neighbours(std::size_t tensor) {
    if (rank_ == 0) return;
    std::size_t best = 0;
    for (std::size_t d = 1; d < rank_; ++d) {
      if (outer_[d].strides[tensor] < outer_[best].strides[tensor]) best = d;
    }
    if (outer_[best].strides[tensor] < rows_.strides[tensor] &&
        outer_[best].strides[tensor] < columns_.strides[tensor]) {
      std::swap(outer_[best], rows_);
    }
  }

  /// Calls `body(block)` for blocks that together are everything, of at most so many columns and,
  /// but for one row, so many elements.
  template <class Body>
  void run(int threads, const Body& body, std::int64_t most_columns = kBlock,
           std::int64_t most_elements = kBlock) const {
    const std::int64_t width = std::min(columns_.size, most_columns);
    const std::int64_t height = std::clamp<std::int64_t>(most_elements / width, 1, rows_.size);
    const std::int64_t across = ceil_div(columns_.size, width);
    const std::int64_t down = ceil_div(rows_.size, height);
    std::int64_t blocks = across * down;
    for (std::size_t d = 0; d < rank_; ++d) blocks *= outer_[d].size;
    const std::int64_t parts = std::min<std::int64_t>(threads, blocks);
    parallel_for(threads, parts, [&](std::int64_t part) {
      const std::int64_t first = part_begin(blocks, part, parts);
      const std::int64_t last = part_begin(blocks, part + 1, parts);
      std::int64_t column = first % across, row = first / across % down;
      Position outer(*this, first / across / down);
      for (std::int64_t number = first; number < last; ++number) {
        Block block;
        block.rows = std::min(height, rows_.size - row * height);
        block.columns = std::min(width, columns_.size - column * width);
        for (std::size_t i = 0; i < kTensors; ++i) {
          block.offsets[i] = outer.offsets[i] + row * height * rows_.strides[i] +
                             column * width * columns_.strides[i];
        }
        body(block);
        if (++column < across) continue;
        column = 0;
        if (++row < down) continue;
        row = 0;
        outer.advance(*this);
      }
    });
  }

  /// Calls `body(offsets, columns)` for the rows of blocks as run() makes them.
  template <class Body>
  void for_each_row(int threads, const Body& body, std::int64_t most_columns = kBlock,
                    std::int64_t most_elements = kBlock) const {
    run(
        threads,
        [&](const Block& block) {
          for (std::int64_t r = 0; r < block.rows; ++r) {
            body(moved(block.offsets, r, rows_), block.columns);
          }
        },
        most_columns, most_elements);
  }

  /// Calls `body(offsets)` for all elements.
  template <class Body>
  void for_each_element(int threads, const Body& body, std::int64_t most_columns = kBlock,
                        std::int64_t most_elements = kBlock) const {
    for_each_row(
        threads,
        [&](const Offsets& row, std::int64_t columns) {
          for (std::int64_t c = 0; c < columns; ++c) body(moved(row, c, columns_));
        },
        most_columns, most_elements);
  }

 private:
  static Offsets moved(Offsets from, std::int64_t steps, const Dimension& along) {
    for (std::size_t i = 0; i < kTensors; ++i) from[i] += steps * along.strides[i];
    return from;
  }

  bool continues(const Dimension& next) const {
    for (std::size_t i = 0; i < kTensors; ++i) {
      if (outer_[rank_ - 1].strides[i] != next.size * next.strides[i]) return false;
    }
    return true;
  }

  /// A position in the outer loops.
  struct Position {
    Position(const Loops& loops, std::int64_t number) {
      for (std::size_t d = loops.rank_; d-- > 0;) {
        index[d] = number % loops.outer_[d].size;
        number /= loops.outer_[d].size;
        for (std::size_t i = 0; i < kTensors; ++i) {
          offsets[i] += index[d] * loops.outer_[d].strides[i];
        }
      }
    }
    void advance(const Loops& loops) {
      for (std::size_t d = loops.rank_; d-- > 0;) {
        const Dimension& dimension = loops.outer_[d];
        const bool ends = ++index[d] == dimension.size;
        for (std::size_t i = 0; i < kTensors; ++i) {
          offsets[i] += dimension.strides[i] * (ends ? 1 - dimension.size : 1);
        }
        if (!ends) return;
        index[d] = 0;
      }
    }
    std::array<std::int64_t, kMaxRank> index{};
    Offsets offsets{};
  };

  std::size_t rank_ = 0;
  std::array<Dimension, kMaxRank> outer_;
  Dimension rows_, columns_;
};

}  // namespace convopt::plain
