#include <algorithm>
#include <limits>

#include "convopt/workload.hpp"
#include "core/ops/descriptor.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

/// Taps of all windows that lie inside the image, along one axis.
double taps_inside(int size, int kernel, int stride, int pad, int dilation, int outputs) {
  double taps = 0;
  for (int k = 0; k < kernel; ++k) {
    // Outputs o with 0 <= o * stride + k * dilation - pad < size.
    const int shift = pad - k * dilation;
    const int first = shift <= 0 ? 0 : (shift + stride - 1) / stride;
    const int last = size + shift <= 0 ? -1 : (size + shift - 1) / stride;
    taps += std::max(0, std::min(last, outputs - 1) - first + 1);
  }
  return taps;
}

}  // namespace

double ConvShape::flops() const {
  return 2.0 * n * oc * oh() * ow() * (static_cast<double>(ic) / groups) * kh * kw;
}

double ConvShape::flops_inside() const {
  return 2.0 * n * oc * (static_cast<double>(ic) / groups) *
         taps_inside(ih, kh, stride_h, pad_top, dilation_h, oh()) *
         taps_inside(iw, kw, stride_w, pad_left, dilation_w, ow());
}

std::string ConvShape::text() const { return fields_text(Workload::conv(*this)); }

Result<ConvShape> ConvShape::parse(std::string_view text) {
  Workload workload;
  if (parse_fields(text, descriptor(Op::conv).image_fields, workload)) {
    CONVOPT_CHECK(workload.shape.validate());
    if (workload.shape.text() == text) return workload.shape;
  }
  return bad_text("convolution shape such as n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1", text);
}

Result<void> ConvShape::validate() const {
  const auto bad = [this](std::string_view why) {
    return make_error(ErrorCode::bad_input, "shape " + text() + ": " + std::string(why));
  };
  if (std::min({n, ic, ih, iw, oc, kh, kw, stride_h, stride_w, dilation_h, dilation_w, groups}) <
      1) {
    return bad("sizes, strides, dilations and groups must be at least 1");
  }
  // Bounded one by one first, so that sums and products below cannot overflow.
  if (std::max({n, ic, ih, iw, oc, kh, kw, stride_h, stride_w, dilation_h, dilation_w, groups,
                pad_top, pad_bottom, pad_left, pad_right}) > kMaxDimension) {
    return bad("no size may exceed 16777216");
  }
  if (std::min({pad_top, pad_bottom, pad_left, pad_right}) < 0) {
    return bad("paddings must not be negative");
  }
  // Padding costs no memory in the tensor but time and workspace in some kernels.
  if (std::max({pad_top, pad_bottom, pad_left, pad_right}) > kMaxPadding) {
    return bad("no padding may exceed 4096");
  }
  if (ic % groups != 0 || oc % groups != 0) {
    return bad("input and output channels must be multiples of the groups");
  }
  const auto extent = [](int kernel, int dilation) {
    return (std::int64_t{kernel} - 1) * dilation + 1;
  };
  const std::int64_t room_h = std::int64_t{ih} + pad_top + pad_bottom - extent(kh, dilation_h);
  const std::int64_t room_w = std::int64_t{iw} + pad_left + pad_right - extent(kw, dilation_w);
  if (room_h < 0 || room_w < 0) return bad("the kernel is larger than the padded image");
  const auto too_large = [](std::initializer_list<std::int64_t> sizes) {
    double elements = 1;
    for (const auto size : sizes) elements *= static_cast<double>(size);
    return elements > std::numeric_limits<std::int32_t>::max();
  };
  const std::int64_t pixels_h = room_h / stride_h + 1, pixels_w = room_w / stride_w + 1;
  if (too_large({n, ic, ih, iw}) || too_large({n, oc, pixels_h, pixels_w}) ||
      too_large({oc, ic / groups, kh, kw})) {
    return bad("a tensor would have more than 2^31 - 1 elements");
  }
  return {};
}

}  // namespace convopt
