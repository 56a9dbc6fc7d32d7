#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "convopt/model.hpp"
#include "core/files.h"
#include "model/features.h"
#include "model/train.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

class ModelFile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    profile_ = new Profile(
        synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 40}));
    TrainOptions options;
    options.booster.rounds = 40;
    options.folds = 3;
    auto trained = train(std::span(profile_, 1), options);
    ASSERT_TRUE(trained.ok()) << trained.error().message;
    model_ = trained->release();
  }
  static void TearDownTestSuite() {
    delete model_;
    delete profile_;
  }
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("convopt-model-test-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "model.ubj";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string saved() const {
    EXPECT_TRUE(model_->save(path_).ok());
    auto bytes = read_file(path_);
    EXPECT_TRUE(bytes.ok());
    return *bytes;
  }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }
  void expect_bad_input() const {
    const auto loaded = load_model(path_);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code, ErrorCode::bad_input) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("model.ubj"), std::string::npos)
        << loaded.error().message;
  }

  static Profile* profile_;
  static TrainedModel* model_;
  std::filesystem::path folder_, path_;
};

Profile* ModelFile::profile_ = nullptr;
TrainedModel* ModelFile::model_ = nullptr;

TEST_F(ModelFile, PredictsTheSameBitsAfterLoading) {
  ASSERT_TRUE(model_->save(path_).ok());
  const auto loaded = load_model(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  std::vector<Query> queries;
  for (const Measurement& m : profile_->measurements) {
    for (const PrimitiveInfo& p : profile_->runs[0].primitives) {
      if (p.name == m.primitive) queries.push_back({&m.workload, &p});
    }
  }
  const auto before = model_->predict(queries, synthetic::platform());
  const auto after = (*loaded)->predict(queries, synthetic::platform());
  ASSERT_TRUE(before.ok() && after.ok());
  ASSERT_EQ(before->size(), queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    EXPECT_EQ((*before)[i].ns, (*after)[i].ns);
    EXPECT_EQ((*before)[i].low_ns, (*after)[i].low_ns);
    EXPECT_EQ((*before)[i].high_ns, (*after)[i].high_ns);
    EXPECT_EQ((*before)[i].extrapolated, (*after)[i].extrapolated);
  }
}

TEST_F(ModelFile, KeepsWhatIsKnownAboutItsMaking) {
  ASSERT_TRUE(model_->save(path_).ok());
  const auto loaded = load_model(path_);
  ASSERT_TRUE(loaded.ok());
  const ModelInfo& a = model_->info();
  const ModelInfo& b = (*loaded)->info();
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.platforms, b.platforms);
  EXPECT_EQ(a.primitives, b.primitives);
  EXPECT_EQ(a.timing_mode, b.timing_mode);
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.workloads, b.workloads);
  EXPECT_EQ(a.holdout_mdrae, b.holdout_mdrae);
  EXPECT_EQ(a.interval_coverage, b.interval_coverage);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.libraries, b.libraries);
  EXPECT_TRUE(b.libraries.contains("xgboost"));
  const auto again = TrainedModel::load(path_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->parts().platforms[0].machine.peak_gflops,
            synthetic::platform().machine.peak_gflops);
}

TEST_F(ModelFile, RefusesTruncatedFiles) {
  const std::string bytes = saved();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, bytes.size() / 4,
                                 bytes.size() / 2, bytes.size() - 1}) {
    write(bytes.substr(0, size));
    expect_bad_input();
  }
}

TEST_F(ModelFile, RefusesEveryFlippedByte) {
  const std::string bytes = saved();
  const std::uint64_t seed = 5;
  synthetic::Random random(seed);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = bytes;
    const std::size_t at = random.below(bytes.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 + random.below(255)));
    const auto parsed = TrainedModel::parse(damaged, "it");
    EXPECT_FALSE(parsed.ok()) << "seed " << seed << ", byte " << at;
  }
}

TEST_F(ModelFile, RefusesForeignFiles) {
  write("{\"schema\": \"convopt.plan/1\"}");
  expect_bad_input();
  std::string noise;
  synthetic::Random random(3);
  for (int i = 0; i < 10000; ++i) noise.push_back(static_cast<char>(random.next()));
  write(noise);
  expect_bad_input();
  std::filesystem::remove(path_);
  expect_bad_input();
}

TEST_F(ModelFile, RefusesAnXgboostModelThatIsNotOurs) {
  FeatureMatrix features{2, {1, 2, 3, 4, 5, 6}};
  const Target targets[] = {{1, 1, false}, {2, 1, false}, {3, 1, false}};
  const std::vector<std::string> names = {"a", "b"};
  BoosterParameters parameters;
  parameters.rounds = 3;
  const auto booster = Booster::train(features, targets, names, parameters);
  ASSERT_TRUE(booster.ok()) << booster.error().message;
  const auto bytes = booster->serialize({{"owner", "someone"}});
  ASSERT_TRUE(bytes.ok());
  write(*bytes);
  expect_bad_input();
}

TEST_F(ModelFile, RefusesOtherFeaturesAndOtherSchemas) {
  // Same length, so that only the meaning changes; the checksum is made to fit again.
  const auto reseal = [](std::string bytes) {
    const std::string mark = "convopt-checksum:";
    const std::size_t digits = bytes.find(mark) + mark.size();
    bytes.replace(digits, 16, 16, '0');
    const std::string sum = hex16(hash64(bytes));
    return bytes.replace(digits, 16, sum);
  };
  const std::string bytes = saved();
  ASSERT_EQ(reseal(bytes), bytes);

  std::string renamed = bytes;
  renamed.replace(renamed.find("\"log_ic\""), 8, "\"log_xx\"");
  write(reseal(renamed));
  expect_bad_input();
  EXPECT_NE(load_model(path_).error().message.find("features"), std::string::npos);

  std::string newer = bytes;
  newer.replace(newer.find("convopt.model/4"), 15, "convopt.model/9");
  write(reseal(newer));
  expect_bad_input();
  EXPECT_NE(load_model(path_).error().message.find("convopt.model/9"), std::string::npos);
}

TEST_F(ModelFile, AFailedSaveLeavesTheOldFile) {
  ASSERT_TRUE(model_->save(path_).ok());
  const auto before = read_file(path_);
  // A file where a folder would have to be.
  const auto failed = model_->save(path_ / "model.ubj");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::environment) << failed.error().message;
  EXPECT_EQ(*read_file(path_), *before);
}

TEST(BoosterTest, LowerBoundsOnlyPushUp) {
  // One feature; rows at 1 are bounds of 0 and exact values of 2.
  FeatureMatrix features{1, {}};
  std::vector<Target> targets;
  for (int i = 0; i < 40; ++i) {
    features.values.push_back(1);
    targets.push_back({i % 2 == 0 ? 0.0 : 2.0, 1, i % 2 == 0});
  }
  BoosterParameters parameters;
  parameters.rounds = 200;
  parameters.column_share = 1;
  const std::vector<std::string> names = {"x"};
  const auto booster = Booster::train(features, targets, names, parameters);
  ASSERT_TRUE(booster.ok()) << booster.error().message;
  const auto predicted = booster->predict(features);
  ASSERT_TRUE(predicted.ok());
  EXPECT_NEAR((*predicted)[0], 2, 0.01);
}

TEST(BoosterTest, RefusesOtherColumnCountsAndUnusableTargets) {
  FeatureMatrix features{2, {1, 2, 3, 4}};
  std::vector<Target> targets = {{1, 1, false}, {2, 1, false}};
  const std::vector<std::string> names = {"a", "b"};
  BoosterParameters parameters;
  parameters.rounds = 2;
  auto booster = Booster::train(features, targets, names, parameters);
  ASSERT_TRUE(booster.ok()) << booster.error().message;
  EXPECT_FALSE(booster->predict(FeatureMatrix{1, {1, 2}}).ok());
  EXPECT_FALSE(booster->boost(FeatureMatrix{1, {1, 2}}, targets, parameters).ok());
  targets[1].value = NAN;
  EXPECT_FALSE(Booster::train(features, targets, names, parameters).ok());
  targets[1].value = 2;
  features.values[0] = INFINITY;
  EXPECT_FALSE(Booster::train(features, targets, names, parameters).ok());
}

TEST(BoosterTest, MoreTreesStartFromThoseThere) {
  FeatureMatrix features{1, {}};
  std::vector<Target> first, second;
  for (int i = 0; i < 64; ++i) {
    features.values.push_back(static_cast<float>(i));
    first.push_back({std::sin(0.1 * i), 1, false});
    second.push_back({std::sin(0.1 * i) + 1, 1, false});
  }
  BoosterParameters parameters;
  parameters.rounds = 80;
  parameters.column_share = 1;
  const std::vector<std::string> names = {"x"};
  auto booster = Booster::train(features, first, names, parameters);
  ASSERT_TRUE(booster.ok());
  auto loaded = Booster::deserialize(*booster->serialize({}));
  ASSERT_TRUE(loaded.ok());
  Booster* copy = &loaded->booster;
  ASSERT_TRUE(copy->boost(features, second, parameters).ok());
  const auto before = booster->predict(features), after = copy->predict(features);
  ASSERT_TRUE(before.ok() && after.ok());
  for (std::size_t i = 0; i < 64; i += 7) {
    EXPECT_NEAR((*before)[i], first[i].value, 0.1);
    EXPECT_NEAR((*after)[i], second[i].value, 0.1);
  }
}

}  // namespace
}  // namespace convopt
