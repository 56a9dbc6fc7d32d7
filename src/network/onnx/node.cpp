#include "src/network/onnx/node.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <utility>

#include "core/text.h"

namespace convopt::onnx_reader {

using ::onnx::AttributeProto;

Node::Node(const ::onnx::NodeProto& proto, std::string name, int opset)
    : proto_(&proto), name_(std::move(name)), opset_(opset) {}

std::string_view Node::type() const { return proto_->op_type(); }

int Node::input_count() const { return proto_->input_size(); }

std::string_view Node::input(int index) const {
  return index < input_count() ? std::string_view(proto_->input(index)) : std::string_view();
}

int Node::output_count() const { return proto_->output_size(); }

const std::string& Node::output(int index) const { return proto_->output(index); }

const AttributeProto* Node::find(std::string_view attribute) const {
  for (const AttributeProto& candidate : proto_->attribute())
    if (candidate.name() == attribute) return &candidate;
  return nullptr;
}

const AttributeProto* Node::find(std::string_view attribute, int type) const {
  const AttributeProto* found = find(attribute);
  // Files of the first versions have no types.
  if (found == nullptr || found->type() == type || found->type() == AttributeProto::UNDEFINED)
    return found;
  if (!fault_) fault_ = "its attribute " + in_quotes(attribute) + " has the wrong type";
  return nullptr;
}

std::int64_t Node::integer(std::string_view attribute, std::int64_t fallback) const {
  const AttributeProto* found = find(attribute, AttributeProto::INT);
  return found != nullptr ? found->i() : fallback;
}

float Node::number(std::string_view attribute, float fallback) const {
  const float value = number_or_infinite(attribute, fallback);
  if (std::isfinite(value)) return value;
  if (!fault_) fault_ = "its attribute " + in_quotes(attribute) + " is not a finite number";
  return fallback;
}

float Node::number_or_infinite(std::string_view attribute, float fallback) const {
  const AttributeProto* found = find(attribute, AttributeProto::FLOAT);
  return found != nullptr ? found->f() : fallback;
}

std::string Node::text(std::string_view attribute, const std::string& fallback) const {
  const AttributeProto* found = find(attribute, AttributeProto::STRING);
  return found != nullptr ? found->s() : fallback;
}

std::vector<std::int64_t> Node::integers(std::string_view attribute) const {
  const AttributeProto* found = find(attribute, AttributeProto::INTS);
  if (found == nullptr) return {};
  return {found->ints().begin(), found->ints().end()};
}

std::vector<float> Node::numbers(std::string_view attribute) const {
  const AttributeProto* found = find(attribute, AttributeProto::FLOATS);
  if (found == nullptr) return {};
  return {found->floats().begin(), found->floats().end()};
}

std::vector<std::string> Node::texts(std::string_view attribute) const {
  const AttributeProto* found = find(attribute, AttributeProto::STRINGS);
  if (found == nullptr) return {};
  return {found->strings().begin(), found->strings().end()};
}

const ::onnx::TensorProto* Node::tensor(std::string_view attribute) const {
  const AttributeProto* found = find(attribute, AttributeProto::TENSOR);
  return found != nullptr ? &found->t() : nullptr;
}

const ::onnx::GraphProto* Node::graph(std::string_view attribute) const {
  const AttributeProto* found = find(attribute, AttributeProto::GRAPH);
  return found != nullptr ? &found->g() : nullptr;
}

Error Node::error(const std::string& why) const {
  return make_error(ErrorCode::bad_input, "operator " + in_quotes(name_) + " of type " +
                                              in_quotes(type()) + ", opset " +
                                              std::to_string(opset_) + ": " + why);
}

Error Node::unsupported(const std::string& what) const { return error(what + " is not supported"); }

}  // namespace convopt::onnx_reader
