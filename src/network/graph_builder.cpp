#include "src/network/graph_builder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "core/quantised_tensors.h"
#include "core/text.h"
#include "core/try.h"
#include "src/network/window_axis.h"

namespace convopt {
namespace {

constexpr std::int64_t kMaxElements = std::numeric_limits<std::int32_t>::max();

Error bad_operator(const std::string& name, const std::string& why) {
  return make_error(ErrorCode::bad_input, "operator " + in_quotes(name) + ": " + why);
}

/// Product of positive factors, cut off above kMaxElements so that it cannot overflow.
template <class Factors>
std::int64_t capped_product(const Factors& factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor > kMaxElements) return kMaxElements + 1;
    product = std::min(product * factor, kMaxElements + 1);
  }
  return product;
}
std::int64_t capped_product(std::initializer_list<std::int64_t> factors) {
  return capped_product<std::initializer_list<std::int64_t>>(factors);
}

std::string by(std::int64_t h, std::int64_t w) {
  return std::to_string(h) + "x" + std::to_string(w);
}

std::string text_of(const TensorShape& shape) {
  std::string text;
  for (const int size : shape.sizes()) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "()" : text;
}

using Axis = WindowAxis;

struct Window {
  Axis rows, columns;

  Window(const TensorShape& input, const Pair& kernel, const Pair& stride, const Pair& dilation,
         const Padding& padding)
      : rows{input.h(), kernel.h, stride.h, dilation.h, padding.top, padding.bottom},
        columns{input.w(), kernel.w, stride.w, dilation.w, padding.left, padding.right},
        mode_(padding.mode) {}

  /// Fixes the paddings; the answer is empty or says what is wrong.
  std::string settle(bool ceil_mode) {
    for (const Axis* axis : {&rows, &columns}) {
      if (axis->kernel < 1 || axis->stride < 1 || axis->dilation < 1)
        return "kernel, stride and dilation must be at least 1";
      if (axis->before < 0 || axis->after < 0) return "its padding is negative";
    }
    for (Axis* axis : {&rows, &columns}) {
      if (mode_ != Padding::Mode::given) axis->pad_same(mode_ == Padding::Mode::same_upper);
      if (std::max({axis->kernel, axis->stride, axis->dilation, axis->before, axis->after}) >
          kMaxDimension)
        return "its kernel, stride, dilation or padding is larger than 2^24";
    }
    if (rows.extent() > rows.padded() || columns.extent() > columns.padded())
      return "its kernel covers " + by(rows.extent(), columns.extent()) +
             " elements, which is larger than the padded image of " +
             by(rows.padded(), columns.padded());
    if (ceil_mode && mode_ == Padding::Mode::given)
      for (Axis* axis : {&rows, &columns}) axis->pad_partial_window();
    for (const Axis* axis : {&rows, &columns})
      if (std::max(axis->before, axis->after) > kMaxPadding) return "its padding exceeds 4096";
    return {};
  }

  bool has_padding() const { return rows.before + rows.after + columns.before + columns.after > 0; }

  ConvShape on(const TensorShape& input) const {
    const auto narrow = [](std::int64_t value) { return static_cast<int>(value); };
    ConvShape shape;
    shape.n = input.n();
    shape.ic = shape.oc = shape.groups = input.c();
    shape.ih = input.h();
    shape.iw = input.w();
    shape.kh = narrow(rows.kernel);
    shape.kw = narrow(columns.kernel);
    shape.stride_h = narrow(rows.stride);
    shape.stride_w = narrow(columns.stride);
    shape.dilation_h = narrow(rows.dilation);
    shape.dilation_w = narrow(columns.dilation);
    shape.pad_top = narrow(rows.before);
    shape.pad_bottom = narrow(rows.after);
    shape.pad_left = narrow(columns.before);
    shape.pad_right = narrow(columns.after);
    return shape;
  }

 private:
  Padding::Mode mode_;
};

}  // namespace

GraphBuilder::GraphBuilder(std::string name, std::string source) {
  network_.name = std::move(name);
  network_.source = std::move(source);
}

Result<TensorId> GraphBuilder::add_tensor(std::string_view owner, const std::string& name,
                                          const TensorShape& shape, DataType type) {
  const auto bad = [&](const std::string& why) {
    return make_error(ErrorCode::bad_input,
                      std::string(owner) + " " + in_quotes(name) + ": " + why);
  };
  if (!names_.insert(name).second) return bad("its name is used twice");
  if (std::ranges::any_of(shape.sizes(), [](int size) { return size < 1; }))
    return bad("the shape " + text_of(shape) + " has a size that is not positive");
  if (std::ranges::any_of(shape.sizes(), [](int size) { return size > kMaxDimension; }) ||
      capped_product(shape.sizes()) > kMaxElements)
    return bad("the shape " + text_of(shape) +
               " has more than 2^31 - 1 elements or a size larger than 2^24");
  network_.tensors.push_back({name, shape, type});
  return static_cast<TensorId>(network_.tensors.size()) - 1;
}

Result<TensorId> GraphBuilder::add_operator(OperatorKind kind, Label label,
                                            std::span<const TensorId> inputs, Workload workload,
                                            const TensorShape& shape, DataType type) {
  Result<TensorId> output = add_tensor("operator", label.name, shape, type);
  if (!output) return output;
  network_.operators.push_back({std::move(label.name),
                                std::move(label.type),
                                kind,
                                std::move(workload),
                                {inputs.begin(), inputs.end()},
                                {*output},
                                nullptr});
  return output;
}

Result<TensorId> GraphBuilder::add_compute(Label label, std::span<const TensorId> inputs,
                                           Workload workload, WeightsPointer weights) {
  const TensorShape shape = workload.output();
  const DataType type = this->type(inputs[0]);
  for (const TensorId input : inputs) {
    if (this->type(input) == type) continue;
    return bad_operator(label.name, "its inputs are of the types " + std::string(to_string(type)) +
                                        " and " + std::string(to_string(this->type(input))));
  }
  workload = workload.of_type(type);
  if (weights != nullptr) {
    const auto fits = [](const FloatArray& values, std::int64_t wanted) {
      return static_cast<std::int64_t>(values.size()) == wanted;
    };
    if (!fits(weights->weights, workload.weight_elements()) ||
        !(weights->bias.empty() || fits(weights->bias, workload.bias_elements())))
      return bad_operator(label.name, "it has " + std::to_string(weights->weights.size()) +
                                          " weights and " + std::to_string(weights->bias.size()) +
                                          " biases, which is not what its shape needs");
  }
  auto output = add_operator(OperatorKind::compute, std::move(label), inputs, std::move(workload),
                             shape, type);
  if (output) network_.operators.back().weights = std::move(weights);
  return output;
}

Result<TensorId> GraphBuilder::add(Label label, std::span<const TensorId> inputs,
                                   const Workload& workload, WeightsPointer weights) {
  const auto fits = [&] {
    if (std::ssize(inputs) != workload.source_count()) return false;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (shape(inputs[i]) != workload.source(static_cast<int>(i))) return false;
    return true;
  };
  if (const auto valid = workload.validate(); !valid)
    return bad_operator(label.name, valid.error().message);
  if (!fits()) return bad_operator(label.name, "its inputs do not fit " + workload.text());
  return add_compute(std::move(label), inputs, workload, std::move(weights));
}

Result<TensorId> GraphBuilder::add_constant(Label label, const TensorShape& shape,
                                            FloatArray values) {
  if (!values.empty() && shape.elements() != static_cast<std::int64_t>(values.size()))
    return bad_operator(label.name, "it has " + std::to_string(values.size()) +
                                        " values for the shape " + text_of(shape));
  auto output =
      add_operator(OperatorKind::constant, std::move(label), {}, {}, shape, DataType::f32);
  if (output && !values.empty())
    network_.operators.back().weights =
        std::make_shared<const StoredWeights>(StoredWeights{std::move(values), {}});
  return output;
}

Result<TensorId> GraphBuilder::add_cast(Label label, TensorId input, DataType to) {
  if (type(input) == to) return input;
  const TensorShape result = shape(input);
  const bool is_row = result.rank() == 1;
  // Of a row, which has no layouts to choose from: that is all that kernels need.
  TensorId source = input;
  if (!is_row) {
    CONVOPT_TRY(source, add_reshape({label.name + "/row", "reshape"}, input,
                                    {static_cast<int>(result.elements())}));
  }
  Workload workload = Workload::pointwise(Op::convert, shape(source)).of_type(type(input));
  workload.output_type = to;
  const std::string name = is_row ? label.name : label.name + "/cast";
  CONVOPT_TRY(const TensorId cast,
              add_operator(OperatorKind::compute, {name, label.type}, std::array{source},
                           std::move(workload), shape(source), to));
  if (is_row) return cast;
  return add_reshape(std::move(label), cast, result);
}

Result<TensorId> GraphBuilder::add_input(const std::string& name, const TensorShape& shape,
                                         DataType type) {
  Result<TensorId> tensor = add_tensor("input", name, shape, type);
  if (tensor) network_.inputs.push_back(*tensor);
  return tensor;
}

bool commutes(Op op) {
  constexpr std::array kCommuting = {Op::add, Op::multiply, Op::maximum, Op::minimum, Op::equal};
  return std::ranges::find(kCommuting, op) != kCommuting.end();
}

Result<void> GraphBuilder::check_image(const Label& label, TensorId input) const {
  if (shape(input).is_image()) return {};
  return bad_operator(label.name, "its input of the shape " + text_of(shape(input)) +
                                      " is no image of four dimensions");
}

Result<TensorId> GraphBuilder::add_conv(Label label, TensorId input,
                                        const ConvAttributes& attributes, WeightsPointer weights) {
  CONVOPT_CHECK(check_image(label, input));
  const TensorShape& in = shape(input);
  if (attributes.oc < 1) return bad_operator(label.name, "it needs at least one output channel");
  if (attributes.groups < 1) return bad_operator(label.name, "it needs at least one group");
  if (in.c() % attributes.groups != 0 || attributes.oc % attributes.groups != 0)
    return bad_operator(label.name, std::to_string(attributes.groups) + " groups do not divide " +
                                        std::to_string(in.c()) + " input and " +
                                        std::to_string(attributes.oc) + " output channels");
  Window window(in, attributes.kernel, attributes.stride, attributes.dilation, attributes.padding);
  if (const std::string fault = window.settle(false); !fault.empty())
    return bad_operator(label.name, fault);
  if (capped_product({attributes.oc, in.c() / attributes.groups, attributes.kernel.h,
                      attributes.kernel.w}) > kMaxElements)
    return bad_operator(label.name, "it has more than 2^31 - 1 weights");
  ConvShape conv = window.on(in);
  conv.oc = attributes.oc;
  conv.groups = attributes.groups;
  return add_compute(std::move(label), std::array{input}, Workload::conv(conv), std::move(weights));
}

Result<TensorId> GraphBuilder::add_pool(Label label, PoolKind kind, TensorId input,
                                        const PoolAttributes& attributes) {
  CONVOPT_CHECK(check_image(label, input));
  const TensorShape& in = shape(input);
  Window window(in, attributes.kernel, attributes.stride, Pair{1, 1}, attributes.padding);
  if (const std::string fault = window.settle(attributes.ceil_mode); !fault.empty())
    return bad_operator(label.name, fault);
  for (const Axis* axis : {&window.rows, &window.columns})
    if (axis->before >= axis->kernel || (axis->out() - 1) * axis->stride >= axis->before + axis->in)
      return bad_operator(label.name, "a window would lie entirely in the padding");

  Op op = Op::max_pool;
  if (kind == PoolKind::average) {
    // The divisor counts padding that was asked for, but not what a partial window adds.
    const bool counts_partial = window.rows.after > attributes.padding.bottom ||
                                window.columns.after > attributes.padding.right;
    const bool include = attributes.count_include_pad && attributes.padding != Padding{};
    if (include && counts_partial && attributes.padding.mode == Padding::Mode::given) {
      CONVOPT_TRY(const TensorId image,
                  add_pad({label.name + "/pad", "pad"}, input, attributes.padding));
      PoolAttributes inner{attributes.kernel, attributes.stride, {}};
      inner.padding.bottom = static_cast<int>(window.rows.after) - attributes.padding.bottom;
      inner.padding.right = static_cast<int>(window.columns.after) - attributes.padding.right;
      return add_pool(std::move(label), kind, image, inner);
    }
    op = include || !window.has_padding() ? Op::avg_pool_include : Op::avg_pool_exclude;
  }
  return add_compute(std::move(label), std::array{input}, Workload::pool(op, window.on(in)));
}

Result<TensorId> GraphBuilder::add_global_pool(Label label, PoolKind kind, TensorId input) {
  CONVOPT_CHECK(check_image(label, input));
  PoolAttributes attributes;
  attributes.kernel = {shape(input).h(), shape(input).w()};
  return add_pool(std::move(label), kind, input, attributes);
}

Result<TensorId> GraphBuilder::add_fully_connected(Label label, TensorId input, int oc,
                                                   WeightsPointer weights) {
  if (shape(input).rank() == 0) return bad_operator(label.name, "its input is a single value");
  if (oc < 1) return bad_operator(label.name, "it needs at least one output channel");
  const TensorShape in = shape(input);
  const int ic = static_cast<int>(in.elements() / in[0]);
  if (ic > kMaxDimension) return bad_operator(label.name, "it has more than 2^24 inputs");
  if (capped_product({ic, oc}) > kMaxElements)
    return bad_operator(label.name, "it has more than 2^31 - 1 weights");
  Result<TensorId> flat =
      add_reshape({label.name + "/flatten", "flatten"}, input, {in[0], ic, 1, 1});
  if (!flat) return flat;
  return add_compute(std::move(label), std::array{*flat}, Workload::fully_connected(in[0], ic, oc),
                     std::move(weights));
}

Result<TensorId> GraphBuilder::add_activation(Label label, TensorId input,
                                              const Activation& activation) {
  Epilogue epilogue;
  epilogue.activation = activation;
  return add_compute(std::move(label), std::array{input},
                     Workload::pointwise(Op::activation, shape(input), epilogue));
}

Result<TensorId> GraphBuilder::add_binary(Label label, Op op, TensorId left, TensorId right) {
  const auto fits = [](const TensorShape& whole, const TensorShape& repeated) {
    if (whole.rank() != repeated.rank()) return false;
    for (int d = 0; d < whole.rank(); ++d)
      if (repeated[d] != 1 && repeated[d] != whole[d]) return false;
    return true;
  };
  if (!fits(shape(left), shape(right)) && commutes(op) && fits(shape(right), shape(left)))
    std::swap(left, right);
  if (!fits(shape(left), shape(right)))
    return bad_operator(label.name, "its inputs have the shapes " + text_of(shape(left)) + " and " +
                                        text_of(shape(right)) +
                                        ", which must be equal but for sizes of 1");
  return add_compute(std::move(label), std::array{left, right},
                     Workload::binary(op, shape(left), shape(right)));
}

Result<TensorId> GraphBuilder::add_scale_shift(Label label, TensorId input, StoredWeights weights) {
  CONVOPT_CHECK(check_image(label, input));
  ConvAttributes attributes;
  attributes.oc = attributes.groups = shape(input).c();
  auto output = add_conv(std::move(label), input, attributes,
                         std::make_shared<const StoredWeights>(std::move(weights)));
  if (output) scale_shifts_.insert(*output);
  return output;
}

Result<TensorId> GraphBuilder::add_layer_norm(Label label, TensorId input, float epsilon,
                                              WeightsPointer weights) {
  CONVOPT_CHECK(check_image(label, input));
  if (!(epsilon >= 0)) return bad_operator(label.name, "its epsilon must not be negative");
  return add_compute(std::move(label), std::array{input},
                     Workload::layer_norm(shape(input), epsilon), std::move(weights));
}

Result<TensorId> GraphBuilder::add_slice(Label label, TensorId input, int first, int count,
                                         int step) {
  CONVOPT_CHECK(check_image(label, input));
  const TensorShape& in = shape(input);
  if (first < 0 || count < 1 || step < 1 || first + (std::int64_t{count} - 1) * step >= in.c())
    return bad_operator(
        label.name, "it does not lie within its input's " + std::to_string(in.c()) + " channels");
  if (count == in.c()) return input;
  return add_compute(std::move(label), std::array{input}, Workload::slice(in, first, count, step));
}

Result<TensorId> GraphBuilder::add_shuffle(Label label, TensorId input, int groups) {
  CONVOPT_CHECK(check_image(label, input));
  const TensorShape& in = shape(input);
  if (groups < 1 || in.c() % groups != 0)
    return bad_operator(label.name, std::to_string(groups) + " groups do not divide " +
                                        std::to_string(in.c()) + " channels");
  if (groups == 1 || groups == in.c()) return input;
  return add_compute(std::move(label), std::array{input}, Workload::shuffle(in, groups));
}

Result<TensorId> GraphBuilder::add_pad(Label label, TensorId input, const Padding& padding) {
  CONVOPT_CHECK(check_image(label, input));
  if (std::min({padding.top, padding.bottom, padding.left, padding.right}) < 0 ||
      std::max({padding.top, padding.bottom, padding.left, padding.right}) > kMaxPadding)
    return bad_operator(label.name, "its padding must lie between 0 and 4096");
  if (padding.mode != Padding::Mode::given)
    return bad_operator(label.name, "its padding must be given in numbers");
  if (padding == Padding{}) return input;
  return add_compute(
      std::move(label), std::array{input},
      Workload::pad(shape(input), padding.top, padding.bottom, padding.left, padding.right));
}

Result<TensorId> GraphBuilder::add_depth_to_space(Label label, TensorId input, const Pair& factor) {
  CONVOPT_CHECK(check_image(label, input));
  const TensorShape& in = shape(input);
  const std::int64_t pixels = std::int64_t{factor.h} * factor.w;
  if (factor.h < 1 || factor.w < 1 || in.c() % pixels != 0)
    return bad_operator(label.name, "its factors " + by(factor.h, factor.w) + " do not divide " +
                                        std::to_string(in.c()) + " channels");
  if (pixels == 1) return input;
  return add_compute(std::move(label), std::array{input},
                     Workload::depth_to_space(in, factor.h, factor.w));
}

Result<TensorId> GraphBuilder::add_transpose(Label label, TensorId input, std::vector<int> order) {
  if (std::ranges::is_sorted(order) && std::ssize(order) == shape(input).rank()) return input;
  Workload workload = Workload::transpose(shape(input), std::move(order));
  if (!workload.validate())
    return bad_operator(label.name, "its order must name each of the dimensions of " +
                                        text_of(shape(input)) + " once");
  return add_compute(std::move(label), std::array{input}, std::move(workload));
}

void GraphBuilder::note_folded(TensorId tensor, std::string name) {
  // Nearly always the last one.
  const auto maker = std::find_if(network_.operators.rbegin(), network_.operators.rend(),
                                  [&](const Operator& op) { return op.outputs[0] == tensor; });
  if (maker != network_.operators.rend()) maker->folded.push_back(std::move(name));
}

Result<TensorId> GraphBuilder::add_concat(Label label, std::span<const TensorId> inputs) {
  for (const TensorId input : inputs) CONVOPT_CHECK(check_image(label, input));
  if (inputs.size() < 2) return bad_operator(label.name, "it needs at least two inputs");
  const TensorShape& first = shape(inputs[0]);
  std::vector<int> parts;
  std::int64_t channels = 0;
  for (const TensorId input : inputs) {
    const TensorShape& part = shape(input);
    if (part.n() != first.n() || part.h() != first.h() || part.w() != first.w())
      return bad_operator(label.name, "its inputs have the shapes " + text_of(first) + " and " +
                                          text_of(part) + ", which may differ in channels only");
    parts.push_back(part.c());
    channels += part.c();
  }
  if (channels > kMaxDimension)
    return bad_operator(label.name, "its result would have more than 2^24 channels");
  const TensorShape result{first.n(), static_cast<int>(channels), first.h(), first.w()};
  return add_compute(std::move(label), inputs, Workload::concat(result, std::move(parts)));
}

Result<TensorId> GraphBuilder::add_softmax(Label label, TensorId input) {
  CONVOPT_CHECK(check_image(label, input));
  return add_compute(std::move(label), std::array{input},
                     Workload::pointwise(Op::softmax, shape(input)));
}

Result<TensorId> GraphBuilder::add_lrn(Label label, TensorId input,
                                       const LrnAttributes& attributes) {
  CONVOPT_CHECK(check_image(label, input));
  if (attributes.size < 1 || attributes.size > kMaxDimension)
    return bad_operator(label.name, "its size must lie between 1 and 2^24");
  Workload workload = Workload::lrn(shape(input), attributes.size);
  workload.lrn_alpha = attributes.alpha;
  workload.lrn_beta = attributes.beta;
  workload.lrn_k = attributes.k;
  return add_compute(std::move(label), std::array{input}, std::move(workload));
}

Result<TensorId> GraphBuilder::add_upsample(Label label, Op op, TensorId input,
                                            const Pair& factor) {
  CONVOPT_CHECK(check_image(label, input));
  if (factor.h < 1 || factor.w < 1)
    return bad_operator(label.name, "its factors must be at least 1");
  if (factor == Pair{1, 1}) return input;
  const TensorShape& in = shape(input);
  // The sizes are multiplied in 64 bits before the workload does it in 32.
  if (capped_product({in.n(), in.c(), in.h(), factor.h, in.w(), factor.w}) > kMaxElements)
    return bad_operator(label.name, "its result would have more than 2^31 - 1 elements");
  return add_compute(std::move(label), std::array{input},
                     Workload::upsample(op, in, factor.h, factor.w));
}

Result<TensorId> GraphBuilder::add_reshape(Label label, TensorId input, const TensorShape& result) {
  const TensorShape& in = shape(input);
  if (result == in) return input;
  if (std::ranges::any_of(result.sizes(), [](int size) { return size < 1; }) ||
      capped_product(result.sizes()) != in.elements())
    return bad_operator(label.name, "it cannot make the shape " + text_of(result) + " out of " +
                                        text_of(in) + ", which has " +
                                        std::to_string(in.elements()) + " elements");
  return add_operator(OperatorKind::reshape, std::move(label), std::array{input}, {}, result,
                      type(input));
}

Result<TensorId> GraphBuilder::add_batch_norm(Label label, TensorId input) {
  const TensorShape result = shape(input);
  Result<TensorId> output = add_operator(OperatorKind::reshape, std::move(label), std::array{input},
                                         {}, result, type(input));
  if (output) batch_norms_.insert(*output);
  return output;
}

Result<TensorId> GraphBuilder::add_opaque(Label label, std::span<const TensorId> inputs,
                                          const TensorShape& result) {
  warn("operator " + in_quotes(label.name) + " of the unknown type " + in_quotes(label.type) +
       " is kept in nchw and its time is left out");
  return add_operator(OperatorKind::opaque, std::move(label), inputs, {}, result, type(inputs[0]));
}

Result<Network> GraphBuilder::build(std::span<const TensorId> outputs, DeadOperators dead) && {
  if (outputs.empty()) return make_error(ErrorCode::bad_input, "the network has no output");
  std::unordered_set<TensorId> seen(network_.inputs.begin(), network_.inputs.end());
  for (const TensorId output : outputs)
    if (!seen.insert(output).second)
      return make_error(ErrorCode::bad_input,
                        "the output " + in_quotes(network_.tensors[output].name) +
                            " is an input of the network or another output under a second name");
  merge_quantised(outputs);
  drop_dead(outputs, dead);
  if (Result<void> folded = fold_batch_norms(outputs); !folded) return folded.error();
  fold_scale_shifts(outputs);
  network_.outputs.assign(outputs.begin(), outputs.end());
  renumber_tensors();
  return std::move(network_);
}

/// Activations that rounding to steps makes needless, and rounding of what lies on steps already,
/// are left unread.
void GraphBuilder::merge_quantised(std::span<const TensorId> outputs) {
  const std::size_t count = network_.tensors.size();
  const std::vector<Activation> quantised = quantised_tensors(count, network_.operators);
  std::vector<const Operator*> maker(count, nullptr);
  std::vector<TensorId> same(count);
  std::iota(same.begin(), same.end(), 0);
  for (Operator& op : network_.operators) {
    for (TensorId& input : op.inputs) input = same[input];
    maker[op.outputs[0]] = &op;
    const Activation activation = op.workload.epilogue.activation;
    if (op.kind != OperatorKind::compute || op.workload.op != Op::activation ||
        activation.kind != ActivationKind::quantise) {
      continue;
    }
    TensorId& input = op.inputs[0];
    while (const Operator* const before = maker[input]) {
      if (before->kind != OperatorKind::compute || before->workload.op != Op::activation ||
          !makes_needless(activation, before->workload.epilogue.activation)) {
        break;
      }
      input = before->inputs[0];
    }
    if (quantised[input] == activation &&
        std::ranges::find(outputs, op.outputs[0]) == outputs.end())
      same[op.outputs[0]] = input;
  }
}

void GraphBuilder::drop_dead(std::span<const TensorId> outputs, DeadOperators policy) {
  std::vector<char> needed(network_.tensors.size(), 0);
  for (const TensorId output : outputs) needed[output] = 1;
  std::vector<Operator> alive;
  std::vector<std::string> dead;
  for (auto op = network_.operators.rbegin(); op != network_.operators.rend(); ++op) {
    if (!needed[op->outputs[0]]) {
      dead.push_back(in_quotes(op->name));
      continue;
    }
    for (const TensorId input : op->inputs) needed[input] = 1;
    alive.push_back(std::move(*op));
  }
  std::reverse(alive.begin(), alive.end());
  network_.operators = std::move(alive);

  for (const TensorId input : network_.inputs)
    if (!needed[input])
      warn("the input " + in_quotes(network_.tensors[input].name) + " reaches no output");
  if (dead.empty()) return;
  if (policy == DeadOperators::expected)
    return note_clean_up(std::to_string(dead.size()) +
                         " operators left out, whose results nobody needs");
  constexpr std::size_t kNamed = 5;
  std::string sentence;
  for (std::size_t i = 0; i < std::min(dead.size(), kNamed); ++i)
    sentence += (i > 0 ? ", " : "") + dead[dead.size() - 1 - i];
  if (dead.size() > kNamed) sentence += " and " + std::to_string(dead.size() - kNamed) + " more";
  warn(std::to_string(dead.size()) + (dead.size() == 1 ? " operator reaches" : " operators reach") +
       " no output, left out: " + sentence);
}

std::vector<int> GraphBuilder::count_uses(std::span<const TensorId> outputs) const {
  std::vector<int> uses(network_.tensors.size(), 0);
  for (const TensorId output : outputs) ++uses[output];
  for (const Operator& op : network_.operators)
    for (const TensorId input : op.inputs) ++uses[input];
  return uses;
}

namespace {

/// Whether factors of its channels can become factors of its weights.
bool takes_scale(const Operator& op) {
  return op.kind == OperatorKind::compute && op.weights != nullptr &&
         op.workload.bias_elements() > 0;
}

}  // namespace

bool GraphBuilder::takes_factors(TensorId tensor) const {
  // Whoever asks has mostly just added it.
  const auto& operators = network_.operators;
  const auto maker = std::find_if(operators.rbegin(), operators.rend(), [&](const Operator& op) {
    return std::ranges::find(op.outputs, tensor) != op.outputs.end();
  });
  return maker != operators.rend() && takes_scale(*maker);
}

namespace {

/// Row c of the weights times factor[c], when they are asked for.
FloatArray scaled_rows(const FloatArray& weights, std::vector<float> factor) {
  return FloatArray::deferred(weights.size(), [weights, factor = std::move(factor)] {
    const std::span<const float> given = weights;
    std::vector<float> scaled(given.begin(), given.end());
    const std::size_t row = scaled.size() / factor.size();
    for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] *= factor[i / row];
    return scaled;
  });
}

}  // namespace

void GraphBuilder::fold_scale_shifts(std::span<const TensorId> outputs) {
  if (scale_shifts_.empty()) return;
  const std::vector<int> uses = count_uses(outputs);
  std::vector<Operator> kept;
  std::vector<std::ptrdiff_t> producer(network_.tensors.size(), -1);  // index into `kept`
  std::unordered_map<std::ptrdiff_t, std::vector<float>> factors;     // of channels of `kept`
  int folded = 0;
  for (Operator& op : network_.operators) {
    std::ptrdiff_t maker = static_cast<std::ptrdiff_t>(kept.size());
    const std::ptrdiff_t before = op.inputs.empty() ? -1 : producer[op.inputs[0]];
    if (scale_shifts_.contains(op.outputs[0]) && before >= 0 && uses[op.inputs[0]] == 1 &&
        takes_scale(kept[before]) && op.weights != nullptr) {
      maker = before;
      Operator& head = kept[maker];
      const std::span<const float> scale = op.weights->weights, shift = op.weights->bias;
      StoredWeights combined = *head.weights;
      std::vector<float>& bias = combined.bias.own();
      bias.resize(scale.size(), 0.0F);
      std::vector<float>& factor = factors[maker];
      factor.resize(scale.size(), 1.0F);
      for (std::size_t c = 0; c < scale.size(); ++c) {
        factor[c] *= scale[c];
        bias[c] *= scale[c];
        if (!shift.empty()) bias[c] += shift[c];
      }
      head.weights = std::make_shared<const StoredWeights>(std::move(combined));
      head.outputs = op.outputs;
      head.folded.push_back(op.name);
      head.folded.insert(head.folded.end(), op.folded.begin(), op.folded.end());
      ++folded;
    } else {
      kept.push_back(std::move(op));
    }
    producer[kept[maker].outputs[0]] = maker;
  }
  for (auto& [index, factor] : factors) {
    StoredWeights scaled = *kept[index].weights;
    scaled.weights = scaled_rows(scaled.weights, std::move(factor));
    kept[index].weights = std::make_shared<const StoredWeights>(std::move(scaled));
  }
  network_.operators = std::move(kept);
  if (folded > 0)
    note_clean_up(std::to_string(folded) +
                  " batch normalisations, biases and factors folded into the weights before them");
}

Result<void> GraphBuilder::fold_batch_norms(std::span<const TensorId> outputs) {
  if (batch_norms_.empty()) return {};
  const std::vector<int> uses = count_uses(outputs);
  std::vector<Operator> kept;
  std::vector<std::ptrdiff_t> producer(network_.tensors.size(), -1);  // index into `kept`
  for (Operator& op : network_.operators) {
    std::ptrdiff_t maker = static_cast<std::ptrdiff_t>(kept.size());
    if (batch_norms_.contains(op.outputs[0])) {
      maker = producer[op.inputs[0]];
      const bool foldable = maker >= 0 && uses[op.inputs[0]] == 1 &&
                            kept[maker].kind == OperatorKind::compute &&
                            kept[maker].workload.bias_elements() > 0;
      if (!foldable)
        return bad_operator(op.name,
                            "a batch normalisation can only be folded into a convolution or fully"
                            " connected layer whose result nothing else uses");
      kept[maker].outputs = op.outputs;
    } else {
      kept.push_back(std::move(op));
    }
    producer[kept[maker].outputs[0]] = maker;
  }
  network_.operators = std::move(kept);
  return {};
}

void GraphBuilder::renumber_tensors() {
  std::vector<TensorId> number(network_.tensors.size(), -1);
  std::vector<Tensor> tensors;
  const auto keep = [&](TensorId& id) {
    number[id] = static_cast<TensorId>(tensors.size());
    tensors.push_back(std::move(network_.tensors[id]));
    id = number[id];
  };
  for (TensorId& input : network_.inputs) keep(input);
  for (Operator& op : network_.operators) {
    for (TensorId& input : op.inputs) input = number[input];
    for (TensorId& output : op.outputs) keep(output);
  }
  for (TensorId& output : network_.outputs) output = number[output];
  network_.tensors = std::move(tensors);
}

}  // namespace convopt
