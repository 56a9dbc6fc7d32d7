#include "primitives/depthwise/row.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/depthwise/row.cpp"
#include "primitives/simd.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::depthwise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Never wider than a block of nChw8c asks for where `channels` says so; see compute().
template <int kLanes>
using Tag = hn::CappedTag<float, kLanes>;

/// Bias is in the sums already; residual, clamp and store.
template <class D>
HWY_INLINE void finish(D d, const Row& row, int pixel, int channel, hn::Vec<D> sum) {
  if (row.residual != nullptr) {
    const float* add = row.residual + pixel * row.residual_column_step + channel;
    sum = hn::Add(sum, hn::LoadU(d, add));
  }
  // The sum comes second: then a NaN passes.
  sum = hn::Min(hn::Set(d, row.high), hn::Max(hn::Set(d, row.low), sum));
  hn::StoreU(sum, d, row.output + pixel * row.output_column_step + channel);
}

/// `kPixels` outputs that no padding touches. Every input is loaded once per kernel row and used
/// for all outputs that it reaches.
template <class D, int kPixels, int kColumns, int kStride>
HWY_INLINE void whole_pixels(D d, const Row& row, int pixel, int channel) {
  using V = hn::Vec<D>;
  V sum[kPixels];
  const V bias = hn::LoadU(d, row.bias + channel);
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) sum[p] = bias;
  const float* input =
      row.input + (pixel * kStride - row.padding) * row.input_column_step + channel;
  const float* weights = row.weights + channel;
  for (int y = 0; y < row.kernel_rows; ++y) {
    V w[kColumns];
#pragma GCC unroll 8
    for (int x = 0; x < kColumns; ++x) w[x] = hn::LoadU(d, weights + x * kUnit);
    const float* column = input;
#pragma GCC unroll 24
    for (int j = 0; j < (kPixels - 1) * kStride + kColumns; ++j) {
      const V value = hn::LoadU(d, column);
      column += row.input_column_step;
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        const int x = j - p * kStride;
        if (0 <= x && x < kColumns) sum[p] = hn::MulAdd(value, w[x], sum[p]);
      }
    }
    input += row.input_row_step;
    weights += kColumns * kUnit;
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) finish(d, row, pixel + p, channel, sum[p]);
}

/// One output anywhere, with any kernel.
template <class D>
HWY_INLINE void any_pixel(D d, const Row& row, int pixel, int channel) {
  auto sum = hn::LoadU(d, row.bias + channel);
  const int start = pixel * row.stride - row.padding;
  for (int x = 0; x < row.kernel_columns; ++x) {
    const int column = start + x * row.dilation;
    if (column < 0 || column >= row.input_columns) continue;
    const float* input = row.input + column * row.input_column_step + channel;
    const float* weights = row.weights + x * kUnit + channel;
    for (int y = 0; y < row.kernel_rows; ++y) {
      sum = hn::MulAdd(hn::LoadU(d, input), hn::LoadU(d, weights), sum);
      input += row.input_row_step;
      weights += row.kernel_columns * kUnit;
    }
  }
  finish(d, row, pixel, channel, sum);
}

template <class D, int kColumns, int kStride>
HWY_INLINE void vector_row(D d, const Row& row, int channel) {
  int pixel = 0;
  if constexpr (kColumns > 0) {
    // Sums, kernel columns and one input must fit 16 registers below AVX-512.
    constexpr int kPixels = kColumns == 7 && HWY_TARGET != HWY_AVX3 ? 6 : 8;
    for (; pixel < row.first_whole; ++pixel) any_pixel(d, row, pixel, channel);
    for (; pixel + kPixels <= row.last_whole; pixel += kPixels) {
      whole_pixels<D, kPixels, kColumns, kStride>(d, row, pixel, channel);
    }
    for (; pixel + 3 <= row.last_whole; pixel += 3) {
      whole_pixels<D, 3, kColumns, kStride>(d, row, pixel, channel);
    }
  }
  for (; pixel < row.output_columns; ++pixel) any_pixel(d, row, pixel, channel);
}

template <int kColumns, int kStride>
void compute(const Row& row) {
  constexpr int kMost = static_cast<int>(HWY_LANES(float));
  int channel = 0;
  for (; channel + kMost <= row.channels; channel += kMost) {
    vector_row<Tag<kMost>, kColumns, kStride>(Tag<kMost>(), row, channel);
  }
  if constexpr (kMost > 8) {  // one block of nChw8c
    for (; channel + 8 <= row.channels; channel += 8) {
      vector_row<Tag<8>, kColumns, kStride>(Tag<8>(), row, channel);
    }
  }
  // The last channels of nhwc.
  for (; channel + 4 <= row.channels; channel += 4) {
    vector_row<Tag<4>, 0, 0>(Tag<4>(), row, channel);
  }
  for (; channel < row.channels; ++channel) {
    vector_row<Tag<1>, 0, 0>(Tag<1>(), row, channel);
  }
}

void row_3_1(const Row& row) { compute<3, 1>(row); }
void row_3_2(const Row& row) { compute<3, 2>(row); }
void row_5_1(const Row& row) { compute<5, 1>(row); }
void row_5_2(const Row& row) { compute<5, 2>(row); }
void row_7_1(const Row& row) { compute<7, 1>(row); }
void row_7_2(const Row& row) { compute<7, 2>(row); }
void row_any(const Row& row) { compute<0, 0>(row); }

}  // namespace convopt::depthwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::depthwise {

HWY_EXPORT(row_3_1);
HWY_EXPORT(row_3_2);
HWY_EXPORT(row_5_1);
HWY_EXPORT(row_5_2);
HWY_EXPORT(row_7_1);
HWY_EXPORT(row_7_2);
HWY_EXPORT(row_any);

RowFunction row_function(Isa isa, int kernel_columns, int stride, int dilation) {
  if (dilation == 1 && stride == 1) {
    if (kernel_columns == 3) return CONVOPT_DISPATCH(row_3_1, isa);
    if (kernel_columns == 5) return CONVOPT_DISPATCH(row_5_1, isa);
    if (kernel_columns == 7) return CONVOPT_DISPATCH(row_7_1, isa);
  }
  if (dilation == 1 && stride == 2) {
    if (kernel_columns == 3) return CONVOPT_DISPATCH(row_3_2, isa);
    if (kernel_columns == 5) return CONVOPT_DISPATCH(row_5_2, isa);
    if (kernel_columns == 7) return CONVOPT_DISPATCH(row_7_2, isa);
  }
  return CONVOPT_DISPATCH(row_any, isa);
}

}  // namespace convopt::depthwise
#endif
