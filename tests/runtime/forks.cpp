#include "tests/runtime/forks.h"

#include <dlfcn.h>

#include <atomic>

namespace {

std::atomic<long> count{0};

}  // namespace

// What GCC makes of a parallel region. The program's own comes before the runtime's.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  using Function = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto next = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "GOMP_parallel"));
  ++count;
  next(body, data, threads, flags);
}

namespace convopt::testing {

bool counts_forks() {
#if defined(__GNUC__) && !defined(__clang__)
  return true;
#else
  return false;
#endif
}

long fork_count() { return count; }

}  // namespace convopt::testing
