// A call becomes the operators of its function. Names of the function's inputs and outputs become
// those of the call; all other names in it get new ones, so that two calls share none. The branch
// of an If is such a body without inputs.
#include "src/network/onnx/inlining.h"

#include <google/protobuf/unknown_field_set.h>
#include <onnx/onnx_pb.h>

#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/network/onnx/node.h"

namespace convopt::onnx_reader {
namespace {

using Renames = std::unordered_map<std::string, std::string>;
using Operators = google::protobuf::RepeatedPtrField<::onnx::NodeProto>;
using CallAttributes = std::unordered_map<std::string, const ::onnx::AttributeProto*>;

/// Calls within calls, and operators and calls in all. Functions that call others twice grow fast.
constexpr int kMostCalls = 32;
constexpr int kMostInlined = 1 << 18;

/// Fields of newer versions of onnx.proto, by their numbers.
constexpr int kOverloadOfNode = 8, kOverloadOfFunction = 13, kDefaultsOfFunction = 11;

/// The field of that number of a message of a newer version, once for each time that it is there.
template <class Message, class Use>
void for_each_field(const Message& message, int number, const Use& use) {
  const google::protobuf::UnknownFieldSet& fields = message.unknown_fields();
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      use(field.length_delimited());
  }
}

/// Domain, name and overload.
using FunctionKey = std::tuple<std::string, std::string, std::string>;

template <class Message>
FunctionKey key_of(const Message& message, const std::string& name, int overload_number) {
  std::string overload;
  for_each_field(message, overload_number, [&](const std::string& text) { overload = text; });
  return {message.domain() == "ai.onnx" ? "" : message.domain(), name, overload};
}

struct Definition {
  const ::onnx::FunctionProto* proto = nullptr;
  std::vector<::onnx::AttributeProto> defaults;
};

class Inliner {
 public:
  explicit Inliner(const ::onnx::ModelProto& model) {
    for (const ::onnx::FunctionProto& proto : model.functions()) {
      Definition& function = functions_[key_of(proto, proto.name(), kOverloadOfFunction)];
      function.proto = &proto;
      for_each_field(proto, kDefaultsOfFunction, [&](const std::string& bytes) {
        if (::onnx::AttributeProto value; value.ParseFromString(bytes))
          function.defaults.push_back(std::move(value));
      });
    }
    take_names(model.graph());
  }

  Result<void> inline_graph(::onnx::GraphProto& graph, int depth) {
    Operators calls;
    calls.Swap(graph.mutable_node());
    for (::onnx::NodeProto& node : calls)
      CONVOPT_CHECK(append(std::move(node), *graph.mutable_node(), depth));
    return {};
  }

  /// The operators of a branch, whose constants become operators, too.
  Result<void> take_branch(const ::onnx::NodeProto& node, const ::onnx::GraphProto& branch,
                           Operators& to) {
    Operators body;
    for (const ::onnx::TensorProto& constant : branch.initializer()) {
      ::onnx::NodeProto& made = *body.Add();
      made.set_op_type("Constant");
      made.set_name(constant.name());
      made.add_output(constant.name());
      ::onnx::AttributeProto& value = *made.add_attribute();
      value.set_name("value");
      value.set_type(::onnx::AttributeProto::TENSOR);
      *value.mutable_t() = constant;
    }
    body.MergeFrom(branch.node());
    std::vector<std::string> outputs;
    for (const auto& output : branch.output()) outputs.push_back(output.name());
    return splice(node, outputs, body, {}, {}, to, 0);
  }

 private:
  void take_names(const ::onnx::GraphProto& graph) {
    for (const auto& input : graph.input()) taken_.insert(input.name());
    for (const auto& constant : graph.initializer()) taken_.insert(constant.name());
    for (const ::onnx::NodeProto& node : graph.node()) {
      taken_.insert(node.output().begin(), node.output().end());
      for (const auto& attribute : node.attribute())
        if (attribute.has_g()) take_names(attribute.g());
    }
  }

  std::string fresh(const std::string& base) {
    std::string name = base;
    for (int number = 2; !taken_.insert(name).second; ++number)
      name = base + "#" + std::to_string(number);
    return name;
  }

  Result<void> append(::onnx::NodeProto node, Operators& to, int depth) {
    for (::onnx::AttributeProto& attribute : *node.mutable_attribute())
      if (attribute.has_g()) CONVOPT_CHECK(inline_graph(*attribute.mutable_g(), depth));
    if (++operators_ > kMostInlined)
      return make_error(ErrorCode::bad_input, "the model has too many operators");
    const auto found = functions_.find(key_of(node, node.op_type(), kOverloadOfNode));
    if (found != functions_.end()) return expand(node, found->second, to, depth);
    *to.Add() = std::move(node);
    return {};
  }

  /// The call's attributes before the function's own ones.
  static CallAttributes attributes_of(const ::onnx::NodeProto& call, const Definition& function) {
    CallAttributes attributes;
    for (const auto& attribute : call.attribute()) attributes.emplace(attribute.name(), &attribute);
    for (const auto& attribute : function.defaults)
      attributes.emplace(attribute.name(), &attribute);
    return attributes;
  }

  Result<void> expand(const ::onnx::NodeProto& call, const Definition& function, Operators& to,
                      int depth) {
    const ::onnx::FunctionProto& proto = *function.proto;
    if (depth >= kMostCalls)
      return make_error(ErrorCode::bad_input, "the model's function " + in_quotes(proto.name()) +
                                                  " calls itself, or calls are nested too deeply");
    Renames names;
    for (int i = 0; i < proto.input_size(); ++i)
      names[proto.input(i)] = i < call.input_size() ? call.input(i) : "";
    return splice(call, {proto.output().begin(), proto.output().end()}, proto.node(),
                  std::move(names), attributes_of(call, function), to, depth);
  }

  /// The operators `body`, whose results `outputs` are those of `call`.
  Result<void> splice(const ::onnx::NodeProto& call, const std::vector<std::string>& outputs,
                      const Operators& body, Renames names, const CallAttributes& attributes,
                      Operators& to, int depth) {
    std::string base = call.name();
    if (base.empty()) base = call.output_size() > 0 ? call.output(0) : call.op_type();
    std::unordered_set<std::string> made;
    for (const ::onnx::NodeProto& node : body)
      made.insert(node.output().begin(), node.output().end());
    // Results that no operator makes for this output alone.
    std::vector<std::pair<std::string, std::string>> passed;
    for (std::size_t i = 0; i < outputs.size() && std::cmp_less(i, call.output_size()); ++i) {
      const std::string& name = call.output(static_cast<int>(i));
      if (name.empty()) continue;
      if (!made.contains(outputs[i]) || !names.emplace(outputs[i], name).second)
        passed.emplace_back(outputs[i], name);
    }
    for (const std::string& name : made)
      if (!name.empty() && !names.contains(name)) names[name] = fresh(base + "/" + name);
    for (::onnx::NodeProto node : body) {
      node.set_name(base + "/" + (node.name().empty() ? node.op_type() : node.name()));
      adapt(node, base, names, attributes);
      CONVOPT_CHECK(append(std::move(node), to, depth + 1));
    }
    for (auto& [from, name] : passed) {
      ::onnx::NodeProto identity;
      identity.set_op_type("Identity");
      identity.set_name(base + "/Identity");
      rename(from, names);
      identity.add_input(from);
      identity.add_output(name);
      CONVOPT_CHECK(append(std::move(identity), to, depth));
    }
    return {};
  }

  static void rename(std::string& name, const Renames& names) {
    if (const auto found = names.find(name); found != names.end()) name = found->second;
  }

  /// Gives an operator of a function the names and attributes of the call.
  void adapt(::onnx::NodeProto& node, const std::string& base, const Renames& names,
             const CallAttributes& attributes) {
    for (std::string& name : *node.mutable_input()) rename(name, names);
    for (std::string& name : *node.mutable_output()) rename(name, names);
    google::protobuf::RepeatedPtrField<::onnx::AttributeProto> own;
    own.Swap(node.mutable_attribute());
    for (::onnx::AttributeProto& attribute : own) {
      if (!attribute.ref_attr_name().empty()) {
        const auto given = attributes.find(attribute.ref_attr_name());
        if (given == attributes.end()) continue;
        const std::string name = attribute.name();
        attribute = *given->second;
        attribute.set_name(name);
      } else if (attribute.has_g()) {
        adapt(*attribute.mutable_g(), base, names, attributes);
      }
      *node.add_attribute() = std::move(attribute);
    }
  }

  /// The graph's own names hide those around it, so they are renamed, too.
  void adapt(::onnx::GraphProto& graph, const std::string& base, Renames names,
             const CallAttributes& attributes) {
    std::unordered_set<std::string> own;
    const auto define_own = [&](const std::string& name) {
      if (!name.empty() && own.insert(name).second) names[name] = fresh(base + "/" + name);
    };
    for (const auto& input : graph.input()) define_own(input.name());
    for (const auto& constant : graph.initializer()) define_own(constant.name());
    for (const auto& node : graph.node())
      for (const std::string& output : node.output()) define_own(output);
    for (auto& input : *graph.mutable_input()) rename(*input.mutable_name(), names);
    for (auto& constant : *graph.mutable_initializer()) rename(*constant.mutable_name(), names);
    for (auto& node : *graph.mutable_node()) adapt(node, base, names, attributes);
    for (auto& output : *graph.mutable_output()) rename(*output.mutable_name(), names);
  }

  std::map<FunctionKey, Definition> functions_;
  std::unordered_set<std::string> taken_;
  int operators_ = 0;
};

}  // namespace

Result<void> inline_functions(::onnx::ModelProto& model) {
  if (model.functions_size() == 0) return {};
  Inliner inliner(model);
  CONVOPT_CHECK(inliner.inline_graph(*model.mutable_graph(), 0));
  model.clear_functions();
  return {};
}

Result<void> inline_branch(::onnx::ModelProto& model, const std::string& output, bool condition) {
  Inliner inliner(model);
  Operators nodes;
  nodes.Swap(model.mutable_graph()->mutable_node());
  for (::onnx::NodeProto& node : nodes) {
    if (node.op_type() != "If" || node.output_size() == 0 || node.output(0) != output) {
      *model.mutable_graph()->add_node() = std::move(node);
      continue;
    }
    const Node view(node, node.name(), 0);
    const auto* branch = view.graph(condition ? "then_branch" : "else_branch");
    if (branch == nullptr || branch->output_size() < node.output_size())
      return view.error("its branch does not have its outputs");
    CONVOPT_CHECK(inliner.take_branch(node, *branch, *model.mutable_graph()->mutable_node()));
  }
  return {};
}

}  // namespace convopt::onnx_reader
