// Pixels around an image, and pixels out of channels.
#include <algorithm>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> pad(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given, model.constant_input(node, 1));
  CONVOPT_TRY(const auto value, model.scalar_input(node, 2));
  if (node.has_input(3)) return node.unsupported("a choice of axes");
  if (node.text("mode", "constant") != "constant" || value.value_or(node.number("value", 0)) != 0)
    return node.unsupported("padding with anything but zeros");
  const Dims& dims = x->dims;
  const Integers pads = integers_of(node, node.opset() < 2 ? "paddings" : "pads", given.get());
  if (pads.size() != 2 * dims.size()) return node.error("its padding does not fit its input");
  if (std::ranges::all_of(pads, [](std::int64_t pad) { return pad == 0; })) return *x;
  Padding padding;
  const std::size_t rank = dims.size();
  if (rank < 3 || rank > 4) return node.unsupported("padding anything but the pixels of images");
  for (std::size_t i = 0; i < 2 * rank; ++i) {
    if (pads[i] < 0 || pads[i] > kMaxSize) return node.unsupported("padding that is negative");
    if (i % rank < 2 && pads[i] != 0)
      return node.unsupported("padding anything but the pixels of images");
  }
  padding.top = static_cast<int>(pads[2]);
  padding.bottom = static_cast<int>(pads[rank + 2]);
  if (rank > 3) {
    padding.left = static_cast<int>(pads[3]);
    padding.right = static_cast<int>(pads[rank + 3]);
  }
  CONVOPT_TRY(const auto tensor, model.image(node, *x));
  CONVOPT_TRY(const auto result, model.graph().add_pad(model.label(node), tensor, padding));
  CONVOPT_TRY(auto padded, made(result, dims_of(model.graph().shape(result), rank)));
  padded.padded = x;
  padded.padding = padding;
  return padded;
}

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

}  // namespace

OperatorTable pixel_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Pad", pad},
      {"DepthToSpace", depth_to_space},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
