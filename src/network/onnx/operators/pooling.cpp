// Windows and axes of which a maximum, a mean or a sum is left.
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> pool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::size_t rank = x->dims.size();
  CONVOPT_TRY(const auto window, window_of(node, rank, node.integers("kernel_shape")));
  if (!node.has("kernel_shape")) return node.error("it has no kernel");
  if (window.dilation != Pair{1, 1}) return node.unsupported("dilation");
  PoolAttributes attributes;
  attributes.kernel = window.kernel;
  attributes.stride = window.stride;
  attributes.padding = window.padding;
  attributes.ceil_mode = node.integer("ceil_mode", 0) != 0;
  attributes.count_include_pad = node.integer("count_include_pad", 0) != 0;
  CONVOPT_TRY(const auto tensor, model.image(node, *x));
  CONVOPT_TRY(const auto result,
              model.graph().add_pool(model.label(node),
                                     node.type() == "MaxPool" ? PoolKind::max : PoolKind::average,
                                     tensor, attributes));
  return made(result, dims_of(model.graph().shape(result), rank));
}

/// The mean or maximum over neighbouring axes, in ascending order.
Result<Value> reduced(Import& model, const Node& node, const Value& x,
                      const std::vector<std::size_t>& axes, bool keep, PoolKind kind) {
  const std::size_t first = axes.front();
  const std::size_t last = axes.back() + 1;
  const std::size_t rank = x.dims.size();
  if (last - first != axes.size()) return node.unsupported("reducing axes that are no neighbours");
  Dims dims = x.dims;
  for (std::size_t axis = first; axis < last; ++axis) dims[axis] = 1;
  if (!keep)
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(first),
               dims.begin() + static_cast<std::ptrdiff_t>(last));
  if (x.channels_last && first == 1 && last == rank - 1)
    return made(model.graph().add_global_pool(model.label(node), kind, x.tensor), std::move(dims));
  if (!x.channels_last && first == 2 && last == rank && rank <= 4) {
    CONVOPT_TRY(const auto tensor, model.image(node, x));
    return made(model.graph().add_global_pool(model.label(node), kind, tensor), std::move(dims));
  }
  const TensorShape around = shape_around(x.dims, first, last);
  const bool is_natural = first == 1 && last == 2 && rank <= 4;
  const int pixels = is_natural ? around.h() * around.w() : around.h();
  CONVOPT_TRY(const auto tensor, model.shaped(node.name(), x, {1, around.n(), around.c(), pixels}));
  PoolAttributes attributes;
  attributes.kernel = {around.c(), 1};
  return made(model.graph().add_pool(model.label(node), kind, tensor, attributes), std::move(dims));
}

Result<Value> global_pool(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::size_t rank = x->dims.size();
  if (rank < 3) return node.error("its input has no pixels");
  std::vector<std::size_t> axes(rank - 2);
  std::iota(axes.begin(), axes.end(), 2);
  return reduced(model, node, *x, axes, true,
                 node.type() == "GlobalMaxPool" ? PoolKind::max : PoolKind::average);
}

Result<Value> reduce(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  Integers axes = integers_of(node, "axes", given.get());
  const std::size_t rank = x->dims.size();
  if (axes.empty()) {
    if (rank == 0 || node.integer("noop_with_empty_axes", 0) != 0) return *x;
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  const auto resolved = resolve_axes(axes, rank);
  if (!resolved) return node.error("its axes do not fit " + dims_text(x->dims));
  auto result = reduced(model, node, *x, *resolved, node.integer("keepdims", 1) != 0,
                        node.type() == "ReduceMax" ? PoolKind::max : PoolKind::average);
  if (!result || node.type() != "ReduceSum") return result;
  double count = 1;
  for (const std::size_t axis : *resolved) count *= static_cast<double>(x->dims[axis]);
  return scale(model, node, *result, static_cast<float>(count));
}

}  // namespace

OperatorTable pooling_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"MaxPool", pool},
      {"AveragePool", pool},
      {"GlobalMaxPool", global_pool},
      {"GlobalAveragePool", global_pool},
      {"ReduceMean", reduce},
      {"ReduceMax", reduce},
      {"ReduceSum", reduce},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
