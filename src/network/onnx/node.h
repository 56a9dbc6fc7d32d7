// One operator of an ONNX model, with its attributes checked as they are asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"

namespace onnx {
class AttributeProto;
class GraphProto;
class NodeProto;
class TensorProto;
}  // namespace onnx

namespace convopt::onnx_reader {

class Node {
 public:
  Node(const ::onnx::NodeProto& proto, std::string name, int opset);

  const std::string& name() const { return name_; }
  const ::onnx::NodeProto& proto() const { return *proto_; }
  std::string_view type() const;
  int opset() const { return opset_; }
  int input_count() const;
  /// Empty if the operator leaves it out.
  std::string_view input(int index) const;
  bool has_input(int index) const { return !input(index).empty(); }
  int output_count() const;
  const std::string& output(int index) const;

  bool has(std::string_view attribute) const { return find(attribute) != nullptr; }
  std::int64_t integer(std::string_view attribute, std::int64_t fallback) const;
  /// A finite one; anything else is a fault.
  float number(std::string_view attribute, float fallback) const;
  float number_or_infinite(std::string_view attribute, float fallback) const;
  std::string text(std::string_view attribute, const std::string& fallback = {}) const;
  std::vector<std::int64_t> integers(std::string_view attribute) const;
  std::vector<float> numbers(std::string_view attribute) const;
  std::vector<std::string> texts(std::string_view attribute) const;
  /// Null where there is none.
  const ::onnx::TensorProto* tensor(std::string_view attribute) const;
  const ::onnx::GraphProto* graph(std::string_view attribute) const;

  /// The first attribute that did not have the type that was asked for.
  const std::optional<std::string>& fault() const { return fault_; }

  /// "operator 'name' of type 'Conv', opset 13: why"
  Error error(const std::string& why) const;
  Error unsupported(const std::string& what) const;

 private:
  const ::onnx::AttributeProto* find(std::string_view attribute) const;
  /// `type` is an AttributeProto::AttributeType.
  const ::onnx::AttributeProto* find(std::string_view attribute, int type) const;

  const ::onnx::NodeProto* proto_;
  std::string name_;
  int opset_;
  mutable std::optional<std::string> fault_;
};

}  // namespace convopt::onnx_reader
