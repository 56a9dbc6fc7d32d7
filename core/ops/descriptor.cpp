#include "core/ops/descriptor.h"

#include <algorithm>
#include <array>

#include "core/ops/fields.h"
#include "core/text.h"

namespace convopt {
namespace {

using Form = OpField::Form;

constexpr std::array kDescriptors = {
#define CONVOPT_OP(name) &ops::name,
#include "core/ops/operations.inc"
};
static_assert(kDescriptors.size() == kOpCount);

std::string joined(std::span<const int> values, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += separator;
    text += std::to_string(values[i]);
  }
  return text;
}

/// What is written behind the key for each value of a pair or a frame whose values differ.
std::span<const std::string_view> suffixes(Form form) {
  static constexpr std::array<std::string_view, 2> kPair = {"h", "w"};
  static constexpr std::array<std::string_view, 4> kFrame = {"t", "b", "l", "r"};
  if (form == Form::pair) return kPair;
  if (form == Form::frame) return kFrame;
  return {};
}

std::string field_text(const OpField& field, const std::vector<int>& values) {
  const std::string key(field.key);
  switch (field.form) {
    case Form::number:
      return key + std::to_string(values[0]);
    case Form::pair:
    case Form::frame: {
      if (std::ranges::all_of(values, [&](int value) { return value == values[0]; })) {
        return key + std::to_string(values[0]);
      }
      std::string text;
      const auto names = suffixes(field.form);
      for (std::size_t i = 0; i < values.size(); ++i) {
        text += (i == 0 ? "" : "_") + key + std::string(names[i]) + std::to_string(values[i]);
      }
      return text;
    }
    case Form::sum:
      return key + joined(values, "+");
    case Form::sizes:
      return key + joined(values, "x");
    case Form::digits:
      return key + joined(values, "");
  }
  return key;
}

bool is_omitted(const OpField& field, const std::vector<int>& values) {
  if (values.empty()) return true;
  return field.omitted && std::ranges::all_of(values, [&](int v) { return v == *field.omitted; });
}

/// The number behind `key` where the token is no more than the two.
std::optional<int> number_behind(std::string_view token, std::string_view key) {
  if (!token.starts_with(key)) return std::nullopt;
  return parse_number<int>(token.substr(key.size()));
}

std::optional<std::vector<int>> numbers_behind(std::string_view token, std::string_view key,
                                               char separator) {
  if (!token.starts_with(key)) return std::nullopt;
  std::vector<int> values;
  for (const auto part : split(token.substr(key.size()), separator)) {
    const auto value = parse_number<int>(part);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

/// How many values a field of this form has; 0: any number.
std::size_t value_count(Form form) {
  if (form == Form::number) return 1;
  return suffixes(form).size();
}

/// Takes the field's tokens off the front; nothing if it does not stand there.
std::optional<std::vector<int>> take(const OpField& field,
                                     std::span<const std::string_view>& tokens) {
  if (tokens.empty()) return std::nullopt;
  std::optional<std::vector<int>> values;
  std::size_t taken = 1;
  switch (field.form) {
    case Form::number:
    case Form::pair:
    case Form::frame: {
      const std::size_t count = value_count(field.form);
      if (const auto value = number_behind(tokens[0], field.key)) {
        values = std::vector<int>(count, *value);
        break;
      }
      const auto names = suffixes(field.form);
      if (names.empty() || tokens.size() < count) return std::nullopt;
      std::vector<int> different;
      for (std::size_t i = 0; i < count; ++i) {
        const auto value = number_behind(tokens[i], std::string(field.key) + std::string(names[i]));
        if (!value) return std::nullopt;
        different.push_back(*value);
      }
      values = std::move(different);
      taken = count;
      break;
    }
    case Form::sum:
      values = numbers_behind(tokens[0], field.key, '+');
      break;
    case Form::sizes:
      values = numbers_behind(tokens[0], field.key, 'x');
      break;
    case Form::digits:
      if (!tokens[0].starts_with(field.key)) return std::nullopt;
      values.emplace();
      for (const char digit : tokens[0].substr(field.key.size())) values->push_back(digit - '0');
      break;
  }
  if (values) tokens = tokens.subspan(taken);
  return values;
}

}  // namespace

const OpDescriptor& descriptor(Op op) { return *kDescriptors[static_cast<std::size_t>(op)]; }

std::optional<Op> parse_op(std::string_view name) {
  for (int op = 0; op < kOpCount; ++op) {
    if (descriptor(static_cast<Op>(op)).name == name) return static_cast<Op>(op);
  }
  return std::nullopt;
}

std::string fields_text(const Workload& workload) {
  const OpDescriptor& op = descriptor(workload.op);
  std::string text;
  for (const OpField& field : workload.is_image() ? op.image_fields : op.plain_fields) {
    const std::vector<int> values = field.get(workload);
    if (is_omitted(field, values)) continue;
    text += (text.empty() ? "" : "_") + field_text(field, values);
  }
  return text;
}

bool parse_fields(std::string_view text, std::span<const OpField> fields, Workload& workload) {
  const std::vector<std::string_view> all = split(text, '_');
  std::span<const std::string_view> tokens = all;
  for (const OpField& field : fields) {
    auto values = take(field, tokens);
    if (!values) {
      const std::size_t count = value_count(field.form);
      if (count > 0 && !field.omitted) return false;
      values = std::vector<int>(count, field.omitted.value_or(0));
    }
    if (!field.set(workload, *values)) return false;
  }
  return tokens.empty();
}

TensorShape as_image(const TensorShape& shape) {
  TensorShape image = {1, 1, 1, 1};
  for (int d = shape.rank() - 1, to = kImageRank - 1; d >= 0; --d, to = std::max(0, to - 1)) {
    image[to] *= shape[d];
  }
  return image;
}

ConvShape geometry(const Workload& workload) {
  if (workload.has_conv_shape()) return workload.shape;
  const TensorShape image = as_image(workload.first);
  ConvShape shape;
  shape.n = image.n();
  shape.ic = shape.oc = image.c();
  shape.ih = image.h();
  shape.iw = image.w();
  switch (workload.op) {
    case Op::concat:
      if (workload.is_image()) shape.ic = shape.oc = workload.output().c();
      break;
    case Op::slice:
      if (workload.is_image()) shape.oc = workload.count;
      break;
    case Op::lrn:
      shape.kh = workload.window;
      break;
    case Op::upsample_nearest:
    case Op::upsample_bilinear:
    case Op::upsample_corners:
    case Op::depth_to_space:
      shape.stride_h = workload.factors[0];
      shape.stride_w = workload.factors[1];
      if (workload.op == Op::depth_to_space) shape.oc = workload.output().c();
      break;
    case Op::pad:
      shape.pad_top = workload.pads[0];
      shape.pad_bottom = workload.pads[1];
      shape.pad_left = workload.pads[2];
      shape.pad_right = workload.pads[3];
      break;
    case Op::layer_norm:
      shape.groups = shape.ic;
      break;
    default:
      break;
  }
  return shape;
}

}  // namespace convopt
