#include "src/network/onnx/order.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/text.h"

namespace convopt::onnx_reader {
namespace {

using Names = std::unordered_set<std::string_view>;
using Makers = std::unordered_map<std::string_view, int>;

/// Adds the names that a node reads, and those that the graphs inside of it read from around them.
void add_names_read(const ::onnx::NodeProto& node, Names& names) {
  for (const std::string& name : node.input()) names.insert(name);
  for (const auto& attribute : node.attribute()) {
    if (!attribute.has_g()) continue;
    const ::onnx::GraphProto& graph = attribute.g();
    Names inner;
    for (const auto& output : graph.output()) inner.insert(output.name());
    for (const auto& operation : graph.node()) add_names_read(operation, inner);
    for (const auto& operation : graph.node())
      for (const std::string& own : operation.output()) inner.erase(own);
    for (const auto& own : graph.initializer()) inner.erase(own.name());
    for (const auto& own : graph.input()) inner.erase(own.name());
    names.merge(inner);
  }
}

/// Follows the operators that wait for another one until one comes twice.
Error cycle_error(const ::onnx::GraphProto& graph, const Makers& maker,
                  const std::vector<int>& missing) {
  const auto waits = [&](int node) { return missing[static_cast<std::size_t>(node)] > 0; };
  int node = 0;
  while (!waits(node)) ++node;
  std::vector<char> visited(missing.size(), 0);
  for (;;) {
    Names names;
    add_names_read(graph.node(node), names);
    const auto next = std::ranges::find_if(names, [&](std::string_view name) {
      const auto made = maker.find(name);
      return made != maker.end() && waits(made->second);
    });
    if (std::exchange(visited[static_cast<std::size_t>(node)], 1) != 0)
      return make_error(ErrorCode::bad_input,
                        "operator " + in_quotes(graph.node(node).name()) + " of type " +
                            in_quotes(graph.node(node).op_type()) + " reads " + in_quotes(*next) +
                            ", which depends on its own result: a cycle");
    node = maker.at(*next);
  }
}

}  // namespace

std::unordered_set<std::string_view> names_read(const ::onnx::NodeProto& node) {
  Names names;
  add_names_read(node, names);
  names.erase("");
  return names;
}

std::vector<int> operators_left(const ::onnx::GraphProto& graph, const std::vector<int>& order,
                                const std::function<bool(const std::string&)>& is_known) {
  Names wanted;
  for (const auto& output : graph.output())
    if (!is_known(output.name())) wanted.insert(output.name());
  std::vector<int> left;
  for (auto index = order.rbegin(); index != order.rend(); ++index) {
    const ::onnx::NodeProto& node = graph.node(*index);
    if (std::ranges::none_of(node.output(),
                             [&](const auto& name) { return wanted.contains(name); }))
      continue;
    left.push_back(*index);
    for (const std::string_view name : names_read(node))
      if (!is_known(std::string(name))) wanted.insert(name);
  }
  std::ranges::reverse(left);
  return left;
}

Result<std::vector<int>> execution_order(const ::onnx::GraphProto& graph) {
  Makers maker;
  for (int i = 0; i < graph.node_size(); ++i)
    for (const std::string& name : graph.node(i).output())
      if (!name.empty()) maker.emplace(name, i);
  // A name that is also made by an operator is an error, but of another kind than a cycle.
  for (const auto& input : graph.input()) maker.erase(input.name());
  for (const auto& constant : graph.initializer()) maker.erase(constant.name());

  const auto count = static_cast<std::size_t>(graph.node_size());
  std::vector<std::vector<int>> readers(count);
  std::vector<int> missing(count, 0);
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int i = 0; i < graph.node_size(); ++i) {
    Names names;
    add_names_read(graph.node(i), names);
    for (const std::string_view name : names) {
      const auto made = maker.find(name);
      if (made == maker.end()) continue;  // an input, a constant, or a name of a graph around
      readers[static_cast<std::size_t>(made->second)].push_back(i);
      ++missing[static_cast<std::size_t>(i)];
    }
    if (missing[static_cast<std::size_t>(i)] == 0) ready.push(i);
  }

  std::vector<int> order;
  while (!ready.empty()) {
    const int next = ready.top();
    ready.pop();
    order.push_back(next);
    for (const int reader : readers[static_cast<std::size_t>(next)])
      if (--missing[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
  }
  if (order.size() < count) return cycle_error(graph, maker, missing);
  return order;
}

}  // namespace convopt::onnx_reader
