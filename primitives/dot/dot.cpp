// Products by the dot products of AVX-512: VNNI adds four products of u8 by s8 to each lane, BF16
// two of bf16. A lane is an output channel; four bytes of a pixel are broadcast to all lanes.
#include <algorithm>
#include <utility>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "primitives/dot/product.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include "primitives/dot/finish-inl.h"
#endif

namespace convopt::dot {

#if defined(__x86_64__)
namespace {

/// Sums for as many pixels by the channels of two panels, or of one, take 28 registers; the others
/// are for weights and a pixel's bytes.
constexpr int kMostRows = 7, kMostPanelRows = 14;
constexpr int kVectorBytes = 64;
/// Weights come from the second cache so long before they are used. On an Ice Lake Xeon 512 and
/// 8192 are slower by a few per cent, no fetching by up to ten.
constexpr int kAhead = 2048;

/// A tile of pixels by the channels of one or two panels.
struct Product {
  const std::byte* pixels = nullptr;
  std::int64_t row_bytes = 0;
  const std::int64_t* steps = nullptr;
  int step_count = 0, step_lanes = 0;
  const std::byte* weights = nullptr;
  std::int64_t panel_bytes = 0;
  /// From here two lines are fetched into the second cache for each lane: weights of later tiles.
  const std::byte* later = nullptr;
  std::int64_t later_step = 0;           ///< 0 where there is nothing to fetch
  const std::int32_t* starts = nullptr;  ///< null: zeros
  float* sums = nullptr;                 ///< [row][sums_row]
  std::int64_t sums_row = kBlockChannels;
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

template <DataType kSource, int kVectors, int kRows>
CONVOPT_DOT void multiply_tile(const Product& product) {
  __m512i sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int vector = 0; vector < kVectors; ++vector) {
    const __m512i start = product.starts == nullptr
                              ? _mm512_setzero_si512()
                              : _mm512_loadu_si512(product.starts + vector * kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) sums[row][vector] = start;
  }
  const __m512i shift = _mm512_set1_epi8(-128);
  const std::int64_t row_bytes = product.row_bytes;
  const std::byte* first = product.weights;
  const std::byte* second = first + product.panel_bytes;
  const std::byte* later = product.later;
  for (int step = 0; step < product.step_count; ++step) {
    const std::byte* pixels = product.pixels + product.steps[step];
    for (int lane = 0; lane < product.step_lanes; ++lane) {
      __m512i factors[kVectors];
#pragma GCC unroll 16
      for (int vector = 0; vector < kVectors; ++vector) {
        const std::byte* const from = (vector < 2 ? first : second) + vector % 2 * kVectorBytes;
        factors[vector] = _mm512_load_si512(from);
        _mm_prefetch(from + kAhead, _MM_HINT_T0);
      }
#pragma GCC unroll 16
      for (int row = 0; row < kRows; ++row) {
        std::int32_t bytes;
        __builtin_memcpy(&bytes, pixels + row * row_bytes, sizeof bytes);
        __m512i pixel = _mm512_set1_epi32(bytes);
        if constexpr (kSource == DataType::s8) pixel = _mm512_xor_si512(pixel, shift);
#pragma GCC unroll 16
        for (int vector = 0; vector < kVectors; ++vector)
          sums[row][vector] = add_products<kSource>(sums[row][vector], pixel, factors[vector]);
      }
      first += 2 * kVectorBytes;
      second += 2 * kVectorBytes;
      pixels += kLaneBytes;
      _mm_prefetch(later, _MM_HINT_T1);
      _mm_prefetch(later + kVectorBytes, _MM_HINT_T1);
      later += product.later_step;
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 16
    for (int vector = 0; vector < kVectors; ++vector)
      _mm512_store_si512(product.sums + row * product.sums_row + vector * kLanes,
                         sums[row][vector]);
  }
}

using MultiplyTile = void (*)(const Product& product);

template <DataType kSource, int kVectors, int... kRowsLessOne>
MultiplyTile function_of(int rows, std::integer_sequence<int, kRowsLessOne...>) {
  static constexpr MultiplyTile kByRows[] = {multiply_tile<kSource, kVectors, kRowsLessOne + 1>...};
  return kByRows[rows - 1];
}

template <DataType kSource>
MultiplyTile function_of(int channels, int rows) {
  constexpr std::make_integer_sequence<int, kMostRows> kRows;
  constexpr std::make_integer_sequence<int, kMostPanelRows> kPanelRows;
  switch (ceil_div(std::min(channels, kBlockChannels), kLanes)) {
    case 1:
      return function_of<kSource, 1>(rows, kPanelRows);
    case 2:
      return function_of<kSource, 2>(rows, kPanelRows);
    case 3:
      return function_of<kSource, 3>(rows, kRows);
    default:
      return function_of<kSource, 4>(rows, kRows);
  }
}

template <DataType kSource, DataType kResult>
CONVOPT_DOT void multiply_vectors(const Task& task) {
  alignas(64) float sums[kMostPanelRows * kBlockChannels];
  const auto panel_bytes = std::int64_t{task.step_count} * task.step_bytes * kPanelChannels;
  Product product;
  product.row_bytes = task.row_bytes;
  product.steps = task.steps;
  product.step_count = task.step_count;
  product.step_lanes = task.step_bytes / kLaneBytes;
  product.panel_bytes = panel_bytes;
  product.sums = sums;
  // The first tile would wait for weights from beyond the second cache, and all others have them:
  // while tiles are multiplied by some weights, the next ones are fetched.
  const std::int64_t tile_bytes = std::int64_t{task.step_count} * product.step_lanes * kVectorBytes;
  const std::int64_t block_bytes = 2 * panel_bytes;
  for (int first = 0; first < task.tiles; first += task.tiles_together) {
    const int end = std::min(first + task.tiles_together, task.tiles);
    for (int channel = 0; channel < task.channels; channel += kBlockChannels) {
      const MultiplyTile multiply_tile = function_of<kSource>(task.channels - channel, task.rows);
      product.weights = task.weights + channel / kPanelChannels * panel_bytes;
      if (task.starts != nullptr) product.starts = task.starts + channel;
      const bool is_last = channel + kBlockChannels >= task.channels;
      for (int tile = first; tile < end; ++tile) {
        const std::int64_t fetched = (tile - first) * tile_bytes;
        const bool fetches = task.fetches_weights && !is_last && fetched < block_bytes;
        product.later = product.weights + (fetches ? block_bytes + fetched : 0);
        product.later_step = fetches ? kVectorBytes : 0;
        product.pixels = task.image + task.first_pixels[tile] * task.pixel_bytes;
        multiply_tile(product);
        Block block = {sums, task.places + std::int64_t{tile} * task.rows, channel, 0, task.rows};
        finish_some<kSource, kResult>(task, block, task.rows);
      }
    }
  }
}

struct VectorProducts {
  template <DataType kSource, DataType kResult>
  static void multiply(const Task& task) {
    multiply_vectors<kSource, kResult>(task);
  }
};

Multiply multiply_function(DataType source, DataType result) {
  return function_of<VectorProducts>(source, result);
}

}  // namespace

void multiply(const MatrixProduct& product) {
  constexpr std::int64_t kNoStep = 0;
  const int lanes = static_cast<int>(ceil_div(product.k, 2));
  const std::int64_t panel_bytes = packed_bytes(product.k, kPanelChannels);
  Product tile;
  tile.row_bytes = product.a_row_stride * std::int64_t{sizeof(std::uint16_t)};
  tile.steps = &kNoStep;
  tile.step_count = 1;
  tile.step_lanes = lanes;
  tile.panel_bytes = panel_bytes;
  tile.sums_row = product.c_row_stride;
  for (int column = 0; column < product.columns; column += kBlockChannels) {
    const int columns = std::min(product.columns - column, kBlockChannels);
    const std::int64_t offset = column / kPanelChannels * panel_bytes;
    tile.weights = product.b + offset;
    const std::byte* const next = tile.weights + packed_bytes(product.k, product.columns);
    const std::int64_t next_bytes = packed_bytes(product.k, columns);
    constexpr int kFetchStep = 2 * kVectorBytes;
    // Tiles of nearly the same size: the last one is not much smaller than the others.
    const int most = columns > kPanelChannels ? kMostRows : kMostPanelRows;
    const std::int64_t tiles = ceil_div(product.rows, most);
    int row = 0;
    for (std::int64_t i = 0; i < tiles; ++i) {
      const auto end = static_cast<int>(part_begin(product.rows, i + 1, tiles));
      tile.pixels = reinterpret_cast<const std::byte*>(product.a) + row * tile.row_bytes;
      tile.sums = product.c + row * product.c_row_stride + column;
      const std::int64_t fetched = i * lanes * kFetchStep;
      // A single tile waits for its own weights.
      const bool fetches = tiles > 1 && fetched < next_bytes;
      tile.later = fetches ? next + fetched : tile.weights;
      tile.later_step = fetches ? kFetchStep : 0;
      function_of<DataType::bf16>(columns, end - row)(tile);
      row = end;
    }
  }
}

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
constexpr int kMostRows = 7, kMostPanelRows = 14;
Multiply multiply_function(DataType, DataType) { return nullptr; }
}  // namespace

void multiply(const MatrixProduct&) {}

bool has_vectors(DataType, Isa) { return false; }

#endif

std::int64_t packed_bytes(int k, int columns) {
  return round_up(columns, kPanelChannels) * ceil_div(k, 2) * kLaneBytes;
}

void pack_row(int k, int columns, int row, const float* values, std::byte* packed) {
  const std::int64_t panel_bytes = packed_bytes(k, kPanelChannels);
  for (int column = 0; column < columns; ++column) {
    std::byte* const to = packed + column / kPanelChannels * panel_bytes +
                          (row / 2 * kPanelChannels + column % kPanelChannels) * kLaneBytes +
                          row % 2 * std::int64_t{sizeof(std::uint16_t)};
    from_floats(values + column, 1, DataType::bf16, to);
  }
}

std::unique_ptr<Primitive> make_dot(PrimitiveInfo info, const Context& context,
                                    std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.traits.product_type = product_type(info.input_type);
  if (!has_vectors(info.traits.product_type, context.isa)) return nullptr;
  info.description = "dot products of pixels, over an image with zeros round it";
  info.revision = "2";
  info.traits.cost = "dot";
  info.traits.vector_products = true;
  // Two products of 16 channels start in a cycle.
  static constexpr Unit kVectors = {.tile_rows = kMostRows,
                                    .panel_rows = kMostPanelRows,
                                    .step_bytes = 0,
                                    .halves_together = true,
                                    .tile_cycles = 4,
                                    .row_cycles = 8,
                                    .shifts_s8 = true,
                                    .multiply = multiply_function};
  return make_convolution(std::move(info), kVectors);
}

}  // namespace convopt::dot
