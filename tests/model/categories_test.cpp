#include "model/categories.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "core/files.h"
#include "core/names.h"
#include "model/features.h"
#include "model/train.h"
#include "model/transfer.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

// A category in the middle of every table, as if enumerations' ordinals were still the codes.
CategoryCodes with_inserted_categories() {
  CategoryCodes::Tables tables = CategoryCodes::current().tables();
  for (auto& [feature, table] : tables) {
    for (auto& [name, code] : table) code += code >= 2 ? 1 : 0;
    table["inserted"] = 2;
  }
  return *CategoryCodes::create(std::move(tables));
}

// Convolutions whose times hang on their activations in no order that codes could have.
Profile profile_by_activation() {
  Profile profile = synthetic::profile(synthetic::platform(), synthetic::time_function(),
                                       {.shapes = 60, .noise = 0});
  const std::pair<ActivationKind, double> kinds[] = {{ActivationKind::none, 1},
                                                     {ActivationKind::relu, 6},
                                                     {ActivationKind::leaky_relu, 0.3},
                                                     {ActivationKind::tanh, 9},
                                                     {ActivationKind::exp, 0.6}};
  std::size_t number = 0;
  for (Measurement& m : profile.measurements) {
    const auto& [kind, factor] = kinds[number++ / 5 % std::size(kinds)];
    if (m.workload.op != Op::conv) continue;
    m.workload.epilogue.activation.kind = kind;
    m.median_ns *= factor;
  }
  return profile;
}

std::vector<double> predictions(const PerformanceModel& model, const Profile& profile) {
  std::vector<Query> queries;
  for (const Measurement& m : profile.measurements) {
    for (const PrimitiveInfo& p : profile.runs[0].primitives) {
      if (p.name == m.primitive) queries.push_back({&m.workload, &p});
    }
  }
  const auto estimates = model.predict(queries, synthetic::platform());
  EXPECT_TRUE(estimates.ok());
  std::vector<double> result;
  for (const Estimate& estimate : *estimates) result.push_back(estimate.ns);
  return result;
}

TEST(Categories, AFileIsPredictedByItsOwnCodes) {
  const Profile profile = profile_by_activation();
  TrainOptions options;
  options.booster.rounds = 40;
  options.folds = 0;
  const auto path = std::filesystem::temp_directory_path() /
                    ("convopt-categories-test-" + std::to_string(getpid()) + ".ubj");
  std::vector<std::vector<double>> of_codes;
  for (const CategoryCodes& codes : {CategoryCodes::current(), with_inserted_categories()}) {
    const auto data = make_dataset(std::span(&profile, 1), std::nullopt, codes);
    ASSERT_TRUE(data.ok());
    const auto trained = train(*data, options);
    ASSERT_TRUE(trained.ok()) << trained.error().message;
    ASSERT_TRUE((*trained)->save(path).ok());
    const auto loaded = TrainedModel::load(path);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_TRUE((*loaded)->base().parts().codes == codes);
    of_codes.push_back(predictions(**loaded, profile));
  }
  std::filesystem::remove(path);
  EXPECT_EQ(of_codes[0], of_codes[1]);
}

TEST(Categories, SamplesCodedForAnotherModelAreRefused) {
  const Profile profile = profile_by_activation();
  TrainOptions options;
  options.booster.rounds = 2;
  options.folds = 0;
  const auto model = train(std::span(&profile, 1), options);
  ASSERT_TRUE(model.ok());
  const auto data = make_dataset(std::span(&profile, 1), std::nullopt, with_inserted_categories());
  ASSERT_TRUE(data.ok());
  EXPECT_FALSE(Adapter::create((*model)->base(), *data, 1).ok());
}

TEST(Categories, FilesWithoutTablesKeepTheirMeaning) {
  std::string text;
  for (const auto& [feature, table] : CategoryCodes::frozen().tables()) {
    text += feature;
    for (const auto& [name, code] : table) text += ' ' + name + std::to_string(code);
    text += '\n';
  }
  EXPECT_EQ(hex16(hash64(text)), "0ba697e416e2fcdf") << text;
}

TEST(Categories, NewModelsHaveACodeForEverything) {
  const CategoryCodes& codes = CategoryCodes::current();
  const auto expect_code = [&](auto value) {
    EXPECT_TRUE(std::isfinite(codes.of(value))) << to_string(value);
  };
  for_each_value<Op>(expect_code);
  for_each_value<ActivationKind>(expect_code);
  for_each_value<Algorithm>(expect_code);
  for_each_value<Layout>(expect_code);
  for_each_value<DataType>(expect_code);
  // Features of types came after the first tables.
  EXPECT_TRUE(std::isnan(CategoryCodes::frozen().of(DataType::f32)));
  EXPECT_EQ(codes.of_vendor("AuthenticAMD"), 1);
  EXPECT_EQ(codes.of_vendor("GenuineIntel"), 2);
  EXPECT_EQ(codes.of_vendor("ARM Limited"), 3);
  EXPECT_EQ(codes.of_vendor("Apple"), 4);
  EXPECT_EQ(codes.of_vendor("another"), 0);
}

TEST(Categories, ACategoryThatAModelDoesNotKnowIsNotKnown) {
  CategoryCodes::Tables tables = CategoryCodes::current().tables();
  tables["op"].erase("pad");
  const auto codes = CategoryCodes::create(std::move(tables));
  ASSERT_TRUE(codes.ok());
  EXPECT_TRUE(std::isnan(codes->of(Op::pad)));
  EXPECT_EQ(codes->of(Op::conv), 0);
}

TEST(Categories, AmbiguousTablesAreRefused) {
  CategoryCodes::Tables twice = CategoryCodes::current().tables();
  twice["layout"]["nhwc"] = twice["layout"]["nchw"];
  EXPECT_FALSE(CategoryCodes::create(std::move(twice)).ok());
  CategoryCodes::Tables types = CategoryCodes::current().tables();
  types["type"]["bf16"] = types["type"]["f32"];
  EXPECT_FALSE(CategoryCodes::create(std::move(types)).ok());
  CategoryCodes::Tables missing = CategoryCodes::current().tables();
  missing.erase("vendor");
  EXPECT_FALSE(CategoryCodes::create(std::move(missing)).ok());
}

}  // namespace
}  // namespace convopt
