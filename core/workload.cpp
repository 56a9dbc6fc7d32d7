#include "convopt/workload.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "core/names.h"
#include "core/text.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, kOpCount> kOpNames = {"conv",
                                                             "convert",
                                                             "max_pool",
                                                             "avg_pool_include",
                                                             "avg_pool_exclude",
                                                             "activation",
                                                             "add",
                                                             "concat",
                                                             "fully_connected",
                                                             "softmax",
                                                             "lrn",
                                                             "upsample_nearest",
                                                             "upsample_bilinear",
                                                             "upsample_corners",
                                                             "multiply",
                                                             "subtract",
                                                             "divide",
                                                             "slice",
                                                             "shuffle",
                                                             "pad",
                                                             "depth_to_space",
                                                             "transpose",
                                                             "layer_norm"};

constexpr auto kActivationNames = std::to_array<std::string_view>(
    {"", "relu", "clip", "leaky_relu", "elu", "sigmoid", "tanh", "swish", "hard_sigmoid",
     "hard_swish", "gelu", "erf", "exp", "pow"});

int parameter_count(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::clip:
      return 2;
    case ActivationKind::leaky_relu:
    case ActivationKind::elu:
    case ActivationKind::pow:
      return 1;
    default:
      return 0;
  }
}

std::string number_text(float value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

Error bad_text(std::string_view what, std::string_view text) {
  constexpr std::size_t kShown = 120;
  return make_error(ErrorCode::bad_input,
                    "'" + std::string(text.substr(0, kShown)) + "' is not a " + std::string(what));
}

/// `prefix` and a number, e.g. "ih56".
struct Field {
  std::string_view key, value;
};

Field split_field(std::string_view part) {
  const auto at = part.find_first_of("0123456789-");
  return {part.substr(0, at), at == std::string_view::npos ? "" : part.substr(at)};
}

/// Assigns fields to the members of a shape; knows which were given.
Result<ConvShape> parse_fields(std::string_view text, std::string_view what) {
  ConvShape shape;
  const std::array<std::pair<std::string_view, std::array<int*, 4>>, 22> targets = {{
      {"n", {&shape.n}},
      {"ic", {&shape.ic}},
      {"oc", {&shape.oc}},
      {"c", {&shape.ic, &shape.oc}},
      {"ih", {&shape.ih}},
      {"iw", {&shape.iw}},
      {"h", {&shape.ih}},
      {"w", {&shape.iw}},
      {"kh", {&shape.kh}},
      {"kw", {&shape.kw}},
      {"k", {&shape.kh}},
      {"s", {&shape.stride_h, &shape.stride_w}},
      {"sh", {&shape.stride_h}},
      {"sw", {&shape.stride_w}},
      {"p", {&shape.pad_top, &shape.pad_bottom, &shape.pad_left, &shape.pad_right}},
      {"pt", {&shape.pad_top}},
      {"pb", {&shape.pad_bottom}},
      {"pl", {&shape.pad_left}},
      {"pr", {&shape.pad_right}},
      {"d", {&shape.dilation_h, &shape.dilation_w}},
      {"dh", {&shape.dilation_h}},
      {"dw", {&shape.dilation_w}},
  }};
  std::vector<std::string_view> seen;
  for (const auto part : split(text, '_')) {
    const auto [key, value] = split_field(part);
    const auto number = parse_number<int>(value);
    if (!number || std::ranges::find(seen, key) != seen.end()) return bad_text(what, text);
    seen.push_back(key);
    if (key == "g") {
      shape.groups = *number;
      continue;
    }
    const auto target = std::ranges::find(targets, key, &decltype(targets)::value_type::first);
    if (target == targets.end()) return bad_text(what, text);
    for (int* member : target->second) {
      if (member != nullptr) *member = *number;
    }
  }
  return shape;
}

std::string stride_text(const ConvShape& s) {
  return s.stride_h == s.stride_w
             ? "_s" + std::to_string(s.stride_h)
             : "_sh" + std::to_string(s.stride_h) + "_sw" + std::to_string(s.stride_w);
}

std::string padding_text(const ConvShape& s) {
  if (s.pad_top == s.pad_bottom && s.pad_top == s.pad_left && s.pad_top == s.pad_right) {
    return "_p" + std::to_string(s.pad_top);
  }
  return "_pt" + std::to_string(s.pad_top) + "_pb" + std::to_string(s.pad_bottom) + "_pl" +
         std::to_string(s.pad_left) + "_pr" + std::to_string(s.pad_right);
}

std::string window_text(const ConvShape& s) {
  return "_kh" + std::to_string(s.kh) + "_kw" + std::to_string(s.kw) + stride_text(s) +
         padding_text(s);
}

bool is_binary(Op op) {
  return op == Op::add || op == Op::multiply || op == Op::subtract || op == Op::divide;
}

/// `parts` at the end of a text: `_g2`, `_from58_step1`, `_by1x96x1x1`, `_order0231`; nothing for
/// operations without.
std::string parts_text(Op op, const std::vector<int>& parts) {
  const auto part = [&](std::size_t i) { return std::to_string(parts[i]); };
  if (is_binary(op) && !parts.empty()) {
    return "_by" + part(0) + "x" + part(1) + "x" + part(2) + "x" + part(3);
  }
  if (op == Op::slice) return "_from" + part(0) + "_step" + part(1);
  if (op == Op::shuffle) return "_g" + part(0);
  if (op == Op::transpose) return "_order" + part(0) + part(1) + part(2) + part(3);
  return {};
}

/// Cuts such an end off `body`; nothing if it is malformed. What is no end at all stays.
std::optional<std::vector<int>> cut_parts(Op op, std::string& body) {
  std::vector<int> parts;
  const std::string_view mark = is_binary(op)         ? "_by"
                                : op == Op::slice     ? "_from"
                                : op == Op::shuffle   ? "_g"
                                : op == Op::transpose ? "_order"
                                                      : "";
  const auto at = mark.empty() ? std::string::npos : body.find(mark);
  if (at == std::string::npos) {
    return mark.empty() || is_binary(op) ? std::optional(parts) : std::nullopt;
  }
  const std::string tail = body.substr(at + mark.size());
  body.resize(at);
  if (op == Op::transpose) {
    for (const char digit : tail) parts.push_back(digit - '0');
    std::vector<int> sorted = parts;
    std::ranges::sort(sorted);
    if (sorted != std::vector{0, 1, 2, 3}) return std::nullopt;
    return parts;
  }
  std::string numbers = tail;
  if (const auto step = numbers.find("_step"); op == Op::slice && step != std::string::npos) {
    numbers.replace(step, 5, "x");
  }
  for (const auto text : split(numbers, 'x')) {
    const auto number = parse_number<int>(text);
    if (!number) return std::nullopt;
    parts.push_back(*number);
  }
  const std::size_t wanted = is_binary(op) ? 4 : op == Op::slice ? 2 : 1;
  if (parts.size() != wanted) return std::nullopt;
  return parts;
}

/// Channels are whole groups of one per pixel that they become.
bool splits_channels(const ConvShape& s) {
  return s.stride_h >= 1 && s.stride_w >= 1 && s.ic >= 1 &&
         s.ic % (std::int64_t{s.stride_h} * s.stride_w) == 0;
}

/// Whether the parts of a parsed workload mean something for its shape.
bool parts_fit(const Workload& workload) {
  const ConvShape& s = workload.shape;
  const std::vector<int>& parts = workload.parts;
  if (is_binary(workload.op) && !parts.empty()) {
    const std::array<int, 4> sizes = {s.n, s.ic, s.ih, s.iw};
    bool smaller = false;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (parts[i] != 1 && parts[i] != sizes[i]) return false;
      smaller = smaller || parts[i] != sizes[i];
    }
    return smaller;
  }
  if (workload.op == Op::slice) {
    return parts[0] >= 0 && parts[1] >= 1 && parts[0] + (std::int64_t{s.oc} - 1) * parts[1] < s.ic;
  }
  if (workload.op == Op::shuffle) return parts[0] >= 1 && s.ic % parts[0] == 0;
  return true;
}

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

std::string ConvShape::text() const {
  std::string text = "n" + std::to_string(n) + "_ic" + std::to_string(ic) + "_ih" +
                     std::to_string(ih) + "_iw" + std::to_string(iw) + "_oc" + std::to_string(oc) +
                     window_text(*this);
  if (dilation_h != 1 || dilation_w != 1) {
    text += dilation_h == dilation_w
                ? "_d" + std::to_string(dilation_h)
                : "_dh" + std::to_string(dilation_h) + "_dw" + std::to_string(dilation_w);
  }
  if (groups != 1) text += "_g" + std::to_string(groups);
  return text;
}

Result<ConvShape> ConvShape::parse(std::string_view text) {
  constexpr std::string_view kWhat =
      "convolution shape such as n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1";
  auto shape = parse_fields(text, kWhat);
  if (!shape) return shape;
  if (auto valid = shape->validate(); !valid) return valid.error();
  if (shape->text() != text) return bad_text(kWhat, text);
  return shape;
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
  constexpr int kLargest = 1 << 24;
  if (std::max({n, ic, ih, iw, oc, kh, kw, stride_h, stride_w, dilation_h, dilation_w, groups,
                pad_top, pad_bottom, pad_left, pad_right}) > kLargest) {
    return bad("no size may exceed 16777216");
  }
  if (std::min({pad_top, pad_bottom, pad_left, pad_right}) < 0) {
    return bad("paddings must not be negative");
  }
  // Padding costs no memory in the tensor but time and workspace in some kernels.
  constexpr int kLargestPadding = 4096;
  if (std::max({pad_top, pad_bottom, pad_left, pad_right}) > kLargestPadding) {
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

std::string_view to_string(Op op) { return name_in(kOpNames, op); }

std::string_view to_string(ActivationKind kind) {
  return kind == ActivationKind::none ? "none" : name_in(kActivationNames, kind);
}

float Activation::operator()(float x) const {
  const auto hard_sigmoid = [](float v) { return std::clamp(v / 6.0F + 0.5F, 0.0F, 1.0F); };
  const auto sigmoid = [](float v) { return 1.0F / (1.0F + std::exp(-v)); };
  switch (kind) {
    case ActivationKind::none:
      return x;
    case ActivationKind::relu:
      return std::max(x, 0.0F);
    case ActivationKind::clip:
      return std::min(std::max(x, alpha), beta);
    case ActivationKind::leaky_relu:
      return x < 0 ? alpha * x : x;
    case ActivationKind::elu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case ActivationKind::sigmoid:
      return sigmoid(x);
    case ActivationKind::tanh:
      return std::tanh(x);
    case ActivationKind::swish:
      return x * sigmoid(x);
    case ActivationKind::hard_sigmoid:
      return hard_sigmoid(x);
    case ActivationKind::hard_swish:
      return x * hard_sigmoid(x);
    case ActivationKind::gelu:
      return 0.5F * x * (1.0F + std::erf(x * 0.70710678F));
    case ActivationKind::erf:
      return std::erf(x);
    case ActivationKind::exp:
      return std::exp(x);
    case ActivationKind::pow:
      return std::pow(x, alpha);
  }
  return x;
}

std::string Activation::text() const {
  std::string text(kActivationNames[static_cast<std::size_t>(kind)]);
  switch (parameter_count(kind)) {
    case 1:
      text += "(" + number_text(alpha) + ")";
      break;
    case 2:
      text += "(" + number_text(alpha) + "," + number_text(beta) + ")";
      break;
    default:
      break;
  }
  return text;
}

Result<Activation> Activation::parse(std::string_view text) {
  const auto open = text.find('(');
  const std::string_view name = text.substr(0, open);
  const auto known = std::ranges::find(kActivationNames, name);
  if (name.empty() || known == kActivationNames.end()) return bad_text("activation", text);
  Activation activation{static_cast<ActivationKind>(known - kActivationNames.begin())};
  std::vector<float> values;
  if (open != std::string_view::npos) {
    if (text.back() != ')') return bad_text("activation", text);
    for (const auto part : split(text.substr(open + 1, text.size() - open - 2), ',')) {
      const auto value = parse_number<float>(part);
      if (!value || !std::isfinite(*value)) return bad_text("activation", text);
      values.push_back(*value);
    }
  }
  if (static_cast<int>(values.size()) != parameter_count(activation.kind)) {
    return bad_text("activation with its parameters", text);
  }
  if (!values.empty()) activation.alpha = values[0];
  if (values.size() > 1) activation.beta = values[1];
  return activation;
}

Workload Workload::conv(const ConvShape& shape, const Epilogue& epilogue) {
  return {Op::conv, shape, epilogue, {}};
}

Workload Workload::pool(Op op, const ConvShape& window) {
  Workload workload{op, window, {}, {}};
  workload.shape.oc = workload.shape.groups = window.ic;
  return workload;
}

Workload Workload::fully_connected(int n, int ic, int oc, const Activation& activation) {
  Workload workload{Op::fully_connected, {}, {false, activation}, {}};
  workload.shape.n = n;
  workload.shape.ic = ic;
  workload.shape.oc = oc;
  return workload;
}

Workload Workload::pointwise(Op op, const TensorShape& shape, const Epilogue& epilogue) {
  Workload workload{op, {}, epilogue, {}};
  workload.shape.n = shape.n();
  workload.shape.ic = workload.shape.oc = shape.c();
  workload.shape.ih = shape.h();
  workload.shape.iw = shape.w();
  return workload;
}

Workload Workload::concat(const TensorShape& result, std::vector<int> parts) {
  Workload workload = pointwise(Op::concat, result);
  workload.parts = std::move(parts);
  return workload;
}

Workload Workload::lrn(const TensorShape& shape, int window) {
  Workload workload = pointwise(Op::lrn, shape);
  workload.shape.kh = window;
  return workload;
}

Workload Workload::upsample(Op op, const TensorShape& shape, int factor_h, int factor_w) {
  Workload workload = pointwise(op, shape);
  workload.shape.stride_h = factor_h;
  workload.shape.stride_w = factor_w;
  return workload;
}

Workload Workload::binary(Op op, const TensorShape& first, const TensorShape& second) {
  Workload workload = pointwise(op, first);
  if (second != first) workload.parts = {second.n(), second.c(), second.h(), second.w()};
  return workload;
}

Workload Workload::slice(const TensorShape& shape, int first, int count, int step) {
  Workload workload = pointwise(Op::slice, shape);
  workload.shape.oc = count;
  workload.parts = {first, step};
  return workload;
}

Workload Workload::shuffle(const TensorShape& shape, int groups) {
  Workload workload = pointwise(Op::shuffle, shape);
  workload.parts = {groups};
  return workload;
}

Workload Workload::pad(const TensorShape& shape, int top, int bottom, int left, int right) {
  Workload workload = pointwise(Op::pad, shape);
  workload.shape.pad_top = top;
  workload.shape.pad_bottom = bottom;
  workload.shape.pad_left = left;
  workload.shape.pad_right = right;
  return workload;
}

Workload Workload::depth_to_space(const TensorShape& shape, int factor_h, int factor_w) {
  Workload workload = pointwise(Op::depth_to_space, shape);
  workload.shape.stride_h = factor_h;
  workload.shape.stride_w = factor_w;
  workload.shape.oc = shape.c() / factor_h / factor_w;
  return workload;
}

Workload Workload::transpose(const TensorShape& shape, const std::array<int, 4>& order) {
  Workload workload = pointwise(Op::transpose, shape);
  workload.parts.assign(order.begin(), order.end());
  return workload;
}

Workload Workload::layer_norm(const TensorShape& shape, float epsilon) {
  Workload workload = pointwise(Op::layer_norm, shape);
  workload.shape.groups = shape.c();
  workload.epsilon = epsilon;
  return workload;
}

Workload Workload::of_type(DataType type) const {
  Workload workload = *this;
  workload.input_type = workload.output_type = type;
  return workload;
}

TensorShape Workload::input() const { return source(0); }

int Workload::source_count() const {
  if (op == Op::concat) return static_cast<int>(parts.size());
  return is_binary(op) ? 2 : 1;
}

TensorShape Workload::source(int index) const {
  TensorShape result = shape.input();
  if (op == Op::concat) result.c() = parts[static_cast<std::size_t>(index)];
  if (is_binary(op) && index == 1 && !parts.empty())
    return {parts[0], parts[1], parts[2], parts[3]};
  return result;
}

TensorShape Workload::output() const {
  switch (op) {
    case Op::conv:
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      return shape.output();
    case Op::upsample_nearest:
    case Op::upsample_bilinear:
    case Op::upsample_corners:
    case Op::depth_to_space:
      return {shape.n, shape.oc, shape.ih * shape.stride_h, shape.iw * shape.stride_w};
    case Op::slice:
      return {shape.n, shape.oc, shape.ih, shape.iw};
    case Op::pad:
      return {shape.n, shape.ic, shape.ih + shape.pad_top + shape.pad_bottom,
              shape.iw + shape.pad_left + shape.pad_right};
    case Op::transpose: {
      const std::array<int, 4> sizes = {shape.n, shape.ic, shape.ih, shape.iw};
      return {sizes[parts[0]], sizes[parts[1]], sizes[parts[2]], sizes[parts[3]]};
    }
    case Op::fully_connected:
      return {shape.n, shape.oc, 1, 1};
    default:
      return shape.input();
  }
}

std::string Workload::text() const {
  const ConvShape& s = shape;
  const std::string plane = "_h" + std::to_string(s.ih) + "_w" + std::to_string(s.iw);
  const std::string head = "n" + std::to_string(s.n);
  std::string body;
  switch (op) {
    case Op::conv:
      body = s.text();
      break;
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      body = head + "_c" + std::to_string(s.ic) + "_ih" + std::to_string(s.ih) + "_iw" +
             std::to_string(s.iw) + window_text(s);
      break;
    case Op::fully_connected:
      body = head + "_ic" + std::to_string(s.ic) + "_oc" + std::to_string(s.oc);
      break;
    case Op::concat: {
      body = head + "_c";
      for (std::size_t i = 0; i < parts.size(); ++i) {
        body += (i == 0 ? "" : "+") + std::to_string(parts[i]);
      }
      body += plane;
      break;
    }
    case Op::lrn:
      body = head + "_c" + std::to_string(s.ic) + plane + "_k" + std::to_string(s.kh);
      break;
    case Op::upsample_nearest:
    case Op::upsample_bilinear:
    case Op::upsample_corners:
    case Op::depth_to_space:
      body = head + "_c" + std::to_string(s.ic) + plane + stride_text(s);
      break;
    case Op::pad:
      body = head + "_c" + std::to_string(s.ic) + plane + padding_text(s);
      break;
    case Op::slice:
      body = head + "_ic" + std::to_string(s.ic) + "_oc" + std::to_string(s.oc) + plane +
             parts_text(op, parts);
      break;
    default:
      body = head + "_c" + std::to_string(s.ic) + plane + parts_text(op, parts);
      break;
  }
  if (input_type != output_type || input_type != DataType::f32) {
    body += "_" + std::string(to_string(input_type));
  }
  if (input_type != output_type) body += "_" + std::string(to_string(output_type));
  std::string tail = epilogue.residual ? "add" : "";
  if (const std::string activation = epilogue.activation.text(); !activation.empty()) {
    tail += (tail.empty() ? "" : "+") + activation;
  }
  return std::string(to_string(op)) + ":" + body + (tail.empty() ? "" : ":" + tail);
}

namespace {

constexpr std::string_view kWhat = "workload such as conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1";

/// The workload whose shape, without types, is `body`.
Result<Workload> parse_untyped(Op op, std::string body, std::string_view text) {
  Workload workload;
  workload.op = op;
  if (workload.op == Op::concat) {
    // c64+128+32: read the parts, leave their sum.
    const auto from = body.find("_c"),
               to = body.find('_', from == std::string::npos ? 0 : from + 1);
    if (from == std::string::npos || to == std::string::npos) return bad_text(kWhat, text);
    std::int64_t sum = 0;
    for (const auto part : split(std::string_view(body).substr(from + 2, to - from - 2), '+')) {
      const auto channels = parse_number<int>(part);
      if (!channels || *channels < 1) return bad_text(kWhat, text);
      workload.parts.push_back(*channels);
      sum += *channels;
    }
    if (sum > std::numeric_limits<std::int32_t>::max()) return bad_text(kWhat, text);
    body.replace(from, to - from, "_c" + std::to_string(sum));
  }
  if (workload.op != Op::concat) {
    auto ending = cut_parts(workload.op, body);
    if (!ending) return bad_text(kWhat, text);
    workload.parts = std::move(*ending);
  }
  auto shape = parse_fields(body, kWhat);
  if (!shape) return bad_text(kWhat, text);
  workload.shape = *shape;
  switch (workload.op) {
    case Op::conv:
    case Op::fully_connected:
    case Op::slice:
      break;
    case Op::depth_to_space:
      if (!splits_channels(*shape)) return bad_text(kWhat, text);
      workload.shape.oc = shape->ic / shape->stride_h / shape->stride_w;
      break;
    case Op::layer_norm:
      workload.shape.groups = workload.shape.oc = workload.shape.ic;
      break;
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      workload.shape.groups = workload.shape.oc = workload.shape.ic;
      break;
    default:
      workload.shape.oc = workload.shape.ic;
      break;
  }
  // Windows and factors that are no windows must not fail the convolution's checks.
  ConvShape checked = workload.shape;
  if (workload.op != Op::conv && workload.op != Op::fully_connected) {
    checked.oc = checked.groups = checked.ic;  // no weights from every channel to every other
  }
  if (workload.op == Op::lrn) checked.kh = 1;
  if (workload.op == Op::upsample_nearest || workload.op == Op::upsample_bilinear ||
      workload.op == Op::upsample_corners || workload.op == Op::depth_to_space) {
    checked.stride_h = checked.stride_w = 1;
  }
  if (auto valid = checked.validate(); !valid) return valid.error();
  if (workload.shape.oc < 1 || workload.shape.kh < 1 || workload.shape.stride_h < 1 ||
      workload.shape.stride_w < 1 || !parts_fit(workload)) {
    return bad_text(kWhat, text);
  }
  return workload;
}

/// Types at the end of a shape: none, `_bf16` for both or `_u8_s32`.
struct TypedShape {
  std::string_view shape;
  DataType input_type, output_type;
};

/// The ways to read a shape's text, fewest types first. There are several because `_s8` may be a
/// stride or a type; one of them at most is canonical.
std::vector<TypedShape> readings(std::string_view text) {
  std::vector<TypedShape> result = {{text, DataType::f32, DataType::f32}};
  const auto cut = [](std::string_view& shape) -> std::optional<DataType> {
    const auto at = shape.rfind('_');
    if (at == std::string_view::npos) return std::nullopt;
    const auto type = parse_data_type(shape.substr(at + 1));
    if (type) shape = shape.substr(0, at);
    return type;
  };
  const auto last = cut(text);
  if (!last) return result;
  result.push_back({text, *last, *last});
  if (const auto first = cut(text)) result.push_back({text, *first, *last});
  return result;
}

}  // namespace

Result<Workload> Workload::parse(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) return bad_text(kWhat, text);
  const auto known = std::ranges::find(kOpNames, parts[0]);
  if (known == kOpNames.end()) return bad_text(kWhat, text);
  Epilogue epilogue;
  if (parts.size() == 3) {
    std::string_view rest = parts[2];
    if (rest == "add" || rest.starts_with("add+")) {
      epilogue.residual = true;
      rest.remove_prefix(std::min<std::size_t>(rest.size(), 4));
      if (rest.empty() && parts[2] != "add") return bad_text(kWhat, text);
    }
    if (!rest.empty()) {
      auto activation = Activation::parse(rest);
      if (!activation) return activation.error();
      epilogue.activation = *activation;
    }
  }
  // One text per workload: anything that is not canonical is refused.
  std::optional<Error> problem;
  for (const auto& [shape, input_type, output_type] : readings(parts[1])) {
    auto workload =
        parse_untyped(static_cast<Op>(known - kOpNames.begin()), std::string(shape), text);
    if (workload) {
      workload->epilogue = epilogue;
      workload->input_type = input_type;
      workload->output_type = output_type;
      if (workload->text() == text) return workload;
    }
    if (!problem) problem = workload ? bad_text(kWhat, text) : workload.error();
  }
  return *problem;
}

}  // namespace convopt
