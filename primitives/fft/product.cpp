#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/fft/product.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <utility>

#include "primitives/fft/product.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::fft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
inline constexpr int kRows = 8;
#else
inline constexpr int kRows = 3;
#endif

// Three real products per complex one (Gauss):
//   p0 = a.re * (b.im - b.re)   p1 = a.im * (b.re + b.im)   p2 = (a.re + a.im) * b.re
//   re = p2 - p1                im = p2 + p0
// The sums of A and B are formed here, so that memory holds two values per complex number.
template <int kR, bool kRealPairs>
void compute_tile(const ProductTile& tile) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(d));
  // Rows of A are reached from every third row's pointer, as in the real product.
  constexpr int kRowsPerPointer = 3;
  constexpr int kPointers = (kR + kRowsPerPointer - 1) / kRowsPerPointer;

  V p0[kR], p1[kR], p2[kR];
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
    p0[r] = p1[r] = p2[r] = hn::Zero(d);
    if (tile.accumulate) {
      const float* c = tile.c + r * tile.c_row_stride;
      p0[r] = hn::LoadU(d, c + kGroup);
      if (kRealPairs) {
        p2[r] = hn::LoadU(d, c);
      } else {
        p1[r] = hn::Neg(hn::LoadU(d, c));
      }
    }
  }

  const std::int64_t a_stride = tile.a_row_stride;
  const float* a[kPointers];
#pragma GCC unroll 8
  for (int p = 0; p < kPointers; ++p) a[p] = tile.a + p * kRowsPerPointer * a_stride;
  const float* b = tile.b;
  const std::int64_t ahead = tile.prefetch_distance;
  for (int first = 0; first < tile.k; first += kGroup) {
    const int count = std::min(kGroup, tile.k - first);
    for (int k = 0; k < count; ++k) {
      const V b_re = hn::LoadU(d, b), b_im = hn::LoadU(d, b + kLanes);
      __builtin_prefetch(b + ahead, 0, 2);
      __builtin_prefetch(b + ahead + kLanes, 0, 2);
      b += 2 * kLanes;
      if constexpr (kRealPairs) {
#pragma GCC unroll 16
        for (int r = 0; r < kR; ++r) {
          const float* at = a[r / kRowsPerPointer] + r % kRowsPerPointer * a_stride;
          p2[r] = hn::MulAdd(hn::Set(d, at[0]), b_re, p2[r]);
          p0[r] = hn::MulAdd(hn::Set(d, at[kGroup]), b_im, p0[r]);
        }
      } else {
        const V difference = hn::Sub(b_im, b_re), sum = hn::Add(b_re, b_im);
#pragma GCC unroll 16
        for (int r = 0; r < kR; ++r) {
          const float* at = a[r / kRowsPerPointer] + r % kRowsPerPointer * a_stride;
          const V a_re = hn::Set(d, at[0]), a_im = hn::Set(d, at[kGroup]);
          p0[r] = hn::MulAdd(a_re, difference, p0[r]);
          p1[r] = hn::MulAdd(a_im, sum, p1[r]);
          p2[r] = hn::MulAdd(hn::Add(a_re, a_im), b_re, p2[r]);
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < kPointers; ++p) ++a[p];
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPointers; ++p) a[p] += kGroup;
  }

#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
    float* c = tile.c + r * tile.c_row_stride;
    hn::StoreU(kRealPairs ? p2[r] : hn::Sub(p2[r], p1[r]), d, c);
    hn::StoreU(kRealPairs ? p0[r] : hn::Add(p2[r], p0[r]), d, c + kGroup);
  }
}

template <int... kRowsLessOne>
void add_tiles(ProductFunctions& list, std::integer_sequence<int, kRowsLessOne...>) {
  ((list.complex[kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, false>), ...);
  ((list.real_pairs[kRowsLessOne + 1] = &compute_tile<kRowsLessOne + 1, true>), ...);
}

ProductFunctions list_functions() {
  ProductFunctions list;
  list.lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<float>()));
  list.rows = kRows;
  add_tiles(list, std::make_integer_sequence<int, kRows>());
  return list;
}

}  // namespace convopt::fft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::fft {

HWY_EXPORT(list_functions);
ProductFunctions product_functions(Isa isa) { return CONVOPT_DISPATCH(list_functions, isa)(); }

void multiply(const ProductFunctions& functions, const Product& product) {
  const ProductFunction* const compute =
      product.real_pairs ? functions.real_pairs : functions.complex;
  const int groups = (product.rows + functions.rows - 1) / functions.rows;
  ProductTile tile;
  tile.a_row_stride = product.a_row_stride;
  tile.c_row_stride = product.c_row_stride;
  tile.k = product.k;
  tile.accumulate = product.accumulate;
  for (int column = 0; column < product.columns; column += functions.lanes) {
    tile.b = product.b + std::int64_t{column} * 2 * product.k;
    for (int group = 0, row = 0; group < groups; ++group) {
      const int next = static_cast<int>(std::int64_t{product.rows} * (group + 1) / groups);
      tile.a = product.a + row * product.a_row_stride;
      tile.c = product.c + row * product.c_row_stride + real_part(column);
      // Panels follow each other, also from one product to the next: the last rows of this one
      // fetch the next.
      tile.prefetch_distance =
          group + 1 == groups ? std::int64_t{functions.lanes} * 2 * product.k : 0;
      compute[next - row](tile);
      row = next;
    }
  }
}

}  // namespace convopt::fft
#endif
