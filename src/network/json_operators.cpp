#include "src/network/json_operators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "core/text.h"

namespace convopt {
namespace {

using Type = AttributeType;
using Inputs = std::span<const TensorId>;

Result<TensorId> add_conv(GraphBuilder& graph, Label label, Inputs inputs,
                          const Attributes& attributes) {
  ConvAttributes conv;
  conv.oc = attributes.get<int>("oc");
  conv.kernel = attributes.get<Pair>("kernel");
  conv.stride = attributes.get<Pair>("stride");
  conv.padding = attributes.get<Padding>("padding");
  conv.dilation = attributes.get<Pair>("dilation");
  conv.groups = attributes.get<int>("groups", 1);
  return graph.add_conv(std::move(label), inputs[0], conv);
}

template <PoolKind kind>
Result<TensorId> add_pool(GraphBuilder& graph, Label label, Inputs inputs,
                          const Attributes& attributes) {
  PoolAttributes pool;
  pool.kernel = attributes.get<Pair>("kernel");
  pool.stride = attributes.get<Pair>("stride", pool.kernel);
  pool.padding = attributes.get<Padding>("padding");
  pool.ceil_mode = attributes.get<bool>("ceil_mode");
  pool.count_include_pad = attributes.get<bool>("count_include_pad", true);
  return graph.add_pool(std::move(label), kind, inputs[0], pool);
}

template <PoolKind kind>
Result<TensorId> add_global_pool(GraphBuilder& graph, Label label, Inputs inputs,
                                 const Attributes&) {
  return graph.add_global_pool(std::move(label), kind, inputs[0]);
}

Result<TensorId> add_fully_connected(GraphBuilder& graph, Label label, Inputs inputs,
                                     const Attributes& attributes) {
  return graph.add_fully_connected(std::move(label), inputs[0], attributes.get<int>("oc"));
}

template <ActivationKind kind>
Result<TensorId> add_activation(GraphBuilder& graph, Label label, Inputs inputs,
                                const Attributes& attributes) {
  Activation activation{kind, 0.0F, 0.0F};
  if constexpr (kind == ActivationKind::leaky_relu)
    activation.alpha = attributes.get<float>("alpha", 0.01F);
  if constexpr (kind == ActivationKind::elu)
    activation.alpha = attributes.get<float>("alpha", 1.0F);
  return graph.add_activation(std::move(label), inputs[0], activation);
}

Result<TensorId> add_relu6(GraphBuilder& graph, Label label, Inputs inputs, const Attributes&) {
  return graph.add_activation(std::move(label), inputs[0], {ActivationKind::clip, 0.0F, 6.0F});
}

Result<TensorId> add_clip(GraphBuilder& graph, Label label, Inputs inputs,
                          const Attributes& attributes) {
  const float low = attributes.get<float>("min"), high = attributes.get<float>("max");
  if (low > high)
    return make_error(ErrorCode::bad_input,
                      "operator " + in_quotes(label.name) + ": 'min' is larger than 'max'");
  return graph.add_activation(std::move(label), inputs[0], {ActivationKind::clip, low, high});
}

Result<TensorId> add_power(GraphBuilder& graph, Label label, Inputs inputs,
                           const Attributes& attributes) {
  return graph.add_activation(std::move(label), inputs[0],
                              {ActivationKind::pow, attributes.get<float>("exponent"), 0.0F});
}

template <Op op>
Result<TensorId> add_binary(GraphBuilder& graph, Label label, Inputs inputs, const Attributes&) {
  return graph.add_binary(std::move(label), op, inputs[0], inputs[1]);
}

Result<TensorId> add_slice(GraphBuilder& graph, Label label, Inputs inputs,
                           const Attributes& attributes) {
  return graph.add_slice(std::move(label), inputs[0], attributes.get<int>("first", 0),
                         attributes.get<int>("count"), attributes.get<int>("step", 1));
}

Result<TensorId> add_shuffle(GraphBuilder& graph, Label label, Inputs inputs,
                             const Attributes& attributes) {
  return graph.add_shuffle(std::move(label), inputs[0], attributes.get<int>("groups"));
}

Result<TensorId> add_pad(GraphBuilder& graph, Label label, Inputs inputs,
                         const Attributes& attributes) {
  return graph.add_pad(std::move(label), inputs[0], attributes.get<Padding>("padding"));
}

Result<TensorId> add_depth_to_space(GraphBuilder& graph, Label label, Inputs inputs,
                                    const Attributes& attributes) {
  return graph.add_depth_to_space(std::move(label), inputs[0], attributes.get<Pair>("factor"));
}

Result<TensorId> add_transpose(GraphBuilder& graph, Label label, Inputs inputs,
                               const Attributes& attributes) {
  const auto order = attributes.get<std::vector<int>>("order");
  return graph.add_transpose(std::move(label), inputs[0], {order[0], order[1], order[2], order[3]});
}

Result<TensorId> add_layer_norm(GraphBuilder& graph, Label label, Inputs inputs,
                                const Attributes& attributes) {
  return graph.add_layer_norm(std::move(label), inputs[0], attributes.get<float>("epsilon", 1e-5F));
}

Result<TensorId> add_concat(GraphBuilder& graph, Label label, Inputs inputs, const Attributes&) {
  return graph.add_concat(std::move(label), inputs);
}

Result<TensorId> add_softmax(GraphBuilder& graph, Label label, Inputs inputs, const Attributes&) {
  return graph.add_softmax(std::move(label), inputs[0]);
}

Result<TensorId> add_lrn(GraphBuilder& graph, Label label, Inputs inputs,
                         const Attributes& attributes) {
  LrnAttributes lrn;
  lrn.size = attributes.get<int>("size");
  lrn.alpha = attributes.get<float>("alpha", lrn.alpha);
  lrn.beta = attributes.get<float>("beta", lrn.beta);
  lrn.k = attributes.get<float>("k", lrn.k);
  return graph.add_lrn(std::move(label), inputs[0], lrn);
}

Result<TensorId> add_upsample(GraphBuilder& graph, Label label, Inputs inputs,
                              const Attributes& attributes) {
  const auto mode = attributes.get<std::string>("mode", "nearest");
  const Op op = mode == "bilinear"  ? Op::upsample_bilinear
                : mode == "corners" ? Op::upsample_corners
                                    : Op::upsample_nearest;
  return graph.add_upsample(std::move(label), op, inputs[0], attributes.get<Pair>("factor"));
}

Result<TensorId> add_flatten(GraphBuilder& graph, Label label, Inputs inputs, const Attributes&) {
  const TensorShape& in = graph.shape(inputs[0]);
  const int images = in.rank() > 0 ? in[0] : 1;
  return graph.add_reshape(std::move(label), inputs[0],
                           {images, static_cast<int>(in.elements() / images), 1, 1});
}

Result<TensorId> add_reshape(GraphBuilder& graph, Label label, Inputs inputs,
                             const Attributes& attributes) {
  const auto shape =
      resolve_shape(attributes.get<std::vector<int>>("shape"), graph.shape(inputs[0]));
  if (!shape)
    return make_error(ErrorCode::bad_input,
                      "operator " + in_quotes(label.name) + ": " + shape.error().message);
  return graph.add_reshape(std::move(label), inputs[0], *shape);
}

Result<TensorId> add_view(GraphBuilder& graph, Label label, Inputs inputs,
                          const Attributes& attributes) {
  return graph.add_reshape(std::move(label), inputs[0],
                           TensorShape(attributes.get<std::vector<int>>("sizes")));
}

Result<TensorId> add_constant(GraphBuilder& graph, Label label, Inputs,
                              const Attributes& attributes) {
  return graph.add_constant(std::move(label),
                            TensorShape(attributes.get<std::vector<int>>("sizes")));
}

Result<TensorId> add_workload(GraphBuilder& graph, Label label, Inputs inputs,
                              const Attributes& attributes) {
  const auto workload = Workload::parse(attributes.get<std::string>("workload"));
  if (!workload)
    return make_error(ErrorCode::bad_input,
                      "operator " + in_quotes(label.name) + ": " + workload.error().message);
  if (workload->input_type != workload->output_type && workload->op == Op::convert)
    return graph.add_cast(std::move(label), inputs[0], workload->output_type);
  return graph.add(std::move(label), inputs, *workload);
}

Result<TensorId> add_batch_norm(GraphBuilder& graph, Label label, Inputs inputs,
                                const Attributes&) {
  return graph.add_batch_norm(std::move(label), inputs[0]);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): all have the signature of the table.
Result<TensorId> pass_through(GraphBuilder&, Label, Inputs inputs, const Attributes&) {
  return inputs[0];
}

const std::vector<OperatorDescription>& table() {
  constexpr int kAny = std::numeric_limits<int>::max();
  static const std::vector<OperatorDescription> operators = {
      {"conv",
       1,
       1,
       {{"oc", Type::count, true},
        {"kernel", Type::pair, true},
        {"stride", Type::pair},
        {"padding", Type::padding},
        {"dilation", Type::pair},
        {"groups", Type::count}},
       add_conv},
      {"max_pool",
       1,
       1,
       {{"kernel", Type::pair, true},
        {"stride", Type::pair},
        {"padding", Type::padding},
        {"ceil_mode", Type::flag}},
       add_pool<PoolKind::max>},
      {"avg_pool",
       1,
       1,
       {{"kernel", Type::pair, true},
        {"stride", Type::pair},
        {"padding", Type::padding},
        {"ceil_mode", Type::flag},
        {"count_include_pad", Type::flag}},
       add_pool<PoolKind::average>},
      {"global_max_pool", 1, 1, {}, add_global_pool<PoolKind::max>},
      {"global_avg_pool", 1, 1, {}, add_global_pool<PoolKind::average>},
      {"fully_connected", 1, 1, {{"oc", Type::count, true}}, add_fully_connected},
      {"relu", 1, 1, {}, add_activation<ActivationKind::relu>},
      {"relu6", 1, 1, {}, add_relu6},
      {"clip", 1, 1, {{"min", Type::number, true}, {"max", Type::number, true}}, add_clip},
      {"leaky_relu", 1, 1, {{"alpha", Type::number}}, add_activation<ActivationKind::leaky_relu>},
      {"elu", 1, 1, {{"alpha", Type::number}}, add_activation<ActivationKind::elu>},
      {"sigmoid", 1, 1, {}, add_activation<ActivationKind::sigmoid>},
      {"tanh", 1, 1, {}, add_activation<ActivationKind::tanh>},
      {"swish", 1, 1, {}, add_activation<ActivationKind::swish>},
      {"hard_sigmoid", 1, 1, {}, add_activation<ActivationKind::hard_sigmoid>},
      {"hard_swish", 1, 1, {}, add_activation<ActivationKind::hard_swish>},
      {"gelu", 1, 1, {}, add_activation<ActivationKind::gelu>},
      {"erf", 1, 1, {}, add_activation<ActivationKind::erf>},
      {"exp", 1, 1, {}, add_activation<ActivationKind::exp>},
      {"pow", 1, 1, {{"exponent", Type::number, true}}, add_power},
      {"add", 2, 2, {}, add_binary<Op::add>},
      {"multiply", 2, 2, {}, add_binary<Op::multiply>},
      {"subtract", 2, 2, {}, add_binary<Op::subtract>},
      {"divide", 2, 2, {}, add_binary<Op::divide>},
      {"slice",
       1,
       1,
       {{"first", Type::index}, {"count", Type::count, true}, {"step", Type::count}},
       add_slice},
      {"shuffle", 1, 1, {{"groups", Type::count, true}}, add_shuffle},
      {"pad", 1, 1, {{"padding", Type::padding, true}}, add_pad},
      {"depth_to_space", 1, 1, {{"factor", Type::pair, true}}, add_depth_to_space},
      {"transpose", 1, 1, {{"order", Type::order, true}}, add_transpose},
      {"layer_norm", 1, 1, {{"epsilon", Type::number}}, add_layer_norm},
      {"concat", 2, kAny, {}, add_concat},
      {"softmax", 1, 1, {}, add_softmax},
      {"lrn",
       1,
       1,
       {{"size", Type::count, true},
        {"alpha", Type::number},
        {"beta", Type::number},
        {"k", Type::number}},
       add_lrn},
      {"upsample",
       1,
       1,
       {{"factor", Type::pair, true},
        {"mode", Type::choice, false, {"nearest", "bilinear", "corners"}}},
       add_upsample},
      {"flatten", 1, 1, {}, add_flatten},
      {"reshape", 1, 1, {{"shape", Type::shape, true}}, add_reshape},
      {"view", 1, 1, {{"sizes", Type::sizes, true}}, add_view},
      {"constant", 0, 0, {{"sizes", Type::sizes, true}}, add_constant},
      {"workload", 1, kAny, {{"workload", Type::text, true}}, add_workload},
      {"batch_norm", 1, 1, {}, add_batch_norm},
      {"dropout", 1, 1, {}, pass_through},
      {"identity", 1, 1, {}, pass_through},
  };
  return operators;
}

std::optional<int> whole_number(const Json& json) {
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned()) {
    const auto value = json.get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) return std::nullopt;
    return static_cast<int>(value);
  }
  const auto value = json.get<std::int64_t>();
  if (value < std::numeric_limits<int>::min()) return std::nullopt;
  return static_cast<int>(value);
}

/// The numbers of an array, or a single number as an array of one; nothing if one is no integer of
/// at least `smallest` or there are more than `most`.
std::optional<std::vector<int>> whole_numbers(const Json& json, int smallest, std::size_t most) {
  std::vector<int> numbers;
  const auto add = [&](const Json& element) {
    const auto number = whole_number(element);
    if (number && *number >= smallest) numbers.push_back(*number);
    return number && *number >= smallest;
  };
  if (!json.is_array()) return add(json) ? std::optional(numbers) : std::nullopt;
  if (json.size() > most) return std::nullopt;
  for (const Json& element : json)
    if (!add(element)) return std::nullopt;
  return numbers;
}

Result<Attributes::Value> read_padding(const Json& json) {
  Padding padding;
  if (json == "same") {
    padding.mode = Padding::Mode::same_upper;
    return Attributes::Value(padding);
  }
  if (json == "valid") return Attributes::Value(padding);
  const auto p = whole_numbers(json, 0, 4);
  if (p && p->size() == 1 && !json.is_array())
    padding = {Padding::Mode::given, (*p)[0], (*p)[0], (*p)[0], (*p)[0]};
  else if (p && p->size() == 2)
    padding = {Padding::Mode::given, (*p)[0], (*p)[0], (*p)[1], (*p)[1]};
  else if (p && p->size() == 4)
    padding = {Padding::Mode::given, (*p)[0], (*p)[1], (*p)[2], (*p)[3]};
  else
    return make_error(ErrorCode::bad_input,
                      "must be an integer from 0, two of them [vertical, horizontal], four of them"
                      " [top, bottom, left, right], \"same\" or \"valid\"");
  return Attributes::Value(padding);
}

}  // namespace

std::span<const OperatorDescription> operator_descriptions() { return table(); }

const OperatorDescription* find_operator_description(std::string_view type) {
  const auto found = std::ranges::find(table(), type, &OperatorDescription::name);
  return found != table().end() ? &*found : nullptr;
}

Result<Attributes::Value> read_attribute(const Json& json,
                                         const AttributeDescription& description) {
  using Value = Attributes::Value;
  const auto bad = [](std::string_view what) {
    return make_error(ErrorCode::bad_input, "must be " + std::string(what));
  };
  switch (description.type) {
    case AttributeType::count: {
      const auto number = whole_number(json);
      if (!number || *number < 1) return bad("an integer from 1");
      return Value(*number);
    }
    case AttributeType::index: {
      const auto number = whole_number(json);
      if (!number || *number < 0) return bad("an integer from 0");
      return Value(*number);
    }
    case AttributeType::order: {
      auto order = whole_numbers(json, 0, 4);
      auto sorted = order.value_or(std::vector<int>());
      std::ranges::sort(sorted);
      if (sorted != std::vector{0, 1, 2, 3}) return bad("0, 1, 2 and 3 in some order");
      return Value(std::move(*order));
    }
    case AttributeType::pair: {
      const auto p = whole_numbers(json, 1, 2);
      if (!p || (json.is_array() && p->size() != 2))
        return bad("an integer from 1 or two of them [vertical, horizontal]");
      return Value(Pair{p->front(), p->back()});
    }
    case AttributeType::padding:
      return read_padding(json);
    case AttributeType::flag:
      if (!json.is_boolean()) return bad("true or false");
      return Value(json.get<bool>());
    case AttributeType::number: {
      if (!json.is_number()) return bad("a number");
      const double number = json.get<double>();
      // The shortest text of the largest number is a little larger; it rounds to it.
      if (!std::isfinite(static_cast<float>(number)))
        return bad("a number that single precision can hold");
      return Value(static_cast<float>(number));
    }
    case AttributeType::shape: {
      const auto sizes = whole_numbers(json, -1, 4);
      if (!sizes || sizes->size() < 3 || std::ranges::count(*sizes, 0) > 0 ||
          std::ranges::count(*sizes, -1) > 1)
        return bad("[c, h, w] or [n, c, h, w] of integers from 1, one of which may be -1");
      return Value(*sizes);
    }
    case AttributeType::sizes: {
      const auto sizes = whole_numbers(json, 1, kMaxRank);
      if (!sizes || !json.is_array()) return bad("an array of at most eight integers from 1");
      return Value(*sizes);
    }
    case AttributeType::text:
      if (!json.is_string()) return bad("a string");
      return Value(json.get<std::string>());
    case AttributeType::choice: {
      const auto& choices = description.choices;
      if (!json.is_string() ||
          std::ranges::find(choices, json.get_ref<const std::string&>()) == choices.end()) {
        std::string words;
        for (const std::string_view choice : choices)
          words += (words.empty() ? "" : " or ") + in_quotes(choice);
        return bad(words);
      }
      return Value(json.get<std::string>());
    }
  }
  return make_error(ErrorCode::internal, "has a type that nobody reads");
}

Result<TensorShape> resolve_shape(const std::vector<int>& sizes, const TensorShape& input) {
  const auto bad = [](std::string why) { return make_error(ErrorCode::bad_input, std::move(why)); };
  std::vector<int> all = sizes;
  if (all.size() == 3) all.insert(all.begin(), input.rank() > 0 ? input[0] : 1);
  if (all.size() != 4)
    return bad("its 'shape' would have " + counted(all.size(), "size") + ", not three or four");
  // Sizes are at most 2^31, so two of them fit into 64 bits; a third is checked before it is used.
  std::int64_t known = 1;
  for (const int size : all) {
    if (size < 0) continue;
    known *= size;
    if (known > std::numeric_limits<std::int32_t>::max())
      return bad("its 'shape' has more than 2^31 - 1 elements");
  }
  for (int& size : all) {
    if (size > 0) continue;
    if (input.elements() % known != 0)
      return bad("its 'shape' cannot be completed: " + std::to_string(known) +
                 " does not divide the " + std::to_string(input.elements()) +
                 " elements of its input");
    size = static_cast<int>(input.elements() / known);
  }
  return TensorShape{all[0], all[1], all[2], all[3]};
}

}  // namespace convopt
