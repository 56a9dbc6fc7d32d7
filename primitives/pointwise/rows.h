// Tensors in any layout as rows of pixels, and what the primitives of this folder have in common:
// they take a few instructions per element and wait for memory, so they are written for the
// compiler's vectoriser rather than with explicit SIMD.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "primitives/own.h"

namespace convopt::pointwise {

/// A row of a tensor as a loop over pixels sees it: per pixel, `width` neighbouring values, the
/// last of which are padding in a block with a channel tail.
struct Rows {
  explicit Rows(const TensorView& view)
      : block(view.layout == Layout::nhwc ? view.shape.c() : channel_block(view.layout)),
        blocks(static_cast<int>(ceil_div(view.shape.c(), block))),
        rows(view.shape.h()),
        count(std::int64_t{view.shape.n()} * blocks * rows) {}

  /// The three indices behind a number in [0, count).
  struct Index {
    int n, block, row;
  };
  Index index(std::int64_t i) const {
    return {static_cast<int>(i / rows / blocks), static_cast<int>(i / rows % blocks),
            static_cast<int>(i % rows)};
  }
  template <class Number = float>
  Number* row(const TensorView& view, const Index& i) const {
    return view.as<Number>() + view.offset(i.n, i.block * block, i.row, 0);
  }

  int block;  ///< neighbouring values per pixel
  int blocks;
  int rows;
  std::int64_t count;
};

/// Calls `body(rows, i, row i of the view)` for all rows, on this thread alone where they are
/// small.
template <class Number = float, class Body>
void for_each_row(int threads, const TensorView& view, const Body& body) {
  const Rows rows(view);
  threads = threads_for(threads, view.shape.elements(), kLeastValues);
  parallel_for(threads, rows.count, [&](std::int64_t number) {
    const Rows::Index i = rows.index(number);
    body(rows, i, rows.row<Number>(view, i));
  });
}

/// Writes the zeros of a channel tail again after a function that does not keep them.
template <class Number>
void clear_tail(const TensorView& view, const Rows::Index& i, const Rows& rows, Number* row) {
  const int used = view.shape.c() - i.block * rows.block;
  if (used >= rows.block) return;
  for (int w = 0; w < view.shape.w(); ++w) {
    std::fill(row + w * view.column_stride() + used, row + w * view.column_stride() + rows.block,
              Number{0});
  }
}

template <class PrimitiveType>
std::unique_ptr<Primitive> make_primitive(PrimitiveInfo info, const char* description,
                                          int revision = 1) {
  info.description = description;
  info.revision = std::to_string(revision);
  info.traits.algorithm = Algorithm::copy;
  info.traits.strided_views = true;
  return std::make_unique<PrimitiveType>(std::move(info));
}

template <class KernelType>
std::unique_ptr<Primitive> make(PrimitiveInfo info, const char* description, int revision = 1) {
  return make_primitive<WeightlessPrimitive<KernelType>>(std::move(info), description, revision);
}

}  // namespace convopt::pointwise
