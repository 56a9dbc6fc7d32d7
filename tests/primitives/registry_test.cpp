// The list of primitives, its names, and what creating it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "primitives/cost.h"
#include "primitives/own.h"
#include "primitives/provider.h"

namespace convopt {
namespace {

std::unique_ptr<Registry> registry() {
  auto made = Registry::create({default_isa(), 1});
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? std::move(*made) : nullptr;
}

TEST(OwnPrimitives, SayWhatTheyAre) {
  for (const auto& primitive : own_primitives({default_isa(), 1})) {
    const PrimitiveInfo& info = primitive->info();
    EXPECT_FALSE(info.description.empty()) << info.name;
    EXPECT_FALSE(info.revision.empty()) << info.name;
    EXPECT_FALSE(info.family.empty()) << info.name;
    EXPECT_NE(info.traits.algorithm, Algorithm::unknown) << info.name;
    if (info.plain) {
      const std::string types =
          std::string(to_string(info.input_type)) + "_" + std::string(to_string(info.output_type));
      EXPECT_EQ(info.name, info.input_type == info.output_type
                               ? std::string(to_string(info.op)) + "_plain"
                               : "cast_" + types);
      continue;
    }
    // The grammar: a name ends with its layouts and types, one where both are the same.
    const auto ending = [](auto input, auto output) {
      const std::string last = "_" + std::string(to_string(output));
      return input == output ? last : "_" + std::string(to_string(input)) + last;
    };
    std::string end = ending(info.input_layout, info.output_layout);
    if (info.input_type != DataType::f32 || info.output_type != DataType::f32) {
      end += ending(info.input_type, info.output_type);
    }
    if (const DataType weights = info.traits.weight_type; weights != DataType::f32)
      end += "_w" + std::string(to_string(weights));
    EXPECT_TRUE(info.name.ends_with(end)) << info.name;
  }
}

TEST(OwnPrimitives, AreOfImagesOrOfAnyOtherTensors) {
  for (const auto& primitive : own_primitives({default_isa(), 1})) {
    const PrimitiveInfo& info = primitive->info();
    if (info.op != Op::softmax) continue;
    EXPECT_EQ(info.computes(Workload::along(Op::softmax, {1, 8, 5, 5}, 1)), !info.plain);
    EXPECT_EQ(info.computes(Workload::along(Op::softmax, {1, 8, 5, 5}, 3)), info.plain);
    EXPECT_EQ(info.computes(Workload::along(Op::softmax, {8, 5}, 1)), info.plain);
    EXPECT_FALSE(info.computes(Workload::along(Op::softmax, {8, 5}, 1).of_type(DataType::bf16)));
  }
}

TEST(Primitives, NameACostStructure) {
  const auto all = registry();
  ASSERT_NE(all, nullptr);
  for (const Primitive* primitive : all->primitives()) {
    EXPECT_EQ(std::ranges::count(cost_names(), std::string_view(primitive->info().traits.cost)), 1)
        << primitive->name();
  }
}

TEST(OwnPrimitives, HaveReasonsForNotApplying) {
  const Context context{default_isa(), 1};
  const Workload depthwise =
      Workload::conv(ConvShape::parse("n1_ic48_ih14_iw14_oc48_kh3_kw3_s1_p1_g48").value());
  const Workload grouped =
      Workload::conv(ConvShape::parse("n1_ic20_ih8_iw8_oc20_kh3_kw3_s1_p1_g2").value());
  const Workload fours =
      Workload::conv(ConvShape::parse("n1_ic20_ih8_iw8_oc20_kh3_kw3_s1_p1_g5").value());
  const Workload sixteens =
      Workload::conv(ConvShape::parse("n1_ic48_ih8_iw8_oc48_kh3_kw3_s1_p1_g3").value());
  for (const auto& primitive : own_primitives(context)) {
    if (primitive->name() == "grouped_nChw8c") {
      EXPECT_EQ(primitive->applicability(fours, context).reason, "");
      EXPECT_NE(primitive->applicability(grouped, context).reason, "");
      EXPECT_NE(primitive->applicability(depthwise, context).reason, "");
      EXPECT_NE(primitive->applicability(sixteens, context).reason, "");
    }
    if (primitive->name() == "grouped_nhwc") {
      EXPECT_EQ(static_cast<bool>(primitive->applicability(sixteens, context)),
                vector_floats(context.isa) == 16);
    }
    if (primitive->name() == "direct_nhwc") {
      EXPECT_NE(primitive->applicability(depthwise, context).reason, "");
      EXPECT_EQ(primitive->applicability(grouped, context).reason, "");
    }
    if (primitive->name() == "direct_nChw16c") {
      EXPECT_NE(primitive->applicability(grouped, context).reason, "");
    }
    if (primitive->name() == "depthwise_nhwc") {
      EXPECT_EQ(primitive->applicability(depthwise, context).reason, "");
      EXPECT_NE(primitive->applicability(grouped, context).reason, "");
    }
  }
}

TEST(Registry, NamesAreUniqueAndFound) {
  const auto list = registry();
  ASSERT_NE(list, nullptr);
  std::set<std::string_view> names;
  for (const Primitive* primitive : list->primitives()) {
    EXPECT_TRUE(names.insert(primitive->name()).second) << primitive->name();
    EXPECT_EQ(list->find(primitive->name()), primitive);
  }
  EXPECT_TRUE(names.contains("direct_nChw16c"));
  EXPECT_EQ(list->find("direct_of_nothing"), nullptr);
  EXPECT_FALSE(list->libraries().empty());
}

TEST(Registry, TheLibrarysChoiceIsOneOfItsPrimitives) {
  const auto list = registry();
  ASSERT_NE(list, nullptr);
  const Workload workload =
      Workload::conv(ConvShape::parse("n1_ic64_ih14_iw14_oc64_kh3_kw3_s1_p1").value());
  const Primitive* chosen = list->library_default(workload);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->info().op, Op::conv);
  EXPECT_TRUE(chosen->applicability(workload, list->context()));
  EXPECT_EQ(list->find(chosen->name()), chosen);
}

/// A library of one primitive, under another name and without a default of its own.
class SecondLibrary final : public Provider {
 public:
  std::vector<std::unique_ptr<Primitive>> discover() override { return {}; }
  std::unique_ptr<Primitive> make(std::string_view name) override {
    if (name != "second_direct_nhwc") return nullptr;
    for (auto& primitive : own_primitives({default_isa(), 1})) {
      if (primitive->name() == "direct_nhwc") return std::move(primitive);
    }
    return nullptr;
  }
  std::string default_primitive(const Workload&) override { return ""; }
  const Libraries& libraries() const override { return libraries_; }

 private:
  Libraries libraries_{{"second", "1.0"}};
};

TEST(Registry, SeveralLibrariesStandSideBySide) {
  const Context context{default_isa(), 1};
  std::vector<std::unique_ptr<Provider>> providers;
  providers.push_back(std::make_unique<SecondLibrary>());
  auto onednn = make_onednn_provider(context);
  ASSERT_TRUE(onednn.ok()) << onednn.error().message;
  providers.push_back(std::move(*onednn));
  const auto both = make_registry(context, std::move(providers));
  EXPECT_EQ(both->libraries().size(), 2U);
  EXPECT_NE(both->find("second_direct_nhwc"), nullptr);
  EXPECT_EQ(both->find("third_direct_nhwc"), nullptr);
  const Workload workload =
      Workload::conv(ConvShape::parse("n1_ic64_ih14_iw14_oc64_kh3_kw3_s1_p1").value());
  const Primitive* chosen = both->library_default(workload);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(chosen->info().family, "onednn");
}

TEST(Registry, RefusesWhatCannotRun) {
  const auto refused = [](const Context& context) {
    const auto made = Registry::create(context);
    EXPECT_FALSE(made.ok());
    return made.ok() ? ErrorCode::internal : made.error().code;
  };
  EXPECT_EQ(refused({default_isa(), 0}), ErrorCode::usage);
  EXPECT_EQ(refused({Isa::scalar, 1}), ErrorCode::environment);
  const Isa foreign = default_isa() == Isa::neon ? Isa::avx2 : Isa::neon;
  EXPECT_EQ(refused({foreign, 1}), ErrorCode::environment);
}

TEST(ErrorBound, OfShorterTypesCountsTheirRounding) {
  Workload workload = Workload::conv(ConvShape::parse("n1_ic64_ih8_iw8_oc8_kh3_kw3_s1_p1").value());
  const double single = error_bound(workload, {});
  workload.input_type = DataType::bf16;
  EXPECT_EQ(error_bound(workload, {}), single);
  workload.output_type = DataType::bf16;
  EXPECT_DOUBLE_EQ(error_bound(workload, {}), 0x1p-8 + single);
}

TEST(ErrorBound, GrowsWithTheSteepnessOfTheActivation) {
  Workload workload = Workload::conv(ConvShape::parse("n1_ic64_ih8_iw8_oc8_kh3_kw3_s1_p1").value());
  const double linear = error_bound(workload, {});
  workload.epilogue.activation = {ActivationKind::pow, 3};
  EXPECT_DOUBLE_EQ(error_bound(workload, {}), 3 * linear);
  workload.epilogue.activation = {ActivationKind::sigmoid};
  EXPECT_DOUBLE_EQ(error_bound(workload, {}), linear);
  workload.epilogue.activation = {ActivationKind::exp};
  EXPECT_GT(error_bound(workload, {}), 4 * linear);
}

TEST(ErrorBound, GrowsWithTheConditionOfTheData) {
  const Workload conv =
      Workload::conv(ConvShape::parse("n1_ic64_ih8_iw8_oc8_kh3_kw3_s1_p1").value());
  EXPECT_EQ(error_bound(conv, {}, 0.5), error_bound(conv, {}));
  EXPECT_DOUBLE_EQ(error_bound(conv, {}, 7), 7 * error_bound(conv, {}));
  // Roundings of numbers alike add up where nothing multiplies them.
  const Workload sum = Workload::reduce(Op::reduce_sum, {10000}, {0});
  EXPECT_GT(error_bound(sum, {}, condition_of_equal_terms(sum)), 20 * error_bound(sum, {}));
}

TEST(ErrorBound, GrowsWithReductionAndAmplification) {
  const auto bound = [](const char* shape, double amplification) {
    Traits traits;
    traits.error_amplification = amplification;
    return error_bound(Workload::conv(ConvShape::parse(shape).value()), traits);
  };
  const char* small = "n1_ic64_ih8_iw8_oc8_kh3_kw3_s1_p1";
  const char* large = "n1_ic512_ih8_iw8_oc8_kh3_kw3_s1_p1";
  EXPECT_LT(bound(small, 1), bound(large, 1));
  EXPECT_DOUBLE_EQ(bound(small, 3), 3 * bound(small, 1));
  // Far above the errors of correct kernels, far below those of a wrong weight.
  EXPECT_GT(bound(small, 1), 1e-6);
  EXPECT_LT(bound(large, 1), 1e-4);
}

}  // namespace
}  // namespace convopt
