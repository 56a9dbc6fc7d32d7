// Memory of a network's tensors: one block, in which tensors that are never alive together share
// bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace convopt {

/// Everything that a plan's tensors and kernels touch starts on a cache line.
inline constexpr std::size_t kArenaAlignment = 64;

/// Bytes that are needed from step `first` to step `last`, both included.
struct Lifetime {
  int first = 0, last = 0;
  std::size_t bytes = 0;

  bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

struct ArenaLayout {
  std::vector<std::size_t> offsets;  ///< one per lifetime, aligned
  std::size_t bytes = 0;
};

/// Largest first, each at the lowest offset that is free during its whole life. On the shipped
/// networks the result is the largest sum of bytes alive at once, or at most a few per cent more.
ArenaLayout lay_out_arena(std::span<const Lifetime> lifetimes);

/// Uninitialised memory, aligned for the arena. Null if there is not that much.
struct AlignedDelete {
  void operator()(std::byte* data) const {
    ::operator delete (data, std::align_val_t{kArenaAlignment});
  }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedDelete>;
AlignedBytes allocate_aligned(std::size_t bytes);

}  // namespace convopt
