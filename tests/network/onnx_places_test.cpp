// Operators that read and write where other tensors say: scattering, sampling by a grid, regions.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/network/onnx_arrays.h"

namespace convopt::testing {
namespace {

double combined(const std::string& reduction, double a, double b) {
  if (reduction == "add") return a + b;
  if (reduction == "mul") return a * b;
  if (reduction == "max") return std::max(a, b);
  if (reduction == "min") return std::min(a, b);
  return b;
}

TEST(OnnxPlaces, ScatteringMayAddMultiplyAndCompare) {
  const Dims in = {5, 2, 4};
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    SCOPED_TRACE(reduction);
    OnnxModel elements(18);
    elements.input("x", in)
        .initializer(integer_tensor("at", {3, 1, 2}, {0, -1, 4, 4, 0, 1}))
        .random("values", {3, 1, 2})
        .node("ScatterElements", {"x", "at", "values"}, {"y"}, {{"reduction", reduction}})
        .output("y");
    const Array values = stored(elements, "values");
    expect_computes(elements, {in}, [&](const std::vector<Array>& x) {
      Array y = x[0];
      const Dims rows = {0, 4, 4, 4, 0, 1};
      for (std::int64_t i = 0; i < 6; ++i) {
        float& place = y.at({rows[static_cast<std::size_t>(i)], 0, i % 2});
        place = static_cast<float>(combined(reduction, place, values.values[std::size_t(i)]));
      }
      return y;
    });
    // The first two dimensions by pairs of indices, one of them twice.
    OnnxModel slices(18);
    slices.input("x", in)
        .initializer(integer_tensor("at", {3, 2}, {0, 1, 4, -2, 0, 1}))
        .random("values", {3, 4})
        .node("ScatterND", {"x", "at", "values"}, {"y"}, {{"reduction", reduction}})
        .output("y");
    const Array rows = stored(slices, "values");
    expect_computes(slices, {in}, [&](const std::vector<Array>& x) {
      Array y = x[0];
      const std::vector<Dims> to = {{0, 1}, {4, 0}, {0, 1}};
      for (std::int64_t i = 0; i < 3; ++i)
        for (std::int64_t k = 0; k < 4; ++k) {
          const Dims& row = to[static_cast<std::size_t>(i)];
          float& place = y.at({row[0], row[1], k});
          place = static_cast<float>(combined(reduction, place, rows({i, k})));
        }
      return y;
    });
  }
}

TEST(OnnxPlaces, GatherNdMayShareLeadingDimensions) {
  const Dims in = {2, 3, 4, 5};
  OnnxModel model(13);
  model.input("x", in)
      .initializer(integer_tensor("at", {2, 3, 2, 1}, {0, 1, -1, 3, 2, 2, 1, 0, 0, -4, 3, 3}))
      .node("GatherND", {"x", "at"}, {"y"}, {{"batch_dims", std::int64_t{2}}})
      .output("y");
  expect_computes(model, {in}, [&](const std::vector<Array>& x) {
    const Dims at = {0, 1, 3, 3, 2, 2, 1, 0, 0, 0, 3, 3};
    return made({2, 3, 2, 5}, [&](const Dims& to) {
      const auto i = static_cast<std::size_t>((to[0] * 3 + to[1]) * 2 + to[2]);
      return x[0]({to[0], to[1], at[i], to[3]});
    });
  });
}

TEST(OnnxPlaces, IndicesOutsideAreErrorsIfTheyAreKnown) {
  OnnxModel model(16);
  model.input("x", {2, 3})
      .initializer(integer_tensor("at", {1, 1}, {2}))
      .random("values", {1, 3})
      .node("ScatterND", {"x", "at", "values"}, {"y"})
      .output("y");
  const auto read = model.read();
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message.find("outside"), std::string::npos) << read.error().message;
}

/// The element at a place outside, by the definition in words: mirrors at the first and last
/// element or at their edges.
double bordered(const Array& x, std::int64_t c, std::int64_t row, std::int64_t column,
                const std::string& padding, bool corners) {
  const auto brought_in = [&](std::int64_t at, std::int64_t size) {
    if (padding == "border") return std::clamp<std::int64_t>(at, 0, size - 1);
    while (padding == "reflection" && (at < 0 || at >= size)) {
      const std::int64_t shift = corners ? 0 : 1;
      at = at < 0 ? -at - shift : 2 * (size - 1) - at + shift;
    }
    return at;
  };
  return x({0, c, brought_in(row, x.dims[2]), brought_in(column, x.dims[3])});
}

double cubic(double x) {
  x = std::abs(x);
  if (x <= 1) return 1.25 * x * x * x - 2.25 * x * x + 1;
  return x < 2 ? -0.75 * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

TEST(OnnxPlaces, GridsMayLeaveTheImage) {
  const Dims in = {1, 3, 5, 4};
  std::vector<float> places;
  for (int i = 0; i < 40; ++i)
    places.push_back(static_cast<float>(std::sin(i * 1.7) * (i % 3 == 0 ? 3 : 1)));
  for (const char* mode : {"nearest", "linear", "cubic"})
    for (const char* padding : {"zeros", "border", "reflection"})
      for (const bool corners : {false, true}) {
        SCOPED_TRACE(std::string(mode) + ", " + padding + (corners ? ", corners" : ""));
        OnnxModel model(20);
        model.input("x", in)
            .floats("grid", {1, 4, 5, 2}, places)
            .node("GridSample", {"x", "grid"}, {"y"},
                  {{"mode", mode},
                   {"padding_mode", padding},
                   {"align_corners", std::int64_t{corners}}})
            .output("y");
        const int window = *mode == 'n' ? 1 : *mode == 'l' ? 2 : 4;
        expect_computes(
            model, {in},
            [&](const std::vector<Array>& x) {
              return made({1, 3, 4, 5}, [&](const Dims& at) {
                const auto i = static_cast<std::size_t>(at[2] * 5 + at[3]) * 2;
                const auto place = [&](double from, std::int64_t size) {
                  return corners ? (from + 1) / 2 * static_cast<double>(size - 1)
                                 : ((from + 1) * static_cast<double>(size) - 1) / 2;
                };
                const double column = place(places[i], 4), row = place(places[i + 1], 5);
                if (window == 1)
                  return bordered(x[0], at[1], std::lround(row), std::lround(column), padding,
                                  corners);
                double sum = 0;
                for (int dy = -1; dy <= 2; ++dy)
                  for (int dx = -1; dx <= 2; ++dx) {
                    const double y = std::floor(row) + dy, z = std::floor(column) + dx;
                    const auto factor = [&](double distance) {
                      return window == 4 ? cubic(distance) : std::max(0.0, 1 - std::abs(distance));
                    };
                    sum += factor(row - y) * factor(column - z) *
                           bordered(x[0], at[1], std::lround(y), std::lround(z), padding, corners);
                  }
                return sum;
              });
            },
            1e-5F);
      }
}

struct RegionCase {
  const char* name;
  const char* mode;
  const char* coordinates;
  std::int64_t places;
};

class Regions : public ::testing::TestWithParam<RegionCase> {};

TEST_P(Regions, AreImagesOfOneSize) {
  const RegionCase& c = GetParam();
  const Dims in = {2, 3, 9, 8};
  const Floats corners = {0, 0, 8, 12, 3, 5, 15, 9, -3, -1, 4, 4, 2, 2, 2.2F, 2.4F};
  const Dims images = {1, 0, 1, 0};
  OnnxModel model(16);
  model.input("x", in)
      .floats("regions", {4, 4}, corners)
      .integers("images", images)
      .node("RoiAlign", {"x", "regions", "images"}, {"y"},
            {{"mode", c.mode},
             {"coordinate_transformation_mode", c.coordinates},
             {"output_height", std::int64_t{2}},
             {"output_width", std::int64_t{3}},
             {"sampling_ratio", c.places},
             {"spatial_scale", 0.5F}})
      .output("y");
  const bool half = std::string(c.coordinates) == "half_pixel", largest = c.mode[0] == 'm';
  expect_computes(
      model, {in},
      [&](const std::vector<Array>& x) {
        return made({4, 3, 2, 3}, [&](const Dims& at) {
          const auto region = static_cast<std::size_t>(at[0]);
          double begin[2], length[2];
          for (std::size_t d = 0; d < 2; ++d) {  // rows, columns
            begin[d] = corners[region * 4 + 1 - d] / 2 - (half ? 0.5 : 0);
            const double end = corners[region * 4 + 3 - d] / 2 - (half ? 0.5 : 0);
            length[d] = (half ? end - begin[d] : std::max(end - begin[d], 1.0)) / (d == 0 ? 2 : 3);
          }
          const int rows = c.places > 0 ? int(c.places) : int(std::ceil(length[0]));
          const int columns = c.places > 0 ? int(c.places) : int(std::ceil(length[1]));
          double sum = 0, most = -1e30;
          for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j) {
              double place[2] = {
                  begin[0] + double(at[2]) * length[0] + (i + 0.5) * length[0] / rows,
                  begin[1] + double(at[3]) * length[1] + (j + 0.5) * length[1] / columns};
              const bool inside =
                  place[0] >= -1 && place[0] <= 9 && place[1] >= -1 && place[1] <= 8;
              place[0] = std::clamp(place[0], 0.0, 8.0);
              place[1] = std::clamp(place[1], 0.0, 7.0);
              for (int k = 0; k < 4; ++k) {
                const double y = std::floor(place[0]) + k / 2, z = std::floor(place[1]) + k % 2;
                const double factor = (1 - std::abs(place[0] - y)) * (1 - std::abs(place[1] - z));
                const double part = inside
                                        ? factor * x[0]({images[region], at[1],
                                                         std::min<std::int64_t>(std::lround(y), 8),
                                                         std::min<std::int64_t>(std::lround(z), 7)})
                                        : 0;
                sum += part;
                most = std::max(most, part);
              }
            }
          return largest ? most : sum / (rows * columns);
        });
      },
      1e-5F);
}

INSTANTIATE_TEST_SUITE_P(
    Onnx, Regions,
    ::testing::Values(RegionCase{"average", "avg", "half_pixel", 2},
                      RegionCase{"centres", "avg", "output_half_pixel", 3},
                      RegionCase{"adaptive", "avg", "half_pixel", 0},
                      RegionCase{"adaptiveCentres", "avg", "output_half_pixel", 0},
                      RegionCase{"largest", "max", "half_pixel", 2},
                      RegionCase{"adaptiveLargest", "max", "output_half_pixel", 0}),
    [](const auto& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace convopt::testing
