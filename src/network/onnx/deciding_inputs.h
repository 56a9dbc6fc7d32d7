// Inputs whose values have to be known when a model is read.
#pragma once

#include <set>
#include <string>

namespace onnx {
class GraphProto;
}

namespace convopt::onnx_reader {

/// Names of the inputs of few elements on whose values a condition, a shape, an index or a number
/// of repetitions depends.
std::set<std::string> deciding_inputs(const ::onnx::GraphProto& graph);

}  // namespace convopt::onnx_reader
