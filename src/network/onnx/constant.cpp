#include "src/network/onnx/constant.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace convopt::onnx_reader {
namespace {

/// Floats of fewer elements are not worth deferring.
constexpr std::size_t kLeastDeferred = 4096;

/// `count` floats that `compute` makes of those of `constant`: now if there are few, or if those
/// are deferred themselves, so that no chain of them grows; else when they are asked for.
template <class Compute>
void set_floats(Constant& result, const Constant& constant, std::size_t count, Compute compute) {
  result.is_deferred = count >= kLeastDeferred && !constant.is_deferred;
  auto make = [floats = constant.floats, compute] { return compute(floats.values()); };
  result.floats = result.is_deferred ? FloatArray::deferred(count, std::move(make)) : make();
}

/// The elements of `constant` at `source(i)`, i = 0, 1, ... of the result.
template <class Source>
Constant gathered(const Constant& constant, Dims dims, Source source) {
  Constant result;
  result.is_float = constant.is_float;
  const auto count = static_cast<std::size_t>(element_count(dims).value_or(0));
  result.dims = std::move(dims);
  const auto taken = [count, source](const auto& from) {
    std::vector<std::decay_t<decltype(from[0])>> to;
    to.reserve(count);
    for (std::size_t i = 0; i < count; ++i) to.push_back(from[source(i)]);
    return to;
  };
  if (constant.is_float) {
    set_floats(result, constant, count, taken);
  } else {
    result.integers = taken(constant.integers);
  }
  return result;
}

/// A matrix with rows as columns, in tiles that fit into the caches.
std::vector<float> transposed_matrix(std::span<const float> from, std::size_t rows,
                                     std::size_t columns) {
  constexpr std::size_t kTile = 32;
  std::vector<float> to(from.size());
  for (std::size_t i = 0; i < rows; i += kTile)
    for (std::size_t j = 0; j < columns; j += kTile)
      for (std::size_t r = i; r < std::min(rows, i + kTile); ++r)
        for (std::size_t c = j; c < std::min(columns, j + kTile); ++c)
          to[c * rows + r] = from[r * columns + c];
  return to;
}

std::vector<std::size_t> strides_of(const Dims& dims) {
  std::vector<std::size_t> strides(dims.size());
  std::size_t stride = 1;
  for (std::size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= static_cast<std::size_t>(dims[i]);
  }
  return strides;
}

/// Where element i of a result of shape `dims` lies, if dimension d advances by strides[d].
std::size_t offset_of(std::size_t i, const Dims& dims, const std::vector<std::size_t>& strides) {
  std::size_t offset = 0;
  for (std::size_t d = dims.size(); d-- > 0;) {
    const auto size = static_cast<std::size_t>(dims[d]);
    offset += i % size * strides[d];
    i /= size;
  }
  return offset;
}

}  // namespace

DataType Constant::border_type() const {
  if (is_float) return DataType::f32;
  const DataType exact = type.value_or(DataType::s64);
  return is_real(exact) ? DataType::s64 : exact;
}

std::optional<std::int64_t> element_count(const Dims& dims) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t size : dims) {
    if (size < 0 || size > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    count *= size;
    if (count > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  }
  return empty ? 0 : count;
}

std::string dims_text(const Dims& dims) {
  std::string text;
  constexpr std::size_t kShown = 8;
  for (std::size_t i = 0; i < std::min(dims.size(), kShown); ++i)
    text += (i > 0 ? "x" : "") + std::to_string(dims[i]);
  if (dims.size() > kShown) text += "x...";
  return text.empty() ? "no dimensions" : text;
}

std::optional<Dims> broadcast(const Dims& a, const Dims& b) {
  Dims result(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

Constant expanded(const Constant& constant, const Dims& dims) {
  if (constant.dims == dims) return constant;
  std::vector<std::size_t> strides = strides_of(constant.dims);
  for (std::size_t d = 0; d < strides.size(); ++d)
    if (constant.dims[d] == 1) strides[d] = 0;
  strides.insert(strides.begin(), dims.size() - strides.size(), 0);
  return gathered(constant, dims,
                  [dims, strides](std::size_t i) { return offset_of(i, dims, strides); });
}

Constant transposed(const Constant& constant, const std::vector<int>& order) {
  if (constant.is_float && order == std::vector<int>{1, 0}) {
    Constant result;
    result.is_float = true;
    result.dims = {constant.dims[1], constant.dims[0]};
    const auto rows = static_cast<std::size_t>(constant.dims[0]);
    const auto columns = static_cast<std::size_t>(constant.dims[1]);
    set_floats(result, constant, constant.size(), [rows, columns](std::span<const float> from) {
      return transposed_matrix(from, rows, columns);
    });
    return result;
  }
  const std::vector<std::size_t> from = strides_of(constant.dims);
  Dims dims;
  std::vector<std::size_t> strides;
  for (const int axis : order) {
    dims.push_back(constant.dims[static_cast<std::size_t>(axis)]);
    strides.push_back(from[static_cast<std::size_t>(axis)]);
  }
  return gathered(constant, dims,
                  [dims, strides](std::size_t i) { return offset_of(i, dims, strides); });
}

Constant sliced(const Constant& constant, std::size_t axis, std::int64_t first, std::int64_t count,
                std::int64_t step) {
  Dims dims = constant.dims;
  dims[axis] = count;
  const std::vector<std::size_t> from = strides_of(constant.dims);
  std::vector<std::size_t> strides = from;
  const auto start = first * static_cast<std::int64_t>(from[axis]);
  // A negative step is an offset that wraps around, as unsigned arithmetic does.
  strides[axis] = static_cast<std::size_t>(step * static_cast<std::int64_t>(from[axis]));
  return gathered(constant, dims, [start, dims, strides](std::size_t i) {
    return static_cast<std::size_t>(start) + offset_of(i, dims, strides);
  });
}

}  // namespace convopt::onnx_reader
