// Source of the profiler's times: this machine's clocks, or simulated times in tests.
//
// With CONVOPT_TEST_CLOCK set in the environment, every time is a function of workload and
// primitive (simulated_ns), the machine's description has fixed figures, and budgets are spent by
// what is measured instead of by the clock on the wall. What a program does then depends on its
// input only, however busy the machine is. Kernels still run once and are checked. Only limits that
// notice a hanging primitive remain wall-clock time. Meant for tests; profile() warns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "convopt/measurement.hpp"
#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "profiler/protocol.h"

namespace convopt {

class Timer {
 public:
  /// What a body does: `preparing` once, or `runs` runs of the kernel, `running` ones whose result
  /// matters or `timing` ones.
  struct Subject {
    const Workload& workload;
    const PrimitiveInfo& primitive;
    Step step;
    int runs = 1;
  };

  /// How long a body took.
  struct Elapsed {
    double ns = 0;
    /// A thread waited for a processor meanwhile, because another process had it. Such a time says
    /// nothing of the body.
    bool preempted = false;
  };

  virtual ~Timer() = default;
  virtual Elapsed time(const Subject& subject, const std::function<void()>& body) = 0;
  /// Seconds since some moment, by which budgets are kept.
  virtual double seconds() const = 0;
  /// Time of a fixed load now over its time on the undisturbed machine.
  virtual double disturbance() = 0;
  /// The latter, in nanoseconds; spares the next timer finding it out.
  virtual double undisturbed_ns() const = 0;
  virtual void flush_caches() = 0;
};

/// This machine's clocks, or simulated ones under CONVOPT_TEST_CLOCK. `undisturbed_ns`: from an
/// earlier timer, or 0.
std::unique_ptr<Timer> make_timer(const Context& context, TimingMode mode, double undisturbed_ns);

/// What flush_caches() reads on that machine with TimingMode::cold_weights.
std::int64_t flush_bytes(const Machine& machine, int threads);

/// Times by a function. Bodies that are only timed are not run.
class SimulatedTimer final : public Timer {
 public:
  using RunTime = std::function<double(const Workload&, std::string_view primitive)>;  ///< ns
  explicit SimulatedTimer(RunTime run_ns) : run_ns_(std::move(run_ns)) {}

  Elapsed time(const Subject& subject, const std::function<void()>& body) override;
  double seconds() const override { return seconds_; }
  double disturbance() override { return 1; }
  double undisturbed_ns() const override { return 1; }
  void flush_caches() override {}

 private:
  RunTime run_ns_;
  double seconds_ = 0;
};

/// Whether CONVOPT_TEST_CLOCK is set.
bool times_are_simulated();

/// A plausible time that depends on nothing else; primitives differ by up to a factor of five.
double simulated_ns(const Workload& workload, std::string_view primitive);

/// Seconds since some moment by which the budgets of this process are kept.
double budget_seconds();

/// Lets simulated time pass as if `measurement` had been taken; otherwise does nothing.
void spend_simulated_time(const Measurement& measurement);

/// Least operations and bytes of a workload, whatever the primitive.
struct Amount {
  double flops = 0, bytes = 0;
};
Amount amount_of(const Workload& workload);

}  // namespace convopt
