// The reader of ONNX models.
#include <onnx/onnx_pb.h>

#include <iterator>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "src/network/onnx/reader.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr const char* kAttributes[] = {"activations",
                                       "align_corners",
                                       "allowzero",
                                       "alpha",
                                       "antialias",
                                       "approximate",
                                       "auto_pad",
                                       "axes",
                                       "axis",
                                       "batch_axis",
                                       "batch_dims",
                                       "beta",
                                       "bias",
                                       "blocksize",
                                       "border",
                                       "broadcast",
                                       "ceil_mode",
                                       "clip",
                                       "coordinate_transformation_mode",
                                       "count_include_pad",
                                       "cubic_coeff_a",
                                       "detect_negative",
                                       "detect_positive",
                                       "dilations",
                                       "direction",
                                       "dtype",
                                       "end",
                                       "ends",
                                       "epsilon",
                                       "equation",
                                       "exclude_outside",
                                       "exclusive",
                                       "extrapolation_value",
                                       "fmod",
                                       "gamma",
                                       "group",
                                       "input_forget",
                                       "k",
                                       "keep_aspect_ratio_policy",
                                       "keepdims",
                                       "kernel_shape",
                                       "lambd",
                                       "largest",
                                       "layout",
                                       "linear_before_reset",
                                       "max",
                                       "min",
                                       "mode",
                                       "nearest_mode",
                                       "noop_with_empty_axes",
                                       "num_groups",
                                       "num_outputs",
                                       "output_datatype",
                                       "output_height",
                                       "output_padding",
                                       "output_shape",
                                       "output_width",
                                       "p",
                                       "padding_mode",
                                       "pads",
                                       "periodic",
                                       "perm",
                                       "reduction",
                                       "repeats",
                                       "reverse",
                                       "sampling_ratio",
                                       "scale",
                                       "scales",
                                       "select_last_index",
                                       "shape",
                                       "size",
                                       "spatial_scale",
                                       "split",
                                       "start",
                                       "starts",
                                       "steps",
                                       "storage_order",
                                       "strides",
                                       "time_axis",
                                       "to",
                                       "training_mode",
                                       "transA",
                                       "transB",
                                       "upper",
                                       "value",
                                       "value_float",
                                       "value_ints"};
constexpr const char* kTexts[] = {"SAME_UPPER",
                                  "SAME_LOWER",
                                  "VALID",
                                  "NOTSET",
                                  "nearest",
                                  "linear",
                                  "bilinear",
                                  "cubic",
                                  "asymmetric",
                                  "half_pixel",
                                  "align_corners",
                                  "tf_crop_and_resize",
                                  "output_half_pixel",
                                  "floor",
                                  "ceil",
                                  "DCR",
                                  "CRD",
                                  "constant",
                                  "reflect",
                                  "edge",
                                  "wrap",
                                  "zeros",
                                  "border",
                                  "reflection",
                                  "avg",
                                  "max",
                                  "min",
                                  "add",
                                  "mul",
                                  "none",
                                  "tanh",
                                  "bidirectional",
                                  "reverse",
                                  "forward",
                                  "Relu",
                                  "ij,jk->ik",
                                  "bij,bjk->bik",
                                  "ii->i",
                                  "..i->..i",
                                  "i,j->",
                                  ""};
constexpr std::int64_t kIntegers[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      7,
                                      9,
                                      16,
                                      -1,
                                      -2,
                                      -3,
                                      -4,
                                      1 << 24,
                                      1 << 30,
                                      std::numeric_limits<std::int32_t>::max(),
                                      std::int64_t{1} << 33,
                                      std::numeric_limits<std::int64_t>::max(),
                                      std::numeric_limits<std::int64_t>::min()};
const float kNumbers[] = {0,
                          1,
                          -1,
                          0.5F,
                          1e-5F,
                          3e38F,
                          std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};

class Mutator {
 public:
  Mutator(::onnx::ModelProto& model, unsigned seed) : model_(model), random_(seed) {}

  void change() {
    auto& graph = *model_.mutable_graph();
    switch (below(8)) {
      case 0:
        if (model_.opset_import_size() > 0)
          model_.mutable_opset_import(0)->set_version(5 + static_cast<std::int64_t>(below(19)));
        return;
      case 1:
        return change_shape(graph);
      case 2:
        return change_tensor(graph);
      case 3:  // a node more
        if (graph.node_size() > 0) {
          auto& copy = *graph.add_node();
          copy = graph.node(index(graph.node_size()));
          for (auto& output : *copy.mutable_output()) output += "_";
          copy.set_op_type(some_type());
        }
        return;
      default:
        if (graph.node_size() > 0) change_node(*graph.mutable_node(index(graph.node_size())));
    }
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  int index(int count) { return static_cast<int>(below(static_cast<std::size_t>(count))); }
  template <class Value, std::size_t kCount>
  const Value& pick(const Value (&values)[kCount]) {
    return values[below(kCount)];
  }

  std::string some_type() {
    static const std::vector<std::string_view> types = convopt::onnx_operators();
    return std::string(types[below(types.size())]);
  }

  std::string some_name() {
    const auto& graph = model_.graph();
    const auto& node = graph.node(index(graph.node_size()));
    switch (below(4)) {
      case 0:
        if (graph.initializer_size() > 0)
          return graph.initializer(index(graph.initializer_size())).name();
        break;
      case 1:
        if (graph.input_size() > 0) return graph.input(index(graph.input_size())).name();
        break;
      case 2:
        if (node.output_size() > 0) return node.output(index(node.output_size()));
        break;
      default:
        if (node.input_size() > 0) return node.input(index(node.input_size()));
    }
    return {};
  }

  void change_node(::onnx::NodeProto& node) {
    switch (below(6)) {
      case 0:
        node.set_op_type(some_type());
        break;
      case 1:
        if (node.input_size() > 0) node.set_input(index(node.input_size()), some_name());
        break;
      case 2:
        node.add_input(some_name());
        break;
      case 3:
        if (node.input_size() > 0 && below(2) == 0) {
          node.mutable_input()->RemoveLast();
        } else {
          node.add_output("extra" + std::to_string(below(3)));
        }
        break;
      default:
        change_attribute(node);
    }
  }

  void change_attribute(::onnx::NodeProto& node) {
    const bool adds = node.attribute_size() == 0 || below(3) == 0;
    auto& attribute =
        adds ? *node.add_attribute() : *node.mutable_attribute(index(node.attribute_size()));
    if (adds) attribute.set_name(pick(kAttributes));
    const bool keeps = !adds && below(4) != 0;
    using Type = ::onnx::AttributeProto;
    const Type::AttributeType types[] = {Type::INT, Type::FLOAT, Type::STRING, Type::INTS,
                                         Type::FLOATS};
    if (!keeps) attribute.set_type(pick(types));
    switch (attribute.type()) {
      case Type::INT:
        attribute.set_i(pick(kIntegers));
        break;
      case Type::FLOAT:
        attribute.set_f(pick(kNumbers));
        break;
      case Type::STRING:
        attribute.set_s(pick(kTexts));
        break;
      case Type::INTS:
        if (attribute.ints_size() == 0 || below(4) == 0) {
          attribute.add_ints(pick(kIntegers));
        } else {
          attribute.set_ints(index(attribute.ints_size()), pick(kIntegers));
        }
        break;
      case Type::FLOATS:
        attribute.add_floats(pick(kNumbers));
        break;
      default:
        break;
    }
  }

  void change_shape(::onnx::GraphProto& graph) {
    if (graph.input_size() == 0) return;
    auto& input = *graph.mutable_input(index(graph.input_size()));
    auto& shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
    if (shape.dim_size() == 0 || below(5) == 0) {
      shape.add_dim()->set_dim_value(pick(kIntegers));
    } else {
      shape.mutable_dim(index(shape.dim_size()))->set_dim_value(pick(kIntegers));
    }
  }

  void change_tensor(::onnx::GraphProto& graph) {
    if (graph.initializer_size() == 0) return;
    auto& tensor = *graph.mutable_initializer(index(graph.initializer_size()));
    switch (below(5)) {
      case 0:
        if (tensor.dims_size() > 0) tensor.set_dims(index(tensor.dims_size()), pick(kIntegers));
        break;
      case 1:
        tensor.set_data_type(static_cast<int>(below(18)));
        break;
      case 2:
        tensor.add_dims(pick(kIntegers));
        break;
      default:
        if (tensor.int64_data_size() > 0)
          tensor.set_int64_data(index(tensor.int64_data_size()), pick(kIntegers));
        if (tensor.float_data_size() > 0)
          tensor.set_float_data(index(tensor.float_data_size()), pick(kNumbers));
    }
  }

  ::onnx::ModelProto& model_;
  std::mt19937 random_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  convopt::fuzz::check(convopt::read_onnx(bytes, "fuzz", {}));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  ::onnx::ModelProto model;
  if (!model.ParseFromArray(data, static_cast<int>(size)) || !model.has_graph() ||
      model.graph().node_size() == 0)
    return 0;
  Mutator(model, seed).change();
  const std::size_t new_size = model.ByteSizeLong();
  if (new_size > max_size || !model.SerializeToArray(data, static_cast<int>(new_size))) return 0;
  return new_size;
}
