#include "tests/runtime/allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> count{0};

[[maybe_unused]] void* allocate(std::size_t bytes, std::size_t alignment) {
  ++count;
  // aligned_alloc asks for whole multiples of the alignment.
  const std::size_t rounded = (bytes / alignment + 1) * alignment;
  if (void* memory = std::aligned_alloc(alignment, rounded)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// AddressSanitizer has its own, which must stay a family; nothing is counted then.
#ifndef __SANITIZE_ADDRESS__

// The array and the nothrow forms call these.
void* operator new(std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#endif

namespace convopt::testing {

long allocation_count() { return count; }

}  // namespace convopt::testing
