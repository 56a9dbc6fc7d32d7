// Denormal numbers, which processors compute up to a hundred times slower than others.
#pragma once

#include <cstdint>

namespace convopt {

/// While it lives, the calling thread and the OpenMP threads that work for it, `threads` in all,
/// take denormal numbers as zero and round results below the smallest normal number to zero. At its
/// end all of them get the mode that the calling thread had before. Does nothing on processors
/// other than x86 and 64-bit Arm.
class FlushDenormals {
 public:
  explicit FlushDenormals(int threads);
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  int threads_;
  std::uint64_t before_;  ///< control word of the calling thread
};

}  // namespace convopt
