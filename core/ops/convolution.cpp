// Convolutions, pooling and fully connected layers: what has a window or weights.
#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

using S = ConvShape;

constexpr OpField kStride = of_convolution<&S::stride_h, &S::stride_w>("s", Form::pair);
constexpr OpField kPadding =
    of_convolution<&S::pad_top, &S::pad_bottom, &S::pad_left, &S::pad_right>("p", Form::frame);

constexpr OpField kConvFields[] = {
    of_convolution<&S::n>("n"),
    of_convolution<&S::ic>("ic"),
    of_convolution<&S::ih>("ih"),
    of_convolution<&S::iw>("iw"),
    of_convolution<&S::oc>("oc"),
    of_convolution<&S::kh>("kh"),
    of_convolution<&S::kw>("kw"),
    kStride,
    kPadding,
    of_convolution<&S::dilation_h, &S::dilation_w>("d", Form::pair, 1),
    of_convolution<&S::groups>("g", Form::number, 1),
};

/// Every channel by itself.
constexpr OpField kPoolChannels = {"c", Form::number,
                                   [](const Workload& w) { return std::vector{w.shape.ic}; },
                                   [](Workload& w, std::span<const int> values) {
                                     w.shape.ic = w.shape.oc = w.shape.groups = values[0];
                                     return true;
                                   }};
constexpr OpField kPoolFields[] = {
    of_convolution<&S::n>("n"),
    kPoolChannels,
    of_convolution<&S::ih>("ih"),
    of_convolution<&S::iw>("iw"),
    of_convolution<&S::kh>("kh"),
    of_convolution<&S::kw>("kw"),
    kStride,
    kPadding,
};

constexpr OpField kConnectedFields[] = {
    of_convolution<&S::n>("n"),
    of_convolution<&S::ic>("ic"),
    of_convolution<&S::oc>("oc"),
};

constexpr OpField kKernelJson = of_convolution<&S::kh, &S::kw>("kernel", Form::pair);
constexpr OpField kStrideJson = of_convolution<&S::stride_h, &S::stride_w>("stride", Form::pair);
constexpr OpField kPaddingJson =
    of_convolution<&S::pad_top, &S::pad_bottom, &S::pad_left, &S::pad_right>("padding", Form::frame,
                                                                             0);
constexpr OpField kOutputsJson = of_convolution<&S::oc>("oc");
constexpr OpField kConvJson[] = {
    kOutputsJson,
    kKernelJson,
    kStrideJson,
    kPaddingJson,
    of_convolution<&S::dilation_h, &S::dilation_w>("dilation", Form::pair, 1),
    of_convolution<&S::groups>("groups", Form::number, 1),
};
constexpr OpField kPoolJson[] = {kKernelJson, kStrideJson, kPaddingJson};
constexpr OpField kConnectedJson[] = {kOutputsJson};

TensorShape windows(const Workload& w) { return w.shape.output(); }
double taps(const Workload& w) { return double{1} * w.shape.kh * w.shape.kw; }

constexpr OpDescriptor pool(std::string_view name, std::string_view json_name,
                            double (*reduction_length)(const Workload&)) {
  return {.name = name,
          .image_fields = kPoolFields,
          .plain_fields = {},
          .json_fields = kPoolJson,
          .constants = {},
          .json_name = json_name,
          .json_mode = {},
          .output = windows,
          .valid = always,
          .reduction_length = reduction_length,
          .arithmetic = taps};
}

}  // namespace

constinit const OpDescriptor kConv = {
    .name = "conv",
    .image_fields = kConvFields,
    .plain_fields = {},
    .json_fields = kConvJson,
    .constants = {},
    .json_name = {},
    .json_mode = {},
    .output = windows,
    .valid = always,
    .reduction_length =
        [](const Workload& w) { return double{1} * w.shape.ic / w.shape.groups * taps(w); },
    .arithmetic = fixed<0>};
constinit const OpDescriptor kMaxPool = pool("max_pool", {}, fixed<1>);
constinit const OpDescriptor kAvgPoolInclude = pool("avg_pool_include", "avg_pool", taps);
constinit const OpDescriptor kAvgPoolExclude = pool("avg_pool_exclude", "avg_pool", taps);
constinit const OpDescriptor kFullyConnected = {
    .name = "fully_connected",
    .image_fields = kConnectedFields,
    .plain_fields = {},
    .json_fields = kConnectedJson,
    .constants = {},
    .json_name = {},
    .json_mode = {},
    .output =
        [](const Workload& w) {
          return TensorShape{w.shape.n, w.shape.oc, 1, 1};
        },
    .valid = always,
    .reduction_length = [](const Workload& w) { return double(w.shape.ic); },
    .arithmetic = fixed<0>};

}  // namespace convopt::ops
