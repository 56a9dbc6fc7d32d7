#include "src/runtime/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace convopt {
namespace {

std::size_t most_alive_at_once(const std::vector<Lifetime>& lives) {
  std::size_t most = 0;
  for (const Lifetime& moment : lives) {
    std::size_t alive = 0;
    for (const Lifetime& life : lives) {
      if (life.first <= moment.first && moment.first <= life.last) alive += life.bytes;
    }
    most = std::max(most, alive);
  }
  return most;
}

void expect_valid(const std::vector<Lifetime>& lives, const ArenaLayout& layout) {
  for (std::size_t a = 0; a < lives.size(); ++a) {
    EXPECT_EQ(layout.offsets[a] % kArenaAlignment, 0U);
    EXPECT_LE(layout.offsets[a] + lives[a].bytes, layout.bytes);
    for (std::size_t b = 0; b < a; ++b) {
      if (!lives[a].meets(lives[b])) continue;
      EXPECT_TRUE(layout.offsets[a] + lives[a].bytes <= layout.offsets[b] ||
                  layout.offsets[b] + lives[b].bytes <= layout.offsets[a])
          << a << " and " << b << " are alive together and overlap";
    }
  }
}

TEST(Arena, ChainNeedsTwoNeighboursAtATime) {
  const std::vector<Lifetime> chain = {{0, 1, 640}, {1, 2, 640}, {2, 3, 640}, {3, 4, 640}};
  const ArenaLayout layout = lay_out_arena(chain);
  expect_valid(chain, layout);
  EXPECT_EQ(layout.bytes, 1280U);
}

TEST(Arena, RoundsUpToCacheLines) {
  const std::vector<Lifetime> lives = {{0, 1, 4}, {0, 1, 68}};
  const ArenaLayout layout = lay_out_arena(lives);
  expect_valid(lives, layout);
  EXPECT_EQ(layout.bytes, 192U);
}

TEST(Arena, NothingNeedsNothing) {
  EXPECT_EQ(lay_out_arena({}).bytes, 0U);
  EXPECT_EQ(lay_out_arena(std::vector<Lifetime>{{0, 3, 0}}).bytes, 0U);
}

TEST(Arena, RandomLifetimesNeverOverlap) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<Lifetime> lives;
    for (int i = 0; i < 60; ++i) {
      const int first = static_cast<int>(random() % 50);
      lives.push_back({first, first + static_cast<int>(random() % 8), random() % 4000});
    }
    const ArenaLayout layout = lay_out_arena(lives);
    expect_valid(lives, layout);
    EXPECT_GE(layout.bytes, most_alive_at_once(lives));
  }
}

}  // namespace
}  // namespace convopt
