#include "tests/conformance/cases.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace convopt::conformance {
namespace {

using ::onnx::GraphProto;
using ::onnx::ModelProto;
using ::onnx::TensorProto;
using ::onnx::TypeProto;

struct LeftOut {
  std::string_view what, why;
};

// Operators, or whole domains with a final point.
constexpr LeftOut kOperators[] = {
    {"ai.onnx.preview.training.", "training"},
    {"NegativeLogLikelihoodLoss", "a loss, for training"},
    {"SoftmaxCrossEntropyLoss", "a loss, for training"},
    {"StringNormalizer", "text"},
    {"TfIdfVectorizer", "text"},
    {"Bernoulli", "random values"},
    {"RandomUniformLike", "random values"},
    {"SequenceMap", "sequences"},
    {"OptionalGetElement", "optional values"},
    {"OptionalHasElement", "optional values"},
    {"BitShift", "bits of integers"},
    {"Det", "determinants"},
    {"Unique", "sets of values"},
};

// Beginnings of names of cases.
constexpr LeftOut kLeftOut[] = {
    {"node/test_training_dropout", "random values"},
    {"node/test_resize_downsample_scales_linear_align_corners",
     "expects 3.14 at the last corner, where ONNX Runtime too computes that corner's value, 4"},
};

void for_each_node(const GraphProto& graph,
                   const std::function<void(const ::onnx::NodeProto&)>& visit) {
  for (const auto& node : graph.node()) {
    visit(node);
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) for_each_node(attribute.g(), visit);
    }
  }
}

std::string full_type(const ::onnx::NodeProto& node) {
  return (node.domain().empty() ? "" : node.domain() + ".") + node.op_type();
}

std::optional<std::string> why_left_out(const std::string& name, const std::set<std::string>& types,
                                        const ModelProto& model) {
  for (const LeftOut& entry : kLeftOut) {
    if (name.starts_with(entry.what)) return std::string(entry.why);
  }
  for (const LeftOut& entry : kOperators) {
    const bool domain = entry.what.ends_with('.');
    if (std::ranges::any_of(types, [&](const std::string& type) {
          return domain ? type.starts_with(entry.what) : type == entry.what;
        })) {
      return std::string(entry.why);
    }
  }
  for (const auto* values : {&model.graph().input(), &model.graph().output()}) {
    for (const auto& value : *values) {
      if (value.type().value_case() != TypeProto::kTensorType) return "sequences, optional values";
      if (value.type().tensor_type().elem_type() == TensorProto::STRING) return "text";
    }
  }
  return std::nullopt;
}

/// A case that spells an operator out by others is named like the operator's own case, and more.
std::string original_name(const std::string& name) {
  const std::size_t end = name.find("_expanded");
  return end == std::string::npos ? name : name.substr(0, end);
}

}  // namespace

template <class Message>
std::optional<Message> read_message(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  Message message;
  if (!file || !message.ParseFromIstream(&file)) return std::nullopt;
  return message;
}
template std::optional<ModelProto> read_message(const std::filesystem::path&);
template std::optional<TensorProto> read_message(const std::filesystem::path&);

std::vector<TensorProto> read_tensors(const Case& test, const std::string& kind) {
  std::vector<TensorProto> tensors;
  while (true) {
    const auto file = kind + "_" + std::to_string(tensors.size()) + ".pb";
    auto tensor = read_message<TensorProto>(test.folder / "test_data_set_0" / file);
    if (!tensor) return tensors;
    tensors.push_back(std::move(*tensor));
  }
}

std::vector<Case> find_cases(const std::filesystem::path& root) {
  std::vector<Case> cases;
  std::map<std::string, std::string> ops;  // of cases that are one operator
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root, error)) {
    if (entry.path().filename() != "model.onnx") continue;
    const auto model = read_message<ModelProto>(entry.path());
    if (!model) continue;
    const std::filesystem::path folder = entry.path().parent_path();
    Case test{folder.lexically_relative(root).string(), folder};
    std::set<std::string> types;
    for_each_node(model->graph(), [&](const auto& node) { types.insert(full_type(node)); });
    test.left_out = why_left_out(test.name, types, *model);
    if (model->graph().node_size() == 1) {
      test.op = full_type(model->graph().node(0));
      ops[test.name] = test.op;
    }
    cases.push_back(std::move(test));
  }
  std::ranges::sort(cases, {}, &Case::name);
  for (Case& test : cases) {
    if (!test.op.empty()) continue;
    const auto original = ops.find(original_name(test.name));
    if (original == ops.end()) continue;
    test.op = original->second;
    test.spelt_out = true;
    for (const LeftOut& entry : kOperators) {
      if (test.op == entry.what) test.left_out = std::string(entry.why);
    }
  }
  return cases;
}

}  // namespace convopt::conformance
