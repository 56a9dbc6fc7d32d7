#include "tests/conformance/trial.h"

#include <algorithm>
#include <convopt/convopt.hpp>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

namespace convopt::conformance {
namespace {

using ::onnx::ModelProto;
using ::onnx::TensorProto;
using ::onnx::ValueInfoProto;
using Declared = std::vector<ValueInfoProto>;

constexpr std::array<std::string_view, kVerdicts.size()> kVerdictNames = {"passed", "refused",
                                                                          "wrong", "crashed"};

// Operators whose results hang on shapes, numbers and conditions that are known when a network is
// loaded.
constexpr std::string_view kOfConstants[] = {"BlackmanWindow",
                                             "Constant",
                                             "ConstantOfShape",
                                             "EyeLike",
                                             "HammingWindow",
                                             "HannWindow",
                                             "If",
                                             "MelWeightMatrix",
                                             "Range",
                                             "Shape",
                                             "Size"};

Outcome refused(const Error& error) {
  return {error.code == ErrorCode::internal ? Verdict::crashed : Verdict::refused, error.message};
}

/// The sentence without the name of the model's file, in one line.
std::string shortened(std::string sentence, const std::filesystem::path& file) {
  for (const std::string& name : {file.string(), file.filename().string()}) {
    if (sentence.starts_with(name + ": ")) sentence.erase(0, name.size() + 2);
  }
  std::ranges::replace(sentence, '\n', ' ');
  return sentence;
}

TensorProto::DataType onnx_type(DataType type) {
  switch (type) {
    case DataType::bf16:
      return TensorProto::BFLOAT16;
    case DataType::f16:
      return TensorProto::FLOAT16;
    case DataType::f64:
      return TensorProto::DOUBLE;
    case DataType::s8:
      return TensorProto::INT8;
    case DataType::u8:
      return TensorProto::UINT8;
    case DataType::s16:
      return TensorProto::INT16;
    case DataType::u16:
      return TensorProto::UINT16;
    case DataType::u32:
      return TensorProto::UINT32;
    case DataType::u64:
      return TensorProto::UINT64;
    case DataType::s32:
      return TensorProto::INT32;
    case DataType::s64:
      return TensorProto::INT64;
    case DataType::boolean:
      return TensorProto::BOOL;
    default:
      return TensorProto::FLOAT;
  }
}

/// Runs the session and returns its outputs.
Result<std::vector<Array>> run(Session& session, const std::vector<Array>& inputs) {
  const auto bytes_of = [](const Tensor& tensor) {
    return static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
  };
  std::vector<const void*> sources;
  for (std::size_t i = 0; i < inputs.size() && i < session.inputs().size(); ++i) {
    const Tensor& tensor = session.inputs()[i];
    if (inputs[i].type != onnx_type(tensor.type) || inputs[i].bytes.size() != bytes_of(tensor)) {
      return make_error(ErrorCode::bad_input,
                        "input '" + tensor.name + "' takes arrays of another size or type");
    }
    sources.push_back(inputs[i].bytes.data());
  }
  auto ran = session.run(sources);
  if (!ran) return ran.error();
  std::vector<Array> outputs;
  for (const convopt::Array& array : *ran) {
    Array& output = outputs.emplace_back();
    output.type = onnx_type(array.type);
    output.dims = array.shape;
    output.bytes.assign(reinterpret_cast<const char*>(array.data.data()), array.data.size());
  }
  return outputs;
}

Outcome try_model(const Planner& planner, const std::filesystem::path& model,
                  const std::vector<Array>& inputs, const std::vector<Array>& expected) {
  const auto network = load_network(model);
  if (!network) return refused(network.error());
  const auto plan = planner.plan(*network);
  if (!plan) return refused(plan.error());
  auto session = Session::create(*network, *plan, *network_weights(*network, 1));
  if (!session) return refused(session.error());
  const auto outputs = run(*session, inputs);
  if (!outputs) return refused(outputs.error());
  if (outputs->size() != expected.size()) {
    return {Verdict::wrong, std::to_string(outputs->size()) + " outputs instead of " +
                                std::to_string(expected.size())};
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string differs = difference((*outputs)[i], expected[i]);
    if (differs.empty()) continue;
    return {Verdict::wrong, "output " + std::to_string(i) + ": " + differs};
  }
  return {};
}

/// The inputs that have no values in the file.
Declared open_inputs(const ::onnx::GraphProto& graph) {
  Declared open;
  for (const ValueInfoProto& input : graph.input()) {
    const auto& known = graph.initializer();
    if (std::ranges::find(known, input.name(), &TensorProto::name) == known.end()) {
      open.push_back(input);
    }
  }
  return open;
}

std::vector<Array> to_arrays(const std::vector<TensorProto>& tensors, const Declared& declared) {
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    arrays.push_back(to_array(tensors[i], declared[i]));
  }
  return arrays;
}

/// The model whose open inputs but `kept` have become initialisers. Where none is kept it has one
/// that nothing reads, because every network has an input.
ModelProto with_initialisers(ModelProto model, const Declared& open,
                             const std::vector<TensorProto>& values,
                             std::optional<std::size_t> kept) {
  auto& graph = *model.mutable_graph();
  graph.clear_input();
  if (!kept) {
    auto& unread = *graph.add_input();
    unread.set_name("unread");
    unread.mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::FLOAT);
    unread.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(1);
  }
  for (std::size_t i = 0; i < open.size(); ++i) {
    if (i == kept) {
      *graph.add_input() = open[i];
    } else {
      TensorProto& value = *graph.add_initializer();
      value = values[i];
      value.set_name(open[i].name());
    }
  }
  return model;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  return kVerdictNames[static_cast<std::size_t>(verdict)];
}

std::optional<Verdict> parse_verdict(std::string_view text) {
  for (const Verdict verdict : kVerdicts) {
    if (to_string(verdict) == text) return verdict;
  }
  return std::nullopt;
}

Outcome try_case(const Planner& planner, const Case& test, const std::filesystem::path& scratch) {
  const auto file = test.folder / "model.onnx";
  const auto model = read_message<ModelProto>(file);
  if (!model) return {Verdict::crashed, "the case cannot be read"};
  const auto& graph = model->graph();
  const Declared open = open_inputs(graph);
  const std::vector<TensorProto> values = read_tensors(test, "input");
  const std::vector<TensorProto> results = read_tensors(test, "output");
  if (values.size() != open.size() || std::ssize(results) != graph.output_size()) {
    return {Verdict::crashed, "the case has not the arrays that its model declares"};
  }
  const std::vector<Array> inputs = to_arrays(values, open);
  const std::vector<Array> expected =
      to_arrays(results, {graph.output().begin(), graph.output().end()});
  Outcome outcome = try_model(planner, file, inputs, expected);
  outcome.reason = shortened(std::move(outcome.reason), file);
  const auto first_real = std::ranges::find(inputs, TensorProto::FLOAT, &Array::type);
  std::vector<std::optional<std::size_t>> forms;
  if (inputs.size() > 1) forms.emplace_back(0);
  if (first_real != inputs.end() && first_real != inputs.begin()) {
    forms.emplace_back(static_cast<std::size_t>(first_real - inputs.begin()));
  }
  if (std::ranges::find(kOfConstants, test.op) != std::end(kOfConstants)) {
    forms.emplace_back(std::nullopt);
  }

  bool passed = outcome.verdict == Verdict::passed;
  const auto changed_file = scratch / "model.onnx";
  for (std::size_t i = 0; i < forms.size(); ++i) {
    std::ofstream(changed_file, std::ios::binary)
        << with_initialisers(*model, open, values, forms[i]).SerializeAsString();
    std::vector<Array> kept;
    kept.push_back(forms[i] ? inputs[*forms[i]]
                            : Array{TensorProto::FLOAT, {1}, std::string(sizeof(float), '\0')});
    Outcome next = try_model(planner, changed_file, kept, expected);
    next.reason = shortened(std::move(next.reason), changed_file);
    passed = passed || next.verdict == Verdict::passed;
    const bool tells_more = i == 0 && forms[i] && next.verdict == outcome.verdict;
    if (next.verdict > outcome.verdict || tells_more) outcome = std::move(next);
  }
  if (passed && outcome.verdict == Verdict::refused) return {};
  return outcome;
}

}  // namespace convopt::conformance
