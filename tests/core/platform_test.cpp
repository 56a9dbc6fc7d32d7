#include "convopt/platform.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace convopt {
namespace {

TEST(Isa, TheEnvironmentForcesASupportedLevel) {
  for (const Isa isa : supported_isas()) {
    ::setenv("CONVOPT_ISA", std::string(to_string(isa)).c_str(), 1);
    EXPECT_EQ(default_isa(), isa);
  }
  ::setenv("CONVOPT_ISA", "quantum", 1);
  EXPECT_EQ(default_isa(), native_isa());
  ::unsetenv("CONVOPT_ISA");
}

TEST(Isa, LevelsAreListedBestFirst) {
  const auto isas = supported_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), native_isa());
  EXPECT_TRUE(std::ranges::is_sorted(isas, std::greater{}, vector_floats));
}

TEST(Threads, FollowTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(default_threads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(default_threads(), 1);
  EXPECT_LE(default_threads(), CPU_COUNT(&before));
}

TEST(Platform, HasAShortStableName) {
  Platform platform;
  platform.machine.vendor = "GenuineIntel";
  platform.machine.name = "Intel(R) Core(TM) i9-9900K CPU @ 3.60GHz";
  platform.machine.family = 6;
  platform.machine.model = 158;
  platform.isa = Isa::avx2;
  platform.threads = 4;
  EXPECT_EQ(platform.id(), "intel-6-158-i9-9900k/avx2/t4");
  EXPECT_EQ(Platform{}.id(), "unknown-0-0/scalar/t1");
}

}  // namespace
}  // namespace convopt
