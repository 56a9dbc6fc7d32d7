#include "primitives/own.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/activation.h"
#include "core/ops/descriptor.h"
#include "core/quantisation.h"
#include "core/try.h"
#include "primitives/families.h"

namespace convopt {

#define CONVOPT_PRIMITIVE(name, family, op, input, output, factory, ...) \
  namespace family {                                                     \
  Factory factory;                                                       \
  }
#define CONVOPT_PLAIN(op, factory) \
  namespace plain {                \
  Factory factory;                 \
  }
#include "primitives/primitives.inc"

namespace plain {
Factory make_cast;
}

namespace {

/// A line of the list. It is a table because as many calls take seconds to compile.
struct Line {
  const char *name, *family;
  Op op;
  Layout input, output;
  bool plain;
  Factory* factory;
  std::initializer_list<int> variant;
};

constexpr Line kLines[] = {
#define CONVOPT_PRIMITIVE(name, family, op, input, output, factory, ...) \
  {#name, #family, Op::op, Layout::input, Layout::output, false, &family::factory, {__VA_ARGS__}},
#define CONVOPT_CAST(name, source, result) \
  {#name,                                  \
   "plain",                                \
   Op::convert,                            \
   Layout::nchw,                           \
   Layout::nchw,                           \
   true,                                   \
   &plain::make_cast,                      \
   {static_cast<int>(DataType::source), static_cast<int>(DataType::result)}},
#define CONVOPT_PLAIN(op, factory) \
  {#op "_plain", "plain", Op::op, Layout::nchw, Layout::nchw, true, &plain::factory, {}},
#include "primitives/primitives.inc"
};

}  // namespace

std::vector<std::string> convolution_families() {
  std::vector<std::string> families;
  for (const Line& line : kLines) {
    const bool is_new = std::ranges::find(families, line.family) == families.end();
    if (line.op == Op::conv && is_new) families.emplace_back(line.family);
  }
  return families;
}

std::vector<std::unique_ptr<Primitive>> own_primitives(const Context& context) {
  std::vector<std::unique_ptr<Primitive>> list;
  for (const Line& line : kLines) {
    PrimitiveInfo info;
    info.name = line.name;
    info.family = line.family;
    info.op = line.op;
    info.input_layout = line.input;
    info.output_layout = line.output;
    info.plain = line.plain;
    info.traits.cost = line.family;
    info.traits.cheap_exponentials = true;
    if (auto made = line.factory(std::move(info), context, line.variant)) {
      list.push_back(std::move(made));
    }
  }
  return list;
}

namespace {

Result<void> check(std::string_view what, const ParameterView& given, std::int64_t wanted,
                   const Workload& workload) {
  if (given.data != nullptr && given.type == DataType::f32 && given.count == wanted) return {};
  return make_error(ErrorCode::usage,
                    workload.text() + " needs " + std::to_string(wanted) + " " + std::string(what) +
                        " of f32, " + std::to_string(given.data == nullptr ? 0 : given.count) +
                        " of " + std::string(to_string(given.type)) + " are given");
}

}  // namespace

Result<std::unique_ptr<Kernel>> Primitive::prepare(const Workload& workload,
                                                   const Parameters& parameters,
                                                   const Context& context) const {
  if (workload.has_weights()) {
    CONVOPT_CHECK(check("weights", parameters.weights, workload.weight_elements(), workload));
    if (parameters.bias.data != nullptr) {
      CONVOPT_CHECK(check("bias values", parameters.bias, workload.bias_elements(), workload));
    }
  }
  return make_kernel(workload, parameters, context);
}

/// Direct convolution of U(-1, 1) data with He-scaled weights has an RMS error of 0.29 u sqrt(K)
/// for K = 576 and K = 4608; ten times that.
constexpr double kPerRootOfLength = 3;

double condition_of_equal_terms(const Workload& workload) {
  return std::sqrt(descriptor(workload.op).reduction_length(workload)) / kPerRootOfLength;
}

double error_bound(const Workload& workload, const Traits& traits, double condition) {
  constexpr double kUnitRoundoff = 0x1p-24;
  const DataType type = workload.output_type;
  const bool in_steps = workload.is_image() && is_quantised(type);
  const double stored = type == DataType::bf16  ? 0x1p-8
                        : type == DataType::f16 ? 0x1p-11
                        : in_steps              ? 0.5 / largest_number(type)
                                                : 0;
  // Bias, residual, activation and rounding of the stored value: a few roundings each, not averaged
  // out in short reductions.
  constexpr double kConstantPart = 16;
  const double length = descriptor(workload.op).reduction_length(workload);
  const double amplified = std::max(condition, 1.0);
  const double accumulated = amplified * kPerRootOfLength * std::sqrt(length);
  // A place in an image is known to a rounding of the image's size, and what a cubic makes of
  // elements of one changes by two from one element to the next.
  const double placed =
      workload.op == Op::grid_sample ? 2.0 * std::max(workload.first[2], workload.first[3]) : 0;
  // A sum halfway between two steps may become either.
  const float steps = most_steps(workload.epilogue.activation);
  const double step = steps > 0 ? 1 / steps : 0;
  // Weights and image are rounded to bf16 once more after they are transformed, each value by half
  // of 2^-8 at most and by 0.4 of that in the mean, and the largest of many thousand such sums is
  // five times the mean one; twice that.
  const bool rounds_transformed = traits.product_type == DataType::bf16 && traits.transform_h > 0;
  // Of sums several times as large as what becomes of them.
  const ActivationKind kind = workload.epilogue.activation.kind;
  const double saturation = kind == ActivationKind::tanh || kind == ActivationKind::erf ||
                                    kind == ActivationKind::softsign || kind == ActivationKind::atan
                                ? 3
                                : 1;
  const double transformed = rounds_transformed
                                 ? 6 * 0x1p-9 * traits.error_amplification * amplified *
                                       saturation * error_growth(workload.epilogue.activation)
                                 : 0;
  return stored + step + transformed +
         kUnitRoundoff * traits.error_amplification * error_growth(workload.epilogue.activation) *
             (accumulated + placed + amplified * kConstantPart);
}

}  // namespace convopt
