#include "src/network/onnx/selecting.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "core/try.h"

namespace convopt::onnx_reader {
namespace {

using Inputs = std::vector<ConstantPointer>;

struct Box {
  float top, left, bottom, right;

  /// Zero for boxes without an inside.
  float area() const { return bottom > top && right > left ? (bottom - top) * (right - left) : 0; }
};

Box box_at(std::span<const float> four, bool from_centre) {
  if (from_centre) {
    const float half_width = four[2] / 2, half_height = four[3] / 2;
    return {four[1] - half_height, four[0] - half_width, four[1] + half_height,
            four[0] + half_width};
  }
  return {std::min(four[0], four[2]), std::min(four[1], four[3]), std::max(four[0], four[2]),
          std::max(four[1], four[3])};
}

/// Whether the common part of two boxes is more than `share` of what they cover together.
bool overlap(const Box& a, const Box& b, float share) {
  const Box common = {std::max(a.top, b.top), std::max(a.left, b.left),
                      std::min(a.bottom, b.bottom), std::min(a.right, b.right)};
  const float inside = common.area();
  return inside > 0 && inside / (a.area() + b.area() - inside) > share;
}

/// The single number of an input that may be left out.
Result<std::optional<double>> number_at(const Node& node, const Inputs& in, std::size_t index) {
  if (index >= in.size() || in[index] == nullptr) return std::optional<double>();
  if (in[index]->size() != 1)
    return node.error("its input " + std::to_string(index) + " must be a single number");
  return std::optional(in[index]->at(0));
}

}  // namespace

Result<Constant> select_boxes(const Node& node, const Inputs& in) {
  const Constant& boxes = *in[0];
  if (in[1] == nullptr) return node.error("it has no scores");
  const Constant& scores = *in[1];
  if (!boxes.is_float || !scores.is_float || boxes.dims.size() != 3 || scores.dims.size() != 3 ||
      boxes.dims[2] != 4 || boxes.dims[0] != scores.dims[0] || boxes.dims[1] != scores.dims[2])
    return node.error("its boxes of the shape " + dims_text(boxes.dims) + " and scores of " +
                      dims_text(scores.dims) + " do not go together");
  CONVOPT_TRY(const auto given_most, number_at(node, in, 2));
  CONVOPT_TRY(const auto given_share, number_at(node, in, 3));
  CONVOPT_TRY(const auto given_least, number_at(node, in, 4));
  const auto count = static_cast<std::size_t>(boxes.dims[1]);
  const double most = std::min(given_most.value_or(0), static_cast<double>(count));
  const auto share = static_cast<float>(given_share.value_or(0));
  const bool from_centre = node.integer("center_point_box", 0) != 0;
  const std::span<const float> corners = boxes.floats, all_scores = scores.floats;

  Constant result = Constant::of_integers({0, 3}, {});
  for (std::int64_t image = 0; image < scores.dims[0]; ++image) {
    std::vector<Box> places;
    for (std::size_t i = 0; i < count; ++i)
      places.push_back(box_at(corners.subspan((static_cast<std::size_t>(image) * count + i) * 4, 4),
                              from_centre));
    for (std::int64_t kind = 0; kind < scores.dims[1]; ++kind) {
      const auto row = all_scores.subspan(
          static_cast<std::size_t>(image * scores.dims[1] + kind) * count, count);
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < count; ++i)
        if (given_least ? row[i] > static_cast<float>(*given_least) : row[i] == row[i])
          order.push_back(i);
      std::ranges::stable_sort(order,
                               [&](std::size_t a, std::size_t b) { return row[a] > row[b]; });
      std::vector<Box> chosen;
      for (const std::size_t i : order) {
        if (!(static_cast<double>(chosen.size()) < most)) break;
        if (std::ranges::any_of(chosen,
                                [&](const Box& box) { return overlap(places[i], box, share); }))
          continue;
        chosen.push_back(places[i]);
        result.integers.insert(result.integers.end(), {image, kind, static_cast<std::int64_t>(i)});
      }
    }
  }
  result.dims[0] = std::ssize(result.integers) / 3;
  return result;
}

Result<Constant> find_non_zeros(const Node&, const Inputs& in) {
  const Constant& x = *in[0];
  // A single value has the place 0 of one dimension.
  const Dims dims = x.dims.empty() ? Dims{1} : x.dims;
  std::vector<std::int64_t> found;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x.at(i) != 0) found.push_back(static_cast<std::int64_t>(i));
  const std::int64_t count = std::ssize(found);
  Constant result = Constant::of_integers({std::ssize(dims), count}, {});
  result.integers.resize(dims.size() * found.size());
  for (std::size_t d = dims.size(); d-- > 0;)
    for (std::size_t i = 0; i < found.size(); ++i) {
      result.integers[d * found.size() + i] = found[i] % dims[d];
      found[i] /= dims[d];
    }
  return result;
}

}  // namespace convopt::onnx_reader
