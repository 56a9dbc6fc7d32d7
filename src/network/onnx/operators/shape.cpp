// The same elements with other sizes, or their dimensions in another order.
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> transposed_tensor(Import& model, const Node& node, const Value& value,
                                const std::vector<int>& order) {
  CONVOPT_TRY(const auto x, model.plain(node.name(), value));
  // Axes of size 1 do not matter, and axes that stay next to each other move as one.
  std::vector<std::vector<int>> blocks;  // in the order of the result
  for (const int axis : order) {
    if (x->dims[static_cast<std::size_t>(axis)] == 1) continue;
    bool joins = !blocks.empty() && blocks.back().back() < axis;
    for (int between = joins ? blocks.back().back() + 1 : axis; joins && between < axis; ++between)
      joins = x->dims[static_cast<std::size_t>(between)] == 1;
    if (joins) {
      blocks.back().push_back(axis);
    } else {
      blocks.push_back({axis});
    }
  }
  const auto size_of = [&](const std::vector<int>& block) {
    int size = 1;
    for (const int axis : block) size *= static_cast<int>(x->dims[static_cast<std::size_t>(axis)]);
    return size;
  };
  if (blocks.size() < 2) return *x;
  std::vector<std::vector<int>> source = blocks;
  std::ranges::sort(source);
  std::vector<int> permutation;
  std::vector<int> sizes;
  for (const auto& block : blocks)
    permutation.push_back(static_cast<int>(std::ranges::find(source, block) - source.begin()));
  for (const auto& block : source) sizes.push_back(size_of(block));

  // Rows and columns of the channels exchanged, with pixels behind: a shuffle.
  const bool several_images = permutation == std::vector{0, 2, 1, 3};
  if (several_images || permutation == std::vector{1, 0, 2}) {
    const int images = several_images ? sizes[0] : 1;
    const int groups = sizes[several_images ? 1 : 0];
    const int channels = groups * sizes[several_images ? 2 : 1];
    const TensorShape now = model.graph().shape(x->tensor);
    const bool fits = now.n() == images && now.c() == channels;
    CONVOPT_TRY(const auto tensor,
                fits ? Result<TensorId>(x->tensor)
                     : model.shaped(node.name(), *x, {images, channels, sizes.back(), 1}));
    model.note_pattern("channel shuffle");
    return made(model.graph().add_shuffle(model.label(node), tensor, groups), x->dims);
  }
  if (sizes.size() > kMaxRank) return node.unsupported("more than eight dimensions");
  const int missing = std::max(0, kImageRank - static_cast<int>(sizes.size()));
  sizes.insert(sizes.begin(), static_cast<std::size_t>(missing), 1);
  std::vector<int> all(sizes.size());
  std::iota(all.begin(), all.end(), 0);
  for (std::size_t i = 0; i < permutation.size(); ++i)
    all[static_cast<std::size_t>(missing) + i] = permutation[i] + missing;
  CONVOPT_TRY(const auto tensor, model.shaped(node.name(), *x, TensorShape(sizes)));
  return made(model.graph().add_transpose(model.label(node), tensor, std::move(all)), x->dims);
}

Result<Value> reshape(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto second, model.constant_input(node, 1));
  const Dims& from = x->dims;
  const std::string_view type = node.type();
  const Integers given = integers_of(node, type == "Reshape" ? "shape" : "axes", second.get());
  CONVOPT_TRY(auto dims, type == "Reshape"   ? reshaped(node, from, given)
                         : type == "Flatten" ? flattened(node, from)
                         : type == "Unsqueeze"
                             ? unsqueezed(node, from, given)
                             : squeezed(node, from, given, second != nullptr || node.has("axes")));
  const Value* source = x;
  const bool keeps_channels = source->channels_last && dims.size() > 2 &&
                              dims.front() == from.front() && dims.back() == from.back();
  if (!keeps_channels) {
    CONVOPT_TRY(source, model.plain(node.name(), *source));
  }
  Value result;
  result.tensor = source->tensor;
  result.channels_last = source->channels_last;
  result.dims = std::move(dims);
  return result;
}

Result<Value> transpose(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto order, transposition(node, x->dims.size()));
  return transposed_value(model, node, *x, order);
}

}  // namespace

Result<Value> transposed_value(Import& model, const Node& node, const Value& x,
                               const std::vector<int>& order) {
  const std::size_t rank = x.dims.size();
  if (std::ranges::is_sorted(order)) return x;
  Dims dims;
  for (const int axis : order) dims.push_back(x.dims[static_cast<std::size_t>(axis)]);
  std::vector<int> channels_behind(rank), channels_before(rank);
  for (std::size_t i = 1; i + 1 < rank; ++i) {
    channels_behind[i] = static_cast<int>(i) + 1;
    channels_before[i + 1] = static_cast<int>(i);
  }
  if (rank > 2) {
    channels_behind[rank - 1] = 1;
    channels_before[1] = static_cast<int>(rank) - 1;
    if (x.channels_last && order == channels_before) return made(x.tensor, std::move(dims));
    if (!x.channels_last && order == channels_behind)
      return made(model.with_channels(node, x), std::move(dims), true);
  }
  CONVOPT_TRY(auto result, transposed_tensor(model, node, x, order));
  result.dims = std::move(dims);
  return result;
}

OperatorTable shape_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Reshape", reshape},   {"Flatten", reshape},     {"Squeeze", reshape},
      {"Unsqueeze", reshape}, {"Transpose", transpose},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
