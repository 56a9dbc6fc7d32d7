#include "profiler/bench.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "core/statistics.h"
#include "core/text.h"
#include "primitives/division.h"
#include "primitives/sharing.h"
#include "profiler/instance.h"

namespace convopt {
namespace {

// A sample of a short kernel is the mean over a batch that takes this long: 50 us is 500 times what
// reading the processor-time clock costs, and still short against a time slice.
constexpr double kBatchNs = 50e3;
// Up to here a kernel first runs once untimed, so that the one before it does not count; beyond,
// the caches hold too small a part of its data to matter.
constexpr double kWarmUpNs = 100e6;
// Up to here code counts that comes from memory, 0.5 to 3 us of a run.
constexpr double kCodeCountsNs = 1e5;
// Samples per visit: one untimed run serves several, yet rounds stay short and interleaved.
constexpr int kSamplesPerVisit = 3;
// Too few for an uncertainty, enough to keep when time runs out.
constexpr std::size_t kFewestSamples = 3;
// Visits between two readings of the sentinel, at least.
constexpr double kSegmentSeconds = 0.05;
// Noise makes a first run slower, never faster; a bound that is said to be lower leaves it room.
constexpr double kBoundMargin = 1.25, kColdBoundMargin = 2;
// A run that would cut a primitive short is repeated, since it may have been stalled: once 4 ms of
// another process made an 80 us kernel the slowest of its kind. What takes longer than this is
// slow.
constexpr double kStallNs = 100e6;
// Runs of which one must have kept its processors, before the primitive is let into the rounds.
constexpr int kMostQuickRuns = 5;
// Samples of a primitive that may be lost to other processes before it is given up. With three
// endless loops beside two threads on two processors every sixth sample kept both.
constexpr std::size_t kMostLost = 100;
// And seconds that may go into it without enough samples.
constexpr double kMostLostSeconds = 2;

}  // namespace

struct Bench::Candidate {
  const Primitive* primitive = nullptr;
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<Kernel> twin;  ///< the same code with weights of its own; may be null
  RunArgs args;
  Measurement measurement;
  double quick_ns = 0;   ///< the fastest of the first runs
  bool stalled = false;  ///< each of those lost a processor, so that it may be faster
  double bound_ns = 0;   ///< lower bound of its time, from the same
  int batch = 1;         ///< runs per sample
  double timed_seconds = 0;
  std::size_t lost = 0;              ///< samples
  std::vector<double> disturbances;  ///< one per segment

  /// Other processes took a processor away too often.
  bool is_given_up() const {
    return lost >= kMostLost ||
           (lost > 0 && samples().size() < kFewestSamples && timed_seconds > kMostLostSeconds);
  }
  std::vector<double>& samples() { return measurement.samples_ns; }
  const std::vector<double>& samples() const { return measurement.samples_ns; }
};

/// Primitives of one workload that are compared with each other.
struct Bench::Group {
  Instance instance;
  const Watch& watch;
  const Emit& emit;
  const Timer& timer;
  double end_seconds;  ///< by the timer
  double best_ns = std::numeric_limits<double>::infinity();
  double least_disturbance = std::numeric_limits<double>::infinity();
  Quality quality;

  bool out_of_time() const { return timer.seconds() > end_seconds; }
};

Bench::Bench(const Context& context, const BenchOptions& options, double undisturbed_ns)
    : Bench(context, options, make_timer(context, options.timing_mode, undisturbed_ns)) {}

Bench::Bench(const Context& context, const BenchOptions& options, std::unique_ptr<Timer> timer)
    : context_(context), options_(options), random_(options.seed), timer_(std::move(timer)) {}

Bench::Quality Bench::measure(const Workload& workload,
                              std::span<const Primitive* const> primitives, double seconds,
                              const Watch& watch, const Emit& emit) {
  std::vector<Candidate> waiting = applicable(workload, primitives, watch, emit);
  if (waiting.empty()) return {};
  random_.shuffle(std::span(waiting));

  Group group{.instance = Instance(workload, options_.seed),
              .watch = watch,
              .emit = emit,
              .timer = *timer_,
              .end_seconds = timer_->seconds() + seconds,
              .quality = {}};
  for (std::size_t next = 0; next < waiting.size() && !group.out_of_time();) {
    // As many at a time as fit into memory.
    std::vector<Candidate> started;
    std::size_t bytes = 0;
    for (bool first = true; next < waiting.size() && !group.out_of_time(); first = false) {
      bytes += waiting[next].primitive->packed_bytes(workload, context_);
      if (!first && bytes > options_.memory_limit) break;
      Candidate candidate = std::move(waiting[next++]);
      if (start(candidate, group)) started.push_back(std::move(candidate));
    }
    time_group(started, group);
  }
  drift_ = std::max(1.0, std::isfinite(group.least_disturbance) ? group.least_disturbance : 1.0);
  return group.quality;
}

/// Those that apply; the others are emitted as inapplicable.
std::vector<Bench::Candidate> Bench::applicable(const Workload& workload,
                                                std::span<const Primitive* const> primitives,
                                                const Watch& watch, const Emit& emit) const {
  std::vector<Candidate> result;
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
    if (answer) {
      result.push_back(std::move(candidate));
      continue;
    }
    m.status = MeasurementStatus::inapplicable;
    m.reason = answer.reason;
    emit(m);
  }
  return result;
}

/// Prepares, runs for the first time and checks. Emits a measurement and returns false if there is
/// nothing to be timed.
bool Bench::start(Candidate& candidate, Group& group) {
  const Workload& workload = group.instance.workload();
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
  m.prepare_ns =
      timer_->time({workload, info, Step::preparing}, [&] { prepared = prepare(candidate, group); })
          .ns;
  if (!prepared->ok()) return fail(prepared->error().message);
  candidate.kernel = std::move(prepared->value());
  m.packed_bytes = candidate.kernel->packed_bytes();
  m.workspace_bytes = candidate.kernel->workspace_bytes();
  const std::size_t floats = (m.workspace_bytes + sizeof(float) - 1) / sizeof(float);
  if (floats > workspace_.count()) workspace_ = Buffer(floats);

  candidate.args = group.instance.args(info, workspace_.data());
  group.instance.reset(info, candidate.args);
  group.watch(candidate.primitive, Step::running);
  const Timer::Elapsed first = time(candidate, Step::running);
  group.watch(candidate.primitive, Step::checking);
  const double error = group.instance.error(candidate.args, info.traits.weight_type);
  double bound = error_bound(workload, info.traits);
  if (!std::isfinite(error)) {
    return fail("a result is not finite, not written, or the filling of the last block not zero");
  }
  m.max_relative_error = error;
  if (error > bound) bound = error_bound(workload, info.traits, group.instance.condition());
  if (!(error <= bound)) {
    return fail("the result differs from the reference by " + scientific(error, 1) +
                ", allowed are " + scientific(bound, 1));
  }

  group.watch(candidate.primitive, Step::running);
  run_quickly(candidate, group, first);
  group.watch(nullptr, Step::idle);
  group.best_ns = std::min(group.best_ns, candidate.quick_ns);
  return true;
}

Result<std::unique_ptr<Kernel>> Bench::prepare(const Candidate& candidate,
                                               const Group& group) const {
  const Workload& workload = group.instance.workload();
  return candidate.primitive->prepare(workload, group.instance.parameters(),
                                      context_of(*candidate.primitive, workload, context_));
}

/// What the primitive takes at least, by the first run and a few more.
void Bench::run_quickly(Candidate& candidate, const Group& group, const Timer::Elapsed& first) {
  candidate.quick_ns = first.ns;
  candidate.bound_ns = first.ns / kColdBoundMargin;
  // The first run paid for page faults and cold caches. Hopeless ones are not run again.
  const double hopeless_ns = std::max(options_.censor_factor * group.best_ns, kStallNs);
  if (candidate.bound_ns >= hopeless_ns) return;
  candidate.stalled = true;
  for (int run = 1; run < kMostQuickRuns && candidate.stalled; ++run) {
    // A long one is timed in rounds anyhow.
    if (run > 1 && candidate.bound_ns >= kStallNs) break;
    group.watch(candidate.primitive, Step::running);
    const Timer::Elapsed again = time(candidate, Step::running);
    candidate.quick_ns = std::min(candidate.quick_ns, again.ns);
    candidate.bound_ns = candidate.quick_ns / kBoundMargin;
    candidate.stalled = again.preempted;
  }
}

/// `runs` runs.
Timer::Elapsed Bench::time(const Candidate& candidate, Step step, int runs) {
  return timer_->time({candidate.measurement.workload, candidate.primitive->info(), step, runs},
                      [&] {
                        for (int run = 0; run < runs; ++run) candidate.kernel->run(candidate.args);
                      });
}

/// Those that are worth timing in rounds; the others are emitted as censored.
std::vector<Bench::Candidate*> Bench::contenders(std::vector<Candidate>& candidates,
                                                 const Group& group) const {
  std::vector<Candidate*> result;
  for (Candidate& candidate : candidates) {
    // The workspace may have moved when a later kernel asked for a larger one.
    candidate.args.workspace = workspace_.data();
    if (!candidate.stalled && candidate.quick_ns > options_.censor_factor * group.best_ns) {
      Measurement& m = candidate.measurement;
      m.status = MeasurementStatus::censored;
      m.reason = "slower than the best by more than a factor of " +
                 std::to_string(static_cast<int>(options_.censor_factor));
      m.samples_ns = {candidate.quick_ns};
      m.median_ns = candidate.bound_ns;
      group.emit(m);
      candidate.kernel.reset();
      continue;
    }
    candidate.batch =
        static_cast<int>(std::clamp(std::ceil(kBatchNs / candidate.quick_ns), 1.0, 1e5));
    if (group.instance.workload().has_weights() && candidate.quick_ns < kCodeCountsNs &&
        options_.timing_mode == TimingMode::cold_weights) {
      group.watch(candidate.primitive, Step::preparing);
      auto twin = prepare(candidate, group);
      group.watch(nullptr, Step::idle);
      if (twin) candidate.twin = std::move(*twin);
    }
    result.push_back(&candidate);
  }
  return result;
}

/// Visits contenders round after round until each has samples enough or time is up. Samples are
/// kept by segments of a round or less, with the machine's disturbance read before and after each.
class Bench::Rounds {
 public:
  Rounds(Bench& bench, std::vector<Candidate*> contenders, Group& group)
      : bench_(bench), active_(std::move(contenders)), group_(group) {
    if (!active_.empty()) before_ = bench_.timer_->disturbance();
    segment_begin_ = bench_.timer_->seconds();
  }

  void run() {
    while (!active_.empty() && !group_.out_of_time()) {
      round();
      retire();
    }
  }

 private:
  struct Visit {
    Candidate* candidate;
    std::vector<double> samples;
  };

  void round() {
    bench_.random_.shuffle(std::span(active_));
    // Kernels without weights are timed cold, too: run over and over, a small conversion or
    // addition stays in the first-level cache and seems up to seven times faster than it is between
    // other layers. One flush serves a round: each primitive has its own weights and runs once.
    const bool cold = bench_.options_.timing_mode == TimingMode::cold_weights;
    if (cold) bench_.timer_->flush_caches();
    for (Candidate* candidate : active_) {
      if (group_.out_of_time()) break;
      segment_.push_back({candidate, {}});
      group_.watch(candidate->primitive, Step::timing);
      bench_.visit(*candidate, group_, segment_.back().samples);
      group_.watch(nullptr, Step::idle);
      if (!cold && bench_.timer_->seconds() - segment_begin_ > kSegmentSeconds) end_segment();
    }
    if (!segment_.empty()) end_segment();
  }

  /// Keeps what was timed since the sentinel was last read, or drops it.
  void end_segment() {
    const double took = bench_.timer_->seconds() - segment_begin_;
    const double after = bench_.timer_->disturbance();
    const double disturbance = std::max(before_, after);
    group_.least_disturbance = std::min({group_.least_disturbance, before_, after});
    before_ = after;
    const bool disturbed = disturbance > bench_.drift_ * (1 + bench_.options_.sentinel_tolerance);
    // Measuring again at most doubles the time; where the machine never comes to rest, the times
    // are kept with the disturbance beside them.
    if (disturbed && dropped_seconds_ < kept_seconds_) {
      dropped_seconds_ += took;
    } else {
      kept_seconds_ += took;
      for (const Visit& visit : segment_) {
        auto& samples = visit.candidate->samples();
        samples.insert(samples.end(), visit.samples.begin(), visit.samples.end());
        visit.candidate->disturbances.push_back(disturbance);
      }
    }
    segment_.clear();
    segment_begin_ = bench_.timer_->seconds();
  }

  /// Ends the timing of those with samples enough, and of losers of a race.
  void retire() {
    const BenchOptions& options = bench_.options_;
    for (const Candidate* candidate : active_) {
      const auto& samples = candidate->samples();
      if (samples.size() >= kFewestSamples) fastest_ns_ = std::min(fastest_ns_, median(samples));
    }
    std::erase_if(active_, [&](const Candidate* candidate) {
      const auto& samples = candidate->samples();
      const auto count = static_cast<int>(samples.size());
      if (candidate->is_given_up()) return true;
      if (samples.size() < kFewestSamples) return false;
      if (median(samples) > options.race_factor * fastest_ns_) return true;
      return count >= options.max_samples || candidate->timed_seconds > options.max_seconds ||
             (count >= options.min_samples &&
              relative_uncertainty(samples) <= options.target_uncertainty);
    });
  }

  Bench& bench_;
  std::vector<Candidate*> active_;
  Group& group_;
  std::vector<Visit> segment_;
  double before_ = 1;  ///< disturbance at the segment's start
  double segment_begin_ = 0;
  double kept_seconds_ = 0.1;  ///< with an allowance for the start
  double dropped_seconds_ = 0;
  double fastest_ns_ = std::numeric_limits<double>::infinity();
};

void Bench::time_group(std::vector<Candidate>& candidates, Group& group) {
  Rounds(*this, contenders(candidates, group), group).run();
  for (Candidate& candidate : candidates) {
    Measurement& m = candidate.measurement;
    if (candidate.kernel == nullptr) continue;
    if (m.samples_ns.size() < kFewestSamples) {
      if (candidate.is_given_up()) ++group.quality.given_up;
      continue;
    }
    m.status = MeasurementStatus::ok;
    m.median_ns = median(m.samples_ns);
    m.mad_ns = median_deviation(m.samples_ns, m.median_ns);
    m.sentinel = median(candidate.disturbances);
    if (m.sentinel > 1 + options_.sentinel_tolerance) ++group.quality.disturbed;
    group.emit(m);
  }
}

void Bench::visit(Candidate& candidate, Group& group, std::vector<double>& samples) {
  const auto take = [&](int runs) {
    const Timer::Elapsed total = time(candidate, Step::timing, runs);
    candidate.timed_seconds += total.ns * 1e-9;
    ++group.quality.samples;
    if (total.preempted) {
      ++candidate.lost;
      ++group.quality.lost;
    } else {
      samples.push_back(total.ns / runs);
    }
  };
  if (options_.timing_mode == TimingMode::cold_weights) {
    // The weights alone are cold: a network's other layers, or its last run, left the code in the
    // caches. What has no weights can run itself.
    const bool is_weightless = !candidate.measurement.workload.has_weights();
    const Kernel* const same_code = is_weightless ? candidate.kernel.get() : candidate.twin.get();
    if (same_code != nullptr) same_code->run(candidate.args);
    touch(candidate.args);
    take(1);
    return;
  }
  const bool is_short = candidate.quick_ns < kWarmUpNs;
  if (is_short) static_cast<void>(time(candidate, Step::timing));
  const int count = is_short ? kSamplesPerVisit : 1;
  for (int i = 0; i < count; ++i) take(candidate.batch);
}

/// Brings the tensors to where the neighbouring layers of a network would have left them. Threads
/// share out rows, as most kernels do, each the same ones of every channel: halves of the memory of
/// a blocked image would lie with the other thread, which made a layer of 97 us in a network 207.
void Bench::touch(const RunArgs& args) const {
  const auto read = [this](const TensorView& view) {
    if (view.data == nullptr) return;
    constexpr std::int64_t kLine = 64;
    const TensorShape& shape = view.shape;
    const std::int64_t bytes =
        padded_elements(shape, view.layout) * static_cast<std::int64_t>(element_bytes(view.type));
    std::int64_t planes = 1, rows = bytes;
    if (context_.threads > 1 && shape.is_image() && shape.h() >= context_.threads) {
      const int block = view.layout == Layout::nhwc ? shape.c() : channel_block(view.layout);
      planes = shape.n() * ceil_div(shape.c(), block);
      rows = shape.h();
    }
    const std::int64_t plane_bytes = bytes / planes, row_bytes = plane_bytes / rows;
    const auto* const data = view.as<const unsigned char>();
    unsigned sum = 0;
#pragma omp parallel for num_threads(context_.threads) schedule(static) reduction(+ : sum) \
    if (context_.threads > 1)
    for (int part = 0; part < context_.threads; ++part) {
      const std::int64_t begin = part_begin(rows, part, context_.threads) * row_bytes;
      const std::int64_t end = part_begin(rows, part + 1, context_.threads) * row_bytes;
      for (std::int64_t plane = 0; plane < planes; ++plane) {
        const auto* const first = data + plane * plane_bytes;
        for (std::int64_t i = begin; i < end; i += kLine) sum += first[i];
      }
    }
    [[maybe_unused]] volatile unsigned sink = sum;
  };
  read(args.destination);
  read(args.residual);
  for (const TensorView& source : args.sources) read(source);
}

}  // namespace convopt
