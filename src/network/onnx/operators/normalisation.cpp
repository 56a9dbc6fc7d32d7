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
  ones->weights = std::vector<float>(static_cast<std::size_t>(*count), 1.0F);
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

/// With parameters that are computed: (x - mean) / sqrt(variance + epsilon) * scale + bias.
Result<Value> computed_batch_norm(Import& model, const Node& node, const Value& x) {
  std::vector<Value> parameters;
  for (const int i : {1, 2, 3, 4}) {
    CONVOPT_TRY(const auto given, model.tensor_input(node, i));
    if (given->dims != Dims{x.dims[1]})
      return node.error("its parameters do not fit its input " + dims_text(x.dims));
    Dims dims(x.dims.size() - 1, 1);
    dims[0] = x.dims[1];
    CONVOPT_TRY(auto parameter, reshaped_value(model, node, *given, std::move(dims)));
    parameters.push_back(std::move(parameter));
  }
  const Value epsilon = number_value(node.number("epsilon", 1e-5F));
  CONVOPT_TRY(const auto sum, binary(model, node, Op::add, parameters[3], epsilon));
  CONVOPT_TRY(const auto inverse, activate(model, node, sum, {ActivationKind::pow, -0.5F}));
  CONVOPT_TRY(const auto factor, binary(model, node, Op::multiply, inverse, parameters[0]));
  CONVOPT_TRY(const auto centred, binary(model, node, Op::subtract, x, parameters[2]));
  CONVOPT_TRY(const auto scaled, binary(model, node, Op::multiply, centred, factor));
  return binary(model, node, Op::add, scaled, parameters[1]);
}

/// A factor for all, and a number per channel that is added.
Result<Value> image_scaler(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::vector<float> bias = node.numbers("bias");
  if (x->dims.size() != 4 || std::ssize(bias) != x->dims[1])
    return node.error("its bias does not fit its input " + dims_text(x->dims));
  const Constant factor = Constant::of_floats({}, {node.number("scale", 1)});
  const Constant shift = Constant::of_floats({x->dims[1], 1, 1}, bias);
  return scale_shift(model, node, *x, &factor, &shift);
}

Result<Value> batch_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  if (x->dims.size() < 2) return node.error("its input has no channels");
  if (node.integer("spatial", 1) == 0) return node.unsupported("statistics per pixel");
  if (node.integer("training_mode", 0) != 0) return batch_norm_by_batch(model, node, *x);
  for (int i = 1; i <= 4; ++i) {
    CONVOPT_TRY(const auto given, model.input(node, i));
    if (given->is_tensor()) return computed_batch_norm(model, node, *x);
  }
  const std::int64_t channels = x->dims[1];
  std::vector<std::vector<float>> parameters;
  for (int i = 1; i <= 4; ++i) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    CONVOPT_TRY(auto values, vector_of(node, constant, channels, "parameters"));
    if (values.empty()) return node.error("it needs five inputs");
    parameters.push_back(std::move(values));
  }
  const float epsilon = node.number("epsilon", 1e-5F);
  std::vector<float> scale, shift;
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    const double factor = parameters[0][c] / std::sqrt(double{parameters[3][c]} + epsilon);
    scale.push_back(static_cast<float>(factor));
    shift.push_back(static_cast<float>(parameters[1][c] - parameters[2][c] * factor));
  }
  CONVOPT_TRY(const auto tensor, model.with_channels(node, *x));
  return made(model.graph().add_scale_shift(model.label(node), tensor,
                                            {std::move(scale), std::move(shift)}),
              x->dims);
}

/// Mean and the inverse of the deviation over all axes from `axis` on.
Result<std::vector<Value>> statistics(Import& model, const Node& node, const Value& x,
                                      std::size_t axis, float epsilon) {
  std::vector<std::size_t> axes(x.dims.size() - axis);
  std::iota(axes.begin(), axes.end(), axis);
  CONVOPT_TRY(auto mean, reduced(model, node, Op::reduce_mean, x, axes, true));
  CONVOPT_TRY(const auto centred, binary(model, node, Op::subtract, x, mean));
  CONVOPT_TRY(const auto squares, binary(model, node, Op::multiply, centred, centred));
  CONVOPT_TRY(const auto variance, reduced(model, node, Op::reduce_mean, squares, axes, true));
  CONVOPT_TRY(const auto sum, binary(model, node, Op::add, variance, number_value(epsilon)));
  CONVOPT_TRY(auto inverse, activate(model, node, sum, {ActivationKind::pow, -0.5F}));
  return std::vector{std::move(mean), std::move(inverse)};
}

Result<std::vector<Value>> layer_norm(Import& model, const Node& node) {
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
  const float epsilon = node.number("epsilon", 1e-5F);
  std::vector<Value> results;
  if (node.output_count() > 1) {
    CONVOPT_TRY(results, statistics(model, node, *x, *axis, epsilon));
  }
  CONVOPT_TRY(auto normal, normalized(model, node, *x, *axis, epsilon,
                                      std::make_shared<const StoredWeights>(std::move(weights))));
  results.insert(results.begin(), std::move(normal));
  return results;
}

/// Zero mean and unit variance over some axes.
Result<Value> mean_variance_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  Integers axes = node.integers("axes");
  if (axes.empty()) axes = {0, 2, 3};
  const auto resolved = resolve_axes(axes, x->dims.size());
  if (!resolved) return node.error("its axes do not fit " + dims_text(x->dims));
  CONVOPT_TRY(const auto mean, reduced(model, node, Op::reduce_mean, *x, *resolved, true));
  CONVOPT_TRY(const auto centred, binary(model, node, Op::subtract, *x, mean));
  CONVOPT_TRY(const auto squares, binary(model, node, Op::multiply, centred, centred));
  CONVOPT_TRY(const auto variance, reduced(model, node, Op::reduce_mean, squares, *resolved, true));
  CONVOPT_TRY(const auto deviation, activate(model, node, variance, {ActivationKind::pow, 0.5F}));
  constexpr float kEpsilon = 1e-9F;  // as ONNX defines it
  CONVOPT_TRY(const auto divisor, binary(model, node, Op::add, deviation, number_value(kEpsilon)));
  return binary(model, node, Op::divide, centred, divisor);
}

/// Groups of channels as rows.
Result<Value> group_norm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::int64_t groups = node.integer("num_groups", 0);
  if (x->dims.size() < 2 || groups < 1 || x->dims[1] % groups != 0)
    return node.error("its groups do not divide its channels");
  const auto count = element_count(x->dims);
  CONVOPT_TRY(const auto rows,
              reshaped_value(model, node, *x, {x->dims[0], groups, *count / x->dims[0] / groups}));
  CONVOPT_TRY(Value standard, standardised(model, node, rows, 2, node.number("epsilon", 1e-5F)));
  standard.dims = x->dims;
  if (node.opset() >= 21) return scale_channels(model, node, standard);
  // Before, there was a scale per group.
  std::vector<Constant> parameters;
  for (const int i : {1, 2}) {
    CONVOPT_TRY(const auto constant, model.constant_input(node, i));
    CONVOPT_TRY(const auto values, vector_of(node, constant, groups, "scale and bias"));
    if (values.empty()) return node.error("it needs a scale and a bias");
    Dims dims(x->dims.size() - 1, 1);
    dims[0] = x->dims[1];
    std::vector<float> spread;
    for (std::int64_t c = 0; c < x->dims[1]; ++c)
      spread.push_back(values[static_cast<std::size_t>(c / (x->dims[1] / groups))]);
    parameters.push_back(Constant::of_floats(std::move(dims), std::move(spread)));
  }
  return scale_shift(model, node, standard, &parameters[0], &parameters[1]);
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
      {"LayerNormalization", nullptr, layer_norm},
      {"InstanceNormalization", instance_norm},
      {"LRN", lrn},
      {"ImageScaler", image_scaler},
      {"GroupNormalization", group_norm},
      {"MeanVarianceNormalization", mean_variance_norm},
      {"Softmax", softmax},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
