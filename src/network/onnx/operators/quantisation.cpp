// Quantised operators as operators on the real numbers that the whole ones stand for. Rounding to
// them is an activation, `quantise`, whose results a plan may store in int8, exactly. A step of
// rounding apart, the results are those of integer arithmetic. Operators whose scales are computed
// or that make sums of integers work on whole numbers less their zero points: sums of products are
// exact up to 2^24.
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

struct StepRange {
  float low = 0, high = 255;
};

StepRange range_of(DataType type) {
  return type == DataType::s8 ? StepRange{-128, 127} : StepRange{0, 255};
}

/// Scale and zero point, both with dimensions that broadcast to those of the tensor.
struct Quantisation {
  Constant scale, zero;
  DataType type = DataType::u8;

  /// Whether one scale and one zero point, of int8 or uint8, hold for the whole tensor.
  bool is_uniform() const { return scale.size() == 1 && zero.size() == 1 && type != DataType::s32; }
  bool has_one_zero() const {
    return std::ranges::all_of(zero.floats.values(), [&](float z) { return z == zero.floats[0]; });
  }
};

void note_quantised(Import& model) {
  model.warn_once("the model is quantised; its rounding is kept in every type");
}

void note_integers(Import& model) {
  model.warn_once("operators on integers are computed in single precision");
}

/// The constant as floats with `dims`; one value per index of an axis otherwise.
Result<Constant> spread_along(const Node& node, const Constant& given, const Dims& dims,
                              std::int64_t axis_number) {
  std::vector<float> values;
  for (std::size_t i = 0; i < given.size(); ++i) values.push_back(static_cast<float>(given.at(i)));
  if (values.size() == 1) return Constant::of_floats({}, std::move(values));
  const auto axis = resolve_axis(axis_number, dims.size());
  if (!axis || given.dims.size() != 1 || given.dims[0] != dims[*axis])
    return node.error("its scale or zero point of the shape " + dims_text(given.dims) +
                      " does not fit a tensor of the shape " + dims_text(dims));
  Dims sizes(dims.size() - *axis, 1);
  sizes[0] = given.dims[0];
  return Constant::of_floats(std::move(sizes), std::move(values));
}

Result<Quantisation> quantisation_of(Import& model, const Node& node, int scale_input,
                                     int zero_input, const Dims& dims, std::int64_t axis) {
  Quantisation result;
  CONVOPT_TRY(const auto scale, model.constant_input(node, scale_input));
  CONVOPT_TRY(const auto zero, model.constant_input(node, zero_input));
  if (scale == nullptr || scale->size() == 0) return node.error("it has no scale");
  if (node.integer("block_size", 0) != 0) return node.unsupported("a scale per block");
  CONVOPT_TRY(result.scale, spread_along(node, *scale, dims, axis));
  for (const float value : result.scale.floats)
    if (!(value > 0) || !std::isfinite(value)) return node.error("its scale is not positive");
  result.zero = Constant::of_floats({}, {0.0F});
  if (zero == nullptr) return result;
  if (zero->size() == 0 || zero->is_float) return node.unsupported("its type of zero points");
  CONVOPT_TRY(result.zero, spread_along(node, *zero, dims, axis));
  if (zero->type) {
    result.type = *zero->type;
  } else if (std::ranges::any_of(zero->integers, [](std::int64_t z) { return z < 0; })) {
    result.type = DataType::s8;
  }
  if (result.type != DataType::u8 && result.type != DataType::s8 && result.type != DataType::s32)
    return node.unsupported("quantisation to other types than int8 and uint8");
  return result;
}

Constant each(Constant constant, float (*function)(float)) {
  for (float& value : constant.floats.own()) value = function(value);
  return constant;
}

/// The product of two, of which one broadcasts to the other.
Result<Constant> times(const Node& node, const Constant& a, const Constant& b,
                       float (*function)(float, float)) {
  const auto dims = broadcast(a.dims, b.dims);
  if (!dims) return node.error("its scales do not go together");
  Constant result = expanded(a, *dims);
  const Constant other = expanded(b, *dims);
  std::vector<float>& values = result.floats.own();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = function(values[i], other.floats[i]);
  return result;
}

/// x less its zero point, exact.
Result<Value> centred(Import& model, const Node& node, const Value& x, const Quantisation& q) {
  if (q.has_one_zero() && q.zero.floats[0] == 0) return x;
  const Constant minus = each(q.zero, [](float z) { return -z; });
  return scale_shift(model, node, x, nullptr, &minus);
}

/// (x - zero point) * scale.
Result<Value> dequantised(Import& model, const Node& node, const Value& x, const Quantisation& q) {
  // A value that was made of a quantised one is another tensor, or has other dimensions.
  const bool is_itself = x.stands && x.stands->whole == x.tensor &&
                         x.stands->real->dims == x.dims &&
                         x.stands->real->channels_last == x.channels_last;
  if (is_itself && q.is_uniform() && x.stands->scale == q.scale.floats[0] &&
      x.stands->zero == q.zero.floats[0]) {
    return *x.stands->real;
  }
  CONVOPT_TRY(const Constant shift,
              times(node, q.zero, q.scale, [](float z, float s) { return -z * s; }));
  return scale_shift(model, node, x, &q.scale, &shift);
}

/// round(x * factor) + zero point, within the type's range. Ties go to the even number.
Result<Value> requantised(Import& model, const Node& node, const Value& x, const Constant& factor,
                          const Quantisation& q) {
  CONVOPT_TRY(Value value, scale_shift(model, node, x, &factor, nullptr));
  CONVOPT_TRY(value, activate(model, node, value, {ActivationKind::round}));
  const auto [low, high] = range_of(q.type);
  if (q.has_one_zero()) {
    const float zero = q.zero.floats[0];
    CONVOPT_TRY(value,
                activate(model, node, value, {ActivationKind::clip, low - zero, high - zero}));
    if (zero != 0) {
      CONVOPT_TRY(value, scale_shift(model, node, value, nullptr, &q.zero));
    }
  } else {
    CONVOPT_TRY(value, scale_shift(model, node, value, nullptr, &q.zero));
    CONVOPT_TRY(value, activate(model, node, value, {ActivationKind::clip, low, high}));
  }
  value.type = q.type;
  return value;
}

/// x in steps of the scale, as real numbers, and what stands for them.
Result<Value> quantised(Import& model, const Node& node, const Value& x, const Quantisation& q) {
  const Constant factor = each(q.scale, [](float s) { return 1 / s; });
  if (!q.is_uniform()) return requantised(model, node, x, factor, q);
  const float scale = q.scale.floats[0], zero = q.zero.floats[0];
  CONVOPT_TRY(
      const Value real,
      activate(model, node, x, {ActivationKind::quantise, scale, range_of(q.type).low - zero}));
  // Left out where nothing needs the whole numbers.
  CONVOPT_TRY(Value value, scale_shift(model, node, real, &factor, nullptr));
  CONVOPT_TRY(value, activate(model, node, value, {ActivationKind::round}));
  if (zero != 0) {
    CONVOPT_TRY(value, scale_shift(model, node, value, nullptr, &q.zero));
  }
  value.type = q.type;
  value.stands = {model.keep(real), scale, zero, value.tensor};
  return value;
}

/// Constant whole numbers less their zero points, as floats.
Result<Value> centred_constant(const Node& node, const Constant& given, const Constant& zero) {
  if (given.is_float) return node.error("its quantised weights are no whole numbers");
  Constant result = Constant::of_floats(given.dims, {});
  std::vector<float>& values = result.floats.own();
  if (broadcast(given.dims, zero.dims) != given.dims)
    return node.error("its zero points do not fit its weights");
  const Constant offsets = expanded(zero, given.dims);
  for (std::size_t i = 0; i < given.size(); ++i)
    values.push_back(static_cast<float>(given.integers[i]) - offsets.floats[i]);
  return constant_value(std::move(result));
}

/// A factor of a product or convolution: quantised input `index` less its zero point.
Result<Value> factor_less_zero(Import& model, const Node& node, int index, int zero_input,
                               std::int64_t axis) {
  CONVOPT_TRY(const Value* given, model.input(node, index));
  if (node.has_input(zero_input)) {
    CONVOPT_TRY(const Value* zero, model.input(node, zero_input));
    if (zero->is_tensor()) return binary(model, node, Op::subtract, *given, *zero);
  }
  CONVOPT_TRY(const auto zero, model.constant_input(node, zero_input));
  Quantisation q{{}, Constant::of_floats({}, {0.0F})};
  if (zero != nullptr && zero->size() > 0) {
    CONVOPT_TRY(q.zero, spread_along(node, *zero, given->sizes(), axis));
  }
  if (!given->is_tensor()) return centred_constant(node, *given->constant, q.zero);
  return centred(model, node, *given, q);
}

/// The operator `type` with the node's attributes on values.
Result<Value> applied(Import& model, const Node& node, const char* type,
                      const std::vector<Value>& inputs) {
  ::onnx::NodeProto proto;
  *proto.mutable_attribute() = node.proto().attribute();
  proto.set_op_type(type);
  for (const Value& input : inputs) {
    // No name of a model's that can be in the way.
    const std::string name = std::string("\0", 1) + std::to_string(model.count_hidden());
    CONVOPT_CHECK(model.define(name, model.keep(input)));
    proto.add_input(name);
  }
  proto.add_output("result");
  const Node inner(proto, node.name(), node.opset());
  CONVOPT_TRY(auto values, find_handler(type)->handle(model, inner));
  if (inner.fault()) return node.error(*inner.fault());
  return std::move(values.at(0));
}

/// With a single scale and zero point that are computed.
Result<Value> quantised_by_tensors(Import& model, const Node& node, const Value& x,
                                   const Value& scale) {
  CONVOPT_TRY(Value value, binary(model, node, Op::divide, x, scale));
  CONVOPT_TRY(value, activate(model, node, value, {ActivationKind::round}));
  DataType type = DataType::u8;
  if (node.has_input(2)) {
    CONVOPT_TRY(const Value* zero, model.input(node, 2));
    if (zero->is_tensor()) {
      type = zero->type;
    } else if (zero->constant->type) {
      type = *zero->constant->type;
    }
    CONVOPT_TRY(value, binary(model, node, Op::add, value, *zero));
  }
  const auto [low, high] = range_of(type);
  CONVOPT_TRY(value, activate(model, node, value, {ActivationKind::clip, low, high}));
  value.type = type == DataType::s8 ? type : DataType::u8;
  return value;
}

Result<Value> quantize_linear(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto scale, model.input(node, 1));
  note_quantised(model);
  if (scale->is_tensor()) return quantised_by_tensors(model, node, *x, *scale);
  CONVOPT_TRY(const auto q, quantisation_of(model, node, 1, 2, x->dims, node.integer("axis", 1)));
  return quantised(model, node, *x, q);
}

/// With a scale that is computed: one, or one per index of an axis.
Result<Value> dequantised_by_tensors(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const auto of_axis = [&](int index) -> Result<Value> {
    CONVOPT_TRY(const auto given, model.tensor_input(node, index));
    if (given->dims.size() != 1 || given->dims[0] == 1) return *given;
    const auto axis = resolve_axis(node.integer("axis", 1), x->dims.size());
    if (!axis) return node.error("it has no such axis");
    Dims dims(x->dims.size() - *axis, 1);
    dims[0] = given->dims[0];
    return reshaped_value(model, node, *given, std::move(dims));
  };
  Value value = *x;
  value.type = DataType::f32;
  if (node.has_input(2)) {
    CONVOPT_TRY(const auto zero, of_axis(2));
    CONVOPT_TRY(value, binary(model, node, Op::subtract, value, zero));
  }
  CONVOPT_TRY(const auto step, of_axis(1));
  CONVOPT_TRY(auto result, binary(model, node, Op::multiply, value, step));
  result.type = DataType::f32;
  return result;
}

Result<Value> dequantize_linear(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto scale, model.input(node, 1));
  note_quantised(model);
  if (scale->is_tensor()) return dequantised_by_tensors(model, node);
  CONVOPT_TRY(const auto q, quantisation_of(model, node, 1, 2, x->dims, node.integer("axis", 1)));
  return dequantised(model, node, *x, q);
}

/// A constant of whole numbers as the real ones that they stand for.
Result<Value> dequantised_constant(const Node& node, const Constant& given, const Quantisation& q) {
  CONVOPT_TRY(Value value, centred_constant(node, given, q.zero));
  const auto product = [](float x, float s) { return x * s; };
  CONVOPT_TRY(Constant real, times(node, *value.constant, q.scale, product));
  return constant_value(std::move(real));
}

Result<Value> qlinear_conv(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto weights, model.constant_input(node, 3));
  note_quantised(model);
  if (weights == nullptr || weights->dims.empty() || x->dims.size() < 2)
    return node.error("it has no weights");
  CONVOPT_TRY(const auto qx, quantisation_of(model, node, 1, 2, x->dims, 1));
  CONVOPT_TRY(const auto qw, quantisation_of(model, node, 4, 5, weights->dims, 0));
  CONVOPT_TRY(const auto image, dequantised(model, node, *x, qx));
  CONVOPT_TRY(const auto kernel, dequantised_constant(node, *weights, qw));
  std::vector<Value> inputs = {image, kernel};
  if (node.has_input(8)) {
    // In steps of both scales.
    CONVOPT_TRY(const auto bias, model.constant_input(node, 8));
    if (qx.scale.size() != 1) return node.unsupported("a scale per channel of its input");
    const Constant& scale = qw.scale;
    if (scale.size() != 1 && scale.size() != bias->size())
      return node.error("its bias does not fit its weights");
    std::vector<float> values;
    for (std::size_t i = 0; i < bias->size(); ++i)
      values.push_back(static_cast<float>(bias->at(i)) * qx.scale.floats[0] *
                       scale.floats[scale.size() == 1 ? 0 : i]);
    inputs.push_back(constant_value(Constant::of_floats(bias->dims, std::move(values))));
  }
  CONVOPT_TRY(const auto sum, applied(model, node, "Conv", inputs));
  CONVOPT_TRY(const auto qy, quantisation_of(model, node, 6, 7, sum.dims, 1));
  return quantised(model, node, sum, qy);
}

Result<Value> conv_integer(Import& model, const Node& node) {
  note_integers(model);
  CONVOPT_TRY(const auto x, factor_less_zero(model, node, 0, 2, 1));
  CONVOPT_TRY(const auto w, factor_less_zero(model, node, 1, 3, 0));
  CONVOPT_TRY(auto result, applied(model, node, "Conv", {x, w}));
  result.type = DataType::s32;
  return result;
}

Result<Value> matmul_integer(Import& model, const Node& node) {
  note_integers(model);
  CONVOPT_TRY(const auto a, factor_less_zero(model, node, 0, 2, -2));
  CONVOPT_TRY(const auto b, factor_less_zero(model, node, 1, 3, -1));
  CONVOPT_TRY(auto result, product(model, node, a, b));
  result.type = DataType::s32;
  return result;
}

/// A factor of a product as real numbers.
Result<Value> dequantised_factor(Import& model, const Node& node, int index, std::int64_t axis) {
  CONVOPT_TRY(const Value* given, model.input(node, index));
  CONVOPT_TRY(const auto q,
              quantisation_of(model, node, index + 1, index + 2, given->sizes(), axis));
  if (given->is_tensor()) return dequantised(model, node, *given, q);
  return dequantised_constant(node, *given->constant, q);
}

Result<Value> qlinear_matmul(Import& model, const Node& node) {
  note_quantised(model);
  CONVOPT_TRY(const auto a, dequantised_factor(model, node, 0, -2));
  CONVOPT_TRY(const auto b, dequantised_factor(model, node, 3, -1));
  CONVOPT_TRY(const auto sum, product(model, node, a, b));
  CONVOPT_TRY(const auto q, quantisation_of(model, node, 6, 7, sum.sizes(), -1));
  return quantised(model, node, sum, q);
}

/// Quantised to uint8 by the range of its values, which always holds zero.
Result<std::vector<Value>> dynamic_quantize_linear(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  note_integers(model);
  std::vector<std::size_t> axes(x->dims.size());
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = i;
  const Value zero = number_value(0);
  CONVOPT_TRY(const auto least, reduced(model, node, Op::reduce_minimum, *x, axes, false));
  CONVOPT_TRY(const auto most, reduced(model, node, Op::reduce_maximum, *x, axes, false));
  CONVOPT_TRY(const auto low, binary(model, node, Op::minimum, least, zero));
  CONVOPT_TRY(const auto high, binary(model, node, Op::maximum, most, zero));
  CONVOPT_TRY(const auto width, binary(model, node, Op::subtract, high, low));
  CONVOPT_TRY(auto step, binary(model, node, Op::divide, width, number_value(255)));
  // All zeros have a step of one.
  CONVOPT_TRY(const auto nothing, activate(model, node, step, {ActivationKind::is_zero}));
  CONVOPT_TRY(step, binary(model, node, Op::add, step, nothing));
  const auto rounded = [&](const Value& numerator) -> Result<Value> {
    CONVOPT_TRY(const auto quotient, binary(model, node, Op::divide, numerator, step));
    return activate(model, node, quotient, {ActivationKind::round});
  };
  const auto clipped = [&](const Value& value) {
    return activate(model, node, value, {ActivationKind::clip, 0, 255});
  };
  CONVOPT_TRY(const auto negated, scale(model, node, low, -1));
  CONVOPT_TRY(const auto lowest, rounded(negated));
  CONVOPT_TRY(auto zero_point, clipped(lowest));
  CONVOPT_TRY(const auto steps, rounded(*x));
  CONVOPT_TRY(const auto shifted, binary(model, node, Op::add, steps, zero_point));
  CONVOPT_TRY(auto result, clipped(shifted));
  result.type = zero_point.type = DataType::u8;
  return std::vector{std::move(result), std::move(step), std::move(zero_point)};
}

/// QLinearAdd and QLinearMul: A, its scale and zero point, B and its, those of the result.
Result<Value> qlinear_binary(Import& model, const Node& node) {
  note_quantised(model);
  std::array<Value, 2> operands;
  for (const int i : {0, 1}) {
    CONVOPT_TRY(const auto x, model.tensor_input(node, 3 * i));
    CONVOPT_TRY(const auto q, quantisation_of(model, node, 3 * i + 1, 3 * i + 2, x->dims, 1));
    CONVOPT_TRY(operands[static_cast<std::size_t>(i)], dequantised(model, node, *x, q));
  }
  const Op op = node.type() == "QLinearAdd" ? Op::add : Op::multiply;
  CONVOPT_TRY(const auto result, binary(model, node, op, operands[0], operands[1]));
  CONVOPT_TRY(const auto q, quantisation_of(model, node, 6, 7, result.sizes(), 1));
  return quantised(model, node, result, q);
}

/// Operators of one quantised tensor: x, its scale and zero point, those of the result.
Result<Value> qlinear_unary(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  note_quantised(model);
  if (node.integer("channels_last", 0) != 0) return node.unsupported("channels last");
  CONVOPT_TRY(const auto qx, quantisation_of(model, node, 1, 2, x->dims, 1));
  CONVOPT_TRY(const auto qy, quantisation_of(model, node, 3, 4, x->dims, 1));
  CONVOPT_TRY(const auto real, dequantised(model, node, *x, qx));
  // "QLinearSigmoid" is a Sigmoid between.
  const std::string inner(node.type().substr(std::string_view("QLinear").size()));
  CONVOPT_TRY(const auto result, applied(model, node, inner.c_str(), {real}));
  return quantised(model, node, result, qy);
}

/// Scale and zero point of the result, then tensors with theirs.
Result<Value> qlinear_concat(Import& model, const Node& node) {
  note_quantised(model);
  std::vector<Value> parts;
  for (int i = 2; i + 2 < node.input_count(); i += 3) {
    CONVOPT_TRY(const auto x, model.tensor_input(node, i));
    CONVOPT_TRY(const auto q, quantisation_of(model, node, i + 1, i + 2, x->dims, 1));
    CONVOPT_TRY(auto part, dequantised(model, node, *x, q));
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return node.error("it has no inputs");
  CONVOPT_TRY(const auto result, applied(model, node, "Concat", parts));
  CONVOPT_TRY(const auto q, quantisation_of(model, node, 0, 1, result.sizes(), 1));
  return quantised(model, node, result, q);
}

}  // namespace

OperatorTable quantisation_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"QuantizeLinear", quantize_linear, nullptr, true},
      {"DequantizeLinear", dequantize_linear, nullptr, true},
      {"DynamicQuantizeLinear", nullptr, dynamic_quantize_linear, true},
      {"QLinearConv", qlinear_conv, nullptr, true},
      {"ConvInteger", conv_integer, nullptr, true},
      {"QLinearMatMul", qlinear_matmul, nullptr, true},
      {"MatMulInteger", matmul_integer, nullptr, true},
      {"QLinearAdd", qlinear_binary, nullptr, true},
      {"QLinearMul", qlinear_binary, nullptr, true},
      {"QLinearConcat", qlinear_concat, nullptr, true},
      {"QLinearAveragePool", qlinear_unary, nullptr, true},
      {"QLinearGlobalAveragePool", qlinear_unary, nullptr, true},
      {"QLinearSigmoid", qlinear_unary, nullptr, true},
      {"QLinearLeakyRelu", qlinear_unary, nullptr, true},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
