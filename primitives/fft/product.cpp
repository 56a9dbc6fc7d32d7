#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/fft/product.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <utility>

#include "primitives/fft/product.h"
#include "primitives/own.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::fft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Most rows of a register tile by its vectors, from 1: three accumulators each.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
inline constexpr int kRows[] = {0, 8, 4};
inline constexpr int kVectors = 2;
#else
inline constexpr int kRows[] = {0, 4};
inline constexpr int kVectors = 1;
#endif

template <int kR, int kV, bool kRealPairs>
void compute_tile(const ProductTile& tile) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(d));
  // Rows of A are reached from every third row's pointer, as in the real product.
  constexpr int kRowsPerPointer = 3;
  constexpr int kPointers = (kR + kRowsPerPointer - 1) / kRowsPerPointer;
  const auto result = [&](int r, int v) HWY_ATTR {
    return tile.c + r * tile.c_row_stride + result_offset(v * kLanes);
  };

  V p0[kR][kV], p1[kR][kV], p2[kR][kV];
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) {
      p0[r][v] = p1[r][v] = p2[r][v] = hn::Zero(d);
      if (!tile.accumulate) continue;
      const V re = hn::LoadU(d, result(r, v)), im = hn::LoadU(d, result(r, v) + kGroup);
      if (kRealPairs) {
        p2[r][v] = re;
        p1[r][v] = im;
      } else {
        p1[r][v] = hn::Neg(re);
        p0[r][v] = im;
      }
    }
  }

  const std::int64_t a_stride = tile.a_row_stride;
  const float* a[kPointers];
#pragma GCC unroll 8
  for (int p = 0; p < kPointers; ++p) a[p] = tile.a + p * kRowsPerPointer * a_stride;
  const auto row = [&](int r)
                       HWY_ATTR { return a[r / kRowsPerPointer] + r % kRowsPerPointer * a_stride; };
  const float* b = tile.b;
  const std::int64_t ahead = tile.prefetch_distance;
  for (int first = 0; first < tile.k; first += kGroup) {
    const int count = std::min(kGroup, tile.k - first);
    for (int k = 0; k < count; ++k) {
      V b_re[kV], b_im[kV];
#pragma GCC unroll 2
      for (int v = 0; v < kV; ++v) {
        b_re[v] = hn::LoadU(d, b + 2 * v * kLanes);
        b_im[v] = hn::LoadU(d, b + (2 * v + 1) * kLanes);
      }
#pragma GCC unroll 4
      for (int v = 0; v < 2 * kV; ++v) __builtin_prefetch(b + ahead + v * kLanes, 0, 2);
      b += 2 * kV * kLanes;
      // One pass over the rows for each product: more values of B at a time would not fit the
      // registers.
      constexpr int kPlane = kRealPairs ? 0 : 2;
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) {
        const V x = hn::Set(d, row(r)[kPlane * kGroup]);
#pragma GCC unroll 2
        for (int v = 0; v < kV; ++v) p2[r][v] = hn::MulAdd(x, b_re[v], p2[r][v]);
      }
      V sum[kV], difference[kV];
#pragma GCC unroll 2
      for (int v = 0; v < kV; ++v) {
        sum[v] = kRealPairs ? b_im[v] : hn::Add(b_re[v], b_im[v]);
        difference[v] = hn::Sub(b_im[v], b_re[v]);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) {
        const V x = hn::Set(d, row(r)[kGroup]);
#pragma GCC unroll 2
        for (int v = 0; v < kV; ++v) p1[r][v] = hn::MulAdd(x, sum[v], p1[r][v]);
      }
      if constexpr (!kRealPairs) {
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) {
          const V x = hn::Set(d, row(r)[0]);
#pragma GCC unroll 2
          for (int v = 0; v < kV; ++v) p0[r][v] = hn::MulAdd(x, difference[v], p0[r][v]);
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < kPointers; ++p) ++a[p];
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPointers; ++p) a[p] += 2 * kGroup;
  }

#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) {
      hn::StoreU(kRealPairs ? p2[r][v] : hn::Sub(p2[r][v], p1[r][v]), d, result(r, v));
      hn::StoreU(kRealPairs ? p1[r][v] : hn::Add(p2[r][v], p0[r][v]), d, result(r, v) + kGroup);
    }
  }
}

}  // namespace convopt::fft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Not compiled for the instruction set (primitives/simd.h).
namespace convopt::fft::HWY_NAMESPACE {

template <int kV, int... kRowsLessOne>
void add_tiles(ProductFunctions& list, std::integer_sequence<int, kRowsLessOne...>) {
  list.rows[kV] = sizeof...(kRowsLessOne);
  ((list.complex[kV][kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, kV, false>), ...);
  ((list.real_pairs[kV][kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, kV, true>), ...);
}

template <int... kVectorsLessOne>
void add_widths(ProductFunctions& list, std::integer_sequence<int, kVectorsLessOne...>) {
  (add_tiles<kVectorsLessOne + 1>(list,
                                  std::make_integer_sequence<int, kRows[kVectorsLessOne + 1]>()),
   ...);
}

ProductFunctions list_functions() {
  ProductFunctions list;
  list.lanes = HWY_LANES(float);
  list.vectors = kVectors;
  add_widths(list, std::make_integer_sequence<int, kVectors>());
  return list;
}

}  // namespace convopt::fft::HWY_NAMESPACE

#if HWY_ONCE
namespace convopt::fft {

CONVOPT_EXPORT(list_functions);
ProductFunctions product_functions(Isa isa) { return CONVOPT_DISPATCH(list_functions, isa)(); }

void multiply(const ProductFunctions& functions, const Product& product) {
  const int lanes = functions.lanes, vectors_in_all = product.columns / lanes;
  ProductTile tile;
  tile.a_row_stride = product.a_row_stride;
  tile.c_row_stride = product.c_row_stride;
  tile.k = product.k;
  tile.accumulate = product.accumulate;
  for (int vector = 0; vector < vectors_in_all; vector += functions.vectors) {
    const int vectors = std::min(functions.vectors, vectors_in_all - vector);
    const ProductFunction* const compute =
        product.real_pairs ? functions.real_pairs[vectors] : functions.complex[vectors];
    const int groups = (product.rows + functions.rows[vectors] - 1) / functions.rows[vectors];
    tile.b = product.b + std::int64_t{2} * vector * lanes * product.k;
    for (int group = 0, row = 0; group < groups; ++group) {
      const int next = static_cast<int>(part_begin(product.rows, group + 1, groups));
      tile.a = product.a + row * product.a_row_stride;
      tile.c = product.c + row * product.c_row_stride + result_offset(std::int64_t{vector} * lanes);
      // Panels follow each other, also from one product to the next: the last rows of this one
      // fetch the next.
      tile.prefetch_distance =
          group + 1 == groups ? std::int64_t{2} * vectors * lanes * product.k : 0;
      compute[next - row](tile);
      row = next;
    }
  }
}

}  // namespace convopt::fft
#endif
