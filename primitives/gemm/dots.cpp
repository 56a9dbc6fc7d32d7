#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/gemm/dots.cpp"
#include "primitives/simd.h"

#include <algorithm>

#include "primitives/gemm/dots.h"
#include "primitives/gemm/lanes-inl.h"
#include "primitives/gemm/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::gemm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::combine_lanes;
using convopt::HWY_NAMESPACE::load_partial;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
inline constexpr int kLanes = HWY_LANES(float);

inline constexpr int kColumns = 4;  // as many as combine_lanes() takes
// Accumulators, a vector of every row and one of B must fit the registers.
inline constexpr int kMostRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 4 : 2;

/// `kRows` rows by kColumns columns, of which `columns` exist; the others repeat the last one.
template <int kRows>
void compute_tile(const Dots& dots, int row, int column, int columns) {
  const D d;
  V sum[kRows][kColumns];
  const float *a[kRows], *b[kColumns];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    a[r] = dots.a + (row + r) * dots.a_row_stride;
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) sum[r][c] = hn::Zero(d);
  }
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) {
    b[c] = dots.b + (column + std::min(c, columns - 1)) * dots.b_row_stride;
  }
  const auto add = [&](const auto& load) HWY_ATTR {
    V x[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) x[r] = load(a[r]);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      const V y = load(b[c]);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][c] = hn::MulAdd(x[r], y, sum[r][c]);
    }
  };
  int k = 0;
  for (; k + kLanes <= dots.k; k += kLanes) {
    add([&](const float* from) HWY_ATTR { return hn::LoadU(d, from + k); });
  }
  if (k < dots.k) {
    add([&](const float* from) HWY_ATTR { return load_partial(d, from + k, dots.k - k); });
  }

#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    HWY_ALIGN float values[kLanes];
    const auto plus = [](V x, V y) HWY_ATTR { return hn::Add(x, y); };
    hn::Store(combine_lanes(d, sum[r][0], sum[r][1], sum[r][2], sum[r][3], plus), d, values);
    float* const to = dots.c + (row + r) * dots.c_row_stride + column;
    const float* const residual =
        dots.residual != nullptr ? dots.residual + (row + r) * dots.residual_row_stride + column
                                 : nullptr;
    for (int c = 0; c < columns; ++c) {
      const float value = values[c] + (residual != nullptr ? residual[c] : 0.0F);
      // NaN passes.
      to[c] = value < dots.low ? dots.low : value > dots.high ? dots.high : value;
    }
  }
}

/// All rows go through kColumns rows of B before the next ones do, so that B is read once.
void compute(const Dots& dots) {
  for (int column = 0; column < dots.columns; column += kColumns) {
    const int columns = std::min(kColumns, dots.columns - column);
    int row = 0;
    for (; row + kMostRows <= dots.rows; row += kMostRows) {
      compute_tile<kMostRows>(dots, row, column, columns);
    }
    switch (dots.rows - row) {
      case 3:
        compute_tile<3>(dots, row, column, columns);
        break;
      case 2:
        compute_tile<2>(dots, row, column, columns);
        break;
      case 1:
        compute_tile<1>(dots, row, column, columns);
        break;
    }
  }
}

}  // namespace convopt::gemm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::gemm {

CONVOPT_EXPORT(compute);
DotsFunction dots_function(Isa isa) { return CONVOPT_DISPATCH(compute, isa); }

}  // namespace convopt::gemm
#endif
