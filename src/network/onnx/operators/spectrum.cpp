// Discrete Fourier transforms: products with a matrix of cosines and sines.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

struct Transform {
  std::int64_t length = 0, bins = 0;
  std::int64_t parts = 1;  ///< of a number: 2 for complex ones
  bool inverse = false;
};

/// [length * parts][bins * 2], whose rows a window scales; no window: ones.
Result<Constant> matrix_of(const Node& node, const Transform& t, std::span<const float> window) {
  const Dims dims = {t.length * t.parts, t.bins * 2};
  const auto count = element_count(dims);
  if (!count || *count > kMaxSize) return node.unsupported("a transform of that length");
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(*count));
  const auto length = static_cast<double>(t.length);
  for (std::int64_t at = 0; at < t.length; ++at) {
    const double factor = (t.inverse ? 1 / length : 1) *
                          (window.empty() ? 1 : double{window[static_cast<std::size_t>(at)]});
    for (std::int64_t part = 0; part < t.parts; ++part)
      for (std::int64_t bin = 0; bin < t.bins; ++bin) {
        // Whole turns are left out while the product is exact.
        const double angle = 2 * M_PI * static_cast<double>(at * bin % t.length) / length;
        const double real = std::cos(angle) * factor;
        const double imaginary = std::sin(angle) * (t.inverse ? factor : -factor);
        values.push_back(static_cast<float>(part == 0 ? real : -imaginary));
        values.push_back(static_cast<float>(part == 0 ? imaginary : real));
      }
  }
  return Constant::of_floats(dims, std::move(values));
}

/// Of the dimension before the last one, which has the parts of numbers: rows are [length][parts].
Result<Value> transformed(Import& model, const Node& node, const Value& rows, const Transform& t,
                          std::span<const float> window) {
  CONVOPT_TRY(auto matrix, matrix_of(node, t, window));
  Dims dims = rows.dims;
  const std::int64_t length = t.length * t.parts;
  const auto total = element_count(dims);
  if (!total) return node.error("its input is too large");
  CONVOPT_TRY(const auto flat, reshaped_value(model, node, rows, {*total / length, length}));
  CONVOPT_TRY(const auto result, product(model, node, flat, constant_value(std::move(matrix))));
  dims[dims.size() - 2] = t.bins;
  dims.back() = 2;
  return reshaped_value(model, node, result, std::move(dims));
}

std::int64_t bins_of(const Node& node, std::int64_t length, std::int64_t fallback) {
  return node.integer("onesided", fallback) != 0 ? length / 2 + 1 : length;
}

Result<Value> dft(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.tensor_input(node, 0));
  const std::size_t rank = x->dims.size();
  CONVOPT_TRY(const auto chosen, model.whole_number_input(node, 2));
  const std::int64_t fallback = node.integer("axis", node.opset() < 20 ? 1 : -2);
  const auto axis = resolve_axis(chosen.value_or(fallback), rank);
  if (rank < 2 || !axis || *axis + 1 == rank || x->dims.back() > 2)
    return node.error("its axis or its input of the shape " + dims_text(x->dims) + " does not fit");
  const std::int64_t size = x->dims[*axis];
  Transform t;
  CONVOPT_TRY(const auto length, model.whole_number_input(node, 1));
  t.length = length.value_or(size);
  if (t.length < 1 || t.length > kMaxSize) return node.error("its length is out of range");
  t.parts = x->dims.back();
  t.bins = bins_of(node, t.length, 0);
  t.inverse = node.integer("inverse", 0) != 0;
  Value source = *x;
  if (t.length < size) {
    CONVOPT_TRY(source,
                axis_range(model, node, node.name() + "/crop", source, *axis, 0, t.length, 1));
  } else if (t.length > size) {
    CONVOPT_TRY(source, padded_axis(model, node, source, *axis, 0, t.length - size));
  }
  std::vector<int> order(rank);
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[*axis], order[rank - 2]);
  CONVOPT_TRY(const auto rows, transposed_value(model, node, source, order));
  CONVOPT_TRY(const auto result, transformed(model, node, rows, t, {}));
  return transposed_value(model, node, result, order);
}

/// Transforms of the windows along a signal, [n][windows][bins][2].
Result<Value> stft(Import& model, const Node& node) {
  CONVOPT_TRY(const auto signal, model.tensor_input(node, 0));
  CONVOPT_TRY(const auto given_step, model.whole_number_input(node, 1));
  CONVOPT_TRY(const auto window, model.constant_input(node, 2));
  const Dims dims =
      signal->dims.size() == 2 ? Dims{signal->dims[0], signal->dims[1], 1} : signal->dims;
  if (dims.size() != 3 || dims[2] > 2 || (window != nullptr && !window->is_float))
    return node.error("its signal or window does not fit");
  Transform t;
  CONVOPT_TRY(const auto length, model.whole_number_input(node, 3));
  t.length = length.value_or(window != nullptr ? std::ssize(window->floats) : 0);
  const std::int64_t step = given_step.value_or(0);
  if (t.length < 1 || t.length > dims[1] || step < 1 ||
      (window != nullptr && std::ssize(window->floats) != t.length))
    return node.error("its window or step does not fit its signal");
  t.parts = dims[2];
  t.bins = bins_of(node, t.length, 1);
  const std::int64_t count = (dims[1] - t.length) / step + 1;
  if (count * t.length > kMaxSize) return node.unsupported("so many windows");
  Integers elements;
  for (std::int64_t w = 0; w < count; ++w)
    for (std::int64_t i = 0; i < t.length; ++i) elements.push_back(w * step + i);
  CONVOPT_TRY(const auto row, reshaped_value(model, node, *signal, dims));
  CONVOPT_TRY(const auto taken, gathered(model, node, row, 1, std::move(elements)));
  CONVOPT_TRY(const auto rows,
              reshaped_value(model, node, taken, {dims[0], count, t.length, t.parts}));
  return transformed(model, node, rows, t,
                     window != nullptr ? window->floats.values() : std::span<const float>());
}

}  // namespace

OperatorTable spectrum_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"DFT", dft},
      {"STFT", stft},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
