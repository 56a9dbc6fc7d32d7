#include "profiler/bench.h"
#include "core/text.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "profiler/instance.h"
#include "profiler/machine.h"
#include "profiler/statistics.h"

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A sample of a short kernel is the mean over a batch that takes this long: 50 us is 500 times what
// reading the processor-time clock costs, and still short against a time slice.
constexpr double kBatchNs = 50e3;
// Up to here a kernel first runs once untimed, so that the one before it does not count; beyond,
// the caches hold too small a part of its data to matter.
constexpr double kWarmUpNs = 100e6;
// Samples per visit: one untimed run serves several, yet rounds stay short and interleaved.
constexpr int kSamplesPerVisit = 3;
// Too few for an uncertainty, enough to keep when time runs out.
constexpr std::size_t kFewestSamples = 3;
// Visits between two readings of the sentinel, at least.
constexpr double kSegmentSeconds = 0.05;
// Noise makes a first run slower, never faster; a bound that is said to be lower leaves it room.
constexpr double kBoundMargin = 1.25, kColdBoundMargin = 2;

}  // namespace

Stopwatch::Stopwatch(int threads)
    : clock_(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC) {
  constexpr int kReadings = 200;
  std::vector<double> costs;
  for (int i = 0; i < kReadings; ++i) {
    const double begin = now();
    costs.push_back(now() - begin);
  }
  overhead_ = median(std::move(costs));
}

double Stopwatch::now() const {
  timespec time{};
  clock_gettime(clock_, &time);
  return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
}

Sentinel::Sentinel(const Context& context, double level_ns)
    : bench_(microbench(context.isa)),
      threads_(context.threads),
      stopwatch_(context.threads),
      buffers_(static_cast<std::size_t>(context.threads)),
      level_ns_(level_ns) {
  // Twice the second-level cache of most processors: the reading half sees the shared one.
  constexpr std::size_t kFloats = (2U << 20U) / sizeof(float);
  for (Buffer& buffer : buffers_) buffer = Buffer(kFloats);
  run();
  if (level_ns_ > 0) return;
  std::vector<double> times;
  constexpr int kRuns = 60;
  for (int i = 0; i < kRuns; ++i) times.push_back(run());
  level_ns_ = quantile(std::move(times), 0.25);
}

double Sentinel::run() {
  // About 60 us at 4 GHz with two multiply-adds per cycle, as long as reading the buffer takes.
  constexpr std::int64_t kIterations = 20000;
  const auto load = [this](const Buffer& buffer) {
    [[maybe_unused]] volatile float sink = 0;
    sink = bench_.multiply_add(kIterations);
    sink = bench_.read(buffer.data(), buffer.count());
  };
  if (threads_ == 1) return stopwatch_.time([&] { load(buffers_.front()); });
  return stopwatch_.time([&] {
#pragma omp parallel num_threads(threads_)
    load(buffers_[static_cast<std::size_t>(omp_get_thread_num())]);
  });
}

double Sentinel::ratio() {
  run();  // brings its own data back
  const double time = median({run(), run(), run()});
  // Clearly faster than ever: the level was taken in a bad moment.
  constexpr double kClearly = 0.97;
  if (time < kClearly * level_ns_) level_ns_ = time;
  return time / level_ns_;
}

struct Bench::Candidate {
  const Primitive* primitive = nullptr;
  std::unique_ptr<Kernel> kernel;
  RunArgs args;
  Measurement measurement;
  double quick_ns = 0;
  double bound_ns = 0;
  int batch = 1;
  bool warm = true;
  double timed_seconds = 0;
  std::vector<double> ratios;

  void run() const { kernel->run(args); }
};

struct Bench::Group {
  Instance instance;
  const Watch& watch;
  const Emit& emit;
  Clock::time_point begin;
  double seconds;
  double best_ns = std::numeric_limits<double>::infinity();
  double lowest_ratio = std::numeric_limits<double>::infinity();
  int disturbed = 0;

  bool out_of_time() const { return seconds_since(begin) > seconds; }
};

Bench::Bench(const Context& context, const BenchOptions& options, double sentinel_level_ns)
    : context_(context),
      options_(options),
      random_(options.seed),
      stopwatch_(context.threads),
      sentinel_(context, sentinel_level_ns) {
  if (options.timing_mode != TimingMode::cold_weights) return;
  // Twice the last cache, so that nothing of what was there remains.
  const Machine machine = machine_facts();
  const std::int64_t bytes = std::clamp<std::int64_t>(
      2 * (machine.l3_bytes + machine.l2_bytes * context.threads), 32LL << 20U, 512LL << 20U);
  flush_ = Buffer(static_cast<std::size_t>(bytes) / sizeof(float) / kReadStep * kReadStep);
}

int Bench::measure(const Workload& workload, std::span<const Primitive* const> primitives,
                   double seconds, const Watch& watch, const Emit& emit) {
  std::vector<Candidate> waiting;
  for (const Primitive* primitive : primitives) {
    Candidate candidate;
    candidate.primitive = primitive;
    Measurement& m = candidate.measurement;
    m.workload = workload;
    m.primitive = primitive->info().name;
    m.revision = primitive->info().revision;
    m.isa = context_.isa;
    m.threads = context_.threads;
    watch(primitive, Step::applying);
    const Applicability answer = primitive->applicability(workload, context_);
    watch(nullptr, Step::idle);
    if (!answer) {
      m.status = MeasurementStatus::inapplicable;
      m.reason = answer.reason;
      emit(m);
      continue;
    }
    waiting.push_back(std::move(candidate));
  }
  if (waiting.empty()) return 0;
  random_.shuffle(std::span(waiting));

  Group group{Instance(workload, options_.seed), watch, emit, Clock::now(), seconds};
  for (std::size_t next = 0; next < waiting.size() && !group.out_of_time();) {
    std::vector<Candidate> together;
    std::size_t bytes = 0;
    while (next < waiting.size()) {
      const std::size_t more = waiting[next].primitive->packed_bytes(workload, context_);
      if (!together.empty() && bytes + more > options_.memory_limit) break;
      bytes += more;
      together.push_back(std::move(waiting[next++]));
    }
    std::vector<Candidate> started;
    for (Candidate& candidate : together) {
      if (group.out_of_time()) break;
      if (start(candidate, group)) started.push_back(std::move(candidate));
    }
    time_group(started, group);
  }
  drift_ = std::max(1.0, std::isfinite(group.lowest_ratio) ? group.lowest_ratio : 1.0);
  return group.disturbed;
}

/// Prepares, runs for the first time and checks. Emits a measurement and returns false if there is
/// nothing to be timed.
bool Bench::start(Candidate& candidate, Group& group) {
  const PrimitiveInfo& info = candidate.primitive->info();
  Measurement& m = candidate.measurement;
  const auto fail = [&](std::string reason) {
    group.watch(nullptr, Step::idle);
    m.status = MeasurementStatus::failed;
    m.reason = std::move(reason);
    group.emit(m);
    return false;
  };

  group.watch(candidate.primitive, Step::preparing);
  std::optional<Result<std::unique_ptr<Kernel>>> prepared;
  m.prepare_ns = stopwatch_.time([&] {
    prepared = candidate.primitive->prepare(group.instance.workload(), group.instance.parameters(),
                                            context_);
  });
  if (!prepared->ok()) return fail(prepared->error().message);
  candidate.kernel = std::move(prepared->value());
  m.packed_bytes = candidate.kernel->packed_bytes();
  m.workspace_bytes = candidate.kernel->workspace_bytes();
  const std::size_t floats = (m.workspace_bytes + sizeof(float) - 1) / sizeof(float);
  if (floats > workspace_.count()) workspace_ = Buffer(floats);

  candidate.args = group.instance.args(info, workspace_.data());
  group.instance.reset(info, candidate.args);
  group.watch(candidate.primitive, Step::running);
  const double first_ns = stopwatch_.time([&] { candidate.run(); });
  group.watch(candidate.primitive, Step::checking);
  const double error = group.instance.error(candidate.args);
  const double bound = error_bound(group.instance.workload(), info.traits);
  if (!std::isfinite(error)) {
    return fail("a result is not finite, not written, or the filling of the last block not zero");
  }
  m.max_relative_error = error;
  if (!(error <= bound)) {
    return fail("the result differs from the reference by " + scientific(error, 1) +
                ", allowed are " + scientific(bound, 1));
  }

  group.watch(candidate.primitive, Step::running);
  candidate.quick_ns = first_ns;
  candidate.bound_ns = first_ns / kColdBoundMargin;
  // The first run paid for page faults and cold caches. Hopeless ones are not run again.
  if (candidate.bound_ns < options_.censor_factor * group.best_ns) {
    const double second_ns = stopwatch_.time([&] { candidate.run(); });
    candidate.quick_ns = std::min(first_ns, second_ns);
    candidate.bound_ns = candidate.quick_ns / kBoundMargin;
  }
  group.watch(nullptr, Step::idle);
  group.best_ns = std::min(group.best_ns, candidate.quick_ns);
  return true;
}

void Bench::time_group(std::vector<Candidate>& candidates, Group& group) {
  std::vector<Candidate*> active;
  for (Candidate& candidate : candidates) {
    // The workspace may have moved when a later kernel asked for a larger one.
    candidate.args.workspace = workspace_.data();
    Measurement& m = candidate.measurement;
    if (candidate.quick_ns > options_.censor_factor * group.best_ns) {
      m.status = MeasurementStatus::censored;
      m.reason = "slower than the best by more than a factor of " +
                 std::to_string(static_cast<int>(options_.censor_factor));
      m.samples_ns = {candidate.quick_ns};
      m.median_ns = candidate.bound_ns;
      group.emit(m);
      candidate.kernel.reset();
      continue;
    }
    // Kernels without weights, too: run over and over, a small conversion or addition stays in the
    // first-level cache and seems up to seven times faster than it is between other layers.
    candidate.warm = options_.timing_mode == TimingMode::warm;
    candidate.batch =
        static_cast<int>(std::clamp(std::ceil(kBatchNs / candidate.quick_ns), 1.0, 1e5));
    active.push_back(&candidate);
  }

  // What was timed since the sentinel was last read; kept or dropped as a whole.
  struct Visit {
    Candidate* candidate;
    std::vector<double> samples;
  };
  std::vector<Visit> segment;
  double before = active.empty() ? 1 : sentinel_.ratio();
  auto segment_begin = Clock::now();
  double kept_seconds = 0.1;  // an allowance for the start
  double dropped_seconds = 0;
  const auto end_segment = [&] {
    const double took = seconds_since(segment_begin);
    const double after = sentinel_.ratio();
    const double ratio = std::max(before, after);
    group.lowest_ratio = std::min({group.lowest_ratio, before, after});
    before = after;
    // Measuring again at most doubles the time; where the machine never comes to rest, the times
    // are kept with the ratio beside them.
    if (ratio > drift_ * (1 + options_.sentinel_tolerance) && dropped_seconds < kept_seconds) {
      dropped_seconds += took;
    } else {
      kept_seconds += took;
      for (Visit& visit : segment) {
        auto& samples = visit.candidate->measurement.samples_ns;
        samples.insert(samples.end(), visit.samples.begin(), visit.samples.end());
        visit.candidate->ratios.push_back(ratio);
      }
    }
    segment.clear();
    segment_begin = Clock::now();
  };

  double fastest_ns = std::numeric_limits<double>::infinity();
  while (!active.empty() && !group.out_of_time()) {
    random_.shuffle(std::span(active));
    const bool cold = std::ranges::any_of(active, [](const Candidate* c) { return !c->warm; });
    // One flush serves a round: every primitive has its own packed weights and runs once.
    if (cold) flush_caches();
    for (Candidate* candidate : active) {
      if (group.out_of_time()) break;
      segment.push_back({candidate, {}});
      group.watch(candidate->primitive, Step::timing);
      visit(*candidate, segment.back().samples);
      group.watch(nullptr, Step::idle);
      if (!cold && seconds_since(segment_begin) > kSegmentSeconds) end_segment();
    }
    if (!segment.empty()) end_segment();
    for (const Candidate* candidate : active) {
      const auto& samples = candidate->measurement.samples_ns;
      if (samples.size() >= kFewestSamples) fastest_ns = std::min(fastest_ns, median(samples));
    }
    std::erase_if(active, [&](const Candidate* candidate) {
      const auto& samples = candidate->measurement.samples_ns;
      const auto count = static_cast<int>(samples.size());
      if (samples.size() < kFewestSamples) return false;
      if (median(samples) > options_.race_factor * fastest_ns) return true;
      return count >= options_.max_samples || candidate->timed_seconds > options_.max_seconds ||
             (count >= options_.min_samples &&
              relative_uncertainty(samples) <= options_.target_uncertainty);
    });
  }

  for (Candidate& candidate : candidates) {
    Measurement& m = candidate.measurement;
    if (candidate.kernel == nullptr || m.samples_ns.size() < kFewestSamples) continue;
    m.status = MeasurementStatus::ok;
    m.median_ns = median(m.samples_ns);
    m.mad_ns = median_deviation(m.samples_ns, m.median_ns);
    m.sentinel = median(candidate.ratios);
    if (m.sentinel > 1 + options_.sentinel_tolerance) ++group.disturbed;
    group.emit(m);
  }
}

void Bench::visit(Candidate& candidate, std::vector<double>& samples) const {
  if (!candidate.warm) {
    touch(candidate.args);
    samples.push_back(stopwatch_.time([&] { candidate.run(); }));
    candidate.timed_seconds += samples.back() * 1e-9;
    return;
  }
  if (candidate.quick_ns < kWarmUpNs) candidate.run();
  const int count = candidate.quick_ns < kWarmUpNs ? kSamplesPerVisit : 1;
  for (int i = 0; i < count; ++i) {
    const double total = stopwatch_.time([&] {
      for (int run = 0; run < candidate.batch; ++run) candidate.run();
    });
    samples.push_back(total / candidate.batch);
    candidate.timed_seconds += total * 1e-9;
  }
}

void Bench::flush_caches() const {
  const std::size_t part =
      flush_.count() / static_cast<std::size_t>(context_.threads) / kReadStep * kReadStep;
  const Microbench bench = microbench(context_.isa);
#pragma omp parallel num_threads(context_.threads)
  {
    [[maybe_unused]] volatile float sink = 0;
    sink = bench.read(flush_.data() + part * static_cast<std::size_t>(omp_get_thread_num()), part);
  }
}

/// Brings the tensors to where the neighbouring layers of a network would have left them.
void Bench::touch(const RunArgs& args) const {
  const auto read = [this](const TensorView& view) {
    if (view.as<float>() == nullptr) return;
    constexpr std::int64_t kLine = 16;
    const std::int64_t count = padded_elements(view.shape, view.layout);
    float sum = 0;
#pragma omp parallel for num_threads(context_.threads) schedule(static) reduction(+ : sum) \
    if (context_.threads > 1)
    for (std::int64_t i = 0; i < count; i += kLine) sum += view.as<float>()[i];
    [[maybe_unused]] volatile float sink = sum;
  };
  read(args.destination);
  read(args.residual);
  for (const TensorView& source : args.sources) read(source);
}

}  // namespace convopt
