#include "primitives/flush_denormals.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace convopt {
namespace {

#if defined(__x86_64__)
// MXCSR: flush to zero (results), denormals are zero (operands).
constexpr std::uint64_t kFlush = (1U << 15U) | (1U << 6U);
std::uint64_t control_word() { return _mm_getcsr(); }
void set_control_word(std::uint64_t word) { _mm_setcsr(static_cast<unsigned>(word)); }
#elif defined(__aarch64__)
// FPCR: FZ, which concerns operands and results.
constexpr std::uint64_t kFlush = 1ULL << 24U;
std::uint64_t control_word() {
  std::uint64_t word = 0;
  asm volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
void set_control_word(std::uint64_t word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
constexpr std::uint64_t kFlush = 0;
std::uint64_t control_word() { return 0; }
void set_control_word(std::uint64_t) {}
#endif

/// A team of the same size gets the same threads. Threads that are made meanwhile inherit the mode
/// of the thread that makes them.
void set_on_each_thread(int threads, std::uint64_t word) {
  if (threads == 1) {
    set_control_word(word);
    return;
  }
#pragma omp parallel num_threads(threads)
  set_control_word(word);
}

}  // namespace

FlushDenormals::FlushDenormals(int threads) : threads_(threads), before_(control_word()) {
  set_on_each_thread(threads_, before_ | kFlush);
}

FlushDenormals::~FlushDenormals() { set_on_each_thread(threads_, before_); }

}  // namespace convopt
