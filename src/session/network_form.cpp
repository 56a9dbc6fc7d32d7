#include "src/session/network_form.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/json_lines.h"
#include "core/names.h"
#include "core/ops/descriptor.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, 3> kKinds = {"compute", "reshape", "constant"};

Error bad(const std::string& what, const std::string& why) {
  return make_error(ErrorCode::bad_input, what + " " + why);
}

/// What a workload's text leaves out or rounds.
Json constants_of(const Workload& workload) {
  Json constants = Json::object();
  for (const OpConstant& constant : descriptor(workload.op).constants)
    constants[std::string(constant.key)] = workload.*constant.member;
  const Activation& activation = workload.epilogue.activation;
  if (activation.kind != ActivationKind::none)
    constants["activation"] = {activation.alpha, activation.beta};
  return constants;
}

Result<std::vector<std::int64_t>> integers(const Json& object, const char* key,
                                           const std::string& what, std::int64_t low,
                                           std::int64_t high) {
  std::vector<std::int64_t> values;
  const auto found = object.find(key);
  if (found == object.end()) return values;
  if (!found->is_array()) return bad(what, "has no list under '" + std::string(key) + "'");
  for (const Json& value : *found) {
    if (!value.is_number_integer())
      return bad(what, "has no numbers under '" + std::string(key) + "'");
    values.push_back(value.get<std::int64_t>());
    if (values.back() < low || values.back() > high)
      return bad(what, "has a number out of range under '" + std::string(key) + "'");
  }
  return values;
}

Result<std::vector<std::string>> texts(const Json& object, const char* key,
                                       const std::string& what) {
  std::vector<std::string> values;
  const auto found = object.find(key);
  if (found == object.end()) return values;
  if (!found->is_array()) return bad(what, "has no list under '" + std::string(key) + "'");
  for (const Json& value : *found) {
    if (!value.is_string()) return bad(what, "has no texts under '" + std::string(key) + "'");
    values.push_back(value.get<std::string>());
  }
  return values;
}

Result<std::vector<TensorId>> ids(const Json& object, const char* key, const std::string& what,
                                  std::size_t count) {
  CONVOPT_TRY(const auto values,
              integers(object, key, what, 0, static_cast<std::int64_t>(count) - 1));
  return std::vector<TensorId>(values.begin(), values.end());
}

Result<Tensor> tensor_of(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  Tensor tensor;
  reader.text("name", tensor.name, true);
  reader.name("type", tensor.type);
  if (!reader.ok()) return reader.error();
  CONVOPT_TRY(const auto sizes, integers(json, "shape", what, 1, kMaxDimension));
  if (sizes.size() > kMaxRank) return bad(what, "has too many dimensions");
  const std::vector<int> shape(sizes.begin(), sizes.end());
  tensor.shape = TensorShape(shape);
  double elements = 1;
  for (const int size : shape) elements *= size;
  if (elements > std::numeric_limits<std::int32_t>::max()) return bad(what, "is too large");
  return tensor;
}

Result<Workload> workload_of(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  std::string text;
  reader.text("workload", text, true);
  if (!reader.ok()) return reader.error();
  auto workload = Workload::parse(text);
  if (!workload) return bad(what, "is no workload: " + workload.error().message);
  CONVOPT_CHECK(workload->validate());
  const Json* const constants = reader.find("constants", false);
  if (constants == nullptr) return std::move(*workload);
  JsonReader values(*constants, what);
  for (const OpConstant& constant : descriptor(workload->op).constants)
    values.number(std::string(constant.key).c_str(), (*workload).*constant.member, true);
  if (const Json* const pair = values.find("activation", false); pair != nullptr) {
    if (!pair->is_array() || pair->size() != 2 || !(*pair)[0].is_number() ||
        !(*pair)[1].is_number())
      return bad(what, "has no two numbers for its activation");
    workload->epilogue.activation.alpha = (*pair)[0].get<float>();
    workload->epilogue.activation.beta = (*pair)[1].get<float>();
  }
  if (!values.ok()) return values.error();
  return std::move(*workload);
}

/// Whether the tensors are those that the operator is made for.
bool fits(const Operator& op, const std::vector<Tensor>& tensors) {
  if (op.outputs.size() != 1) return false;
  const Tensor& result = tensors[op.outputs.front()];
  switch (op.kind) {
    case OperatorKind::constant:
      return op.inputs.empty();
    case OperatorKind::reshape:
      return op.inputs.size() == 1 &&
             tensors[op.inputs.front()].shape.elements() == result.shape.elements() &&
             tensors[op.inputs.front()].type == result.type;
    default:
      break;
  }
  const Workload& workload = op.workload;
  if (std::ssize(op.inputs) != workload.source_count()) return false;
  for (int i = 0; i < workload.source_count(); ++i) {
    const Tensor& source = tensors[op.inputs[i]];
    if (source.shape != workload.source(i) || source.type != workload.source_type(i)) return false;
  }
  return result.shape == workload.output() && result.type == workload.output_type;
}

/// Those of resample are indices of elements along its axis, before the factors.
bool are_sound(const Workload& workload, std::span<const float> weights) {
  if (workload.op != Op::resample) return true;
  const auto size = static_cast<float>(workload.first[workload.axis]);
  return std::ranges::all_of(weights.first(weights.size() / 2),
                             [&](float index) { return index >= 0 && index < size; });
}

Result<StoredRange> range_under(const Json& json, const char* key, const std::string& what) {
  CONVOPT_TRY(const auto values,
              integers(json, key, what, 0, std::numeric_limits<std::int64_t>::max() / 8));
  if (values.size() != 2) return bad(what, "does not say where its numbers are");
  return StoredRange{static_cast<std::size_t>(values[0]), static_cast<std::size_t>(values[1])};
}

}  // namespace

Json network_form(const Network& network,
                  const std::function<StoredRange(std::size_t, bool)>& range_of) {
  Json tensors = Json::array(), operators = Json::array();
  for (const Tensor& tensor : network.tensors) {
    const auto sizes = tensor.shape.sizes();
    Json json = {{"name", tensor.name}, {"shape", std::vector<int>(sizes.begin(), sizes.end())}};
    if (tensor.type != DataType::f32) json["type"] = to_string(tensor.type);
    tensors.push_back(std::move(json));
  }
  for (std::size_t i = 0; i < network.operators.size(); ++i) {
    const Operator& op = network.operators[i];
    Json json = {
        {"name", op.name}, {"type", op.type}, {"kind", name_in<OperatorKind>(kKinds, op.kind)}};
    if (op.kind == OperatorKind::compute) {
      json["workload"] = op.workload.text();
      if (Json constants = constants_of(op.workload); !constants.empty())
        json["constants"] = std::move(constants);
    }
    if (!op.inputs.empty()) json["inputs"] = op.inputs;
    json["outputs"] = op.outputs;
    if (!op.folded.empty()) json["folded"] = op.folded;
    if (const StoredRange range = range_of(i, false); range.count > 0)
      json["weights"] = {range.offset, range.count};
    if (const StoredRange range = range_of(i, true); range.count > 0)
      json["bias"] = {range.offset, range.count};
    operators.push_back(std::move(json));
  }
  Json form = {{"name", network.name},     {"source", network.source},   {"tensors", tensors},
               {"inputs", network.inputs}, {"outputs", network.outputs}, {"operators", operators}};
  if (!network.output_names.empty()) form["output_names"] = network.output_names;
  return form;
}

Result<Network> network_of_form(const Json& form, const std::string& what,
                                const std::function<Result<FloatArray>(StoredRange)>& numbers) {
  JsonReader reader(form, what);
  Network network;
  reader.text("name", network.name, true);
  reader.text("source", network.source);
  if (!reader.ok()) return reader.error();
  CONVOPT_CHECK(read_list(reader, "tensors", what, network.tensors, tensor_of));
  const std::size_t count = network.tensors.size();
  CONVOPT_TRY(network.inputs, ids(form, "inputs", what, count));
  CONVOPT_TRY(network.outputs, ids(form, "outputs", what, count));
  CONVOPT_TRY(network.output_names, texts(form, "output_names", what));
  if (!network.output_names.empty() && network.output_names.size() != network.outputs.size())
    return bad(what, "has not as many names as outputs");

  std::vector<char> is_made(count, 0);
  const auto make = [&](TensorId id) { return std::exchange(is_made[id], 1) == 0; };
  for (const TensorId id : network.inputs)
    if (!make(id)) return bad(what, "has an input twice");
  const auto read_operator = [&](const Json& json, const std::string& where) -> Result<Operator> {
    JsonReader of_op(json, where);
    Operator op;
    std::string kind;
    of_op.text("name", op.name, true);
    of_op.text("type", op.type);
    of_op.text("kind", kind, true);
    if (!of_op.ok()) return of_op.error();
    const auto known = std::ranges::find(kKinds, kind);
    if (known == kKinds.end()) return bad(where, "is of no known kind");
    op.kind = static_cast<OperatorKind>(known - kKinds.begin());
    if (op.kind == OperatorKind::compute) {
      CONVOPT_TRY(op.workload, workload_of(json, where));
    }
    CONVOPT_TRY(op.inputs, ids(json, "inputs", where, count));
    CONVOPT_TRY(op.outputs, ids(json, "outputs", where, count));
    CONVOPT_TRY(op.folded, texts(json, "folded", where));
    for (const TensorId id : op.inputs)
      if (is_made[id] == 0) return bad(where, "reads a tensor that is not there yet");
    for (const TensorId id : op.outputs)
      if (!make(id)) return bad(where, "writes a tensor that is there already");
    if (!fits(op, network.tensors)) return bad(where, "does not fit its tensors");
    const bool is_constant = op.kind == OperatorKind::constant;
    if (!is_constant && (op.kind != OperatorKind::compute || !op.workload.has_weights())) return op;
    StoredWeights stored;
    CONVOPT_TRY(const StoredRange weights, range_under(json, "weights", where));
    const std::int64_t wanted = is_constant ? network.tensors[op.outputs.front()].shape.elements()
                                            : op.workload.weight_elements();
    if (static_cast<std::int64_t>(weights.count) != wanted)
      return bad(where, "has another number of weights than it needs");
    CONVOPT_TRY(stored.weights, numbers(weights));
    if (!is_constant && !are_sound(op.workload, stored.weights))
      return bad(where, "has weights that are no indices");
    if (json.contains("bias")) {
      CONVOPT_TRY(const StoredRange bias, range_under(json, "bias", where));
      if (is_constant || static_cast<std::int64_t>(bias.count) != op.workload.bias_elements())
        return bad(where, "has another number of bias values than it needs");
      CONVOPT_TRY(stored.bias, numbers(bias));
    }
    op.weights = std::make_shared<StoredWeights>(std::move(stored));
    return op;
  };
  CONVOPT_CHECK(read_list(reader, "operators", what, network.operators, read_operator));
  for (const TensorId id : network.outputs)
    if (is_made[id] == 0) return bad(what, "has an output that nothing makes");
  return network;
}

}  // namespace convopt
