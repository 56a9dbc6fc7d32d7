// Planning and measuring by the public interface alone, as a program would.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <convopt/convopt.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace convopt {
namespace {

constexpr const char* kSmallNetwork =
    R"({"schema": "convopt.network/1", "name": "small", "source": "a test",
  "input": {"name": "x", "shape": [1, 16, 20, 20]},
  "operators": [
    {"name": "c1", "op": "conv", "oc": 32, "kernel": 3, "padding": 1},
    {"name": "r1", "op": "relu"},
    {"name": "c2", "op": "conv", "oc": 16, "kernel": 3, "padding": 1}]})";

/// In a folder of its own.
class PlanningTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ =
        std::filesystem::temp_directory_path() / ("convopt-planning-" + std::to_string(getpid()));
    if (const char* const home = std::getenv("XDG_DATA_HOME")) home_ = home;
    setenv("XDG_DATA_HOME", folder_.c_str(), 1);
    auto network = parse_network(kSmallNetwork, "small.json");
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_ = std::move(*network);
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(folder_);
    home_.empty() ? unsetenv("XDG_DATA_HOME") : setenv("XDG_DATA_HOME", home_.c_str(), 1);
  }

  void SetUp() override {
    options_.threads = 1;
    options_.rates = MachineRates::measured;
    options_.messages.note = [this](const std::string& sentence) { notes_.push_back(sentence); };
    options_.messages.warn = options_.messages.note;
  }

  InputSamples samples() const {
    NpyArray array{{3, 16, 20, 20}, std::vector<float>(3 * 16 * 20 * 20)};
    for (std::size_t i = 0; i < array.values.size(); ++i)
      array.values[i] = std::sin(static_cast<float>(i));
    return {{"x", array}};
  }

  static inline std::filesystem::path folder_;
  static inline std::string home_;
  static inline Network network_;
  PlanOptions options_;
  std::vector<std::string> notes_;
};

TEST_F(PlanningTest, WritesNothing) {
  options_.rates = MachineRates::stored;
  const auto refused = plan_network(network_, options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::environment);
  EXPECT_TRUE(notes_.empty());

  options_.rates = MachineRates::measured;
  const auto plan = plan_network(network_, options_);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(std::ranges::count(plan->layers, "conv", &PlanLayer::op), 2);
  EXPECT_FALSE(plan->model.empty());
  EXPECT_NE(std::ranges::find(notes_,
                              "measuring this machine's peak and bandwidths, once, for about a "
                              "second"),
            notes_.end());
  EXPECT_FALSE(std::filesystem::exists(folder_));
  // Once per process.
  notes_.clear();
  ASSERT_TRUE(plan_network(network_, options_).ok());
  for (const std::string& note : notes_) EXPECT_FALSE(note.starts_with("measuring")) << note;
}

TEST_F(PlanningTest, WarnsOfRatesThatCannotBeStored) {
  setenv("XDG_DATA_HOME", "/dev/null/data", 1);
  const auto platform = measured_platform(options_.isa, 1, MachineRates::kept, options_.messages);
  setenv("XDG_DATA_HOME", folder_.c_str(), 1);
  ASSERT_TRUE(platform.ok()) << platform.error().message;
  EXPECT_GT(platform->machine.peak_gflops, 0);
  ASSERT_EQ(notes_.size(), 2U);
  EXPECT_NE(notes_[1].find("are not stored"), std::string::npos);
  EXPECT_NE(notes_[1].find("/dev/null/data"), std::string::npos);
}

TEST_F(PlanningTest, APlannerWarnsOfRatesThatCannotBeStored) {
  PlannerOptions options;
  options.threads = 1;
  options.model = CONVOPT_SOURCE_DIR "/data/models/default.ubj";
  options.measure_machine = true;
  options.messages = options_.messages;
  setenv("XDG_DATA_HOME", "/dev/null/data", 1);
  const auto planner = Planner::create(options);
  setenv("XDG_DATA_HOME", folder_.c_str(), 1);
  ASSERT_TRUE(planner.ok()) << planner.error().message;
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_NE(notes_[0].find("are not stored"), std::string::npos);
}

TEST_F(PlanningTest, KeepsLimits) {
  options_.allow = {"im2col"};
  const auto plan = plan_network(network_, options_);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  // Whether the activation is fused depends on what this machine measured of itself.
  int convolutions = 0;
  for (const PlanLayer& layer : plan->layers) {
    if (layer.op != "conv") continue;
    ++convolutions;
    EXPECT_EQ(layer.family, "im2col");
  }
  EXPECT_EQ(convolutions, 2);
  options_.max_memory = 1000;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::environment);
  options_ = {};
  options_.threads = 100000;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::usage);
  options_.threads = 1;
  options_.min_cosine = 0.9;
  EXPECT_NE(plan_network(network_, options_).error().message.find("no effect"), std::string::npos);
}

TEST_F(PlanningTest, RefusesLimitsThatAreNone) {
  const auto refusal = [&] {
    const auto plan = plan_network(network_, options_);
    if (plan) return std::string("a plan");
    EXPECT_EQ(plan.error().code, ErrorCode::usage);
    return plan.error().message;
  };
  options_.precision = Precision::bf16;
  options_.max_error = -1;
  EXPECT_EQ(refusal(), "--max-error -1 is not a number above zero");
  options_.max_error = std::nan("");
  EXPECT_EQ(refusal(), "--max-error nan is not a number above zero");
  options_.max_error = 0;
  for (const double value : {-1.0, std::nan("")}) {
    options_.max_output_error = value;
    EXPECT_NE(refusal().find("is not a number above zero"), std::string::npos);
  }
  options_.max_output_error = 0;
  EXPECT_NE(refusal().find("--max-output-error 0 admits no difference"), std::string::npos);
  options_.max_output_error = 0.1;
  for (const double value : {2.0, -0.5, std::nan("")}) {
    options_.min_cosine = value;
    EXPECT_NE(refusal().find("is not a number from 0 to 1, as a cosine is"), std::string::npos);
  }
  options_.min_cosine = 1;
  EXPECT_NE(refusal().find("--min-cosine 1 admits no difference"), std::string::npos);

  const auto batch = load_network(CONVOPT_SOURCE_DIR "/data/networks/squeezenet1_1.json", -1);
  ASSERT_FALSE(batch.ok());
  EXPECT_EQ(batch.error().message, "--batch -1 is not an integer from 1");
  EXPECT_EQ(batch.error().code, ErrorCode::usage);
}

TEST_F(PlanningTest, CalibratesForInt8) {
  options_.precision = Precision::int8;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::usage);
  const auto calibration = calibrate_network(network_, samples(), options_);
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_EQ(calibration->samples, 3U);
  EXPECT_GT(calibration->tensors.size(), 2U);
  options_.calibration = *calibration;
  const auto plan = plan_network(network_, options_);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  // Ranges from samples are the same.
  options_.calibration.reset();
  options_.calibrate = samples();
  const auto measured = plan_network(network_, options_);
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  ASSERT_TRUE(measured->accuracy.has_value());
  EXPECT_EQ(measured->accuracy->samples, 3U);
  EXPECT_EQ(measured->scales.size(), plan->scales.size());

  options_.calibrate[0].first = "y";
  EXPECT_EQ(plan_network(network_, options_).error().message,
            "the network has no input 'y', only 'x'");
  options_.calibrate[0] = {"x", {{2, 2}, {1, 2, 3, 4}}};
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::bad_input);
}

TEST_F(PlanningTest, RecordsSensitivities) {
  const auto noted = [&](std::string_view part) {
    const bool found = std::ranges::any_of(
        notes_, [&](const std::string& note) { return note.find(part) != std::string::npos; });
    notes_.clear();
    return found;
  };
  constexpr std::string_view kRecorded = "the calibration's sensitivities";
  options_.range = RangeRule::mse;
  const auto without = calibrate_network(network_, samples(), options_, false);
  ASSERT_TRUE(without.ok()) << without.error().message;
  EXPECT_TRUE(without->sensitivities.empty());
  EXPECT_FALSE(noted("sensitivity"));
  auto calibration = calibrate_network(network_, samples(), options_);
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_EQ(calibration->sensitivity_samples, 2U);
  EXPECT_EQ(calibration->sensitivity_range, RangeRule::mse);
  EXPECT_EQ(calibration->tensors.size(), without->tensors.size());
  if (calibration->sensitivities.empty()) GTEST_SKIP() << "no primitive computes in bf16 or int8";

  // A file of f32's, which only a budget has a use for.
  options_.calibration = *calibration;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::usage);
  options_.precision = Precision::bf16;
  EXPECT_TRUE(plan_network(network_, options_).ok());

  // The same plan as by measuring, unless the ranges are others.
  options_.precision = Precision::automatic;
  options_.calibrate = samples();
  options_.max_output_error = 1e-4;
  for (const RangeRule range : {RangeRule::mse, RangeRule::max}) {
    SCOPED_TRACE(to_string(range));
    options_.range = range;
    notes_.clear();
    options_.calibration = *calibration;
    const auto recorded = plan_network(network_, options_);
    ASSERT_TRUE(recorded.ok()) << recorded.error().message;
    if (!noted("the fastest plan errs")) continue;  // it is in f32
    options_.calibration = *without;
    const auto measured = plan_network(network_, options_);
    ASSERT_TRUE(measured.ok()) << measured.error().message;
    EXPECT_FALSE(noted(kRecorded));
    EXPECT_EQ(recorded->predicted_ms, measured->predicted_ms);
    options_.calibration = *calibration;
    ASSERT_TRUE(plan_network(network_, options_).ok());
    EXPECT_EQ(noted(kRecorded), range == RangeRule::mse);
  }

  calibration->sensitivities[0].name = "elsewhere";
  options_.calibration = *calibration;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::bad_input);
  options_.precision = Precision::bf16;
  EXPECT_EQ(plan_network(network_, options_).error().code, ErrorCode::bad_input);
}

TEST_F(PlanningTest, NamesOfRangeRules) {
  for (const RangeRule rule : {RangeRule::max, RangeRule::percentile, RangeRule::mse})
    EXPECT_EQ(parse_range_rule(to_string(rule)), rule);
  EXPECT_FALSE(parse_range_rule("min").has_value());
}

TEST_F(PlanningTest, NamesOfPrecisions) {
  for (const Precision precision :
       {Precision::f32, Precision::bf16, Precision::int8, Precision::automatic})
    EXPECT_EQ(parse_precision(to_string(precision)), precision);
  EXPECT_EQ(to_string(Precision::automatic), "auto");
  EXPECT_FALSE(parse_precision("f8").has_value());
}

TEST_F(PlanningTest, RefusesWhatCannotBeMeasured) {
  ProfileSettings settings;
  settings.threads = 1;
  settings.ops = {"convolution"};
  EXPECT_EQ(profile_machine(settings).error().message,
            "--ops: no operation is called 'convolution'");
  settings.ops.clear();
  settings.allow = {"nothing"};
  EXPECT_EQ(profile_machine(settings).error().code, ErrorCode::usage);
  for (const double seconds : {-3.0, std::nan(""), HUGE_VAL}) {
    settings.budget = seconds;
    EXPECT_EQ(profile_machine(settings).error().message,
              "--budget is not a time of 0 or more seconds");
    EXPECT_EQ(estimate_profile(settings).error().code, ErrorCode::usage);
    settings.budget = 0;
    settings.timeout = seconds;
    EXPECT_EQ(profile_machine(settings).error().message,
              "--timeout is not a time of 0 or more seconds");
    settings.timeout = 0;
  }

  EvaluationSettings evaluation;
  evaluation.model = CONVOPT_SOURCE_DIR "/data/models/default.ubj";
  evaluation.profile = folder_ / "missing.jsonl";
  EXPECT_EQ(evaluate_model(evaluation).error().code, ErrorCode::bad_input);
  evaluation.refine = -1;
  EXPECT_EQ(evaluate_model(evaluation).error().message,
            "--refine is not a time of 0 or more seconds");
  TransferSettings transfer;
  transfer.threads = 1;
  transfer.from = folder_ / "missing.ubj";
  EXPECT_EQ(transfer_model(transfer).error().code, ErrorCode::bad_input);
}

TEST_F(PlanningTest, EvaluatesAShippedProfile) {
  EvaluationSettings settings;
  settings.model = CONVOPT_SOURCE_DIR "/data/models/default.ubj";
  settings.profile = CONVOPT_SOURCE_DIR "/data/profiles/amd-26-2-epyc-sse4-t1.networks.jsonl.gz";
  settings.networks = {CONVOPT_SOURCE_DIR "/data/networks/squeezenet1_1.json"};
  const auto evaluation = evaluate_model(settings);
  ASSERT_TRUE(evaluation.ok()) << evaluation.error().message;
  ASSERT_EQ(evaluation->networks.size(), 1U);
  EXPECT_GE(evaluation->networks[0].regret, 1);
  EXPECT_GT(evaluation->samples, 100U);
  settings.platform = "pdp-11";
  EXPECT_NE(evaluate_model(settings).error().message.find("pdp-11"), std::string::npos);
}

}  // namespace
}  // namespace convopt
