// Windows of which a maximum, a mean or a norm is left, and what undoes a maximum.
#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

using Axes = std::vector<WindowAxis>;

/// Pooling with what a PoolAttributes says of one or two dimensions of pixels.
Result<Value> pooled_image(Import& model, const Node& node, const Value& x, PoolKind kind) {
  const std::size_t rank = x.dims.size();
  CONVOPT_TRY(const auto window, window_of(node, rank, node.integers("kernel_shape")));
  PoolAttributes attributes;
  attributes.kernel = window.kernel;
  attributes.stride = window.stride;
  attributes.padding = window.padding;
  attributes.ceil_mode = node.integer("ceil_mode", 0) != 0;
  attributes.count_include_pad = node.integer("count_include_pad", 0) != 0;
  CONVOPT_TRY(const auto tensor, model.image(node, x));
  CONVOPT_TRY(const auto result,
              model.graph().add_pool(model.label(node), kind, tensor, attributes));
  return made(result, dims_of(model.graph().shape(result), rank));
}

/// Pooling of the last two dimensions, the ones before as channels, then of the first of three: a
/// maximum of maxima and a mean of means, because all windows of a plane have the same elements.
Result<Value> pooled_volume(Import& model, const Node& node, const Value& x, PoolKind kind,
                            const Axes& axes) {
  PoolAttributes attributes;
  attributes.ceil_mode =
      node.integer("ceil_mode", 0) != 0 && node.text("auto_pad", "NOTSET") == "NOTSET";
  attributes.count_include_pad = node.integer("count_include_pad", 0) != 0;
  const auto along = [](const WindowAxis& axis, int& kernel, int& stride, int& before, int& after) {
    kernel = static_cast<int>(axis.kernel);
    stride = static_cast<int>(axis.stride);
    before = static_cast<int>(axis.before);
    after = static_cast<int>(axis.after);
  };
  PoolAttributes planes = attributes;
  along(axes[1], planes.kernel.h, planes.stride.h, planes.padding.top, planes.padding.bottom);
  along(axes[2], planes.kernel.w, planes.stride.w, planes.padding.left, planes.padding.right);
  const Dims& d = x.dims;
  CONVOPT_TRY(const Value flat, reshaped_value(model, node, x, {d[0], d[1] * d[2], d[3], d[4]}));
  CONVOPT_TRY(const auto image, model.image(node, flat));
  CONVOPT_TRY(
      const auto pooled,
      model.graph().add_pool({model.fresh(node.name() + "/planes"), "pool"}, kind, image, planes));
  const TensorShape& plane = model.graph().shape(pooled);
  const std::int64_t rows = plane.h(), columns = plane.w();
  PoolAttributes depth = attributes;
  along(axes[0], depth.kernel.h, depth.stride.h, depth.padding.top, depth.padding.bottom);
  CONVOPT_TRY(const auto stacks, made(pooled, {d[0], d[1], d[2], rows * columns}));
  CONVOPT_TRY(const auto stack, model.image(node, stacks));
  CONVOPT_TRY(const auto result, model.graph().add_pool(model.label(node), kind, stack, depth));
  return made(result, {d[0], d[1], model.graph().shape(result).h(), rows, columns});
}

/// Windows along an axis as elements of it.
struct Windows {
  std::int64_t count = 0, kernel = 1, dilation = 1;
  Integers starts;  ///< of each window, may lie in the padding
  Integers firsts;  ///< the first element that it sees

  /// Where a tap lies in the padding, the first element stands for it, which changes no maximum.
  Integers elements(std::int64_t size) const {
    Integers all;
    for (std::size_t w = 0; w < starts.size(); ++w)
      for (std::int64_t tap = 0; tap < kernel; ++tap) {
        const std::int64_t at = starts[w] + tap * dilation;
        all.push_back(at >= 0 && at < size ? at : firsts[w]);
      }
    return all;
  }
};

Result<Windows> windows_along(const Node& node, WindowAxis axis, bool ceil_mode) {
  if (axis.extent() > axis.padded())
    return node.error("its kernel is larger than its padded input");
  if (ceil_mode) axis.pad_partial_window();
  Windows windows{axis.out(), axis.kernel, axis.dilation, {}, {}};
  if (windows.count > kMaxSize || windows.count * axis.kernel > kMaxSize)
    return node.error("its windows have too many elements");
  for (std::int64_t w = 0; w < windows.count; ++w) {
    const std::int64_t start = w * axis.stride - axis.before;
    const std::int64_t skipped = start < 0 ? (-start + axis.dilation - 1) / axis.dilation : 0;
    const std::int64_t first = start + skipped * axis.dilation;
    if (skipped >= axis.kernel || first >= axis.in)
      return node.error("a window would lie entirely in the padding");
    windows.starts.push_back(start);
    windows.firsts.push_back(first);
  }
  return windows;
}

/// Elements of windows along an axis, which becomes two: windows, and elements of each.
Result<Value> unfolded(Import& model, const Node& node, const Value& x, std::size_t axis,
                       const Windows& windows) {
  CONVOPT_TRY(const auto elements, gathered(model, node, x, axis, windows.elements(x.dims[axis])));
  Dims dims = elements.dims;
  dims[axis] = windows.count;
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, windows.kernel);
  return reshaped_value(model, node, elements, std::move(dims));
}

/// A number for each window, to go with tensors of that rank.
Value per_window(const Integers& numbers, std::size_t axis, std::size_t rank) {
  Dims dims(rank, 1);
  dims[axis] = std::ssize(numbers);
  return constant_value(Constant::of_integers(std::move(dims), numbers));
}

/// Along one axis after the other.
Result<Value> dilated_maxima(Import& model, const Node& node, const Value& x, const Axes& axes,
                             bool ceil_mode) {
  Value result = x;
  for (std::size_t d = axes.size(); d-- > 0;) {
    CONVOPT_TRY(const auto windows, windows_along(node, axes[d], ceil_mode));
    CONVOPT_TRY(const auto elements, unfolded(model, node, result, d + 2, windows));
    CONVOPT_TRY(result, reduced(model, node, Op::reduce_maximum, elements, {d + 3}, false));
  }
  return result;
}

/// Places of the maxima along each axis, found along one after the other, the last one first: of
/// equal elements, the first in row-major order.
Result<std::vector<Value>> places_of_maxima(Import& model, const Node& node, const Value& x,
                                            const Axes& axes, bool ceil_mode) {
  Value maxima = x;
  std::vector<Value> places(axes.size());
  for (std::size_t d = axes.size(); d-- > 0;) {
    const std::size_t axis = d + 2;
    CONVOPT_TRY(const auto windows, windows_along(node, axes[d], ceil_mode));
    CONVOPT_TRY(const auto elements, unfolded(model, node, maxima, axis, windows));
    CONVOPT_TRY(const TensorId tensor, model.ranked(node.name(), elements));
    Dims dims = elements.dims;
    dims[axis + 1] = 1;
    CONVOPT_TRY(const auto best,
                made(model.graph().add(model.label(node), std::array{tensor},
                                       Workload::along(Op::arg_maximum, model.graph().shape(tensor),
                                                       static_cast<int>(axis) + 1)),
                     dims));
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
    const auto best_of = [&](const Value& values) -> Result<Value> {
      CONVOPT_TRY(const auto one, picked(model, node, values, axis + 1, best));
      return reshaped_value(model, node, one, dims);
    };
    CONVOPT_TRY(maxima, best_of(elements));
    for (std::size_t behind = d + 1; behind < axes.size(); ++behind) {
      CONVOPT_TRY(const auto found, unfolded(model, node, places[behind], axis, windows));
      CONVOPT_TRY(places[behind], best_of(found));
    }
    CONVOPT_TRY(const auto number, reshaped_value(model, node, best, dims));
    const auto dilation = number_value(static_cast<float>(windows.dilation));
    CONVOPT_TRY(const auto distance, binary(model, node, Op::multiply, number, dilation));
    CONVOPT_TRY(const auto place, binary(model, node, Op::add, distance,
                                         per_window(windows.starts, axis, dims.size())));
    CONVOPT_TRY(places[d], binary(model, node, Op::maximum, place,
                                  per_window(windows.firsts, axis, dims.size())));
  }
  return places;
}

/// Numbers of the maxima among all elements of x.
Result<Value> indices_of_maxima(Import& model, const Node& node, const Value& x, const Axes& axes,
                                bool ceil_mode) {
  const auto total = element_count(x.dims);
  if (!total || *total > kMaxSize) return node.unsupported("indices beyond 2^24");
  CONVOPT_TRY(const auto places, places_of_maxima(model, node, x, axes, ceil_mode));
  const bool columns_first = node.integer("storage_order", 0) != 0;
  std::int64_t stride = 1;
  Value sum;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t d = columns_first ? i : axes.size() - 1 - i;
    CONVOPT_TRY(const auto part, binary(model, node, Op::multiply, places[d],
                                        number_value(static_cast<float>(stride))));
    if (i == 0) {
      sum = part;
    } else {
      CONVOPT_TRY(sum, binary(model, node, Op::add, sum, part));
    }
    stride *= axes[d].in;
  }
  Integers starts;
  for (std::int64_t plane = 0; plane < x.dims[0] * x.dims[1]; ++plane)
    starts.push_back(plane * stride);
  Dims dims(x.dims.size(), 1);
  dims[0] = x.dims[0];
  dims[1] = x.dims[1];
  CONVOPT_TRY(auto result,
              binary(model, node, Op::add, sum,
                     constant_value(Constant::of_integers(std::move(dims), std::move(starts)))));
  result.type = DataType::s64;
  return result;
}

Result<std::vector<Value>> pool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto axes, window_axes(node, x->dims, node.integers("kernel_shape")));
  const bool takes_largest = node.type() == "MaxPool";
  const auto kind = takes_largest ? PoolKind::max : PoolKind::average;
  const bool ceil_mode =
      node.integer("ceil_mode", 0) != 0 && node.text("auto_pad", "NOTSET") == "NOTSET";
  const bool is_dilated =
      std::ranges::any_of(axes, [](const WindowAxis& axis) { return axis.dilation != 1; });
  if (axes.size() > 3 || (is_dilated && !takes_largest))
    return node.unsupported(axes.size() > 3 ? "more than three dimensions of pixels"
                                            : "a mean with dilation");
  std::vector<Value> results(1);
  CONVOPT_TRY(results[0], is_dilated         ? dilated_maxima(model, node, *x, axes, ceil_mode)
                          : axes.size() == 3 ? pooled_volume(model, node, *x, kind, axes)
                                             : pooled_image(model, node, *x, kind));
  if (takes_largest && node.output_count() > 1 && !node.output(1).empty()) {
    results[0].type = x->type;
    results.emplace_back();
    CONVOPT_TRY(results[1], indices_of_maxima(model, node, *x, axes, ceil_mode));
  }
  return results;
}

/// Zeros, with elements where a MaxPool found them.
Result<Value> max_unpool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto indices, model.tensor_input(node, 1));
  CONVOPT_TRY(const auto given, model.constant_input(node, 2));
  CONVOPT_TRY(const auto axes, window_axes(node, x->dims, node.integers("kernel_shape")));
  if (indices->dims != x->dims) return node.error("its indices do not fit its input");
  Dims dims = x->dims;
  for (std::size_t d = 0; d < axes.size(); ++d)
    dims[d + 2] =
        (axes[d].in - 1) * axes[d].stride + axes[d].kernel - axes[d].before - axes[d].after;
  if (given != nullptr) dims = given->integers;
  const auto total = element_count(dims);
  if (!total || *total < 1 || *total > kMaxSize || dims.size() != x->dims.size())
    return node.error("its result would be empty or too large");
  const std::int64_t count = *element_count(x->dims);
  CONVOPT_TRY(const TensorId zeros, broadcast_to(model, node, number_value(0), {*total}));
  CONVOPT_TRY(const auto empty, made(zeros, {*total}));
  CONVOPT_TRY(const auto at, reshaped_value(model, node, *indices, {count}));
  CONVOPT_TRY(const auto values, reshaped_value(model, node, *x, {count}));
  CONVOPT_TRY(auto result, scattered(model, node, Op::scatter, empty, 0, at, values));
  result.type = x->type;
  result.dims = std::move(dims);
  return result;
}

/// (sum |x|^p)^(1/p) of every window, zeros around the image.
Result<Value> lp_pool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto window, window_of(node, x->dims.size(), node.integers("kernel_shape")));
  const auto p = static_cast<float>(node.integer("p", 2));
  if (!node.has("kernel_shape") || p < 1) return node.error("it has no kernel or no p");
  if (window.dilation != Pair{1, 1} || node.integer("ceil_mode", 0) != 0)
    return node.unsupported("dilation or partial windows");
  CONVOPT_TRY(const auto size, activate(model, node, *x, {ActivationKind::abs}));
  CONVOPT_TRY(const auto powers, activate(model, node, size, {ActivationKind::pow, p}));
  PoolAttributes attributes;
  attributes.kernel = window.kernel;
  attributes.stride = window.stride;
  attributes.padding = window.padding;
  attributes.count_include_pad = true;
  CONVOPT_TRY(const auto tensor, model.image(node, powers));
  CONVOPT_TRY(const auto mean,
              model.graph().add_pool(model.label(node), PoolKind::average, tensor, attributes));
  CONVOPT_TRY(const auto value, made(mean, dims_of(model.graph().shape(mean), x->dims.size())));
  CONVOPT_TRY(const auto total,
              scale(model, node, value, static_cast<float>(window.kernel.h * window.kernel.w)));
  return activate(model, node, total, {ActivationKind::pow, 1 / p});
}

}  // namespace

OperatorTable pooling_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"MaxPool", nullptr, pool},
      {"AveragePool", nullptr, pool},
      {"MaxUnpool", max_unpool},
      {"LpPool", lp_pool},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
