// Sums, differences, products and quotients of two inputs, one of which may be constant.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"
#include "src/network/onnx/patterns.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> negate(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  return scale(model, node, *x, -1);
}

/// Reals, or whole numbers where x has such: exact in f32 up to 2^24.
Constant as_floats(const Constant& constant) {
  Constant result = constant;
  result.is_float = true;
  for (const std::int64_t value : constant.integers)
    result.floats.own().push_back(static_cast<float>(value));
  result.integers.clear();
  return result;
}

/// With a constant that repeats to x.
Result<Value> with_constant(Import& model, const Node& node, const Value& x, Constant constant,
                            bool constant_first) {
  const std::string_view type = node.type();
  const auto change = [&](auto function) {
    for (float& value : constant.floats.own()) value = function(value);
  };
  if (type == "Add") return scale_shift(model, node, x, nullptr, &constant);
  if (type == "Mul") return scale_shift(model, node, x, &constant, nullptr);
  if (type == "Sub" && constant_first) {
    const Constant minus = Constant::of_floats({}, {-1.0F});
    return scale_shift(model, node, x, &minus, &constant);
  }
  if (type == "Sub") {
    change([](float value) { return -value; });
    return scale_shift(model, node, x, nullptr, &constant);
  }
  if (constant_first) {
    CONVOPT_TRY(const auto inverse, activate(model, node, x, {ActivationKind::pow, -1}));
    return scale_shift(model, node, inverse, &constant, nullptr);
  }
  change([](float value) { return 1 / value; });
  return scale_shift(model, node, x, &constant, nullptr);
}

Op operation_of(std::string_view type) {
  return type == "Add"   ? Op::add
         : type == "Sub" ? Op::subtract
         : type == "Mul" ? Op::multiply
         : type == "Div" ? Op::divide
         : type == "Max" ? Op::maximum
         : type == "Min" ? Op::minimum
                         : Op::power;
}

Result<Value> arithmetic(Import& model, const Node& node) {
  CONVOPT_TRY(const auto left, model.input(node, 0));
  if (node.input_count() > 2) return node.error("it has more than two inputs");
  CONVOPT_TRY(const Value right, second_operand(model, node, *left));
  if (!node.has("broadcast")) {
    CONVOPT_TRY(auto known, recognised(model, node));
    if (known) return *std::move(known);
  }
  if (left->is_tensor() != right.is_tensor()) {
    const bool constant_first = right.is_tensor();
    const Value& x = constant_first ? right : *left;
    const Constant& constant = constant_first ? *left->constant : *right.constant;
    const bool divides_integers = node.type() == "Div" && x.is_integer();
    if (!divides_integers && constant.size() > 0 && broadcast(x.dims, constant.dims) == x.dims)
      return with_constant(model, node, x, as_floats(constant), constant_first);
  }
  CONVOPT_TRY(auto result, binary(model, node, operation_of(node.type()), *left, right));
  if (node.type() != "Div" || !left->is_integer()) return result;
  return activate(model, node, result, {ActivationKind::truncate});
}

Result<Value> sum(Import& model, const Node& node) {
  CONVOPT_TRY(const auto first, model.tensor_input(node, 0));
  Value total = *first;
  for (int i = 1; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto next, model.tensor_input(node, i));
    CONVOPT_TRY(total, binary(model, node, Op::add, total, *next));
  }
  if (node.type() == "Sum" || node.input_count() < 2) return total;
  return scale(model, node, total, 1.0F / static_cast<float>(node.input_count()));
}

/// The larger or smaller of a tensor and a number, or of a tensor and a multiple of itself.
Result<Value> extreme(Import& model, const Node& node, bool larger, const Value& a,
                      const Value& b) {
  const Op op = larger ? Op::maximum : Op::minimum;
  if (a.is_tensor() && b.is_tensor()) {
    for (const auto& [x, multiple] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      const auto factor = factor_of(model, *multiple, *x);
      // Where x is negative, the multiple is taken.
      if (factor && std::isfinite(*factor) && (larger ? *factor <= 1 : *factor >= 1))
        return activate(model, node, *x, {ActivationKind::leaky_relu, *factor});
    }
    return binary(model, node, op, a, b);
  }
  if (!a.is_tensor() && !b.is_tensor()) return binary(model, node, op, a, b);
  const Value& x = a.is_tensor() ? a : b;
  const Constant& bound = *(a.is_tensor() ? b : a).constant;
  const float number = bound.size() == 1 ? static_cast<float>(bound.at(0)) : 0;
  if (bound.size() != 1 || broadcast(x.dims, bound.dims) != x.dims || !std::isfinite(number))
    return binary(model, node, op, a, b);
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (larger && number == 0) return activate(model, node, x, {ActivationKind::relu});
  return activate(model, node, x,
                  larger ? Activation{ActivationKind::clip, number, kLargest}
                         : Activation{ActivationKind::clip, -kLargest, number});
}

Result<Value> extremes(Import& model, const Node& node) {
  CONVOPT_TRY(const auto first, model.input(node, 0));
  if (node.input_count() == 1) return *first;
  CONVOPT_TRY(const auto second, model.input(node, 1));
  CONVOPT_TRY(Value value, extreme(model, node, node.type() == "Max", *first, *second));
  for (int i = 2; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto next, model.input(node, i));
    CONVOPT_TRY(value, extreme(model, node, node.type() == "Max", value, *next));
  }
  return value;
}

/// alpha * x + beta, of the first opset.
Result<Value> affine(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const Constant factor = Constant::of_floats({}, {node.number("alpha", 1)});
  const Constant shift = Constant::of_floats({}, {node.number("beta", 0)});
  return scale_shift(model, node, *x, &factor, &shift);
}

Result<Value> modulo(Import& model, const Node& node) {
  CONVOPT_TRY(const auto left, model.input(node, 0));
  CONVOPT_TRY(const auto right, model.input(node, 1));
  return binary(model, node, node.integer("fmod", 0) != 0 ? Op::remainder : Op::modulo, *left,
                *right);
}

/// By operations on two tensors, one of them the constant.
Result<Value> scaled_by_elements(Import& model, const Node& node, const Value& x,
                                 const Constant* scale, const Constant* shift) {
  Value result = x;
  if (scale != nullptr) {
    CONVOPT_TRY(result, binary(model, node, Op::multiply, result, constant_value(*scale)));
  }
  if (shift != nullptr) {
    CONVOPT_TRY(result, binary(model, node, Op::add, result, constant_value(*shift)));
  }
  return result;
}

}  // namespace

Result<Value> scale_shift(Import& model, const Node& node, const Value& x, const Constant* scale,
                          const Constant* shift) {
  const std::size_t rank = x.dims.size();
  // Axes along which some constant varies.
  std::size_t first = rank, last = 0;
  for (const Constant* constant : {scale, shift}) {
    if (constant == nullptr) continue;
    if (broadcast(x.dims, constant->dims) != x.dims)
      return node.unsupported("a constant of the shape " + dims_text(constant->dims) +
                              " with a tensor of the shape " + dims_text(x.dims));
    const std::size_t leading = rank - constant->dims.size();
    for (std::size_t i = 0; i < constant->dims.size(); ++i) {
      if (constant->dims[i] == 1) continue;
      first = std::min(first, leading + i);
      last = std::max(last, leading + i + 1);
    }
  }
  const Value* source = &x;
  const bool is_scalar = last == 0;
  const bool of_channels = x.channels_last && !is_scalar && first + 1 == rank;
  TensorId tensor = x.tensor;
  if (!is_scalar && !of_channels) {
    CONVOPT_TRY(source, model.plain(node.name(), x));
    tensor = source->tensor;
    const TensorShape wanted = shape_around(x.dims, first, last);
    const TensorShape now = model.graph().shape(tensor);
    const bool are_channels = now.is_image() && now.n() == wanted.n() && now.c() == wanted.c();
    // Only numbers per channel can become part of the convolution before.
    if (!are_channels && (first != 1 || last != 2))
      return scaled_by_elements(model, node, x, scale, shift);
    if (!are_channels) {
      CONVOPT_TRY(tensor, model.with_channels(node, *source));
    }
  } else if (!model.graph().shape(tensor).is_image()) {
    CONVOPT_TRY(tensor, model.shaped(node.name(), x, channel_shape(x.dims)));
  }
  const TensorShape& shape = model.graph().shape(tensor);
  // Of thousands of channels or images of a few pixels, as coordinates of boxes are, a convolution
  // takes one after the other. Behind a layer it becomes part of that.
  constexpr int kFewPixels = 16;
  if (shape.h() * shape.w() < kFewPixels && !model.graph().takes_factors(tensor))
    return scaled_by_elements(model, node, x, scale, shift);
  const auto channels = static_cast<std::size_t>(shape.c());
  const auto values = [&](const Constant* constant, float fallback) {
    if (constant == nullptr) return std::vector<float>(channels, fallback);
    if (is_scalar) return std::vector<float>(channels, static_cast<float>(constant->at(0)));
    Constant part = *constant;
    part.dims.insert(part.dims.begin(), rank - part.dims.size(), 1);
    part.dims = {part.dims.begin() + static_cast<std::ptrdiff_t>(first),
                 part.dims.begin() + static_cast<std::ptrdiff_t>(last)};
    part = expanded(part, {x.dims.begin() + static_cast<std::ptrdiff_t>(first),
                           x.dims.begin() + static_cast<std::ptrdiff_t>(last)});
    std::vector<float> result;
    for (std::size_t i = 0; i < part.size(); ++i) result.push_back(static_cast<float>(part.at(i)));
    return result;
  };
  StoredWeights weights{values(scale, 1.0F), values(shift, 0.0F)};
  return made(model.graph().add_scale_shift(model.label(node), tensor, std::move(weights)), x.dims,
              source->channels_last);
}

Result<Value> scale(Import& model, const Node& node, const Value& x, float factor) {
  const Constant constant = Constant::of_floats({}, {factor});
  return scale_shift(model, node, x, &constant, nullptr);
}

Result<Value> binary(Import& model, const Node& node, Op op, const Value& first_value,
                     const Value& second_value) {
  CONVOPT_TRY(const Value* left, model.as_tensor(node.name(), first_value));
  CONVOPT_TRY(const Value* right, model.as_tensor(node.name(), second_value));
  const auto dims = broadcast(left->dims, right->dims);
  if (!dims)
    return node.error("its inputs of the shapes " + dims_text(left->dims) + " and " +
                      dims_text(right->dims) + " do not go together");
  const auto with_type = [&](Result<Value> value) {
    if (value) value->type = left->type;
    return value;
  };
  if (left->channels_last || right->channels_last) {
    CONVOPT_TRY(const auto a, model.as_channels_last(node, *left));
    CONVOPT_TRY(const auto b, model.as_channels_last(node, *right));
    if (a != nullptr && b != nullptr && left->dims.size() == right->dims.size() &&
        (left->dims == *dims || commutes(op))) {
      const TensorShape& shape = model.graph().shape(a->tensor);
      const TensorShape& other = model.graph().shape(b->tensor);
      TensorId second = b->tensor;
      if (left->dims == right->dims && shape != other) {
        CONVOPT_TRY(second, model.graph().add_reshape(
                                {model.fresh(node.name() + "/reshape"), "reshape"}, second, shape));
      }
      return with_type(
          made(model.graph().add_binary(model.label(node), op, a->tensor, second), *dims, true));
    }
  }
  CONVOPT_TRY(const auto a, model.plain(node.name(), *left));
  CONVOPT_TRY(const auto b, model.plain(node.name(), *right));
  // Same sizes in whatever dimensions they have are fine as they are.
  if (left->dims == right->dims && model.graph().shape(a->tensor) == model.graph().shape(b->tensor))
    return with_type(
        made(model.graph().add_binary(model.label(node), op, a->tensor, b->tensor), *dims));
  const auto filled = [&](Dims sizes) {
    sizes.insert(sizes.begin(), dims->size() - sizes.size(), 1);
    return natural_shape(sizes);
  };
  const TensorShape whole = natural_shape(*dims);
  CONVOPT_TRY(TensorId first, model.shaped(node.name(), *a, filled(left->dims)));
  CONVOPT_TRY(const TensorId second, model.shaped(node.name(), *b, filled(right->dims)));
  const bool swaps = commutes(op) && model.graph().shape(second) == whole;
  if (model.graph().shape(first) != whole && !swaps) {
    CONVOPT_TRY(first, broadcast_to(model, node, *a, *dims));
  }
  return with_type(made(model.graph().add_binary(model.label(node), op, first, second), *dims));
}

OperatorTable arithmetic_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Neg", negate},     {"Add", arithmetic}, {"Sub", arithmetic}, {"Mul", arithmetic},
      {"Div", arithmetic}, {"Sum", sum},        {"Max", extremes},   {"Min", extremes},
      {"Mean", sum},       {"Affine", affine},  {"Mod", modulo},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
