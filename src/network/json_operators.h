// The operators of the network format: which attributes each has, and how it enters the graph.
// docs/reference/network-format.md and docs/reference/network.schema.json say the same; a test
// compares them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"
#include "src/network/graph_builder.h"

namespace convopt {

enum class AttributeType : std::uint8_t {
  count,    ///< integer from 1
  index,    ///< integer from 0
  order,    ///< each of 0, 1, 2, 3 once
  pair,     ///< integer from 1, or [vertical, horizontal]
  padding,  ///< integer from 0, [vertical, horizontal], [top, bottom, left, right], "same", "valid"
  flag,     ///< true or false
  number,   ///< any finite number
  shape,    ///< [c, h, w] or [n, c, h, w]; integers from 1, or once -1 for "what remains"
  choice,   ///< one of a few words
  sizes,    ///< all sizes of a tensor of rank 0 to 8; integers from 1
  text,     ///< a string
};

struct AttributeDescription {
  std::string_view name;
  AttributeType type = AttributeType::count;
  bool required = false;
  std::vector<std::string_view> choices = {};
};

/// Attributes of one operator, checked against its description.
class Attributes {
 public:
  using Value = std::variant<int, Pair, Padding, bool, float, std::vector<int>, std::string>;

  void set(std::string_view name, Value value) { values_.emplace_back(name, std::move(value)); }

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// T is the type that belongs to the attribute's AttributeType.
  template <class T>
  T get(std::string_view name, T fallback = {}) const {
    const Value* value = find(name);
    return value != nullptr ? std::get<T>(*value) : std::move(fallback);
  }

 private:
  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : values_)
      if (key == name) return &value;
    return nullptr;
  }

  std::vector<std::pair<std::string_view, Value>> values_;
};

struct OperatorDescription {
  using Add = Result<TensorId> (*)(GraphBuilder& graph, Label label,
                                   std::span<const TensorId> inputs, const Attributes& attributes);
  std::string_view name;
  int min_inputs = 1, max_inputs = 1;
  std::vector<AttributeDescription> attributes = {};
  Add add = nullptr;
};

std::span<const OperatorDescription> operator_descriptions();
/// Null for a type that the format does not know.
const OperatorDescription* find_operator_description(std::string_view type);

/// Reads one value; the error is the end of a sentence such as "'stride' ...".
Result<Attributes::Value> read_attribute(const Json& json, const AttributeDescription& description);

/// The shape that a value of type `shape` means for an operator that reads `input`.
Result<TensorShape> resolve_shape(const std::vector<int>& sizes, const TensorShape& input);

}  // namespace convopt
