// Walks through the operators of an ONNX model in their order and adds them to a GraphBuilder.
//
// The network has tensors of four dimensions, ONNX has them of any rank. So a tensor of the model
// is a tensor of the network and the sizes by which the model knows it, in one of two orders:
// plain, the model's row-major order is that of nchw; or channels last, the model's last dimension
// are the channels and those between it and the first are the pixels. Operators that only
// reinterpret change nothing but these; a reshape or transpose is added where an operator needs the
// elements in another form. What is known while reading is computed at once. An operator that
// convopt cannot compute is an error only if somebody needs its result: what a pattern replaces
// needs none.
#pragma once

#include <onnx/onnx_pb.h>

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/network/graph_builder.h"
#include "src/network/onnx/constant.h"
#include "src/network/onnx/node.h"

namespace convopt::onnx_reader {

/// What a name of the model stands for.
struct Value {
  ConstantPointer constant;  ///< null: a tensor, or an error
  TensorId tensor = -1;
  Dims dims;  ///< of a tensor, as the model sees it
  bool channels_last = false;
  std::optional<Error> error;     ///< why nobody may read it
  const Node* maker = nullptr;    ///< null for inputs and initializers
  const Value* padded = nullptr;  ///< what this is with zeros around it
  Padding padding;                ///< how many

  bool is_tensor() const { return tensor >= 0; }
};

class Importer {
 public:
  Importer(::onnx::ModelProto& model, std::filesystem::path folder, int batch,
           const InputShapes& shapes);
  Result<Network> run();

 private:
  using Made = Result<Value>;
  using Handler = Made (Importer::*)(const Node&);
  using Found = Result<const Value*>;
  static const std::unordered_map<std::string_view, Handler>& handlers();

  // The model's values by name (importer.cpp).
  Result<void> read_opset();
  Result<void> read_initializers();
  Result<void> read_inputs();
  Result<Dims> input_dims(const ::onnx::ValueInfoProto& info) const;
  Result<void> read_nodes();
  Result<void> read_node(const Node& node);
  Result<std::optional<std::vector<Constant>>> compute_now(const Node& node);
  Result<void> define(const std::string& name, const Value* value);
  const Value* keep(Value value);
  /// Null if there is none of that name. Decodes initializers on first use.
  Found find(std::string_view name);
  Result<Network> finish();

  // Inputs of an operator.
  Found input(const Node& node, int index);
  Found tensor_input(const Node& node, int index);
  /// Null if the model leaves the input out; an error if it is no constant.
  Result<ConstantPointer> constant_input(const Node& node, int index);
  Result<std::optional<float>> scalar_input(const Node& node, int index);

  // Forms of tensors.
  std::string fresh(std::string name) const;
  Label label(const Node& node) const;
  Found plain(const std::string& base, const Value& value);
  Result<TensorId> shaped(const std::string& base, const Value& value, const TensorShape& shape);
  /// [n, c, pixels...] of rank 2 to 4.
  Result<TensorId> image(const Node& node, const Value& value);
  /// Null where the elements lie otherwise.
  Found as_channels_last(const Node& node, const Value& value);
  static Made made(Result<TensorId> tensor, Dims dims, bool channels_last = false);

  // Operators (operators.cpp).
  Made conv(const Node& node);
  Made conv_transpose(const Node& node);
  Made pool(const Node& node);
  Made global_pool(const Node& node);
  Made reduce(const Node& node);
  Made batch_norm(const Node& node);
  Made layer_norm(const Node& node);
  Made lrn(const Node& node);
  Made softmax(const Node& node);
  Made activation(const Node& node);
  Made clip(const Node& node);
  Made hard_sigmoid(const Node& node);
  Made prelu(const Node& node);
  Made power(const Node& node);
  Made negate(const Node& node);
  Made arithmetic(const Node& node);
  Made sum(const Node& node);
  Made gemm(const Node& node);
  Made matmul(const Node& node);
  Made concat(const Node& node);
  Made gather(const Node& node);
  Made slice(const Node& node);
  Made reshape(const Node& node);
  Made transpose(const Node& node);
  Made pad(const Node& node);
  Made resize(const Node& node);
  Made depth_to_space(const Node& node);
  Result<void> split(const Node& node);

  // Their parts.
  Made activate(const Node& node, const Value& value, const Activation& activation);
  /// x * scale + shift with constants that broadcast to x; null for 1 and 0.
  Made scale_shift(const Node& node, const Value& x, const Constant* scale, const Constant* shift);
  Made scale(const Node& node, const Value& x, float factor);
  Made binary(const Node& node, Op op, const Value& left, const Value& right);
  Made linear(const Node& node, const Value& x, std::shared_ptr<const StoredWeights> weights,
              std::int64_t inputs, std::int64_t outputs);
  Made resampled(const Node& node, const Value& x, std::shared_ptr<const StoredWeights> rows,
                 std::shared_ptr<const StoredWeights> columns);
  Made reduced(const Node& node, const Value& x, const std::vector<std::size_t>& axes, bool keep,
               PoolKind kind);
  Made normalized(const Node& node, const Value& x, std::size_t axis, float epsilon,
                  std::shared_ptr<const StoredWeights> weights);
  Made channel_range(const Node& node, const std::string& name, const Value& x, std::size_t axis,
                     std::int64_t first, std::int64_t count, std::int64_t step);
  Made transposed_tensor(const Node& node, const Value& x, const std::vector<int>& order);

  // Several operators that mean one (patterns.cpp).
  struct Product {
    std::vector<const Value*> factors;
    std::vector<const Node*> nodes;
    float constant = 1;
  };
  Result<std::optional<Value>> pattern(const Node& node);
  std::optional<Value> layer_norm_pattern(const Node& node);
  bool collect(std::string_view name, int depth, Product& product);
  const Value* value_of(std::string_view name);
  std::optional<float> scalar_of(std::string_view name);
  /// The operator of that type whose result the value is.
  static const Node* maker(const Value* value, std::string_view type);
  /// The other input of an operator one of whose inputs is that number.
  const Value* other_than(const Node* node, float number);
  const Value* shifted_relu6(const Value* value);
  const Value* erf_plus_one(const Value* value);
  bool averages_last(const Node* node, const Value* of);

  ::onnx::ModelProto& model_;
  std::filesystem::path folder_;
  int batch_;
  const InputShapes& shapes_;
  GraphBuilder graph_;
  int opset_ = 0;
  std::deque<Node> nodes_;  // of stable address, like the values
  std::deque<Value> values_;
  std::unordered_map<std::string, const Value*> names_;
  std::unordered_map<std::string, ::onnx::TensorProto*> initializers_;  // not yet decoded
  std::unordered_map<TensorId, TensorId> channels_moved_;     // tensors with channels moved behind
  mutable std::unordered_map<std::string, int> last_number_;  // of names used more than once
  std::int64_t computed_elements_ = 0;
  int computed_ = 0;
  std::map<std::string, int> patterns_;
};

/// Sizes of a plain tensor in four dimensions: those of the model, filled up with ones; what
/// exceeds four is in the last one.
TensorShape natural_shape(const Dims& dims);

/// Axes [first, last) of a plain tensor as channels, those before as images, those behind as
/// pixels.
TensorShape shape_around(const Dims& dims, std::size_t first, std::size_t last);

}  // namespace convopt::onnx_reader
