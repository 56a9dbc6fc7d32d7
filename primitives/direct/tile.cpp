#include "primitives/direct/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/direct/tile.cpp"
#include "primitives/simd.h"

#include "hwy/cache_control.h"

#include <utility>

#include "primitives/clamp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::direct::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Most pixels by vectors of output channels: the accumulators, one row of weights (or half of one,
// see kAtOnce) and one broadcast must fit the registers. Then the best tile and how many
// weights are reused from L2, while the next ones travel there: two such parts must fit. Percent of
// a register-only multiply-add loop on Zen 5 with GCC 12, operands in L1: 7 x 4, 8 x 3 and 14 x 2
// 98 to 100, 14 x 1, which loads as much as it computes, 90; AVX2 4 x 3 and 6 x 2 99.
//
// Last, the most accumulators for short reductions: between two tiles of 24 and more accumulators
// Zen 5 loses 35 to 45 cycles, of 15 and fewer 5 to 10: clamps and stores of the one fill the
// scheduler before products of the next can enter.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 14, 8, 7};
inline constexpr int kBestVectors = 4;
inline constexpr int kPartEighths = 3;
inline constexpr int kShortAccumulators = 15;
#elif HWY_TARGET == HWY_NEON
inline constexpr int kLimits[kMaxVectors + 1] = {0, 14, 12, 8, 6};
inline constexpr int kBestVectors = 4;
inline constexpr int kPartEighths = 1;
inline constexpr int kShortAccumulators = 28;
#else
inline constexpr int kLimits[kMaxVectors + 1] = {0, 12, 6, 4, 0};
// SSE4 needs a register more, having no fused multiply-add: 2 vectors are 15 % faster than 3.
inline constexpr int kBestVectors = HWY_TARGET == HWY_AVX2 ? 3 : 2;
inline constexpr int kPartEighths = 2;
inline constexpr int kShortAccumulators = 12;
#endif

inline constexpr int kLanes = HWY_LANES(float);
inline constexpr int kRegisters = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 32 : 16;

/// Neighbouring channels that are added without a branch in between, where their number allows it:
/// on AVX2 the loop around 12 products is six of 25 instructions, which tells where another thread
/// of the core takes half of them. Idle, times are as before (docs/lab/kernels.md).
inline constexpr int kTogetherChannels = HWY_TARGET == HWY_AVX2 ? 4 : 1;

inline constexpr int kLineFloats = 64 / sizeof(float);

// x86 addresses have an index times 1, 2, 4 or 8 but no product with a register: three pixels share
// a pointer, as +0, +step and +2 step.
inline constexpr int kPixelsPerPointer = 3;

template <int kPixels, int kVectors>
using Sums = V[kPixels][kVectors];

/// The pixels of a tile that take part in a product.
enum class Pixels { all, but_first, but_last, some };

template <int kPixels>
inline constexpr int kPointers = (kPixels + kPixelsPerPointer - 1) / kPixelsPerPointer;

/// Half of the vectors at a time if accumulators leave no room for all of their weights.
template <int kPixels, int kVectors>
inline constexpr int kAtOnce =
    kPixels* kVectors + kVectors + 1 > kRegisters ? kVectors / 2 : kVectors;

/// Adds one channel, `offset` behind the pointers, to kAtOnce vectors from `from` on; Pixels::some:
/// to those pixels only whose bit is set in `inside`.
template <Pixels kWhich, int kTogether, int kPixels, int kVectors>
HWY_INLINE void add_channel(Sums<kPixels, kVectors>& sum, int from,
                            const float* (&input)[kPointers<kPixels>], std::int64_t pixel_step,
                            int offset, const float* weights,
                            [[maybe_unused]] std::uint32_t inside) {
  const D d;
  constexpr int kCount = kAtOnce<kPixels, kVectors>;
  static_assert(kVectors % kCount == 0);
  // Launder the pointers: otherwise GCC keeps one for every pixel, more than there are registers,
  // and the first half's values for the second, pushing accumulators out.
#pragma GCC unroll 8
  for (int i = 0; i < kPointers<kPixels>; ++i) asm("" : "+r"(input[i]));
  // And their step, from which it would make registers for the channels behind the first.
  if constexpr (kTogether > 1) asm volatile("" : "+r"(pixel_step));
  V w[kCount];
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) w[v] = hn::LoadU(d, weights + v * kLanes);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    if (kWhich == Pixels::but_first && p == 0) continue;
    if (kWhich == Pixels::but_last && p == kPixels - 1) continue;
    if constexpr (kWhich == Pixels::some) {
      if ((inside >> p & 1) == 0) continue;
    }
    const float* const pixel = input[p / kPixelsPerPointer] + offset;
    const V value = hn::Set(d, pixel[p % kPixelsPerPointer * pixel_step]);
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      sum[p][from + v] = hn::MulAdd(value, w[v], sum[p][from + v]);
    }
  }
}

/// Adds up the channels that lie `channel_step` apart, from `first` of the tile's first pixel on,
/// kTogether neighbours at a time, of which they are a multiple; Pixels::some: for those only whose
/// bit is set in *inside, which moves on by inside_step.
template <Pixels kWhich, int kTogether, int kPixels, int kVectors>
HWY_INLINE void add_channels(Sums<kPixels, kVectors>& sum, const float* first,
                             std::int64_t pixel_step, std::int64_t channel_step,
                             const float* weights, int channels,
                             [[maybe_unused]] const std::uint32_t* inside = nullptr,
                             [[maybe_unused]] int inside_step = 0) {
  static_assert(kWhich != Pixels::some || kTogether == 1);
  constexpr int kCount = kAtOnce<kPixels, kVectors>;
  // One channel moves the weights vector by vector, several all at once: either way costs the other
  // registers (GCC 12).
  constexpr bool kMoves = kTogether == 1;
  const float* input[kPointers<kPixels>];
#pragma GCC unroll 8
  for (int i = 0; i < kPointers<kPixels>; ++i)
    input[i] = first + i * kPixelsPerPointer * pixel_step;
  do {
#pragma GCC unroll 8
    for (int c = 0; c < kTogether; ++c) {
#pragma GCC unroll 4
      for (int from = 0; from < kVectors; from += kCount) {
        const float* const next = kMoves ? weights : weights + (c * kVectors + from) * kLanes;
        if (kMoves) weights += kCount * kLanes;
        add_channel<kWhich, kTogether, kPixels, kVectors>(sum, from, input, pixel_step, c, next,
                                                          kWhich == Pixels::some ? *inside : 0);
      }
    }
    if (!kMoves) weights += kTogether * kVectors * kLanes;
#pragma GCC unroll 8
    for (int i = 0; i < kPointers<kPixels>; ++i)
      input[i] += kTogether > 1 ? kTogether : channel_step;
    if constexpr (kWhich == Pixels::some) inside += inside_step;
    channels -= kTogether;
  } while (channels > 0);
}

/// Has the tile's next lines of weights come to L2.
HWY_INLINE void fetch_lines(const Tile& tile, const float*& fetch) {
  for (int i = tile.fetch_lines; i > 0; --i, fetch += kLineFloats) __builtin_prefetch(fetch, 0, 2);
}

/// Adds up what one chunk of channels contributes, kernel position by kernel position. kEdges: some
/// positions lie outside the image for some pixels. Asking for it at every position costs nchw,
/// whose chunks are short, 5 to 10 % (5x5, Intel family 6 model 207).
template <bool kEdges, int kTogether, int kPixels, int kVectors>
HWY_INLINE void add_chunk(const Tile& tile, Sums<kPixels, kVectors>& sum, const float* row_input,
                          const float* row_weights, int channels, const float*& fetch) {
  constexpr std::uint32_t kAll = (std::uint32_t{1} << kPixels) - 1;
  const std::int64_t pixel_step = tile.pixel_step, channel_step = tile.channel_step;
  for (int y = tile.rows; y > 0; --y) {
    const float* first = row_input;
    const float* weights = row_weights;
    for (int x = 0, columns = tile.columns; x < columns; ++x) {
      fetch_lines(tile, fetch);
      if constexpr (kEdges) {
        // Columns that are channels have bits of their own.
        const std::uint32_t inside = tile.columns_are_channels ? 0 : tile.inside[x];
        if (inside == kAll) {
          add_channels<Pixels::all, kTogether, kPixels, kVectors>(sum, first, pixel_step,
                                                                  channel_step, weights, channels);
        } else if (inside == (kAll & ~1U)) {
          add_channels<Pixels::but_first, kTogether, kPixels, kVectors>(
              sum, first, pixel_step, channel_step, weights, channels);
        } else if (inside == kAll >> 1) {
          add_channels<Pixels::but_last, kTogether, kPixels, kVectors>(
              sum, first, pixel_step, channel_step, weights, channels);
        } else {
          add_channels<Pixels::some, 1, kPixels, kVectors>(sum, first, pixel_step, channel_step,
                                                           weights, channels, tile.inside + x,
                                                           tile.columns_are_channels);
        }
      } else {
        add_channels<Pixels::all, kTogether, kPixels, kVectors>(sum, first, pixel_step,
                                                                channel_step, weights, channels);
      }
      first += tile.column_step;
      weights += tile.weight_column_step;
    }
    row_input += tile.row_step;
    row_weights += tile.weight_row_step;
  }
}

/// One tile of the call. kPoint: a single kernel position, all of it inside the image, which needs
/// no loops around its channels. Asking for it at every chunk costs 1x1 convolutions of 16 channels
/// a chunk 6 to 9 % (Intel family 6 model 207), since accumulators change registers.
template <bool kPoint, int kTogether, int kPixels, int kVectors>
HWY_INLINE void compute_one(const Tile& tile, const float* tile_input, const float* addend,
                            float* pixel, const float*& fetch) {
  const D d;
  Sums<kPixels, kVectors> sum;
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
  // Every level steps its own pointers: products of indices and steps between two chunks of eight
  // channels cost a fifth of the speed on AVX2.
  const float* chunk_input = tile_input;
  const float* chunk_weights = tile.weights;
  for (int r = tile.chunks; r > 0; --r) {
    const int channels = r > 1 ? tile.channels : tile.last_channels;
    if (tile.prefetch) {
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) hwy::Prefetch(chunk_input + (kPixels + p) * pixel_step);
    }
    if constexpr (kPoint) {
      fetch_lines(tile, fetch);
      add_channels<Pixels::all, kTogether, kPixels, kVectors>(
          sum, chunk_input, pixel_step, tile.channel_step, chunk_weights, channels);
    } else if (tile.inside == nullptr) {
      add_chunk<false, kTogether, kPixels, kVectors>(tile, sum, chunk_input, chunk_weights,
                                                     channels, fetch);
    } else {
      add_chunk<true, kTogether, kPixels, kVectors>(tile, sum, chunk_input, chunk_weights, channels,
                                                    fetch);
    }
    chunk_input += tile.chunk_step;
    chunk_weights += tile.weight_chunk_step;
  }

  const V low = hn::Set(d, tile.low);
  const V high = hn::Set(d, tile.high);
  const std::int64_t output_step = tile.output_pixel_step;
  std::int64_t output_vector[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) output_vector[v] = tile.output_vector[v];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(clamp(low, high, sum[p][v]), d, pixel + output_vector[v]);
    }
    pixel += output_step;
  }
}

template <bool kPoint, int kTogether, int kPixels, int kVectors>
HWY_INLINE void compute_all(const Tile& tile) {
  const float* input = tile.input;
  const float* addend = tile.addend;
  float* output = tile.output;
  const float* fetch = tile.fetch;
  for (int i = 0; i < tile.repeat; ++i) {
    compute_one<kPoint, kTogether, kPixels, kVectors>(tile, input, addend, output, fetch);
    input += kPixels * tile.pixel_step;
    output += kPixels * tile.output_pixel_step;
    if (addend != nullptr) addend += kPixels * tile.addend_pixel_step;
  }
}

template <int kTogether, int kPixels, int kVectors>
HWY_INLINE void compute_rows(const Tile& tile) {
  if (tile.rows == 1 && tile.columns == 1 && tile.inside == nullptr) {
    compute_all<true, kTogether, kPixels, kVectors>(tile);
  } else {
    compute_all<false, kTogether, kPixels, kVectors>(tile);
  }
}

template <int kPixels, int kVectors>
void compute(const Tile& tile) {
  if (kTogetherChannels > 1 && tile.channel_step == 1 && tile.channels % kTogetherChannels == 0 &&
      tile.last_channels % kTogetherChannels == 0) {
    compute_rows<kTogetherChannels, kPixels, kVectors>(tile);
  } else {
    compute_rows<1, kPixels, kVectors>(tile);
  }
}

}  // namespace convopt::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Not compiled for the instruction set (primitives/simd.h).
namespace convopt::direct::HWY_NAMESPACE {

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
    made.part_eighths = kPartEighths;
    made.short_accumulators = kShortAccumulators;
    add_tiles<1>(made);
    add_tiles<2>(made);
    add_tiles<3>(made);
    add_tiles<4>(made);
    return made;
  }();
  return set;
}

}  // namespace convopt::direct::HWY_NAMESPACE

#if HWY_ONCE
namespace convopt::direct {

CONVOPT_EXPORT(tiles);
const TileSet& tile_set(Isa isa) { return CONVOPT_DISPATCH(tiles, isa)(); }

}  // namespace convopt::direct
#endif
