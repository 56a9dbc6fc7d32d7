#include "primitives/blocking.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "primitives/direct/tile.h"
#include "primitives/pointwise/rows.h"

namespace convopt {
namespace {

TEST(BlockingTest, SizesOfZen5AreThoseThatWereMeasured) {
  constexpr Caches kZen5{48 << 10, 1 << 20, 32 << 20};
  EXPECT_EQ(resident_weight_bytes(kZen5), 256 << 10);
  EXPECT_EQ(image_block_bytes(kZen5), 256 << 10);
  EXPECT_EQ(copied_block_bytes(kZen5), 384 << 10);
  EXPECT_EQ(result_block_bytes(kZen5), 128 << 10);
  EXPECT_EQ(panel_rows(kZen5), 512);
  EXPECT_EQ(patch_panel_rows(kZen5), 384);
  EXPECT_EQ(segment_bytes(kZen5), 16 << 10);
  EXPECT_EQ(activated_bytes(kZen5), 8 << 10);
  EXPECT_EQ(most_winograd_tiles(kZen5), 64);
  EXPECT_EQ(fft_block_bytes(kZen5), 4 << 20);
  EXPECT_EQ(kZen5, Caches()) << "what is assumed of unknown caches";
}

TEST(BlockingTest, ALargerL2IsUsedWhereThatGains) {
  constexpr Caches kLarge{48 << 10, 2 << 20, 300 << 20};
  EXPECT_EQ(resident_weight_bytes(kLarge), 256 << 10);
  EXPECT_EQ(weight_part_bytes(kLarge, 3), 384 << 10);
  EXPECT_EQ(fft_block_bytes(kLarge), 4 << 20);
  EXPECT_EQ(copied_block_bytes(kLarge), 768 << 10);
  EXPECT_EQ(panel_rows(kLarge), 1024);
}

/// Threads that work on the rows of an image.
std::size_t threads_of_rows(const TensorShape& shape, int threads) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  const auto view = TensorView::dense(values.data(), DataType::f32, shape, Layout::nchw);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  pointwise::for_each_row(threads, view, [&](const auto&, const auto&, float*) {
    const std::scoped_lock lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  return seen.size();
}

TEST(BlockingTest, SmallRowsAreWorthNoSecondThread) {
  EXPECT_EQ(threads_of_rows({1, 8, 16, 16}, 4), 1U);
  EXPECT_EQ(threads_of_rows({1, 8, 32, 16}, 4), 2U);
  EXPECT_EQ(threads_of_rows({1, 8, 64, 64}, 4), 4U);
}

TEST(BlockingTest, WeightPartsOfDirectConvolution) {
  for (const Isa isa : supported_isas()) {
    EXPECT_EQ(direct::tile_set(isa).part_eighths, isa == Isa::avx512 ? 3
                                                  : isa == Isa::neon ? 1
                                                                     : 2)
        << to_string(isa);
  }
}

TEST(BlockingTest, TinyCachesLeaveBlocksOfAtLeastOne) {
  constexpr Caches kTiny{1 << 10, 1 << 10, 2 << 10};
  EXPECT_GE(panel_rows(kTiny), 1);
  EXPECT_GE(patch_panel_rows(kTiny), 1);
  EXPECT_GE(most_winograd_tiles(kTiny), 1);
}

TEST(CachesTest, ThisMachinesAreKnownOrAssumed) {
  const Caches described = described_caches(), used = Context().caches;
  EXPECT_EQ(used.l1d, described.l1d > 0 ? described.l1d : Caches().l1d);
  EXPECT_EQ(used.l2, described.l2 > 0 ? described.l2 : Caches().l2);
  EXPECT_EQ(used.l3, described.l3 > 0 ? described.l3 : Caches().l3);
}

}  // namespace
}  // namespace convopt
