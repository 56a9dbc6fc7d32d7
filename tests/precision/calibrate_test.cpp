// Ranges as they are measured, and plans in int8 within an error budget.
#include "src/tune/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "src/tune/error_budget.h"
#include "src/tune/layer_errors.h"
#include "tests/runtime/support.h"

namespace convopt::testing {
namespace {

/// int8 takes a fifth of the time, bf16 half, and conversions little.
class Costs final : public CostSource {
 public:
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& query : queries) {
      const DataType type = query.workload->input_type;
      const double ns = query.workload->op == Op::convert ? 1
                        : type == DataType::f32           ? 100
                        : type == DataType::bf16          ? 50
                                                          : 20;
      result.push_back({Cost::Source::predicted, {ns, ns, ns}, {}});
    }
    return result;
  }
};

class Calibrate : public ::testing::Test {
 protected:
  Calibrate() {
    for (std::uint64_t i = 0; i < 8; ++i)
      samples_.emplace_back(network_, network_.inputs).fill_random(kSeed + i);
  }

  Result<Calibration> measured() const {
    return calibrate(network_, registry_, costs_, platform_, weights_, samples_,
                     std::chrono::seconds(5));
  }
  Selection selection(std::set<DataType> types) const {
    const auto calibration = measured();
    EXPECT_TRUE(calibration.ok()) << (calibration.ok() ? "" : calibration.error().message);
    SelectOptions options;
    options.limits.types = std::move(types);
    options.limits.scales = *tensor_scales(network_, *calibration, RangeRule::max);
    Result<Selection> selected = select(network_, registry_, costs_, platform_, options);
    EXPECT_TRUE(selected.ok()) << (selected.ok() ? "" : selected.error().message);
    return std::move(*selected);
  }
  Result<ErrorReport> fit(Selection& selection, const ErrorBudget& budget) const {
    return fit_error(selection, platform_, weights_, samples_, budget, std::chrono::seconds(5));
  }

  FakeRegistry registry_;
  Costs costs_;
  Platform platform_;
  Network network_ = network_of("[1, 4, 8, 8]", R"(
      {"name": "c1", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
      {"name": "r1", "op": "relu"},
      {"name": "c2", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
      {"name": "sum", "op": "add", "inputs": ["c2", "r1"]},
      {"name": "r2", "op": "relu"},
      {"name": "pool", "op": "max_pool", "kernel": 2, "stride": 2},
      {"name": "flat", "op": "reshape", "shape": [1, 256, 1, 1]},
      {"name": "fc", "op": "fully_connected", "oc": 5})");
  RandomWeights weights_{network_, kSeed};
  std::vector<Buffers> samples_;
};

TEST_F(Calibrate, SeesEveryTensor) {
  const auto calibration = measured();
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_EQ(calibration->samples, 8U);
  std::map<std::string, TensorRange> ranges;
  for (const TensorRange& range : calibration->tensors) ranges[range.name] = range;
  ASSERT_EQ(ranges.size(), network_.tensors.size());
  float low = 0, high = 0;
  for (const Buffers& sample : samples_) {
    for (const float value : sample.values(0)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  EXPECT_EQ(ranges["x"].low, low);
  EXPECT_EQ(ranges["x"].high, high);
  EXPECT_LT(ranges["c1"].low, 0);
  EXPECT_EQ(ranges["r1"].low, 0);
  EXPECT_EQ(ranges["r1"].high, ranges["c1"].high);
  EXPECT_EQ(ranges["r2"].high, ranges["sum"].high);
  EXPECT_EQ(ranges["pool"].high, ranges["r2"].high);
  EXPECT_EQ(ranges["flat"].high, ranges["pool"].high);
  for (const auto& [name, range] : ranges) {
    const float largest = std::max(-range.low, range.high);
    EXPECT_LE(range.percentile, largest * 1.001F) << name;
    EXPECT_GT(range.percentile, 0.5F * largest) << name;
    EXPECT_LE(range.mse, largest) << name;
    EXPECT_GT(range.mse, 0.5F * largest) << name;
  }
}

TEST_F(Calibrate, AnOutlierIsCutOffWhereThatErrsLess) {
  std::vector<float> values = samples_[0].values(0);
  for (float& value : values) value *= 0.01F;
  values[7] = -1;
  for (Buffers& sample : samples_) sample.set(0, values);
  const auto calibration = measured();
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  const TensorRange& range = calibration->tensors[0];
  EXPECT_EQ(range.low, -1);
  EXPECT_EQ(range.percentile, 1);  // of 256 numbers, one is more than a ten-thousandth
  // Cutting it off would change a number by 0.9, rounding the others changes each by 0.002.
  EXPECT_GT(range.mse, 0.9F);
}

TEST_F(Calibrate, WhatIsNotFiniteIsLeftOut) {
  std::vector<float> values = samples_[0].values(0);
  values[3] = INFINITY;
  samples_[1].set(0, values);
  const auto calibration = measured();
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_EQ(std::ranges::count(calibration->tensors, "x", &TensorRange::name), 0);
  EXPECT_EQ(std::ranges::count(calibration->tensors, "c1", &TensorRange::name), 0);
}

TEST_F(Calibrate, PlansOfAllTypesKeepABudget) {
  const std::set<DataType> all = {DataType::f32, DataType::bf16, DataType::u8, DataType::s8};
  const auto count = [](const Plan& plan, auto is) {
    return std::ranges::count_if(plan.layers,
                                 [&](const PlanLayer& layer) { return is(layer.input_type); });
  };
  const auto in_int8 = [&](const Plan& plan) {
    return count(plan, [](DataType t) { return t == DataType::u8 || t == DataType::s8; });
  };
  Selection widest = selection(all);
  EXPECT_EQ(in_int8(widest.plan), std::ssize(widest.plan.layers));
  const auto unlimited = fit(widest, {});
  ASSERT_TRUE(unlimited.ok()) << unlimited.error().message;
  EXPECT_GT(unlimited->difference.error, 1e-3);
  EXPECT_LT(unlimited->difference.error, 0.1);
  double before = widest.solution.ns;
  std::ptrdiff_t mixed = 0;
  for (const double part : {0.5, 0.2, 0.1, 0.01}) {
    SCOPED_TRACE(part);
    Selection chosen = selection(all);
    const ErrorBudget budget{.max_error = part * unlimited->bound.error};
    const auto report = fit(chosen, budget);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_LE(report->bound.error, budget.max_error);
    EXPECT_GE(chosen.solution.ns, before - 1e-9);
    before = chosen.solution.ns;
    mixed += count(chosen.plan, [](DataType t) { return t == DataType::bf16; });
  }
  EXPECT_GT(mixed, 0);  // where int8 errs too much, bf16 need not
}

TEST_F(Calibrate, RecordedSensitivitiesLeadToThePlanOfMeasuredOnes) {
  const std::set<DataType> all = {DataType::f32, DataType::bf16, DataType::u8, DataType::s8};
  const Selection widest = selection(all);
  std::vector<std::string> notes;
  const auto note = [&](const std::string& sentence) { notes.push_back(sentence); };
  Calibration recorded;
  const auto measured =
      sensitivities(widest.problem, platform_, weights_, samples_, std::chrono::seconds(5), note);
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  recorded.sensitivities = *measured;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("in bf16 and int8, which takes about"), std::string::npos) << notes[0];
  // Everything that some plan rounds.
  const auto count = [&](DataType type, Sensitivity::Of of) {
    return std::ranges::count_if(*measured, [&](const Sensitivity& s) {
      return s.type == type && s.of == of && s.error > 0 && s.cosine < 1;
    });
  };
  for (const DataType type : {DataType::bf16, DataType::s8}) {
    EXPECT_EQ(count(type, Sensitivity::Of::weights), 3);  // two convolutions, one product
    EXPECT_EQ(count(type, Sensitivity::Of::tensor), std::ssize(network_.tensors));
  }
  Selection free = widest;
  const auto unlimited = fit(free, {});
  ASSERT_TRUE(unlimited.ok()) << unlimited.error().message;
  const ErrorBudget budget{.max_error = 0.2 * unlimited->difference.error};
  const auto fit_by = [&](Selection& chosen, const Calibration* known) {
    notes.clear();
    return fit_error(chosen, platform_, weights_, samples_, budget, std::chrono::seconds(5), note,
                     known);
  };
  Selection by_measuring = widest, by_record = widest;
  const auto first = fit_by(by_measuring, nullptr);
  ASSERT_TRUE(first.ok()) << first.error().message;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("the error of every layer is measured"), std::string::npos) << notes[0];
  const auto second = fit_by(by_record, &recorded);
  ASSERT_TRUE(second.ok()) << second.error().message;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("the calibration's sensitivities"), std::string::npos) << notes[0];
  EXPECT_NE(by_record.solution.assignment, widest.solution.assignment);
  EXPECT_EQ(by_record.solution.assignment, by_measuring.solution.assignment);
  EXPECT_EQ(second->difference.error, first->difference.error);
  EXPECT_EQ(second->plans, first->plans);
  // What the record lacks is measured.
  std::erase_if(recorded.sensitivities, [](const Sensitivity& s) {
    return s.type == DataType::s8 && s.of == Sensitivity::Of::weights && s.name == "c2";
  });
  ASSERT_EQ(recorded.sensitivities.size() + 1, measured->size());
  Selection chosen = widest;
  const auto report = fit_by(chosen, &recorded);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("of every layer in int8 is measured"), std::string::npos) << notes[0];
  EXPECT_LE(report->difference.error, budget.max_error);
}

TEST_F(Calibrate, PlacesThatShowNoEffectStillHaveAPrice) {
  const std::set<DataType> all = {DataType::f32, DataType::bf16, DataType::u8, DataType::s8};
  const Selection widest = selection(all);
  Selection free = widest;
  const auto unlimited = fit(free, {});
  ASSERT_TRUE(unlimited.ok()) << unlimited.error().message;
  Calibration recorded;
  const auto measured =
      sensitivities(widest.problem, platform_, weights_, samples_, std::chrono::seconds(5));
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  recorded.sensitivities = *measured;
  for (Sensitivity& s : recorded.sensitivities) s.error = 0, s.cosine = 1;
  const ErrorBudget budget{.max_error = 0.7 * unlimited->bound.error};
  Selection chosen = widest;
  const auto report = fit_error(chosen, platform_, weights_, samples_, budget,
                                std::chrono::seconds(5), {}, &recorded);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_FALSE(report->in_own_types);
  EXPECT_LE(report->bound.error, budget.max_error);
  EXPECT_GT(report->difference.error, 0);
}

TEST_F(Calibrate, ThereAreNoSensitivitiesToTheOwnTypes) {
  const Selection own = selection({DataType::f32});
  const auto none =
      sensitivities(own.problem, platform_, weights_, samples_, std::chrono::seconds(5));
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_TRUE(none->empty());
}

TEST_F(Calibrate, ErrorsOfALayerByType) {
  const Selection all = selection({DataType::f32, DataType::bf16, DataType::u8, DataType::s8});
  const auto errors =
      layer_errors(all.problem, 2, platform_, weights_, samples_, std::chrono::seconds(5));
  ASSERT_TRUE(errors.ok()) << errors.error().message;
  ASSERT_EQ(errors->size(), 2U);
  std::map<DataType, LayerError> by_type;
  for (const LayerError& error : *errors) by_type[error.type] = error;
  const LayerError &bf16 = by_type.at(DataType::bf16), &int8 = by_type.at(DataType::s8);
  for (const auto part : {&LayerError::weights, &LayerError::sources, &LayerError::result}) {
    EXPECT_GT((bf16.*part).error, 0);
    EXPECT_GT((int8.*part).error, 0);
    EXPECT_LT((int8.*part).error, 0.1);
  }
  EXPECT_GT(int8.weights.error, bf16.weights.error);
}

}  // namespace
}  // namespace convopt::testing
