#include "src/runtime/timing.h"

#include <algorithm>
#include <cmath>

namespace convopt {
namespace {

using Clock = std::chrono::steady_clock;

double ns_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - start).count();
}

double quantile_of(std::vector<double> values, double quantile) {
  if (values.empty()) return 0;
  const auto rank =
      static_cast<std::ptrdiff_t>(std::ceil(quantile * static_cast<double>(values.size())));
  const auto at = values.begin() + std::clamp<std::ptrdiff_t>(rank - 1, 0, std::ssize(values) - 1);
  std::ranges::nth_element(values, at);
  return *at;
}

/// One look at the clock per step, about 20 ns: the end of a step is the start of the next.
class StepTimer final : public Observer {
 public:
  explicit StepTimer(std::size_t steps) : samples_(steps), current_(steps) {}

  void before_run() noexcept override { last_ = Clock::now(); }
  void after_step(std::size_t step, const TensorView&) noexcept override {
    const auto now = Clock::now();
    current_[step] = ns_between(last_, now);
    last_ = now;
  }

  void keep_run() {
    for (std::size_t s = 0; s < current_.size(); ++s) samples_[s].push_back(current_[s]);
  }
  std::vector<double> medians() const {
    std::vector<double> result;
    for (const auto& samples : samples_) result.push_back(quantile_of(samples, 0.5));
    return result;
  }

 private:
  std::vector<std::vector<double>> samples_;
  std::vector<double> current_;
  Clock::time_point last_;
};

}  // namespace

double RunTimes::median_ns() const { return quantile_ns(0.5); }
double RunTimes::quantile_ns(double quantile) const { return quantile_of(runs_ns, quantile); }
double RunTimes::min_ns() const { return quantile_ns(0); }

Result<std::vector<RunTimes>> time_in_turns(std::span<Executor* const> executors,
                                            Executor::Inputs inputs, Executor::Outputs outputs,
                                            const TimingOptions& options) {
  // A turn is long enough that caches and clock have settled on this executor when it is timed. Its
  // first run meets the caches as the others have left them and is not counted.
  constexpr double kTurnNs = 30e6;
  std::vector<RunTimes> times(executors.size());
  StepTimer timer(executors.empty() ? 0 : executors.front()->steps().size());

  const auto turn = [&](std::size_t index, bool counts) -> Result<void> {
    RunTimes& mine = times[index];
    Observer* observer = options.steps && index == 0 ? &timer : nullptr;
    const auto wanted = static_cast<std::size_t>(options.repeats);
    const auto start = Clock::now();
    for (bool warm = false;; warm = true) {
      const auto before = Clock::now();
      if (auto ran = executors[index]->run(inputs, outputs, observer); !ran) return ran;
      const auto after = Clock::now();
      if (!counts) return {};
      if (warm) {
        mine.runs_ns.push_back(ns_between(before, after));
        if (observer != nullptr) timer.keep_run();
        if (options.repeats > 0 && mine.runs_ns.size() >= wanted) return {};
        if (ns_between(start, after) >= kTurnNs) return {};
      }
    }
  };

  for (std::size_t i = 0; i < executors.size(); ++i) {
    if (auto warmed = turn(i, false); !warmed) return warmed.error();
  }
  const auto start = Clock::now();
  const auto finished = [&] {
    if (options.repeats > 0) {
      return std::ranges::all_of(
          times, [&](const RunTimes& mine) { return std::ssize(mine.runs_ns) >= options.repeats; });
    }
    return Clock::now() - start >= options.time;
  };
  // Every second round goes backwards: whoever ran last in one begins the next.
  for (bool forwards = true; !executors.empty() && !finished(); forwards = !forwards) {
    for (std::size_t i = 0; i < executors.size(); ++i) {
      const std::size_t index = forwards ? i : executors.size() - 1 - i;
      const bool done = options.repeats > 0 && std::ssize(times[index].runs_ns) >= options.repeats;
      if (done) continue;
      if (auto ran = turn(index, true); !ran) return ran.error();
    }
  }
  if (options.steps && !times.empty()) times.front().steps_ns = timer.medians();
  return times;
}

}  // namespace convopt
