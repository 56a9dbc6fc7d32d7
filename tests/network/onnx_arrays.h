// What models compute, compared with the definition of an operator written down in loops.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/network/onnx_model.h"

namespace convopt::testing {

using Floats = std::vector<float>;

/// A tensor of any rank whose elements outside are zero.
struct Array {
  Dims dims;
  Floats values;

  Array(Dims sizes, Floats elements = {}) : dims(std::move(sizes)), values(std::move(elements)) {
    if (values.empty()) values.resize(static_cast<std::size_t>(count()));
  }
  std::int64_t count() const {
    return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
  }
  bool inside(const Dims& at) const {
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (at[d] < 0 || at[d] >= dims[d]) return false;
    return true;
  }
  std::size_t offset(const Dims& at) const {
    std::int64_t result = 0;
    for (std::size_t d = 0; d < dims.size(); ++d) result = result * dims[d] + at[d];
    return static_cast<std::size_t>(result);
  }
  float operator()(const Dims& at) const { return inside(at) ? values[offset(at)] : 0.0F; }
  float& at(const Dims& place) { return values[offset(place)]; }
  /// The place of element `index`.
  Dims place(std::int64_t index) const {
    Dims result(dims.size());
    for (std::size_t d = dims.size(); d-- > 0;) {
      result[d] = index % dims[d];
      index /= dims[d];
    }
    return result;
  }
};

/// An array of these sizes, element by element.
inline Array made(const Dims& dims, const std::function<double(const Dims& at)>& element) {
  Array result(dims);
  for (std::int64_t i = 0; i < result.count(); ++i)
    result.values[static_cast<std::size_t>(i)] = static_cast<float>(element(result.place(i)));
  return result;
}

inline Array mapped(Array x, const std::function<double(double)>& function) {
  for (float& value : x.values) value = static_cast<float>(function(value));
  return x;
}

inline void expect_near(const Floats& result, const Floats& expected, float tolerance = 2e-6F) {
  ASSERT_EQ(result.size(), expected.size());
  float largest = 1;
  for (const float value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(result[i], expected[i], tolerance * largest) << "element " << i;
}

/// The only output of a model whose inputs have these shapes.
inline void expect_computes(const OnnxModel& model, const std::vector<Dims>& shapes,
                            const std::function<Array(const std::vector<Array>&)>& expected,
                            float tolerance = 2e-6F) {
  const Computed computed = compute(model);
  ASSERT_EQ(computed.inputs.size(), shapes.size());
  std::vector<Array> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    inputs.emplace_back(shapes[i], computed.inputs[i]);
  expect_near(computed.outputs.at(0), expected(inputs).values, tolerance);
}

/// The values that OnnxModel::random gives to a name.
inline Array stored(const OnnxModel& model, const std::string& name) {
  OnnxModel copy = model;
  for (const auto& tensor : copy.proto().graph().initializer()) {
    if (tensor.name() != name) continue;
    return {{tensor.dims().begin(), tensor.dims().end()},
            {tensor.float_data().begin(), tensor.float_data().end()}};
  }
  ADD_FAILURE() << "no tensor " << name;
  return {{}};
}

}  // namespace convopt::testing
