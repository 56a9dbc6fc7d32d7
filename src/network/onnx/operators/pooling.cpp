// Windows of which a maximum, a mean or a norm is left.
#include <cstddef>
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
      {"MaxPool", pool},
      {"AveragePool", pool},
      {"LpPool", lp_pool},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
