// Sizes of blocks as shares of the caches of a context. Each was found by timing on Zen 5 (48 KiB
// of L1d, 1 MiB of L2, 32 MiB of L3); the comments give the value there.
// tests/kernels/blocking_test holds them to these values.
#pragma once

#include <algorithm>
#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt {

/// L2 as far as direct convolution and FFT use it: where it is 2 MiB (Intel family 6 model 207,
/// AVX-512, both sizes in turn in one process), shares of all of it cost direct 3x3 convolutions of
/// 128 to 512 channels 1 to 13 % and FFT on 112 x 112 up to 13. im2col and im2row gain 2 to 6 %
/// there, the others differ by less than two runs of the same.
constexpr std::int64_t modest_l2(const Caches& caches) {
  return std::min(caches.l2, std::int64_t{1} << 20);
}

/// Bytes of weights that stay in L2 while others pass: direct convolution then finishes a segment
/// of outputs for all output channels before the next one. 256 KiB.
constexpr std::int64_t resident_weight_bytes(const Caches& caches) { return modest_l2(caches) / 4; }

/// Bytes of a part of the weights of direct convolution, so many eighths of L2.
constexpr std::int64_t weight_part_bytes(const Caches& caches, int eighths) {
  return modest_l2(caches) / 8 * eighths;
}

/// Bytes of an image (or of what is made from it) that a block of pixels reads, once for every
/// panel of weights: indirect, kn2col, mec, depthwise in nhwc, the operands of strassen. 256 KiB.
constexpr std::int64_t image_block_bytes(const Caches& caches) { return caches.l2 / 4; }

/// Bytes of packed patches (im2col) or of a padded copy of the image (kn2row) that a block reads
/// again for every tile of output channels, with only a narrow panel beside it. 384 KiB.
constexpr std::int64_t copied_block_bytes(const Caches& caches) { return caches.l2 / 8 * 3; }

/// Bytes of results that wait for being written: 128 KiB.
constexpr std::int64_t result_block_bytes(const Caches& caches) { return caches.l2 / 8; }

/// Columns that a panel of packed weights is assumed to have, whatever the instruction set.
inline constexpr std::int64_t kPanelColumns = 64;
/// Rows of such a panel that a register tile goes through before the next tile does: the panel
/// takes an eighth of L2. 512.
constexpr int panel_rows(const Caches& caches) {
  constexpr std::int64_t kRowBytes = kPanelColumns * std::int64_t{sizeof(float)};
  return static_cast<int>(std::max<std::int64_t>(1, caches.l2 / 8 / kRowBytes));
}
/// The same where packed patches pass through the cache too: 384.
constexpr int patch_panel_rows(const Caches& caches) {
  return std::max(1, panel_rows(caches) * 3 / 4);
}

/// Bytes of input that make a segment of a flat image longer: 16 KiB.
constexpr std::int64_t segment_bytes(const Caches& caches) { return caches.l1d / 3; }

/// Bytes of results of direct convolution that an activation goes over at once: 8 KiB, which lie in
/// L1 beside the segment's input.
constexpr std::int64_t activated_bytes(const Caches& caches) { return caches.l1d / 6; }

/// Most tiles that Winograd works through together. More tiles read the weights less often; V and M
/// of many channels leave L2 with them. Zen 5: F(6,3) of 512 channels at 32 x 32 takes 5.5 ms with
/// its 36 tiles in one block and 6.6 ms in two; at 64 x 64 (121 tiles) 64 tiles lose 2 % to 32, 96
/// lose 6 and 128 lose 24 %; with 64 and 128 channels 32 to 128 differ by 10 %, which is no more
/// than two runs of the same. 64, and not more with a larger L2, because weights beyond it
/// dominate.
constexpr int most_winograd_tiles(const Caches& caches) {
  return static_cast<int>(std::clamp<std::int64_t>(caches.l2 >> 14, 4, 64));
}

/// Bytes of V and M of a block of FFT tiles: 4 MiB, a first guess.
constexpr std::int64_t fft_block_bytes(const Caches& caches) { return 4 * modest_l2(caches); }

}  // namespace convopt
