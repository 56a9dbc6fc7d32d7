// Operators that a model spells out in arithmetic.
#include <algorithm>
#include <cmath>

#include "src/network/onnx/folding.h"
#include "src/network/onnx/importer.h"

namespace convopt::onnx_reader {
namespace {

bool is_about(float a, float b) { return std::abs(a - b) <= 1e-4F * std::abs(b); }

}  // namespace

const Value* Importer::value_of(std::string_view name) {
  const auto value = name.empty() ? Found(nullptr) : find(name);
  return value ? *value : nullptr;
}

std::optional<float> Importer::scalar_of(std::string_view name) {
  const Value* value = value_of(name);
  if (value == nullptr || value->constant == nullptr || value->constant->size() != 1)
    return std::nullopt;
  return static_cast<float>(value->constant->at(0));
}

const Node* Importer::maker(const Value* value, std::string_view type) {
  return value != nullptr && value->maker != nullptr && value->maker->type() == type ? value->maker
                                                                                     : nullptr;
}

const Value* Importer::other_than(const Node* node, float number) {
  if (node == nullptr || node->input_count() != 2) return nullptr;
  for (const int index : {0, 1}) {
    const auto constant = scalar_of(node->input(index));
    if (constant && is_about(*constant, number)) return value_of(node->input(1 - index));
  }
  return nullptr;
}

/// The x of relu6(x + 3).
const Value* Importer::shifted_relu6(const Value* value) {
  const Node* clip = maker(value, "Clip");
  if (clip == nullptr) return nullptr;
  const bool old = clip->opset() < 11;
  const auto low =
      old ? std::optional(clip->number_or_infinite("min", -1)) : scalar_of(clip->input(1));
  const auto high =
      old ? std::optional(clip->number_or_infinite("max", -1)) : scalar_of(clip->input(2));
  if (low != 0.0F || high != 6.0F) return nullptr;
  return other_than(maker(value_of(clip->input(0)), "Add"), 3);
}

/// The x of erf(x / sqrt(2)) + 1.
const Value* Importer::erf_plus_one(const Value* value) {
  const Node* erf = maker(other_than(maker(value, "Add"), 1), "Erf");
  if (erf == nullptr) return nullptr;
  const Value* inside = value_of(erf->input(0));
  if (const Node* division = maker(inside, "Div")) {
    const auto divisor = scalar_of(division->input(1));
    return divisor && is_about(*divisor, std::sqrt(2.0F)) ? value_of(division->input(0)) : nullptr;
  }
  return other_than(maker(inside, "Mul"), std::sqrt(0.5F));
}

/// Takes a product apart into factors and a constant, across operators.
bool Importer::collect(std::string_view name, int depth, Product& product) {
  constexpr int kDeepest = 3;
  constexpr std::size_t kMostFactors = 3;
  const Value* value = value_of(name);
  if (value == nullptr) return false;
  if (const auto constant = scalar_of(name)) {
    product.constant *= *constant;
    return true;
  }
  const Node* product_node = maker(value, "Mul");
  const Node* quotient = maker(value, "Div");
  if (depth < kDeepest && product_node != nullptr && product_node->input_count() == 2) {
    product.nodes.push_back(product_node);
    return collect(product_node->input(0), depth + 1, product) &&
           collect(product_node->input(1), depth + 1, product);
  }
  if (depth < kDeepest && quotient != nullptr) {
    const auto divisor = scalar_of(quotient->input(1));
    if (divisor && *divisor != 0) {
      product.nodes.push_back(quotient);
      product.constant /= *divisor;
      return collect(quotient->input(0), depth + 1, product);
    }
  }
  product.factors.push_back(value);
  return product.factors.size() <= kMostFactors;
}

Result<std::optional<Value>> Importer::pattern(const Node& node) {
  if (node.type() == "Div") {
    if (auto norm = layer_norm_pattern(node)) return norm;
  }
  Product product;
  bool readable = false;
  if (node.type() == "Mul" && node.input_count() == 2) {
    readable = collect(node.input(0), 0, product) && collect(node.input(1), 0, product);
  } else if (node.type() == "Div") {
    const auto divisor = scalar_of(node.input(1));
    readable = divisor && *divisor != 0 && collect(node.input(0), 0, product);
    if (readable) product.constant /= *divisor;
  }
  if (!readable) return std::optional<Value>();

  const auto found = [&](const char* what, const Value& x,
                         ActivationKind kind) -> Result<std::optional<Value>> {
    auto result = activate(node, x, {kind});
    if (!result) return result.error();
    ++patterns_[what];
    for (const Node* part : product.nodes) graph_.note_folded(result->tensor, part->name());
    for (const Value* factor : product.factors)
      if (factor != &x && factor->maker != nullptr)
        graph_.note_folded(result->tensor, factor->maker->name());
    return std::optional(std::move(*result));
  };
  const auto& factors = product.factors;
  if (factors.size() == 1) {
    const Value* x = shifted_relu6(factors[0]);
    if (x != nullptr && x->is_tensor() && is_about(product.constant, 1.0F / 6))
      return found("hard sigmoid", *x, ActivationKind::hard_sigmoid);
  }
  if (factors.size() != 2) return std::optional<Value>();
  for (const int index : {0, 1}) {
    const Value* x = factors[static_cast<std::size_t>(index)];
    const Value* other = factors[static_cast<std::size_t>(1 - index)];
    if (!x->is_tensor()) continue;
    const auto reads_x = [&](const Node* gate) {
      return gate != nullptr && value_of(gate->input(0)) == x;
    };
    if (is_about(product.constant, 1)) {
      if (reads_x(maker(other, "Sigmoid"))) return found("SiLU", *x, ActivationKind::swish);
      const Node* hard = maker(other, "HardSigmoid");
      if (reads_x(hard) && is_about(hard->number("alpha", 0.2F), 1.0F / 6) &&
          is_about(hard->number("beta", 0.5F), 0.5F))
        return found("hard swish", *x, ActivationKind::hard_swish);
    }
    if (is_about(product.constant, 1.0F / 6) && shifted_relu6(other) == x)
      return found("hard swish", *x, ActivationKind::hard_swish);
    if (is_about(product.constant, 0.5F) && erf_plus_one(other) == x)
      return found("GELU", *x, ActivationKind::gelu);
  }
  return std::optional<Value>();
}

/// Whether the operator is the mean of `of` over its last axis, which it keeps.
bool Importer::averages_last(const Node* node, const Value* of) {
  if (node == nullptr || value_of(node->input(0)) != of || node->integer("keepdims", 1) == 0)
    return false;
  const Value* axes = value_of(node->input(1));
  const auto given = integers_of(*node, "axes", axes != nullptr ? axes->constant.get() : nullptr);
  return given.size() == 1 && resolve_axis(given[0], of->dims.size()) == of->dims.size() - 1;
}

/// (x - mean) / sqrt(mean((x - mean)^2) + epsilon)
std::optional<Value> Importer::layer_norm_pattern(const Node& node) {
  const Value* difference = value_of(node.input(0));
  const Node* subtraction = maker(difference, "Sub");
  const Node* root = maker(value_of(node.input(1)), "Sqrt");
  if (subtraction == nullptr || root == nullptr) return std::nullopt;
  const Value* x = value_of(subtraction->input(0));
  if (x == nullptr || !x->is_tensor() || x->dims.empty()) return std::nullopt;
  if (!averages_last(maker(value_of(subtraction->input(1)), "ReduceMean"), x)) return std::nullopt;

  const Node* addition = maker(value_of(root->input(0)), "Add");
  if (addition == nullptr) return std::nullopt;
  for (const int index : {0, 1}) {
    const auto epsilon = scalar_of(addition->input(index));
    const Value* variance = value_of(addition->input(1 - index));
    const Node* mean = maker(variance, "ReduceMean");
    if (!epsilon || !(*epsilon >= 0) || mean == nullptr) continue;
    const Value* square = value_of(mean->input(0));
    const Node* power = maker(square, "Pow");
    const Node* product = maker(square, "Mul");
    const auto exponent = power != nullptr ? scalar_of(power->input(1)) : std::nullopt;
    const bool squares = (exponent == 2.0F && value_of(power->input(0)) == difference) ||
                         (product != nullptr && value_of(product->input(0)) == difference &&
                          value_of(product->input(1)) == difference);
    if (!squares || !averages_last(mean, square)) continue;
    auto ones = std::make_shared<StoredWeights>();
    ones->weights.assign(static_cast<std::size_t>(x->dims.back()), 1.0F);
    auto result = normalized(node, *x, x->dims.size() - 1, *epsilon, std::move(ones));
    if (!result) return std::nullopt;
    ++patterns_["layer normalisation"];
    for (const Node* part : {subtraction, root, addition, mean})
      graph_.note_folded(result->tensor, part->name());
    return std::move(*result);
  }
  return std::nullopt;
}

}  // namespace convopt::onnx_reader
