// Windows over one to three dimensions of pixels, where their maxima are, and what undoes them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

/// Calls `visit(tap)` for every tap of a window.
void for_each_tap(const Dims& kernel, const std::function<void(const Dims& tap)>& visit) {
  const Array taps(kernel);
  for (std::int64_t i = 0; i < taps.count(); ++i) visit(taps.place(i));
}

struct VolumeCase {
  const char* name;
  Dims in, kernel, strides, pads, dilations;
  std::int64_t groups;

  std::int64_t extent(std::size_t d) const { return (kernel[d] - 1) * dilations[d] + 1; }
  std::int64_t size(std::size_t d) const {
    return (in[d + 2] + pads[d] + pads[d + kernel.size()] - extent(d)) / strides[d] + 1;
  }
  OnnxModel::Attributes attributes() const {
    return {{"strides", strides}, {"pads", pads}, {"dilations", dilations}, {"group", groups}};
  }
};

class Volumes : public ::testing::TestWithParam<VolumeCase> {};

TEST_P(Volumes, AreConvolved) {
  const VolumeCase& c = GetParam();
  Dims weights = {6, c.in[1] / c.groups};
  weights.insert(weights.end(), c.kernel.begin(), c.kernel.end());
  OnnxModel model(13);
  model.input("x", c.in).random("w", weights).random("b", {6});
  model.node("Conv", {"x", "w", "b"}, {"y"}, c.attributes()).output("y");
  const Array w = stored(model, "w"), b = stored(model, "b");
  expect_computes(model, {c.in}, [&](const std::vector<Array>& x) {
    Dims out = {c.in[0], 6};
    for (std::size_t d = 0; d < c.kernel.size(); ++d) out.push_back(c.size(d));
    return made(out, [&](const Dims& at) {
      double sum = b.values[static_cast<std::size_t>(at[1])];
      for_each_tap(weights, [&](const Dims& tap) {
        if (tap[0] != 0) return;
        Dims from = {at[0], at[1] / (6 / c.groups) * weights[1] + tap[1]}, place = tap;
        place[0] = at[1];
        for (std::size_t d = 0; d < c.kernel.size(); ++d)
          from.push_back(at[d + 2] * c.strides[d] - c.pads[d] + tap[d + 2] * c.dilations[d]);
        sum += double{w(place)} * x[0](from);
      });
      return sum;
    });
  });
}

TEST_P(Volumes, AreConvolvedTransposed) {
  const VolumeCase& c = GetParam();
  Dims weights = {c.in[1], 3};
  weights.insert(weights.end(), c.kernel.begin(), c.kernel.end());
  OnnxModel model(13);
  model.input("x", c.in).random("w", weights).random("b", {3 * c.groups});
  model.node("ConvTranspose", {"x", "w", "b"}, {"y"}, c.attributes()).output("y");
  const Array w = stored(model, "w"), b = stored(model, "b");
  const std::size_t pixels = c.kernel.size();
  expect_computes(model, {c.in}, [&](const std::vector<Array>& x) {
    Dims out = {c.in[0], 3 * c.groups};
    for (std::size_t d = 0; d < pixels; ++d)
      out.push_back((c.in[d + 2] - 1) * c.strides[d] + c.extent(d) - c.pads[d] -
                    c.pads[d + pixels]);
    Array y = made(out, [&](const Dims& at) { return b.values[std::size_t(at[1])]; });
    for (std::int64_t i = 0; i < x[0].count(); ++i) {
      const Dims from = x[0].place(i);
      for_each_tap(weights, [&](const Dims& tap) {
        if (tap[0] != from[1]) return;
        Dims to = {from[0], from[1] / (c.in[1] / c.groups) * 3 + tap[1]};
        for (std::size_t d = 0; d < pixels; ++d)
          to.push_back(from[d + 2] * c.strides[d] + tap[d + 2] * c.dilations[d] - c.pads[d]);
        if (y.inside(to)) y.at(to) += w(tap) * x[0](from);
      });
    }
    return y;
  });
}

INSTANTIATE_TEST_SUITE_P(
    Onnx, Volumes,
    ::testing::Values(
        VolumeCase{"row", {2, 4, 9}, {3}, {1}, {0, 0}, {1}, 1},
        VolumeCase{"stridedRow", {1, 4, 9}, {4}, {3}, {2, 1}, {2}, 2},
        VolumeCase{
            "plain", {2, 4, 5, 6, 4}, {3, 2, 3}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}, {1, 1, 1}, 1},
        VolumeCase{
            "slices", {1, 4, 5, 6, 4}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}, {1, 1, 1}, 1},
        VolumeCase{
            "padded", {1, 4, 4, 5, 3}, {3, 3, 3}, {1, 1, 1}, {1, 0, 2, 2, 1, 1}, {1, 1, 1}, 1},
        VolumeCase{
            "strided", {2, 4, 7, 6, 5}, {3, 2, 2}, {2, 3, 1}, {1, 1, 0, 0, 1, 1}, {1, 1, 1}, 1},
        VolumeCase{
            "dilated", {1, 4, 9, 6, 5}, {3, 2, 2}, {2, 1, 1}, {2, 1, 1, 2, 1, 1}, {2, 3, 1}, 1},
        VolumeCase{
            "grouped", {1, 4, 5, 4, 4}, {2, 3, 3}, {1, 2, 1}, {1, 1, 1, 0, 1, 1}, {1, 1, 1}, 2}),
    [](const auto& c) { return std::string(c.param.name); });

/// Maxima or means of windows, and the numbers of the maxima among all elements.
struct Pooled {
  Array values, places;
};
Pooled pooled(const Array& x, const VolumeCase& c, bool largest, bool counts_padding) {
  Dims out = {c.in[0], c.in[1]};
  for (std::size_t d = 0; d < c.kernel.size(); ++d) out.push_back(c.size(d));
  Pooled result{Array(out), Array(out)};
  for (std::int64_t i = 0; i < result.values.count(); ++i) {
    const Dims at = result.values.place(i);
    double best = -std::numeric_limits<double>::infinity(), sum = 0;
    int count = 0;
    for_each_tap(c.kernel, [&](const Dims& tap) {
      Dims from = {at[0], at[1]};
      for (std::size_t d = 0; d < c.kernel.size(); ++d)
        from.push_back(at[d + 2] * c.strides[d] - c.pads[d] + tap[d] * c.dilations[d]);
      count += counts_padding || x.inside(from) ? 1 : 0;
      if (!x.inside(from)) return;
      sum += x(from);
      if (x(from) <= best) return;
      best = x(from);
      result.places.at(at) = static_cast<float>(x.offset(from));
    });
    result.values.at(at) = static_cast<float>(largest ? best : sum / count);
  }
  return result;
}

class Pools : public ::testing::TestWithParam<VolumeCase> {};

OnnxModel::Attributes with_kernel(const VolumeCase& c) {
  auto attributes = c.attributes();
  attributes.pop_back();  // groups
  attributes.emplace_back("kernel_shape", c.kernel);
  return attributes;
}

TEST_P(Pools, AreMaximaAtPlaces) {
  const VolumeCase& c = GetParam();
  // Of equal numbers the first counts: some values are the same.
  OnnxModel model(13);
  model.input("x", c.in).floats("four", {}, {4});
  model.node("Mul", {"x", "four"}, {"wide"}).node("Round", {"wide"}, {"few"});
  model.node("MaxPool", {"few"}, {"y", "at"}, with_kernel(c)).output("y").output("at");
  const Computed computed = compute(model);
  const Array few = mapped({c.in, computed.inputs.at(0)},
                           [](double x) { return std::nearbyint(static_cast<float>(x) * 4); });
  const Pooled expected = pooled(few, c, true, false);
  expect_near(computed.outputs.at(0), expected.values.values);
  EXPECT_EQ(computed.outputs.at(1), expected.places.values);
}

TEST_P(Pools, AreMeans) {
  const VolumeCase& c = GetParam();
  if (std::ranges::any_of(c.dilations, [](std::int64_t d) { return d != 1; })) return;
  for (const bool counts : {false, true}) {
    OnnxModel model(13);
    auto attributes = with_kernel(c);
    std::erase_if(attributes, [](const auto& a) { return a.first == "dilations"; });
    attributes.emplace_back("count_include_pad", std::int64_t{counts});
    model.input("x", c.in).node("AveragePool", {"x"}, {"y"}, attributes).output("y");
    expect_computes(model, {c.in}, [&](const std::vector<Array>& x) {
      return pooled(x[0], c, false, counts).values;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(
    Onnx, Pools,
    ::testing::Values(
        VolumeCase{"row", {2, 3, 11}, {3}, {2}, {1, 1}, {1}, 1},
        VolumeCase{"dilatedRow", {2, 3, 11}, {3}, {2}, {2, 1}, {2}, 1},
        VolumeCase{"image", {2, 3, 7, 8}, {3, 2}, {2, 1}, {1, 0, 1, 1}, {1, 1}, 1},
        VolumeCase{"dilatedImage", {1, 3, 9, 8}, {3, 2}, {1, 2}, {2, 1, 1, 2}, {2, 3}, 1},
        VolumeCase{
            "volume", {2, 3, 5, 6, 4}, {3, 2, 2}, {1, 2, 1}, {1, 1, 0, 1, 0, 1}, {1, 1, 1}, 1},
        VolumeCase{"dilatedVolume",
                   {1, 2, 5, 6, 7},
                   {2, 2, 3},
                   {1, 2, 1},
                   {1, 1, 2, 1, 1, 2},
                   {3, 1, 2},
                   1}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(OnnxWindows, PartialOnesCountInVolumes) {
  const Dims in = {1, 2, 5, 6, 4};
  for (const char* type : {"MaxPool", "AveragePool"}) {
    OnnxModel model(13);
    model.input("x", in)
        .node(type, {"x"}, {"y"},
              {{"kernel_shape", Dims{2, 3, 3}},
               {"strides", Dims{2, 2, 3}},
               {"ceil_mode", std::int64_t{1}}})
        .output("y");
    const VolumeCase whole{"", in, {2, 3, 3}, {2, 2, 3}, {0, 0, 0, 1, 1, 2}, {1, 1, 1}, 1};
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      return pooled(x[0], whole, *type == 'M', false).values;
    });
  }
}

TEST(OnnxWindows, MaximaReturnToTheirPlaces) {
  for (const bool sized : {false, true}) {
    // Seven columns are no whole number of windows: without a size they would be six.
    const Dims in = {2, 3, 6, sized ? 7 : 6};
    OnnxModel model(13);
    const OnnxModel::Attributes window = {{"kernel_shape", Dims{2, 3}}, {"strides", Dims{2, 3}}};
    model.input("x", in).integers("size", in).node("MaxPool", {"x"}, {"top", "at"}, window);
    std::vector<std::string> inputs = {"top", "at"};
    if (sized) inputs.emplace_back("size");
    model.node("MaxUnpool", inputs, {"y"}, window).output("y");
    const VolumeCase c{"", in, {2, 3}, {2, 3}, {0, 0, 0, 0}, {1, 1}, 1};
    expect_computes(model, {in}, [&](const std::vector<Array>& x) {
      const Pooled top = pooled(x[0], c, true, false);
      Array y(in);
      for (std::int64_t i = 0; i < top.values.count(); ++i) {
        const auto number = static_cast<std::size_t>(i);
        y.values[static_cast<std::size_t>(top.places.values[number])] = top.values.values[number];
      }
      return y;
    });
  }
}

}  // namespace
}  // namespace convopt::testing
