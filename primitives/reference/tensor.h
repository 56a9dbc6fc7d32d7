// Tensors of any rank as the reference computes with them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "convopt/tensor.hpp"
#include "core/conversion.h"

namespace convopt::reference {

using Index = std::array<int, kMaxRank>;  ///< of an element, zeros behind the rank

/// Row-major doubles.
struct Tensor {
  explicit Tensor(const TensorShape& s)
      : shape(s), values(static_cast<std::size_t>(s.elements())) {}

  /// An index beyond a size of 1 is that of the only element.
  double& at(const Index& index) { return values[number(index)]; }
  double at(const Index& index) const { return values[number(index)]; }

  TensorShape shape;
  std::vector<double> values;

 private:
  std::size_t number(const Index& index) const {
    std::int64_t number = 0;
    for (int d = 0; d < shape.rank(); ++d) {
      number = number * shape[d] + (shape[d] == 1 ? 0 : index[static_cast<std::size_t>(d)]);
    }
    return static_cast<std::size_t>(number);
  }
};

/// Calls `body(index)` for the first element of every row, which is all along the last dimension.
template <class Body>
void for_each_row(const TensorShape& shape, const Body& body) {
  Index index{};
  for (;;) {
    body(index);
    int d = shape.rank() - 2;
    for (; d >= 0; --d) {
      auto& i = index[static_cast<std::size_t>(d)];
      if (++i < shape[d]) break;
      i = 0;
    }
    if (d < 0) return;
  }
}

/// Calls `body(index)` for every element, in row-major order.
template <class Body>
void for_each_element(const TensorShape& shape, const Body& body) {
  for_each_row(shape, [&](Index index) {
    const int last = shape.rank() - 1;
    if (last < 0) {
      body(index);
      return;
    }
    auto& i = index[static_cast<std::size_t>(last)];
    for (; i < shape[last]; ++i) body(index);
  });
}

/// An element of a view of any type.
inline float load(const TensorView& view, std::int64_t offset) {
  if (view.type == DataType::f32) return view.as<const float>()[offset];
  float value = 0;
  to_floats(view.at_offset(offset).data, view.type, 1, &value);
  return value;
}

inline void store(const TensorView& view, std::int64_t offset, float value) {
  if (view.type == DataType::f32) {
    view.as<float>()[offset] = value;
  } else {
    from_floats(&value, 1, view.type, view.at_offset(offset).data);
  }
}

/// A row of a view in any layout and of any type.
struct Row {
  Row(const TensorView& whole, const Index& index) : view(whole) {
    const int last = view.shape.rank() - 1;
    if (view.shape.is_image()) {
      first = view.offset(index[0], index[1], index[2], 0);
    } else {
      for (int d = 0; d < last; ++d) {
        const auto at = static_cast<std::size_t>(d);
        first += index[at] * view.strides[at];
      }
    }
    if (last < 0) return;
    size = view.shape[last];
    step = view.strides[static_cast<std::size_t>(last)];
  }
  float operator[](int i) const { return load(view, first + i * step); }
  void set(int i, float value) const { store(view, first + i * step, value); }

  const TensorView& view;
  std::int64_t first = 0;
  int size = 1;
  std::int64_t step = 1;
};

inline Tensor read(const TensorView& view) {
  Tensor tensor(view.shape);
  auto value = tensor.values.begin();
  for_each_row(view.shape, [&](const Index& index) {
    const Row row(view, index);
    for (int i = 0; i < row.size; ++i) *value++ = row[i];
  });
  return tensor;
}

}  // namespace convopt::reference
