#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "primitives/winograd/cook_toom.h"
#include "primitives/winograd/transforms.h"

namespace convopt::winograd {
namespace {

constexpr std::uint64_t kSeed = 7;

template <int kOutputs, int kTaps>
void expect_correlation() {
  constexpr CookToom<kOutputs, kTaps> kAlgorithm;
  constexpr int kProducts = kOutputs + kTaps - 1;
  std::mt19937_64 engine(kSeed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int repetition = 0; repetition < 100; ++repetition) {
    std::array<double, kTaps> g;
    std::array<double, kProducts> d, products;
    for (double& value : g) value = uniform(engine);
    for (double& value : d) value = uniform(engine);
    for (int j = 0; j < kProducts; ++j) {
      double filter = 0, input = 0;
      for (int i = 0; i < kTaps; ++i) filter += kAlgorithm.filter[j][i] * g[i];
      for (int i = 0; i < kProducts; ++i) input += kAlgorithm.input[j][i] * d[i];
      products[j] = filter * input;
    }
    for (int i = 0; i < kOutputs; ++i) {
      double result = 0, expected = 0;
      for (int j = 0; j < kProducts; ++j) result += kAlgorithm.output[i][j] * products[j];
      for (int k = 0; k < kTaps; ++k) expected += g[k] * d[i + k];
      ASSERT_NEAR(result, expected, 1e-12)
          << "F(" << kOutputs << ", " << kTaps << "), output " << i << ", seed " << kSeed;
    }
  }
}

TEST(CookToom, IsTheCorrelation) {
  expect_correlation<1, 1>();
  expect_correlation<2, 3>();
  expect_correlation<4, 3>();
  expect_correlation<5, 3>();
  expect_correlation<6, 3>();
  expect_correlation<2, 5>();
  expect_correlation<4, 5>();
  expect_correlation<2, 7>();
  expect_correlation<4, 7>();
}

TEST(CookToom, InputTransformDependsOnProductsOnly) {
  constexpr CookToom<4, 3> kFourThree;
  constexpr CookToom<2, 5> kTwoFive;
  EXPECT_EQ(kFourThree.input, kTwoFive.input);
  constexpr CookToom<6, 3> kSixThree;
  constexpr CookToom<4, 5> kFourFive;
  EXPECT_EQ(kSixThree.input, kFourFive.input);
}

// One tile through the compiled transforms of one level, products multiplied channel by channel,
// against the correlation of every channel with its own filter.
void check_tile(Isa isa, const Variant& variant, int layout_block, int channels, bool border) {
  SCOPED_TRACE(std::string(to_string(isa)) + " outputs " + std::to_string(variant.outputs_h) + "x" +
               std::to_string(variant.outputs_w) + " taps " + std::to_string(variant.taps_h) + "x" +
               std::to_string(variant.taps_w) + " block " + std::to_string(layout_block) +
               " channels " + std::to_string(channels) + (border ? " border" : "") + " seed " +
               std::to_string(kSeed));
  const Transforms functions = transforms(isa, variant, layout_block);
  ASSERT_NE(functions.of_f32.input, nullptr);
  const int h = variant.window_h(), w = variant.window_w(), products = variant.products();
  const int stored = channels + 3;            // of a pixel; the last ones are not the tile's
  const int row = (channels + 15) / 16 * 16;  // products' channels, whole vectors
  std::mt19937_64 engine(kSeed);
  std::uniform_real_distribution<float> uniform(-1, 1);

  std::vector<float> image(static_cast<std::size_t>(h) * w * stored);
  for (float& value : image) value = uniform(engine);
  std::vector<float> filters(static_cast<std::size_t>(channels) * variant.taps_h * variant.taps_w);
  for (float& value : filters) value = uniform(engine);

  InputTile input;
  input.source = image.data();
  input.row_stride = w * stored;
  input.column_stride = stored;
  input.channels = channels;
  input.row_begin = border && h > 1 ? 1 : 0;
  input.row_end = border && h > 1 ? h - 1 : h;
  input.column_begin = border && w > 1 ? 1 : 0;
  input.column_end = w;
  std::vector<float> v(static_cast<std::size_t>(products) * row);
  input.transformed = v.data();
  input.transformed_stride = row;
  functions.of_f32.input(input);

  for (int c = 0; c < channels; ++c) {
    std::vector<double> transformed(static_cast<std::size_t>(products));
    functions.filter(filters.data() + c * variant.taps_h * variant.taps_w, transformed.data());
    for (int p = 0; p < products; ++p) {
      v[p * row + c] = static_cast<float>(v[p * row + c] * transformed[p]);
    }
  }

  constexpr float kUntouched = 4321.0F;
  std::vector<float> result(
      static_cast<std::size_t>(variant.outputs_h) * variant.outputs_w * stored, kUntouched);
  const std::vector<float> bias(static_cast<std::size_t>(row), 0.25F);
  OutputTile output;
  output.transformed = v.data();
  output.transformed_stride = row;
  output.bias = bias.data();
  output.destination = result.data();
  output.row_stride = variant.outputs_w * stored;
  output.column_stride = stored;
  output.channels = channels;
  output.rows = border ? (variant.outputs_h + 1) / 2 : variant.outputs_h;
  output.columns = border ? (variant.outputs_w + 1) / 2 : variant.outputs_w;
  functions.of_f32.output(output);

  const auto at = [&](const auto& tile, int c, int i, int j) {
    return i * tile.row_stride + j * tile.column_stride + c;
  };
  for (int c = 0; c < stored; ++c) {
    for (int i = 0; i < variant.outputs_h; ++i) {
      for (int j = 0; j < variant.outputs_w; ++j) {
        const float value = result[at(output, c, i, j)];
        if (c >= channels || i >= output.rows || j >= output.columns) {
          ASSERT_EQ(value, kUntouched);
          continue;
        }
        double expected = 0.25;
        for (int y = 0; y < variant.taps_h; ++y) {
          for (int x = 0; x < variant.taps_w; ++x) {
            if (i + y < input.row_begin || i + y >= input.row_end) continue;
            if (j + x < input.column_begin || j + x >= input.column_end) continue;
            expected += double{image[at(input, c, i + y, j + x)]} *
                        filters[(c * variant.taps_h + y) * variant.taps_w + x];
          }
        }
        // 8 x 8 products amplify by about 10 what rounds in sums of about 10.
        ASSERT_NEAR(value, expected, 100 * 0x1p-24 * 10) << c << ", " << i << ", " << j;
      }
    }
  }
}

TEST(WinogradTransforms, EveryVariantIsaAndLayout) {
  const Variant variants[] = {
#define CONVOPT_WINOGRAD_VARIANT(...) Variant{__VA_ARGS__},
#include "primitives/winograd/variants.inc"
#undef CONVOPT_WINOGRAD_VARIANT
  };
  for (const Isa isa : supported_isas()) {
    for (const Variant& variant : variants) {
      for (const bool border : {false, true}) {
        check_tile(isa, variant, 1, 16, border);
        check_tile(isa, variant, 1, 21, border);
        check_tile(isa, variant, 8, 8, border);
        check_tile(isa, variant, 16, 16, border);
        check_tile(isa, variant, 16, 13, border);
      }
    }
  }
}

}  // namespace
}  // namespace convopt::winograd
