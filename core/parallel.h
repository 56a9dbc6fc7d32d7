// Independent parts of one piece of work, on several processors.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <thread>
#include <vector>

namespace convopt {

/// Calls `part(i)` for every i below `count`, in no certain order, on the caller's thread and,
/// where there are more processors, on others. What a part throws is thrown here, after all threads
/// have ended.
template <class Part>
void in_parallel(std::size_t count, const Part& part) {
  // Starting more threads takes longer than they save.
  constexpr std::size_t kMostThreads = 4;
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) part(i);
  };
  const std::size_t threads = std::min(
      {count, kMostThreads, static_cast<std::size_t>(std::thread::hardware_concurrency())});
  std::vector<std::future<void>> others;
  for (std::size_t i = 1; i < threads; ++i) {
    // Deferred where the system gives no thread.
    others.push_back(std::async(std::launch::async | std::launch::deferred, work));
  }
  work();
  for (std::future<void>& other : others) other.get();
}

}  // namespace convopt
