// In which order the operators of a graph can be read.
#pragma once

#include <vector>

#include "convopt/error.hpp"

namespace onnx {
class GraphProto;
}

namespace convopt::onnx_reader {

/// Indices of the operators, each behind those that make its inputs, otherwise in the graph's
/// order. An error names an operator that depends on itself.
Result<std::vector<int>> execution_order(const ::onnx::GraphProto& graph);

}  // namespace convopt::onnx_reader
