// Operators in the place of those that stand for them: functions that a model brings with it, as
// PyTorch's exporters write its modules, and the branches of an If.
#pragma once

#include <string>

#include "convopt/error.hpp"

namespace onnx {
class ModelProto;
}

namespace convopt::onnx_reader {

/// Puts the operators of the model's own functions in the place of their calls, also in graphs
/// inside of operators. An error names a function that calls itself.
Result<void> inline_functions(::onnx::ModelProto& model);

/// Puts the operators of the branch that the condition takes in the place of the If whose first
/// output has that name.
Result<void> inline_branch(::onnx::ModelProto& model, const std::string& output, bool condition);

}  // namespace convopt::onnx_reader
