#include "primitives/onednn/names.h"

#include <algorithm>
#include <cctype>

#include "core/quantisation.h"

namespace convopt::onednn {
namespace {

constexpr std::string_view kPrefix = "onednn_";
constexpr std::string_view kReorder = "reorder";

/// Cuts `_LAYOUT` off the end.
std::optional<Layout> cut_layout(std::string_view& text) {
  const std::size_t underscore = text.rfind('_');
  if (underscore == std::string_view::npos) return std::nullopt;
  const auto layout = parse_layout(text.substr(underscore + 1));
  if (layout) text = text.substr(0, underscore);
  return layout;
}

/// Cuts `_TYPE` off the end, of the types that convopt asks oneDNN about.
std::optional<DataType> cut_type(std::string_view& text) {
  const std::size_t underscore = text.rfind('_');
  if (underscore == std::string_view::npos) return std::nullopt;
  const auto type = parse_data_type(text.substr(underscore + 1));
  const bool is_known =
      type == DataType::f32 || type == DataType::bf16 || (type && is_quantised(*type));
  if (!is_known) return std::nullopt;
  text = text.substr(0, underscore);
  return type;
}

/// What operations but convolutions and fully connected layers do with layout and type: conversions
/// change one of them, all others keep both.
bool is_possible(const Identity& identity) {
  const bool same_type = identity.input_type == identity.output_type;
  const bool same = identity.input == identity.output && same_type;
  if (identity.op == Op::convert) return !same;
  if (identity.op == Op::fully_connected) return identity.input == identity.output;
  return same;
}

std::optional<Op> parse_operation(std::string_view text) {
  if (text == kReorder) return Op::convert;
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    if (op != Op::conv && op != Op::convert && text == to_string(op)) return op;
  }
  return std::nullopt;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `wino_MxR...`: outputs per tile edge and taps; zeros if the name does not say.
std::pair<int, int> winograd_size(std::string_view implementation) {
  for (std::size_t i = 1; i + 1 < implementation.size(); ++i) {
    if (implementation[i] == 'x' && is_digit(implementation[i - 1]) &&
        is_digit(implementation[i + 1])) {
      return {implementation[i - 1] - '0', implementation[i + 1] - '0'};
    }
  }
  return {0, 0};
}

}  // namespace

std::string clean_implementation(std::string_view library_name) {
  std::string clean;
  for (const char c : library_name) {
    clean += std::isalnum(static_cast<unsigned char>(c)) != 0
                 ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
                 : '_';
  }
  // `jit_wino_4x3` and `jit_fp32_wino_2x3` are siblings: what stands before says nothing.
  const std::size_t winograd = clean.find("wino");
  return winograd == std::string::npos ? clean : clean.substr(winograd);
}

std::string name_of(const Identity& identity) {
  std::string name(kPrefix);
  if (identity.op == Op::conv) {
    name += identity.implementation;
  } else if (identity.op == Op::convert) {
    name += kReorder;
  } else {
    name += to_string(identity.op);
  }
  if (identity.input != identity.output) name.append("_").append(to_string(identity.input));
  name.append("_").append(to_string(identity.output));
  const DataType input = identity.input_type, output = identity.output_type;
  if (input != output || input != DataType::f32) name.append("_").append(to_string(input));
  if (input != output) name.append("_").append(to_string(output));
  return name;
}

std::optional<Identity> parse_name(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::string_view rest = name.substr(kPrefix.size());
  const auto output_type = cut_type(rest);
  const auto input_type = output_type ? cut_type(rest) : std::nullopt;
  const auto output = cut_layout(rest);
  if (!output) return std::nullopt;
  const auto input = cut_layout(rest);
  Identity identity{Op::conv, {}, input.value_or(*output), *output};
  identity.output_type = output_type.value_or(DataType::f32);
  identity.input_type = input_type.value_or(identity.output_type);
  if (const auto op = parse_operation(rest)) {
    identity.op = *op;
    if (!is_possible(identity)) return std::nullopt;
  } else {
    identity.implementation = rest;
    if (rest.empty() || clean_implementation(rest) != rest) return std::nullopt;
  }
  if (name_of(identity) != name) return std::nullopt;
  return identity;
}

Traits traits_of(const Identity& identity) {
  Traits traits;
  if (identity.op == Op::conv) {
    const std::string& implementation = identity.implementation;
    traits.product_type = product_type(identity.input_type);
    traits.overwrites_residual = true;
    traits.zero_points = is_quantised(identity.input_type);
    // Names say the instructions, but for products of matrices, which take what there is.
    traits.vector_products = traits.product_type != DataType::f32 &&
                             implementation.find("amx") == std::string::npos &&
                             implementation.find("gemm") == std::string::npos;
    if (identity.is_winograd()) {
      const auto [outputs, taps] = winograd_size(implementation);
      traits.algorithm = Algorithm::winograd;
      traits.cost = "winograd";
      if (outputs > 0) {
        traits.output_h = traits.output_w = outputs;
        traits.transform_h = traits.transform_w = outputs + taps - 1;
      }
      // Measured figures of these transforms, see Traits.
      traits.error_amplification = outputs == 2 ? 1 : outputs == 4 ? 3 : 8;
    } else if (implementation.find("gemm") != std::string::npos ||
               implementation.find("1x1") != std::string::npos) {
      traits.algorithm = Algorithm::gemm;
      traits.cost = "im2col";
    } else {
      traits.algorithm = Algorithm::direct;
      traits.cost = "direct";
    }
  } else if (identity.op == Op::fully_connected) {
    traits.algorithm = Algorithm::gemm;
    traits.product_type = product_type(identity.input_type);
    traits.cost = "gemm";
    traits.overwrites_residual = true;
  } else {
    traits.algorithm = Algorithm::copy;
    traits.cost = "pointwise";
    // Coordinates are rounded to single precision: measured 5 at 80 source columns times five, 18
    // at 512; factors of two are exact.
    if (identity.op == Op::upsample_bilinear) traits.error_amplification = 32;
    // Exponentials are stored in bf16 before they are divided by their sum: a unit roundoff of bf16
    // more, which is so many times the bound of f32.
    if (identity.op == Op::softmax && identity.output_type == DataType::bf16) {
      traits.error_amplification = 3500;
    }
  }
  return traits;
}

}  // namespace convopt::onednn
