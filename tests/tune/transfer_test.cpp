#include "src/tune/transfer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "model/train.h"
#include "profiler/machine.h"
#include "profiler/store.h"
#include "src/tune/check.h"
#include "src/tune/model_paths.h"
#include "tests/model/synthetic.h"

namespace convopt {
namespace {

TEST(TuneTransfer, AdaptsToAProfileFromAFile) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("convopt-tune-test-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto path = folder / "few.jsonl";
  const Platform target = synthetic::platform("GenuineIntel");
  {
    auto writer = ProfileWriter::open(path);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    const Profile few = synthetic::profile(target, synthetic::time_function(0.5), {.shapes = 10});
    ASSERT_TRUE(writer->write(few.runs[0]).ok());
    for (const Measurement& m : few.measurements) ASSERT_TRUE(writer->write(m).ok());
  }
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 40});
  TrainOptions options;
  options.booster.rounds = 40;
  options.folds = 2;
  const auto source = train(std::span(&profile, 1), options);
  ASSERT_TRUE(source.ok());

  TransferRequest request;
  request.profile = path;
  const auto outcome = transfer(**source, request);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->platform.id(), target.id());
  EXPECT_EQ(outcome->profile_seconds, 0);
  EXPECT_TRUE(outcome->warnings.empty());
  EXPECT_EQ(outcome->transfer.model->info().platforms, std::vector<std::string>{target.id()});

  request.profile = folder / "missing.jsonl";
  EXPECT_FALSE(transfer(**source, request).ok());
  std::filesystem::remove_all(folder);
}

TEST(TuneTransfer, ABudgetTooShortForABusyMachineIsPartial) {
  const auto home =
      std::filesystem::temp_directory_path() / ("convopt-tune-busy-" + std::to_string(getpid()));
  setenv("XDG_DATA_HOME", home.c_str(), 1);
  const Profile profile =
      synthetic::profile(synthetic::platform(), synthetic::time_function(), {.shapes = 20});
  TrainOptions options;
  options.booster.rounds = 10;
  options.folds = 2;
  const auto source = train(std::span(&profile, 1), options);
  ASSERT_TRUE(source.ok());

  TransferRequest request;
  request.context.isa = native_isa();
  request.context.threads = 1;
  request.budget_seconds = 5;
  const auto expect_partial = [&] {
    const auto outcome = transfer(**source, request);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::partial);
    EXPECT_NE(outcome.error().message.find("within 5 s"), std::string::npos)
        << outcome.error().message;
  };
  // The time is over before the worker has started, and before its first time.
  request.measure = [](const auto&, const auto&) { return ProfileSummary{}; };
  expect_partial();
  request.measure = [&](const auto&, const ProfileOptions& asked) -> Result<ProfileSummary> {
    auto writer = ProfileWriter::open(asked.output);
    if (!writer) return writer.error();
    RunHeader header = profile.runs[0];
    header.platform = {machine_facts(), asked.context.isa, asked.context.threads};
    header.timing_mode = asked.timing_mode;
    if (auto written = writer->write(header); !written) return written.error();
    return ProfileSummary{};
  };
  expect_partial();
  std::filesystem::remove_all(home);
  unsetenv("XDG_DATA_HOME");
}

TEST(Places, OneModelPerPlatform) {
  Platform a = synthetic::platform(), b = a;
  b.threads = 2;
  EXPECT_NE(local_model_path(a), local_model_path(b));
  EXPECT_EQ(local_model_path(a).filename().string().find('/'), std::string::npos);
  EXPECT_EQ(local_model_path(a).extension(), ".ubj");
}

std::vector<CheckPoint> points(const std::vector<double>& ratios) {
  std::vector<CheckPoint> result;
  for (const double ratio : ratios) result.push_back({"w", "p", 1000, 1000 * ratio, 1000});
  return result;
}

TEST(Check, ToldApartByHowTimesChange) {
  EXPECT_EQ(compare_times(points({1.01, 0.98, 1.03, 0.99, 1.0}), {}).verdict, Verdict::holds);
  // One disturbed point is no news.
  EXPECT_EQ(compare_times(points({1.01, 0.98, 3.0, 0.99, 1.0}), {}).verdict, Verdict::holds);
  // Of three, one that differs is a third of what is known.
  EXPECT_EQ(compare_times(points({1.0, 1.0, 2.0}), {}).verdict, Verdict::changed);
  EXPECT_EQ(compare_times(points({1.0, 1.02, 0.97}), {}).verdict, Verdict::holds);
  const Check slower = compare_times(points({1.52, 1.5, 1.47, 1.5, 1.49}), {});
  EXPECT_EQ(slower.verdict, Verdict::shifted);
  EXPECT_NEAR(slower.median_ratio, 1.5, 1e-9);
  EXPECT_NEAR(slower.model_mdrae, 1 - 1 / 1.5, 1e-9);
  EXPECT_EQ(compare_times(points({0.5, 1.0, 2.0, 1.4, 0.7}), {}).verdict, Verdict::changed);
  // One or two points hold by chance.
  EXPECT_EQ(compare_times(points({1.0, 1.01}), {}).verdict, Verdict::unknown);
  EXPECT_EQ(compare_times(points({1.7}), {}).verdict, Verdict::unknown);
}

TEST(Check, TakesTheFastestOfConvolutionsOfAllSizes) {
  const Platform here = synthetic::platform();
  const Profile profile = synthetic::profile(here, synthetic::time_function(), {.shapes = 60});
  const auto chosen = points_to_check(profile, here, TimingMode::warm, 10);
  ASSERT_EQ(chosen.size(), 10U);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    EXPECT_EQ(chosen[i]->workload.op, Op::conv);
    EXPECT_GE(chosen[i]->median_ns, chosen[i == 0 ? 0 : i - 1]->median_ns);
    for (const Measurement& m : profile.measurements) {
      if (m.status == MeasurementStatus::ok && m.workload == chosen[i]->workload) {
        EXPECT_GE(m.median_ns, chosen[i]->median_ns);
      }
    }
  }
  EXPECT_GT(chosen.back()->median_ns, 5 * chosen.front()->median_ns);
  EXPECT_TRUE(points_to_check(profile, here, TimingMode::cold_weights, 10).empty());
}

}  // namespace
}  // namespace convopt
