#include "primitives/direct/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/direct/tile.cpp"
#include "primitives/simd.h"

#include "hwy/cache_control.h"

#include <utility>

HWY_BEFORE_NAMESPACE();
namespace convopt::direct::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Most pixels by vectors of output channels: the accumulators, one row of weights and one broadcast
// must fit the registers. Then the best tile and how many weights are reused from L2. Found on Zen
// 4 with GCC 12, percent of a register-only multiply-add loop, 3x3, 64 channels of 56 x 56 and 128
// of 28 x 28: AVX-512 4 vectors 96 and 95, 3 vectors 94, 2 vectors 94, 1 vector 83; AVX2 3 vectors
// 94 and 91, 2 vectors 91 and 86. Smaller parts, down to what fits L1, lose up to 10 percent to the
// sums that wait in memory; without parts, 256 channels of 56 x 56 fall from 88 to 71 on AVX2 and
// 512 channels of 7 x 7 from 61 to 54 on AVX-512.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 14, 8, 6};
inline constexpr int kBestVectors = 4;
inline constexpr std::int64_t kPartBytes = 640 << 10;
#elif HWY_TARGET == HWY_NEON
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 12, 8, 6};
inline constexpr int kBestVectors = 4;
inline constexpr std::int64_t kPartBytes = 128 << 10;
#else
inline constexpr int kLimits[kMaxVectors + 1] = {0, 12, 6, 4, 0};
// Without fused multiply-add, SSE4 needs a register more: 2 vectors are 15 percent faster than 3.
inline constexpr int kBestVectors = HWY_TARGET == HWY_AVX2 ? 3 : 2;
inline constexpr std::int64_t kPartBytes = 128 << 10;
#endif

inline constexpr int kLanes = HWY_LANES(float);

// x86 addresses have an index times 1, 2, 4 or 8 but no product with a register: three pixels share
// a pointer, as +0, +step and +2 step.
inline constexpr int kPixelsPerPointer = 3;

template <int kPixels, int kVectors>
HWY_INLINE void compute_one(const Tile& tile, const float* tile_input, const float* addend,
                            float* pixel) {
  const D d;
  constexpr int kWidth = kVectors * kLanes;
  constexpr int kPointers = (kPixels + kPixelsPerPointer - 1) / kPixelsPerPointer;
  V sum[kPixels][kVectors];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::LoadU(d, tile.bias + v * kLanes);
  }
  if (addend != nullptr) {
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sum[p][v] = hn::Add(sum[p][v], hn::LoadU(d, addend + tile.addend_vector[v]));
      }
      addend += tile.addend_pixel_step;
    }
  }

  const std::int64_t pixel_step = tile.pixel_step;
  const std::int64_t channel_step = tile.channel_step;
  // Every level steps its own pointers: products of indices and steps between two runs of eight
  // channels cost a fifth of the speed on AVX2.
  const float* run_input = tile_input;
  const float* run_weights = tile.weights;
  for (int r = tile.runs; r > 0; --r) {
    const int channels = r > 1 ? tile.channels : tile.last_channels;
    if (tile.prefetch) {
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) hwy::Prefetch(run_input + (kPixels + p) * pixel_step);
    }
    const float* row_input = run_input;
    const float* row_weights = run_weights;
    for (int y = tile.rows; y > 0; --y) {
      const float* first = row_input;
      const float* weights = row_weights;
      for (int x = tile.columns; x > 0; --x) {
        const float* input[kPointers];
#pragma GCC unroll 8
        for (int i = 0; i < kPointers; ++i) input[i] = first + i * kPixelsPerPointer * pixel_step;
        const float* row = weights;
        int c = channels;
        do {
          V w[kVectors];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) w[v] = hn::LoadU(d, row + v * kLanes);
          row += kWidth;
#pragma GCC unroll 16
          for (int p = 0; p < kPixels; ++p) {
            const V value =
                hn::Set(d, input[p / kPixelsPerPointer][p % kPixelsPerPointer * pixel_step]);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::MulAdd(value, w[v], sum[p][v]);
          }
#pragma GCC unroll 8
          for (int i = 0; i < kPointers; ++i) input[i] += channel_step;
        } while (--c > 0);
        first += tile.column_step;
        weights += tile.weight_column_step;
      }
      row_input += tile.row_step;
      row_weights += tile.weight_row_step;
    }
    run_input += tile.run_step;
    run_weights += tile.weight_run_step;
  }

  const V low = hn::Set(d, tile.low);
  const V high = hn::Set(d, tile.high);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      // The sum comes second: then a NaN passes.
      hn::StoreU(hn::Min(high, hn::Max(low, sum[p][v])), d, pixel + tile.output_vector[v]);
    }
    pixel += tile.output_pixel_step;
  }
}

template <int kPixels, int kVectors>
void compute(const Tile& tile) {
  const float* input = tile.input;
  const float* addend = tile.addend;
  float* output = tile.output;
  for (int i = 0; i < tile.repeat; ++i) {
    compute_one<kPixels, kVectors>(tile, input, addend, output);
    input += kPixels * tile.pixel_step;
    output += kPixels * tile.output_pixel_step;
    if (addend != nullptr) addend += kPixels * tile.addend_pixel_step;
  }
}

template <int kVectors, int... kPixelsMinusOne>
void add_tiles(TileSet& set, std::integer_sequence<int, kPixelsMinusOne...>) {
  set.pixels[kVectors] = kLimits[kVectors];
  ((set.function[kVectors][kPixelsMinusOne + 1] = &compute<kPixelsMinusOne + 1, kVectors>), ...);
}

template <int kVectors>
void add_tiles(TileSet& set) {
  add_tiles<kVectors>(set, std::make_integer_sequence<int, kLimits[kVectors]>());
}

const TileSet& tiles() {
  static const TileSet set = [] {
    TileSet made;
    made.lanes = kLanes;
    made.vectors = kBestVectors;
    made.part_bytes = kPartBytes;
    add_tiles<1>(made);
    add_tiles<2>(made);
    add_tiles<3>(made);
    add_tiles<4>(made);
    return made;
  }();
  return set;
}

}  // namespace convopt::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::direct {

HWY_EXPORT(tiles);
const TileSet& tile_set(Isa isa) { return CONVOPT_DISPATCH(tiles, isa)(); }

}  // namespace convopt::direct
#endif
