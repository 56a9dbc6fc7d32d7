#include "src/network/onnx/patterns.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/folding.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

bool is_about(float a, float b) { return std::abs(a - b) <= 1e-4F * std::abs(b); }

/// Null for no name.
const Value* value_of(Import& model, std::string_view name) {
  return name.empty() ? nullptr : model.find(name);
}

std::optional<float> scalar_of(Import& model, std::string_view name) {
  const Value* value = value_of(model, name);
  if (value == nullptr || value->constant == nullptr || value->constant->size() != 1)
    return std::nullopt;
  return static_cast<float>(value->constant->at(0));
}

/// The operator of that type whose result the value is, or null.
const Node* maker(const Value* value, std::string_view type) {
  return value != nullptr && value->maker != nullptr && value->maker->type() == type ? value->maker
                                                                                     : nullptr;
}

/// The other input of an operator one of whose inputs is that number.
const Value* other_than(Import& model, const Node* node, float number) {
  if (node == nullptr || node->input_count() != 2) return nullptr;
  for (const int index : {0, 1}) {
    const auto constant = scalar_of(model, node->input(index));
    if (constant && is_about(*constant, number)) return value_of(model, node->input(1 - index));
  }
  return nullptr;
}

/// The x of relu6(x + 3).
const Value* shifted_relu6(Import& model, const Value* value) {
  const Node* clip = maker(value, "Clip");
  if (clip == nullptr) return nullptr;
  const bool old = clip->opset() < 11;
  const auto low =
      old ? std::optional(clip->number_or_infinite("min", -1)) : scalar_of(model, clip->input(1));
  const auto high =
      old ? std::optional(clip->number_or_infinite("max", -1)) : scalar_of(model, clip->input(2));
  if (low != 0.0F || high != 6.0F) return nullptr;
  return other_than(model, maker(value_of(model, clip->input(0)), "Add"), 3);
}

/// The x of erf(x / sqrt(2)) + 1.
const Value* erf_plus_one(Import& model, const Value* value) {
  const Node* erf = maker(other_than(model, maker(value, "Add"), 1), "Erf");
  if (erf == nullptr) return nullptr;
  const Value* inside = value_of(model, erf->input(0));
  if (const Node* division = maker(inside, "Div")) {
    const auto divisor = scalar_of(model, division->input(1));
    return divisor && is_about(*divisor, std::sqrt(2.0F)) ? value_of(model, division->input(0))
                                                          : nullptr;
  }
  return other_than(model, maker(inside, "Mul"), std::sqrt(0.5F));
}

/// A product, across operators.
struct Product {
  std::vector<const Value*> factors;
  std::vector<const Node*> nodes;
  float constant = 1;
};

/// Takes what the name stands for apart into factors and a constant; false if there are too many.
bool collect(Import& model, std::string_view name, int depth, Product& product) {
  constexpr int kDeepest = 3;
  constexpr std::size_t kMostFactors = 3;
  const Value* value = value_of(model, name);
  if (value == nullptr) return false;
  if (const auto constant = scalar_of(model, name)) {
    product.constant *= *constant;
    return true;
  }
  const Node* product_node = maker(value, "Mul");
  const Node* quotient = maker(value, "Div");
  if (depth < kDeepest && product_node != nullptr && product_node->input_count() == 2) {
    product.nodes.push_back(product_node);
    return collect(model, product_node->input(0), depth + 1, product) &&
           collect(model, product_node->input(1), depth + 1, product);
  }
  if (depth < kDeepest && quotient != nullptr) {
    const auto divisor = scalar_of(model, quotient->input(1));
    if (divisor && *divisor != 0) {
      product.nodes.push_back(quotient);
      product.constant /= *divisor;
      return collect(model, quotient->input(0), depth + 1, product);
    }
  }
  product.factors.push_back(value);
  return product.factors.size() <= kMostFactors;
}

std::optional<Product> product_of(Import& model, const Node& node) {
  Product product;
  if (node.type() == "Mul" && node.input_count() == 2) {
    if (collect(model, node.input(0), 0, product) && collect(model, node.input(1), 0, product))
      return product;
  } else if (node.type() == "Div") {
    const auto divisor = scalar_of(model, node.input(1));
    if (divisor && *divisor != 0 && collect(model, node.input(0), 0, product)) {
      product.constant /= *divisor;
      return product;
    }
  }
  return std::nullopt;
}

/// True if that operator exists and has the value as its first input.
bool reads(Import& model, const Node* node, const Value* value) {
  return node != nullptr && value_of(model, node->input(0)) == value;
}

// Patterns of two factors, x and a gate that depends on it.

bool is_silu(Import& model, const Value* x, const Value* gate, float constant) {
  return is_about(constant, 1) && reads(model, maker(gate, "Sigmoid"), x);
}

bool is_hard_swish(Import& model, const Value* x, const Value* gate, float constant) {
  if (is_about(constant, 1.0F / 6) && shifted_relu6(model, gate) == x) return true;
  const Node* hard = maker(gate, "HardSigmoid");
  return is_about(constant, 1) && reads(model, hard, x) &&
         is_about(hard->number("alpha", 0.2F), 1.0F / 6) &&
         is_about(hard->number("beta", 0.5F), 0.5F);
}

bool is_gelu(Import& model, const Value* x, const Value* gate, float constant) {
  return is_about(constant, 0.5F) && erf_plus_one(model, gate) == x;
}

struct GatePattern {
  const char* name;
  ActivationKind kind;
  bool (*matches)(Import& model, const Value* x, const Value* gate, float constant);
};

constexpr GatePattern kGatePatterns[] = {
    {"SiLU", ActivationKind::swish, is_silu},
    {"hard swish", ActivationKind::hard_swish, is_hard_swish},
    {"GELU", ActivationKind::gelu, is_gelu},
};

/// An activation that replaces a product.
struct Match {
  const char* name;
  ActivationKind kind;
  const Value* x;
};

std::optional<Match> match(Import& model, const Product& product) {
  const auto& factors = product.factors;
  if (factors.size() == 1) {
    const Value* x = shifted_relu6(model, factors[0]);
    if (x != nullptr && x->is_tensor() && is_about(product.constant, 1.0F / 6))
      return Match{"hard sigmoid", ActivationKind::hard_sigmoid, x};
  }
  if (factors.size() != 2) return std::nullopt;
  for (const std::size_t index : {0, 1}) {
    const Value* x = factors[index];
    if (!x->is_tensor()) continue;
    for (const GatePattern& pattern : kGatePatterns)
      if (pattern.matches(model, x, factors[1 - index], product.constant))
        return Match{pattern.name, pattern.kind, x};
  }
  return std::nullopt;
}

/// True if the operator is the mean of `of` over its last axis, which it keeps.
bool averages_last(Import& model, const Node* node, const Value* of) {
  if (node == nullptr || value_of(model, node->input(0)) != of || node->integer("keepdims", 1) == 0)
    return false;
  const Value* axes = value_of(model, node->input(1));
  const auto given = integers_of(*node, "axes", axes != nullptr ? axes->constant.get() : nullptr);
  return given.size() == 1 && resolve_axis(given[0], of->dims.size()) == of->dims.size() - 1;
}

/// (x - mean) / sqrt(mean((x - mean)^2) + epsilon)
std::optional<Value> layer_norm_pattern(Import& model, const Node& node) {
  const Value* difference = value_of(model, node.input(0));
  const Node* subtraction = maker(difference, "Sub");
  const Node* root = maker(value_of(model, node.input(1)), "Sqrt");
  if (subtraction == nullptr || root == nullptr) return std::nullopt;
  const Value* x = value_of(model, subtraction->input(0));
  if (x == nullptr || !x->is_tensor() || x->dims.empty()) return std::nullopt;
  if (!averages_last(model, maker(value_of(model, subtraction->input(1)), "ReduceMean"), x))
    return std::nullopt;

  const Node* addition = maker(value_of(model, root->input(0)), "Add");
  if (addition == nullptr) return std::nullopt;
  for (const int index : {0, 1}) {
    const auto epsilon = scalar_of(model, addition->input(index));
    const Value* variance = value_of(model, addition->input(1 - index));
    const Node* mean = maker(variance, "ReduceMean");
    if (!epsilon || !(*epsilon >= 0) || mean == nullptr) continue;
    const Value* square = value_of(model, mean->input(0));
    const Node* power = maker(square, "Pow");
    const Node* product = maker(square, "Mul");
    const auto exponent = power != nullptr ? scalar_of(model, power->input(1)) : std::nullopt;
    const bool squares = (exponent == 2.0F && value_of(model, power->input(0)) == difference) ||
                         (product != nullptr && value_of(model, product->input(0)) == difference &&
                          value_of(model, product->input(1)) == difference);
    if (!squares || !averages_last(model, mean, square) || x->dims.back() > kMaxDimension) continue;
    auto ones = std::make_shared<StoredWeights>();
    ones->weights = std::vector<float>(static_cast<std::size_t>(x->dims.back()), 1.0F);
    auto result = normalized(model, node, *x, x->dims.size() - 1, *epsilon, std::move(ones));
    if (!result) return std::nullopt;
    model.note_pattern("layer normalisation");
    for (const Node* part : {subtraction, root, addition, mean})
      model.graph().note_folded(result->tensor, part->name());
    return std::move(*result);
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<Value>> recognised(Import& model, const Node& node) {
  if (node.type() == "Div")
    if (auto norm = layer_norm_pattern(model, node)) return norm;
  const auto product = product_of(model, node);
  const auto found = product ? match(model, *product) : std::nullopt;
  if (!found) return std::optional<Value>();
  CONVOPT_TRY(auto result, activate(model, node, *found->x, {found->kind}));
  model.note_pattern(found->name);
  for (const Node* part : product->nodes) model.graph().note_folded(result.tensor, part->name());
  for (const Value* factor : product->factors)
    if (factor != found->x && factor->maker != nullptr)
      model.graph().note_folded(result.tensor, factor->maker->name());
  return std::optional(std::move(result));
}

std::optional<float> factor_of(Import& model, const Value& value, const Value& x) {
  const Node* product = maker(&value, "Mul");
  if (product == nullptr || product->input_count() != 2) return std::nullopt;
  for (const int index : {0, 1})
    if (value_of(model, product->input(index)) == &x)
      return scalar_of(model, product->input(1 - index));
  return std::nullopt;
}

}  // namespace convopt::onnx_reader
