#include "profiler/stopwatch.h"

#include <fcntl.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include "core/statistics.h"
#include "core/text.h"

namespace convopt {

Stopwatch::Stopwatch(int threads)
    : Stopwatch([id = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC] {
        timespec time{};
        clock_gettime(id, &time);
        return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
      }) {}

Stopwatch::Stopwatch(Clock clock) : clock_(std::move(clock)) {
  constexpr int kReadings = 200;
  std::vector<double> costs;
  for (int i = 0; i < kReadings; ++i) {
    const double begin = clock_();
    costs.push_back(clock_() - begin);
  }
  overhead_ = median(std::move(costs));
}

RunQueue::RunQueue(int threads) : accounts_(static_cast<std::size_t>(threads)) {
#pragma omp parallel num_threads(threads)
  {
    const std::string path = "/proc/self/task/" + std::to_string(gettid()) + "/schedstat";
    accounts_[static_cast<std::size_t>(omp_get_thread_num())].file =
        FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
}

double RunQueue::Account::waited_ns() const {
  std::array<char, 96> text{};
  const ssize_t length = file.ok() ? pread(file.get(), text.data(), text.size(), 0) : 0;
  if (length <= 0) return 0;
  // "time on a processor, time waiting for one, time slices"
  const auto fields = split({text.data(), static_cast<std::size_t>(length)}, ' ');
  return fields.size() > 1 ? parse_number<double>(fields[1]).value_or(0) : 0;
}

void RunQueue::start() {
  for (Account& account : accounts_) account.started_ns = account.waited_ns();
}

double RunQueue::longest_wait_ns() const {
  double longest = 0;
  for (const Account& account : accounts_)
    longest = std::max(longest, account.waited_ns() - account.started_ns);
  return longest;
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
  // A thousand lines: enough to weigh beside the rest where cores lie far apart.
  constexpr std::size_t kLine = 64 / sizeof(float), kHandedOver = (64U << 10U) / sizeof(float);
  const auto load = [this](const Buffer& buffer) {
    [[maybe_unused]] volatile float sink = 0;
    sink = bench_.multiply_add(kIterations);
    sink = bench_.read(buffer.data(), buffer.count());
  };
  if (threads_ == 1) return stopwatch_.time([&] { load(buffers_.front()); });
  return stopwatch_.time([&] {
#pragma omp parallel num_threads(threads_)
    {
      const auto thread = static_cast<std::size_t>(omp_get_thread_num());
      load(buffers_[thread]);
      // Every thread writes what its neighbour reads.
      float* const own = buffers_[thread].data();
      for (std::size_t i = 0; i < kHandedOver; i += kLine) own[i] += 1;
#pragma omp barrier
      const float* const others = buffers_[(thread + 1) % buffers_.size()].data();
      [[maybe_unused]] volatile float sink = 0;
      float sum = 0;
      for (std::size_t i = 0; i < kHandedOver; i += kLine) sum += others[i];
      sink = sum;
    }
  });
}

double Sentinel::ratio() {
  run();  // brings its own data back
  const double time = median({run(), run(), run()});
  // Clearly faster than before: the level was taken while the machine was disturbed.
  constexpr double kClearly = 0.97;
  if (time < kClearly * level_ns_) level_ns_ = time;
  return time / level_ns_;
}

}  // namespace convopt
