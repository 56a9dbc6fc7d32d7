// Clocks, and detection of disturbances by other processes.
#pragma once

#include <functional>
#include <vector>

#include "convopt/platform.hpp"
#include "convopt/primitive.hpp"
#include "core/file_descriptor.h"
#include "profiler/buffer.h"
#include "profiler/microbench.h"

namespace convopt {

/// Reads a clock; differences are nanoseconds without the cost of reading.
class Stopwatch {
 public:
  using Clock = std::function<double()>;  ///< nanoseconds since some moment

  /// With one thread the clock is that thread's processor time, so that a time slice of another
  /// process is not counted; with several it is wall-clock time, because they wait for each other.
  explicit Stopwatch(int threads);
  explicit Stopwatch(Clock clock);

  template <class Body>
  double time(const Body& body) const {
    const double begin = clock_();
    body();
    const double elapsed = clock_() - begin - overhead_;
    return elapsed > 1 ? elapsed : 1;
  }

 private:
  Clock clock_;
  double overhead_ = 0;
};

/// How long the threads of this process have waited for a processor that other processes had, by
/// the scheduler's account (the second figure of /proc/self/task/*/schedstat).
class RunQueue {
 public:
  /// Follows the calling thread and the team of OpenMP's threads, which it starts.
  explicit RunQueue(int threads);
  void start();
  /// The longest that one of the threads has waited since start(); 0 where the system keeps no
  /// account.
  double longest_wait_ns() const;

 private:
  struct Account {
    FileDescriptor file{};
    double started_ns = 0;

    double waited_ns() const;  ///< since the thread began
  };
  std::vector<Account> accounts_;  ///< one per thread
};

/// A small fixed load, half arithmetic, half reading, that is timed repeatedly; several threads
/// hand data to each other, too, which takes longer where a virtual machine's processors have been
/// moved apart. When it slows down,
/// the clock frequency has changed or another process is running, and times taken then are not
/// reliable.
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

}  // namespace convopt
