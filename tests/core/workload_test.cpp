#include "convopt/workload.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/descriptor.h"
#include "core/scaled_convolution.h"

namespace convopt {
namespace {

ConvShape resnet_3x3() {
  ConvShape shape;
  shape.ic = shape.oc = 64;
  shape.ih = shape.iw = 56;
  shape.kh = shape.kw = 3;
  shape.pad_top = shape.pad_bottom = shape.pad_left = shape.pad_right = 1;
  return shape;
}

TEST(ConvShape, HasTheDocumentedText) {
  EXPECT_EQ(resnet_3x3().text(), "n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1");
}

TEST(ConvShape, TextSurvivesParsing) {
  for (const char* text :
       {"n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1", "n2_ic3_ih224_iw200_oc64_kh7_kw5_sh2_sw1_p3",
        "n1_ic32_ih14_iw14_oc32_kh3_kw3_s1_pt0_pb1_pl0_pr1_d2_g32",
        "n1_ic8_ih20_iw20_oc8_kh3_kw3_s1_p0_dh1_dw3"}) {
    const auto shape = ConvShape::parse(text);
    ASSERT_TRUE(shape.ok()) << shape.error().message;
    EXPECT_EQ(shape->text(), text);
  }
}

TEST(ConvShape, CountsOutputsAndWork) {
  ConvShape shape = resnet_3x3();
  shape.stride_h = shape.stride_w = 2;
  EXPECT_EQ(shape.oh(), 28);
  EXPECT_EQ(shape.ow(), 28);
  EXPECT_DOUBLE_EQ(shape.flops(), 2.0 * 64 * 28 * 28 * 64 * 9);
}

TEST(ConvShape, LeavesOutTapsInThePadding) {
  // 7x7 with padding 1: of 9 taps, the border rows and columns lose one in three.
  ConvShape shape = resnet_3x3();
  shape.ih = shape.iw = 7;
  const double taps_per_axis = 7 * 3 - 2;
  EXPECT_DOUBLE_EQ(shape.flops_inside(), 2.0 * 64 * 64 * taps_per_axis * taps_per_axis);
}

TEST(ConvShape, CountsTapsLikeALoopDoes) {
  for (int size = 1; size < 9; ++size) {
    for (int kernel = 1; kernel < 5; ++kernel) {
      for (int stride = 1; stride < 4; ++stride) {
        for (int before = 0; before < 4; ++before) {
          for (int dilation = 1; dilation < 3; ++dilation) {
            ConvShape shape;
            shape.ih = size;
            shape.kh = kernel;
            shape.stride_h = stride;
            shape.pad_top = before;
            shape.pad_bottom = 2;
            shape.dilation_h = dilation;
            if (!shape.validate().ok()) continue;
            int taps = 0;
            for (int o = 0; o < shape.oh(); ++o) {
              for (int k = 0; k < kernel; ++k) {
                const int row = o * stride + k * dilation - before;
                taps += row >= 0 && row < size;
              }
            }
            EXPECT_DOUBLE_EQ(shape.flops_inside(), 2.0 * taps) << shape.text();
          }
        }
      }
    }
  }
}

TEST(ConvShape, RejectsWhatCannotBeComputed) {
  for (const char* text :
       {"", "n1", "n1_ic0_ih5_iw5_oc1_kh1_kw1_s1_p0", "n1_ic4_ih5_iw5_oc6_kh1_kw1_s1_p0_g3",
        "n1_ic1_ih2_iw2_oc1_kh5_kw5_s1_p0", "n1_ic1_ih2_iw2_oc1_kh1_kw1_s1_p-1",
        "n99999999_ic1_ih2_iw2_oc1_kh1_kw1_s1_p0", "n1_ic4096_ih4096_iw4096_oc1_kh1_kw1_s1_p0",
        "n1_ic1_ih2147483647_iw2_oc1_kh1_kw1_s1_p2147483647", "n1_ic1_ih2_iw2_oc1_kh1_kw1_s1_p0_x3",
        "n1_n1_ic1_ih2_iw2_oc1_kh1_kw1_s1_p0", "n1_ic1_ih2_iw2_oc1_kh1_kw1_s1_p4097"}) {
    const auto shape = ConvShape::parse(text);
    EXPECT_FALSE(shape.ok()) << text;
    if (!shape.ok()) {
      EXPECT_EQ(shape.error().code, ErrorCode::bad_input);
    }
  }
}

TEST(Workload, TextSurvivesParsing) {
  for (const char* text :
       {"conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:add+relu",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:add",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:clip(0,6)",
        "max_pool:n1_c64_ih112_iw112_kh3_kw3_s2_p1",
        "avg_pool_exclude:n1_c64_ih7_iw7_kh7_kw7_s1_p0", "convert:n1_c64_h56_w56",
        "concat:n1_c64+128+32+32_h28_w28", "fully_connected:n1_ic512_oc1000:relu",
        "lrn:n1_c64_h27_w27_k5", "upsample_nearest:n1_c64_h28_w28_s2",
        "upsample_bilinear:n1_c64_h28_w28_sh2_sw3", "add:n1_c64_h56_w56:relu",
        "activation:n1_c64_h56_w56:leaky_relu(0.1)", "softmax:n1_c1000_h1_w1"}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << text << ": " << workload.error().message;
    EXPECT_EQ(workload->text(), text);
  }
}

TEST(Workload, RefusesTextThatIsNotCanonical) {
  for (const char* text :
       {"", ":", "conv", "conv:", "conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_sh1_sw1_p1",
        "conv:ic64_n1_ih56_iw56_oc64_kh3_kw3_s1_p1", "convert:n1_c64_h56_w56_kh3",
        "concat:n1_c64+_h28_w28", "concat:n1_h28_w28", "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:add+",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:relu(1)",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:clip(0)",
        "conv:n1_ic8_ih5_iw5_oc8_kh1_kw1_s1_p0:clip(0,nan)", "pool:n1_c64_h56_w56"}) {
    EXPECT_FALSE(Workload::parse(text).ok()) << text;
  }
}

TEST(Workload, KnowsItsSourcesAndResult) {
  const auto concat = Workload::concat({1, 96, 28, 28}, {64, 32});
  EXPECT_EQ(concat.source_count(), 2);
  EXPECT_EQ(concat.source(1), (TensorShape{1, 32, 28, 28}));
  EXPECT_EQ(concat.output(), (TensorShape{1, 96, 28, 28}));
  const auto upsample = Workload::upsample(Op::upsample_nearest, {1, 8, 5, 6}, 2, 3);
  EXPECT_EQ(upsample.output(), (TensorShape{1, 8, 10, 18}));
  EXPECT_EQ(Workload::fully_connected(2, 512, 10).output(), (TensorShape{2, 10, 1, 1}));
}

TEST(Activation, ComputesItsDefinition) {
  const auto value = [](const char* text, float x) { return (*Activation::parse(text))(x); };
  EXPECT_FLOAT_EQ(value("relu", -1), 0);
  EXPECT_FLOAT_EQ(value("clip(0,6)", 7), 6);
  EXPECT_FLOAT_EQ(value("leaky_relu(0.1)", -2), -0.2F);
  EXPECT_FLOAT_EQ(value("hard_swish", 1), 1 * (1.0F / 6 + 0.5F));
  EXPECT_NEAR(value("gelu", 1), 0.841345, 1e-6);
  EXPECT_NEAR(value("swish", 2), 2 / (1 + std::exp(-2.0)), 1e-6);
}

TEST(Workload, TensorsOfAnyRankHaveAllTheirSizes) {
  for (const char* text : {"activation:d2x25x97:sigmoid",
                           "softmax:d8x197x197_axis2",
                           "softmax:d5_axis0",
                           "softmax:d1x8x16x16_axis3",
                           "concat:d2x5x9_axis2_parts9+3",
                           "slice:d4x100_from5_count10_step2",
                           "slice:d2x3x4x5x6_axis4_from0_count2_step3",
                           "transpose:d2x3x4x5x6_order04123",
                           "add:d3x5_by1x5:relu",
                           "convert:d7_bf16",
                           "multiply:d2x3x4x5x6x7x8x9",
                           "maximum:d3x5_by1x5",
                           "minimum:d7:clip(0,1)",
                           "power:d3x5_by1x1",
                           "modulo:d3x5",
                           "remainder:d3x5",
                           "equal:d3x5_by3x1",
                           "less:d3x5",
                           "less_or_equal:d3x5",
                           "select:d1x2x3x4",
                           "expand:d1x5_to3x5",
                           "reduce_sum:d2x3x4_axes02",
                           "reduce_mean:d1x2x3x4_axes23",
                           "reduce_maximum:d5_axes0",
                           "reduce_minimum:d2x3_axes1",
                           "reduce_product:d2x3_axes01",
                           "arg_maximum:d2x3_axis0",
                           "arg_minimum:d2x3",
                           "cumulative_sum:d2x3x4_axis2",
                           "matmul:d8x50x64_by8x64x50",
                           "matmul:d8x50x64_by1x70x64_t1",
                           "matmul:d4x5_by5x6",
                           "gather:d77x512_axis0_at1x7",
                           "gather:d2x3x4_axis2",
                           "gather_elements:d2x9_at2x4",
                           "scatter:d77x512_axis0_at7",
                           "scatter_add:d2x9_at2x4",
                           "scatter_multiply:d2x9_at1x40",
                           "scatter_maximum:d5_axis0_at3",
                           "scatter_minimum:d2x3x4_axis2_at9",
                           "grid_sample:d1x3x20x15_at1x4x5x2_k2_border0",
                           "roi_average:d2x3x20x15_at9x4_s7_k0",
                           "roi_maximum:d2x3x20x15_at9x4_sh7_sw5_k2",
                           "resample:d1x3x8x8_axis2_count20_k4",
                           "top_k:d1x8400_count300",
                           "top_k_indices:d4x1000_axis0_count2",
                           "lstm:d35x1x64_state2x1x128",
                           "lstm:d35x1x64_state1x1x128_reversed1_cell1",
                           "gru:d1x3x40_state1x3x40_after1"}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << text << ": " << workload.error().message;
    EXPECT_EQ(workload->text(), text);
    EXPECT_FALSE(workload->is_image());
  }
  EXPECT_EQ(Workload::parse("concat:d2x5x9_axis2_parts9+3")->output(), (TensorShape{2, 5, 12}));
  EXPECT_EQ(Workload::parse("transpose:d2x3x4x5x6_order04123")->output(),
            (TensorShape{2, 6, 3, 4, 5}));
  EXPECT_EQ(Workload::parse("slice:d4x100_from5_count10_step2")->output(), (TensorShape{4, 10}));
  const auto result = [](const char* text) { return Workload::parse(text)->output(); };
  EXPECT_EQ(result("select:d2x3"), (TensorShape{2, 3}));
  EXPECT_EQ(result("expand:d1x5_to3x5"), (TensorShape{3, 5}));
  EXPECT_EQ(result("reduce_mean:d1x2x3x4_axes23"), (TensorShape{1, 2, 1, 1}));
  EXPECT_EQ(result("arg_minimum:d2x3"), (TensorShape{2, 1}));
  EXPECT_EQ(result("matmul:d8x50x64_by1x64x70"), (TensorShape{8, 50, 70}));
  EXPECT_EQ(result("matmul:d1x50x64_by8x70x64_t1"), (TensorShape{8, 50, 70}));
  EXPECT_EQ(result("gather:d77x512_axis0_at1x7"), (TensorShape{1, 7, 512}));
  EXPECT_EQ(result("gather:d2x3x4_axis2"), (TensorShape{2, 3}));
  EXPECT_EQ(result("gather_elements:d2x9_at2x4"), (TensorShape{2, 4}));
  EXPECT_EQ(result("scatter_add:d2x9_at2x4"), (TensorShape{2, 9}));
  EXPECT_EQ(result("grid_sample:d1x3x20x15_at1x4x5x2_k2_border0"), (TensorShape{1, 3, 4, 5}));
  EXPECT_EQ(result("roi_average:d2x3x20x15_at9x4_sh7_sw5_k0"), (TensorShape{9, 3, 7, 5}));
  EXPECT_EQ(result("resample:d1x3x8x8_axis2_count20_k4"), (TensorShape{1, 3, 20, 8}));
  EXPECT_EQ(result("top_k:d1x8400_count300"), (TensorShape{1, 300}));
  EXPECT_EQ(result("cumulative_sum:d2x3x4_axis2"), (TensorShape{2, 3, 4}));
  EXPECT_EQ(result("lstm:d35x1x64_state2x1x128"), (TensorShape{35, 2, 1, 128}));
  EXPECT_EQ(result("lstm:d35x1x64_state2x1x128_cell1"), (TensorShape{36, 2, 1, 128}));
  EXPECT_EQ(result("gru:d1x3x40_state1x3x20"), (TensorShape{1, 1, 3, 20}));
}

TEST(Workload, OperationsOnImagesHaveTheirSizes) {
  for (const char* text : {"maximum:n1_c8_h2_w3", "less_or_equal:n1_c8_h2_w3_by1x8x1x1",
                           "power:n1_c8_h2_w3_by1x1x1x1:relu", "activation:n1_c8_h2_w3:log",
                           "activation:n1_c8_h2_w3:selu(1.6,1.05)"}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << text << ": " << workload.error().message;
    EXPECT_EQ(workload->text(), text);
    EXPECT_TRUE(workload->is_image());
  }
}

TEST(Workload, KnowsItsSourcesAndWeights) {
  EXPECT_EQ(Workload::parse("select:d2x3")->source_count(), 3);
  EXPECT_EQ(Workload::parse("select:d2x3")->source(2), (TensorShape{2, 3}));
  EXPECT_EQ(Workload::parse("gather:d77x512_axis0_at1x7")->source(1), (TensorShape{1, 7}));
  EXPECT_EQ(Workload::parse("scatter:d7x5x9_at3")->source(2), (TensorShape{7, 3, 9}));
  EXPECT_EQ(Workload::parse("scatter:d7x5_at3x4")->source(2), (TensorShape{3, 4}));
  EXPECT_EQ(Workload::parse("roi_maximum:d2x3x20x15_at9x4_s7_k2")->source(2), TensorShape{9});
  EXPECT_EQ(Workload::parse("resample:d1x3x8x8_axis2_count20_k4")->weight_elements(), 160);
  EXPECT_EQ(Workload::parse("resample:d1x3x8x8_axis2_count20_k4")->bias_elements(), 0);
  const Workload lstm = Workload::parse("lstm:d35x3x64_state2x3x128").value();
  EXPECT_EQ(lstm.source(2), (TensorShape{2, 3, 128}));
  EXPECT_EQ(lstm.weight_elements(), 2 * 4 * 128 * (64 + 128));
  EXPECT_EQ(lstm.bias_elements(), 2 * 2 * 4 * 128);
  const Workload gru = Workload::parse("gru:d35x3x64_state1x3x128").value();
  EXPECT_EQ(gru.source_count(), 2);
  EXPECT_EQ(gru.weight_elements(), 3 * 128 * (64 + 128));
}

TEST(Workload, RefusesAttributesThatDoNotFit) {
  for (const char* text : {"activation:d1x2x3x4:relu",
                           "softmax:d8x197_axis2",
                           "softmax:d8x197_axis-1",
                           "concat:d2x5x9_axis2_parts8+3",
                           "slice:d4x100_from5_count49_step2",
                           "slice:d4x0_from0",
                           "transpose:d2x3x4_order0122",
                           "transpose:d2x3x4_order013",
                           "add:d3x5_by2x5",
                           "add:d3x5_by3x5",
                           "add:d3x5_by5",
                           "multiply:d1x2x3x4x5x6x7x8x9",
                           "lrn:d2x3x4_k5",
                           "shuffle:n1_c10_h2_w2_g3",
                           "depth_to_space:n1_c10_h2_w2_s2",
                           "max_pool:d2x3x4",
                           "upsample_nearest:n1_c1_h16777216_w1_s16777216",
                           "activation:d16777217:relu",
                           "convert:d16777216x16777216",
                           "expand:d2x5_to3x5",
                           "expand:d5_to3x5",
                           "select:n1_c2_h3_w4",
                           "reduce_sum:d2x3_axes",
                           "reduce_sum:d2x3_axes10",
                           "reduce_sum:d2x3_axes2",
                           "reduce_sum:d2x3_axes00",
                           "arg_maximum:d2x3_axis2",
                           "matmul:d5_by5",
                           "matmul:d4x5_by4x6",
                           "matmul:d2x4x5_by3x5x6",
                           "matmul:d4x5_by5x6_t1",
                           "matmul:d4x5_by5x6_t2",
                           "gather:d2x3_axis2_at4",
                           "gather_elements:d2x9_at3x4",
                           "gather_elements:d2x9_at4",
                           "scatter:d2x9_at3x4",
                           "scatter:d2x9_axis2_at4",
                           "scatter:d2x9_at2x-4",
                           "scatter:d2x9_at0",
                           "scatter:d65536x65536_at2x16777216",
                           "grid_sample:d1x3x20x15_at2x4x5x2_k2_border0",
                           "grid_sample:d1x3x20x15_at1x4x5x3_k2_border0",
                           "grid_sample:d1x3x20x15_at1x4x5x2_k3_border0",
                           "grid_sample:d1x3x20x15_at1x4x5x2_k2_border4",
                           "roi_average:d2x3x20x15_at9x5_s7_k0",
                           "roi_average:d2x3x20x15_at9x4_s0_k0",
                           "roi_average:d2x3x20x15_at9x4_s7_k65",
                           "resample:d8_axis0_count0_k1",
                           "resample:d8_axis0_count4_k0",
                           "top_k:d1x5_count6",
                           "top_k:d1x5_count0",
                           "maximum:d3x5_by5",
                           "lstm:d35x64_state1x128",
                           "lstm:d35x1x64_state1x2x128",
                           "lstm:d35x1x64_state3x1x128",
                           "lstm:d35x1x64_state2x1x128_reversed1",
                           "lstm:d35x1x64_state1x1x128_cell2",
                           "lstm:d35x1x64_state1x1x128_after1",
                           "gru:d35x1x64_state1x1x128_cell1",
                           "gru:d35x1x64_state1x1x0"}) {
    EXPECT_FALSE(Workload::parse(text).ok()) << text;
  }
}

TEST(Geometry, IsThatOfAConvolution) {
  const auto of = [](const char* text) { return geometry(*Workload::parse(text)); };
  const ConvShape slice = of("slice:n1_ic116_oc58_h28_w27_from58_step1");
  EXPECT_EQ(slice.ic, 116);
  EXPECT_EQ(slice.oc, 58);
  EXPECT_EQ(slice.iw, 27);
  EXPECT_EQ(of("concat:n1_c64+32_h28_w28").ic, 96);
  EXPECT_EQ(of("lrn:n1_c64_h27_w27_k5").kh, 5);
  EXPECT_EQ(of("upsample_bilinear:n1_c64_h28_w28_sh2_sw3").stride_w, 3);
  EXPECT_EQ(of("layer_norm:n1_c64_h1_w1").groups, 64);
  EXPECT_EQ(of("pad:n1_c3_h5_w5_pt1_pb2_pl0_pr3").pad_right, 3);
  const ConvShape conv = of("conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1");
  EXPECT_EQ(conv.kh, 3);
  EXPECT_EQ(of("activation:d2x3x4x5x6:relu").input(), (TensorShape{6, 4, 5, 6}));
}

TEST(Workload, TypesAreWrittenWhereTheyAreNotF32) {
  const auto conv = *Workload::parse("conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1:relu");
  EXPECT_EQ(conv.of_type(DataType::bf16).text(),
            "conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1_bf16:relu");
  for (const char* text :
       {"convert:n1_c64_h56_w56_u8_s32", "convert:n1_c64_h56_w56_f32_bf16",
        "activation:n1_c8_h2_w2_bool:relu", "concat:n1_c64+32_h28_w28_s8",
        "upsample_nearest:n1_c64_h28_w28_s2_s8", "upsample_nearest:n1_c64_h28_w28_s8_s8",
        "upsample_nearest:n1_c64_h28_w28_s32_s8_s32", "shuffle:n1_c116_h28_w28_g2_f16",
        "transpose:n1_c255_h20_w20_order0231_s64", "fully_connected:n1_ic512_oc1000_u8_s32"}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << workload.error().message;
    EXPECT_EQ(workload->text(), text);
  }
  const auto mixed = *Workload::parse("convert:n1_c64_h56_w56_u8_s32");
  EXPECT_EQ(mixed.input_type, DataType::u8);
  EXPECT_EQ(mixed.output_type, DataType::s32);
  const auto strided = *Workload::parse("upsample_nearest:n1_c64_h28_w28_s8");
  EXPECT_EQ(strided.output(), (TensorShape{1, 64, 224, 224}));
  EXPECT_EQ(strided.input_type, DataType::f32);
  EXPECT_NE(conv, conv.of_type(DataType::bf16));
}

TEST(Workload, SummandsMayBeOfBothTypesOfQuantisedNumbers) {
  const std::string shape = "add:n1_c64_h8_w8";
  for (const char* rest : {"_u8+s8", "_s8+u8_u8:relu", "_u8", "_s8+u8_s32"}) {
    const auto workload = Workload::parse(shape + rest);
    ASSERT_TRUE(workload.ok()) << workload.error().message;
    EXPECT_EQ(workload->text(), shape + rest);
  }
  EXPECT_EQ(Workload::parse(shape + "_u8+s8")->source_type(1), DataType::s8);
  EXPECT_EQ(Workload::parse(shape + "_u8+s8")->output_type, DataType::u8);
  for (const char* rest : {"_u8+u8", "_u8+f32", "_u8+s8_u8", "_u8_u8+s8", "_u8+", "_f32+u8"})
    EXPECT_FALSE(Workload::parse(shape + rest).ok()) << rest;
  EXPECT_FALSE(Workload::parse("multiply:n1_c64_h8_w8_u8+s8").ok());
  EXPECT_TRUE(Workload::parse(shape + "_u8+s8:quantise(1,0)").ok());
  EXPECT_TRUE(Workload::parse(shape + "_u8+s8:quantise(1,-128)").ok());  // a zero point
  EXPECT_FALSE(Workload::parse(shape + "_u8+s8:quantise(1,-300)").ok());
  EXPECT_FALSE(Workload::parse(shape + "_s8:quantise(1,0)").ok());
}

TEST(Workload, AResidualMayBeOfTheOtherTypeOfQuantisedNumbers) {
  const std::string shape = "conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1";
  for (const char* rest : {"_u8:add_s8+relu", "_s8:add_u8", "_s8_u8:add_s8", "_u8:add+relu"}) {
    const auto workload = Workload::parse(shape + rest);
    ASSERT_TRUE(workload.ok()) << workload.error().message;
    EXPECT_EQ(workload->text(), shape + rest);
  }
  EXPECT_EQ(Workload::parse(shape + "_u8:add_s8+relu")->residual_type(), DataType::s8);
  EXPECT_EQ(Workload::parse(shape + "_s8_u8:add")->residual_type(), DataType::u8);
  for (const char* rest : {"_u8:add_u8", "_u8:add_f32", "_u8_f32:add_u8", ":add_s8", "_bf16:add_s8",
                           "_u8:add_", "_u8:add_s8+", "_u8:add_s8relu", "_u8:addrelu"}) {
    EXPECT_FALSE(Workload::parse(shape + rest).ok()) << rest;
  }
}

TEST(Workload, MayBeAConvolutionOfAProductWithFactors) {
  const std::string text = "conv:n2_ic12_ih9_iw7_oc20_kh3_kw3_s2_p1";
  const Workload conv = Workload::parse(text).value();
  const Workload product = Workload::binary(Op::multiply, {2, 12, 9, 7}, {2, 12, 1, 1});
  const auto scaled = scaled_convolution(product, conv);
  ASSERT_TRUE(scaled.has_value());
  EXPECT_EQ(scaled->text(), text + "_scaled");
  EXPECT_EQ(scaled->source_count(), 2);
  EXPECT_EQ(scaled->source(0), product.first);
  EXPECT_EQ(scaled->source(1), product.second);
  EXPECT_EQ(scaled->output(), conv.output());
  const auto read = Workload::parse(text + "_scaled:add+swish");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->scaled && read->epilogue.residual);

  EXPECT_FALSE(scaled_convolution(product, *scaled)) << "which is scaled already";
  EXPECT_FALSE(scaled_convolution(conv, product));
  for (const TensorShape& factors :
       {TensorShape{1, 12, 1, 1}, {2, 1, 1, 1}, {2, 12, 9, 7}, {2, 12, 9, 1}}) {
    EXPECT_FALSE(scaled_convolution(Workload::binary(Op::multiply, product.first, factors), conv));
  }
  EXPECT_FALSE(
      scaled_convolution(Workload::binary(Op::divide, product.first, product.second), conv));
  Workload activated = product;
  activated.epilogue.activation.kind = ActivationKind::relu;
  EXPECT_FALSE(scaled_convolution(activated, conv));
  EXPECT_FALSE(scaled_convolution(product, conv.of_type(DataType::bf16)));
  for (const char* refused : {"conv:n1_ic8_ih9_iw7_oc8_kh3_kw3_s1_p1_g8_scaled",
                              "conv:n1_ic8_ih9_iw7_oc8_kh3_kw3_s1_p1_u8_scaled",
                              "conv:n1_ic8_ih9_iw7_oc8_kh3_kw3_s1_p1_scaled_bf16",
                              "conv:n1_ic8_ih9_iw7_oc8_kh3_kw3_s1_p1_scaled_scaled",
                              "convert:n1_c8_h9_w7_scaled", "fully_connected:n1_ic8_oc8_scaled"}) {
    EXPECT_FALSE(Workload::parse(refused).ok()) << refused;
  }
}

TEST(Workload, SaysWhereZeroPointsCount) {
  for (const char* text : {"conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1_u8_zp:add_s8+relu",
                           "conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1_u8_f32_zp",
                           "convert:n1_c8_h8_w8_u8_f32_zp", "convert:n1_c8_h8_w8_f32_u8_zp"}) {
    const auto workload = Workload::parse(text);
    ASSERT_TRUE(workload.ok()) << text;
    EXPECT_TRUE(workload->zero_points);
    EXPECT_EQ(workload->text(), text);
  }
  // What only moves numbers, adds to a bias or has none needs not know.
  for (const char* text : {"conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p0_u8_zp",
                           "conv:n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1_zp",
                           "convert:n1_c8_h8_w8_u8_zp", "add:n1_c8_h8_w8_u8_zp"}) {
    EXPECT_FALSE(Workload::parse(text).ok()) << text;
  }
}

TEST(Workload, TypesHaveOneSpelling) {
  for (const char* text : {"convert:n1_c64_h56_w56_f32", "convert:n1_c64_h56_w56_bf16_bf16",
                           "convert:n1_c64_h56_w56_f32_f32", "convert:n1_c64_h56_w56_float",
                           "convert:n1_c64_bf16_h56_w56", "convert:n1_c64_h56_w56_bf16_u8_s8"}) {
    EXPECT_FALSE(Workload::parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace convopt
