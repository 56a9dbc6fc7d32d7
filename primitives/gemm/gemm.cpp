#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/gemm/gemm.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <array>
#include <utility>

#include "primitives/clamp-inl.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/layout/transpose-inl.h"
#include "primitives/own.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::gemm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using convopt::HWY_NAMESPACE::load_partial;
using convopt::HWY_NAMESPACE::store_partial;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
inline constexpr int kLanes = HWY_LANES(float);
inline constexpr std::int64_t kLineFloats = 64 / sizeof(float);

// Most rows of a register tile by its vectors, from 1. Accumulators, one row of B and a broadcast
// must fit the registers: 32 on AVX-512 and NEON, 16 elsewhere. Measured as percent of a
// register-only FMA loop, K = 256, on Zen 4 with GCC 12: AVX-512 6x64, 8x48, 12x32 and 14x16 reach
// 98 to 100; 24x16 and 28x16 do too until A leaves the L1 cache, then 50 to 75. On Zen 5 (512 bits
// wide) 6x64 and 8x48 are at the peak, 12x32 and 8x32 are not, so wide tiles come first. AVX2 6x16
// and 4x24 reach 99, 12x8 88; 7x16 and 3x32 spill: 50.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kRows[] = {0, 14, 12, 8, 6};
inline constexpr int kVectors = 4;
#elif HWY_TARGET == HWY_NEON
inline constexpr int kRows[] = {0, 12, 12, 8, 6};
inline constexpr int kVectors = 3;
#else
inline constexpr int kRows[] = {0, 12, 6};
inline constexpr int kVectors = 2;
#endif

// Rows of A are reached from every third row's pointer, one or two row strides further: x86
// addresses have a scaled index but no multiplication by a register.
inline constexpr int kRowsPerPointer = 3;

/// Steps of a reduction without a branch in between, where their number allows it: on AVX2 the loop
/// and what fetches weights are a third of the instructions around 12 products, which tells where
/// another thread of the core takes half of them (docs/lab/kernels.md).
inline constexpr int kStepsTogether = HWY_TARGET == HWY_AVX2 ? 2 : 1;

/// The products of a tile that is not indirect. kEnds: nothing lies behind the last column of B.
/// kFetches: every step prefetches, the current line if there is nothing to fetch. kTogether: steps
/// at a time, of which tile.k is a multiple.
template <bool kEnds, bool kFetches, int kTogether, int kR, int kV>
HWY_INLINE void add_products(const Tile& tile, V (&sum)[kR][kV]) {
  const D d;
  constexpr int kPointers = (kR + kRowsPerPointer - 1) / kRowsPerPointer;
  const float* a[kPointers];
  std::int64_t a_stride = tile.a_row_stride;
#pragma GCC unroll 8
  for (int p = 0; p < kPointers; ++p) a[p] = tile.a + p * kRowsPerPointer * a_stride;
  // Prefetch the current line by default, which is harmless: it is in L1. Steps of several lines
  // prefetch two of them: with every second line left to the hardware, 16 rows by weights from
  // memory took a third longer.
  const float* fetch = tile.fetch != nullptr ? tile.fetch : tile.b;
  const std::int64_t second_line = tile.fetch_step > kLineFloats ? kLineFloats : 0;
  for (int segment = 0; segment < tile.segments; ++segment) {
    const float* b = tile.b;
    if (tile.segment_offsets != nullptr) b += tile.segment_offsets[segment];
    for (int k = 0; k < tile.k; k += kTogether) {
#pragma GCC unroll 4
      for (int j = 0; j < kTogether; ++j) {
        // Launder what addresses are made of: otherwise GCC makes registers of them for every step.
        if constexpr (kTogether > 1) {
#pragma GCC unroll 8
          for (int p = 0; p < kPointers; ++p) asm("" : "+r"(a[p]));
          asm volatile("" : "+r"(a_stride));
        }
        V row[kV];
#pragma GCC unroll 4
        for (int v = 0; v < kV - 1; ++v) row[v] = hn::LoadU(d, b + v * kLanes);
        const float* const last = b + (kV - 1) * kLanes;
        row[kV - 1] = kEnds ? load_partial(d, last, tile.last_columns) : hn::LoadU(d, last);
        if constexpr (kFetches) {
          __builtin_prefetch(fetch, 0, 2);
          __builtin_prefetch(fetch + second_line, 0, 2);
          fetch += tile.fetch_step;
        }
        b += tile.b_row_stride;
#pragma GCC unroll 16
        for (int r = 0; r < kR; ++r) {
          const V x = hn::Set(d, a[r / kRowsPerPointer][r % kRowsPerPointer * a_stride + j]);
#pragma GCC unroll 4
          for (int v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(x, row[v], sum[r][v]);
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < kPointers; ++p) a[p] += kTogether;
    }
  }
}

template <bool kIndirect>
HWY_INLINE float* row_of_c(const Tile& tile, int r) {
  return tile.c + (kIndirect ? tile.c_offsets[r] : r * tile.c_row_stride);
}

/// Starts from C or the bias.
template <bool kIndirect, int kR, int kV>
HWY_INLINE void start_sums(const Tile& tile, bool whole, V (&sum)[kR][kV]) {
  const D d;
  if (tile.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      const float* c = row_of_c<kIndirect>(tile, r);
#pragma GCC unroll 4
      for (int v = 0; v < kV - 1; ++v) sum[r][v] = hn::LoadU(d, c + v * kLanes);
      const float* last = c + (kV - 1) * kLanes;
      sum[r][kV - 1] = whole ? hn::LoadU(d, last) : load_partial(d, last, tile.last_columns);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) {
        sum[r][v] = tile.column_bias != nullptr ? hn::LoadU(d, tile.column_bias + v * kLanes)
                    : tile.row_bias != nullptr  ? hn::Set(d, tile.row_bias[r])
                                                : hn::Zero(d);
      }
    }
  }
}

/// The products of rows that lie anywhere, segment by segment.
template <int kR, int kV>
HWY_INLINE void add_indirect_products(const Tile& tile, V (&sum)[kR][kV]) {
  const D d;
  // Prefetch the current line by default, which is harmless: it is in L1.
  const float* fetch = tile.fetch != nullptr ? tile.fetch : tile.b;
  const std::int64_t fetch_step = tile.fetch_step;
  for (int segment = 0; segment < tile.segments; ++segment) {
    const int number = tile.segment_numbers[segment];
    const float* a[kR];
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      a[r] = tile.row_pointers[r * tile.pointers_per_row + number] + tile.a_offset;
    }
    const float* b = tile.b + std::int64_t{number} * tile.k * tile.b_row_stride;
    for (std::int64_t k = 0; k < tile.k; ++k, b += tile.b_row_stride) {
      V row[kV];
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) row[v] = hn::LoadU(d, b + v * kLanes);
      __builtin_prefetch(fetch, 0, 2);
      fetch += fetch_step;
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) {
        const V x = hn::Set(d, a[r][k]);
#pragma GCC unroll 4
        for (int v = 0; v < kV; ++v) sum[r][v] = hn::MulAdd(x, row[v], sum[r][v]);
      }
    }
  }
}

/// Adds the residual, clamps and stores.
template <bool kIndirect, int kR, int kV>
HWY_INLINE void store_sums(const Tile& tile, bool whole, V (&sum)[kR][kV]) {
  const D d;
  if (tile.residual != nullptr) {
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      const float* add =
          tile.residual + (kIndirect ? tile.residual_offsets[r] : r * tile.residual_row_stride);
#pragma GCC unroll 4
      for (int v = 0; v < kV - 1; ++v) {
        sum[r][v] = hn::Add(sum[r][v], hn::LoadU(d, add + v * kLanes));
      }
      const float* last = add + (kV - 1) * kLanes;
      sum[r][kV - 1] = hn::Add(
          sum[r][kV - 1], whole ? hn::LoadU(d, last) : load_partial(d, last, tile.last_columns));
    }
  }
  if (tile.clamp) {
    const V low = hn::Set(d, tile.low), high = hn::Set(d, tile.high);
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) sum[r][v] = clamp(low, high, sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
    float* c = row_of_c<kIndirect>(tile, r);
#pragma GCC unroll 4
    for (int v = 0; v < kV - 1; ++v) hn::StoreU(sum[r][v], d, c + v * kLanes);
    float* last = c + (kV - 1) * kLanes;
    if (whole) {
      hn::StoreU(sum[r][kV - 1], d, last);
    } else {
      store_partial(d, sum[r][kV - 1], last, tile.last_columns);
    }
  }
}

template <int kR, int kV, bool kIndirect>
void compute_tile(const Tile& tile) {
  const bool whole = tile.last_columns == kLanes;
  V sum[kR][kV];
  start_sums<kIndirect>(tile, whole, sum);
  if constexpr (kIndirect) {
    add_indirect_products(tile, sum);
  } else {
    // Ends apart, because masked loads cost the product 4 to 6 % on AVX-512 (Intel family 6 model
    // 207); the others by what kStepsTogether says.
    if (tile.b_ends && !whole) {
      add_products<true, true, 1>(tile, sum);
    } else if (kStepsTogether == 1 || tile.k % kStepsTogether != 0) {
      add_products<false, true, 1>(tile, sum);
    } else if (tile.fetch != nullptr) {
      add_products<false, true, kStepsTogether>(tile, sum);
    } else {
      add_products<false, false, kStepsTogether>(tile, sum);
    }
  }
  store_sums<kIndirect>(tile, whole, sum);
}

}  // namespace convopt::gemm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Not compiled for the instruction set (primitives/simd.h).
namespace convopt::gemm::HWY_NAMESPACE {

template <int kV, int... kRowsLessOne>
void add_tiles(Kernels& list, std::integer_sequence<int, kRowsLessOne...>) {
  list.rows[kV] = sizeof...(kRowsLessOne);
  ((list.tile[kV][kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, kV, false>), ...);
  ((list.indirect_tile[kV][kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, kV, true>), ...);
}

template <int... kVectorsLessOne>
void add_widths(Kernels& list, std::integer_sequence<int, kVectorsLessOne...>) {
  (add_tiles<kVectorsLessOne + 1>(list,
                                  std::make_integer_sequence<int, kRows[kVectorsLessOne + 1]>()),
   ...);
}

Kernels list_kernels() {
  Kernels list;
  list.lanes = HWY_LANES(float);
  list.vectors = kVectors;
  list.transpose = &convopt::HWY_NAMESPACE::transpose;
  add_widths(list, std::make_integer_sequence<int, kVectors>());
  return list;
}

}  // namespace convopt::gemm::HWY_NAMESPACE

#if HWY_ONCE
namespace convopt::gemm {
namespace {

CONVOPT_EXPORT(list_kernels);

// Made at first use.
template <Isa kIsa>
const Kernels& kernels_of(int most_vectors) {
  static const std::array<Kernels, kMostVectors + 1> lists = [] {
    std::array<Kernels, kMostVectors + 1> made;
    made.fill(CONVOPT_DISPATCH(list_kernels, kIsa)());
    for (int v = 1; v <= kMostVectors; ++v) {
      Kernels& list = made[static_cast<std::size_t>(v)];
      list.vectors = std::min(list.vectors, v);
    }
    return made;
  }();
  return lists[static_cast<std::size_t>(most_vectors)];
}

}  // namespace

const Kernels& kernels(Isa isa, int most_vectors) {
  switch (isa) {
    case Isa::sse4:
      return kernels_of<Isa::sse4>(most_vectors);
    case Isa::avx2:
      return kernels_of<Isa::avx2>(most_vectors);
    case Isa::avx512:
      return kernels_of<Isa::avx512>(most_vectors);
    case Isa::neon:
      return kernels_of<Isa::neon>(most_vectors);
    case Isa::scalar:
      break;
  }
  return kernels_of<Isa::scalar>(most_vectors);
}

void spread_fetch(Tile& tile, const float* next, int columns, int k, std::int64_t group,
                  std::int64_t groups) {
  constexpr std::int64_t kLine = 64 / sizeof(float);
  // One line per step, by as many of the last tiles as it takes. If there are fewer tiles, steps
  // are longer: two lines of each are fetched, and the hardware's prefetchers fill in the rest.
  const std::int64_t parts = std::max<std::int64_t>(1, columns / kLine);
  const std::int64_t part = group - std::max<std::int64_t>(0, groups - parts);
  tile.fetch = nullptr;
  tile.fetch_step = 0;
  if (part < 0) return;
  tile.fetch_step = kLine * ceil_div(parts, groups);
  tile.fetch = next + part * k * tile.fetch_step;
}

void multiply(const Kernels& kernels, const Product& product) {
  const int lanes = kernels.lanes;
  const int columns_of_last_vector = (product.columns - 1) % lanes + 1;
  const int vectors_in_all = static_cast<int>(ceil_div(product.columns, lanes));
  std::int64_t first_width = 0;
  for_each_panel(kernels, product.columns, [&](int first, int vectors) {
    const std::int64_t column = std::int64_t{first} * lanes;
    Tile tile;
    const float* next = nullptr;
    if (first == 0) first_width = std::int64_t{vectors} * lanes;
    if (product.b_row_stride != 0) {
      tile.b = product.b + column;
      tile.b_row_stride = product.b_row_stride;
      tile.b_ends = product.b_ends;
    } else {
      const int rows = product.packed_k != 0 ? product.packed_k : product.k;
      tile.b_row_stride = std::int64_t{vectors} * lanes;
      tile.b = product.b + column * rows + product.first_k * tile.b_row_stride;
      // The same rows of the panel behind this one, or what a caller that goes on with the next
      // rows or the next packed matrix takes after the last.
      next = first + vectors < vectors_in_all
                 ? tile.b + rows * tile.b_row_stride
                 : product.b + (product.first_k + product.k < rows
                                    ? (product.first_k + product.k) * first_width
                                    : rows * std::int64_t{vectors_in_all} * lanes);
    }
    tile.a_row_stride = product.a_row_stride;
    tile.c_row_stride = product.c_row_stride;
    tile.k = product.k;
    tile.segment_offsets = product.segment_offsets;
    tile.segments = product.segments;
    tile.last_columns = first + vectors == vectors_in_all ? columns_of_last_vector : lanes;
    tile.accumulate = product.accumulate;
    if (product.column_bias != nullptr) tile.column_bias = product.column_bias + column;
    tile.residual_row_stride = product.residual_row_stride;
    tile.clamp = product.clamp;
    tile.low = product.low;
    tile.high = product.high;
    const std::int64_t groups = ceil_div(product.rows, kernels.rows[vectors]);
    std::int64_t row = 0;
    for (std::int64_t group = 0; group < groups; ++group) {
      const std::int64_t end = part_begin(product.rows, group + 1, groups);
      tile.a = product.a + row * product.a_row_stride;
      tile.c = product.c + row * product.c_row_stride + column;
      if (product.row_bias != nullptr) tile.row_bias = product.row_bias + row;
      if (product.residual != nullptr) {
        tile.residual = product.residual + row * product.residual_row_stride + column;
      }
      if (next != nullptr) spread_fetch(tile, next, vectors * lanes, product.k, group, groups);
      kernels.tile[vectors][end - row](tile);
      row = end;
    }
  });
}

std::int64_t packed_floats(const Kernels& kernels, int k, int columns) {
  return k * round_up(columns, kernels.lanes);
}

void pack(const Kernels& kernels, int k, int columns, const float* b, std::int64_t row_stride,
          std::int64_t column_stride, float* packed) {
  for_each_panel(kernels, columns, [&](int first, int vectors) {
    const int width = vectors * kernels.lanes, column = first * kernels.lanes;
    const int existing = std::min(width, columns - column);
    const float* const from = b + column * column_stride;
    float* const to = packed + std::int64_t{column} * k;
    if (row_stride == 1 && column_stride != 1) {
      kernels.transpose(from, column_stride, to, width, existing, k);
    } else {
      for (int i = 0; i < k; ++i) {
        for (int j = 0; j < existing; ++j) {
          to[std::int64_t{i} * width + j] = from[i * row_stride + j * column_stride];
        }
      }
    }
    for (int i = 0; i < k && existing < width; ++i) {
      std::fill_n(to + std::int64_t{i} * width + existing, width - existing, 0.0F);
    }
  });
}

void pack_row(const Kernels& kernels, int k, int columns, int row, const float* values,
              float* packed) {
  for_each_panel(kernels, columns, [&](int first, int vectors) {
    const int width = vectors * kernels.lanes;
    const std::int64_t column = std::int64_t{first} * kernels.lanes;
    std::copy_n(values + column, width, packed + column * k + std::int64_t{row} * width);
  });
}

}  // namespace convopt::gemm
#endif
