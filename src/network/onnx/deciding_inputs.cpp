#include "src/network/onnx/deciding_inputs.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace convopt::onnx_reader {
namespace {

/// Deepest nesting of graphs that is looked into.
constexpr int kDeepestLookedInto = 16;
/// Largest input that counts: sizes, rates and switches, no data.
constexpr std::int64_t kMostElements = 64;

/// The first input of an operator that decides the form of its result; those behind it do so, too.
int first_deciding(std::string_view type) {
  constexpr std::array<std::string_view, 4> kAll = {"If", "Loop", "ConstantOfShape", "Range"};
  constexpr std::array<std::string_view, 16> kBehindData = {
      "Reshape",    "Expand",        "Resize",        "Upsample",       "Slice",     "Tile",
      "Pad",        "TopK",          "Split",         "Squeeze",        "Unsqueeze", "ReduceSum",
      "SequenceAt", "SequenceErase", "CenterCropPad", "SplitToSequence"};
  constexpr int kNone = 1 << 30;
  if (std::ranges::find(kAll, type) != kAll.end()) return 0;
  return std::ranges::find(kBehindData, type) != kBehindData.end() ? 1 : kNone;
}

/// Names that decide something, of a graph and those inside of it, and who makes each name.
struct Search {
  std::vector<std::string> wanted;
  std::unordered_map<std::string, const ::onnx::NodeProto*> makers;

  void add(const ::onnx::GraphProto& graph, int depth) {
    for (const ::onnx::NodeProto& node : graph.node()) {
      for (int i = first_deciding(node.op_type()); i < node.input_size(); ++i)
        wanted.push_back(node.input(i));
      for (const std::string& output : node.output()) makers.emplace(output, &node);
      if (depth >= kDeepestLookedInto) continue;
      for (const ::onnx::AttributeProto& attribute : node.attribute())
        if (attribute.has_g()) add(attribute.g(), depth + 1);
    }
  }
};

bool is_small(const ::onnx::ValueInfoProto& info) {
  const auto& type = info.type().tensor_type();
  std::int64_t count = 1;
  for (const auto& dim : type.shape().dim()) {
    if (dim.dim_value() < 0 || dim.dim_value() > kMostElements) return false;
    count *= std::max<std::int64_t>(dim.dim_value(), 1);
    if (count > kMostElements) return false;
  }
  return type.shape().dim_size() <= 1;
}

}  // namespace

std::set<std::string> deciding_inputs(const ::onnx::GraphProto& graph) {
  Search search;
  search.add(graph, 0);
  std::unordered_set<std::string> seen;
  while (!search.wanted.empty()) {
    std::string name = std::move(search.wanted.back());
    search.wanted.pop_back();
    if (!seen.insert(name).second) continue;
    const auto maker = search.makers.find(name);
    if (maker == search.makers.end()) continue;
    // Sizes are known without the values.
    const std::string& type = maker->second->op_type();
    if (type == "Shape" || type == "Size") continue;
    for (const std::string& input : maker->second->input()) search.wanted.push_back(input);
  }
  std::set<std::string> names;
  for (const ::onnx::ValueInfoProto& info : graph.input())
    if (seen.contains(info.name()) && is_small(info)) names.insert(info.name());
  for (const ::onnx::TensorProto& tensor : graph.initializer()) names.erase(tensor.name());
  return names;
}

}  // namespace convopt::onnx_reader
