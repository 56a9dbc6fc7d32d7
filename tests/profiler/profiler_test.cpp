// Whole runs with a child process and invented primitives (fake_registry.h).
#include "profiler/profiler.h"
#include "profiler/product_loops.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "profiler/affinity.h"
#include "profiler/bench.h"
#include "profiler/machine.h"
#include "profiler/stopwatch.h"
#include "profiler/store.h"
#include "tests/profiler/fake_registry.h"

namespace convopt {
namespace {

namespace fs = std::filesystem;

Workload relu(int channels) {
  return Workload::pointwise(Op::activation, {1, channels, 8, 8},
                             {false, {ActivationKind::relu, 0, 0}});
}

class Profiling : public testing::Test {
 protected:
  Profiling() {
    fs::create_directories(folder_);
    // The machine is described once for all tests.
    setenv("XDG_DATA_HOME", home().c_str(), 1);
    options_.context = {native_isa(), 1, SIZE_MAX};
    options_.output = folder_ / "profile.jsonl";
    options_.seed = 3;
    options_.timeout_seconds = 2;  // only hanging primitives take it
  }
  ~Profiling() override { fs::remove_all(folder_); }
  static void TearDownTestSuite() { fs::remove_all(home()); }

  static fs::path home() {
    return fs::temp_directory_path() / ("convopt-profiling-home-" + std::to_string(getpid()));
  }

  void only(std::set<std::string> names) {
    options_.filter = [names](const Workload&, const PrimitiveInfo& info) {
      return names.contains(info.name);
    };
  }
  std::map<std::string, Measurement> measured() const {
    std::map<std::string, Measurement> result;
    const auto loaded = load_profile(options_.output);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    for (const Measurement& m : loaded->profile.measurements) result[m.primitive] = m;
    return result;
  }

  fs::path folder_ = fs::temp_directory_path() / ("convopt-profiling-" + std::to_string(getpid()));
  ProfileOptions options_;
};

TEST_F(Profiling, EveryPrimitiveGetsItsVerdict) {
  options_.filter = [](const Workload&, const PrimitiveInfo& info) { return info.name != "fatal"; };
  const auto summary = profile({relu(8)}, options_);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  auto all = measured();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_EQ(all["quick"].status, MeasurementStatus::ok);
  EXPECT_EQ(all["quick"].samples_ns.size(), 7U);
  EXPECT_DOUBLE_EQ(all["quick"].median_ns, kQuickNs);
  EXPECT_EQ(all["quick"].max_relative_error, 0);
  EXPECT_EQ(all["quick"].sentinel, 1);
  EXPECT_EQ(all["steady"].status, MeasurementStatus::ok);
  EXPECT_EQ(all["slow"].status, MeasurementStatus::censored);
  // Only a bound is known.
  EXPECT_GE(all["slow"].median_ns, kSlowNs / 2);
  EXPECT_LT(all["slow"].median_ns, kSlowNs);
  EXPECT_EQ(all["wrong"].status, MeasurementStatus::failed);
  EXPECT_NE(all["wrong"].reason.find("differs from the reference"), std::string::npos);
  EXPECT_EQ(all["incomplete"].status, MeasurementStatus::failed);
  EXPECT_EQ(all["refusing"].status, MeasurementStatus::inapplicable);
  EXPECT_EQ(all["refusing"].reason, "it never applies");
  EXPECT_EQ(all["crashing"].status, MeasurementStatus::crashed);
  EXPECT_NE(all["crashing"].reason.find("signal 11"), std::string::npos);
  EXPECT_EQ(all["hanging"].status, MeasurementStatus::timeout);
  EXPECT_EQ(summary->ok, 3U);
  EXPECT_EQ(summary->crashed, 1U);
  EXPECT_EQ(summary->timeout, 1U);
  EXPECT_EQ(summary->workloads_done, 1U);
}

TEST_F(Profiling, ResumesWhereItEnded) {
  only({"quick"});
  ASSERT_TRUE(profile({relu(8), relu(16)}, options_).ok());
  only({"quick", "steady"});
  const auto second = profile({relu(8), relu(16), relu(24)}, options_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->already_done, 2U);
  EXPECT_EQ(second->ok, 4U);
  const auto size = fs::file_size(options_.output);
  const auto third = profile({relu(8)}, options_);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->ok, 0U);
  EXPECT_EQ(fs::file_size(options_.output), size);
  options_.again = true;
  EXPECT_EQ(profile({relu(8)}, options_)->ok, 2U);
}

TEST_F(Profiling, AProcessEndedFromOutsideIsNoCrash) {
  only({"quick", "fatal"});
  const auto result = profile({relu(8)}, options_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::partial);
  EXPECT_FALSE(measured().contains("fatal"));
}

TEST_F(Profiling, BudgetIsKeptAndNoError) {
  only({"quick", "steady", "hanging"});
  options_.timeout_seconds = 0;
  options_.budget_seconds = 3;
  std::vector<Workload> workloads;
  for (int i = 1; i <= 2000; ++i) workloads.push_back(relu(i));
  const auto begin = std::chrono::steady_clock::now();
  const auto summary = profile(workloads, options_);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_TRUE(summary->budget_exhausted);
  EXPECT_LT(summary->workloads_done, 2000U);
  // Only to catch a budget that is ignored: a hanging primitive alone would take minutes.
  EXPECT_LT(took.count(), 30);
}

TEST_F(Profiling, StopsOnRequestAndKeepsWhatIsThere) {
  only({"quick", "hanging"});
  options_.timeout_seconds = 600;
  std::atomic<bool> stop{false};
  options_.stop = &stop;
  options_.progress = [&](const ProfileProgress& progress) {
    if (progress.elapsed_seconds > 1) stop = true;
  };
  const auto result = profile({relu(8)}, options_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::interrupted);
  EXPECT_TRUE(load_profile(options_.output).ok());
}

TEST_F(Profiling, EstimatesWithoutMeasuring) {
  const auto estimate = estimate_profile({relu(8), relu(16)}, options_);
  ASSERT_TRUE(estimate.ok()) << estimate.error().message;
  EXPECT_EQ(estimate->workloads, 2U);
  EXPECT_EQ(estimate->measurements, 18U);  // of ten, one refuses
  EXPECT_GT(estimate->seconds, 0);
  EXPECT_FALSE(fs::exists(options_.output));
}

TEST_F(Profiling, FullDiskAndMissingProgramAreErrors) {
  only({"quick"});
  options_.worker_command = {"/nonexistent/convopt"};
  EXPECT_EQ(profile({relu(8)}, options_).error().code, ErrorCode::environment);
  options_.worker_command = {"/bin/false"};
  EXPECT_EQ(profile({relu(8)}, options_).error().code, ErrorCode::environment);
  options_.worker_command.clear();
  if (!fs::exists("/dev/full")) return;
  options_.output = "/dev/full";
  EXPECT_EQ(profile({relu(8)}, options_).error().code, ErrorCode::environment);
}

TEST(Order, ConvolutionsTakeTurnsWithAllElse) {
  const auto conv = [](int channels) {
    ConvShape shape;
    shape.ic = shape.oc = channels;
    return Workload::conv(shape);
  };
  const auto add = [](int channels) { return Workload::pointwise(Op::add, {1, channels, 8, 8}); };
  const auto ordered =
      interleaved({relu(1), relu(2), relu(3), add(1), conv(1), conv(2), relu(1), conv(3)});
  ASSERT_EQ(ordered.size(), 7U);  // one was there twice
  for (std::size_t i = 0; i < ordered.size(); ++i)
    EXPECT_EQ(ordered[i].op == Op::conv, i % 2 == 0 && i < 6);
  // One of each operation, before a second one of any.
  EXPECT_NE(ordered[1].op, ordered[3].op);
}

class BenchTest : public testing::Test {
 protected:
  /// By primitive.
  std::map<std::string, Measurement> measure(const BenchOptions& options,
                                             std::unique_ptr<Timer> timer,
                                             std::vector<const char*> names, double seconds = 60) {
    Bench bench(context_, options, std::move(timer));
    const FakeRegistry registry(context_);
    std::vector<const Primitive*> primitives;
    for (const char* name : names) primitives.push_back(registry.find(name));
    std::map<std::string, Measurement> seen;
    quality_ = bench.measure(
        relu(8), primitives, seconds, [](const Primitive*, Step) {},
        [&](const Measurement& m) { seen[m.primitive] = m; });
    return seen;
  }
  static std::unique_ptr<Timer> fake_timer() { return std::make_unique<SimulatedTimer>(fake_ns); }

  const Context context_{native_isa(), 1, SIZE_MAX};
  Bench::Quality quality_;
};

TEST_F(BenchTest, TimesOnThisMachinesClocks) {
  for (const TimingMode mode : {TimingMode::warm, TimingMode::cold_weights}) {
    BenchOptions options;
    options.timing_mode = mode;
    const auto seen = measure(options, make_timer(context_, mode, 0), {"quick"});
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen.at("quick").status, MeasurementStatus::ok);
    EXPECT_GT(seen.at("quick").median_ns, 0);
    EXPECT_GE(seen.at("quick").samples_ns.size(), 3U);
  }
}

TEST_F(BenchTest, AKernelOfTheSameCodeRunsBeforeEachColdRun) {
  PrimitiveInfo info;
  info.name = "counting";
  info.family = "fake";
  info.op = Op::conv;
  info.revision = "1";
  const auto measured = [&](TimingMode mode, double ns) {
    const FakePrimitive primitive(info);
    const Primitive* const primitives[] = {&primitive};
    BenchOptions options;
    options.timing_mode = mode;
    const auto takes = [ns](const Workload&, std::string_view) { return ns; };
    Bench bench(context_, options, std::make_unique<SimulatedTimer>(takes));
    Measurement result;
    bench.measure(
        Workload::conv(ConvShape{.ic = 8, .ih = 8, .iw = 8, .oc = 8}), primitives, 60,
        [](const Primitive*, Step) {}, [&](const Measurement& m) { result = m; });
    EXPECT_EQ(result.status, MeasurementStatus::ok) << result.reason;
    return std::pair(primitive.runs(), static_cast<int>(result.samples_ns.size()));
  };
  const auto [runs, samples] = measured(TimingMode::cold_weights, 1e4);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[1], samples);
  // Long ones do not need it, and warm ones neither.
  EXPECT_EQ(measured(TimingMode::cold_weights, 1e6).first.size(), 1U);
  EXPECT_EQ(measured(TimingMode::warm, 1e4).first.size(), 1U);
}

TEST_F(BenchTest, ARaceTimesLosersNoFurther) {
  BenchOptions options;
  options.race_factor = 1.3;
  const auto seen = measure(options, fake_timer(), {"lagging", "quick"});
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen.at("lagging").status, MeasurementStatus::ok);
  EXPECT_EQ(seen.at("lagging").samples_ns.size(), 3U);
  EXPECT_EQ(seen.at("quick").samples_ns.size(), 7U);
}

TEST_F(BenchTest, EndsWhenTimeIsUp) {
  BenchOptions options;
  options.min_samples = options.max_samples = 1000000;
  options.max_seconds = 1e9;
  const auto seen = measure(options, fake_timer(), {"quick", "steady"}, 0.2);
  ASSERT_EQ(seen.size(), 2U);
  // Rounds of twice 0.2 ms in 0.2 s, less what preparing takes.
  EXPECT_NEAR(static_cast<double>(seen.at("quick").samples_ns.size()), 400, 20);
}

/// A machine that a neighbour disturbs whenever `disturbed` says so.
class DisturbedTimer final : public Timer {
 public:
  explicit DisturbedTimer(std::function<bool(int reading)> disturbed)
      : disturbed_(std::move(disturbed)) {}
  Elapsed time(const Subject& subject, const std::function<void()>& body) override {
    return timer_.time(subject, body);
  }
  double seconds() const override { return timer_.seconds(); }
  double disturbance() override { return disturbed_(readings_++) ? 1.5 : 1; }
  double undisturbed_ns() const override { return 1; }
  void flush_caches() override {}

 private:
  SimulatedTimer timer_{fake_ns};
  std::function<bool(int)> disturbed_;
  int readings_ = 0;
};

TEST_F(BenchTest, DisturbedTimesAreTakenAgain) {
  const auto seen = measure(
      {}, std::make_unique<DisturbedTimer>([](int reading) { return reading < 5; }), {"quick"});
  EXPECT_EQ(seen.at("quick").samples_ns.size(), 7U);
  EXPECT_EQ(seen.at("quick").sentinel, 1);
  EXPECT_EQ(quality_.disturbed, 0U);
}

TEST_F(BenchTest, TimesOfAMachineThatNeverRestsAreKeptAndMarked) {
  const auto seen =
      measure({}, std::make_unique<DisturbedTimer>([](int) { return true; }), {"quick"});
  EXPECT_EQ(seen.at("quick").status, MeasurementStatus::ok);
  EXPECT_EQ(seen.at("quick").sentinel, 1.5);
  EXPECT_EQ(quality_.disturbed, 1U);
}

/// A machine on which other processes take the processors away from some runs of "quick", which
/// then takes fifty times as long.
class ContestedTimer final : public Timer {
 public:
  explicit ContestedTimer(std::function<bool(Step, int run)> stalled, bool noticed = true)
      : stalled_(std::move(stalled)), noticed_(noticed) {}
  Elapsed time(const Subject& subject, const std::function<void()>& body) override {
    Elapsed elapsed = timer_.time(subject, body);
    if (subject.primitive.name != "quick" || subject.step == Step::preparing) return elapsed;
    if (stalled_(subject.step, runs_++)) elapsed = {50 * elapsed.ns, noticed_};
    return elapsed;
  }
  double seconds() const override { return timer_.seconds(); }
  double disturbance() override { return 1; }
  double undisturbed_ns() const override { return 1; }
  void flush_caches() override {}

 private:
  SimulatedTimer timer_{fake_ns};
  std::function<bool(Step, int)> stalled_;
  bool noticed_;
  int runs_ = 0;
};

TEST_F(BenchTest, OneStalledRunCutsNothingShort) {
  // Seen by the scheduler's account or not, and whether it is timed before or after the other.
  for (const bool noticed : {true, false}) {
    for (const std::uint64_t seed : {1, 2, 3, 4}) {
      BenchOptions options;
      options.seed = seed;
      const auto seen =
          measure(options,
                  std::make_unique<ContestedTimer>([](Step, int run) { return run == 0; }, noticed),
                  {"steady", "quick"});
      EXPECT_EQ(seen.at("quick").status, MeasurementStatus::ok);
      EXPECT_EQ(seen.at("quick").median_ns, kQuickNs);
    }
  }
}

TEST_F(BenchTest, RunsThatLostAProcessorDoNotCount) {
  const auto seen = measure(
      {}, std::make_unique<ContestedTimer>([](Step, int run) { return run % 3 != 2; }), {"quick"});
  EXPECT_EQ(seen.at("quick").samples_ns, std::vector<double>(7, kQuickNs));
  EXPECT_GE(quality_.lost, 14U);
  EXPECT_EQ(quality_.samples, quality_.lost + 7);
  EXPECT_EQ(quality_.given_up, 0U);
}

TEST_F(BenchTest, WhatNeverKeepsItsProcessorsHasNoTime) {
  const auto seen = measure({}, std::make_unique<ContestedTimer>([](Step, int) { return true; }),
                            {"steady", "quick"});
  EXPECT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen.at("steady").median_ns, kQuickNs);
  EXPECT_EQ(quality_.given_up, 1U);
}

TEST(RunQueueTest, KnowsOfWaitingForAProcessor) {
  if (!fs::exists("/proc/self/schedstat")) GTEST_SKIP() << "this system keeps no account";
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  RunQueue queue(1);
  queue.start();
  // A thread on the same processor, which it inherits, until this one has waited for it.
  std::atomic<bool> stop = false;
  std::thread rival([&] {
    while (!stop) {
    }
  });
  while (queue.longest_wait_ns() <= 0) {
  }
  stop = true;
  rival.join();
  sched_setaffinity(0, sizeof before, &before);
  EXPECT_GT(queue.longest_wait_ns(), 0);
  queue.start();
  EXPECT_EQ(queue.longest_wait_ns(), 0);
}

TEST(StopwatchTest, CostOfReadingIsRemoved) {
  // A clock that costs 30 ns to read and otherwise stands still.
  double now = 0;
  const Stopwatch stopwatch([&] { return now += 30; });
  EXPECT_EQ(stopwatch.time([] {}), 1);  // the least that is reported
  EXPECT_EQ(stopwatch.time([&] { now += 500; }), 500);
}

TEST(SimulatedTimes, DependOnWorkloadAndPrimitiveOnly) {
  EXPECT_EQ(simulated_ns(relu(8), "a"), simulated_ns(relu(8), "a"));
  EXPECT_NE(simulated_ns(relu(8), "a"), simulated_ns(relu(8), "b"));
  EXPECT_LT(simulated_ns(relu(8), "a"), simulated_ns(relu(80000), "a"));
}

TEST(MachineTest, FactsAreKnownAndCached) {
  const Machine machine = machine_facts();
  EXPECT_FALSE(machine.kernel.empty());
  EXPECT_GE(machine.logical_cores, machine.physical_cores);
  EXPECT_GE(machine.physical_cores, 1);

  const fs::path folder =
      fs::temp_directory_path() / ("convopt-machine-" + std::to_string(getpid()));
  setenv("XDG_DATA_HOME", folder.c_str(), 1);
  const auto measured = cached_platform(native_isa(), 1);
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  EXPECT_GT(measured->machine.peak_gflops, 0.1);
  EXPECT_GT(measured->machine.memory_gbps, 0.01);
  const auto again = cached_platform(native_isa(), 1);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->machine.peak_gflops, measured->machine.peak_gflops);
  EXPECT_EQ(again->machine.peak_bf16_gflops, measured->machine.peak_bf16_gflops);
  const auto has_loops = [](DataType type) { return !product_loops(type, native_isa()).empty(); };
  EXPECT_EQ(measured->machine.peak_bf16_gflops > 0, has_loops(DataType::bf16));
  EXPECT_EQ(measured->machine.peak_int8_gops > 0, has_loops(DataType::s8));
  EXPECT_TRUE(product_loops(DataType::bf16, Isa::avx2).empty());
  EXPECT_TRUE(product_loops(DataType::s8, Isa::avx2).empty());
  EXPECT_EQ(measured->machine.core_round_trip_ns, 0);
  fs::remove_all(folder);
  EXPECT_EQ(describe_machine(Isa::scalar, 1).error().code, ErrorCode::environment);
}

TEST(MachineTest, CoresAnswerEachOther) {
  EXPECT_EQ(measured_core_round_trip_ns(1), 0);
  if (available_processors() < 2) GTEST_SKIP() << "one processor";
  // Beside other programs the threads may miss each other for a while.
  constexpr int kAttempts = 200;
  double ns = 0;
  for (int i = 0; i < kAttempts && ns == 0; ++i) ns = measured_core_round_trip_ns(2);
  EXPECT_GT(ns, 1);
}

TEST(MachineTest, AWaitForAProcessorIsNoRoundTrip) {
  // The threads of a new thread's team inherit its one processor.
  std::thread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(measured_core_round_trip_ns(2), 0);
    EXPECT_EQ(measured_core_round_trip_ns(4), 0);
  }).join();
}

TEST(MachineTest, BuildIdsOfLoadedLibraries) {
  EXPECT_EQ(loaded_build_id("libc.so").size(), 8U);
  EXPECT_EQ(loaded_build_id("libnonexistent.so"), "");
}

}  // namespace
}  // namespace convopt
