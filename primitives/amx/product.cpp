#include "primitives/amx/product.h"

#if defined(__x86_64__)
#include <cpuid.h>
#ifndef __clang__
// GCC 12 warns of what its own header leaves undefined on purpose (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#ifndef __clang__
#pragma GCC diagnostic pop
#endif
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>

#include "core/quantisation.h"

namespace convopt::amx {

#if defined(__x86_64__)
namespace {

#define CONVOPT_TILES                                                         \
  __attribute__((                                                             \
      target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq," \
             "avx512bf16")))
#define CONVOPT_TILES_INLINE CONVOPT_TILES __attribute__((always_inline)) inline

struct Features {
  bool vectors_of_bf16 = false, tiles = false, tiles_of_bf16 = false, tiles_of_s8 = false;
};

/// As CPUID has them.
Features features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    found.tiles_of_bf16 = (d >> 22U & 1U) != 0;
    found.tiles = (d >> 24U & 1U) != 0;
    found.tiles_of_s8 = (d >> 25U & 1U) != 0;
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) found.vectors_of_bf16 = (a >> 5U & 1U) != 0;
  return found;
}

bool kernel_gives_tiles() {
  constexpr long kRequestState = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
}

/// What LDTILECFG reads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Registers: sums of the first tile of pixels (0, 1) and of the second (2, 3), the tiles of pixels
// (4, 5), those of weights (6, 7).
constexpr int kRegisters = 8, kFirstOfWeights = 6;

CONVOPT_TILES void set_tile_shapes(int rows) {
  TileShapes shapes;
  for (int i = 0; i < kRegisters; ++i) {
    shapes.row_bytes[i] = kRowBytes;
    shapes.rows[i] = static_cast<std::uint8_t>(i < kFirstOfWeights ? rows : kTileRows);
  }
  // GCC takes the instruction for one that reads no more than a pointer.
  asm volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}

/// Sums of two tiles by two panels on their way to the result.
struct Block {
  float* sums = nullptr;  ///< [row][kBlockChannels], of u8 and s8 as s32
  const std::int32_t* places = nullptr;
  int channel = 0;
  int row = 0, rows = 0;  ///< the next one and their number
};
constexpr int kBlockChannels = 2 * kPanelChannels;
constexpr int kLanes = 16;

CONVOPT_TILES_INLINE __m512 load_residual(DataType type, const void* residual, std::int64_t element,
                                          __mmask16 mask) {
  switch (type) {
    case DataType::u8:
      return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(
          _mm_maskz_loadu_epi8(mask, static_cast<const std::uint8_t*>(residual) + element)));
    case DataType::s8:
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
          _mm_maskz_loadu_epi8(mask, static_cast<const std::int8_t*>(residual) + element)));
    case DataType::bf16:
      return _mm512_castsi512_ps(
          _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                                mask, static_cast<const std::uint16_t*>(residual) + element)),
                            16));
    default:
      return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(residual) + element);
  }
}

/// The lanes of a vector that are channels of the result.
CONVOPT_TILES_INLINE __mmask16 lanes_of(int channels) {
  return static_cast<__mmask16>((1U << static_cast<unsigned>(std::clamp(channels, 0, 16))) - 1);
}

/// The channels of a block. Members rather than an array, which GCC would keep in memory.
struct Vectors {
  __m512 a, b, c, d;
};
struct Masks {
  __mmask16 a, b, c, d;
};

CONVOPT_TILES_INLINE Vectors load(const float* from) {
  return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + kLanes), _mm512_loadu_ps(from + 2 * kLanes),
          _mm512_loadu_ps(from + 3 * kLanes)};
}
CONVOPT_TILES_INLINE Vectors multiply_add(const Vectors& x, const Vectors& y, const Vectors& z) {
  return {_mm512_fmadd_ps(x.a, y.a, z.a), _mm512_fmadd_ps(x.b, y.b, z.b),
          _mm512_fmadd_ps(x.c, y.c, z.c), _mm512_fmadd_ps(x.d, y.d, z.d)};
}
// In this order of operands NaN stays.
CONVOPT_TILES_INLINE Vectors maximum(__m512 low, const Vectors& x) {
  return {_mm512_max_ps(low, x.a), _mm512_max_ps(low, x.b), _mm512_max_ps(low, x.c),
          _mm512_max_ps(low, x.d)};
}
CONVOPT_TILES_INLINE Vectors minimum(__m512 high, const Vectors& x) {
  return {_mm512_min_ps(high, x.a), _mm512_min_ps(high, x.b), _mm512_min_ps(high, x.c),
          _mm512_min_ps(high, x.d)};
}

/// Scaled, with bias.
template <DataType kSource>
CONVOPT_TILES_INLINE Vectors values_of(const float* sums, const Vectors& scales,
                                       const Vectors& biases) {
  if constexpr (kSource == DataType::bf16) {
    const Vectors x = load(sums);
    return {_mm512_add_ps(x.a, biases.a), _mm512_add_ps(x.b, biases.b),
            _mm512_add_ps(x.c, biases.c), _mm512_add_ps(x.d, biases.d)};
  } else {
    const Vectors x = {_mm512_cvtepi32_ps(_mm512_load_si512(sums)),
                       _mm512_cvtepi32_ps(_mm512_load_si512(sums + kLanes)),
                       _mm512_cvtepi32_ps(_mm512_load_si512(sums + 2 * kLanes)),
                       _mm512_cvtepi32_ps(_mm512_load_si512(sums + 3 * kLanes))};
    return multiply_add(x, scales, biases);
  }
}

template <DataType kResult>
CONVOPT_TILES_INLINE __m512i bytes_of(const Vectors& x) {
  const __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(x.a), _mm512_cvtps_epi32(x.b));
  const __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(x.c), _mm512_cvtps_epi32(x.d));
  const __m512i bytes =
      kResult == DataType::u8 ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
  // Each instruction worked within lanes of 128 bits.
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
}

/// Stores the channels for which `masks` has lanes. `kWhole`: all of them.
template <DataType kResult, bool kWhole>
CONVOPT_TILES_INLINE void store(const Vectors& x, void* result, std::int64_t element,
                                const Masks& masks) {
  if constexpr (is_quantised(kResult)) {
    auto* const to = static_cast<std::byte*>(result) + element;
    const __m512i bytes = bytes_of<kResult>(x);
    if constexpr (kWhole) {
      _mm512_storeu_si512(to, bytes);
    } else {
      _mm512_mask_storeu_epi8(
          to, _mm512_kunpackd(_mm512_kunpackw(masks.d, masks.c), _mm512_kunpackw(masks.b, masks.a)),
          bytes);
    }
  } else if constexpr (kResult == DataType::bf16) {
    auto* const to = static_cast<std::uint16_t*>(result) + element;
    const auto low = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.b, x.a));
    const auto high = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.d, x.c));
    if constexpr (kWhole) {
      _mm512_storeu_si512(to, low);
      _mm512_storeu_si512(to + 2 * kLanes, high);
    } else {
      _mm512_mask_storeu_epi16(to, _mm512_kunpackw(masks.b, masks.a), low);
      _mm512_mask_storeu_epi16(to + 2 * kLanes, _mm512_kunpackw(masks.d, masks.c), high);
    }
  } else {
    auto* const to = static_cast<float*>(result) + element;
    _mm512_mask_storeu_ps(to, masks.a, x.a);
    _mm512_mask_storeu_ps(to + kLanes, masks.b, x.b);
    _mm512_mask_storeu_ps(to + 2 * kLanes, masks.c, x.c);
    _mm512_mask_storeu_ps(to + 3 * kLanes, masks.d, x.d);
  }
}

/// What is added to sums: nothing, whole vectors of a known type, or whatever the task has.
enum class Added : std::uint8_t { nothing, u8, s8, bf16, f32, any };

template <Added kAdded>
CONVOPT_TILES_INLINE __m512 load_whole(const void* residual, std::int64_t element) {
  if constexpr (kAdded == Added::u8) {
    const auto* const from = static_cast<const std::uint8_t*>(residual) + element;
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  } else if constexpr (kAdded == Added::s8) {
    const auto* const from = static_cast<const std::int8_t*>(residual) + element;
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  } else if constexpr (kAdded == Added::bf16) {
    const auto* const from = static_cast<const std::uint16_t*>(residual) + element;
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
  } else {
    return _mm512_loadu_ps(static_cast<const float*>(residual) + element);
  }
}

template <Added kAdded>
CONVOPT_TILES_INLINE Vectors load_residuals(const Task& task, std::int64_t element,
                                            const Masks& masks) {
  if constexpr (kAdded != Added::any) {
    return {load_whole<kAdded>(task.residual, element),
            load_whole<kAdded>(task.residual, element + kLanes),
            load_whole<kAdded>(task.residual, element + 2 * kLanes),
            load_whole<kAdded>(task.residual, element + 3 * kLanes)};
  }
  const DataType type = task.finish.residual_type;
  return {load_residual(type, task.residual, element, masks.a),
          load_residual(type, task.residual, element + kLanes, masks.b),
          load_residual(type, task.residual, element + 2 * kLanes, masks.c),
          load_residual(type, task.residual, element + 3 * kLanes, masks.d)};
}

CONVOPT_TILES_INLINE Vectors activated(const Finish& finish, const Vectors& x) {
  alignas(64) float room[kBlockChannels];
  _mm512_store_ps(room, x.a);
  _mm512_store_ps(room + kLanes, x.b);
  _mm512_store_ps(room + 2 * kLanes, x.c);
  _mm512_store_ps(room + 3 * kLanes, x.d);
  finish.activate(*finish.activation, room, kBlockChannels);
  for (float& value : room) value = value * finish.steps + finish.zero_point;
  return load(room);
}

/// Makes results of up to `most` rows of sums. Unless `kAdded` is any, there is no activation but a
/// clamp, and both panels are full.
template <DataType kSource, DataType kResult, Added kAdded>
CONVOPT_TILES_INLINE void finish_rows(const Task& task, Block& block, int most) {
  constexpr bool kWhole = kAdded != Added::any;
  const Finish& finish = task.finish;
  const int channel = block.channel, channels = task.channels - channel;
  const Vectors biases = load(finish.bias + channel);
  Vectors scales = biases;
  if constexpr (kSource != DataType::bf16) scales = load(finish.scales + channel);
  Masks masks = {0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF};
  if constexpr (!kWhole) {
    masks = {lanes_of(channels), lanes_of(channels - kLanes), lanes_of(channels - 2 * kLanes),
             lanes_of(channels - 3 * kLanes)};
  }
  const __m512 low = _mm512_set1_ps(finish.low), high = _mm512_set1_ps(finish.high);
  const bool clamps_low = finish.clamps_low, clamps_high = finish.clamps_high;
  const std::int64_t result_pixel = task.result_pixel;
  void* const result = task.result;
  const int end = std::min(block.row + most, block.rows);
  for (int number = block.row; number < end; ++number) {
    const std::int64_t place = block.places[number];
    if (place < 0) continue;
    Vectors x =
        values_of<kSource>(block.sums + std::int64_t{number} * kBlockChannels, scales, biases);
    if constexpr (kAdded != Added::nothing) {
      if (kWhole || task.residual != nullptr) {
        const __m512 scale = _mm512_set1_ps(finish.residual_scale);
        const std::int64_t element = place * task.residual_pixel + channel;
        x = multiply_add(load_residuals<kAdded>(task, element, masks), {scale, scale, scale, scale},
                         x);
      }
    }
    if constexpr (!kWhole) {
      if (finish.activate != nullptr) x = activated(finish, x);
    }
    if (clamps_low) x = maximum(low, x);
    if (clamps_high) x = minimum(high, x);
    store<kResult, kWhole>(x, result, place * result_pixel + channel, masks);
  }
  block.row = end;
}

/// The same, not repeated in the caller's code.
template <DataType kSource, DataType kResult, Added kAdded>
CONVOPT_TILES __attribute__((noinline)) void finish_others(const Task& task, Block& block,
                                                           int most) {
  finish_rows<kSource, kResult, kAdded>(task, block, most);
}

/// The same, whatever the task has.
template <DataType kSource, DataType kResult>
CONVOPT_TILES_INLINE void finish_some(const Task& task, Block& block, int most) {
  if (block.row >= block.rows) return;
  const bool whole = block.channel + kBlockChannels <= task.channels;
  if (!whole || task.finish.activate != nullptr) {
    return finish_others<kSource, kResult, Added::any>(task, block, most);
  }
  if (task.residual == nullptr) {
    return finish_rows<kSource, kResult, Added::nothing>(task, block, most);
  }
  if constexpr (is_quantised(kResult)) {
    task.finish.residual_type == DataType::u8
        ? finish_others<kSource, kResult, Added::u8>(task, block, most)
        : finish_others<kSource, kResult, Added::s8>(task, block, most);
  } else {
    constexpr Added kAdded = kResult == DataType::bf16 ? Added::bf16 : Added::f32;
    finish_others<kSource, kResult, kAdded>(task, block, most);
  }
}

// Macros, because registers are numbers in the instructions.
#define CONVOPT_TILE_PRODUCT(sums, pixels, weights) \
  if constexpr (kSource == DataType::bf16) {        \
    _tile_dpbf16ps(sums, pixels, weights);          \
  } else if constexpr (kSource == DataType::u8) {   \
    _tile_dpbusd(sums, pixels, weights);            \
  } else {                                          \
    _tile_dpbssd(sums, pixels, weights);            \
  }

/// Stores the sums of the panel before, just before the first product that needs their register.
#define CONVOPT_TILE_START(number, offset)              \
  if (step == 0) {                                      \
    _tile_stored(number, store_to + (offset), kStride); \
    _tile_zero(number);                                 \
  }

/// Multiplies blocks of two tiles by two panels, one after the other. Between the products of a
/// panel the sums of the one before are stored, and those of the block before become results: no
/// unit of the processor waits for another.
template <DataType kSource, DataType kResult>
CONVOPT_TILES void multiply(const Task& task) {
  alignas(64) float sums[2][2 * kTileRows * kBlockChannels];
  constexpr std::int64_t kStride = kBlockChannels * sizeof(float);
  set_tile_shapes(task.rows);
  const int rows = task.rows;
  const int second_tile = rows * kBlockChannels;
  Block finished;
  float* store_to = sums[1];
  int turn = 0;
  // Rows to finish after each product but the first ones. Fewer at a time are slower, because each
  // time scales and biases are loaded.
  constexpr int kLeastRows = 4;
  const int share = std::max(
      kLeastRows, static_cast<int>(ceil_div(2 * rows, 8 * std::int64_t{task.step_count} - 4)));
  const auto panel_bytes = std::int64_t{task.step_count} * kStepBytes;
  for (int first = 0; first < task.tiles; first += task.tiles_together) {
    const int end = std::min(first + task.tiles_together, task.tiles);
    for (int channel = 0; channel < task.channels; channel += kBlockChannels) {
      for (int tile = first; tile < end; tile += 2) {
        const bool both = tile + 1 < end;
        const std::byte* const pixels = task.image + task.first_pixels[tile] * task.pixel_bytes;
        const std::byte* const others =
            task.image + task.first_pixels[both ? tile + 1 : tile] * task.pixel_bytes;
        const std::byte* weights = task.weights + channel / kPanelChannels * panel_bytes;
        for (int half = 0; half < 2; ++half) {
          if (channel + half * kPanelChannels >= task.channels) break;
          for (int step = 0; step < task.step_count; ++step) {
            const int finishing = half + step > 0 ? share : 0;
            const std::int64_t offset = task.steps[step];
            _tile_loadd(4, pixels + offset, task.row_bytes);
            // Past the first cache, which keeps the pixels.
            _tile_stream_loadd(6, weights, kRowBytes);
            CONVOPT_TILE_START(0, 0)
            CONVOPT_TILE_PRODUCT(0, 4, 6)
            finish_some<kSource, kResult>(task, finished, finishing);
            CONVOPT_TILE_START(2, second_tile)
            if (both) {
              _tile_loadd(5, others + offset, task.row_bytes);
              CONVOPT_TILE_PRODUCT(2, 5, 6)
            }
            finish_some<kSource, kResult>(task, finished, finishing);
            _tile_stream_loadd(7, weights + kStepBytes / 2, kRowBytes);
            CONVOPT_TILE_START(3, second_tile + kLanes)
            if (both) {
              CONVOPT_TILE_PRODUCT(3, 5, 7)
            }
            finish_some<kSource, kResult>(task, finished, finishing);
            CONVOPT_TILE_START(1, kLanes)
            CONVOPT_TILE_PRODUCT(1, 4, 7)
            finish_some<kSource, kResult>(task, finished, finishing);
            weights += kStepBytes;
          }
          store_to = sums[turn] + half * kPanelChannels;
        }
        // Where the second panel is missing, or there is but one step, some are left.
        finish_some<kSource, kResult>(task, finished, 2 * kTileRows);
        finished = {sums[turn], task.places + std::int64_t{tile} * rows, channel, 0,
                    both ? 2 * rows : rows};
        turn = 1 - turn;
      }
    }
  }
  constexpr int step = 0;
  CONVOPT_TILE_START(0, 0)
  CONVOPT_TILE_START(1, kLanes)
  CONVOPT_TILE_START(2, second_tile)
  CONVOPT_TILE_START(3, second_tile + kLanes)
  finish_some<kSource, kResult>(task, finished, 2 * kTileRows);
  _tile_release();
}

#undef CONVOPT_TILE_START
#undef CONVOPT_TILE_PRODUCT
#undef CONVOPT_TILES_INLINE
#undef CONVOPT_TILES

template <DataType kSource>
Multiply function_for(DataType result) {
  if constexpr (kSource == DataType::bf16) {
    return result == DataType::bf16  ? multiply<kSource, DataType::bf16>
           : result == DataType::f32 ? multiply<kSource, DataType::f32>
                                     : nullptr;
  } else {
    return result == DataType::u8    ? multiply<kSource, DataType::u8>
           : result == DataType::s8  ? multiply<kSource, DataType::s8>
           : result == DataType::f32 ? multiply<kSource, DataType::f32>
                                     : nullptr;
  }
}

}  // namespace

bool has_tiles(DataType product, Isa isa) {
  if (isa != Isa::avx512) return false;
  static const Features found = features();
  const bool multiplies =
      found.tiles && found.vectors_of_bf16 &&
      (product == DataType::bf16 ? found.tiles_of_bf16
                                 : product == DataType::s8 && found.tiles_of_s8);
  static const bool given = found.tiles && kernel_gives_tiles();
  return multiplies && given;
}

Multiply multiply_function(DataType source, DataType result) {
  switch (source) {
    case DataType::u8:
      return function_for<DataType::u8>(result);
    case DataType::s8:
      return function_for<DataType::s8>(result);
    case DataType::bf16:
      return function_for<DataType::bf16>(result);
    default:
      return nullptr;
  }
}

#else

bool has_tiles(DataType, Isa) { return false; }
Multiply multiply_function(DataType, DataType) { return nullptr; }

#endif

}  // namespace convopt::amx
