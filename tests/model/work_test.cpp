// Counts of work, held to a table: models in use were trained on them.
#include "core/work.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "core/json.h"
#include "model/dataset.h"
#include "primitives/cost.h"

namespace convopt {
namespace {

// First descriptions of primitives as profiles hold them, written before descriptions named their
// cost structure; then lines of primitive, workload, vector width and figures in the order of
// figures_of(). Lines beginning with # say what the line below was before the parts of FFT's
// kernels were counted as the kernel cuts them.
constexpr const char* kTable =
#include "tests/model/work_figures.inc"
    ;

std::vector<double> figures_of(const WorkEstimate& work) {
  return {work.flops,
          work.nominal_flops,
          work.transform_flops,
          work.m,
          work.n,
          work.k,
          work.tiles,
          work.pixel_tiles,
          work.channel_tiles,
          work.border,
          work.fill,
          work.input_bytes,
          work.output_bytes,
          work.residual_bytes,
          work.weight_bytes,
          work.packed_bytes};
}

TEST(Work, CountsAreThoseThatModelsWereTrainedOn) {
  std::map<std::string, PrimitiveInfo> primitives;
  std::istringstream table(kTable);
  std::size_t rows = 0;
  for (std::string line; std::getline(table, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '{') {
      const auto json = parse_json(line, "table");
      ASSERT_TRUE(json.ok());
      const auto info = primitive_info_from_json(*json);
      ASSERT_TRUE(info.ok()) << info.error().message;
      primitives[info->name] = *info;
      continue;
    }
    std::istringstream row(line);
    std::string name, text;
    int vector = 0;
    row >> name >> text >> vector;
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << line;
    ASSERT_TRUE(primitives.contains(name)) << line;
    for (const double figure : figures_of(estimate_work(*workload, primitives[name], vector))) {
      double expected = -1;
      ASSERT_TRUE(row >> expected) << line;
      EXPECT_NEAR(figure, expected, 1e-11 * expected) << line;
    }
    ++rows;
  }
  EXPECT_EQ(rows, 264U);
}

TEST(Work, EveryCostStructureCanBeNamedAndAnUnknownNameCountsByOperation) {
  ConvShape shape;
  shape.ic = shape.oc = 32;
  shape.ih = shape.iw = 20;
  shape.kh = shape.kw = 3;
  PrimitiveInfo info;
  info.traits.transform_h = info.traits.transform_w = 8;
  info.traits.output_h = info.traits.output_w = 6;
  const auto flops = [&](std::string_view cost) {
    info.traits.cost = cost;
    return estimate_work(Workload::conv(shape), info, 8).flops;
  };
  for (const std::string_view name : cost_names()) {
    const bool multiplies = name != "pointwise" && name != "plain" && name != "pooling";
    EXPECT_EQ(flops(name) > 0, multiplies) << name;
  }
  EXPECT_EQ(flops("of tomorrow"), flops("direct"));
  EXPECT_NE(flops("winograd"), flops("direct"));
}

TEST(Work, CheapExponentialsAndScaledWeightsCount) {
  const auto transforms = [](const char* text, bool cheap) {
    PrimitiveInfo info;
    info.traits.cost = "direct";
    info.traits.cheap_exponentials = cheap;
    return estimate_work(Workload::parse(text).value(), info, 16).transform_flops;
  };
  constexpr double kResults = 48 * 20 * 10, kWeights = 32 * 48;
  const char* const swish = "conv:n1_ic32_ih20_iw10_oc48_kh1_kw1_s1_p0:swish";
  EXPECT_EQ(transforms(swish, false), 24 * kResults);
  EXPECT_EQ(transforms(swish, true), 10 * kResults);
  EXPECT_EQ(transforms("conv:n1_ic32_ih20_iw10_oc48_kh1_kw1_s1_p0_scaled", true), 4 * kWeights);
  EXPECT_EQ(transforms("conv:n3_ic32_ih20_iw10_oc48_kh1_kw1_s1_p0_scaled", true), 12 * kWeights);
}

TEST(Work, BytesAreThoseOfTheTypes) {
  ConvShape shape;
  shape.ic = shape.oc = 32;
  shape.ih = shape.iw = 20;
  shape.kh = shape.kw = 3;
  PrimitiveInfo info;
  info.traits.packed_bytes_per_input_byte = 2;
  const Workload workload = Workload::conv(shape, {true, {}});
  for (const std::string_view name : {"direct", "im2col"}) {
    info.traits.cost = name;
    const WorkEstimate single = estimate_work(workload, info, 16);
    PrimitiveInfo half = info;
    half.input_type = half.traits.product_type = DataType::bf16;
    const WorkEstimate mixed = estimate_work(workload, half, 16);
    EXPECT_EQ(mixed.product_type, DataType::bf16);
    EXPECT_EQ(mixed.flops, single.flops);
    EXPECT_EQ(mixed.input_bytes, single.input_bytes / 2);
    EXPECT_EQ(mixed.packed_bytes, single.packed_bytes / 2);
    EXPECT_EQ(mixed.weight_bytes, single.weight_bytes / 2);
    EXPECT_EQ(mixed.output_bytes, single.output_bytes);
    EXPECT_EQ(mixed.residual_bytes, single.residual_bytes);
    half.output_type = DataType::bf16;
    EXPECT_EQ(estimate_work(workload, half, 16).residual_bytes, single.residual_bytes / 2);
  }
}

TEST(Work, ShorterWeightsAreFewerBytesAndBecomeFloats) {
  const Workload workload = Workload::fully_connected(5, 300, 70);
  PrimitiveInfo info;
  info.op = Op::fully_connected;
  info.traits.cost = "gemv";
  info.traits.tile_oc = 64;
  info.traits.tile_pixels = 4;
  info.traits.weight_type = DataType::bf16;
  const WorkEstimate half = estimate_work(workload, info, 16);
  info.traits.weight_type = DataType::s8;
  const WorkEstimate quarter = estimate_work(workload, info, 16);
  // Channels fill up vectors.
  EXPECT_EQ(half.weight_bytes, 2 * 300 * 80);
  EXPECT_EQ(quarter.weight_bytes, 300 * 80);
  for (const WorkEstimate& work : {half, quarter}) {
    EXPECT_EQ(work.product_type, DataType::f32);
    EXPECT_EQ(work.flops, 2 * 5 * 300 * 80);
    EXPECT_EQ(work.pixel_tiles, 2);
    EXPECT_EQ(work.input_bytes, 4 * 5 * 300);
  }
  EXPECT_EQ(quarter.transform_flops, 2 * half.transform_flops);
  EXPECT_EQ(arithmetic_type(info), DataType::s8);
}

TEST(Work, DotProductsFillLanesOfFourBytes) {
  ConvShape shape;
  shape.ih = shape.iw = 20;
  shape.oc = 32;
  shape.kh = shape.kw = 3;
  PrimitiveInfo info;
  info.traits.cost = "dot";
  info.input_type = DataType::u8;
  info.traits.product_type = DataType::s8;
  /// Multiplied for each result that is asked for.
  const auto filled = [&] {
    const WorkEstimate work = estimate_work(Workload::conv(shape), info, 16);
    return work.flops / work.nominal_flops;
  };
  const auto copies = [&] {
    return estimate_work(Workload::conv(shape), info, 16).packed_bytes > 0;
  };
  shape.ic = 64;
  EXPECT_DOUBLE_EQ(filled(), 1);
  EXPECT_FALSE(copies());
  // Nine bytes below a row of the kernel, in three lanes.
  shape.ic = 3;
  EXPECT_DOUBLE_EQ(filled(), 12.0 / 9);
  EXPECT_TRUE(copies());
  // With columns between its taps each of them takes a lane.
  shape.dilation_w = 2;
  EXPECT_DOUBLE_EQ(filled(), 4.0 / 3);
  shape.dilation_w = 1;
  shape.kw = 7;
  EXPECT_DOUBLE_EQ(filled(), 24.0 / 21);
  info.input_type = info.traits.product_type = DataType::bf16;
  EXPECT_DOUBLE_EQ(filled(), 4.0 / 3);
}

// A profile's header is input: sizes of tiles that no kernel has must not end the program.
TEST(Work, OddTraitsGiveFiniteCounts) {
  ConvShape shape;
  shape.ic = shape.oc = 16;
  shape.ih = shape.iw = 9;
  shape.kh = shape.kw = 3;
  for (const std::string_view name : cost_names()) {
    for (const int size : {-1, 0, 1, 2, 3, 1 << 30}) {
      PrimitiveInfo info;
      info.traits.cost = name;
      info.traits.transform_h = info.traits.transform_w = size;
      info.traits.output_h = info.traits.output_w = size;
      info.traits.tile_oc = info.traits.tile_pixels = info.traits.block_tiles = size;
      for (const double figure : figures_of(estimate_work(Workload::conv(shape), info, 8))) {
        EXPECT_TRUE(std::isfinite(figure)) << name << " " << size;
      }
    }
  }
}

}  // namespace
}  // namespace convopt
