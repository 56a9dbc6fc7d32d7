#include "core/activation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "core/names.h"
#include "core/text.h"

namespace convopt {
namespace {

constexpr auto kActivationNames = std::to_array<std::string_view>({"",
                                                                   "relu",
                                                                   "clip",
                                                                   "leaky_relu",
                                                                   "elu",
                                                                   "sigmoid",
                                                                   "tanh",
                                                                   "swish",
                                                                   "hard_sigmoid",
                                                                   "hard_swish",
                                                                   "gelu",
                                                                   "erf",
                                                                   "exp",
                                                                   "pow",
                                                                   "log",
                                                                   "sin",
                                                                   "cos",
                                                                   "tan",
                                                                   "asin",
                                                                   "acos",
                                                                   "atan",
                                                                   "sinh",
                                                                   "cosh",
                                                                   "asinh",
                                                                   "acosh",
                                                                   "atanh",
                                                                   "abs",
                                                                   "sign",
                                                                   "floor",
                                                                   "ceil",
                                                                   "round",
                                                                   "truncate",
                                                                   "softplus",
                                                                   "softsign",
                                                                   "selu",
                                                                   "celu",
                                                                   "thresholded_relu",
                                                                   "mish",
                                                                   "gelu_tanh",
                                                                   "shrink",
                                                                   "is_zero",
                                                                   "is_nan",
                                                                   "quantise"});

static_assert(kActivationNames.size() == kActivationCount);

int parameter_count(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::clip:
    case ActivationKind::selu:
    case ActivationKind::shrink:
    case ActivationKind::quantise:
      return 2;
    case ActivationKind::leaky_relu:
    case ActivationKind::elu:
    case ActivationKind::pow:
    case ActivationKind::celu:
    case ActivationKind::thresholded_relu:
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

}  // namespace

std::string_view to_string(ActivationKind kind) {
  return kind == ActivationKind::none ? "none" : name_in(kActivationNames, kind);
}

double error_growth(const Activation& activation) {
  constexpr double kLargestArgument = 8;
  switch (activation.kind) {
    case ActivationKind::exp:
    case ActivationKind::sinh:
    case ActivationKind::cosh:
      return kLargestArgument;
    case ActivationKind::pow:
      return std::max(1.0, std::abs(static_cast<double>(activation.alpha)));
    default:
      return 1;
  }
}

float Activation::operator()(float x) const { return activate(*this, x); }

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

}  // namespace convopt
