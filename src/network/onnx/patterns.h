// Operators that a model spells out in arithmetic: SiLU as x * sigmoid(x), and the like.
#pragma once

#include <optional>

#include "src/network/onnx/import.h"

namespace convopt::onnx_reader {

/// The result of a product or quotient that is the last operator of a known pattern; nothing for
/// others.
Result<std::optional<Value>> recognised(Import& model, const Node& node);

/// The number with which `x` was multiplied to make `value`.
std::optional<float> factor_of(Import& model, const Value& value, const Value& x);

}  // namespace convopt::onnx_reader
