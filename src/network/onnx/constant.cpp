#include "src/network/onnx/constant.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace convopt::onnx_reader {
namespace {

/// The elements of `constant` at `source(i)`, i = 0, 1, ... of the result.
template <class Source>
Constant gathered(const Constant& constant, Dims dims, const Source& source) {
  Constant result;
  result.is_float = constant.is_float;
  const auto count = static_cast<std::size_t>(element_count(dims).value_or(0));
  result.dims = std::move(dims);
  const auto fill = [&](auto& to, const auto& from) {
    to.reserve(count);
    for (std::size_t i = 0; i < count; ++i) to.push_back(from[source(i)]);
  };
  if (constant.is_float) {
    fill(result.floats, constant.floats);
  } else {
    fill(result.integers, constant.integers);
  }
  return result;
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
  return gathered(constant, dims, [&](std::size_t i) { return offset_of(i, dims, strides); });
}

Constant transposed(const Constant& constant, const std::vector<int>& order) {
  const std::vector<std::size_t> from = strides_of(constant.dims);
  Dims dims;
  std::vector<std::size_t> strides;
  for (const int axis : order) {
    dims.push_back(constant.dims[static_cast<std::size_t>(axis)]);
    strides.push_back(from[static_cast<std::size_t>(axis)]);
  }
  return gathered(constant, dims, [&](std::size_t i) { return offset_of(i, dims, strides); });
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
  return gathered(constant, dims, [&](std::size_t i) {
    return static_cast<std::size_t>(start) + offset_of(i, dims, strides);
  });
}

}  // namespace convopt::onnx_reader
