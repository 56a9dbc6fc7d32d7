// Images of another size.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
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
};

struct ResizeMode {
  bool linear = false;
  std::string place, rounding;  ///< as the operator calls them

  /// Where result i lies among the inputs.
  double position(const ResizeAxis& axis, std::int64_t i) const {
    const auto at = static_cast<double>(i);
    if (place == "asymmetric") return at / axis.scale;
    if (place == "align_corners")
      return axis.out == 1
                 ? 0
                 : at * static_cast<double>(axis.in - 1) / static_cast<double>(axis.out - 1);
    if (place == "pytorch_half_pixel" && axis.out == 1) return 0;
    const double centre = (at + 0.5) / axis.scale - 0.5;
    if (place != "half_pixel_symmetric") return centre;
    const double lost =
        1 - static_cast<double>(axis.out) / (axis.scale * static_cast<double>(axis.in));
    return centre + static_cast<double>(axis.in) / 2 * lost;
  }
  double nearest(double at) const {
    if (rounding == "floor") return std::floor(at);
    if (rounding == "ceil") return std::ceil(at);
    return rounding == "round_prefer_ceil" ? std::floor(at + 0.5) : std::ceil(at - 0.5);
  }
  /// One row of weights per result.
  std::vector<float> weights(const ResizeAxis& axis) const {
    std::vector<float> matrix(static_cast<std::size_t>(axis.in * axis.out), 0.0F);
    for (std::int64_t i = 0; i < axis.out; ++i) {
      const double at = position(axis, i);
      const double below = linear ? std::floor(at) : nearest(at);
      const auto add = [&](double index, double weight) {
        const double inside = std::clamp(index, 0.0, static_cast<double>(axis.in - 1));
        matrix[static_cast<std::size_t>(i * axis.in) + static_cast<std::size_t>(inside)] +=
            static_cast<float>(weight);
      };
      add(below, linear ? 1 - (at - below) : 1);
      if (linear) add(below + 1, at - below);
    }
    return matrix;
  }
};

/// The operation of the network that does it, if there is one: those repeat pixels or interpolate
/// between them by whole factors.
std::optional<Op> upsampling(const ResizeMode& mode, const ResizeAxis& rows,
                             const ResizeAxis& columns) {
  for (const ResizeAxis* axis : {&rows, &columns})
    if (axis->scale != std::floor(axis->scale) || axis->scale < 1) return std::nullopt;
  const bool half_pixel = mode.place.find("half_pixel") != std::string::npos;
  if (mode.linear)
    return half_pixel                      ? std::optional(Op::upsample_bilinear)
           : mode.place == "align_corners" ? std::optional(Op::upsample_corners)
                                           : std::nullopt;
  // A centre never lies half-way between two pixels.
  const bool repeats = (mode.place == "asymmetric" && mode.rounding == "floor") ||
                       (half_pixel && mode.rounding.starts_with("round_prefer"));
  return repeats ? std::optional(Op::upsample_nearest) : std::nullopt;
}

/// Rows, then columns: each a product with a matrix, for which they are taken as channels.
Result<Value> resampled(Import& model, const Node& node, const Value& x, WeightsPointer rows,
                        WeightsPointer columns) {
  const int images = static_cast<int>(x.dims[0] * x.dims[1]);
  const int height = static_cast<int>(x.dims[2]);
  const int width = static_cast<int>(x.dims[3]);
  ConvAttributes attributes;
  attributes.oc = static_cast<int>(std::ssize(rows->weights) / height);
  const int new_width = static_cast<int>(std::ssize(columns->weights) / width);
  Dims dims = {x.dims[0], x.dims[1], attributes.oc, new_width};
  CONVOPT_TRY(const auto unmoved, model.plain(node.name(), x));
  CONVOPT_TRY(auto tensor, model.shaped(node.name(), *unmoved, {images, height, width, 1}));
  CONVOPT_TRY(tensor,
              model.graph().add_conv({model.fresh(node.name() + "/rows"), std::string(node.type())},
                                     tensor, attributes, std::move(rows)));
  CONVOPT_TRY(tensor, model.graph().add_reshape({model.fresh(node.name() + "/reshape"), "reshape"},
                                                tensor, {images * attributes.oc, width, 1, 1}));
  return made(
      model.graph().add_fully_connected(model.label(node), tensor, new_width, std::move(columns)),
      std::move(dims));
}

/// Since then, Resize has its scales as third input and a choice of coordinates.
bool is_new_resize(const Node& node) { return node.type() == "Resize" && node.opset() >= 11; }

/// One per dimension of the input.
Result<std::vector<ResizeAxis>> resize_axes(Import& model, const Node& node, const Dims& dims) {
  const bool is_new = is_new_resize(node);
  CONVOPT_TRY(const auto scales, model.constant_input(node, is_new ? 2 : 1));
  CONVOPT_TRY(const auto sizes, model.constant_input(node, is_new ? 3 : node.input_count()));
  std::vector<ResizeAxis> axes;
  const auto add_axis = [&](double size, double scale) {
    if (axes.size() < dims.size() && size >= 1 && size <= static_cast<double>(kMaxSize))
      axes.push_back({dims[axes.size()], static_cast<std::int64_t>(size), scale});
  };
  const auto of_scale = [&](double scale) {
    const std::size_t at = axes.size();
    // In single precision, as the scale is given: ten times 0.7 are seven.
    if (at < dims.size())
      add_axis(std::floor(static_cast<float>(dims[at]) * static_cast<float>(scale)), scale);
  };
  std::size_t given = 0;
  if (sizes != nullptr && sizes->size() > 0) {
    given = sizes->size();
    if (node.text("keep_aspect_ratio_policy", "stretch") != "stretch")
      return node.unsupported("keeping the aspect ratio");
    for (std::size_t i = 0; i < std::min<std::size_t>(given, dims.size()); ++i)
      add_axis(sizes->at(i), sizes->at(i) / static_cast<double>(dims[i]));
  } else if (scales != nullptr) {
    given = scales->size();
    for (std::size_t i = 0; i < given; ++i) of_scale(scales->at(i));
  } else {
    given = node.numbers("scales").size();
    for (const float scale : node.numbers("scales")) of_scale(scale);
  }
  if (given != dims.size() || axes.size() != dims.size())
    return node.error("its scales or sizes do not fit its input " + dims_text(dims));
  if (axes[0].out != dims[0] || axes[1].out != dims[1])
    return node.unsupported("resizing anything but the pixels of images");
  return axes;
}

Result<ResizeMode> resize_mode(const Node& node) {
  const bool is_new = is_new_resize(node);
  const std::string mode_name = node.text("mode", "nearest");
  ResizeMode mode;
  mode.linear = mode_name == "linear" || mode_name == "bilinear";
  mode.place = node.text("coordinate_transformation_mode", is_new ? "half_pixel" : "asymmetric");
  mode.rounding = node.text("nearest_mode", is_new ? "round_prefer_floor" : "floor");
  constexpr std::array kPlaces = {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric",
                                  "asymmetric", "align_corners"};
  constexpr std::array kRoundings = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  if ((!mode.linear && mode_name != "nearest") ||
      std::ranges::find(kPlaces, mode.place) == kPlaces.end() ||
      std::ranges::find(kRoundings, mode.rounding) == kRoundings.end())
    return node.unsupported("the mode " + mode_name + " with " + mode.place + " and " +
                            mode.rounding);
  if (node.integer("antialias", 0) != 0) return node.unsupported("antialiasing");
  return mode;
}

Result<Value> resize(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const Dims& dims = x->dims;
  if (dims.size() != 4 || node.has("axes"))
    return node.unsupported("resizing anything but the pixels of images");
  CONVOPT_TRY(const auto axes, resize_axes(model, node, dims));
  CONVOPT_TRY(const auto mode, resize_mode(node));
  if (axes[2].out == dims[2] && axes[3].out == dims[3]) return *x;
  if (const auto op = upsampling(mode, axes[2], axes[3])) {
    CONVOPT_TRY(const auto tensor, model.image(node, *x));
    const Pair factor{static_cast<int>(axes[2].scale), static_cast<int>(axes[3].scale)};
    CONVOPT_TRY(const auto result,
                model.graph().add_upsample(model.label(node), *op, tensor, factor));
    return made(result, dims_of(model.graph().shape(result), 4));
  }
  const auto matrix = [&](const ResizeAxis& axis) {
    return std::make_shared<const StoredWeights>(mode.weights(axis), std::vector<float>());
  };
  for (const ResizeAxis& axis : {axes[2], axes[3]})
    if (axis.in * axis.out > kMaxSize) return node.error("its result is too large");
  return resampled(model, node, *x, matrix(axes[2]), matrix(axes[3]));
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
