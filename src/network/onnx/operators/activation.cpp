// Functions of single elements with one input.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

bool same(float a, float b) { return std::abs(a - b) <= 1e-5F * std::max(1.0F, std::abs(b)); }

Result<Value> activation(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  static const std::unordered_map<std::string_view, Activation> kinds = {
      {"Relu", {ActivationKind::relu}},
      {"LeakyRelu", {ActivationKind::leaky_relu, 0.01F}},
      {"Elu", {ActivationKind::elu, 1.0F}},
      {"Sigmoid", {ActivationKind::sigmoid}},
      {"Tanh", {ActivationKind::tanh}},
      {"HardSwish", {ActivationKind::hard_swish}},
      {"Gelu", {ActivationKind::gelu}},
      {"Erf", {ActivationKind::erf}},
      {"Exp", {ActivationKind::exp}},
      {"Sqrt", {ActivationKind::pow, 0.5F}},
      {"Reciprocal", {ActivationKind::pow, -1}},
      {"Log", {ActivationKind::log}},
      {"Sin", {ActivationKind::sin}},
      {"Cos", {ActivationKind::cos}},
      {"Tan", {ActivationKind::tan}},
      {"Asin", {ActivationKind::asin}},
      {"Acos", {ActivationKind::acos}},
      {"Atan", {ActivationKind::atan}},
      {"Sinh", {ActivationKind::sinh}},
      {"Cosh", {ActivationKind::cosh}},
      {"Asinh", {ActivationKind::asinh}},
      {"Acosh", {ActivationKind::acosh}},
      {"Atanh", {ActivationKind::atanh}},
      {"Abs", {ActivationKind::abs}},
      {"Sign", {ActivationKind::sign}},
      {"Floor", {ActivationKind::floor}},
      {"Ceil", {ActivationKind::ceil}},
      {"Round", {ActivationKind::round}},
      {"Softplus", {ActivationKind::softplus}},
      {"Softsign", {ActivationKind::softsign}},
      {"Selu", {ActivationKind::selu, 1.67326F, 1.0507F}},
      {"Celu", {ActivationKind::celu, 1.0F}},
      {"Mish", {ActivationKind::mish}},
      {"ThresholdedRelu", {ActivationKind::thresholded_relu, 1.0F}},
      {"Shrink", {ActivationKind::shrink, 0.5F, 0.0F}}};
  Activation activation = kinds.at(node.type());
  const std::string_view type = node.type();
  if (type == "LeakyRelu" || type == "Elu" || type == "Selu" || type == "Celu" ||
      type == "ThresholdedRelu")
    activation.alpha = node.number("alpha", activation.alpha);
  if (type == "Selu") activation.beta = node.number("gamma", activation.beta);
  if (type == "Shrink") {
    activation.alpha = node.number("lambd", activation.alpha);
    activation.beta = node.number("bias", activation.beta);
  }
  if (type == "Gelu" && node.text("approximate", "none") == "tanh")
    activation.kind = ActivationKind::gelu_tanh;
  return activate(model, node, *x, activation);
}

/// x * sigmoid(alpha * x)
Result<Value> quick_gelu(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const float alpha = node.number("alpha", 1.702F);
  if (alpha == 1) return activate(model, node, *x, {ActivationKind::swish});
  CONVOPT_TRY(const auto line, scale(model, node, *x, alpha));
  CONVOPT_TRY(const auto gate, activate(model, node, line, {ActivationKind::sigmoid}));
  return binary(model, node, Op::multiply, *x, gate);
}

Result<Value> clip(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  constexpr float kLargest = std::numeric_limits<float>::max();
  std::optional<float> low, high;
  if (node.opset() < 11) {
    low = node.number_or_infinite("min", -kLargest);
    high = node.number_or_infinite("max", kLargest);
  } else {
    CONVOPT_TRY(const auto least, model.scalar_input(node, 1));
    CONVOPT_TRY(const auto most, model.scalar_input(node, 2));
    low = least;
    high = most;
  }
  const auto finite = [&](float bound) { return std::clamp(bound, -kLargest, kLargest); };
  Activation activation{ActivationKind::clip, finite(low.value_or(-kLargest)),
                        finite(high.value_or(kLargest))};
  if (std::isnan(activation.alpha) || std::isnan(activation.beta))
    return node.error("its bounds must be numbers");
  activation.alpha = std::min(activation.alpha, activation.beta);  // the upper bound comes last
  if (activation.alpha == -kLargest && activation.beta == kLargest) return *x;
  if (activation.alpha == 0 && activation.beta == kLargest) activation = {ActivationKind::relu};
  return activate(model, node, *x, activation);
}

Result<Value> hard_sigmoid(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const float alpha = node.number("alpha", 0.2F);
  const float beta = node.number("beta", 0.5F);
  if (same(alpha, 1.0F / 6) && same(beta, 0.5F))
    return activate(model, node, *x, {ActivationKind::hard_sigmoid});
  const Constant slope = Constant::of_floats({}, {alpha});
  const Constant offset = Constant::of_floats({}, {beta});
  CONVOPT_TRY(const auto line, scale_shift(model, node, *x, &slope, &offset));
  return activate(model, node, line, {ActivationKind::clip, 0, 1});
}

Result<Value> prelu(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto found, model.input(node, 1));
  Value given = *found;
  // Before opset 7, a slope per channel had no other dimensions.
  if (node.opset() < 7 && given.sizes().size() == 1 && x->dims.size() > 2 &&
      given.constant != nullptr) {
    Constant constant = *given.constant;
    constant.dims.insert(constant.dims.end(), x->dims.size() - 2, 1);
    given = constant_value(std::move(constant));
  }
  const ConstantPointer slope = given.constant;
  const bool one =
      slope != nullptr && slope->is_float && slope->size() > 0 &&
      std::ranges::all_of(slope->floats.values(), [&](float v) { return v == slope->floats[0]; });
  if (one) return activate(model, node, *x, {ActivationKind::leaky_relu, slope->floats[0]});
  return binary(model, node, Op::prelu, *x, given);
}

Result<Value> power(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const Value given, second_operand(model, node, *x));
  const ConstantPointer exponent = given.constant;
  if (exponent == nullptr || exponent->size() != 1 || !std::isfinite(exponent->at(0)) ||
      exponent->dims.size() > x->dims.size())
    return binary(model, node, Op::power, *x, given);
  if (exponent->at(0) == 1) return *x;
  return activate(model, node, *x, {ActivationKind::pow, static_cast<float>(exponent->at(0))});
}

}  // namespace

Result<Value> activate(Import& model, const Node& node, const Value& x,
                       const Activation& activation) {
  return made(model.graph().add_activation(model.label(node), x.tensor, activation), x.dims,
              x.channels_last);
}

OperatorTable activation_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Relu", activation},          {"LeakyRelu", activation},  {"Elu", activation},
      {"Sigmoid", activation},       {"Tanh", activation},       {"HardSwish", activation},
      {"Gelu", activation},          {"Erf", activation},        {"Exp", activation},
      {"Sqrt", activation},          {"Reciprocal", activation}, {"Clip", clip},
      {"HardSigmoid", hard_sigmoid}, {"PRelu", prelu},           {"Pow", power},
      {"Log", activation},           {"Sin", activation},        {"Cos", activation},
      {"Tan", activation},           {"Asin", activation},       {"Acos", activation},
      {"Atan", activation},          {"Sinh", activation},       {"Cosh", activation},
      {"Asinh", activation},         {"Acosh", activation},      {"Atanh", activation},
      {"Abs", activation},           {"Sign", activation},       {"Floor", activation},
      {"Ceil", activation},          {"Round", activation},      {"Softplus", activation},
      {"Softsign", activation},      {"Selu", activation},       {"Celu", activation},
      {"Mish", activation},          {"Shrink", activation},     {"ThresholdedRelu", activation},
      {"QuickGelu", quick_gelu},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
