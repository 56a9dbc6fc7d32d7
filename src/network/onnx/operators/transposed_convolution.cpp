// Output pixel q * stride + r - padding sums over the input pixels q - d with the tap
// d * stride + r: per phase r an ordinary convolution over the input. Those for all phases are one
// convolution with stride^2 times the channels, whose results lie together as depth_to_space wants
// them.
#include <algorithm>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/convolution.h"

namespace convopt::onnx_reader {
namespace {

/// One direction: q - d for d from first to last.
struct Axis {
  std::int64_t in, kernel, stride, before, after, extra;
  std::int64_t out = 0, first = 0, last = 0, windows = 0;

  /// Whether there is a result.
  bool settle() {
    if (stride < 1) return false;
    out = (in - 1) * stride + kernel - before - after + extra;
    first = -((stride - 1 + before) / stride);
    // Rounded down, also where a large padding makes it negative.
    const std::int64_t reach = kernel - 1 - before;
    last = reach >= 0 ? reach / stride : -((-reach + stride - 1) / stride);
    windows = (out + stride - 1) / stride;
    return out > 0 && last >= first;
  }
  std::int64_t taps() const { return last - first + 1; }
  std::int64_t pad_before() const { return last; }
  std::int64_t pad_after() const { return windows - in - last + taps() - 1; }
  /// The kernel's row or column that tap `tap` of the ordinary convolution has in a phase.
  std::int64_t kernel_index(std::int64_t tap, std::int64_t phase) const {
    return (last - tap) * stride + phase + before;
  }
};

struct Transposition {
  Axis rows, columns;
  std::int64_t oc = 0, oc_per_group = 0, ic_per_group = 0;

  std::int64_t phases() const { return rows.stride * columns.stride; }
};

/// The filter of one output channel, input channel and phase; `plane` is the kernel that it comes
/// from.
void append_filter(const Transposition& t, std::int64_t phase, const float* plane,
                   std::vector<float>& weights) {
  for (std::int64_t ty = 0; ty < t.rows.taps(); ++ty) {
    for (std::int64_t tx = 0; tx < t.columns.taps(); ++tx) {
      const std::int64_t y = t.rows.kernel_index(ty, phase / t.columns.stride);
      const std::int64_t x = t.columns.kernel_index(tx, phase % t.columns.stride);
      const bool inside = y >= 0 && y < t.rows.kernel && x >= 0 && x < t.columns.kernel;
      weights.push_back(inside ? plane[y * t.columns.kernel + x] : 0.0F);
    }
  }
}

/// Of the ordinary convolution, from a kernel of [ic][oc / groups][kh][kw].
StoredWeights spread_weights(const Transposition& t, const std::vector<float>& kernel,
                             const std::vector<float>& bias) {
  StoredWeights weights;
  weights.weights.reserve(static_cast<std::size_t>(t.oc * t.phases() * t.ic_per_group *
                                                   t.rows.taps() * t.columns.taps()));
  for (std::int64_t o = 0; o < t.oc; ++o) {
    const std::int64_t group = o / t.oc_per_group;
    for (std::int64_t phase = 0; phase < t.phases(); ++phase) {
      if (!bias.empty()) weights.bias.push_back(bias[static_cast<std::size_t>(o)]);
      for (std::int64_t i = 0; i < t.ic_per_group; ++i) {
        const std::int64_t plane =
            (group * t.ic_per_group + i) * t.oc_per_group + o % t.oc_per_group;
        append_filter(t, phase, kernel.data() + plane * t.rows.kernel * t.columns.kernel,
                      weights.weights);
      }
    }
  }
  return weights;
}

Result<Transposition> transposition_of(const Node& node, const ConvolutionInputs& in) {
  const Dims& sizes = in.kernel->dims;
  const Dims& from = in.x->dims;
  if (from.size() != 4) return node.unsupported("an input of the shape " + dims_text(from));
  if (sizes[0] != from[1] || sizes[0] % in.groups != 0)
    return node.error("its weights " + dims_text(sizes) + " do not fit its input " +
                      dims_text(from));
  const Padding& pad = in.window.padding;
  if (pad.mode != Padding::Mode::given || node.has("output_shape"))
    return node.unsupported("an output shape from which its padding follows");
  if (in.window.dilation != Pair{1, 1}) return node.unsupported("dilation");
  CONVOPT_TRY(const auto extra,
              pair_of(node, node.integers("output_padding"), 2, 0, "output padding"));
  Transposition t;
  t.rows = {from[2], sizes[2], in.window.stride.h, pad.top, pad.bottom, extra.h};
  t.columns = {from[3], sizes[3], in.window.stride.w, pad.left, pad.right, extra.w};
  t.oc_per_group = sizes[1];
  t.oc = sizes[1] * in.groups;
  t.ic_per_group = sizes[0] / in.groups;
  if (!t.rows.settle() || !t.columns.settle()) return node.error("its result would be empty");
  if (std::min({t.rows.pad_before(), t.rows.pad_after(), t.columns.pad_before(),
                t.columns.pad_after()}) < 0)
    return node.unsupported("padding that is larger than its kernel");
  if (!element_count({t.oc, t.phases(), t.ic_per_group, t.rows.taps(), t.columns.taps()}) ||
      t.oc * t.phases() > kMaxSize)
    return node.error("its weights are too large");
  return t;
}

ConvAttributes attributes_of(const Transposition& t, std::int64_t groups) {
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(t.oc * t.phases());
  attributes.groups = static_cast<int>(groups);
  attributes.kernel = {static_cast<int>(t.rows.taps()), static_cast<int>(t.columns.taps())};
  attributes.padding.top = static_cast<int>(t.rows.pad_before());
  attributes.padding.bottom = static_cast<int>(t.rows.pad_after());
  attributes.padding.left = static_cast<int>(t.columns.pad_before());
  attributes.padding.right = static_cast<int>(t.columns.pad_after());
  return attributes;
}

}  // namespace

Result<Value> conv_transpose(Import& model, const Node& node) {
  CONVOPT_TRY(const auto in, convolution_inputs(model, node));
  CONVOPT_TRY(const auto t, transposition_of(node, in));
  CONVOPT_TRY(const auto bias, vector_of(node, in.bias, t.oc, "bias"));
  CONVOPT_TRY(const auto tensor, model.image(node, *in.x));
  auto weights = std::make_shared<const StoredWeights>(spread_weights(t, in.kernel->floats, bias));
  CONVOPT_TRY(const auto phases,
              model.graph().add_conv(model.label(node), tensor, attributes_of(t, in.groups),
                                     std::move(weights)));
  CONVOPT_TRY(const auto pixels, model.graph().add_depth_to_space(
                                     {model.fresh(node.name() + "/pixels"), "DepthToSpace"}, phases,
                                     in.window.stride));
  CONVOPT_TRY(auto result, made(pixels, dims_of(model.graph().shape(pixels), 4)));
  for (const auto& [axis, size] : {std::pair(2, t.rows.out), std::pair(3, t.columns.out)}) {
    if (result.dims[axis] == size) continue;
    CONVOPT_TRY(result, axis_range(model, node, node.name() + "/crop", result, axis, 0, size, 1));
  }
  return result;
}

}  // namespace convopt::onnx_reader
