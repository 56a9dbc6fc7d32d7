// Every primitive of images that reads or writes other numbers than f32, oneDNN's and own ones, on
// every problem of the harness that it applies to, a test for each:
// --gtest_filter='*brgconv*nhwc_bf16*'.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "primitives/own.h"
#include "primitives/provider.h"
#include "tests/kernels/harness.h"
#include "tests/kernels/seed.h"
#include "tests/kernels/special_values.h"

namespace convopt {
namespace {

/// Blocks of a few channels and pixels: small shapes cross every border.
constexpr Caches kTinyCaches{1 << 10, 8 << 10, 16 << 10};

bool is_typed(const PrimitiveInfo& info) {
  return !info.plain && (info.input_type != DataType::f32 || info.output_type != DataType::f32);
}

Provider& provider() {
  static const auto made = make_onednn_provider({default_isa(), 1});
  return **made;
}

std::vector<std::unique_ptr<Primitive>> all() {
  std::vector<std::unique_ptr<Primitive>> list = provider().discover();
  for (auto& primitive : own_primitives({default_isa(), 1})) list.push_back(std::move(primitive));
  std::erase_if(list, [](const auto& primitive) { return !is_typed(primitive->info()); });
  return list;
}

std::unique_ptr<Primitive> make(std::string_view name) {
  for (auto& primitive : own_primitives({default_isa(), 1})) {
    if (primitive->name() == name) return std::move(primitive);
  }
  return provider().make(name);
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& primitive : all()) list.emplace_back(primitive->name());
  return list;
}

/// Whether the library multiplies numbers of that type on this processor.
bool library_has(DataType type) {
  return std::ranges::any_of(provider().discover(), [type](const auto& primitive) {
    return primitive->info().input_type == type && primitive->info().op == Op::conv;
  });
}

class Typed : public testing::TestWithParam<std::string> {
 protected:
  using Problems = std::vector<harness::Problem>;

  void SetUp() override {
    primitive_ = make(GetParam());
    ASSERT_NE(primitive_, nullptr);
  }

  /// The same problems with tensors of the primitive's types.
  const Problems& typed(const Problems& problems) const {
    static std::map<std::pair<const Problems*, std::pair<DataType, DataType>>, Problems> known;
    const PrimitiveInfo& info = primitive_->info();
    Problems& list = known[{&problems, {info.input_type, info.output_type}}];
    if (!list.empty()) return list;
    for (const harness::Problem& problem : problems) {
      Workload workload = problem.workload();
      workload.input_type = info.input_type;
      workload.output_type = info.output_type;
      Activation& activation = workload.epilogue.activation;
      if (activation.kind == ActivationKind::quantise && is_quantised(info.output_type))
        activation.beta = smallest_number(info.output_type);
      const auto add = [&] {
        list.emplace_back(problem.axis(), workload);
        if (harness::may_have_zero_points(workload)) list.push_back(list.back().with_zero_points());
      };
      add();
      if (workload.op == Op::add && is_quantised(info.input_type)) {
        workload.second_type = other_quantised(info.input_type);
        add();
      }
      if (!workload.epilogue.residual || !is_quantised(info.output_type)) continue;
      workload.epilogue.residual_type = other_quantised(info.output_type);
      add();
    }
    return list;
  }

  /// Checks all that applies; returns how many did.
  int check_all(const Problems& problems, const Context& context,
                const harness::Setting& setting = {}) const {
    int count = 0;
    if (setting.gaps && !primitive_->info().traits.strided_views) return count;
    for (const harness::Problem& problem : typed(problems)) {
      const Workload& workload = problem.workload();
      if (!primitive_->info().computes(workload)) continue;
      if (setting.residual_in_place && !workload.epilogue.residual) continue;
      if (!primitive_->applicability(workload, context)) continue;
      EXPECT_EQ(harness::check(*primitive_, problem, context, setting), "")
          << context.threads << " threads" << (setting.gaps ? ", with gaps" : "")
          << (setting.residual_in_place ? ", residual in place" : "")
          << (context.caches == kTinyCaches ? ", tiny caches" : "") << ": " << problem.text();
      ++count;
    }
    return count;
  }

  static const Problems& fixed() {
    static const Problems list = harness::problems();
    return list;
  }

  std::unique_ptr<Primitive> primitive_;
};

TEST_P(Typed, ComputesWhatTheReferenceDoes) {
  EXPECT_GT(check_all(fixed(), {default_isa(), 1}), 0) << "it applies to no problem of the harness";
  check_all(fixed(), {default_isa(), 1}, {.residual_in_place = true});
  check_all(fixed(), {default_isa(), 1}, {.gaps = true});
}

TEST_P(Typed, OnSeveralThreads) {
  check_all(fixed(), {default_isa(), 2});
  check_all(fixed(), {default_isa(), 3}, {.residual_in_place = true});
  check_all(fixed(), {default_isa(), 4}, {.gaps = true, .residual_in_place = true});
}

TEST_P(Typed, CrossesEveryBorderOfBlocks) {
  if (GetParam().starts_with("onednn_")) return;  // does not ask for the caches
  check_all(fixed(), {default_isa(), 1, SIZE_MAX, kTinyCaches});
  check_all(fixed(), {default_isa(), 3, SIZE_MAX, kTinyCaches}, {.gaps = true});
}

TEST_P(Typed, TakesAnyShape) {
  static const Problems random = harness::random_problems(harness::seed());
  SCOPED_TRACE("CONVOPT_SEED=" + std::to_string(harness::seed()));
  check_all(random, {default_isa(), 1});
}

TEST_P(Typed, ConversionsRoundToTheNearestAndToEven) {
  const PrimitiveInfo& info = primitive_->info();
  if (info.op != Op::convert) return;
  const TensorShape shape{1, 16, 1, 1};  // the same order of elements in every layout
  const std::vector<float> values = {
      0,    -0.0F, 1,      -1,        1 + 0x1p-8F, 1 + 0x3p-8F, -1 - 0x3p-8F, 0x1.FFp100F,
      2.5F, -3.5F, -3e38F, kInfinity, -kInfinity,  0x1p-126F,   65504,        3.14159F};
  std::vector<std::uint32_t> source(16), result(16), expected(16);
  from_floats(values.data(), 16, info.input_type, source.data());
  std::vector<float> rounded(16);
  to_floats(source.data(), info.input_type, 16, rounded.data());
  if (is_quantised(info.output_type)) {
    for (float& value : rounded) value = quantised(value, info.output_type);
  }
  from_floats(rounded.data(), 16, info.output_type, expected.data());
  Workload workload = Workload::pointwise(Op::convert, shape);
  workload.input_type = info.input_type;
  workload.output_type = info.output_type;
  const auto kernel = primitive_->prepare(workload, {}, {default_isa(), 1});
  ASSERT_TRUE(kernel) << kernel.error().message;
  const std::array sources = {
      TensorView::dense(source.data(), info.input_type, shape, info.input_layout)};
  (*kernel)->run({sources,
                  TensorView::dense(result.data(), info.output_type, shape, info.output_layout),
                  {},
                  nullptr});
  EXPECT_EQ(result, expected);
}

INSTANTIATE_TEST_SUITE_P(All, Typed, testing::ValuesIn(names()),
                         [](const auto& test) { return test.param; });

/// Found by random problems.
TEST(TypedRegistry, FaultsOfTheLibraryAreKnown) {
  const Context context{default_isa(), 1};
  bool has_any = false;
  for (const char* text : {"conv:n2_ic12_ih9_iw24_oc24_kh5_kw5_s1_pt4_pb4_pl2_pr0_g3_bf16:gelu",
                           "conv:n1_ic32_ih11_iw23_oc32_kh7_kw7_s1_p3_g4_bf16_f32:sigmoid",
                           "conv:n1_ic32_ih26_iw37_oc32_kh5_kw5_s1_pt4_pb4_pl2_pr2_g4_u8:gelu",
                           "conv:n1_ic16_ih10_iw24_oc64_kh3_kw3_s1_pt1_pb0_pl1_pr1_g4_u8:sigmoid",
                           "conv:n3_ic48_ih13_iw11_oc24_kh1_kw1_s1_p0_g3_u8:gelu",
                           "conv:n1_ic64_ih21_iw25_oc70_kh1_kw1_s1_p0_s8_u8:add_s8+relu",
                           "conv:n1_ic64_ih18_iw10_oc83_kh1_kw1_s2_p0_s8",
                           "conv:n1_ic99_ih30_iw25_oc40_kh1_kw1_s1_p0_bf16",
                           "conv:n1_ic67_ih23_iw29_oc38_kh9_kw9_s1_pt4_pb2_pl0_pr0_bf16",
                           "softmax:n1_c23_h3_w2_bf16", "softmax:n2_c31_h12_w11_bf16"}) {
    const harness::Problem problem("known", Workload::parse(text).value());
    if (!library_has(problem.workload().input_type)) continue;
    has_any = true;
    int computed = 0;
    for (const auto& primitive : provider().discover()) {
      if (!primitive->info().computes(problem.workload())) continue;
      if (!primitive->applicability(problem.workload(), context)) continue;
      EXPECT_EQ(harness::check(*primitive, problem, context), "") << primitive->name();
      ++computed;
    }
    EXPECT_GT(computed, 0) << text;
  }
  if (!has_any) GTEST_SKIP() << "this processor multiplies no numbers but f32";
}

TEST(TypedRegistry, OffersWhatIsAskedForByName) {
  const auto primitive = provider().make("onednn_reorder_nchw_nhwc_f32_bf16");
  ASSERT_NE(primitive, nullptr);
  EXPECT_EQ(primitive->info().output_type, DataType::bf16);
  Workload workload = Workload::pointwise(Op::convert, {1, 3, 4, 5});
  workload.output_type = DataType::bf16;
  ASSERT_TRUE(primitive->info().computes(workload));
  EXPECT_EQ(static_cast<bool>(primitive->applicability(workload, {default_isa(), 1})),
            library_has(DataType::bf16));
}

}  // namespace
}  // namespace convopt
