#include "src/network/onnx/folding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/selecting.h"
#include "src/network/onnx/tensor.h"

namespace convopt::onnx_reader {
namespace {

using Inputs = std::vector<ConstantPointer>;
using Folded = Result<Constant>;

/// Most elements that folding makes of fewer: shapes and grids of coordinates are far smaller.
constexpr std::int64_t kMaxGrown = std::int64_t{1} << 22;

Result<void> check_growth(const Node& node, const Dims& dims, std::size_t source) {
  const auto count = element_count(dims);
  if (count && (*count <= kMaxGrown || static_cast<std::size_t>(*count) <= source)) return {};
  return node.error("a constant of the shape " + dims_text(dims) + " is too large");
}

std::int64_t to_integer(double value) {
  constexpr double kLimit = 9.2e18;
  if (!(value > -kLimit)) return std::isnan(value) ? 0 : std::numeric_limits<std::int64_t>::min();
  return value < kLimit ? static_cast<std::int64_t>(value)
                        : std::numeric_limits<std::int64_t>::max();
}

/// Wraps around instead of overflowing.
template <class Function>
std::int64_t wrapped(std::int64_t a, std::int64_t b, Function function) {
  return static_cast<std::int64_t>(
      function(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
}

std::optional<std::int64_t> integer_binary(std::string_view type, std::int64_t a, std::int64_t b) {
  if (type == "Add") return wrapped(a, b, std::plus<>());
  if (type == "Sub") return wrapped(a, b, std::minus<>());
  if (type == "Mul") return wrapped(a, b, std::multiplies<>());
  if (type == "Div" || type == "Mod") {
    if (b == 0 || (b == -1 && a == std::numeric_limits<std::int64_t>::min())) return 0;
    if (type == "Div") return a / b;
    const std::int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  if (type == "Pow") return to_integer(std::pow(static_cast<double>(a), static_cast<double>(b)));
  if (type == "Min") return std::min(a, b);
  if (type == "Max") return std::max(a, b);
  if (type == "And") return a != 0 && b != 0 ? 1 : 0;
  if (type == "Or") return a != 0 || b != 0 ? 1 : 0;
  return std::nullopt;
}

std::optional<float> float_binary(std::string_view type, float a, float b) {
  if (type == "Add") return a + b;
  if (type == "Sub") return a - b;
  if (type == "Mul") return a * b;
  if (type == "Div") return a / b;
  if (type == "Pow") return std::pow(a, b);
  if (type == "Min") return std::min(a, b);
  if (type == "Max") return std::max(a, b);
  return std::nullopt;
}

std::optional<bool> comparison(std::string_view type, double a, double b) {
  if (type == "Equal") return a == b;
  if (type == "Less") return a < b;
  if (type == "LessOrEqual") return a <= b;
  if (type == "Greater") return a > b;
  if (type == "GreaterOrEqual") return a >= b;
  return std::nullopt;
}

Folded fold_binary(const Node& node, const Inputs& in) {
  const auto dims = broadcast(in[0]->dims, in[1]->dims);
  if (!dims)
    return node.error("its inputs of the shapes " + dims_text(in[0]->dims) + " and " +
                      dims_text(in[1]->dims) + " do not go together");
  CONVOPT_CHECK(check_growth(node, *dims, std::max(in[0]->size(), in[1]->size())));
  const Constant a = expanded(*in[0], *dims);
  const Constant b = expanded(*in[1], *dims);
  Constant result;
  result.dims = *dims;
  const bool compares = comparison(node.type(), 0, 0).has_value();
  result.is_float = !compares && (a.is_float || b.is_float);
  std::vector<float>& floats = result.floats.own();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (compares) {
      result.integers.push_back(*comparison(node.type(), a.at(i), b.at(i)) ? 1 : 0);
    } else if (result.is_float) {
      const auto value =
          float_binary(node.type(), static_cast<float>(a.at(i)), static_cast<float>(b.at(i)));
      if (!value) return node.unsupported("this operation on constants");
      floats.push_back(*value);
    } else {
      const auto value = integer_binary(node.type(), a.integers[i], b.integers[i]);
      if (!value) return node.unsupported("this operation on constants");
      result.integers.push_back(*value);
    }
  }
  return result;
}

Folded fold_unary(const Node& node, const Inputs& in) {
  Constant result = *in[0];
  const std::string_view type = node.type();
  if (!result.is_float) {
    for (std::int64_t& value : result.integers) {
      if (type == "Neg") {
        value = wrapped(0, value, std::minus<>());
      } else if (type == "Abs") {
        value = value < 0 ? wrapped(0, value, std::minus<>()) : value;
      } else if (type == "Not") {
        value = value == 0 ? 1 : 0;
      } else {
        return node.unsupported("this operation on integers");
      }
    }
    return result;
  }
  for (float& x : result.floats.own()) {
    x = type == "Neg"          ? -x
        : type == "Abs"        ? std::abs(x)
        : type == "Sqrt"       ? std::sqrt(x)
        : type == "Exp"        ? std::exp(x)
        : type == "Log"        ? std::log(x)
        : type == "Floor"      ? std::floor(x)
        : type == "Ceil"       ? std::ceil(x)
        : type == "Round"      ? std::nearbyint(x)
        : type == "Reciprocal" ? 1 / x
        : type == "Relu"       ? std::max(x, 0.0F)
        : type == "Sigmoid"    ? 1 / (1 + std::exp(-x))
        : type == "Tanh"       ? std::tanh(x)
        : type == "Sin"        ? std::sin(x)
        : type == "Cos"        ? std::cos(x)
                               : std::numeric_limits<float>::quiet_NaN();
  }
  return result;
}

Folded fold_cast(const Node& node, const Inputs& in) {
  const int to = static_cast<int>(node.integer("to", 0));
  return converted(*in[0], data_type(to), is_real(to));
}

Folded fold_cast_like(const Node&, const Inputs& in) {
  return converted(*in[0], in[1]->type.value_or(in[1]->border_type()), in[1]->is_float);
}

/// Neighbouring elements of x that share a scale: all, or those of one index of an axis.
Result<std::size_t> elements_per_scale(const Node& node, const Constant& x, const Constant& scale) {
  if (scale.size() == 1) return std::max<std::size_t>(x.size(), 1);
  const auto axis = resolve_axis(node.integer("axis", 1), x.dims.size());
  if (!axis || x.dims[*axis] != static_cast<std::int64_t>(scale.size()))
    return node.error("its scale does not fit its input " + dims_text(x.dims));
  std::size_t inner = 1;
  for (std::size_t d = *axis + 1; d < x.dims.size(); ++d)
    inner *= static_cast<std::size_t>(x.dims[d]);
  return inner;
}

/// (x - zero point) * scale, with one of each or one per index of an axis.
Folded fold_dequantize(const Node& node, const Inputs& in) {
  const Constant& x = *in[0];
  const Constant& scale = *in[1];
  const Constant* zero = in.size() > 2 ? in[2].get() : nullptr;
  if (x.is_float || !scale.is_float ||
      (zero != nullptr && (zero->is_float || zero->dims != scale.dims)))
    return node.error("its inputs have the wrong types or shapes");
  if (node.integer("block_size", 0) != 0 || scale.dims.size() > 1)
    return node.unsupported("a scale per block");
  CONVOPT_TRY(const auto inner, elements_per_scale(node, x, scale));
  Constant result = Constant::of_floats(x.dims, {});
  std::vector<float>& floats = result.floats.own();
  const std::span<const float> scales = scale.floats;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t at = i / inner % scale.size();
    const std::int64_t offset = zero != nullptr ? zero->integers[at] : 0;
    floats.push_back(static_cast<float>(wrapped(x.integers[i], offset, std::minus<>())) *
                     scales[at]);
  }
  return result;
}

/// round(x / scale) + zero point, cut off at the ends of the type.
Folded fold_quantize(const Node& node, const Inputs& in) {
  const Constant& x = *in[0];
  const Constant& scale = *in[1];
  const Constant* zero = in.size() > 2 ? in[2].get() : nullptr;
  if (!x.is_float || !scale.is_float || (zero != nullptr && zero->is_float) ||
      scale.dims.size() > 1 || (zero != nullptr && zero->dims != scale.dims))
    return node.error("its inputs have the wrong types or shapes");
  CONVOPT_TRY(const auto inner, elements_per_scale(node, x, scale));
  const bool is_signed = zero != nullptr && zero->type == DataType::s8;
  const float low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
  Constant result = Constant::of_integers(x.dims, {});
  result.type = is_signed ? DataType::s8 : DataType::u8;
  const std::span<const float> values = x.floats, scales = scale.floats;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t at = i / inner % scales.size();
    const float offset = zero != nullptr ? static_cast<float>(zero->integers[at]) : 0;
    const float step = std::nearbyint(values[i] / scales[at]) + offset;
    result.integers.push_back(to_integer(step < low ? low : step > high ? high : step));
  }
  return result;
}

Folded fold_gather(const Node& node, const Inputs& in) {
  const Constant& data = *in[0];
  const Constant& indices = *in[1];
  const auto axis = resolve_axis(node.integer("axis", 0), data.dims.size());
  if (!axis || indices.is_float) return node.error("its axis or indices do not fit");
  Dims dims(data.dims.begin(), data.dims.begin() + static_cast<std::ptrdiff_t>(*axis));
  dims.insert(dims.end(), indices.dims.begin(), indices.dims.end());
  dims.insert(dims.end(), data.dims.begin() + static_cast<std::ptrdiff_t>(*axis) + 1,
              data.dims.end());
  CONVOPT_CHECK(check_growth(node, dims, data.size()));
  std::size_t inner = 1;
  for (std::size_t d = *axis + 1; d < data.dims.size(); ++d)
    inner *= static_cast<std::size_t>(data.dims[d]);
  std::size_t outer = 1;
  for (std::size_t d = 0; d < *axis; ++d) outer *= static_cast<std::size_t>(data.dims[d]);
  const std::int64_t size = data.dims[*axis];
  Constant result;
  result.dims = dims;
  result.is_float = data.is_float;
  std::vector<float>& floats = result.floats.own();
  const std::span<const float> source = data.floats;
  for (std::size_t o = 0; o < outer; ++o) {
    for (std::int64_t index : indices.integers) {
      if (index < 0) index += size;
      if (index < 0 || index >= size) return node.error("an index lies outside of its input");
      const std::size_t from =
          (o * static_cast<std::size_t>(size) + static_cast<std::size_t>(index)) * inner;
      for (std::size_t i = from; i < from + inner; ++i) {
        if (data.is_float) {
          floats.push_back(source[i]);
        } else {
          result.integers.push_back(data.integers[i]);
        }
      }
    }
  }
  return result;
}

Folded fold_concat(const Node& node, const Inputs& in) {
  const auto axis =
      resolve_axis(node.integer("axis", node.opset() < 4 ? 1 : 0), in[0]->dims.size());
  if (!axis) return node.error("it has no such axis");
  Constant result;
  result.dims = in[0]->dims;
  result.dims[*axis] = 0;
  result.is_float = in[0]->is_float;
  std::size_t total = 0;
  for (const ConstantPointer& part : in) {
    Dims other = part->dims;
    if (other.size() != result.dims.size() || part->is_float != result.is_float)
      return node.error("its inputs do not go together");
    result.dims[*axis] += other[*axis];
    other[*axis] = in[0]->dims[*axis];
    if (other != in[0]->dims) return node.error("its inputs do not go together");
    total += part->size();
  }
  CONVOPT_CHECK(check_growth(node, result.dims, 0));
  std::size_t outer = 1;
  for (std::size_t d = 0; d < *axis; ++d) outer *= static_cast<std::size_t>(result.dims[d]);
  if (total == 0) return result;
  const auto append = [&](auto& to, const auto& values_of) {
    to.reserve(total);
    for (std::size_t o = 0; o < outer; ++o) {
      for (const ConstantPointer& part : in) {
        const auto& from = values_of(*part);
        const auto row = static_cast<std::ptrdiff_t>(from.size() / outer);
        const auto begin = from.begin() + static_cast<std::ptrdiff_t>(o) * row;
        to.insert(to.end(), begin, begin + row);
      }
    }
  };
  if (result.is_float) {
    append(result.floats.own(), [](const Constant& c) { return c.floats.values(); });
  } else {
    append(
        result.integers, [](const Constant& c) -> const auto& { return c.integers; });
  }
  return result;
}

Folded with_dims(const ConstantPointer& constant, Result<Dims> dims) {
  Constant result = *constant;
  CONVOPT_TRY(result.dims, std::move(dims));
  return result;
}

Folded fold_expand(const Node& node, const Inputs& in) {
  const Dims wanted = integers_of(node, "shape", in[1].get());
  const auto dims = broadcast(in[0]->dims, wanted);
  if (!dims || !element_count(wanted)) return node.error("its shapes do not go together");
  CONVOPT_CHECK(check_growth(node, *dims, in[0]->size()));
  return expanded(*in[0], *dims);
}

Folded fold_tile(const Node& node, const Inputs& in) {
  const auto repeats = integers_of(node, "repeats", in[1].get());
  if (repeats.size() != in[0]->dims.size()) return node.error("its repeats do not fit its input");
  // Repeating is broadcasting an axis of its own before each axis.
  Dims source, spread, result;
  for (std::size_t d = 0; d < repeats.size(); ++d) {
    if (repeats[d] < 0 || repeats[d] > kMaxGrown) return node.error("its repeats are out of range");
    source.insert(source.end(), {1, in[0]->dims[d]});
    spread.insert(spread.end(), {repeats[d], in[0]->dims[d]});
    result.push_back(repeats[d] * in[0]->dims[d]);
  }
  CONVOPT_CHECK(check_growth(node, result, in[0]->size()));
  Constant constant = *in[0];
  constant.dims = source;
  constant = expanded(constant, spread);
  constant.dims = result;
  return constant;
}

Folded fold_range(const Node& node, const Inputs& in) {
  for (const ConstantPointer& bound : in)
    if (bound->size() != 1 || bound->is_float != in[0]->is_float)
      return node.error("its bounds must be single numbers of one type");
  const double start = in[0]->at(0), limit = in[1]->at(0), delta = in[2]->at(0);
  const double count = std::ceil((limit - start) / delta);
  if (!(delta != 0) || !(count < static_cast<double>(kMaxGrown)))
    return node.error("its range is too long");
  Constant result;
  result.is_float = in[0]->is_float;
  std::vector<float>& floats = result.floats.own();
  for (int i = 0; i < count; ++i) {
    if (result.is_float) {
      floats.push_back(static_cast<float>(start + i * delta));
    } else {
      const std::int64_t distance = wrapped(i, in[2]->integers[0], std::multiplies<>());
      result.integers.push_back(wrapped(in[0]->integers[0], distance, std::plus<>()));
    }
  }
  result.dims = {static_cast<std::int64_t>(result.size())};
  return result;
}

Folded fold_where(const Node& node, const Inputs& in) {
  const auto first = broadcast(in[0]->dims, in[1]->dims);
  const auto dims = first ? broadcast(*first, in[2]->dims) : first;
  if (!dims || in[1]->is_float != in[2]->is_float)
    return node.error("its inputs do not go together");
  CONVOPT_CHECK(check_growth(node, *dims, in[0]->size()));
  const Constant condition = expanded(*in[0], *dims);
  Constant result = expanded(*in[1], *dims);
  const Constant other = expanded(*in[2], *dims);
  std::vector<float>& floats = result.floats.own();
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (condition.at(i) != 0) continue;
    if (result.is_float) {
      floats[i] = other.floats[i];
    } else {
      result.integers[i] = other.integers[i];
    }
  }
  return result;
}

Folded fold_slice(const Node& node, const Inputs& in) {
  CONVOPT_TRY(const auto ranges, slice_ranges(node, in[0]->dims, in));
  Constant result = *in[0];
  for (const SliceRange& range : ranges)
    result = sliced(result, range.axis, range.first, range.count, range.step);
  return result;
}

/// What of two numbers a reduction keeps.
template <class Number>
std::optional<Number> combined(std::string_view type, Number a, Number b) {
  if (type == "ReduceMax") return std::max(a, b);
  if (type == "ReduceMin") return std::min(a, b);
  if constexpr (std::is_integral_v<Number>) {
    if (type == "ReduceSum") return wrapped(a, b, std::plus<>());
    if (type == "ReduceProd") return wrapped(a, b, std::multiplies<>());
  } else {
    if (type == "ReduceSum" || type == "ReduceMean") return a + b;
    if (type == "ReduceProd") return a * b;
  }
  return std::nullopt;
}

Folded fold_reduction(const Node& node, const Inputs& in) {
  const Constant& x = *in[0];
  auto axes = integers_of(node, "axes", in.size() > 1 ? in[1].get() : nullptr);
  if (axes.empty()) {
    if (node.integer("noop_with_empty_axes", 0) != 0) return x;
    axes.resize(x.dims.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  const auto resolved = resolve_axes(axes, x.dims.size());
  if (!resolved) return node.error("its axes do not fit " + dims_text(x.dims));
  if (x.size() == 0) return node.unsupported("a constant without elements");
  // How far a step along a dimension goes in the result; none along those that are reduced.
  Dims dims = x.dims;
  for (const std::size_t axis : *resolved) dims[axis] = 1;
  const auto count = static_cast<std::size_t>(*element_count(dims));
  std::vector<std::size_t> strides(dims.size(), 0);
  std::size_t stride = 1;
  for (std::size_t d = dims.size(); d-- > 0; stride *= static_cast<std::size_t>(dims[d]))
    if (!std::ranges::binary_search(*resolved, d)) strides[d] = stride;
  const auto place_of = [&](std::size_t index) {
    std::size_t place = 0;
    for (std::size_t d = dims.size(); d-- > 0; index /= static_cast<std::size_t>(x.dims[d]))
      place += index % static_cast<std::size_t>(x.dims[d]) * strides[d];
    return place;
  };
  const auto reduce = [&](const auto& values, auto& results) -> Result<void> {
    using Number = typename std::decay_t<decltype(results)>::value_type;
    std::vector<char> seen(count, 0);
    results.resize(count);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t place = place_of(i);
      const auto value = static_cast<Number>(values[i]);
      const auto both = combined(node.type(), results[place], value);
      if (!both) return node.unsupported("this operation on integers");
      results[place] = std::exchange(seen[place], 1) != 0 ? *both : value;
    }
    return {};
  };
  Constant result = Constant::of_integers(dims, {});
  result.is_float = x.is_float;
  result.type = x.type;
  if (x.is_float) {
    std::vector<double> values;  // sums of thousands of floats lose digits
    CONVOPT_CHECK(reduce(x.floats.values(), values));
    const double share = node.type() == "ReduceMean"
                             ? static_cast<double>(count) / static_cast<double>(x.size())
                             : 1;
    for (const double value : values)
      result.floats.own().push_back(static_cast<float>(value * share));
  } else {
    CONVOPT_CHECK(reduce(x.integers, result.integers));
  }
  if (node.integer("keepdims", 1) == 0)
    for (auto axis = resolved->rbegin(); axis != resolved->rend(); ++axis)
      result.dims.erase(result.dims.begin() + static_cast<std::ptrdiff_t>(*axis));
  return result;
}

Folded fold_constant(const Node& node, const std::filesystem::path& folder) {
  if (const auto* tensor = node.tensor("value")) return read_tensor(*tensor, folder);
  if (node.has("value_int")) return Constant::of_integers({}, {node.integer("value_int", 0)});
  if (node.has("value_float"))
    return Constant::of_floats({}, {node.number_or_infinite("value_float", 0)});
  if (node.has("value_ints")) {
    auto values = node.integers("value_ints");
    const auto count = static_cast<std::int64_t>(values.size());
    return Constant::of_integers({count}, std::move(values));
  }
  if (node.has("value_floats")) {
    auto values = node.numbers("value_floats");
    const auto count = static_cast<std::int64_t>(values.size());
    return Constant::of_floats({count}, std::move(values));
  }
  return node.unsupported("a constant that is no tensor of numbers");
}

Folded fold_constant_of_shape(const Node& node, const Inputs& in,
                              const std::filesystem::path& folder) {
  Constant value = Constant::of_floats({1}, {0.0F});
  if (const auto* tensor = node.tensor("value")) {
    CONVOPT_TRY(value, read_tensor(*tensor, folder));
    if (value.size() != 1) return node.error("its value must be a single number");
    value.dims = {1};
  }
  if (in[0]->is_float || in[0]->dims.size() != 1) return node.error("its shape must be integers");
  const Dims& dims = in[0]->integers;
  // Weights of a fully connected layer are stored like that where somebody took theirs away.
  constexpr std::size_t kMostUniform = std::size_t{1} << 26;
  CONVOPT_CHECK(check_growth(node, dims, kMostUniform));
  if (dims.empty()) value.dims.clear();
  return expanded(value, dims);
}

/// Sums of cosines over one period.
template <int kNumber>
Folded fold_window(const Node& node, const Inputs& in) {
  constexpr double kFactors[][3] = {{0.5, 0.5, 0}, {25.0 / 46, 21.0 / 46, 0}, {0.42, 0.5, -0.08}};
  if (in[0]->size() != 1 || in[0]->is_float) return node.error("its size must be one whole number");
  const std::int64_t size = in[0]->integers[0];
  if (size < 1 || size > kMaxGrown) return node.error("its size is out of range");
  const auto period = static_cast<double>(
      node.integer("periodic", 1) != 0 ? size : std::max<std::int64_t>(size - 1, 1));
  const bool is_real_number = is_real(static_cast<int>(node.integer("output_datatype", kFloat)));
  Constant result =
      is_real_number ? Constant::of_floats({size}, {}) : Constant::of_integers({size}, {});
  for (std::int64_t i = 0; i < size; ++i) {
    const double angle = 2 * M_PI * static_cast<double>(i) / period;
    const double* const factors = kFactors[kNumber];
    const double value =
        factors[0] - factors[1] * std::cos(angle) - factors[2] * std::cos(2 * angle);
    if (is_real_number) {
      result.floats.own().push_back(static_cast<float>(value));
    } else {
      result.integers.push_back(to_integer(value));
    }
  }
  return result;
}

Result<std::vector<Constant>> fold_split(const Node& node, const Inputs& in) {
  const auto axis = resolve_axis(node.integer("axis", 0), in[0]->dims.size());
  if (!axis) return node.error("it has no such axis");
  CONVOPT_TRY(const auto sizes,
              split_parts(node, in[0]->dims[*axis], in.size() > 1 ? in[1].get() : nullptr));
  std::vector<Constant> parts;
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(sliced(*in[0], *axis, first, size, 1));
    first += size;
  }
  return parts;
}

using Function = Folded (*)(const Node&, const Inputs&, const std::filesystem::path&);

struct Description {
  std::size_t least, most;
  Function function;
};

template <Folded (*kFunction)(const Node&, const Inputs&)>
Folded plain(const Node& node, const Inputs& in, const std::filesystem::path&) {
  return kFunction(node, in);
}

const std::unordered_map<std::string_view, Description>& table() {
  static const std::unordered_map<std::string_view, Description> functions = [] {
    std::unordered_map<std::string_view, Description> all = {
        {"Constant",
         {0, 0,
          [](const Node& node, const Inputs&, const std::filesystem::path& folder) {
            return fold_constant(node, folder);
          }}},
        {"ConstantOfShape", {1, 1, fold_constant_of_shape}},
        {"Shape",
         {1, 1,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            return shape_part(node, in[0]->dims);
          }}},
        {"Size",
         {1, 1,
          [](const Node&, const Inputs& in, const std::filesystem::path&) -> Folded {
            return Constant::of_integers({}, {static_cast<std::int64_t>(in[0]->size())});
          }}},
        {"EyeLike",
         {1, 1,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) {
            return identity_matrix(node, in[0]->dims, in[0]->is_float);
          }}},
        {"HannWindow", {1, 1, plain<fold_window<0>>}},
        {"HammingWindow", {1, 1, plain<fold_window<1>>}},
        {"BlackmanWindow", {1, 1, plain<fold_window<2>>}},
        {"Cast", {1, 1, plain<fold_cast>}},
        {"CastLike", {2, 2, plain<fold_cast_like>}},
        {"DequantizeLinear", {2, 3, plain<fold_dequantize>}},
        {"QuantizeLinear", {2, 3, plain<fold_quantize>}},
        {"Gather", {2, 2, plain<fold_gather>}},
        {"Concat", {1, 4096, plain<fold_concat>}},
        {"Expand", {2, 2, plain<fold_expand>}},
        {"Tile", {2, 2, plain<fold_tile>}},
        {"Range", {3, 3, plain<fold_range>}},
        {"Where", {3, 3, plain<fold_where>}},
        {"NonMaxSuppression", {2, 5, plain<select_boxes>}},
        {"NonZero", {1, 1, plain<find_non_zeros>}},
        {"Slice", {1, 5, plain<fold_slice>}},
        {"Identity",
         {1, 1,
          [](const Node&, const Inputs& in, const std::filesystem::path&) -> Folded {
            return *in[0];
          }}},
        {"Reshape",
         {1, 2,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            const Constant* shape = in.size() > 1 ? in[1].get() : nullptr;
            return with_dims(in[0], reshaped(node, in[0]->dims, integers_of(node, "shape", shape)));
          }}},
        {"Flatten",
         {1, 1,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            return with_dims(in[0], flattened(node, in[0]->dims));
          }}},
        {"Squeeze",
         {1, 2,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            const Constant* axes = in.size() > 1 ? in[1].get() : nullptr;
            return with_dims(in[0], squeezed(node, in[0]->dims, integers_of(node, "axes", axes),
                                             axes != nullptr || node.has("axes")));
          }}},
        {"Unsqueeze",
         {1, 2,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            const Constant* axes = in.size() > 1 ? in[1].get() : nullptr;
            return with_dims(in[0], unsqueezed(node, in[0]->dims, integers_of(node, "axes", axes)));
          }}},
        {"Transpose",
         {1, 1,
          [](const Node& node, const Inputs& in, const std::filesystem::path&) -> Folded {
            CONVOPT_TRY(const auto order, transposition(node, in[0]->dims.size()));
            return transposed(*in[0], order);
          }}},
    };
    for (const char* type : {"Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max", "And", "Or",
                             "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
      all[type] = {2, 2, plain<fold_binary>};
    for (const char* type : {"Neg", "Abs", "Sqrt", "Exp", "Log", "Floor", "Ceil", "Round",
                             "Reciprocal", "Relu", "Sigmoid", "Tanh", "Sin", "Cos", "Not"})
      all[type] = {1, 1, plain<fold_unary>};
    for (const char* type : {"ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd"})
      all[type] = {1, 2, plain<fold_reduction>};
    return all;
  }();
  return functions;
}

}  // namespace

Constant converted(const Constant& x, std::optional<DataType> type, bool real) {
  Constant result;
  if (real == x.is_float && type != DataType::boolean) {
    result = x;
    result.type = type;
    return result;
  }
  result.dims = x.dims;
  result.is_float = real;
  result.type = type;
  std::vector<float>& floats = result.floats.own();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (real) {
      floats.push_back(static_cast<float>(x.integers[i]));
    } else {
      const double value = x.at(i);
      result.integers.push_back(type == DataType::boolean ? (value != 0 ? 1 : 0)
                                                          : to_integer(value));
    }
  }
  return result;
}

Constant shape_part(const Node& node, const Dims& dims) {
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto place = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t first = place(node.integer("start", 0));
  const std::int64_t last = std::max(first, place(node.integer("end", rank)));
  return Constant::of_integers({last - first}, Dims(dims.begin() + first, dims.begin() + last));
}

Result<Constant> identity_matrix(const Node& node, const Dims& dims, bool is_float) {
  if (dims.size() != 2) return node.error("its input is no matrix");
  CONVOPT_CHECK(check_growth(node, dims, 0));
  if (node.has("dtype")) is_float = is_real(static_cast<int>(node.integer("dtype", kFloat)));
  const std::int64_t k = std::clamp<std::int64_t>(node.integer("k", 0), -kMaxGrown, kMaxGrown);
  const auto count = static_cast<std::size_t>(*element_count(dims));
  Constant result = is_float ? Constant::of_floats(dims, std::vector<float>(count))
                             : Constant::of_integers(dims, std::vector<std::int64_t>(count));
  for (std::int64_t row = 0; row < dims[0]; ++row) {
    if (row + k < 0 || row + k >= dims[1]) continue;
    const auto at = static_cast<std::size_t>(row * dims[1] + row + k);
    if (is_float) {
      result.floats.own()[at] = 1;
    } else {
      result.integers[at] = 1;
    }
  }
  return result;
}

Result<std::optional<std::vector<Constant>>> fold(const Node& node, const Inputs& inputs,
                                                  const std::filesystem::path& folder) {
  if (node.type() == "Split" && !inputs.empty() && inputs[0] != nullptr) {
    CONVOPT_TRY(auto parts, fold_split(node, inputs));
    return std::optional(std::move(parts));
  }
  const auto found = table().find(node.type());
  if (found == table().end()) return std::optional<std::vector<Constant>>();
  const auto& [least, most, function] = found->second;
  // Only these may leave out an input between others.
  const bool leaves_out = node.type() == "Slice" || node.type() == "NonMaxSuppression";
  const bool complete = leaves_out ? !inputs.empty() && inputs[0] != nullptr
                                   : std::ranges::find(inputs, nullptr) == inputs.end();
  if (inputs.size() < least || inputs.size() > most || !complete)
    return node.error("it has the wrong number of inputs");
  CONVOPT_TRY(auto result, function(node, inputs, folder));
  return std::optional(std::vector{std::move(result)});
}

bool can_fold(std::string_view type) { return type == "Split" || table().contains(type); }

std::vector<std::string_view> folded_types() {
  std::vector<std::string_view> types = {"Split"};
  for (const auto& [type, description] : table()) types.push_back(type);
  return types;
}

std::optional<std::size_t> resolve_axis(std::int64_t axis, std::size_t rank) {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size) return std::nullopt;
  return static_cast<std::size_t>(axis < 0 ? axis + size : axis);
}

std::optional<std::vector<std::size_t>> resolve_axes(const std::vector<std::int64_t>& axes,
                                                     std::size_t rank) {
  std::vector<std::size_t> result;
  for (const std::int64_t axis : axes) {
    const auto resolved = resolve_axis(axis, rank);
    if (!resolved) return std::nullopt;
    result.push_back(*resolved);
  }
  std::ranges::sort(result);
  if (std::ranges::adjacent_find(result) != result.end()) return std::nullopt;
  return result;
}

std::vector<std::int64_t> integers_of(const Node& node, const char* attribute,
                                      const Constant* input) {
  if (input == nullptr) return node.integers(attribute);
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < input->size(); ++i) {
    values.push_back(input->is_float ? to_integer(input->at(i)) : input->integers[i]);
  }
  return values;
}

Result<Dims> reshaped(const Node& node, const Dims& from, const std::vector<std::int64_t>& shape) {
  const auto total = element_count(from);
  Dims dims = shape;
  const bool copies = node.integer("allowzero", 0) == 0;
  std::int64_t* open = nullptr;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && copies && i < from.size()) dims[i] = from[i];
    if (dims[i] != -1) continue;
    if (open != nullptr) return node.error("its shape has more than one size of -1");
    open = &dims[i];
  }
  if (open != nullptr) {
    *open = 1;
    const auto known = element_count(dims);
    if (!total || !known || *known == 0 || *total % *known != 0)
      return node.error("its shape cannot be completed for " + dims_text(from));
    *open = *total / *known;
  }
  const auto count = element_count(dims);
  if (total && count == total) return dims;
  std::string sentence = "it cannot make " + dims_text(dims) + " out of " + dims_text(from);
  if (total && count && *count > 0 && *total > *count && *total % *count == 0) {
    sentence += ", " + std::to_string(*total / *count) +
                " times as much; a model that fixes its batch takes no other";
  }
  return node.error(sentence);
}

Result<Dims> flattened(const Node& node, const Dims& from) {
  const std::int64_t axis = node.integer("axis", 1);
  const auto rank = static_cast<std::int64_t>(from.size());
  if (axis < -rank || axis > rank) return node.error("it has no axis " + std::to_string(axis));
  const auto at = from.begin() + (axis < 0 ? axis + rank : axis);
  const auto product = [](auto begin, auto end) {
    return element_count(Dims(begin, end)).value_or(0);
  };
  return Dims{product(from.begin(), at), product(at, from.end())};
}

Result<Dims> squeezed(const Node& node, const Dims& from, const std::vector<std::int64_t>& axes,
                      bool has_axes) {
  const auto resolved = resolve_axes(axes, from.size());
  if (!resolved) return node.error("its axes do not fit " + dims_text(from));
  Dims dims;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const bool named = std::ranges::find(*resolved, i) != resolved->end();
    if (named && from[i] != 1)
      return node.error("it squeezes an axis of " + dims_text(from) + " that is larger than 1");
    if (has_axes ? !named : from[i] != 1) dims.push_back(from[i]);
  }
  return dims;
}

Result<Dims> unsqueezed(const Node& node, const Dims& from, const std::vector<std::int64_t>& axes) {
  constexpr std::size_t kMaxRank = 64;
  if (from.size() + axes.size() > kMaxRank) return node.error("its result has too many dimensions");
  const auto resolved = resolve_axes(axes, from.size() + axes.size());
  if (!resolved) return node.error("its axes do not fit " + dims_text(from));
  Dims dims = from;
  for (const std::size_t axis : *resolved)
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return dims;
}

Result<std::vector<int>> transposition(const Node& node, std::size_t rank) {
  std::vector<int> order(rank);
  std::iota(order.begin(), order.end(), 0);
  if (!node.has("perm")) {
    std::ranges::reverse(order);
    return order;
  }
  const auto given = node.integers("perm");
  std::vector<std::int64_t> sorted = given;
  std::ranges::sort(sorted);
  if (!std::ranges::equal(sorted, order))
    return node.error("its permutation does not fit the " + std::to_string(rank) +
                      " dimensions of its input");
  return std::vector<int>(given.begin(), given.end());
}

Result<std::vector<SliceRange>> slice_ranges(const Node& node, const Dims& from,
                                             const std::vector<ConstantPointer>& inputs) {
  const auto given = [&](std::size_t index, const char* attribute) {
    const Constant* input = index < inputs.size() ? inputs[index].get() : nullptr;
    return integers_of(node, attribute, input);
  };
  const auto starts = given(1, "starts");
  const auto ends = given(2, "ends");
  auto axes = given(3, "axes");
  auto steps = given(4, "steps");
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (starts.size() != ends.size() || starts.size() != axes.size() ||
      starts.size() != steps.size() || !resolve_axes(axes, from.size()))
    return node.error("its starts, ends, axes and steps do not go together");
  std::vector<SliceRange> ranges;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    SliceRange range;
    range.axis = *resolve_axis(axes[i], from.size());
    range.step = steps[i];
    const std::int64_t size = from[range.axis];
    if (range.step == 0 || range.step < -size - 1) return node.error("its step is out of range");
    const std::int64_t low = range.step > 0 ? 0 : -1;
    const std::int64_t high = range.step > 0 ? size : size - 1;
    const auto place = [&](std::int64_t at) {
      if (at < 0 && at >= -size) at += size;
      return std::clamp(at, low, high);
    };
    range.first = place(starts[i]);
    const std::int64_t last = place(ends[i]);
    const std::int64_t distance = range.step > 0 ? last - range.first : range.first - last;
    const std::int64_t stride = std::min(range.step > 0 ? range.step : -range.step, size + 1);
    range.count = distance > 0 ? (distance - 1) / stride + 1 : 0;
    ranges.push_back(range);
  }
  return ranges;
}

Result<std::vector<std::int64_t>> split_parts(const Node& node, std::int64_t size,
                                              const Constant* given) {
  std::vector<std::int64_t> parts = integers_of(node, "split", given);
  const std::int64_t count = node.output_count();
  if (parts.empty()) {
    const std::int64_t part = (size + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      parts.push_back(std::min(part, std::max<std::int64_t>(size - i * part, 0)));
  }
  std::int64_t rest = size;
  for (const std::int64_t part : parts)
    rest = part >= 1 && part <= rest ? rest - part : -1;  // -1 stays: no part fits into it
  if (std::ssize(parts) != count || rest != 0)
    return node.error("its parts do not add up to " + std::to_string(size));
  return parts;
}

}  // namespace convopt::onnx_reader
