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
StoredWeights spread_weights(const Transposition& t, std::span<const float> kernel,
                             const std::vector<float>& bias) {
  std::vector<float> spread, spread_bias;
  spread.reserve(static_cast<std::size_t>(t.oc * t.phases() * t.ic_per_group * t.rows.taps() *
                                          t.columns.taps()));
  for (std::int64_t o = 0; o < t.oc; ++o) {
    const std::int64_t group = o / t.oc_per_group;
    for (std::int64_t phase = 0; phase < t.phases(); ++phase) {
      if (!bias.empty()) spread_bias.push_back(bias[static_cast<std::size_t>(o)]);
      for (std::int64_t i = 0; i < t.ic_per_group; ++i) {
        const std::int64_t plane =
            (group * t.ic_per_group + i) * t.oc_per_group + o % t.oc_per_group;
        append_filter(t, phase, kernel.data() + plane * t.rows.taps_given * t.columns.taps_given,
                      spread);
      }
    }
  }
  return {std::move(spread), std::move(spread_bias)};
}

/// One direction for each dimension of pixels: the padding as given, or so that the result has the
/// size that is asked for.
Result<std::vector<Axis>> settled_axes(const Node& node, const ConvolutionInputs& in) {
  const Integers extra = node.integers("output_padding"), wanted = node.integers("output_shape");
  const std::size_t count = in.axes.size();
  if ((!extra.empty() && extra.size() != count) || (!wanted.empty() && wanted.size() != count))
    return node.error(
        "its output_padding or output_shape does not fit the dimensions of its input");
  const std::string automatic = node.text("auto_pad", "NOTSET");
  std::vector<Axis> axes;
  for (std::size_t d = 0; d < count; ++d) {
    const WindowAxis& window = in.axes[d];
    Axis& axis = axes.emplace_back(Axis{window.in, window.kernel, window.stride, window.dilation});
    const std::int64_t more = extra.empty() ? 0 : extra[d];
    if (more < 0 || more > kMaxSize) return node.error("its output_padding is out of range");
    if (!automatic.starts_with("SAME") && wanted.empty()) {
      axis.before = window.before;
      axis.out = axis.full() + more - window.before - window.after;
    } else {
      axis.out = wanted.empty() ? axis.in * axis.stride : wanted[d];
      if (axis.out < 1) return node.error("its result would be empty");
      const std::int64_t lost = std::max<std::int64_t>(axis.full() + more - axis.out, 0);
      axis.before = automatic == "SAME_UPPER" ? lost / 2 : lost - lost / 2;
    }
    if (axis.out < 1 || axis.out > kMaxSize)
      return node.error("its result would be empty or too large");
    axis.settle();
    if (axis.last < axis.first) return node.error("no tap of its kernel reaches its result");
  }
  return axes;
}

/// `kernel` is that of images.
Result<Transposition> transposition_of(const Node& node, const Dims& kernel, std::int64_t groups,
                                       std::span<const Axis> axes) {
  Transposition t;
  t.rows = axes[0];
  t.columns = axes.size() > 1 ? axes[1] : Axis();
  t.oc_per_group = kernel[1];
  t.oc = kernel[1] * groups;
  t.ic_per_group = kernel[0] / groups;
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

/// Of images with one or two dimensions of pixels.
Result<Value> conv_transpose_images(Import& model, const Node& node, const Value& x,
                                    const Constant& kernel, const ConstantPointer& given_bias,
                                    std::int64_t groups, std::span<const Axis> axes) {
  CONVOPT_TRY(const auto t, transposition_of(node, kernel.dims, groups, axes));
  CONVOPT_TRY(const auto bias, vector_of(node, given_bias, t.oc, "bias"));
  Value source = x;
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const Axis& axis = axes[d];
    const std::int64_t before = std::max<std::int64_t>(-axis.pad_before(), 0);
    const std::int64_t after = std::max<std::int64_t>(-axis.pad_after(), 0);
    CONVOPT_TRY(source, axis_range(model, node, node.name() + "/reached", source, d + 2, before,
                                   axis.in - before - after, 1));
  }
  CONVOPT_TRY(const auto tensor, model.image(node, source));
  auto weights = std::make_shared<const StoredWeights>(spread_weights(t, kernel.floats, bias));
  CONVOPT_TRY(const auto phases,
              model.graph().add_conv(model.label(node), tensor, attributes_of(t, groups),
                                     std::move(weights)));
  const Pair stride = {static_cast<int>(t.rows.stride), static_cast<int>(t.columns.stride)};
  CONVOPT_TRY(const auto pixels,
              model.graph().add_depth_to_space(
                  {model.fresh(node.name() + "/pixels"), "DepthToSpace"}, phases, stride));
  CONVOPT_TRY(auto result, made(pixels, dims_of(model.graph().shape(pixels), axes.size() + 2)));
  for (std::size_t d = 0; d < axes.size(); ++d) {
    CONVOPT_TRY(result,
                axis_range(model, node, node.name() + "/crop", result, d + 2, 0, axes[d].out, 1));
  }
  return result;
}

/// Slice `out` of the result sums over the taps for which a slice of the input lies a multiple of
/// the stride before it: channels of an image, as in the convolution of volumes.
Result<Value> conv_transpose_volume(Import& model, const Node& node, const ConvolutionInputs& in,
                                    std::span<const Axis> axes) {
  const Axis& depth = axes[0];
  if (depth.out * depth.taps_given > kMaxSize)
    return node.error("its windows have too many slices");
  Integers slices;
  for (std::int64_t out = 0; out < depth.out; ++out)
    for (std::int64_t tap = 0; tap < depth.taps_given; ++tap) {
      const std::int64_t at = out + depth.before - tap * depth.dilation;
      const bool is_met = at >= 0 && at % depth.stride == 0 && at / depth.stride < depth.in;
      slices.push_back(is_met ? at / depth.stride : depth.in);
    }
  CONVOPT_TRY(const auto images, slices_as_channels(model, node, *in.x, slices, depth.taps_given));
  Constant kernel = transposed(*in.kernel, {0, 2, 1, 3, 4});
  const Dims& d = kernel.dims;
  kernel.dims = {d[0] * d[1], d[2], d[3], d[4]};
  CONVOPT_TRY(const auto result, conv_transpose_images(model, node, images, kernel, in.bias,
                                                       in.groups, axes.subspan(1)));
  return images_as_slices(model, node, result, depth.out);
}

}  // namespace

Result<Value> conv_transpose(Import& model, const Node& node) {
  CONVOPT_TRY(const auto in, convolution_inputs(model, node));
  const Dims& sizes = in.kernel->dims;
  if (sizes[0] != in.x->dims[1] || sizes[0] % in.groups != 0)
    return node.error("its weights " + dims_text(sizes) + " do not fit its input " +
                      dims_text(in.x->dims));
  CONVOPT_TRY(const auto axes, settled_axes(node, in));
  if (axes.size() == 3) return conv_transpose_volume(model, node, in, axes);
  return conv_transpose_images(model, node, *in.x, *in.kernel, in.bias, in.groups, axes);
}

}  // namespace convopt::onnx_reader
