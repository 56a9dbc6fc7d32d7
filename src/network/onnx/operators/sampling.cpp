// Images at places, and parts of images, that other tensors name.
#include <array>
#include <string>
#include <utility>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

/// Elements of each direction that a mode takes; nothing for an unknown one.
std::optional<int> window_of_mode(std::string_view mode) {
  if (mode == "nearest") return 1;
  if (mode == "bilinear" || mode == "linear") return 2;
  if (mode == "bicubic" || mode == "cubic") return 4;
  return std::nullopt;
}

std::optional<Border> border_of(std::string_view padding, bool aligns_corners) {
  if (padding == "zeros") return Border::zeros;
  if (padding == "border") return Border::nearest;
  if (padding == "reflection") return aligns_corners ? Border::mirrored : Border::mirrored_edges;
  return std::nullopt;
}

Result<Value> grid_sample(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto grid, model.tensor_input(node, 1));
  const Dims& in = x->dims;
  if (in.size() != 4) return node.unsupported("an input of the shape " + dims_text(in));
  if (grid->dims.size() != 4 || grid->dims[0] != in[0] || grid->dims[3] != 2)
    return node.error("its grid of the shape " + dims_text(grid->dims) +
                      " does not fit its input " + dims_text(in));
  const bool aligns_corners = node.integer("align_corners", 0) != 0;
  const auto window = window_of_mode(node.text("mode", "bilinear"));
  const auto border = border_of(node.text("padding_mode", "zeros"), aligns_corners);
  if (!window || !border) return node.error("its mode or padding means nothing");
  // From -1 and 1 at the ends of the image to numbers of elements.
  std::vector<float> factors, middles;
  for (const std::int64_t size : {in[3], in[2]}) {
    factors.push_back(static_cast<float>(aligns_corners ? size - 1 : size) / 2);
    middles.push_back(static_cast<float>(size - 1) / 2);
  }
  CONVOPT_TRY(const auto scaled, binary(model, node, Op::multiply, *grid,
                                        constant_value(Constant::of_floats({2}, factors))));
  CONVOPT_TRY(const auto places, binary(model, node, Op::add, scaled,
                                        constant_value(Constant::of_floats({2}, middles))));
  CONVOPT_TRY(const TensorId image, model.ranked(node.name(), *x));
  CONVOPT_TRY(const TensorId at, model.ranked(node.name(), places));
  return made(model.graph().add(model.label(node), std::array{image, at},
                                Workload::grid_sample(model.graph().shape(image),
                                                      model.graph().shape(at), *window, *border)),
              {in[0], in[1], grid->dims[1], grid->dims[2]});
}

/// Regions with sides of at least 1.
Result<Value> enlarged(Import& model, const Node& node, const Value& regions) {
  const std::string name = node.name() + "/corner";
  CONVOPT_TRY(const auto first, axis_range(model, node, name, regions, 1, 0, 2, 1));
  CONVOPT_TRY(const auto last, axis_range(model, node, name, regions, 1, 2, 2, 1));
  CONVOPT_TRY(const auto least, binary(model, node, Op::add, first, number_value(1)));
  CONVOPT_TRY(const auto end, binary(model, node, Op::maximum, last, least));
  return joined(model, node, {first, end}, 1);
}

Result<Value> roi_align(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto regions, model.tensor_input(node, 1));
  CONVOPT_TRY(const auto images, model.tensor_input(node, 2));
  const Dims& in = x->dims;
  if (in.size() != 4 || regions->dims.size() != 2 || regions->dims[1] != 4 ||
      images->dims != Dims{regions->dims[0]})
    return node.error("its regions do not fit its input " + dims_text(in));
  const std::string mode = node.text("mode", "avg");
  const std::int64_t rows = node.integer("output_height", 1);
  const std::int64_t columns = node.integer("output_width", 1);
  const std::int64_t places = node.integer("sampling_ratio", 0);
  constexpr std::int64_t kMostPlaces = 64;
  if ((mode != "avg" && mode != "max") || rows < 1 || rows > kMaxSize || columns < 1 ||
      columns > kMaxSize || places < 0 || places > kMostPlaces)
    return node.error("its mode, size or sampling ratio is out of range");
  // Before opset 16 coordinates were those of pixels' centres.
  const std::string coordinates = node.text("coordinate_transformation_mode",
                                            node.opset() < 16 ? "output_half_pixel" : "half_pixel");
  CONVOPT_TRY(Value corners, scale(model, node, *regions, node.number("spatial_scale", 1)));
  if (coordinates == "half_pixel") {
    CONVOPT_TRY(corners, binary(model, node, Op::add, corners, number_value(-0.5F)));
  } else {
    CONVOPT_TRY(corners, enlarged(model, node, corners));
  }
  CONVOPT_TRY(const TensorId image, model.ranked(node.name(), *x));
  CONVOPT_TRY(const TensorId at, model.ranked(node.name(), corners));
  CONVOPT_TRY(const TensorId numbers, model.ranked(node.name(), *images));
  const std::int64_t count = regions->dims[0];
  return made(model.graph().add(model.label(node), std::array{image, at, numbers},
                                Workload::roi(mode == "max" ? Op::roi_maximum : Op::roi_average,
                                              model.graph().shape(image), static_cast<int>(count),
                                              static_cast<int>(rows), static_cast<int>(columns),
                                              static_cast<int>(places))),
              {count, in[1], rows, columns});
}

}  // namespace

OperatorTable sampling_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"GridSample", grid_sample},
      {"RoiAlign", roi_align},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
