// The public interface alone: nothing from the modules is included.
#include <gtest/gtest.h>

#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <convopt/convopt.hpp>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace convopt {
namespace {

constexpr const char* kNetwork = R"({"schema": "convopt.network/1", "name": "test",
  "source": "a test", "input": {"name": "x", "shape": [1, 3, 12, 12]},
  "operators": [
    {"name": "c1", "op": "conv", "oc": 16, "kernel": 3, "padding": 1},
    {"name": "r1", "op": "relu"},
    {"name": "c2", "op": "conv", "oc": 8, "kernel": 1}]})";

constexpr const char* kModel = CONVOPT_SOURCE_DIR "/data/models/default.ubj";

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    PlannerOptions options;
    options.threads = 1;
    options.model = kModel;
    options.measure_machine = true;
    auto planner = Planner::create(options);
    ASSERT_TRUE(planner.ok()) << planner.error().message;
    auto network = parse_network(kNetwork, "test.json");
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_ = std::move(*network);
    auto plan = planner->plan(network_);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    plan_ = std::move(*plan);
  }

  static Result<Session> session(std::uint64_t seed = 1) {
    return Session::create(network_, plan_, *random_weights(network_, seed));
  }
  static std::vector<float> run(Session& session, const std::vector<float>& input) {
    std::vector<float> output(static_cast<std::size_t>(session.outputs()[0].shape.elements()));
    const float* const source = input.data();
    float* const destination = output.data();
    const auto ran = session.run({&source, 1}, {&destination, 1});
    EXPECT_TRUE(ran.ok()) << ran.error().message;
    return output;
  }
  static std::vector<float> input(float phase) {
    std::vector<float> values(3 * 12 * 12);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::sin(phase + static_cast<float>(i));
    }
    return values;
  }

  static inline Network network_;
  static inline Plan plan_;
};

#if defined(__x86_64__)
TEST_F(SessionTest, FlushesDenormalsAndRestoresTheCallersMode) {
  // c1 passes its middle tap on, c2 adds sixteen channels: numbers far below the smallest normal
  // one become zeros on the way, and the caller's own arithmetic still has them afterwards.
  std::vector<float> first(16 * 3 * 9, 0.0F);
  for (std::size_t i = 4; i < first.size(); i += 27) first[i] = 1.0F;
  const std::vector<float> second(8 * 16, 1.0F);
  GivenWeights weights;
  weights.set("c1", first);
  weights.set("c2", second);
  auto session = Session::create(network_, plan_, weights);
  ASSERT_TRUE(session.ok()) << session.error().message;
  const unsigned before = _mm_getcsr();
  volatile float tiny = 1e-40F;
  const std::vector<float> output = run(*session, std::vector<float>(3 * 12 * 12, 1e-40F));
  EXPECT_EQ(output.front(), 0.0F);
  EXPECT_EQ(_mm_getcsr(), before);
  EXPECT_GT(tiny * 0.5F, 0.0F);
}
#endif

TEST_F(SessionTest, ComputesWithGivenWeights) {
  // c1 sums its 27 inputs, c2 sums the 16 channels: 16 * 27 in the middle of an image of ones.
  const std::vector<float> first(16 * 3 * 9, 1.0F);
  const std::vector<float> second(8 * 16, 1.0F);
  const std::vector<float> bias{0, 1, 2, 3, 4, 5, 6, 7};
  GivenWeights weights;
  weights.set("c1", first);
  EXPECT_EQ(Session::create(network_, plan_, weights).error().message,
            "no weights are given for operator 'c2'");
  weights.set("c2", second, {bias.data(), 7});
  EXPECT_EQ(Session::create(network_, plan_, weights).error().message,
            "operator 'c2' is given 7 bias values, but has 8");
  weights.set("c2", second, bias);
  auto session = Session::create(network_, plan_, weights);
  ASSERT_TRUE(session.ok()) << session.error().message;
  ASSERT_EQ(session->inputs().size(), 1U);
  EXPECT_EQ(session->inputs()[0].name, "x");
  EXPECT_EQ(session->outputs()[0].shape, (TensorShape{1, 8, 12, 12}));
  const auto output = run(*session, std::vector<float>(3 * 12 * 12, 1.0F));
  for (int c = 0; c < 8; ++c) EXPECT_NEAR(output[c * 144 + 5 * 12 + 5], 16 * 27 + c, 1e-2);
  EXPECT_NEAR(output[0], 16 * 12, 1e-2);  // four of nine taps meet the image in the corner
}

TEST(WeightsTest, EachArrayOwnsOrBorrowsForItself) {
  const std::vector<float> lent{1, 2};
  Weights mixed{std::vector<float>{3, 4}, ParameterArray::borrowed(lent)};
  EXPECT_EQ(mixed.parameters().bias.as<float>(), lent.data());
  EXPECT_EQ(mixed.parameters().weights.as<float>()[1], 4);
  mixed = {ParameterArray::borrowed(lent), std::vector<float>{5}};
  EXPECT_EQ(mixed.parameters().weights.as<float>(), lent.data());
  EXPECT_EQ(mixed.parameters().bias.as<float>()[0], 5);
  mixed.bias = {};
  EXPECT_EQ(mixed.parameters().bias.as<float>(), nullptr);
}

TEST_F(SessionTest, SeveralSessionsInSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kRuns = 50;
  std::vector<std::vector<float>> expected;
  for (int t = 0; t < kThreads; ++t) {
    auto alone = session(static_cast<std::uint64_t>(t));
    ASSERT_TRUE(alone.ok()) << alone.error().message;
    expected.push_back(run(*alone, input(static_cast<float>(t))));
  }
  EXPECT_NE(expected[0], expected[1]);
  std::vector<std::string> failures(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto mine = session(static_cast<std::uint64_t>(t));
      if (!mine) {
        failures[t] = mine.error().message;
        return;
      }
      for (int i = 0; i < kRuns; ++i) {
        if (run(*mine, input(static_cast<float>(t))) != expected[t]) failures[t] = "differs";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) EXPECT_EQ(failure, "");
}

TEST_F(SessionTest, RefusesWithASentence) {
  Plan other = plan_;
  other.network_hash = "0123456789abcdef";
  const auto weights = random_weights(network_, 1);
  const auto wrong = Session::create(network_, other, *weights);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::bad_input);

  auto good = session();
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(good->run(std::span<const float* const>(), {}).error().message,
            "the network has 1 input, 0 pointers given");
  const float* const nothing = nullptr;
  std::vector<float> output(8 * 144);
  float* const destination = output.data();
  EXPECT_EQ(good->run({&nothing, 1}, {&destination, 1}).error().message,
            "the pointer for input 0, 'x', is null");
}

TEST_F(SessionTest, TypesAndRanksAreTheNetworks) {
  // max(x, c) of whole numbers, with a constant whose values are given as weights are.
  constexpr std::string_view kTyped = R"({
    "schema": "convopt.network/1", "name": "typed", "input": {"shape": [2, 3], "type": "u8"},
    "operators": [
      {"name": "real", "op": "workload", "workload": "convert:d2x3_u8_f32"},
      {"name": "c", "op": "constant", "sizes": [2, 3]},
      {"name": "most", "op": "workload", "workload": "maximum:d2x3", "inputs": ["real", "c"]},
      {"name": "whole", "op": "workload", "workload": "convert:d2x3_f32_s64"}]})";
  const auto network = parse_network(kTyped, "typed.json");
  ASSERT_TRUE(network) << network.error().message;
  PlannerOptions options;
  options.threads = 1;
  options.model = kModel;
  options.measure_machine = true;
  const auto planner = Planner::create(options);
  ASSERT_TRUE(planner.ok()) << planner.error().message;
  const auto plan = planner->plan(*network);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const std::vector<float> constant = {5, 5, 5, 300, 5, 5};
  GivenWeights weights;
  weights.set("c", constant);
  auto session = Session::create(*network, *plan, weights);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->inputs()[0].type, DataType::u8);
  EXPECT_EQ(session->outputs()[0].type, DataType::s64);
  EXPECT_EQ(session->outputs()[0].shape, TensorShape({2, 3}));
  const std::vector<std::uint8_t> x = {1, 255, 7, 4, 5, 6};
  std::vector<std::int64_t> y(6);
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::ranges::fill(y, -1);
    const void* const source = x.data();
    void* const destination = y.data();
    const auto ran = session->run({&source, 1}, {&destination, 1});
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(y, (std::vector<std::int64_t>{5, 255, 7, 300, 5, 6}));
  }
  float wrong = 0;
  const float* const floats = &wrong;
  float* const result = &wrong;
  EXPECT_EQ(session->run({&floats, 1}, {&result, 1}).error().message,
            "the input 'input' is of type u8: give its elements by a pointer to void");
  weights.set("c", std::span(constant).first(5));
  EXPECT_EQ(Session::create(*network, *plan, weights).error().message,
            "the constant 'c' is given 5 values, but has 6");
}

TEST_F(SessionTest, RefusesToNeedMoreMemoryThanAllowed) {
  auto free = session();
  ASSERT_TRUE(free.ok()) << free.error().message;
  const std::size_t bytes = free->memory().total();
  const auto weights = random_weights(network_, 1);
  const auto tight = Session::create(network_, plan_, *weights, {bytes});
  EXPECT_TRUE(tight.ok());
  const auto refused = Session::create(network_, plan_, *weights, {bytes - 1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::environment);
  EXPECT_NE(refused.error().message.find("of memory (weights"), std::string::npos)
      << refused.error().message;
}

TEST(PlannerTest, RanksPrimitives) {
  PlannerOptions options;
  options.threads = 1;
  EXPECT_EQ(Planner::create(options).error().code, ErrorCode::usage);
  options.model = "missing.ubj";
  EXPECT_EQ(Planner::create(options).error().code, ErrorCode::bad_input);
  options.model = kModel;
  options.measure_machine = true;
  const auto planner = Planner::create(options);
  ASSERT_TRUE(planner.ok()) << planner.error().message;
  const auto shape = ConvShape::parse("n1_ic64_ih56_iw56_oc64_kh3_kw3_s1_p1");
  ASSERT_TRUE(shape.ok());
  const auto choices = planner->rank(Workload::conv(*shape));
  ASSERT_TRUE(choices.ok()) << choices.error().message;
  ASSERT_GT(choices->size(), 10U);
  for (std::size_t i = 1; i < choices->size(); ++i) {
    EXPECT_LE((*choices)[i - 1].time.ns, (*choices)[i].time.ns);
  }
  ConvShape impossible = *shape;
  impossible.kh = 100;
  EXPECT_FALSE(planner->rank(Workload::conv(impossible)).ok());
}

TEST(PlannerTest, MeasuresAndWritesOnlyWhenAsked) {
  const std::string before = std::getenv("XDG_DATA_HOME") ? std::getenv("XDG_DATA_HOME") : "";
  const auto folder =
      std::filesystem::temp_directory_path() / ("convopt-planner-" + std::to_string(getpid()));
  setenv("XDG_DATA_HOME", folder.c_str(), 1);
  PlannerOptions options;
  options.threads = 1;
  options.model = kModel;
  const auto refused = Planner::create(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::environment);
  EXPECT_NE(refused.error().message.find("measure_machine"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder));

  options.measure_machine = true;
  ASSERT_TRUE(Planner::create(options).ok());
  EXPECT_TRUE(std::filesystem::exists(folder));
  options.measure_machine = false;
  EXPECT_TRUE(Planner::create(options).ok());
  std::filesystem::remove_all(folder);
  before.empty() ? unsetenv("XDG_DATA_HOME") : setenv("XDG_DATA_HOME", before.c_str(), 1);
}

TEST(ResultDeathTest, AbortsWithTheErrorOfAMissingValue) {
  const Result<int> failed = make_error(ErrorCode::usage, "seven is not even");
  EXPECT_DEATH(static_cast<void>(*failed), "seven is not even");
  const Result<int> made = 8;
  EXPECT_DEATH(static_cast<void>(made.error()), "without an error");
  EXPECT_DEATH(static_cast<void>(Result<void>().error()), "without an error");
}

TEST(Version, IsTheProjects) { EXPECT_FALSE(version().empty()); }

}  // namespace
}  // namespace convopt
