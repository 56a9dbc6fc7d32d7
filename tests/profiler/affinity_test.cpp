#include "profiler/affinity.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sched.h>

#include <set>
#include <thread>

namespace convopt {
namespace {

TEST(Affinity, CoresComeBeforeTheirSecondThreads) {
  EXPECT_EQ(binding_order({0, 1, 2, 3}, {"0,2", "1,3", "0,2", "1,3"}),
            (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(binding_order({0, 1, 2, 3}, {"0-1", "0-1", "2-3", "2-3"}),
            (std::vector<int>{0, 2, 1, 3}));
  // Some are not this process's, some cores are not known.
  EXPECT_EQ(binding_order({3, 5, 9}, {"", "", ""}), (std::vector<int>{3, 5, 9}));
  EXPECT_TRUE(binding_order({}, {}).empty());
}

TEST(Affinity, EveryThreadHasItsOwnProcessor) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  if (CPU_COUNT(&allowed) < 2) GTEST_SKIP() << "one processor only";
  std::set<int> used;
  // In a thread of its own, whose binding ends with it.
  std::thread([&] {
    bind_threads(2);
#pragma omp parallel num_threads(2)
    {
      cpu_set_t own;
      sched_getaffinity(0, sizeof(own), &own);
#pragma omp critical
      {
        EXPECT_EQ(CPU_COUNT(&own), 1);
        used.insert(sched_getcpu());
      }
    }
  }).join();
  EXPECT_EQ(used.size(), 2U);
}

TEST(Affinity, AProcessKeepsToSomeProcessors) {
  const int all = available_processors();
  if (all < 2) GTEST_SKIP() << "one processor only";
  std::thread([&] {
    keep_to_processors(all);
    EXPECT_EQ(available_processors(), all);
    keep_to_processors(1);
    EXPECT_EQ(available_processors(), 1);
    keep_to_processors(2);
    EXPECT_EQ(available_processors(), 1) << "there are no more to have";
  }).join();
}

}  // namespace
}  // namespace convopt
