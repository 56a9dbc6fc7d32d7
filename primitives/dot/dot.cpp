// Products by the dot products of AVX-512: VNNI adds four products of u8 by s8 to each lane, BF16
// two of bf16. A lane is an output channel; four bytes of a pixel are broadcast to all lanes.
#include <array>
#include <utility>

#include "primitives/dot/product.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include "primitives/dot/finish-inl.h"
#endif

namespace convopt::dot {

#if defined(__x86_64__)
namespace {

/// Sums for as many pixels by the channels of a panel take all registers but those of two vectors
/// of weights, a pixel's bytes, and what makes u8 of them.
constexpr int kMostRows = 14;
constexpr int kStepLanes = kRowBytes / 4;

/// A tile of pixels by one panel.
struct Panel {
  const std::byte* pixels;
  std::int64_t row_bytes;
  const std::int64_t* steps;
  int step_count;
  const std::byte* weights;
  const std::int32_t* starts;  ///< null: zeros
  float* sums;                 ///< [row][kBlockChannels]
};

template <DataType kSource>
CONVOPT_DOT_INLINE __m512i add_products(__m512i sums, __m512i pixel, __m512i weights) {
  if constexpr (kSource == DataType::bf16) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sums),
                                                reinterpret_cast<__m512bh>(pixel),
                                                reinterpret_cast<__m512bh>(weights)));
  } else {
    return _mm512_dpbusd_epi32(sums, pixel, weights);
  }
}

template <DataType kSource, int kRows>
CONVOPT_DOT void multiply_panel(const Panel& panel) {
  const bool starts = panel.starts != nullptr;
  const __m512i first = starts ? _mm512_loadu_si512(panel.starts) : _mm512_setzero_si512();
  const __m512i second =
      starts ? _mm512_loadu_si512(panel.starts + kLanes) : _mm512_setzero_si512();
  const __m512i shift = _mm512_set1_epi8(-128);
  __m512i a[kRows], b[kRows];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
    a[row] = first;
    b[row] = second;
  }
  const std::byte* weights = panel.weights;
  const std::int64_t row_bytes = panel.row_bytes;
  for (int step = 0; step < panel.step_count; ++step) {
    const std::byte* pixels = panel.pixels + panel.steps[step];
    for (int lane = 0; lane < kStepLanes; ++lane) {
      const __m512i of_a = _mm512_load_si512(weights);
      const __m512i of_b = _mm512_load_si512(weights + kStepBytes / 2);
#pragma GCC unroll 16
      for (int row = 0; row < kRows; ++row) {
        std::int32_t bytes;
        __builtin_memcpy(&bytes, pixels + row * row_bytes, sizeof bytes);
        __m512i pixel = _mm512_set1_epi32(bytes);
        if constexpr (kSource == DataType::s8) pixel = _mm512_xor_si512(pixel, shift);
        a[row] = add_products<kSource>(a[row], pixel, of_a);
        b[row] = add_products<kSource>(b[row], pixel, of_b);
      }
      weights += kRowBytes;
      pixels += sizeof(std::int32_t);
    }
    weights += kStepBytes / 2;
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
    _mm512_store_si512(panel.sums + row * kBlockChannels, a[row]);
    _mm512_store_si512(panel.sums + row * kBlockChannels + kLanes, b[row]);
  }
}

using MultiplyPanel = void (*)(const Panel& panel);

template <DataType kSource, int... kRowsLessOne>
constexpr std::array<MultiplyPanel, kMostRows> functions_of(
    std::integer_sequence<int, kRowsLessOne...>) {
  return {multiply_panel<kSource, kRowsLessOne + 1>...};
}
/// By the number of rows, less one.
template <DataType kSource>
constexpr auto kMultiplyPanel = functions_of<kSource>(std::make_integer_sequence<int, kMostRows>());

template <DataType kSource, DataType kResult>
CONVOPT_DOT void multiply(const Task& task) {
  alignas(64) float sums[kMostRows * kBlockChannels];
  const MultiplyPanel multiply_panel = kMultiplyPanel<kSource>[task.rows - 1];
  const auto panel_bytes = std::int64_t{task.step_count} * kStepBytes;
  Panel panel = {nullptr, task.row_bytes, task.steps, task.step_count, nullptr, nullptr, nullptr};
  for (int first = 0; first < task.tiles; first += task.tiles_together) {
    const int end = std::min(first + task.tiles_together, task.tiles);
    for (int channel = 0; channel < task.channels; channel += kBlockChannels) {
      const int panels = task.channels - channel > kPanelChannels ? 2 : 1;
      for (int tile = first; tile < end; ++tile) {
        panel.pixels = task.image + task.first_pixels[tile] * task.pixel_bytes;
        for (int half = 0; half < panels; ++half) {
          const int here = channel + half * kPanelChannels;
          panel.weights = task.weights + here / kPanelChannels * panel_bytes;
          panel.starts = task.starts == nullptr ? nullptr : task.starts + here;
          panel.sums = sums + half * kPanelChannels;
          multiply_panel(panel);
        }
        Block block = {sums, task.places + std::int64_t{tile} * task.rows, channel, 0, task.rows};
        finish_some<kSource, kResult>(task, block, task.rows);
      }
    }
  }
}

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

}  // namespace

bool has_vectors(DataType product, Isa isa) {
  if (isa != Isa::avx512) return false;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (product == DataType::bf16)
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5U & 1U) != 0;
  return product == DataType::s8 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
         (c >> 11U & 1U) != 0;
}

#else

namespace {
constexpr int kMostRows = 14;
Multiply multiply_function(DataType, DataType) { return nullptr; }
}  // namespace

bool has_vectors(DataType, Isa) { return false; }

#endif

std::unique_ptr<Primitive> make_dot(PrimitiveInfo info, const Context& context,
                                    std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.traits.product_type = product_type(info.input_type);
  if (!has_vectors(info.traits.product_type, context.isa)) return nullptr;
  info.description = "dot products of pixels, over an image with zeros round it";
  info.revision = "1";
  info.traits.vector_products = true;
  // Two products of 16 channels start in a cycle, sixteen make a step.
  static constexpr Unit kVectors = {kMostRows, 4, 8, true, multiply_function};
  return make_convolution(std::move(info), kVectors);
}

}  // namespace convopt::dot
