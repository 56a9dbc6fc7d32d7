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
  std::int64_t in = 1, taps_given = 1, stride = 1, dilation = 1;
  std::int64_t before = 0, out = 1;
  std::int64_t first = 0, last = 0;

  /// From the first to the last tap.
  std::int64_t extent() const { return (taps_given - 1) * dilation + 1; }
  /// The size of the result without padding.
  std::int64_t full() const { return (in - 1) * stride + extent(); }
  void settle() {
    first = -((stride - 1 + before) / stride);
    // Rounded down, also where a large padding makes it negative.
    const std::int64_t reach = extent() - 1 - before;
    last = reach >= 0 ? reach / stride : -((-reach + stride - 1) / stride);
  }
  std::int64_t taps() const { return last - first + 1; }
  /// Padding of the ordinary convolution; if negative, that many pixels of the input reach no
  /// result.
  std::int64_t pad_before() const { return last; }
  std::int64_t pad_after() const {
    const std::int64_t windows = (out + stride - 1) / stride;
    return windows - in - last + taps() - 1;
  }
  /// The kernel's row or column that a tap of the ordinary convolution has in a phase; -1 for none.
  std::int64_t kernel_index(std::int64_t tap, std::int64_t phase) const {
    const std::int64_t at = (last - tap) * stride + phase + before;
    return at >= 0 && at < extent() && at % dilation == 0 ? at / dilation : -1;
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
      weights.push_back(y >= 0 && x >= 0 ? plane[y * t.columns.taps_given + x] : 0.0F);
    }
  }
}

/// Weights of the ordinary convolution, from a kernel of [ic][oc / groups][kh][kw].
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
        append_filter(t, phase, kernel.data() + plane * t.rows.taps_given * t.columns.taps_given,
                      weights.weights);
      }
    }
  }
  return weights;
}

/// Padding and size of the result along each direction: the padding as given, or so that the result
/// has the size that is asked for.
Result<void> settle_sizes(const Node& node, const Padding& pad, Axis& rows, Axis& columns) {
  CONVOPT_TRY(const auto extra,
              pair_of(node, node.integers("output_padding"), 2, 0, "output padding"));
  const Integers wanted = node.integers("output_shape");
  if (!wanted.empty() && wanted.size() != 2)
    return node.error("its output_shape does not fit the dimensions of its input");
  const bool same = pad.mode != Padding::Mode::given;
  for (const bool vertical : {true, false}) {
    Axis& axis = vertical ? rows : columns;
    if (axis.stride < 1 || axis.dilation < 1) return node.error("its stride or dilation is zero");
    const std::int64_t more = vertical ? extra.h : extra.w;
    if (!same && wanted.empty()) {
      axis.before = vertical ? pad.top : pad.left;
      axis.out = axis.full() + more - axis.before - (vertical ? pad.bottom : pad.right);
    } else {
      axis.out = wanted.empty() ? axis.in * axis.stride : wanted[vertical ? 0 : 1];
      const std::int64_t lost = std::max<std::int64_t>(axis.full() + more - axis.out, 0);
      axis.before = pad.mode == Padding::Mode::same_upper ? lost / 2 : lost - lost / 2;
    }
    if (axis.out < 1 || axis.out > kMaxSize)
      return node.error("its result would be empty or too large");
    axis.settle();
    if (axis.last < axis.first) return node.error("no tap of its kernel reaches its result");
  }
  return {};
}

Result<Transposition> transposition_of(const Node& node, const ConvolutionInputs& in) {
  const Dims& sizes = in.kernel->dims;
  const Dims& from = in.x->dims;
  if (from.size() != 4) return node.unsupported("an input of the shape " + dims_text(from));
  if (sizes[0] != from[1] || sizes[0] % in.groups != 0)
    return node.error("its weights " + dims_text(sizes) + " do not fit its input " +
                      dims_text(from));
  Transposition t;
  t.rows = {from[2], sizes[2], in.window.stride.h, in.window.dilation.h};
  t.columns = {from[3], sizes[3], in.window.stride.w, in.window.dilation.w};
  CONVOPT_CHECK(settle_sizes(node, in.window.padding, t.rows, t.columns));
  t.oc_per_group = sizes[1];
  t.oc = sizes[1] * in.groups;
  t.ic_per_group = sizes[0] / in.groups;
  if (!element_count({t.oc, t.phases(), t.ic_per_group, t.rows.taps(), t.columns.taps()}) ||
      t.oc * t.phases() > kMaxSize)
    return node.error("its weights are too large");
  return t;
}

ConvAttributes attributes_of(const Transposition& t, std::int64_t groups) {
  const auto padding = [](std::int64_t pad) {
    return static_cast<int>(std::max<std::int64_t>(pad, 0));
  };
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(t.oc * t.phases());
  attributes.groups = static_cast<int>(groups);
  attributes.kernel = {static_cast<int>(t.rows.taps()), static_cast<int>(t.columns.taps())};
  attributes.padding.top = padding(t.rows.pad_before());
  attributes.padding.bottom = padding(t.rows.pad_after());
  attributes.padding.left = padding(t.columns.pad_before());
  attributes.padding.right = padding(t.columns.pad_after());
  return attributes;
}

}  // namespace

Result<Value> conv_transpose(Import& model, const Node& node) {
  CONVOPT_TRY(const auto in, convolution_inputs(model, node));
  CONVOPT_TRY(const auto t, transposition_of(node, in));
  CONVOPT_TRY(const auto bias, vector_of(node, in.bias, t.oc, "bias"));
  Value source = *in.x;
  for (const auto& [axis, side] : {std::pair(2, &t.rows), std::pair(3, &t.columns)}) {
    const std::int64_t before = std::max<std::int64_t>(-side->pad_before(), 0);
    const std::int64_t after = std::max<std::int64_t>(-side->pad_after(), 0);
    CONVOPT_TRY(source, axis_range(model, node, node.name() + "/reached", source, axis, before,
                                   side->in - before - after, 1));
  }
  CONVOPT_TRY(const auto tensor, model.image(node, source));
  auto weights = std::make_shared<const StoredWeights>(spread_weights(t, in.kernel->floats, bias));
  CONVOPT_TRY(const auto phases,
              model.graph().add_conv(model.label(node), tensor, attributes_of(t, in.groups),
                                     std::move(weights)));
  CONVOPT_TRY(const auto pixels, model.graph().add_depth_to_space(
                                     {model.fresh(node.name() + "/pixels"), "DepthToSpace"}, phases,
                                     in.window.stride));
  CONVOPT_TRY(auto result, made(pixels, dims_of(model.graph().shape(pixels), 4)));
  for (const auto& [axis, size] : {std::pair(2, t.rows.out), std::pair(3, t.columns.out)}) {
    CONVOPT_TRY(result, axis_range(model, node, node.name() + "/crop", result, axis, 0, size, 1));
  }
  return result;
}

}  // namespace convopt::onnx_reader
