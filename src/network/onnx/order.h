// In which order the operators of a graph can be read.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "convopt/error.hpp"

namespace onnx {
class GraphProto;
class NodeProto;
}  // namespace onnx

namespace convopt::onnx_reader {

/// Indices of the operators, each behind those that make its inputs, otherwise in the graph's
/// order. An error names an operator that depends on itself.
Result<std::vector<int>> execution_order(const ::onnx::GraphProto& graph);

/// The names that an operator reads, also within the graphs inside of it.
std::unordered_set<std::string_view> names_read(const ::onnx::NodeProto& node);

/// Of operators in the order `order`, those that have to be computed for the graph's outputs where
/// some names are known.
std::vector<int> operators_left(const ::onnx::GraphProto& graph, const std::vector<int>& order,
                                const std::function<bool(const std::string&)>& is_known);

}  // namespace convopt::onnx_reader
