// Operators that bring values into a common range.
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// x * scale + shift with the inputs 1 and 2 of the operator, a number per channel each.
Result<Value> scale_channels(Import& model, const Node& node, const Value& x) {
  Dims dims(x.dims.size() - 1, 1);
  dims[0] = x.dims[1];
  std::vector<Constant> parameters;
  for (const int i : {1, 2}) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    CONVOPT_TRY(auto values, vector_of(node, constant, x.dims[1], "scale and bias"));
    if (values.empty()) return node.error("it needs a scale and a bias");
    parameters.push_back(Constant::of_floats(dims, std::move(values)));
  }
  return scale_shift(model, node, x, &parameters[0], &parameters[1]);
}

/// Zero mean and unit variance over all axes from `axis` on.
Result<Value> standardised(Import& model, const Node& node, const Value& x, std::size_t axis,
                           float epsilon) {
  const auto count =
      element_count({x.dims.begin() + static_cast<std::ptrdiff_t>(axis), x.dims.end()});
  if (!count || *count > kMaxSize) return node.error("its input is too large");
  auto ones = std::make_shared<StoredWeights>();
  ones->weights.assign(static_cast<std::size_t>(*count), 1.0F);
  return normalized(model, node, x, axis, epsilon, std::move(ones));
}

/// With the statistics of all images: those of rows of channels.
Result<Value> batch_norm_by_batch(Import& model, const Node& node, const Value& x) {
  std::vector<int> order(x.dims.size());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[0], order[1]);
  CONVOPT_TRY(const auto rows, transposed_value(model, node, x, order));
  CONVOPT_TRY(const auto standard,
              standardised(model, node, rows, 1, node.number("epsilon", 1e-5F)));
  CONVOPT_TRY(const auto images, transposed_value(model, node, standard, order));
  return scale_channels(model, node, images);
}

Result<Value> instance_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (x->dims.size() < 3) return node.error("its input has no pixels");
  CONVOPT_TRY(const auto standard, standardised(model, node, *x, 2, node.number("epsilon", 1e-5F)));
  return scale_channels(model, node, standard);
}

Result<Value> batch_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (x->dims.size() < 2) return node.error("its input has no channels");
  if (node.integer("spatial", 1) == 0) return node.unsupported("statistics per pixel");
  if (node.integer("training_mode", 0) != 0) return batch_norm_by_batch(model, node, *x);
  const std::int64_t channels = x->dims[1];
  std::vector<std::vector<float>> parameters;
  for (int i = 1; i <= 4; ++i) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    CONVOPT_TRY(auto values, vector_of(node, constant, channels, "parameters"));
    if (values.empty()) return node.error("it needs five inputs");
    parameters.push_back(std::move(values));
  }
  const float epsilon = node.number("epsilon", 1e-5F);
  StoredWeights weights;
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    const double factor = parameters[0][c] / std::sqrt(double{parameters[3][c]} + epsilon);
    weights.weights.push_back(static_cast<float>(factor));
    weights.bias.push_back(static_cast<float>(parameters[1][c] - parameters[2][c] * factor));
  }
  CONVOPT_TRY(const auto tensor, model.with_channels(node, *x));
  return made(model.graph().add_scale_shift(model.label(node), tensor, std::move(weights)),
              x->dims);
}

Result<Value> layer_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const auto axis = resolve_axis(node.integer("axis", -1), x->dims.size());
  if (!axis) return node.error("it has no such axis");
  const auto channels =
      element_count({x->dims.begin() + static_cast<std::ptrdiff_t>(*axis), x->dims.end()});
  StoredWeights weights;
  for (int i = 1; i <= 2; ++i) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    CONVOPT_TRY(auto values, vector_of(node, constant, channels.value_or(0), "scale and bias"));
    (i == 1 ? weights.weights : weights.bias) = std::move(values);
  }
  if (weights.weights.empty()) return node.error("it has no scale");
  return normalized(model, node, *x, *axis, node.number("epsilon", 1e-5F),
                    std::make_shared<const StoredWeights>(std::move(weights)));
}

Result<Value> lrn(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto tensor, model.image(node, *x));
  LrnAttributes attributes;
  const std::int64_t size = node.integer("size", 0);
  if (size < 1 || size > kMaxSize) return node.error("its size is out of range");
  attributes.size = static_cast<int>(size);
  attributes.alpha = node.number("alpha", 1e-4F);
  attributes.beta = node.number("beta", 0.75F);
  attributes.k = node.number("bias", 1.0F);
  return made(model.graph().add_lrn(model.label(node), tensor, attributes), x->dims);
}

Result<Value> softmax(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::size_t rank = x->dims.size();
  const bool flattens = node.opset() < 13;  // everything from the axis on is one
  const auto axis = resolve_axis(node.integer("axis", flattens ? 1 : -1), rank);
  if (!axis) return node.error("it has no such axis");
  if (x->channels_last && *axis + 1 == rank)
    return made(model.graph().add_softmax(model.label(node), x->tensor), x->dims, true);
  CONVOPT_TRY(
      const auto tensor,
      model.shaped(node.name(), *x, shape_around(x->dims, *axis, flattens ? rank : *axis + 1)));
  return made(model.graph().add_softmax(model.label(node), tensor), x->dims);
}

}  // namespace

Result<Value> normalized(Import& model, const Node& node, const Value& x, std::size_t axis,
                         float epsilon, WeightsPointer weights) {
  const bool last = axis + 1 == x.dims.size();
  CONVOPT_TRY(const auto channels, last ? model.as_channels_last(node, x) : Import::Found(nullptr));
  if (channels != nullptr)
    return made(model.graph().add_layer_norm(model.label(node), channels->tensor, epsilon,
                                             std::move(weights)),
                x.dims, true);
  CONVOPT_TRY(const auto tensor,
              model.shaped(node.name(), x, shape_around(x.dims, axis, x.dims.size())));
  return made(model.graph().add_layer_norm(model.label(node), tensor, epsilon, std::move(weights)),
              x.dims);
}

OperatorTable normalisation_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"BatchNormalization", batch_norm},
      {"LayerNormalization", layer_norm},
      {"InstanceNormalization", instance_norm},
      {"LRN", lrn},
      {"Softmax", softmax},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
