// Images of another size.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Resizing along one dimension: every result is a weighted sum of the input's values.
struct ResizeAxis {
  std::int64_t in = 0, out = 0;
  double scale = 1;
  double begin = 0, end = 1;  ///< tf_crop_and_resize: the part of the axis that is resized

  bool changes() const { return in != out || begin != 0 || end != 1; }
};

/// The elements that make up one result, with their factors.
struct Taps {
  std::vector<double> indices, factors;
};

/// Where a result lies among the inputs, by the names of coordinate_transformation_mode.
enum class Place {
  half_pixel,
  pytorch_half_pixel,
  half_pixel_symmetric,
  asymmetric,
  align_corners,
  tf_crop_and_resize,
  tf_half_pixel_for_nn,
};
constexpr std::array<std::string_view, 7> kPlaces = {
    "half_pixel",    "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric",
    "align_corners", "tf_crop_and_resize", "tf_half_pixel_for_nn"};

/// How nearest finds a whole number, by the names of nearest_mode.
enum class Rounding { round_prefer_floor, round_prefer_ceil, floor, ceil };
constexpr std::array<std::string_view, 4> kRoundings = {"round_prefer_floor", "round_prefer_ceil",
                                                        "floor", "ceil"};

/// The value whose name that is.
template <class Enum, std::size_t kCount>
std::optional<Enum> by_name(const std::array<std::string_view, kCount>& names,
                            std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

/// Most taps of an axis: sixteen million results of linear interpolation, whose table takes 256
/// MiB.
constexpr std::size_t kMaxTaps = std::size_t{1} << 25;

struct ResizeMode {
  enum class Kind { nearest, linear, cubic };
  Kind kind = Kind::nearest;
  Place place = Place::half_pixel;
  Rounding rounding = Rounding::round_prefer_floor;
  bool antialias = false;
  bool excludes_outside = false;  ///< elements beyond the border have no weight
  double cubic = -0.75;
  float extrapolation = 0;

  bool is_crop() const { return place == Place::tf_crop_and_resize; }

  /// Where result i lies among the inputs.
  double position(const ResizeAxis& axis, std::int64_t i) const {
    const auto at = static_cast<double>(i);
    const auto last = static_cast<double>(axis.in - 1);
    if (is_crop())
      return axis.out > 1 ? axis.begin * last + at * (axis.end - axis.begin) * last /
                                                    static_cast<double>(axis.out - 1)
                          : (axis.begin + axis.end) / 2 * last;
    if (place == Place::asymmetric) return at / axis.scale;
    if (place == Place::tf_half_pixel_for_nn) return (at + 0.5) / axis.scale;
    if (place == Place::align_corners)
      return axis.out == 1 ? 0 : at * last / static_cast<double>(axis.out - 1);
    if (place == Place::pytorch_half_pixel && axis.out == 1) return 0;
    const double centre = (at + 0.5) / axis.scale - 0.5;
    if (place != Place::half_pixel_symmetric) return centre;
    const double lost =
        1 - static_cast<double>(axis.out) / (axis.scale * static_cast<double>(axis.in));
    return centre + static_cast<double>(axis.in) / 2 * lost;
  }
  double nearest(double at) const {
    if (rounding == Rounding::floor) return std::floor(at);
    if (rounding == Rounding::ceil) return std::ceil(at);
    return rounding == Rounding::round_prefer_ceil ? std::floor(at + 0.5) : std::ceil(at - 0.5);
  }
  /// Weight of an element at that distance.
  double weight(double distance) const {
    const double x = std::abs(distance);
    if (kind == Kind::linear) return std::max(0.0, 1 - x);
    if (x <= 1) return ((cubic + 2) * x - (cubic + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * cubic - 4 * cubic : 0;
  }
  /// Whether result i has the number for places outside of the image.
  bool is_outside(const ResizeAxis& axis, std::int64_t i) const {
    const double at = position(axis, i);
    return is_crop() && (at < 0 || at > static_cast<double>(axis.in - 1));
  }
  /// Replaces the taps by those of result i: none if it lies outside.
  void find_taps(const ResizeAxis& axis, std::int64_t i, Taps& taps) const {
    const auto last = static_cast<double>(axis.in - 1);
    const double at = position(axis, i);
    taps.indices.clear();
    taps.factors.clear();
    if (is_outside(axis, i)) return;
    if (kind == Kind::nearest) {
      taps.indices = {std::clamp(nearest(at), 0.0, last)};
      taps.factors = {1};
      return;
    }
    // Shrinking with antialiasing widens the kernel, so that every element counts.
    const double shrink = antialias ? std::min(axis.scale, 1.0) : 1.0;
    const double reach = (kind == Kind::linear ? 1 : 2) / shrink;
    double sum = 0;
    for (double index = std::ceil(at - reach); index <= at + reach; ++index) {
      if (excludes_outside && (index < 0 || index > last)) continue;
      const double factor = weight((index - at) * shrink);
      if (factor == 0) continue;
      taps.indices.push_back(std::clamp(index, 0.0, last));
      taps.factors.push_back(factor);
      sum += factor;
    }
    for (double& factor : taps.factors) factor /= sum;
  }
};

/// The taps of all results along an axis.
struct TapTable {
  std::size_t window = 1;      ///< most taps of a result
  std::vector<float> weights;  ///< of Workload::resample: [out][window] elements, then factors
  std::vector<std::int64_t> outside;  ///< results that lie outside
};

/// Nothing if the table would be larger than kMaxTaps.
std::optional<TapTable> tap_table(const ResizeMode& mode, const ResizeAxis& axis) {
  TapTable table;
  Taps taps;
  const auto out = static_cast<std::size_t>(axis.out);
  for (std::int64_t i = 0; i < axis.out; ++i) {
    mode.find_taps(axis, i, taps);
    table.window = std::max(table.window, taps.indices.size());
    if (table.window * out > kMaxTaps) return std::nullopt;
    if (taps.indices.empty()) table.outside.push_back(i);
  }
  const std::size_t all = out * table.window;
  table.weights.resize(2 * all);
  for (std::size_t i = 0; i < out; ++i) {
    mode.find_taps(axis, static_cast<std::int64_t>(i), taps);
    for (std::size_t k = 0; k < taps.indices.size(); ++k) {
      table.weights[i * table.window + k] = static_cast<float>(taps.indices[k]);
      table.weights[all + i * table.window + k] = static_cast<float>(taps.factors[k]);
    }
  }
  return table;
}

/// The operation of the network that does it, if there is one: those repeat pixels or interpolate
/// between them by whole factors.
std::optional<Op> upsampling(const ResizeMode& mode, const ResizeAxis& rows,
                             const ResizeAxis& columns) {
  for (const ResizeAxis* axis : {&rows, &columns})
    if (axis->scale != std::floor(axis->scale) || axis->scale < 1) return std::nullopt;
  const bool half_pixel = mode.place == Place::half_pixel ||
                          mode.place == Place::pytorch_half_pixel ||
                          mode.place == Place::half_pixel_symmetric;
  if (mode.kind == ResizeMode::Kind::cubic || mode.excludes_outside) return std::nullopt;
  if (mode.kind == ResizeMode::Kind::linear)
    return half_pixel                           ? std::optional(Op::upsample_bilinear)
           : mode.place == Place::align_corners ? std::optional(Op::upsample_corners)
                                                : std::nullopt;
  // A centre never lies half-way between two pixels.
  const bool repeats = (mode.place == Place::asymmetric && mode.rounding == Rounding::floor) ||
                       (half_pixel && (mode.rounding == Rounding::round_prefer_floor ||
                                       mode.rounding == Rounding::round_prefer_ceil));
  return repeats ? std::optional(Op::upsample_nearest) : std::nullopt;
}

/// One axis after the other.
Result<Value> resampled(Import& model, const Node& node, const Value& x, const ResizeMode& mode,
                        const std::vector<ResizeAxis>& axes) {
  Value result = x;
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const ResizeAxis& axis = axes[d];
    if (!axis.changes()) continue;
    auto table = tap_table(mode, axis);
    if (!table) return node.error("its result is too large");
    Dims dims = result.dims;
    dims[d] = axis.out;
    if (!element_count(dims)) return node.error("its result is too large");
    const TensorShape around = shape_around(result.dims, d, d + 1);
    CONVOPT_TRY(const auto tensor, model.shaped(node.name(), result,
                                                {around.n(), around.c(), around.h() * around.w()}));
    const Workload workload =
        Workload::resample(model.graph().shape(tensor), 1, static_cast<int>(axis.out),
                           static_cast<int>(table->window));
    StoredWeights weights;
    weights.weights = std::move(table->weights);
    CONVOPT_TRY(result,
                made(model.graph().add(model.label(node), std::array{tensor}, workload,
                                       std::make_shared<const StoredWeights>(std::move(weights))),
                     std::move(dims)));
    if (table->outside.empty() || mode.extrapolation == 0) continue;
    std::vector<float> outside(static_cast<std::size_t>(axis.out), 0.0F);
    for (const std::int64_t i : table->outside)
      outside[static_cast<std::size_t>(i)] = mode.extrapolation;
    Dims line(result.dims.size() - d, 1);
    line[0] = axis.out;
    // The part of other axes that lies outside has its number already.
    CONVOPT_TRY(result, binary(model, node, Op::add, result,
                               constant_value(Constant::of_floats(std::move(line), outside))));
  }
  return result;
}

/// Since then, Resize has its scales as third input and a choice of coordinates.
bool is_new_resize(const Node& node) { return node.type() == "Resize" && node.opset() >= 11; }

/// Makes the scales of the chosen axes one, as the operator's policy says.
Result<void> keep_aspect_ratio(const Node& node, const std::vector<std::size_t>& chosen,
                               std::vector<ResizeAxis>& axes) {
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch" || chosen.empty()) return {};
  if (policy != "not_larger" && policy != "not_smaller")
    return node.unsupported("the policy " + policy);
  double scale = axes[chosen[0]].scale;
  for (const std::size_t d : chosen)
    scale =
        policy == "not_larger" ? std::min(scale, axes[d].scale) : std::max(scale, axes[d].scale);
  for (const std::size_t d : chosen) {
    axes[d].scale = scale;
    axes[d].out = static_cast<std::int64_t>(std::round(scale * static_cast<double>(axes[d].in)));
  }
  return {};
}

/// One per dimension of the input.
Result<std::vector<ResizeAxis>> resize_axes(Import& model, const Node& node, const Dims& dims) {
  const bool is_new = is_new_resize(node);
  CONVOPT_TRY(const auto scales, model.constant_input(node, is_new ? 2 : 1));
  CONVOPT_TRY(const auto sizes, model.constant_input(node, is_new ? 3 : node.input_count()));
  CONVOPT_TRY(const auto region, model.constant_input(node, is_new ? 1 : node.input_count()));
  std::vector<ResizeAxis> axes;
  for (const std::int64_t size : dims) axes.push_back({size, size, 1});
  Integers named = node.integers("axes");
  if (named.empty())
    for (std::size_t d = 0; d < dims.size(); ++d) named.push_back(static_cast<std::int64_t>(d));
  std::vector<std::size_t> chosen;
  for (const std::int64_t axis : named) {
    const auto resolved = resolve_axis(axis, dims.size());
    if (!resolved) return node.error("it has no such axis");
    chosen.push_back(*resolved);
  }
  const bool by_size = sizes != nullptr && sizes->size() > 0;
  std::vector<double> numbers;
  if (by_size || scales != nullptr) {
    const Constant& given = by_size ? *sizes : *scales;
    for (std::size_t i = 0; i < given.size(); ++i) numbers.push_back(given.at(i));
  } else {
    for (const float scale : node.numbers("scales")) numbers.push_back(scale);
  }
  if (numbers.size() != chosen.size())
    return node.error("its scales or sizes do not fit its input " + dims_text(dims));
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    ResizeAxis& axis = axes[chosen[i]];
    if (!(numbers[i] > 0) || numbers[i] > double{kMaxSize})
      return node.error("its scales or sizes are out of range");
    if (by_size) {
      axis.out = static_cast<std::int64_t>(numbers[i]);
      axis.scale = numbers[i] / static_cast<double>(axis.in);
    } else {
      // In single precision, as the scale is given: ten times 0.7 are seven.
      axis.out = static_cast<std::int64_t>(
          std::floor(static_cast<float>(axis.in) * static_cast<float>(numbers[i])));
      axis.scale = numbers[i];
    }
  }
  if (by_size) CONVOPT_CHECK(keep_aspect_ratio(node, chosen, axes));
  if (region != nullptr && node.text("coordinate_transformation_mode") == "tf_crop_and_resize") {
    if (region->size() != 2 * chosen.size())
      return node.error("its region does not fit its input " + dims_text(dims));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      axes[chosen[i]].begin = region->at(i);
      axes[chosen[i]].end = region->at(chosen.size() + i);
    }
  }
  for (const ResizeAxis& axis : axes)
    if (axis.out < 1 || axis.out > kMaxSize)
      return node.error("its scales or sizes do not fit its input " + dims_text(dims));
  return axes;
}

Result<ResizeMode> resize_mode(const Node& node) {
  const bool is_new = is_new_resize(node);
  const std::string mode_name = node.text("mode", "nearest");
  ResizeMode mode;
  if (mode_name == "linear" || mode_name == "bilinear") mode.kind = ResizeMode::Kind::linear;
  if (mode_name == "cubic") mode.kind = ResizeMode::Kind::cubic;
  const std::string place =
      node.text("coordinate_transformation_mode", is_new ? "half_pixel" : "asymmetric");
  const std::string rounding = node.text("nearest_mode", is_new ? "round_prefer_floor" : "floor");
  const auto named_place = by_name<Place>(kPlaces, place);
  const auto named_rounding = by_name<Rounding>(kRoundings, rounding);
  if ((mode.kind == ResizeMode::Kind::nearest && mode_name != "nearest") || !named_place ||
      !named_rounding)
    return node.unsupported("the mode " + mode_name + " with " + place + " and " + rounding);
  mode.place = *named_place;
  mode.rounding = *named_rounding;
  mode.antialias = node.integer("antialias", 0) != 0 && mode.kind != ResizeMode::Kind::nearest;
  mode.excludes_outside = node.integer("exclude_outside", 0) != 0;
  mode.cubic = double{node.number("cubic_coeff_a", -0.75F)};
  mode.extrapolation = node.number("extrapolation_value", 0.0F);
  return mode;
}

Result<Value> resize(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const Dims& dims = x->dims;
  CONVOPT_TRY(const auto axes, resize_axes(model, node, dims));
  CONVOPT_TRY(const auto mode, resize_mode(node));
  if (std::ranges::none_of(axes, &ResizeAxis::changes)) return *x;
  const bool of_pixels = dims.size() == 4 && !axes[0].changes() && !axes[1].changes();
  if (const auto op = of_pixels ? upsampling(mode, axes[2], axes[3]) : std::nullopt) {
    CONVOPT_TRY(const auto tensor, model.image(node, *x));
    const Pair factor{static_cast<int>(axes[2].scale), static_cast<int>(axes[3].scale)};
    CONVOPT_TRY(const auto result,
                model.graph().add_upsample(model.label(node), *op, tensor, factor));
    return made(result, dims_of(model.graph().shape(result), 4));
  }
  return resampled(model, node, *x, mode, axes);
}

}  // namespace

OperatorTable resize_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Resize", resize},
      {"Upsample", resize},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
