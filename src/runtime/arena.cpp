#include "src/runtime/arena.h"

#include <algorithm>
#include <numeric>

namespace convopt {

ArenaLayout lay_out_arena(std::span<const Lifetime> lifetimes) {
  ArenaLayout layout;
  layout.offsets.resize(lifetimes.size());
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  struct Place {
    std::size_t begin, end;
    const Lifetime* life;
  };
  std::vector<Place> taken;  // by `begin`
  for (const std::size_t index : order) {
    const Lifetime& life = lifetimes[index];
    const std::size_t bytes =
        (life.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    std::size_t offset = 0;
    for (const Place& place : taken) {
      if (!place.life->meets(life)) continue;
      if (offset + bytes <= place.begin) break;
      offset = std::max(offset, place.end);
    }
    layout.offsets[index] = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    const Place mine{offset, offset + bytes, &life};
    taken.insert(std::ranges::upper_bound(taken, offset, {}, &Place::begin), mine);
  }
  return layout;
}

AlignedBytes allocate_aligned(std::size_t bytes) {
  return AlignedBytes(static_cast<std::byte*>(
      ::operator new (bytes, std::align_val_t{kArenaAlignment}, std::nothrow)));
}

}  // namespace convopt
