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

// Most pixels by vectors of output channels. The accumulators, one row of weights and one broadcast
// must fit the registers.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 14, 8, 6};
#elif HWY_TARGET == HWY_NEON
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 12, 8, 6};
#else
inline constexpr int kLimits[kMaxVectors + 1] = {0, 12, 6, 4, 0};
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
  for (int r = 0; r < tile.runs; ++r) {
    const int channels = r + 1 < tile.runs ? tile.channels : tile.last_channels;
    if (tile.prefetch) {
      const float* next = tile_input + r * tile.run_step + kPixels * pixel_step;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) hwy::Prefetch(next + p * pixel_step);
    }
    for (int y = 0; y < tile.rows; ++y) {
      for (int x = 0; x < tile.columns; ++x) {
        const float* first =
            tile_input + r * tile.run_step + y * tile.row_step + x * tile.column_step;
        const float* weights = tile.weights + r * tile.weight_run_step + y * tile.weight_row_step +
                               x * tile.weight_column_step;
        const float* input[kPointers];
#pragma GCC unroll 8
        for (int i = 0; i < kPointers; ++i) input[i] = first + i * kPixelsPerPointer * pixel_step;
        for (int c = 0; c < channels; ++c) {
          V w[kVectors];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) w[v] = hn::LoadU(d, weights + v * kLanes);
          weights += kWidth;
#pragma GCC unroll 16
          for (int p = 0; p < kPixels; ++p) {
            const V value =
                hn::Set(d, input[p / kPixelsPerPointer][p % kPixelsPerPointer * pixel_step]);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::MulAdd(value, w[v], sum[p][v]);
          }
#pragma GCC unroll 8
          for (int i = 0; i < kPointers; ++i) input[i] += channel_step;
        }
      }
    }
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
