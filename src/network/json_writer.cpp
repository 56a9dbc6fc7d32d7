// Writes a Network in the JSON format.
#include <array>
#include <charconv>
#include <unordered_map>

#include "convopt/network.hpp"
#include "core/json.h"
#include "core/text.h"

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

Json padding(const ConvShape& s) { return {s.pad_top, s.pad_bottom, s.pad_left, s.pad_right}; }

bool is_padded(const ConvShape& s) {
  return s.pad_top + s.pad_bottom + s.pad_left + s.pad_right > 0;
}

void add_window(Json& json, const ConvShape& s) {
  json["kernel"] = {s.kh, s.kw};
  json["stride"] = {s.stride_h, s.stride_w};
  if (is_padded(s)) json["padding"] = padding(s);
}

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

void add_attributes(Json& json, const Workload& workload) {
  const ConvShape& s = workload.shape;
  json["op"] = to_string(workload.op);
  switch (workload.op) {
    case Op::conv:
      json["oc"] = s.oc;
      add_window(json, s);
      if (s.dilation_h != 1 || s.dilation_w != 1) json["dilation"] = {s.dilation_h, s.dilation_w};
      if (s.groups != 1) json["groups"] = s.groups;
      break;
    case Op::max_pool:
      add_window(json, s);
      break;
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      json["op"] = "avg_pool";
      add_window(json, s);
      if (is_padded(s)) json["count_include_pad"] = workload.op == Op::avg_pool_include;
      break;
    case Op::activation:
      add_activation(json, workload.epilogue.activation);
      break;
    case Op::fully_connected:
      json["oc"] = s.oc;
      break;
    case Op::lrn:
      json["size"] = s.kh;
      json["alpha"] = short_number(workload.lrn_alpha);
      json["beta"] = short_number(workload.lrn_beta);
      json["k"] = short_number(workload.lrn_k);
      break;
    case Op::upsample_nearest:
    case Op::upsample_bilinear:
    case Op::upsample_corners:
      json["op"] = "upsample";
      json["factor"] = {s.stride_h, s.stride_w};
      json["mode"] = workload.op == Op::upsample_nearest    ? "nearest"
                     : workload.op == Op::upsample_bilinear ? "bilinear"
                                                            : "corners";
      break;
    case Op::slice:
      if (workload.parts[0] != 0) json["first"] = workload.parts[0];
      json["count"] = s.oc;
      if (workload.parts[1] != 1) json["step"] = workload.parts[1];
      break;
    case Op::shuffle:
      json["groups"] = workload.parts[0];
      break;
    case Op::pad:
      json["padding"] = padding(s);
      break;
    case Op::depth_to_space:
      json["factor"] = {s.stride_h, s.stride_w};
      break;
    case Op::transpose:
      json["order"] = workload.parts;
      break;
    case Op::layer_norm:
      json["epsilon"] = short_number(workload.epsilon);
      break;
    case Op::add:
    case Op::multiply:
    case Op::subtract:
    case Op::divide:
    case Op::concat:
    case Op::softmax:
    case Op::convert:
      break;
  }
}

}  // namespace

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
        entry["op"] = "reshape";
        entry["shape"] = sizes(network.tensors[op.outputs[0]].shape);
        break;
      case OperatorKind::opaque:
        entry["op"] = op.type;
        entry["shape"] = sizes(network.tensors[op.outputs[0]].shape);
        break;
    }
    entry["inputs"] = Json::array();
    for (const TensorId input : op.inputs) entry["inputs"].push_back(names[input]);
    for (const TensorId output : op.outputs) names[output] = op.name;
    operators.push_back(std::move(entry));
  }
  json["operators"] = std::move(operators);
  Json outputs = Json::array();
  for (const TensorId id : network.outputs) outputs.push_back(names[id]);
  json["outputs"] = std::move(outputs);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace convopt
