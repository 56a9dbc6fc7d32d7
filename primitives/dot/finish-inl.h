// How sums become results, for files that multiply with vectors or tiles of AVX-512. Everything is
// compiled for the instructions of all of them, and runs those that the types need.
#pragma once

#include <algorithm>
#include <cstdint>

#ifndef __clang__
// GCC 12 warns of what its own header leaves undefined on purpose (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

#include "core/quantisation.h"
#include "primitives/dot/product.h"

namespace convopt::dot {
namespace {

#define CONVOPT_DOT                                                               \
  __attribute__((                                                                 \
      target("fma,amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq," \
             "avx512vnni,avx512bf16")))
#define CONVOPT_DOT_INLINE CONVOPT_DOT __attribute__((always_inline)) inline

/// Sums of pixels by two panels on their way to the result.
struct Block {
  float* sums = nullptr;  ///< [row][kBlockChannels], of u8 and s8 as s32
  const std::int32_t* places = nullptr;
  int channel = 0;
  int row = 0, rows = 0;  ///< the next one and their number
};
constexpr int kBlockChannels = 2 * kPanelChannels;

CONVOPT_DOT_INLINE __m512 load_residual(DataType type, const void* residual, std::int64_t element,
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
CONVOPT_DOT_INLINE __mmask16 lanes_of(int channels) {
  return static_cast<__mmask16>((1U << static_cast<unsigned>(std::clamp(channels, 0, 16))) - 1);
}

/// The channels of a block. Members rather than an array, which GCC would keep in memory.
struct Vectors {
  __m512 a, b, c, d;
};
struct Masks {
  __mmask16 a, b, c, d;
};

CONVOPT_DOT_INLINE Vectors load(const float* from) {
  return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + kLanes), _mm512_loadu_ps(from + 2 * kLanes),
          _mm512_loadu_ps(from + 3 * kLanes)};
}
CONVOPT_DOT_INLINE Vectors multiply_add(const Vectors& x, const Vectors& y, const Vectors& z) {
  return {_mm512_fmadd_ps(x.a, y.a, z.a), _mm512_fmadd_ps(x.b, y.b, z.b),
          _mm512_fmadd_ps(x.c, y.c, z.c), _mm512_fmadd_ps(x.d, y.d, z.d)};
}
// In this order of operands NaN stays.
CONVOPT_DOT_INLINE Vectors maximum(__m512 low, const Vectors& x) {
  return {_mm512_max_ps(low, x.a), _mm512_max_ps(low, x.b), _mm512_max_ps(low, x.c),
          _mm512_max_ps(low, x.d)};
}
CONVOPT_DOT_INLINE Vectors minimum(__m512 high, const Vectors& x) {
  return {_mm512_min_ps(high, x.a), _mm512_min_ps(high, x.b), _mm512_min_ps(high, x.c),
          _mm512_min_ps(high, x.d)};
}

/// Scaled, with bias.
template <DataType kSource>
CONVOPT_DOT_INLINE Vectors values_of(const float* sums, const Vectors& scales,
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
CONVOPT_DOT_INLINE __m512i bytes_of(const Vectors& x) {
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
CONVOPT_DOT_INLINE void store(const Vectors& x, void* result, std::int64_t element,
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
CONVOPT_DOT_INLINE __m512 load_whole(const void* residual, std::int64_t element) {
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
CONVOPT_DOT_INLINE Vectors load_residuals(const Task& task, std::int64_t element,
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

CONVOPT_DOT_INLINE Vectors activated(const Finish& finish, const Vectors& x) {
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
CONVOPT_DOT_INLINE void finish_rows(const Task& task, Block& block, int most) {
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
CONVOPT_DOT __attribute__((noinline)) void finish_others(const Task& task, Block& block, int most) {
  finish_rows<kSource, kResult, kAdded>(task, block, most);
}

template <DataType kResult>
CONVOPT_DOT_INLINE void store_lanes(__m512 x, void* result, std::int64_t element, __mmask16 mask) {
  if constexpr (kResult == DataType::u8) {
    const __m512i numbers = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());
    _mm_mask_storeu_epi8(static_cast<std::byte*>(result) + element, mask,
                         _mm512_cvtusepi32_epi8(numbers));
  } else if constexpr (kResult == DataType::s8) {
    _mm_mask_storeu_epi8(static_cast<std::byte*>(result) + element, mask,
                         _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
  } else if constexpr (kResult == DataType::bf16) {
    _mm256_mask_storeu_epi16(static_cast<std::uint16_t*>(result) + element, mask,
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  } else {
    _mm512_mask_storeu_ps(static_cast<float*>(result) + element, mask, x);
  }
}

/// Where the last panels are not full, vector by vector: no activation but a clamp.
template <DataType kSource, DataType kResult>
CONVOPT_DOT __attribute__((noinline)) void finish_vectors(const Task& task, Block& block,
                                                          int most) {
  const Finish& finish = task.finish;
  const __m512 low = _mm512_set1_ps(finish.low), high = _mm512_set1_ps(finish.high);
  const __m512 residual_scale = _mm512_set1_ps(finish.residual_scale);
  const int end = std::min(block.row + most, block.rows);
  for (int first = 0; block.channel + first < task.channels; first += kLanes) {
    const int channel = block.channel + first;
    const __mmask16 mask = lanes_of(task.channels - channel);
    const __m512 bias = _mm512_loadu_ps(finish.bias + channel);
    __m512 scale = bias;
    if constexpr (kSource != DataType::bf16) scale = _mm512_loadu_ps(finish.scales + channel);
    for (int number = block.row; number < end; ++number) {
      const std::int64_t place = block.places[number];
      if (place < 0) continue;
      const float* const sums = block.sums + std::int64_t{number} * kBlockChannels + first;
      __m512 x;
      if constexpr (kSource == DataType::bf16) {
        x = _mm512_add_ps(_mm512_load_ps(sums), bias);
      } else {
        x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums)), scale, bias);
      }
      if (task.residual != nullptr) {
        const __m512 residual = load_residual(finish.residual_type, task.residual,
                                              place * task.residual_pixel + channel, mask);
        x = _mm512_fmadd_ps(residual, residual_scale, x);
      }
      // In this order of operands NaN stays.
      if (finish.clamps_low) x = _mm512_max_ps(low, x);
      if (finish.clamps_high) x = _mm512_min_ps(high, x);
      store_lanes<kResult>(x, task.result, place * task.result_pixel + channel, mask);
    }
  }
  block.row = end;
}

/// Where no more than so many vectors of channels are left: bytes of as many rows as fill a vector
/// are made together. No activation but a clamp.
template <DataType kResult, int kVectors, bool kAdds>
CONVOPT_DOT __attribute__((noinline)) void finish_narrow(const Task& task, Block& block, int most) {
  constexpr int kTogether = 4 / kVectors;
  // Whatever is stored as bytes might change what these are copies of.
  const Finish& finish = task.finish;
  const int channel = block.channel, channels = task.channels - channel;
  const float* const sums = block.sums;
  const std::int32_t* const places = block.places;
  auto* const result = static_cast<std::byte*>(task.result) + channel;
  const std::int64_t result_pixel = task.result_pixel;
  const bool clamps = finish.clamps_low || finish.clamps_high;
  const __m512 low = _mm512_set1_ps(finish.low), high = _mm512_set1_ps(finish.high);
  __m512 scales[kVectors], biases[kVectors];
  __mmask16 masks[kVectors];
#pragma GCC unroll 2
  for (int vector = 0; vector < kVectors; ++vector) {
    scales[vector] = _mm512_loadu_ps(finish.scales + channel + vector * kLanes);
    biases[vector] = _mm512_loadu_ps(finish.bias + channel + vector * kLanes);
    masks[vector] = lanes_of(channels - vector * kLanes);
  }
  const int begin = block.row, end = std::min(begin + most, block.rows);
  for (int first = begin; first < end; first += kTogether) {
    __m512 x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = std::min(first + i / kVectors, end - 1), vector = i % kVectors;
      const float* const from = sums + std::int64_t{row} * kBlockChannels + vector * kLanes;
      x[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(from)), scales[vector],
                             biases[vector]);
      if constexpr (kAdds) {
        const std::int64_t element = std::max(places[row], 0) * task.residual_pixel + channel;
        const __m512 residual = load_residual(finish.residual_type, task.residual,
                                              element + vector * kLanes, masks[vector]);
        x[i] = _mm512_fmadd_ps(residual, _mm512_set1_ps(finish.residual_scale), x[i]);
      }
      // In this order of operands NaN stays.
      if (clamps) x[i] = _mm512_min_ps(high, _mm512_max_ps(low, x[i]));
    }
    const __m512i bytes = bytes_of<kResult>({x[0], x[1], x[2], x[3]});
    if constexpr (kVectors == 2) {
      const auto mask = static_cast<__mmask32>(_mm512_kunpackw(masks[1], masks[0]));
      const __m256i rows[kTogether] = {_mm512_castsi512_si256(bytes),
                                       _mm512_extracti64x4_epi64(bytes, 1)};
#pragma GCC unroll 2
      for (int i = 0; i < kTogether; ++i) {
        if (first + i >= end || places[first + i] < 0) continue;
        _mm256_mask_storeu_epi8(result + places[first + i] * result_pixel, mask, rows[i]);
      }
    } else {
      const __m128i rows[kTogether] = {
          _mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
          _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
#pragma GCC unroll 4
      for (int i = 0; i < kTogether; ++i) {
        if (first + i >= end || places[first + i] < 0) continue;
        _mm_mask_storeu_epi8(result + places[first + i] * result_pixel, masks[0], rows[i]);
      }
    }
  }
  block.row = end;
}

template <DataType kResult, int kVectors>
CONVOPT_DOT_INLINE void finish_narrow(const Task& task, Block& block, int most) {
  task.residual == nullptr ? finish_narrow<kResult, kVectors, false>(task, block, most)
                           : finish_narrow<kResult, kVectors, true>(task, block, most);
}

/// The same, whatever the task has.
template <DataType kSource, DataType kResult>
CONVOPT_DOT_INLINE void finish_some(const Task& task, Block& block, int most) {
  if (block.row >= block.rows) return;
  const bool whole = block.channel + kBlockChannels <= task.channels;
  if (task.finish.activate != nullptr) {
    return finish_others<kSource, kResult, Added::any>(task, block, most);
  }
  if (!whole) {
    if constexpr (is_quantised(kResult)) {
      const int channels = task.channels - block.channel;
      if (channels <= kLanes) return finish_narrow<kResult, 1>(task, block, most);
      if (channels <= 2 * kLanes) return finish_narrow<kResult, 2>(task, block, most);
    }
    return finish_vectors<kSource, kResult>(task, block, most);
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

template <class Products, DataType kSource>
Multiply function_for(DataType result) {
  if constexpr (kSource == DataType::bf16) {
    return result == DataType::bf16  ? Products::template multiply<kSource, DataType::bf16>
           : result == DataType::f32 ? Products::template multiply<kSource, DataType::f32>
                                     : nullptr;
  } else {
    return result == DataType::u8    ? Products::template multiply<kSource, DataType::u8>
           : result == DataType::s8  ? Products::template multiply<kSource, DataType::s8>
           : result == DataType::f32 ? Products::template multiply<kSource, DataType::f32>
                                     : nullptr;
  }
}

/// Unit::multiply, where `Products::multiply<source, result>` is a function for a Task.
template <class Products>
Multiply function_of(DataType source, DataType result) {
  switch (source) {
    case DataType::u8:
      return function_for<Products, DataType::u8>(result);
    case DataType::s8:
      return function_for<Products, DataType::s8>(result);
    case DataType::bf16:
      return function_for<Products, DataType::bf16>(result);
    default:
      return nullptr;
  }
}

}  // namespace
}  // namespace convopt::dot
