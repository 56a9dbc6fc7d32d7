// The test program is also the child that profiling runs start, with invented primitives that
// crash, hang or err on demand, and invented times.
#include <gtest/gtest.h>

#include <string_view>

#include "profiler/profiler.h"
#include "tests/profiler/fake_registry.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == convopt::kWorkerVerb) {
    return convopt::run_worker(convopt::make_fake_registry, convopt::make_fake_timer).ok() ? 0 : 1;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
