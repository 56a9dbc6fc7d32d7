// Writes a Network in the JSON format.
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "convopt/network.hpp"
#include "core/json.h"
#include "core/ops/descriptor.h"
#include "core/text.h"
#include "src/network/json_operators.h"

namespace convopt {
namespace {

/// A number as short as it can be written without changing its single-precision value.
double short_number(float value) {
  std::array<char, 32> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  double number = value;
  std::from_chars(digits.data(), written.ptr, number);
  return number;
}

Json sizes(const TensorShape& shape) { return Json(shape.sizes()); }

void add_activation(Json& json, const Activation& activation) {
  switch (activation.kind) {
    case ActivationKind::clip:
      json["min"] = short_number(activation.alpha);
      json["max"] = short_number(activation.beta);
      break;
    case ActivationKind::leaky_relu:
    case ActivationKind::elu:
      json["alpha"] = short_number(activation.alpha);
      break;
    case ActivationKind::pow:
      json["exponent"] = short_number(activation.alpha);
      break;
    default:
      break;
  }
  const std::string text = activation.text();
  json["op"] = text.substr(0, text.find('('));
}

/// Operations of tensors that are no images, and those that have no name in the format.
bool is_written_as_workload(const Workload& workload) {
  if (!workload.is_image()) return true;
  const OpDescriptor& op = descriptor(workload.op);
  const std::string activation = workload.epilogue.activation.text();
  const std::string_view name = workload.op == Op::activation
                                    ? std::string_view(activation).substr(0, activation.find('('))
                                : op.json_name.empty() ? op.name
                                                       : op.json_name;
  return find_operator_description(name) == nullptr;
}

void add_attributes(Json& json, const Workload& workload) {
  if (is_written_as_workload(workload)) {
    json["op"] = "workload";
    // The type of all else is that of the inputs.
    const bool casts = workload.input_type != workload.output_type;
    json["workload"] = (casts ? workload : workload.of_type(DataType::f32)).text();
    return;
  }
  const OpDescriptor& op = descriptor(workload.op);
  json["op"] = op.json_name.empty() ? op.name : op.json_name;
  for (const OpField& field : op.json_fields) {
    const std::vector<int> values = field.get(workload);
    const auto is_default = [&](int value) { return field.omitted == value; };
    if (std::ranges::all_of(values, is_default)) continue;
    json[field.key] = field.form == OpField::Form::number ? Json(values[0]) : Json(values);
  }
  for (const OpConstant& constant : op.constants) {
    json[constant.key] = short_number(workload.*constant.member);
  }
  if (!op.json_mode.empty()) json["mode"] = op.json_mode;
  // The divisors differ only where there is padding.
  if (op.json_name == "avg_pool" && json.contains("padding")) {
    json["count_include_pad"] = workload.op == Op::avg_pool_include;
  }
  if (workload.op == Op::activation) add_activation(json, workload.epilogue.activation);
}

}  // namespace

void add_reshape(Json& entry, const TensorShape& shape) {
  entry["op"] = shape.is_image() ? "reshape" : "view";
  entry[shape.is_image() ? "shape" : "sizes"] = sizes(shape);
}

std::string to_json(const Network& network) {
  // In the file, tensors are called like the operators that make them.
  std::unordered_map<TensorId, std::string> names;
  Json json = {{"schema", "convopt.network/1"}, {"name", network.name}};
  if (!network.source.empty()) json["source"] = network.source;
  Json inputs = Json::array();
  for (const TensorId id : network.inputs) {
    names[id] = network.tensors[id].name;
    Json input = {{"name", names[id]}, {"shape", sizes(network.tensors[id].shape)}};
    if (const DataType type = network.tensors[id].type; type != DataType::f32) {
      input["type"] = to_string(type);
    }
    inputs.push_back(std::move(input));
  }
  json["inputs"] = std::move(inputs);
  Json operators = Json::array();
  for (const Operator& op : network.operators) {
    Json entry = {{"name", op.name}};
    switch (op.kind) {
      case OperatorKind::compute:
        add_attributes(entry, op.workload);
        break;
      case OperatorKind::reshape:
        add_reshape(entry, network.tensors[op.outputs[0]].shape);
        break;
      case OperatorKind::constant:
        entry["op"] = "constant";
        entry["sizes"] = sizes(network.tensors[op.outputs[0]].shape);
        break;
      case OperatorKind::opaque:
        entry["op"] = op.type;
        entry["shape"] = sizes(network.tensors[op.outputs[0]].shape);
        break;
    }
    for (const TensorId input : op.inputs) entry["inputs"].push_back(names[input]);
    for (const TensorId output : op.outputs) names[output] = op.name;
    operators.push_back(std::move(entry));
  }
  json["operators"] = std::move(operators);
  Json outputs = Json::array();
  for (const TensorId id : network.outputs) outputs.push_back(names[id]);
  json["outputs"] = std::move(outputs);
  if (!network.output_names.empty()) json["output_names"] = network.output_names;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace convopt
