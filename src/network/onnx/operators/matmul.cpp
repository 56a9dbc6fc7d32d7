// Products with a constant matrix.
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> linear(Import& model, const Node& node, const Value& x, WeightsPointer weights,
                     std::int64_t inputs, std::int64_t outputs) {
  if (x.dims.empty() || x.dims.back() != inputs || outputs < 1 || outputs > kMaxSize)
    return node.error("its weights do not fit its input " + dims_text(x.dims));
  Dims dims = x.dims;
  dims.back() = outputs;
  if (x.channels_last) {
    ConvAttributes attributes;
    attributes.oc = static_cast<int>(outputs);
    return made(model.graph().add_conv(model.label(node), x.tensor, attributes, std::move(weights)),
                std::move(dims), true);
  }
  const TensorShape rows = shape_around(x.dims, x.dims.size() - 1, x.dims.size());
  CONVOPT_TRY(const auto tensor, model.shaped(node.name(), x, {rows.n(), rows.c(), 1, 1}));
  return made(model.graph().add_fully_connected(model.label(node), tensor,
                                                static_cast<int>(outputs), std::move(weights)),
              std::move(dims));
}

Result<Value> gemm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto matrix, model.constant_input(node, 1));
  CONVOPT_TRY(const auto bias, model.constant_input(node, 2));
  if (node.integer("transA", 0) != 0) return node.unsupported("a transposed input");
  if (matrix == nullptr || matrix->dims.size() != 2 || !matrix->is_float)
    return node.error("its weights must be a matrix of float32");
  const bool transposes = node.integer("transB", 0) == 0;
  const std::int64_t outputs = matrix->dims[transposes ? 1 : 0];
  StoredWeights weights;
  weights.weights = transposes ? transposed(*matrix, {1, 0}).floats : matrix->floats;
  if (const float alpha = node.number("alpha", 1); alpha != 1)
    for (float& weight : weights.weights) weight *= alpha;
  if (bias != nullptr) {
    Dims row = bias->dims;
    if (row.size() == 2 && row[0] == 1) row.erase(row.begin());
    Constant offsets = *bias;
    offsets.dims = row;
    if (!offsets.is_float || broadcast({outputs}, row) != Dims{outputs})
      return node.unsupported("a bias that differs from row to row");
    weights.bias = expanded(offsets, {outputs}).floats;
    if (const float beta = node.number("beta", 1); beta != 1)
      for (float& offset : weights.bias) offset *= beta;
  }
  return linear(model, node, *x, std::make_shared<const StoredWeights>(std::move(weights)),
                matrix->dims[transposes ? 0 : 1], outputs);
}

Result<Value> matmul(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto right, model.input(node, 1));
  if (right->is_tensor()) return node.unsupported("the product of two tensors of the network");
  const Constant& matrix = *right->constant;
  if (matrix.dims.size() != 2 || !matrix.is_float)
    return node.unsupported("anything but a matrix of float32 as second input");
  auto weights = std::make_shared<const StoredWeights>(transposed(matrix, {1, 0}).floats,
                                                       std::vector<float>());
  return linear(model, node, *x, std::move(weights), matrix.dims[0], matrix.dims[1]);
}

}  // namespace

OperatorTable matmul_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Gemm", gemm},
      {"MatMul", matmul},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
