#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "primitives/fft/product.h"
#include "primitives/fft/transforms.h"
#include "primitives/fft/twiddle.h"

namespace convopt::fft {
namespace {

constexpr std::uint64_t kSeed = 11;
using Complex = std::complex<double>;

Complex root(double turns) { return std::polar(1.0, -2 * std::numbers::pi * turns); }

TEST(Twiddle, IsTheRootOfUnity) {
  for (const int n : {4, 8, 16, 32}) {
    for (int k = 0; k < n / 2; ++k) {
      const Twiddle w = twiddle(k, n);
      EXPECT_LE(std::abs(w.tangent), 1 + 1e-12);
      const Complex value = w.cosine * Complex(1, w.tangent) * std::pow(Complex(0, -1), w.quarter);
      EXPECT_NEAR(std::abs(value - root(double(k) / n)), 0, 1e-12) << k << " of " << n;
    }
  }
}

/// Frequency (u, v) of a points x points tile.
Complex frequency(const std::vector<double>& tile, int points, int u, int v) {
  Complex sum = 0;
  for (int i = 0; i < points; ++i) {
    for (int j = 0; j < points; ++j) {
      sum += tile[static_cast<std::size_t>(i * points + j)] * root(double(u * i + v * j) / points);
    }
  }
  return sum;
}

// A window partly outside the image against the definition of the transform, and back.
void check_tile(Isa isa, int points, int block, int channels) {
  SCOPED_TRACE(std::string(to_string(isa)) + ", " + std::to_string(points) + " points, block " +
               std::to_string(block) + ", " + std::to_string(channels) + " channels, seed " +
               std::to_string(kSeed));
  const Transforms functions = transforms(isa, points, block);
  ASSERT_NE(functions.input, nullptr);
  std::mt19937_64 engine(kSeed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> image(static_cast<std::size_t>(points * points * channels));
  for (float& value : image) value = uniform(engine);

  InputTile input;
  input.source = image.data();
  input.row_stride = points * channels;
  input.column_stride = channels;
  input.channels = channels;
  input.row_begin = 1;
  input.row_end = points;
  input.column_begin = 0;
  input.column_end = points - 2;
  std::vector<float> in(static_cast<std::size_t>(pairs(points) * 3 * kGroup));
  input.transformed = in.data();
  input.transformed_stride = 3 * kGroup;
  functions.input(input);

  const double tolerance = 0x1p-24 * points * 10;
  for (int c = 0; c < channels; ++c) {
    std::vector<double> tile(static_cast<std::size_t>(points * points));
    for (int i = 1; i < points; ++i) {
      for (int j = 0; j < points - 2; ++j) {
        tile[static_cast<std::size_t>(i * points + j)] =
            image[static_cast<std::size_t>((i * points + j) * channels + c)];
      }
    }
    const auto values = [&](int pair) { return in.data() + pair * 3 * kGroup + c; };
    for (int u = 0; u <= points / 2; ++u) {
      const bool edge = u == 0 || u == points / 2;
      for (int v = 0; v < (edge ? points / 2 : points); ++v) {
        const float* const value = values(first_pair(points, u) + v);
        const Complex expected = frequency(tile, points, u, v);
        ASSERT_NEAR(value[0], expected.real(), tolerance) << u << ", " << v;
        const bool real = edge && v == 0;
        ASSERT_EQ(is_real_pair(points, first_pair(points, u) + v), real);
        ASSERT_NEAR(value[kGroup],
                    real ? frequency(tile, points, u, points / 2).real() : expected.imag(),
                    tolerance)
            << u << ", " << v;
        ASSERT_EQ(value[2 * kGroup], value[0] + value[kGroup]);
      }
    }
  }

  std::vector<float> out(static_cast<std::size_t>(pairs(points) * 2 * kGroup));
  for (int p = 0; p < pairs(points); ++p) {
    std::copy_n(in.data() + p * 3 * kGroup, 2 * kGroup, out.data() + p * 2 * kGroup);
  }
  constexpr float kUntouched = 4321.0F;
  std::vector<float> result(image.size(), kUntouched);
  const std::vector<float> bias(kGroup, 0.0F);
  OutputTile output;
  output.transformed = out.data();
  output.transformed_stride = 2 * kGroup;
  output.bias = bias.data();
  output.destination = result.data();
  output.row_stride = points * channels;
  output.column_stride = channels;
  output.channels = channels;
  output.rows = points - 1;
  output.columns = points - 3;
  functions.output(output);
  for (int i = 0; i < points; ++i) {
    for (int j = 0; j < points; ++j) {
      for (int c = 0; c < channels; ++c) {
        const std::size_t at = static_cast<std::size_t>((i * points + j) * channels + c);
        if (i >= output.rows || j >= output.columns) {
          ASSERT_EQ(result[at], kUntouched);
        } else {
          ASSERT_NEAR(result[at] / (points * points), i == 0 ? 0.0F : image[at], 0x1p-24 * 20);
        }
      }
    }
  }
}

TEST(FftTransforms, EverySizeAndIsa) {
  for (const Isa isa : supported_isas()) {
    for (const int points : {8, 16, 32}) {
      check_tile(isa, points, 16, 16);
      check_tile(isa, points, 16, 5);
      check_tile(isa, points, 8, 8);
    }
  }
}

// Every register tile, odd widths and accumulation against complex arithmetic.
TEST(FftProduct, IsTheComplexProduct) {
  for (const Isa isa : supported_isas()) {
    const ProductFunctions functions = product_functions(isa);
    for (const int vectors : {1, 2, 3}) {
      for (const int rows : {1, 2, 3, 4, 5, 8, 9, 13}) {
        for (const int k : {1, 16, 21}) {
          SCOPED_TRACE(std::string(to_string(isa)) + ", " + std::to_string(rows) + " rows, " +
                       std::to_string(vectors) + " vectors, k " + std::to_string(k) + ", seed " +
                       std::to_string(kSeed));
          std::mt19937_64 engine(kSeed);
          std::uniform_real_distribution<float> uniform(-1, 1);
          const int columns = vectors * functions.lanes;
          const std::int64_t a_row = input_offset((k + kGroup - 1) / kGroup * kGroup);
          const std::int64_t c_row = result_offset((columns + kGroup - 1) / kGroup * kGroup);
          std::vector<float> a(static_cast<std::size_t>(rows * a_row));
          std::vector<float> b(static_cast<std::size_t>(2 * k * columns));
          std::vector<float> c(static_cast<std::size_t>(rows * c_row));
          for (float& value : b) value = uniform(engine);
          for (int r = 0; r < rows; ++r) {
            for (int i = 0; i < k; ++i) {
              float* const value = a.data() + r * a_row + input_offset(i);
              value[0] = uniform(engine);
              value[kGroup] = uniform(engine);
              value[2 * kGroup] = value[0] + value[kGroup];
            }
          }
          Product product;
          product.rows = rows;
          product.columns = columns;
          product.k = k;
          product.a = a.data();
          product.a_row_stride = a_row;
          product.b = b.data();
          product.c = c.data();
          product.c_row_stride = c_row;
          for (const bool real_pairs : {false, true}) {
            product.real_pairs = real_pairs;
            for (const int repetition : {1, 2}) {
              product.accumulate = repetition == 2;
              multiply(functions, product);
              for (int r = 0; r < rows; ++r) {
                for (int j = 0; j < columns; ++j) {
                  double re = 0, im = 0;
                  for (int i = 0; i < k; ++i) {
                    const float* const x = a.data() + r * a_row + input_offset(i);
                    const float* const y = b.data() + functions.packed_offset(k, columns, i, j);
                    const double x_im = x[kGroup], y_im = y[functions.lanes];
                    re += double{x[0]} * y[0] - (real_pairs ? 0 : x_im * y_im);
                    im += real_pairs ? x_im * y_im : x[0] * y_im + x_im * y[0];
                  }
                  const float* const value = c.data() + r * c_row + result_offset(j);
                  ASSERT_NEAR(value[0], repetition * re, 1e-5) << r << ", " << j;
                  ASSERT_NEAR(value[kGroup], repetition * im, 1e-5) << r << ", " << j;
                }
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace convopt::fft
