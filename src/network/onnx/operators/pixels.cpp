// Pixels out of channels.

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> depth_to_space(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::int64_t block = node.integer("blocksize", 0);
  if (x->dims.size() != 4 || block < 1 || block > 4096 || x->dims[1] % (block * block) != 0)
    return node.error("its block does not fit its input");
  CONVOPT_TRY(auto tensor, model.image(node, *x));
  const int factor = static_cast<int>(block);
  // In the older order, pixels are the slower index of the channels.
  if (node.text("mode", "DCR") == "DCR") {
    CONVOPT_TRY(tensor,
                model.graph().add_shuffle({model.fresh(node.name() + "/channels"), "shuffle"},
                                          tensor, factor * factor));
  }
  CONVOPT_TRY(const auto result,
              model.graph().add_depth_to_space(model.label(node), tensor, {factor, factor}));
  return made(result, dims_of(model.graph().shape(result), 4));
}

Result<Value> space_to_depth(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::int64_t b = node.integer("blocksize", 0);
  const Dims& d = x->dims;
  if (d.size() != 4 || b < 1 || d[2] % b != 0 || d[3] % b != 0)
    return node.error("its block does not fit its input");
  CONVOPT_TRY(const auto blocks,
              reshaped_value(model, node, *x, {d[0], d[1], d[2] / b, b, d[3] / b, b}));
  CONVOPT_TRY(const auto moved, transposed_value(model, node, blocks, {0, 3, 5, 1, 2, 4}));
  return reshaped_value(model, node, moved, {d[0], d[1] * b * b, d[2] / b, d[3] / b});
}

}  // namespace

OperatorTable pixel_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"SpaceToDepth", space_to_depth},
      {"DepthToSpace", depth_to_space},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
