#include "profiler/affinity.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/sysfs.h"

namespace convopt {
namespace {

/// Processors of the affinity mask, in the order in which threads are bound to them.
std::vector<int> allowed_processors() {
  cpu_set_t allowed;
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return processors;
  std::vector<std::string> siblings;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    processors.push_back(cpu);
    siblings.push_back(sysfs::line_in(sysfs::processors_folder() / ("cpu" + std::to_string(cpu)) /
                                      "topology/thread_siblings_list"));
  }
  return binding_order(processors, siblings);
}

}  // namespace

std::vector<int> binding_order(const std::vector<int>& processors,
                               const std::vector<std::string>& siblings) {
  std::map<std::string, int> seen;  // by core
  std::vector<std::pair<int, int>> order;
  for (std::size_t i = 0; i < processors.size(); ++i) {
    // A processor of an unknown core counts as a core.
    const int turn = siblings[i].empty() ? 0 : seen[siblings[i]]++;
    order.emplace_back(turn, processors[i]);
  }
  std::ranges::sort(order);
  std::vector<int> result;
  for (const auto& [turn, processor] : order) result.push_back(processor);
  return result;
}

int available_processors() {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

void bind_threads(int threads) {
  if (threads < 2) return;
  const std::vector<int> order = allowed_processors();
  if (order.size() < static_cast<std::size_t>(threads)) return;
#pragma omp parallel num_threads(threads)
  {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(order[static_cast<std::size_t>(omp_get_thread_num())], &own);
    sched_setaffinity(0, sizeof(own), &own);
  }
}

void keep_to_processors(int count) {
  const std::vector<int> order = allowed_processors();
  const auto wanted = static_cast<std::size_t>(std::max(1, count));
  if (order.size() <= wanted) return;
  cpu_set_t own;
  CPU_ZERO(&own);
  for (std::size_t i = 1; i <= wanted; ++i) CPU_SET(order[i], &own);
  sched_setaffinity(0, sizeof(own), &own);
}

}  // namespace convopt
