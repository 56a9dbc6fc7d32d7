#include "primitives/gemm/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace convopt {
namespace {

constexpr std::uint64_t kSeed = 20;
constexpr float kCanary = 12345.0F;

std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(engine);
  return values;
}

/// What a product starts from and ends with.
struct Ends {
  bool accumulate = false, column_bias = false, row_bias = false, residual = false, clamp = false;
};

/// B as it comes to a product: packed, in rows of whole vectors, or with nothing behind its rows.
enum class Form { packed, whole, ending };

// Computes one product whose rows have gaps and compares every value, gaps included.
void check(Isa isa, int rows, int columns, int k, const Ends& ends, Form form) {
  const gemm::Kernels& kernels = gemm::kernels(isa);
  SCOPED_TRACE(std::string(to_string(isa)) + " rows " + std::to_string(rows) + " columns " +
               std::to_string(columns) + " k " + std::to_string(k) + " seed " +
               std::to_string(kSeed));
  const int a_stride = k + 3, c_stride = columns + 5, residual_stride = columns + 2;
  const int b_stride = (columns + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  const auto count = [](int a, int b) { return static_cast<std::size_t>(a) * b; };
  const auto a = random_values(count(rows, a_stride), kSeed);
  const auto b = random_values(count(k, b_stride), kSeed + 1);
  const auto residual = random_values(count(rows, residual_stride), kSeed + 2);
  const auto bias = random_values(static_cast<std::size_t>(std::max(rows, b_stride)), kSeed + 3);
  auto c = random_values(count(rows, c_stride), kSeed + 4);
  for (int i = 0; i < rows; ++i) {
    std::fill_n(c.begin() + i * c_stride + columns, c_stride - columns, kCanary);
    if (!ends.accumulate) {
      std::fill_n(c.begin() + i * c_stride, columns, std::numeric_limits<float>::quiet_NaN());
    }
  }

  std::vector<double> expected(count(rows, columns));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      double sum = ends.accumulate    ? c[i * c_stride + j]
                   : ends.column_bias ? bias[j]
                   : ends.row_bias    ? bias[i]
                                      : 0.0;
      for (int l = 0; l < k; ++l) sum += double{a[i * a_stride + l]} * b[l * b_stride + j];
      if (ends.residual) sum += residual[i * residual_stride + j];
      if (ends.clamp) sum = std::clamp(sum, -0.5, 0.75);
      expected[i * columns + j] = sum;
    }
  }

  std::vector<float> panels(static_cast<std::size_t>(gemm::packed_floats(kernels, k, columns)));
  gemm::pack(kernels, k, columns, b.data(), b_stride, 1, panels.data());
  gemm::Product product;
  product.rows = rows;
  product.columns = columns;
  product.k = k;
  product.a = a.data();
  product.a_row_stride = a_stride;
  std::vector<float> ending;
  for (int i = 0; i < k; ++i) {
    ending.insert(ending.end(), b.begin() + i * b_stride, b.begin() + i * b_stride + columns);
  }
  ending.shrink_to_fit();
  product.b = form == Form::packed ? panels.data() : form == Form::whole ? b.data() : ending.data();
  product.b_row_stride = form == Form::packed ? 0 : form == Form::whole ? b_stride : columns;
  product.b_ends = form == Form::ending;
  product.c = c.data();
  product.c_row_stride = c_stride;
  product.accumulate = ends.accumulate;
  product.column_bias = ends.column_bias ? bias.data() : nullptr;
  product.row_bias = ends.row_bias ? bias.data() : nullptr;
  product.residual = ends.residual ? residual.data() : nullptr;
  product.residual_row_stride = residual_stride;
  product.clamp = ends.clamp;
  product.low = -0.5F;
  product.high = 0.75F;
  gemm::multiply(kernels, product);

  // Values are at most 1, so each of the k + 3 roundings is at most half a unit of k + 2.
  const double tolerance = 0x1p-24 * (k + 3) * (k + 2);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      ASSERT_NEAR(c[i * c_stride + j], expected[i * columns + j], tolerance)
          << "at " << i << ", " << j;
    }
    for (int j = columns; j < c_stride; ++j) ASSERT_EQ(c[i * c_stride + j], kCanary);
  }
}

class Gemm : public testing::TestWithParam<Isa> {};

TEST_P(Gemm, EveryTileAndColumnTail) {
  const gemm::Kernels& kernels = gemm::kernels(GetParam());
  EXPECT_LE(kernels.lanes, vector_floats(GetParam()));
  for (int vectors = 1; vectors <= kernels.vectors; ++vectors) {
    for (int rows = 1; rows <= kernels.rows[vectors]; ++rows) {
      ASSERT_NE(kernels.tile[vectors][rows], nullptr);
      for (const int k : {7, 8}) {  // some tiles take several steps of k together
        check(GetParam(), rows, vectors * kernels.lanes, k, {}, Form::packed);
        check(GetParam(), rows, vectors * kernels.lanes, k, {}, Form::whole);
        for (const int tail : {1, kernels.lanes / 2, kernels.lanes - 1}) {
          check(GetParam(), rows, vectors * kernels.lanes - tail, k, {}, Form::packed);
          check(GetParam(), rows, vectors * kernels.lanes - tail, k, {}, Form::ending);
        }
      }
    }
  }
}

TEST_P(Gemm, EveryStartAndEnd) {
  const int lanes = gemm::kernels(GetParam()).lanes;
  for (const int columns : {lanes, 2 * lanes + 1, 4 * lanes - 1}) {
    for (int bits = 0; bits < 32; ++bits) {
      const Ends ends{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                      (bits & 16) != 0};
      check(GetParam(), 5, columns, 9, ends, Form::packed);
    }
  }
}

TEST_P(Gemm, ManyTilesAndUnpackedColumns) {
  const gemm::Kernels& kernels = gemm::kernels(GetParam());
  const int wide = kernels.panel_columns();
  for (const int rows : {1, 13, 29}) {
    for (const int columns : {wide + 1, 3 * wide - 3, 5 * kernels.lanes}) {
      for (const int k : {1, 64}) {
        check(GetParam(), rows, columns, k, {.residual = true}, Form::packed);
        check(GetParam(), rows, columns, k, {.row_bias = true}, Form::whole);
        check(GetParam(), rows, columns, k, {.row_bias = true}, Form::ending);
      }
    }
  }
}

TEST_P(Gemm, EmptyReductionLeavesTheBias) {
  check(GetParam(), 4, 3, 0, {.column_bias = true}, Form::packed);
}

TEST_P(Gemm, SegmentsContinueInA) {
  const gemm::Kernels& kernels = gemm::kernels(GetParam());
  const int rows = 5, columns = kernels.lanes + 3, k = 4;
  const std::int64_t stride = 2 * kernels.lanes + 7;
  const std::int64_t offsets[] = {5, 0, 2 * stride + 1};
  const auto a = random_values(rows * 3 * k, kSeed);
  const auto b = random_values(static_cast<std::size_t>(8 * stride), kSeed + 1);
  std::vector<float> c(static_cast<std::size_t>(rows) * columns);
  gemm::Product product;
  product.rows = rows;
  product.columns = columns;
  product.k = k;
  product.a = a.data();
  product.a_row_stride = 3 * k;
  product.b = b.data();
  product.b_row_stride = stride;
  product.segment_offsets = offsets;
  product.segments = 3;
  product.c = c.data();
  product.c_row_stride = columns;
  gemm::multiply(kernels, product);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      double expected = 0;
      for (int l = 0; l < 3 * k; ++l) {
        expected += double{a[i * 3 * k + l]} * b[offsets[l / k] + l % k * stride + j];
      }
      ASSERT_NEAR(c[i * columns + j], expected, 0x1p-24 * 3 * k * 3 * k) << i << ", " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Gemm, testing::ValuesIn(supported_isas()),
                         [](const auto& level) { return std::string(to_string(level.param)); });

TEST(GemmPanels, CoverAllColumnsEvenly) {
  const gemm::Kernels& kernels = gemm::kernels(default_isa());
  for (int columns = 1; columns <= 7 * kernels.panel_columns(); ++columns) {
    const int total = (columns + kernels.lanes - 1) / kernels.lanes;
    int next = 0, narrowest = total, widest = 0;
    gemm::for_each_panel(kernels, columns, [&](int first, int vectors) {
      EXPECT_EQ(first, next);
      next += vectors;
      narrowest = std::min(narrowest, vectors);
      widest = std::max(widest, vectors);
    });
    EXPECT_EQ(next, total);
    EXPECT_LE(widest, kernels.vectors);
    EXPECT_LE(widest - narrowest, 1);
  }
}

}  // namespace
}  // namespace convopt
