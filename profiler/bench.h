// Times the primitives of one workload against each other.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "convopt/measurement.hpp"
#include "convopt/primitive.hpp"
#include "profiler/buffer.h"
#include "profiler/protocol.h"
#include "profiler/random.h"
#include "profiler/timer.h"

namespace convopt {

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
  /// is timed no further, since by how much it lost does not matter. Infinite: never.
  double race_factor = std::numeric_limits<double>::infinity();
};

/// Times primitives in rounds (random interleaving): one visit each per round, in random order, so
/// that disturbances of the machine affect all alike.
class Bench {
 public:
  /// Called before every step that runs a primitive's code, and with null and `idle` after it.
  using Watch = std::function<void(const Primitive* primitive, Step step)>;
  using Emit = std::function<void(const Measurement&)>;

  Bench(const Context& context, const BenchOptions& options, double undisturbed_ns = 0);
  Bench(const Context& context, const BenchOptions& options, std::unique_ptr<Timer> timer);

  /// Disturbance of the measuring by other processes.
  struct Quality {
    std::size_t samples = 0;    ///< taken, lost ones included
    std::size_t lost = 0;       ///< samples whose threads lost a processor to other processes
    std::size_t given_up = 0;   ///< primitives that have no time because of that
    std::size_t disturbed = 0;  ///< times taken while the sentinel was slow
  };

  /// Emits a measurement for each primitive, in no particular order; none for those that `seconds`
  /// did not suffice for or that were given up.
  Quality measure(const Workload& workload, std::span<const Primitive* const> primitives,
                  double seconds, const Watch& watch, const Emit& emit);

  double undisturbed_ns() const { return timer_->undisturbed_ns(); }

 private:
  struct Candidate;
  struct Group;
  class Rounds;

  std::vector<Candidate> applicable(const Workload& workload,
                                    std::span<const Primitive* const> primitives,
                                    const Watch& watch, const Emit& emit) const;
  bool start(Candidate& candidate, Group& group);
  Result<std::unique_ptr<Kernel>> prepare(const Candidate& candidate, const Group& group) const;
  std::vector<Candidate*> contenders(std::vector<Candidate>& candidates, const Group& group) const;
  void time_group(std::vector<Candidate>& candidates, Group& group);
  void visit(Candidate& candidate, Group& group, std::vector<double>& samples);
  void run_quickly(Candidate& candidate, const Group& group, const Timer::Elapsed& first);
  Timer::Elapsed time(const Candidate& candidate, Step step, int runs = 1);
  void touch(const RunArgs& args) const;

  Context context_;
  BenchOptions options_;
  Random random_;
  std::unique_ptr<Timer> timer_;
  /// The machine's steady state: the least disturbance during the last workload. A clock frequency
  /// that stays lower is no reason to time everything twice.
  double drift_ = 1;
  Buffer workspace_;
};

}  // namespace convopt
