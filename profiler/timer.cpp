#include "profiler/timer.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>

#include "core/files.h"
#include "core/ops/descriptor.h"
#include "primitives/flush_denormals.h"
#include "profiler/buffer.h"
#include "profiler/machine.h"
#include "profiler/microbench.h"
#include "profiler/random.h"
#include "profiler/stopwatch.h"

namespace convopt {
namespace {

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class MachineTimer final : public Timer {
 public:
  MachineTimer(const Context& context, TimingMode mode, double undisturbed_ns)
      : context_(context),
        flush_denormals_(context.threads),
        stopwatch_(context.threads),
        run_queue_(context.threads),
        sentinel_(context, undisturbed_ns) {
    if (mode != TimingMode::cold_weights) return;
    const std::int64_t bytes = flush_bytes(machine_facts(), context.threads);
    flush_ = Buffer(static_cast<std::size_t>(bytes) / sizeof(float) / kReadStep * kReadStep);
  }

  Elapsed time(const Subject&, const std::function<void()>& body) override {
    run_queue_.start();
    const double ns = stopwatch_.time(body);
    return {ns, was_preempted(run_queue_.longest_wait_ns(), ns)};
  }
  double seconds() const override { return wall_seconds(); }
  double disturbance() override { return sentinel_.ratio(); }
  double undisturbed_ns() const override { return sentinel_.level_ns(); }

  void flush_caches() override {
    const std::size_t part =
        flush_.count() / static_cast<std::size_t>(context_.threads) / kReadStep * kReadStep;
    const Microbench bench = microbench(context_.isa);
#pragma omp parallel num_threads(context_.threads)
    {
      [[maybe_unused]] volatile float sink = 0;
      sink =
          bench.read(flush_.data() + part * static_cast<std::size_t>(omp_get_thread_num()), part);
    }
  }

 private:
  bool was_preempted(double waited_ns, double ns) const {
    // Between these lie the threads that sleep between kernels and are woken, a few microseconds
    // each, and the shortest time slice of Linux, 0.75 ms.
    constexpr double kLeastWaitNs = 2e5;
    // Of a longer run a slice of another process is noise. One thread's time is its own processor
    // time, in which a slice of another counts by the caches that it emptied, 0.1 ms to fill again.
    constexpr double kShare = 0.01, kFillCachesNs = 1e5;
    const double lost = context_.threads == 1 ? kFillCachesNs : waited_ns;
    return waited_ns > kLeastWaitNs && lost > kShare * ns;
  }

  Context context_;
  FlushDenormals flush_denormals_;  ///< as a session does
  Stopwatch stopwatch_;
  RunQueue run_queue_;
  Sentinel sentinel_;
  Buffer flush_;
};

// Creating tensors, packing weights and checking a result, in simulated time.
constexpr double kSimulatedPreparation = 0.02;

double simulated_clock = 0;

}  // namespace

std::int64_t flush_bytes(const Machine& machine, int threads) {
  // Twice the last cache, so that nothing of what was there remains. At most what a network reads
  // between two uses of a layer's weights, of which a server's third-level cache of hundreds of
  // megabytes does keep some: ResNet-18 has 47 MB of weights, ResNet-50 102.
  constexpr std::int64_t kLeast = 32LL << 20U, kMost = 80LL << 20U;
  return std::clamp(2 * (machine.l3_bytes + machine.l2_bytes * threads), kLeast, kMost);
}

std::unique_ptr<Timer> make_timer(const Context& context, TimingMode mode, double undisturbed_ns) {
  if (times_are_simulated()) return std::make_unique<SimulatedTimer>(simulated_ns);
  return std::make_unique<MachineTimer>(context, mode, undisturbed_ns);
}

Timer::Elapsed SimulatedTimer::time(const Subject& subject, const std::function<void()>& body) {
  if (subject.step != Step::timing) body();
  const double ns = subject.step == Step::preparing
                        ? kSimulatedPreparation * 1e9
                        : subject.runs * run_ns_(subject.workload, subject.primitive.name);
  seconds_ += ns * 1e-9;
  return {ns};
}

bool times_are_simulated() {
  static const bool simulated = std::getenv("CONVOPT_TEST_CLOCK") != nullptr;
  return simulated;
}

double simulated_ns(const Workload& workload, std::string_view primitive) {
  constexpr double kFixedNs = 2000, kFlopsPerNs = 20, kBytesPerNs = 5;
  const Amount amount = amount_of(workload);
  const double ns = kFixedNs + amount.flops / kFlopsPerNs + amount.bytes / kBytesPerNs;
  // A factor between 1 and 4 of the primitive, and one between 0.9 and 1.1 of the pair.
  const double own = Random(hash64(primitive)).unit();
  const double pair = Random(hash64(workload.text() + '\n' + std::string(primitive))).unit();
  return ns * std::exp2(2 * own) * (0.9 + 0.2 * pair);
}

double budget_seconds() { return times_are_simulated() ? simulated_clock : wall_seconds(); }

void spend_simulated_time(const Measurement& measurement) {
  if (measurement.samples_ns.empty()) return;
  simulated_clock +=
      kSimulatedPreparation +
      1e-9 * std::accumulate(measurement.samples_ns.begin(), measurement.samples_ns.end(), 0.0);
}

Amount amount_of(const Workload& workload) {
  const double input = static_cast<double>(element_bytes(workload.input_type));
  const double output = static_cast<double>(element_bytes(workload.output_type));
  double bytes = output * static_cast<double>(workload.output().elements());
  for (int i = 0; i < workload.source_count(); ++i) {
    bytes += input * static_cast<double>(workload.source(i).elements());
  }
  double flops = 0;
  if (workload.has_weights()) {
    flops = geometry(workload).flops();
    bytes += input * static_cast<double>(workload.weight_elements());
  }
  return {flops, bytes};
}

}  // namespace convopt
