#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "convopt/model.hpp"
#include "core/files.h"
#include "model/booster.h"
#include "model/features.h"
#include "model/model_file.h"
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
  // The checksum is made to fit again.
  static std::string resealed(std::string bytes) {
    const std::string sum = model_checksum(bytes);
    return bytes.replace(kModelChecksumAt, sum.size(), sum);
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
  EXPECT_EQ((*again)->base().parts().platforms[0].machine.peak_gflops,
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

TEST_F(ModelFile, RefusesOtherFeaturesAndOtherSchemas) {
  // Same length, so that only the meaning changes.
  std::string renamed = saved();
  ASSERT_EQ(resealed(renamed), renamed);
  renamed.replace(renamed.find("\"log_ic\""), 8, "\"log_xx\"");
  write(resealed(renamed));
  expect_bad_input();
  EXPECT_NE(load_model(path_).error().message.find("'log_xx'"), std::string::npos);

  std::string newer = saved();
  newer.replace(newer.find("convopt.model/5"), 15, "convopt.model/9");
  write(newer);
  expect_bad_input();
  EXPECT_NE(load_model(path_).error().message.find("convopt.model/9"), std::string::npos);
}

TEST_F(ModelFile, FormerFilesPredictWhatTheyDid) {
  const std::filesystem::path path = CONVOPT_SOURCE_DIR "/tests/model/former.ubj";
  const auto loaded = load_model(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  // As the version that wrote it printed them.
  const double expected[] = {441398.0620759115, 998790.18515075359, 858146.96399228717,
                             434589.83969722077, 12780.500204810951};
  const Workload conv = synthetic::conv(64, 28, 64, 3, 1);
  const Workload moved = Workload::pointwise(Op::convert, conv.input());
  const std::vector<PrimitiveInfo> primitives = synthetic::primitives();
  std::vector<Query> queries;
  for (const PrimitiveInfo& primitive : primitives) {
    queries.push_back({primitive.op == Op::conv ? &conv : &moved, &primitive});
  }
  const Workload half = conv.of_type(DataType::bf16);
  const PrimitiveInfo typed = synthetic::of_type(primitives[0], DataType::bf16);
  queries.push_back({&half, &typed});
  const auto estimates = (*loaded)->predict(queries, synthetic::platform());
  ASSERT_TRUE(estimates.ok()) << estimates.error().message;
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_NEAR((*estimates)[i].ns / expected[i], 1, 1e-12) << primitives[i].name;
  }
  EXPECT_NEAR((*estimates)[5].ns / 251261.93096611669, 1, 1e-12);
  // It knows one peak for each type.
  Platform matrices = synthetic::platform();
  matrices.machine.peak_bf16_gflops = 8 * matrices.machine.peak_gflops;
  PrimitiveInfo in_vectors = typed;
  in_vectors.traits.vector_products = true;
  const Query units[] = {{&half, &typed}, {&half, &in_vectors}};
  const auto former = (*loaded)->predict(units, matrices), today = model_->predict(units, matrices);
  ASSERT_TRUE(former.ok() && today.ok());
  EXPECT_EQ((*former)[0].ns, (*former)[1].ns);
  EXPECT_LT((*today)[0].ns, (*today)[1].ns);
  EXPECT_NEAR((*estimates)[0].low_ns / 72498.492107076381, 1, 1e-12);
  EXPECT_NEAR((*estimates)[0].high_ns / 784540.11535880563, 1, 1e-12);
}

TEST_F(ModelFile, RefusesDamagedFormerFiles) {
  const auto bytes = read_file(CONVOPT_SOURCE_DIR "/tests/model/former.ubj");
  ASSERT_TRUE(bytes.ok());
  synthetic::Random random(6);
  for (int i = 0; i < 100; ++i) {
    std::string damaged = *bytes;
    const std::size_t at = random.below(bytes->size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 + random.below(255)));
    EXPECT_FALSE(TrainedModel::parse(damaged, "it").ok()) << "byte " << at;
    EXPECT_FALSE(TrainedModel::parse(bytes->substr(0, at), "it").ok()) << "size " << at;
  }
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
  const auto trees = train_trees(features, targets, names, parameters);
  ASSERT_TRUE(trees.ok()) << trees.error().message;
  const auto predicted = trees->predict(features);
  ASSERT_TRUE(predicted.ok());
  EXPECT_NEAR((*predicted)[0], 2, 0.01);
}

TEST(BoosterTest, RefusesOtherColumnCountsAndUnusableTargets) {
  FeatureMatrix features{2, {1, 2, 3, 4}};
  std::vector<Target> targets = {{1, 1, false}, {2, 1, false}};
  const std::vector<std::string> names = {"a", "b"};
  BoosterParameters parameters;
  parameters.rounds = 2;
  auto trees = train_trees(features, targets, names, parameters);
  ASSERT_TRUE(trees.ok()) << trees.error().message;
  EXPECT_FALSE(trees->predict(FeatureMatrix{1, {1, 2}}).ok());
  EXPECT_FALSE(boost(*trees, FeatureMatrix{1, {1, 2}}, targets, parameters).ok());
  targets[1].value = NAN;
  EXPECT_FALSE(train_trees(features, targets, names, parameters).ok());
  targets[1].value = 2;
  features.values[0] = INFINITY;
  EXPECT_FALSE(train_trees(features, targets, names, parameters).ok());
}

TEST(BoosterTest, ReadsItsFeaturesFromRowsOfMore) {
  const FeatureMatrix features{2, {1, 5, 2, 5, 3, 7, 4, 7}};
  const Target targets[] = {{1, 1, false}, {2, 1, false}, {3, 1, false}, {4, 1, false}};
  const std::vector<std::string> names = {"a", "b"}, more = {"b", "new", "a"};
  BoosterParameters parameters;
  parameters.rounds = 20;
  parameters.min_child_weight = 0;
  const auto trees = train_trees(features, targets, names, parameters);
  ASSERT_TRUE(trees.ok()) << trees.error().message;
  const std::string bytes = trees->encode();
  auto loaded = Trees::decode(bytes, names, more);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const auto own = trees->predict(features);
  const FeatureMatrix wide{3, {5, 9, 1, 5, 9, 2, 7, 9, 3, 7, 9, 4}};
  const auto chosen = loaded->predict(wide);
  ASSERT_TRUE(own.ok() && chosen.ok());
  EXPECT_EQ(*chosen, *own);
  EXPECT_NE((*own)[0], (*own)[3]);
  EXPECT_TRUE(boost(*loaded, wide, {targets, targets + 4}, parameters).ok());
  EXPECT_FALSE(loaded->predict(features).ok());
  const std::vector<std::string> fewer = {"a", "new"};
  const auto refused = Trees::decode(bytes, names, fewer);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("'b'"), std::string::npos) << refused.error().message;
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
  const auto trees = train_trees(features, first, names, parameters);
  ASSERT_TRUE(trees.ok());
  Trees more = *trees;
  ASSERT_TRUE(boost(more, features, second, parameters).ok());
  const auto before = trees->predict(features), after = more.predict(features);
  ASSERT_TRUE(before.ok() && after.ok());
  for (std::size_t i = 0; i < 64; i += 7) {
    EXPECT_NEAR((*before)[i], first[i].value, 0.1);
    EXPECT_NEAR((*after)[i], second[i].value, 0.1);
  }
}

TEST(TreesTest, RowsGoWhereTheSplitsSay) {
  // The right child first, and a missing value to the left in the root alone.
  const TreeNode nodes[] = {{.value = 2, .feature = 0, .missing_left = true, .left = 2, .right = 1},
                            {.value = 5, .feature = 1, .left = 3, .right = 4},
                            {.leaf = true, .value = 10},
                            {.leaf = true, .value = 20},
                            {.leaf = true, .value = 40}};
  Trees trees({"a", "b"});
  ASSERT_TRUE(trees.add(nodes).ok());
  ASSERT_TRUE(trees.add(std::array{TreeNode{.leaf = true, .value = 1}}).ok());
  const FeatureMatrix rows{2, {1.9F, 9, 2, 4.9F, 2, 5, NAN, 9, 3, NAN}};
  const std::vector<float> expected = {11, 21, 41, 11, 41};
  EXPECT_EQ(*trees.predict(rows), expected);
  const std::vector<std::string> names = {"a", "b"};
  EXPECT_EQ(*Trees::decode(trees.encode(), names, names)->predict(rows), expected);
}

TEST(TreesTest, RowsDoNotDependOnTheirNeighbours) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> number(0, 1);
  Trees trees({"a", "b", "c"});
  for (int t = 0; t < 20; ++t) {
    // A chain: walks end at any depth.
    std::vector<TreeNode> nodes;
    for (std::uint32_t depth = 0; depth < 10; ++depth) {
      const std::uint32_t leaf = 2 * depth + 1, next = 2 * depth + 2;
      const bool leaf_left = random() % 2 == 0;
      nodes.push_back({.value = number(random),
                       .feature = static_cast<std::uint32_t>(random() % 3),
                       .missing_left = random() % 2 == 0,
                       .left = leaf_left ? leaf : next,
                       .right = leaf_left ? next : leaf});
      nodes.push_back({.leaf = true, .value = number(random)});
    }
    nodes.push_back({.leaf = true, .value = number(random)});
    ASSERT_TRUE(trees.add(nodes).ok());
  }
  FeatureMatrix rows{3, {}};
  for (int i = 0; i < 3 * 45; ++i) rows.values.push_back(i % 7 == 0 ? NAN : number(random));
  const auto together = trees.predict(rows);
  ASSERT_TRUE(together.ok());
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const auto values = rows.row(row);
    EXPECT_EQ(trees.predict({3, {values.begin(), values.end()}})->front(), (*together)[row]);
  }
}

TEST(TreesTest, RefusesWhatIsNoTree) {
  const auto add = [](std::vector<TreeNode> nodes) { return Trees({"a"}).add(nodes).ok(); };
  const TreeNode leaf{.leaf = true};
  EXPECT_TRUE(add({{.left = 1, .right = 2}, leaf, leaf}));
  EXPECT_FALSE(add({}));
  EXPECT_FALSE(add({{.left = 0, .right = 0}}));
  EXPECT_FALSE(add({{.left = 1, .right = 7}, leaf, leaf}));
  EXPECT_FALSE(add({{.feature = 1, .left = 1, .right = 2}, leaf, leaf}));
}

TEST(TreesTest, AnyBytesAreSafe) {
  const std::vector<std::string> names = {"a"};
  Trees trees(names);
  const TreeNode leaf{.leaf = true, .value = 1};
  ASSERT_TRUE(trees.add(std::array{TreeNode{.left = 1, .right = 2}, leaf, leaf}).ok());
  const std::string bytes = trees.encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Trees::decode(bytes.substr(0, size), names, names).ok()) << size;
  }
  EXPECT_FALSE(Trees::decode(bytes + '\0', names, names).ok());
  // What is still one can be walked through: a cycle would not end.
  const FeatureMatrix rows{1, {-1, 0, 1, NAN}};
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const auto decoded = Trees::decode(damaged, names, names);
      if (decoded) {
        EXPECT_TRUE(decoded->predict(rows).ok());
      }
    }
  }
}

}  // namespace
}  // namespace convopt
