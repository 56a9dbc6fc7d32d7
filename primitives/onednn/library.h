// The library as a whole: what a process decides once, and the thread count of each call.
#pragma once

#include <omp.h>

#include <string>

#include "convopt/error.hpp"
#include "convopt/platform.hpp"
#include "convopt/tensor.hpp"

namespace convopt::onednn {

/// Makes this process use oneDNN at an instruction-set level. The library accepts a level only
/// before its first use, so a second call with another level is an error.
Result<void> cap_isa(Isa isa);

/// Whether the library may use instructions that multiply numbers of that type, as it is capped:
/// without them it is slower than in f32.
bool has_products(DataType type);

/// Version and first eight hexadecimal digits of the build-id of the library that is loaded, e.g.
/// `2.6.3+8f3a01c2`: two builds of one version may time differently.
std::string library_version();

/// oneDNN asks OpenMP for the thread count, both when it creates and when it executes a primitive,
/// and needs the same answer each time. Sets it for the calling thread, restores it at the end.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace convopt::onednn
