// Truth values, choices by them, and changes of type. Truth values are 1 and 0 in the network.
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

Value typed(Value value, DataType type) {
  value.type = type;
  return value;
}

Result<Value> compare(Import& model, const Node& node) {
  CONVOPT_TRY(const auto left, model.input(node, 0));
  CONVOPT_TRY(const Value right, second_operand(model, node, *left));
  const std::string_view type = node.type();
  const bool swaps = type == "Greater" || type == "GreaterOrEqual";
  const Op op = type == "Equal"                       ? Op::equal
                : type == "Less" || type == "Greater" ? Op::less
                                                      : Op::less_or_equal;
  CONVOPT_TRY(auto result, binary(model, node, op, swaps ? right : *left, swaps ? *left : right));
  return typed(std::move(result), DataType::boolean);
}

Result<Value> negation(Import& model, const Node& node, const Value& x) {
  CONVOPT_TRY(auto result, activate(model, node, x, {ActivationKind::is_zero}));
  return typed(std::move(result), DataType::boolean);
}

Result<Value> logical(Import& model, const Node& node) {
  CONVOPT_TRY(const auto left, model.input(node, 0));
  if (node.type() == "Not") {
    CONVOPT_TRY(const auto x, model.as_tensor(node.name(), *left));
    return negation(model, node, *x);
  }
  CONVOPT_TRY(const Value right, second_operand(model, node, *left));
  const std::string_view type = node.type();
  const Op op = type == "And" ? Op::multiply : type == "Or" ? Op::maximum : Op::equal;
  CONVOPT_TRY(auto result, binary(model, node, op, *left, right));
  if (type == "Xor") return negation(model, node, result);
  return typed(std::move(result), DataType::boolean);
}

Result<Value> is_nan(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(auto result, activate(model, node, *x, {ActivationKind::is_nan}));
  return typed(std::move(result), DataType::boolean);
}

/// Beyond the largest number of single precision, on the sides that count.
Result<Value> is_infinite(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const bool above = node.integer("detect_positive", 1) != 0;
  const bool below = node.integer("detect_negative", 1) != 0;
  constexpr float kLargest = std::numeric_limits<float>::max();
  Value size = *x;
  if (above && below) {
    CONVOPT_TRY(size, activate(model, node, *x, {ActivationKind::abs}));
  } else if (below) {
    CONVOPT_TRY(size, scale(model, node, *x, -1));
  }
  const float limit = above || below ? kLargest : std::numeric_limits<float>::infinity();
  CONVOPT_TRY(auto result, binary(model, node, Op::less, number_value(limit), size));
  return typed(std::move(result), DataType::boolean);
}

Result<Value> where(Import& model, const Node& node) {
  std::array<Value, 3> given;
  Dims dims;
  for (const int i : {0, 1, 2}) {
    CONVOPT_TRY(const auto x, model.tensor_input(node, i));
    given[static_cast<std::size_t>(i)] = *x;
    const auto together = broadcast(dims, x->dims);
    if (!together) return node.error("its inputs do not go together");
    dims = *together;
  }
  std::array<TensorId, 3> tensors{};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    CONVOPT_TRY(tensors[i], broadcast_to(model, node, given[i], dims));
  }
  const Workload workload = Workload::pointwise(Op::select, model.graph().shape(tensors[0]));
  CONVOPT_TRY(auto result, made(model.graph().add(model.label(node), tensors, workload), dims));
  return typed(std::move(result), given[1].type);
}

Result<Value> cast(Import& model, const Node& node) {
  CONVOPT_TRY(const auto given, model.input(node, 0));
  std::optional<DataType> type;
  if (node.type() == "CastLike") {
    CONVOPT_TRY(const auto like, model.input(node, 1));
    type = like->is_tensor() ? like->type : like->is_integer() ? DataType::s64 : DataType::f32;
  } else {
    type = data_type(static_cast<int>(node.integer("to", 0)));
  }
  if (!type) return node.unsupported("a conversion to its type");
  if (!given->is_tensor()) {
    Value result = constant_value(converted(*given->constant, *type, is_real(*type)));
    result.of_file = given->of_file;
    return result;
  }
  const Value* const x = given;
  const Value result = typed(*x, *type);
  if (*type == DataType::boolean) {
    if (x->type == DataType::boolean) return result;
    CONVOPT_TRY(const auto zero, negation(model, node, *x));
    return negation(model, node, zero);
  }
  if (!result.is_integer() || x->is_integer()) return result;
  CONVOPT_TRY(auto whole, activate(model, node, *x, {ActivationKind::truncate}));
  return typed(std::move(whole), *type);
}

}  // namespace

OperatorTable comparison_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Equal", compare, nullptr, true},
      {"Less", compare, nullptr, true},
      {"Greater", compare, nullptr, true},
      {"LessOrEqual", compare, nullptr, true},
      {"GreaterOrEqual", compare, nullptr, true},
      {"Not", logical, nullptr, true},
      {"And", logical, nullptr, true},
      {"Or", logical, nullptr, true},
      {"Xor", logical, nullptr, true},
      {"IsNaN", is_nan, nullptr, true},
      {"IsInf", is_infinite, nullptr, true},
      {"Where", where, nullptr, true},
      {"Cast", cast, nullptr, true},
      {"CastLike", cast, nullptr, true},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
