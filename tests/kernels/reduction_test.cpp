// What the reference shares with the kernels or random values do not show: NaN, ties, zeros of both
// signs, indices outside of the range, long sums.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "primitives/own.h"
#include "tests/kernels/special_values.h"

namespace convopt {
namespace {

class Reductions : public testing::TestWithParam<Isa> {
 protected:
  /// The result of the workload's primitive, with two sources at most.
  static std::vector<float> compute(const std::string& text, std::vector<float> first,
                                    std::vector<float> second = {},
                                    const std::vector<float>& weights = {}) {
    const Workload workload = Workload::parse(text).value();
    std::vector<float> result(static_cast<std::size_t>(workload.output().elements()), 7777);
    const Context context{GetParam(), 1};
    for (const auto& primitive : own_primitives(context)) {
      if (!primitive->info().computes(workload)) continue;
      const Parameters parameters{std::span<const float>(weights), {}};
      const auto kernel = primitive->prepare(workload, parameters, context);
      EXPECT_TRUE(kernel) << text;
      std::vector<TensorView> sources = {
          TensorView::dense(first.data(), workload.source(0), Layout::nchw)};
      if (workload.source_count() > 1) {
        sources.push_back(TensorView::dense(second.data(), workload.source(1), Layout::nchw));
      }
      std::vector<std::uint64_t> workspace((*kernel)->workspace_bytes() / 8 + 1);
      RunArgs args;
      args.sources = sources;
      args.destination = TensorView::dense(result.data(), workload.output(), Layout::nchw);
      args.workspace = workspace.data();
      (*kernel)->run(args);
    }
    return result;
  }
};

TEST_P(Reductions, KeepNaN) {
  for (const std::string op : {"maximum", "minimum", "sum", "mean", "product"}) {
    // Wherever it stands, in whole vectors and in their rest.
    for (std::size_t at = 0; at < 37; ++at) {
      std::vector<float> values(37, 1);
      values[at] = kNaN;
      EXPECT_TRUE(std::isnan(compute("reduce_" + op + ":d37_axes0", values)[0])) << op << at;
      values.insert(values.end(), 37, 2);
      const auto columns = compute("reduce_" + op + ":d2x37_axes0", values);
      for (std::size_t c = 0; c < 37; ++c) EXPECT_EQ(std::isnan(columns[c]), c == at) << op;
      // One of several rows.
      std::vector<float> rows(6 * 37, 1);
      rows[at % 6 * 37 + at] = kNaN;
      const auto results = compute("reduce_" + op + ":d6x37_axes1", rows);
      for (std::size_t r = 0; r < 6; ++r) EXPECT_EQ(std::isnan(results[r]), r == at % 6) << op;
    }
  }
}

TEST_P(Reductions, OfInfinities) {
  const std::vector<float> low(20, -kInfinity), high(20, kInfinity);
  EXPECT_EQ(compute("reduce_maximum:d20_axes0", low)[0], -kInfinity);
  EXPECT_EQ(compute("reduce_minimum:d20_axes0", high)[0], kInfinity);
  EXPECT_EQ(compute("arg_maximum:d20_axis0", low)[0], 0);
  EXPECT_EQ(compute("arg_minimum:d20_axis0", high)[0], 0);
}

TEST_P(Reductions, SumsStayAccurate) {
  // In single precision, one after the other, they would stop at 2^24.
  const std::vector<float> ones(1 << 25, 1);
  EXPECT_EQ(compute("reduce_sum:d2x16777216_axes01", ones)[0], 33554432);
  EXPECT_EQ(compute("reduce_mean:d16777216x2_axes0", ones), (std::vector<float>{1, 1}));
  EXPECT_EQ(compute("cumulative_sum:d16777216x2_axis0", ones)[(1 << 25) - 1], 16777216);
  EXPECT_EQ(compute("cumulative_sum:d2x16777216", ones)[(1 << 25) - 1], 16777216);
}

TEST_P(Reductions, FindTheFirstExtreme) {
  for (std::size_t at = 0; at < 37; ++at) {
    std::vector<float> values(37, 1);
    values[at] = values[36] = 3;
    EXPECT_EQ(compute("arg_maximum:d37_axis0", values)[0], at);
    values[at] = values[36] = kNaN;
    EXPECT_EQ(compute("arg_maximum:d37_axis0", values)[0], at);
    EXPECT_EQ(compute("arg_minimum:d37_axis0", values)[0], at);
    // One of several rows, the others of which are equal values.
    std::vector<float> rows(6 * 37, 1);
    rows[at % 6 * 37 + at] = at % 2 == 0 ? 3 : kNaN;
    std::vector<float> places(6, 0);
    places[at % 6] = static_cast<float>(at);
    EXPECT_EQ(compute("arg_maximum:d6x37", rows), places);
  }
  EXPECT_EQ(compute("arg_maximum:d4x2_axis0", {1, kNaN, 5, 2, 5, kNaN, 0, 9}),
            (std::vector<float>{1, 0}));
  EXPECT_EQ(compute("arg_minimum:d4_axis0", {0.0F, -0.0F, 0, 1})[0], 0);
}

TEST_P(Reductions, OrderTiesByPlaceAndNaNLast) {
  const std::vector<float> values = {2, kNaN, -0.0F, 5, 0.0F, 5, -kInfinity, 2};
  EXPECT_EQ(compute("top_k_indices:d8_axis0_count8", values),
            (std::vector<float>{3, 5, 0, 7, 2, 4, 6, 1}));
  const auto sorted = compute("top_k:d8_axis0_count8", values);
  EXPECT_TRUE(std::signbit(sorted[4]));
  EXPECT_FALSE(std::signbit(sorted[5]));
  EXPECT_TRUE(std::isnan(sorted[7]));
  EXPECT_EQ(compute("top_k_indices:d4x3_axis0_count2", {1, 7, 3, 4, 7, 6, 4, 8, 6, 2, 1, 0}),
            (std::vector<float>{1, 2, 1, 2, 0, 2}));
  // Few of many.
  std::vector<float> many(1000, 1);
  many[700] = many[900] = 2;
  EXPECT_EQ(compute("top_k_indices:d1000_axis0_count4", many),
            (std::vector<float>{700, 900, 0, 1}));
}

TEST_P(Reductions, IndicesNeverLeaveTheRange) {
  const std::vector<float> wild = {0, 2, -1, -3, 3, 1e9F, -4, -1e9, kInfinity, -kInfinity, kNaN};
  const std::vector<float> expected = {10, 12, 12, 10, 12, 12, 10, 10, 12, 10, 10};
  EXPECT_EQ(compute("gather:d3_axis0_at11", {10, 11, 12}, wild), expected);
  EXPECT_EQ(compute("gather_elements:d3_axis0_at11", {10, 11, 12}, wild), expected);
  const std::vector<float> rows = {1, 1, 2, 2, 3, 3};
  EXPECT_EQ(compute("gather:d3x2_axis0_at2", rows, {99, -2}), (std::vector<float>{3, 3, 2, 2}));
  std::vector<float> weights = wild;
  weights.insert(weights.end(), wild.size(), 1);
  EXPECT_EQ(compute("resample:d3_axis0_count11_k1", {10, 11, 12}, {}, weights), expected);
}

INSTANTIATE_TEST_SUITE_P(Isa, Reductions, testing::ValuesIn(supported_isas()),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace convopt
