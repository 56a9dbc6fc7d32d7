#include "convopt/workload.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "core/ops/descriptor.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

constexpr std::string_view kWhat = "workload such as conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1";

/// Types at the end of a shape: none, `_bf16` for all, `_u8_s32`, or `_s8+u8_u8` for two sources;
/// behind them perhaps `_zp`.
struct TypedFields {
  std::string_view fields;
  DataType input_type = DataType::f32, output_type = DataType::f32;
  std::optional<DataType> second_type = {};
};

constexpr std::string_view kZeroPoints = "_zp", kScaled = "_scaled";

/// Takes the ending off, if the text has it.
bool cut_ending(std::string_view& text, std::string_view ending) {
  const bool has_it = text.ends_with(ending);
  if (has_it) text.remove_suffix(ending.size());
  return has_it;
}

/// The ways to read a shape's text, fewest types first. There are several because `_s8` may be a
/// stride or a type; one of them at most is canonical.
std::vector<TypedFields> readings(std::string_view text) {
  std::vector<TypedFields> result = {{text}};
  struct Types {
    DataType first;
    std::optional<DataType> second;
  };
  const auto cut = [](std::string_view& fields) -> std::optional<Types> {
    const auto at = fields.rfind('_');
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view last = fields.substr(at + 1);
    const auto plus = last.find('+');
    const auto first = parse_data_type(last.substr(0, plus));
    if (!first) return std::nullopt;
    Types types{*first, {}};
    if (plus != std::string_view::npos) {
      types.second = parse_data_type(last.substr(plus + 1));
      if (!types.second) return std::nullopt;
    }
    fields = fields.substr(0, at);
    return types;
  };
  const auto last = cut(text);
  if (!last) return result;
  result.push_back({text, last->first, last->first, last->second});
  if (last->second) return result;
  if (const auto first = cut(text)) {
    result.push_back({text, first->first, last->first, first->second});
  }
  return result;
}

Result<Epilogue> parse_epilogue(std::string_view text) {
  Epilogue epilogue;
  const auto plus = text.find('+');
  const std::string_view first = text.substr(0, plus);
  if (first != "add" && !first.starts_with("add_")) {
    CONVOPT_TRY(epilogue.activation, Activation::parse(text));
    return epilogue;
  }
  epilogue.residual = true;
  if (first != "add") {
    epilogue.residual_type = parse_data_type(first.substr(4));
    if (!epilogue.residual_type) return bad_text(kWhat, text);
  }
  if (plus != std::string_view::npos) {
    CONVOPT_TRY(epilogue.activation, Activation::parse(text.substr(plus + 1)));
  }
  return epilogue;
}

/// A residual of another type than the result is of the other type of quantised numbers.
bool is_possible(const Epilogue& epilogue, DataType result) {
  if (!epilogue.residual_type) return true;
  return epilogue.residual && is_quantised(result) &&
         *epilogue.residual_type == other_quantised(result);
}

/// Sums of products that one step of a recurrent layer makes for an image.
std::int64_t gates_of_step(const Workload& workload) {
  const int gates = workload.op == Op::lstm ? 4 : 3;
  return std::int64_t{gates} * workload.second[0] * workload.second[2];
}

/// What holds for every tensor.
bool fits(const TensorShape& shape) {
  double elements = 1;
  for (const int size : shape.sizes()) {
    if (size < 1 || size > kMaxDimension) return false;
    elements *= size;
  }
  return elements <= std::numeric_limits<std::int32_t>::max();
}

}  // namespace

std::string_view to_string(Op op) {
  return static_cast<int>(op) < kOpCount ? descriptor(op).name : std::string_view();
}

Workload Workload::conv(const ConvShape& shape, const Epilogue& epilogue) {
  Workload workload;
  workload.shape = shape;
  workload.epilogue = epilogue;
  return workload;
}

Workload Workload::pool(Op op, const ConvShape& window) {
  Workload workload;
  workload.op = op;
  workload.shape = window;
  workload.shape.oc = workload.shape.groups = window.ic;
  return workload;
}

Workload Workload::fully_connected(int n, int ic, int oc, const Activation& activation) {
  Workload workload;
  workload.op = Op::fully_connected;
  workload.epilogue.activation = activation;
  workload.shape.n = n;
  workload.shape.ic = ic;
  workload.shape.oc = oc;
  return workload;
}

Workload Workload::pointwise(Op op, const TensorShape& shape, const Epilogue& epilogue) {
  Workload workload;
  workload.op = op;
  workload.first = shape;
  workload.epilogue = epilogue;
  if (descriptor(op).sources == 2) workload.second = shape;
  return workload;
}

Workload Workload::concat(const TensorShape& result, std::vector<int> parts) {
  Workload workload = pointwise(Op::concat, result);
  workload.first.c() = parts.front();
  workload.parts = std::move(parts);
  return workload;
}

Workload Workload::lrn(const TensorShape& shape, int window) {
  Workload workload = pointwise(Op::lrn, shape);
  workload.window = window;
  return workload;
}

Workload Workload::upsample(Op op, const TensorShape& shape, int factor_h, int factor_w) {
  Workload workload = pointwise(op, shape);
  workload.factors = {factor_h, factor_w};
  return workload;
}

Workload Workload::binary(Op op, const TensorShape& first, const TensorShape& second) {
  Workload workload = pointwise(op, first);
  workload.second = second;
  return workload;
}

Workload Workload::slice(const TensorShape& shape, int begin, int count, int step) {
  Workload workload = pointwise(Op::slice, shape);
  workload.begin = begin;
  workload.count = count;
  workload.step = step;
  return workload;
}

Workload Workload::shuffle(const TensorShape& shape, int groups) {
  Workload workload = pointwise(Op::shuffle, shape);
  workload.groups = groups;
  return workload;
}

Workload Workload::pad(const TensorShape& shape, int top, int bottom, int left, int right) {
  Workload workload = pointwise(Op::pad, shape);
  workload.pads = {top, bottom, left, right};
  return workload;
}

Workload Workload::depth_to_space(const TensorShape& shape, int factor_h, int factor_w) {
  Workload workload = pointwise(Op::depth_to_space, shape);
  workload.factors = {factor_h, factor_w};
  return workload;
}

Workload Workload::transpose(const TensorShape& shape, std::vector<int> order) {
  Workload workload = pointwise(Op::transpose, shape);
  workload.order = std::move(order);
  return workload;
}

Workload Workload::layer_norm(const TensorShape& shape, float epsilon) {
  Workload workload = pointwise(Op::layer_norm, shape);
  workload.epsilon = epsilon;
  return workload;
}

Workload Workload::expand(const TensorShape& shape, const TensorShape& result) {
  Workload workload = pointwise(Op::expand, shape);
  workload.second = result;
  return workload;
}

Workload Workload::reduce(Op op, const TensorShape& shape, std::vector<int> axes) {
  Workload workload = pointwise(op, shape);
  workload.axes = std::move(axes);
  return workload;
}

Workload Workload::along(Op op, const TensorShape& shape, int axis) {
  Workload workload = pointwise(op, shape);
  workload.axis = axis;
  return workload;
}

Workload Workload::matmul(const TensorShape& first, const TensorShape& second, bool transposed) {
  Workload workload = pointwise(Op::matmul, first);
  workload.second = second;
  workload.transposed = transposed ? 1 : 0;
  return workload;
}

Workload Workload::gather(Op op, const TensorShape& shape, const TensorShape& indices, int axis) {
  Workload workload = along(op, shape, axis);
  workload.second = indices;
  return workload;
}

Workload Workload::scatter(Op op, const TensorShape& shape, const TensorShape& indices, int axis) {
  return gather(op, shape, indices, axis);
}

Workload Workload::grid_sample(const TensorShape& shape, const TensorShape& grid, int window,
                               Border border) {
  Workload workload = pointwise(Op::grid_sample, shape);
  workload.second = grid;
  workload.window = window;
  workload.border = static_cast<int>(border);
  return workload;
}

Workload Workload::roi(Op op, const TensorShape& shape, int regions, int rows, int columns,
                       int window) {
  Workload workload = pointwise(op, shape);
  workload.second = {regions, 4};
  workload.factors = {rows, columns};
  workload.window = window;
  return workload;
}

Workload Workload::recurrent(Op op, const TensorShape& sequence, const TensorShape& state) {
  Workload workload = pointwise(op, sequence);
  workload.second = state;
  return workload;
}

Workload Workload::resample(const TensorShape& shape, int axis, int count, int window) {
  Workload workload = along(Op::resample, shape, axis);
  workload.count = count;
  workload.window = window;
  return workload;
}

Workload Workload::top_k(Op op, const TensorShape& shape, int axis, int count) {
  Workload workload = along(op, shape, axis);
  workload.count = count;
  return workload;
}

Workload Workload::of_type(DataType type) const {
  Workload workload = *this;
  workload.input_type = workload.output_type = type;
  workload.second_type.reset();
  workload.zero_points = false;
  return workload;
}

bool Workload::has_conv_shape() const {
  return op == Op::conv || op == Op::fully_connected || op == Op::max_pool ||
         op == Op::avg_pool_include || op == Op::avg_pool_exclude;
}

int Workload::source_count() const {
  if (scaled) return 2;
  const int sources = descriptor(op).sources;
  return sources == kAsManyAsParts ? static_cast<int>(parts.size()) : sources;
}

TensorShape Workload::source(int index) const {
  if (scaled && index == 1) return {shape.n, shape.ic, 1, 1};
  if (has_conv_shape()) return shape.input();
  if (op == Op::concat) {
    TensorShape part = first;
    part[axis] = parts[static_cast<std::size_t>(index)];
    return part;
  }
  if (index == 2 && descriptor(op).third != nullptr) return descriptor(op).third(*this);
  return index == 0 || op == Op::select ? first : second;
}

bool Workload::is_image() const {
  return has_conv_shape() ||
         (first.is_image() && axis == 1 && !descriptor(op).image_fields.empty());
}

TensorShape Workload::output() const { return descriptor(op).output(*this); }

Result<void> Workload::validate() const {
  if (second_type &&
      (op != Op::add || !is_quantised(input_type) || *second_type != other_quantised(input_type))) {
    return bad_text("workload of two types that go together", text());
  }
  const Activation& activation = epilogue.activation;
  if (activation.kind == ActivationKind::quantise && is_quantised(output_type) &&
      !is_zero_point(smallest_number(output_type) - activation.beta, output_type)) {
    return bad_text("workload that rounds to numbers of its result's type", text());
  }
  if (zero_points && !minds_zero_points(*this)) {
    return bad_text("workload that depends on zero points", text());
  }
  if (scaled && (op != Op::conv || shape.groups != 1 || input_type != DataType::f32 ||
                 output_type != DataType::f32)) {
    return bad_text("workload whose source can be scaled", text());
  }
  if (!is_possible(epilogue, output_type)) {
    return bad_text("workload whose residual can be added", text());
  }
  if (has_conv_shape()) return shape.validate();
  // The result's sizes are products and sums of what is checked before.
  bool valid = fits(first) && descriptor(op).valid(*this) && fits(output());
  for (int i = 1; valid && i < source_count(); ++i) valid = fits(source(i));
  if (valid) return {};
  return bad_text("workload that can be computed", text());
}

std::int64_t Workload::weight_elements() const {
  if (is_recurrent()) return gates_of_step(*this) * (first[2] + second[2]);
  if (op == Op::layer_norm) return first.c();
  if (op == Op::resample) return std::int64_t{2} * count * window;
  return has_weights() ? shape.weight_elements() : 0;
}

std::int64_t Workload::bias_elements() const {
  if (op == Op::layer_norm) return first.c();
  if (op == Op::resample) return 0;
  if (is_recurrent()) return 2 * gates_of_step(*this);
  return has_weights() ? shape.oc : 0;
}

std::string Workload::text() const {
  std::string text = std::string(to_string(op)) + ":" + fields_text(*this);
  if (input_type != output_type || input_type != DataType::f32) {
    text += "_" + std::string(to_string(input_type));
  }
  if (second_type) text += "+" + std::string(to_string(*second_type));
  if (input_type != output_type) text += "_" + std::string(to_string(output_type));
  if (zero_points) text += kZeroPoints;
  if (scaled) text += kScaled;
  const std::string activation = epilogue.activation.text();
  if (epilogue.residual) text += ":add";
  if (epilogue.residual_type) text += "_" + std::string(to_string(*epilogue.residual_type));
  if (!activation.empty()) text += (epilogue.residual ? "+" : ":") + activation;
  return text;
}

Result<Workload> Workload::parse(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) return bad_text(kWhat, text);
  const auto op = parse_op(parts[0]);
  if (!op) return bad_text(kWhat, text);
  Epilogue epilogue;
  if (parts.size() == 3) {
    CONVOPT_TRY(epilogue, parse_epilogue(parts[2]));
  }
  std::string_view shape = parts[1];
  const bool scaled = cut_ending(shape, kScaled);
  const bool zero_points = cut_ending(shape, kZeroPoints);
  std::optional<Error> problem;
  for (const auto& [fields, input_type, output_type, second_type] : readings(shape)) {
    Workload workload;
    workload.zero_points = zero_points;
    workload.scaled = scaled;
    workload.op = *op;
    workload.epilogue = epilogue;
    workload.input_type = input_type;
    workload.output_type = output_type;
    workload.second_type = second_type;
    const OpDescriptor& known = descriptor(*op);
    const bool is_plain = fields.starts_with("d");
    if (!parse_fields(fields, is_plain ? known.plain_fields : known.image_fields, workload)) {
      continue;
    }
    // One text per workload: anything that is not canonical is refused.
    if (auto valid = workload.validate(); !valid) {
      if (!problem) problem = valid.error();
    } else if (workload.text() == text) {
      return workload;
    }
  }
  return problem ? *problem : bad_text(kWhat, text);
}

}  // namespace convopt
