#include "tests/network/onnx_model.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <sstream>

#include "core/conversion.h"
#include "src/network/onnx/reader.h"
#include "src/runtime/weights.h"

namespace convopt::testing {
namespace {

::onnx::TensorProto described(const std::string& name, const Dims& dims,
                              ::onnx::TensorProto::DataType type) {
  ::onnx::TensorProto tensor;
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const std::int64_t size : dims) tensor.add_dims(size);
  return tensor;
}

struct Setter {
  ::onnx::AttributeProto& attribute;

  void operator()(std::int64_t value) const {
    attribute.set_type(::onnx::AttributeProto::INT);
    attribute.set_i(value);
  }
  void operator()(float value) const {
    attribute.set_type(::onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
  }
  void operator()(const std::string& value) const {
    attribute.set_type(::onnx::AttributeProto::STRING);
    attribute.set_s(value);
  }
  void operator()(const Dims& values) const {
    attribute.set_type(::onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute.add_ints(value);
  }
  void operator()(const std::vector<float>& values) const {
    attribute.set_type(::onnx::AttributeProto::FLOATS);
    for (const float value : values) attribute.add_floats(value);
  }
  void operator()(const ::onnx::TensorProto& value) const {
    attribute.set_type(::onnx::AttributeProto::TENSOR);
    *attribute.mutable_t() = value;
  }
};

}  // namespace

::onnx::TensorProto float_tensor(const std::string& name, const Dims& dims,
                                 const std::vector<float>& values) {
  auto tensor = described(name, dims, ::onnx::TensorProto::FLOAT);
  for (const float value : values) tensor.add_float_data(value);
  return tensor;
}

::onnx::TensorProto integer_tensor(const std::string& name, const Dims& dims, const Dims& values) {
  auto tensor = described(name, dims, ::onnx::TensorProto::INT64);
  for (const std::int64_t value : values) tensor.add_int64_data(value);
  return tensor;
}

OnnxModel::OnnxModel(int opset) {
  model_.set_ir_version(8);
  model_.set_producer_name("test");
  model_.add_opset_import()->set_version(opset);
  model_.mutable_graph()->set_name("graph");
}

OnnxModel& OnnxModel::input(const std::string& name, const Dims& dims, const std::string& open) {
  auto* info = model_.mutable_graph()->add_input();
  info->set_name(name);
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(::onnx::TensorProto::FLOAT);
  type->mutable_shape();
  for (const std::int64_t size : dims) {
    auto* dim = type->mutable_shape()->add_dim();
    if (size >= 0) {
      dim->set_dim_value(size);
    } else {
      dim->set_dim_param(open);
    }
  }
  return *this;
}

OnnxModel& OnnxModel::output(const std::string& name) {
  model_.mutable_graph()->add_output()->set_name(name);
  return *this;
}

OnnxModel& OnnxModel::initializer(const ::onnx::TensorProto& tensor) {
  *model_.mutable_graph()->add_initializer() = tensor;
  return *this;
}

OnnxModel& OnnxModel::floats(const std::string& name, const Dims& dims,
                             const std::vector<float>& values) {
  return initializer(float_tensor(name, dims, values));
}

OnnxModel& OnnxModel::random(const std::string& name, const Dims& dims) {
  std::int64_t count = 1;
  std::uint64_t seed = 1;
  for (const std::int64_t size : dims) count *= size;
  for (const char letter : name) seed = seed * 131 + static_cast<unsigned char>(letter);
  return floats(name, dims, random_values(count, seed));
}

OnnxModel& OnnxModel::integers(const std::string& name, const Dims& values, bool scalar) {
  return initializer(integer_tensor(
      name, scalar ? Dims{} : Dims{static_cast<std::int64_t>(values.size())}, values));
}

OnnxModel& OnnxModel::node(const std::string& type, const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs, const Attributes& attributes) {
  auto* node = model_.mutable_graph()->add_node();
  node->set_op_type(type);
  if (!outputs.empty()) node->set_name(outputs.front());
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  for (const auto& [name, value] : attributes) {
    auto* attribute = node->add_attribute();
    attribute->set_name(name);
    std::visit(Setter{*attribute}, value);
  }
  return *this;
}

Result<Network> OnnxModel::read(const InputShapes& shapes, const std::filesystem::path& folder,
                                int batch, const InputValues& values) const {
  return read_onnx(bytes(), "test.onnx", {folder, batch, shapes, values, nullptr});
}

Result<Network> read_bytes(const std::string& bytes, const std::filesystem::path& folder) {
  return read_onnx(bytes, "test.onnx", {folder, 0, {}, {}, nullptr});
}

std::vector<float> random_values(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(random() >> 40U) * 0x1p-23F - 1.0F);
  return values;
}

Computed compute(const OnnxModel& model, const InputShapes& shapes, const InputValues& values) {
  auto network = model.read(shapes, {}, 0, values);
  EXPECT_TRUE(network.ok()) << (network.ok() ? "" : network.error().message);
  if (!network.ok()) return {};
  Computed result{std::move(*network), {}, {}};
  for (const TensorId id : result.network.inputs)
    result.inputs.push_back(
        random_values(result.network.tensors[id].shape.elements(), 7 + result.inputs.size()));
  result.outputs =
      reference_outputs(result.network, NetworkWeights(result.network, 1), result.inputs);
  return result;
}

std::vector<float> floats_of(const convopt::Array& array) {
  std::vector<float> values(array.data.size() / element_bytes(array.type));
  to_floats(array.data.data(), array.type, std::ssize(values), values.data());
  return values;
}

Result<std::vector<convopt::Array>> compute_with_rest(const OnnxModel& model,
                                                      const Tensors& inputs) {
  const auto run = [](const Network& network, const Tensors& given) {
    const Tensors results = reference_outputs(network, NetworkWeights(network, 1), given);
    const std::vector<Tensor> tensors = network.named_outputs();
    std::vector<convopt::Array> arrays;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Tensor& tensor = tensors[i];
      convopt::Array& array = arrays.emplace_back();
      array.name = tensor.name;
      array.type = tensor.type;
      array.shape.assign(tensor.shape.sizes().begin(), tensor.shape.sizes().end());
      array.data.resize(results[i].size() * element_bytes(tensor.type));
      from_floats(results[i].data(), std::ssize(results[i]), tensor.type, array.data.data());
    }
    return arrays;
  };
  auto network = model.read();
  if (!network) return network.error();
  std::vector<convopt::Array> outputs = run(*network, inputs);
  auto rest = network->rest;
  while (rest != nullptr) {
    auto step = rest->next(outputs);
    if (!step) return step.error();
    if (step->network == nullptr) return step->outputs;
    Tensors given;
    for (const convopt::Array& input : step->inputs) given.push_back(floats_of(input));
    outputs = run(*step->network, given);
    rest = step->rest;
  }
  return outputs;
}

}  // namespace convopt::testing
