// Times the primitives of one workload against each other.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/primitive.hpp"
#include "profiler/buffer.h"
#include "profiler/microbench.h"
#include "profiler/protocol.h"
#include "profiler/random.h"

namespace convopt {

/// Reads a clock; differences are nanoseconds without the cost of reading. With one thread it is
/// that thread's processor time, so that a time slice of another process is not counted; with
/// several it is wall-clock time, because they wait for each other.
class Stopwatch {
 public:
  explicit Stopwatch(int threads);
  template <class Body>
  double time(const Body& body) const {
    const double begin = now();
    body();
    const double elapsed = now() - begin - overhead_;
    return elapsed > 1 ? elapsed : 1;
  }

 private:
  double now() const;
  int clock_;
  double overhead_ = 0;
};

/// A small fixed load, half arithmetic, half reading, timed again and again: when it slows down,
/// the clock has changed or a neighbour is at work, and what was timed beside it is not to be
/// trusted.
class Sentinel {
 public:
  /// `level_ns`: its time on the undisturbed machine if known from before, else 0.
  Sentinel(const Context& context, double level_ns);
  double level_ns() const { return level_ns_; }
  /// Time now over the undisturbed time.
  double ratio();

 private:
  double run();
  Microbench bench_;
  int threads_;
  Stopwatch stopwatch_;
  std::vector<Buffer> buffers_;  ///< one per thread
  double level_ns_ = 0;
};

struct BenchOptions {
  TimingMode timing_mode = TimingMode::cold_weights;
  std::uint64_t seed = 0;
  /// Timing of a primitive ends when the relative standard error of its median is below this.
  double target_uncertainty = 0.01;
  int min_samples = 7, max_samples = 40;
  double max_seconds = 0.4;  ///< of timed runs, per primitive
  /// A primitive whose first runs are slower than the best by this factor is cut short.
  double censor_factor = 4;
  std::size_t memory_limit = 1U << 30U;  ///< of kernels that are prepared at the same time
  double sentinel_tolerance = 0.07;
  /// A primitive whose median after a few samples is slower than the fastest one's by this factor
  /// is timed no further: how much it lost by is not asked. Infinite: it is.
  double race_factor = std::numeric_limits<double>::infinity();
};

class Bench {
 public:
  /// Told before every step that runs foreign code, and with null and `idle` after it.
  using Watch = std::function<void(const Primitive* primitive, Step step)>;
  using Emit = std::function<void(const Measurement&)>;

  Bench(const Context& context, const BenchOptions& options, double sentinel_level_ns = 0);

  /// Emits a measurement for each primitive, in no particular order; none for those that the time
  /// did not suffice for. Returns how many of the times are disturbed.
  int measure(const Workload& workload, std::span<const Primitive* const> primitives,
              double seconds, const Watch& watch, const Emit& emit);

  double sentinel_level_ns() const { return sentinel_.level_ns(); }

 private:
  struct Candidate;
  struct Group;

  bool start(Candidate& candidate, Group& group);
  void time_group(std::vector<Candidate>& candidates, Group& group);
  void visit(Candidate& candidate, std::vector<double>& samples) const;
  void flush_caches() const;
  void touch(const RunArgs& args) const;

  Context context_;
  BenchOptions options_;
  Random random_;
  Stopwatch stopwatch_;
  Sentinel sentinel_;
  /// Where the sentinel has come to rest: the lowest ratio of the last workload. A clock that stays
  /// lower is no reason to time everything twice.
  double drift_ = 1;
  Buffer workspace_, flush_;
};

}  // namespace convopt
