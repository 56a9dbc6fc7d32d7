#include "model/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "model/analytic.h"
#include "model/features.h"
#include "model/statistics.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

TrainOptions quick() {
  TrainOptions options;
  options.booster.rounds = 120;
  options.folds = 4;
  options.threads = 2;
  return options;
}

double mdrae(const PerformanceModel& model, const Profile& truth, const Platform& where) {
  std::vector<Query> queries;
  std::vector<double> measured;
  for (const Measurement& m : truth.measurements) {
    if (m.status != MeasurementStatus::ok) continue;
    for (const PrimitiveInfo& p : truth.runs[0].primitives) {
      if (p.name == m.primitive) queries.push_back({&m.workload, &p});
    }
    measured.push_back(m.median_ns);
  }
  const auto estimates = model.predict(queries, where);
  EXPECT_TRUE(estimates.ok());
  std::vector<double> errors;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    errors.push_back(std::abs((*estimates)[i].ns / measured[i] - 1));
  }
  return statistics::median(errors);
}

TEST(Train, LearnsALawOnShapesItHasNotSeen) {
  const Platform here = synthetic::platform();
  const Profile profile = synthetic::profile(here, synthetic::time_function(), {.shapes = 150});
  const auto model = train(std::span(&profile, 1), quick());
  ASSERT_TRUE(model.ok()) << model.error().message;
  const ModelInfo& info = (*model)->info();
  EXPECT_LT(info.holdout_mdrae, 0.06);
  EXPECT_EQ(info.platforms, std::vector<std::string>{here.id()});
  EXPECT_EQ(info.primitives.size(), 5U);
  EXPECT_GT(info.interval_coverage, 0.82);
  EXPECT_LT(info.interval_coverage, 0.98);
  const Profile unseen =
      synthetic::profile(here, synthetic::time_function(), {.shapes = 60, .seed = 99, .noise = 0});
  EXPECT_LT(mdrae(**model, unseen, here), 0.06);
}

TEST(Train, HoldoutErrorIsNotThatOfRowsLeftOutAtRandom) {
  // Times that depend on nothing but the workload, through a hash: no model can predict unseen
  // shapes, but one that sees other primitives of the same shape could. The reported error must
  // say so.
  const synthetic::TimeFunction hashed = [](const Workload& w, const PrimitiveInfo&) {
    synthetic::Random random(std::hash<std::string>()(w.text()));
    return 1e6 * std::exp(2 * synthetic::gaussian(random));
  };
  const Profile profile = synthetic::profile(synthetic::platform(), hashed, {.shapes = 60});
  const auto model = train(std::span(&profile, 1), quick());
  ASSERT_TRUE(model.ok());
  EXPECT_GT((*model)->info().holdout_mdrae, 0.5);
}

TEST(Train, FoldsNeverSplitAShape) {
  Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 30});
  // The same shapes again with a fused activation: they belong to the fold of the bare ones.
  const std::size_t count = profile.measurements.size();
  for (std::size_t i = 0; i < count; ++i) {
    Measurement fused = profile.measurements[i];
    if (fused.workload.op != Op::conv) continue;
    fused.workload.epilogue.activation.kind = ActivationKind::relu;
    profile.measurements.push_back(fused);
  }
  const auto data = make_dataset(std::span(&profile, 1));
  ASSERT_TRUE(data.ok());
  std::map<std::string, std::set<int>> folds;
  const std::vector<int> fold_of = fold_of_group(*data, 5, 7);
  std::set<int> used;
  for (const Sample& s : data->samples) {
    Workload bare = data->workloads[s.workload];
    bare.epilogue = {};
    folds[bare.text()].insert(fold_of[s.group]);
    used.insert(fold_of[s.group]);
  }
  EXPECT_EQ(used.size(), 5U);
  for (const auto& [workload, of_workload] : folds) {
    EXPECT_EQ(of_workload.size(), 1U) << workload;
  }
  std::map<std::size_t, std::set<std::size_t>> groups_of_conv;
  for (const Sample& s : data->samples) {
    const Workload& w = data->workloads[s.workload];
    EXPECT_EQ(data->groups[s.group], [&] {
      Workload plain = w;
      plain.epilogue = {};
      return plain.text();
    }());
  }
}

TEST(Train, SameInputSameBytes) {
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 40});
  TrainOptions options = quick();
  options.booster.rounds = 30;
  const auto first = train(std::span(&profile, 1), options);
  options.threads = 1;
  const auto second = train(std::span(&profile, 1), options);
  options.seed = 2;
  const auto third = train(std::span(&profile, 1), options);
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ((*first)->info().id, (*second)->info().id);
  EXPECT_NE((*first)->info().id, (*third)->info().id);
}

TEST(Train, CensoredRecordsPullUpwardsOnly) {
  // Most times of the slow primitive are cut short at twice the best. Taken as times, the bounds
  // would make it look twice as slow as the best everywhere; left out, its few fast shapes would
  // stand for all.
  const Platform here = synthetic::platform();
  const synthetic::TimeFunction truth = synthetic::time_function(1, {{"gemm", 6.0}});
  const Profile censored =
      synthetic::profile(here, truth, {.shapes = 120, .noise = 0.01, .censor_above = 2});
  const Profile full = synthetic::profile(here, truth, {.shapes = 120, .noise = 0.01});
  const auto model = train(std::span(&censored, 1), quick());
  ASSERT_TRUE(model.ok());
  int cut = 0, kept_above = 0;
  for (std::size_t i = 0; i < full.measurements.size(); ++i) {
    const Measurement& bound = censored.measurements[i];
    if (bound.status != MeasurementStatus::censored) continue;
    const PrimitiveInfo gemm = synthetic::primitives()[1];
    if (bound.primitive != gemm.name) continue;
    const Query query{&bound.workload, &gemm};
    const auto estimate = (*model)->predict(std::span(&query, 1), here);
    ASSERT_TRUE(estimate.ok());
    ++cut;
    if ((*estimate)[0].ns > 0.8 * bound.median_ns) ++kept_above;
  }
  ASSERT_GT(cut, 50);
  EXPECT_GT(kept_above, cut * 9 / 10);
}

TEST(Train, RefusesMixedTimingModesUnlessOneIsChosen) {
  std::vector<Profile> profiles = {
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 20}),
      synthetic::profile(synthetic::platform(), synthetic::time_function(2),
                         {.shapes = 20, .seed = 2})};
  profiles[1].runs[0].timing_mode = TimingMode::cold_weights;
  const auto mixed = make_dataset(profiles);
  ASSERT_FALSE(mixed.ok());
  EXPECT_EQ(mixed.error().code, ErrorCode::bad_input);
  const auto cold = make_dataset(profiles, TimingMode::cold_weights);
  ASSERT_TRUE(cold.ok());
  EXPECT_EQ(cold->timing_mode, TimingMode::cold_weights);
  EXPECT_LE(cold->samples.size(), profiles[1].measurements.size());
}

TEST(Train, RefusesAProfileWithoutTimes) {
  Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 3});
  for (Measurement& m : profile.measurements) m.status = MeasurementStatus::failed;
  const auto model = train(std::span(&profile, 1), quick());
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::bad_input);
}

TEST(Train, PredictsManyAsItPredictsEach) {
  const Platform here = synthetic::platform();
  const Profile profile = synthetic::profile(here, synthetic::time_function(), {.shapes = 150});
  TrainOptions options = quick();
  options.booster.rounds = 30;
  const auto model = train(std::span(&profile, 1), options);
  ASSERT_TRUE(model.ok());
  std::vector<Query> queries;
  for (const Measurement& m : profile.measurements) {
    for (const PrimitiveInfo& p : profile.runs[0].primitives) {
      if (p.computes(m.workload)) queries.push_back({&m.workload, &p});
    }
  }
  ASSERT_GT(queries.size(), 1000U);  // several parts
  const auto together = (*model)->predict(queries, here);
  ASSERT_TRUE(together.ok());
  for (std::size_t i = 0; i < queries.size(); i += 13) {
    const auto alone = (*model)->predict(std::span(&queries[i], 1), here);
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(alone->front().ns, (*together)[i].ns) << i;
    EXPECT_EQ(alone->front().high_ns, (*together)[i].high_ns) << i;
  }
}

TEST(Train, SaysWhichWorkloadsAndPrimitivesAreNew) {
  const Platform here = synthetic::platform();
  const Profile profile = synthetic::profile(here, synthetic::time_function(), {.shapes = 80});
  TrainOptions options = quick();
  options.booster.rounds = 30;
  const auto model = train(std::span(&profile, 1), options);
  ASSERT_TRUE(model.ok());
  const Workload usual = synthetic::conv(64, 28, 64, 3, 1);
  const Workload huge = synthetic::conv(2048, 28, 64, 3, 1);
  const PrimitiveInfo known = synthetic::primitives()[0];
  const PrimitiveInfo stranger =
      synthetic::primitive("stranger", Algorithm::direct, Layout::nChw16c, 16, 28);
  const Query queries[] = {{&usual, &known}, {&huge, &known}, {&usual, &stranger}};
  const auto estimates = (*model)->predict(queries, here);
  ASSERT_TRUE(estimates.ok());
  EXPECT_FALSE((*estimates)[0].extrapolated);
  EXPECT_TRUE((*estimates)[1].extrapolated);
  EXPECT_TRUE((*estimates)[2].extrapolated);
  for (const Estimate& e : *estimates) {
    EXPECT_LE(e.low_ns, e.ns);
    EXPECT_GE(e.high_ns, e.ns);
  }
  // Its traits are those of a known one, so that its time should be near as well.
  EXPECT_NEAR((*estimates)[2].ns / (*estimates)[0].ns, 1, 0.5);
  // Far outside, the analytic time carries on: 32 times the work takes much longer.
  EXPECT_GT((*estimates)[1].ns, 8 * (*estimates)[0].ns);
}

PrimitiveInfo of_bf16(const PrimitiveInfo& info) {
  return synthetic::of_type(info, DataType::bf16);
}

TEST(Train, AModelOfF32ExpectsOfBf16WhatTheMachineDoes) {
  Platform here = synthetic::platform();
  here.machine.peak_bf16_gflops = 3 * here.machine.peak_gflops;
  const Profile profile = synthetic::profile(here, synthetic::time_function(), {.shapes = 80});
  TrainOptions options = quick();
  options.booster.rounds = 30;
  const auto model = train(std::span(&profile, 1), options);
  ASSERT_TRUE(model.ok());
  const Workload single = synthetic::conv(256, 28, 256, 3, 1);
  const Workload half = single.of_type(DataType::bf16);
  const PrimitiveInfo direct = synthetic::primitives()[0], typed = of_bf16(direct);
  const Query queries[] = {{&single, &direct}, {&half, &typed}};
  const auto estimates = (*model)->predict(queries, here);
  ASSERT_TRUE(estimates.ok());
  EXPECT_TRUE((*estimates)[1].extrapolated);
  const double gain = (*estimates)[0].ns / (*estimates)[1].ns;
  EXPECT_GT(gain, 1.5);
  EXPECT_LT(gain, 6);
}

TEST(Train, TypesAreLearnt) {
  const Profile single =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 100});
  // Slower than f32, whatever the machine promises.
  Profile all = single;
  synthetic::add_type(all, DataType::bf16, 3);
  Profile int8 = single;
  synthetic::add_type(int8, DataType::s8, 5);
  int8.measurements.erase(int8.measurements.begin(),
                          int8.measurements.begin() + std::ssize(single.measurements));
  const Profile profiles[] = {all, int8};
  const auto model = train(profiles, quick());
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ((*model)->models().size(), 3U);
  const Workload workload = synthetic::conv(64, 28, 64, 3, 1);
  const Workload half = workload.of_type(DataType::bf16), quarter = workload.of_type(DataType::s8);
  const PrimitiveInfo direct = synthetic::primitives()[0], typed = of_bf16(direct),
                      quantised = synthetic::of_type(direct, DataType::s8);
  const Query queries[] = {{&half, &typed}, {&quarter, &quantised}, {&workload, &direct}};
  const auto estimates = (*model)->predict(queries, synthetic::platform());
  ASSERT_TRUE(estimates.ok());
  EXPECT_NEAR((*estimates)[0].ns / (*estimates)[2].ns, 3, 0.5);
  EXPECT_NEAR((*estimates)[1].ns / (*estimates)[2].ns, 5, 0.8);
  for (const Estimate& estimate : *estimates) EXPECT_FALSE(estimate.extrapolated);
}

std::vector<Query> queries_of(const Profile& profile) {
  std::vector<Query> queries;
  for (const Measurement& m : profile.measurements) {
    for (const PrimitiveInfo& p : profile.runs[0].primitives) {
      if (p.name == m.primitive) queries.push_back({&m.workload, &p});
    }
  }
  return queries;
}

TEST(Train, OtherTypesDoNotChangeWhatIsExpectedOfF32) {
  const Profile single =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 40});
  Profile more = synthetic::profile(synthetic::platform(), synthetic::time_function(0.5),
                                    {.shapes = 40, .seed = 2});
  const std::size_t of_f32 = more.measurements.size();
  synthetic::add_type(more, DataType::bf16, 7);
  more.measurements.erase(more.measurements.begin(),
                          more.measurements.begin() + static_cast<std::ptrdiff_t>(of_f32));
  TrainOptions options = quick();
  options.booster.rounds = 40;
  // Before those of f32, so that they also come first in every list.
  const Profile both[] = {more, single};
  const auto alone = train(std::span(&single, 1), options), beside = train(both, options);
  ASSERT_TRUE(alone.ok() && beside.ok());
  EXPECT_NE((*alone)->info().id, (*beside)->info().id);
  const std::vector<Query> queries = queries_of(single);
  const auto expected = (*alone)->predict(queries, synthetic::platform()),
             same = (*beside)->predict(queries, synthetic::platform());
  ASSERT_TRUE(expected.ok() && same.ok());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    EXPECT_EQ((*expected)[i].ns, (*same)[i].ns);
    EXPECT_EQ((*expected)[i].low_ns, (*same)[i].low_ns);
    EXPECT_EQ((*expected)[i].high_ns, (*same)[i].high_ns);
  }
}

TEST(Train, AFormerModelKeepsItsBaseAndTypesThatAreNotLearntAgain) {
  const Profile single =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 60});
  const auto of_type = [&](DataType type, double factor) {
    Profile profile = single;
    synthetic::add_type(profile, type, factor);
    profile.measurements.erase(profile.measurements.begin(),
                               profile.measurements.begin() + std::ssize(single.measurements));
    return profile;
  };
  const Profile half = of_type(DataType::bf16, 3), slow = of_type(DataType::s8, 5),
                fast = of_type(DataType::s8, 0.5);
  const Profile before[] = {single, half, slow};
  const auto former = train(before, quick());
  ASSERT_TRUE(former.ok()) << former.error().message;
  // Times of f32 that no longer hold.
  const Profile after[] = {
      synthetic::profile(synthetic::platform(), synthetic::time_function(9), {.shapes = 60}), fast};
  TrainOptions options = quick();
  options.former = former->get();
  const auto model = train(after, options);
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ((*model)->models().size(), 3U);
  EXPECT_NE((*model)->info().id, (*former)->info().id);
  EXPECT_EQ((*model)->info().samples, (*former)->info().samples);
  const auto ns = [](const TrainedModel& of, const Profile& profile) {
    const auto queries = queries_of(profile);
    const auto estimates = of.predict(queries, synthetic::platform());
    std::vector<double> result;
    for (const Estimate& estimate : *estimates) result.push_back(estimate.ns);
    return result;
  };
  EXPECT_EQ(ns(**model, single), ns(**former, single));
  EXPECT_EQ(ns(**model, half), ns(**former, half));
  EXPECT_LT(mdrae(**model, fast, synthetic::platform()), 0.1);
  EXPECT_GT(mdrae(**former, fast, synthetic::platform()), 1);

  const auto nothing = train(std::span(&single, 1), options);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, ErrorCode::bad_input);
}

TEST(Train, ASingleTypeOtherThanF32IsTheBase) {
  Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 60});
  const std::size_t of_f32 = profile.measurements.size();
  synthetic::add_type(profile, DataType::bf16, 1);
  profile.measurements.erase(profile.measurements.begin(),
                             profile.measurements.begin() + static_cast<std::ptrdiff_t>(of_f32));
  const auto model = train(std::span(&profile, 1), quick());
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->base_type(), DataType::bf16);
  EXPECT_LT(mdrae(**model, profile, synthetic::platform()), 0.06);
}

TEST(Analytic, ProductsTakeTheTimeOfTheirType) {
  Platform here = synthetic::platform();
  const PrimitiveInfo direct = synthetic::primitives()[0];
  const auto compute_ns = [&](const PrimitiveInfo& info) {
    const WorkEstimate work = estimate_work(synthetic::conv(512, 7, 512, 3, 1), info, 16);
    return analytic_time(work, Capabilities::of(here), TimingMode::warm).compute_ns;
  };
  // Unknown, it is taken for as many times that of f32 as fit into a vector.
  const PrimitiveInfo bf16 = of_bf16(direct), int8 = synthetic::of_type(direct, DataType::s8);
  EXPECT_DOUBLE_EQ(compute_ns(direct), 2 * compute_ns(bf16));
  EXPECT_DOUBLE_EQ(compute_ns(direct), 4 * compute_ns(int8));
  here.machine.peak_bf16_gflops = 5 * here.machine.peak_gflops;
  here.machine.peak_int8_gops = 12 * here.machine.peak_gflops;
  EXPECT_DOUBLE_EQ(compute_ns(direct), 5 * compute_ns(bf16));
  EXPECT_DOUBLE_EQ(compute_ns(direct), 12 * compute_ns(int8));
  // Vector registers hold no more numbers for that.
  PrimitiveInfo bf16_vectors = bf16, int8_vectors = int8;
  bf16_vectors.traits.vector_products = int8_vectors.traits.vector_products = true;
  EXPECT_DOUBLE_EQ(compute_ns(direct), 2 * compute_ns(bf16_vectors));
  EXPECT_DOUBLE_EQ(compute_ns(direct), 4 * compute_ns(int8_vectors));
}

TEST(Analytic, IsPositiveAndFiniteForEverythingAndForUnknownMachines) {
  Platform unknown;
  unknown.threads = 0;
  const Workload workloads[] = {synthetic::conv(1, 1, 1, 1, 1),
                                synthetic::conv(4096, 7, 4096, 3, 1),
                                Workload::fully_connected(1, 4096, 1000),
                                Workload::pointwise(Op::convert, {1, 3, 224, 224}),
                                Workload::pointwise(Op::softmax, {1, 1000, 1, 1}),
                                Workload::lrn({1, 64, 27, 27}, 5),
                                Workload::concat({1, 256, 28, 28}, {64, 128, 32, 32}),
                                Workload::upsample(Op::upsample_bilinear, {1, 64, 28, 28}, 2, 2)};
  for (const Platform& where : {unknown, synthetic::platform()}) {
    const Capabilities machine = Capabilities::of(where);
    for (const Workload& workload : workloads) {
      for (PrimitiveInfo primitive : synthetic::primitives()) {
        primitive.op = workload.op;
        for (const TimingMode mode : {TimingMode::warm, TimingMode::cold_weights}) {
          FeatureInput input{&workload, &primitive, &where, &machine, &CategoryCodes::current(),
                             {},        {}};
          input.work = estimate_work(workload, primitive, machine.vector);
          input.time = analytic_time(input.work, machine, mode);
          EXPECT_GT(input.time.ns, 0) << workload.text();
          EXPECT_LT(input.time.ns, 1e13) << workload.text();
          std::vector<float> row(feature_names().size());
          write_features(input, row);
          for (std::size_t i = 0; i < row.size(); ++i) {
            if (i >= row.size() - kPriorColumns) continue;
            EXPECT_TRUE(std::isfinite(row[i])) << feature_names()[i] << " of " << workload.text();
          }
        }
      }
    }
  }
}

TEST(Analytic, WinogradMultipliesLessAndTilesAreWastedOnSmallImages) {
  const auto primitives = synthetic::primitives();
  const Workload large = synthetic::conv(64, 56, 64, 3, 1);
  const WorkEstimate direct = estimate_work(large, primitives[0], 16);
  const WorkEstimate winograd = estimate_work(large, primitives[3], 16);
  EXPECT_DOUBLE_EQ(direct.flops, large.shape.flops());
  // F(4,3): 36 multiplications instead of 144 for each tile of 16 outputs, and no waste at 56.
  EXPECT_NEAR(winograd.flops, large.shape.flops() / 4, 0.02 * large.shape.flops());
  EXPECT_GT(winograd.transform_flops, 0);
  EXPECT_DOUBLE_EQ(winograd.fill, 1);
  const WorkEstimate small = estimate_work(synthetic::conv(64, 5, 64, 3, 1), primitives[3], 16);
  EXPECT_DOUBLE_EQ(small.fill, 25.0 / 64);
  // 28 pixels at a time, of rows of 5.
  EXPECT_DOUBLE_EQ(estimate_work(synthetic::conv(64, 5, 64, 3, 1), primitives[0], 16).fill,
                   5.0 / 28);
}

TEST(Analytic, ColdWeightsCostMemoryTime) {
  const Capabilities machine = Capabilities::of(synthetic::platform());
  const WorkEstimate work =
      estimate_work(synthetic::conv(512, 7, 512, 3, 1), synthetic::primitives()[0], 16);
  EXPECT_GT(analytic_time(work, machine, TimingMode::cold_weights).memory_ns,
            2 * analytic_time(work, machine, TimingMode::warm).memory_ns);
}

TEST(Statistics, MedianQuantileAndRankCorrelation) {
  EXPECT_EQ(statistics::median({}), 0);
  EXPECT_EQ(statistics::median({3, 1, 2}), 2);
  EXPECT_EQ(statistics::median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(statistics::weighted_quantile({{1, 1}, {2, 1}, {3, 8}}, 0.5), 3);
  EXPECT_EQ(statistics::weighted_quantile({{1, 1}, {2, 1}, {3, 8}}, 0.1), 1);
  const double a[] = {1, 2, 3, 4}, b[] = {10, 100, 1000, 10000}, c[] = {4, 3, 2, 1},
               d[] = {1, 1, 1, 1};
  EXPECT_DOUBLE_EQ(statistics::spearman(a, b), 1);
  EXPECT_DOUBLE_EQ(statistics::spearman(a, c), -1);
  EXPECT_DOUBLE_EQ(statistics::spearman(a, d), 0);
}

TEST(IntervalsTest, APrimitiveThatErrsMoreHasWiderOnes) {
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 80});
  const auto data = make_dataset(std::span(&profile, 1));
  ASSERT_TRUE(data.ok());
  const std::vector<std::size_t> rows = data->all_rows();
  const std::string steady = synthetic::primitives()[0].name;
  synthetic::Random random(5);
  std::vector<double> errors;
  for (const std::size_t row : rows) {
    const bool is_steady = data->primitives[data->samples[row].primitive].name == steady;
    errors.push_back((is_steady ? 0.05 : 0.25) * synthetic::gaussian(random));
  }
  const Intervals intervals = Intervals::fit(*data, rows, errors);
  const auto width = [&](const PrimitiveInfo& primitive) {
    return intervals.of(primitive).high - intervals.of(primitive).low;
  };
  EXPECT_GT(width(synthetic::primitives()[1]), 2 * width(synthetic::primitives()[0]));
  const std::vector<int> folds = fold_of_group(*data, 5, 1);
  EXPECT_NEAR(Intervals::coverage(*data, rows, errors, folds, 5), 0.9, 0.05);
  // One that was never seen is taken for a usual one.
  PrimitiveInfo unseen = synthetic::primitives()[0];
  unseen.name = "unseen";
  EXPECT_GT(width(unseen), width(synthetic::primitives()[0]));
  EXPECT_LT(width(unseen), width(synthetic::primitives()[1]));
}

}  // namespace
}  // namespace convopt
