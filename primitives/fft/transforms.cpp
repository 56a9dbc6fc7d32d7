#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/fft/transforms.cpp"
#include "primitives/simd.h"

#include "primitives/fft/product.h"
#include "primitives/fft/transforms.h"
#include "primitives/fft/twiddle.h"
#include "primitives/tiles/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::fft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tiles::HWY_NAMESPACE::copy_column;
using tiles::HWY_NAMESPACE::for_each_vector;
using tiles::HWY_NAMESPACE::Place;
using tiles::HWY_NAMESPACE::store_column;

// even + w * odd and even - w * odd; of the second its conjugate on request. Everything about w is
// known at compile time once loops are unrolled.
template <bool kConjugate, class D, class V>
HWY_INLINE void butterfly(D d, const Twiddle& w, V even_re, V even_im, V odd_re, V odd_im,
                          V& sum_re, V& sum_im, V& difference_re, V& difference_im) {
  V re = odd_re, im = odd_im;
  if (w.tangent != 0) {
    const V tangent = hn::Set(d, static_cast<float>(w.tangent));
    re = hn::NegMulAdd(tangent, odd_im, odd_re);
    im = hn::MulAdd(tangent, odd_re, odd_im);
  }
  // (-i)^quarter, up to the signs, which choose between sum and difference.
  const V x = w.quarter == 1 ? im : re, y = w.quarter == 1 ? re : im;
  V plus_re, minus_re, plus_im, minus_im;
  if (w.cosine == 1) {
    plus_re = hn::Add(even_re, x);
    minus_re = hn::Sub(even_re, x);
    plus_im = hn::Add(even_im, y);
    minus_im = hn::Sub(even_im, y);
    if (kConjugate) {
      (w.quarter == 0 ? minus_im : plus_im) =
          w.quarter == 0 ? hn::Sub(y, even_im) : hn::Neg(hn::Add(even_im, y));
    }
  } else {
    const V cosine = hn::Set(d, static_cast<float>(w.cosine));
    plus_re = hn::MulAdd(cosine, x, even_re);
    minus_re = hn::NegMulAdd(cosine, x, even_re);
    plus_im = hn::MulAdd(cosine, y, even_im);
    minus_im = hn::NegMulAdd(cosine, y, even_im);
    if (kConjugate) {
      (w.quarter == 0 ? minus_im : plus_im) =
          w.quarter == 0 ? hn::MulSub(cosine, y, even_im) : hn::NegMulSub(cosine, y, even_im);
    }
  }
  sum_re = w.quarter == 2 ? minus_re : plus_re;
  difference_re = w.quarter == 2 ? plus_re : minus_re;
  sum_im = w.quarter == 0 ? plus_im : minus_im;
  difference_im = w.quarter == 0 ? minus_im : plus_im;
}

// Discrete Fourier transform of complex values that lie kStride apart. With real and imaginary
// parts exchanged on both sides it is the inverse, times kPoints.
template <int kPoints, int kStride, class D, class V>
HWY_INLINE void fourier(D d, const V* re, const V* im, V* to_re, V* to_im) {
  if constexpr (kPoints == 1) {
    to_re[0] = re[0];
    to_im[0] = im[0];
  } else {
    constexpr int kHalf = kPoints / 2;
    V even_re[kHalf], even_im[kHalf], odd_re[kHalf], odd_im[kHalf];
    fourier<kHalf, 2 * kStride>(d, re, im, even_re, even_im);
    fourier<kHalf, 2 * kStride>(d, re + kStride, im + kStride, odd_re, odd_im);
#pragma GCC unroll 16
    for (int k = 0; k < kHalf; ++k) {
      butterfly<false>(d, kTwiddles<kPoints>[k], even_re[k], even_im[k], odd_re[k], odd_im[k],
                       to_re[k], to_im[k], to_re[k + kHalf], to_im[k + kHalf]);
    }
  }
}

// The same of real values: frequencies 0 to kPoints / 2, of which the first and the last are real
// and get no imaginary part.
template <int kPoints, int kStride, class D, class V>
HWY_INLINE void fourier_real(D d, const V* x, V* re, V* im) {
  if constexpr (kPoints == 2) {
    re[0] = hn::Add(x[0], x[kStride]);
    re[1] = hn::Sub(x[0], x[kStride]);
  } else {
    constexpr int kHalf = kPoints / 2, kQuarter = kPoints / 4;
    V even_re[kQuarter + 1], even_im[kQuarter + 1], odd_re[kQuarter + 1], odd_im[kQuarter + 1];
    fourier_real<kHalf, 2 * kStride>(d, x, even_re, even_im);
    fourier_real<kHalf, 2 * kStride>(d, x + kStride, odd_re, odd_im);
    re[0] = hn::Add(even_re[0], odd_re[0]);
    re[kHalf] = hn::Sub(even_re[0], odd_re[0]);
#pragma GCC unroll 16
    for (int k = 1; k < kQuarter; ++k) {
      butterfly<true>(d, kTwiddles<kPoints>[k], even_re[k], even_im[k], odd_re[k], odd_im[k], re[k],
                      im[k], re[kHalf - k], im[kHalf - k]);
    }
    re[kQuarter] = even_re[kQuarter];
    im[kQuarter] = hn::Neg(odd_re[kQuarter]);
  }
}

// Turns those frequencies into kPoints times the real values, kStride apart.
template <int kPoints, int kStride, class D, class V>
HWY_INLINE void inverse_real(D d, const V* re, const V* im, V* x) {
  if constexpr (kPoints == 2) {
    x[0] = hn::Add(re[0], re[1]);
    x[kStride] = hn::Sub(re[0], re[1]);
  } else {
    constexpr int kHalf = kPoints / 2, kQuarter = kPoints / 4;
    V even_re[kQuarter + 1], even_im[kQuarter + 1], odd_re[kQuarter + 1], odd_im[kQuarter + 1];
    even_re[0] = hn::Add(re[0], re[kHalf]);
    odd_re[0] = hn::Sub(re[0], re[kHalf]);
#pragma GCC unroll 16
    for (int k = 1; k < kQuarter; ++k) {
      // Frequency k + kHalf is the conjugate of frequency kHalf - k.
      even_re[k] = hn::Add(re[k], re[kHalf - k]);
      even_im[k] = hn::Sub(im[k], im[kHalf - k]);
      const V a = hn::Sub(re[k], re[kHalf - k]), b = hn::Add(im[k], im[kHalf - k]);
      const Twiddle& w = kTwiddles<kPoints>[k];
      const V cosine = hn::Set(d, static_cast<float>(w.cosine));
      const V sine = hn::Set(d, static_cast<float>(w.cosine * w.tangent));
      const V turned_re = hn::MulAdd(sine, b, hn::Mul(cosine, a));
      const V turned_im = hn::NegMulAdd(sine, a, hn::Mul(cosine, b));
      odd_re[k] = w.quarter == 0 ? turned_re : hn::Neg(turned_im);
      odd_im[k] = w.quarter == 0 ? turned_im : turned_re;
    }
    even_re[kQuarter] = hn::Add(re[kQuarter], re[kQuarter]);
    odd_re[kQuarter] = hn::Neg(hn::Add(im[kQuarter], im[kQuarter]));
    inverse_real<kHalf, 2 * kStride>(d, even_re, even_im, x);
    inverse_real<kHalf, 2 * kStride>(d, odd_re, odd_im, x + kStride);
  }
}

// The tile between its two passes: for each of the vertical frequencies a row of real parts and one
// of imaginary parts. One vector more per frequency, lest a column's values share cache sets.
template <int kPoints>
inline constexpr int kMiddleRow = 2 * kPoints + 1;
template <int kPoints>
inline constexpr int kMiddleVectors = (kPoints / 2 + 1) * kMiddleRow<kPoints>;

// `inside`: all of the window exists, and a whole vector of channels.
template <int kPoints, class D>
HWY_INLINE void transform_window(D d, const InputTile& tile, bool inside, const float* source,
                                 int count, float* to) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr int kHalf = kPoints / 2;
  constexpr int kRow = kMiddleRow<kPoints> * kLanes, kImaginary = kPoints * kLanes;
  HWY_ALIGN float middle[kMiddleVectors<kPoints> * kLanes];
  HWY_ALIGN float copy[kPoints * kLanes];
  const std::int64_t stride = tile.transformed_stride;

  for (int j = 0; j < kPoints; ++j) {
    float* const column = middle + j * kLanes;
    V x[kPoints], re[kHalf + 1], im[kHalf + 1];
    const float* from = source + j * tile.column_stride;
    std::int64_t row_stride = tile.row_stride;
    if (!inside) {
      copy_column<kPoints>(d, tile, from, j, count, copy);
      from = copy;
      row_stride = kLanes;
    }
#pragma GCC unroll 32
    for (int i = 0; i < kPoints; ++i) x[i] = hn::LoadU(d, from + i * row_stride);
    fourier_real<kPoints, 1>(d, x, re, im);
    hn::Store(re[0], d, column);
#pragma GCC unroll 16
    for (int u = 1; u < kHalf; ++u) {
      hn::Store(re[u], d, column + u * kRow);
      hn::Store(im[u], d, column + u * kRow + kImaginary);
    }
    hn::Store(re[kHalf], d, column + kHalf * kRow);
  }

  const auto store = [&](V re, V im, float* at) HWY_ATTR {
    hn::StoreU(re, d, at);
    hn::StoreU(im, d, at + kGroup);
    hn::StoreU(hn::Add(re, im), d, at + 2 * kGroup);
  };
  for (int u = 1; u < kHalf; ++u) {
    const float* const row = middle + u * kRow;
    V x[kPoints], y[kPoints], re[kPoints], im[kPoints];
#pragma GCC unroll 32
    for (int j = 0; j < kPoints; ++j) {
      x[j] = hn::Load(d, row + j * kLanes);
      y[j] = hn::Load(d, row + kImaginary + j * kLanes);
    }
    fourier<kPoints, 1>(d, x, y, re, im);
    float* const first = to + first_pair(kPoints, u) * stride;
#pragma GCC unroll 32
    for (int v = 0; v < kPoints; ++v) store(re[v], im[v], first + v * stride);
  }
  for (int u = 0; u <= kHalf; u += kHalf) {
    const float* const row = middle + u * kRow;
    V x[kPoints], re[kHalf + 1], im[kHalf + 1];
#pragma GCC unroll 32
    for (int j = 0; j < kPoints; ++j) x[j] = hn::Load(d, row + j * kLanes);
    fourier_real<kPoints, 1>(d, x, re, im);
    float* const first = to + first_pair(kPoints, u) * stride;
#pragma GCC unroll 16
    for (int v = 1; v < kHalf; ++v) store(re[v], im[v], first + v * stride);
    store(re[0], re[kHalf], first);
  }
}

template <int kPoints, int kLanes>
void input_tile(const InputTile& tile) {
  const hn::CappedTag<float, kLanes> d;
  const bool inside = tile.is_inside(kPoints, kPoints);
  for_each_vector<kLanes>(tile, [&](int c, int count) HWY_ATTR {
    transform_window<kPoints>(d, tile, inside && count == kLanes, tile.source + c, count,
                              tile.transformed + c);
  });
}

template <int kPoints, class D>
HWY_INLINE void transform_pairs(D d, const OutputTile& tile, const float* from, const float* bias,
                                const Place<float>& place) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr int kHalf = kPoints / 2;
  constexpr int kRow = kMiddleRow<kPoints> * kLanes, kImaginary = kPoints * kLanes;
  HWY_ALIGN float middle[kMiddleVectors<kPoints> * kLanes];
  const std::int64_t stride = tile.transformed_stride;

  const auto load = [&](const float* at, V& re, V& im) HWY_ATTR {
    re = hn::LoadU(d, at);
    im = hn::LoadU(d, at + kGroup);
  };
  for (int u = 1; u < kHalf; ++u) {
    const float* const first = from + first_pair(kPoints, u) * stride;
    V x[kPoints], y[kPoints], re[kPoints], im[kPoints];
#pragma GCC unroll 32
    for (int v = 0; v < kPoints; ++v) load(first + v * stride, x[v], y[v]);
    fourier<kPoints, 1>(d, y, x, im, re);
    float* const row = middle + u * kRow;
#pragma GCC unroll 32
    for (int j = 0; j < kPoints; ++j) {
      if (j >= tile.columns) break;
      hn::Store(re[j], d, row + j * kLanes);
      hn::Store(im[j], d, row + kImaginary + j * kLanes);
    }
  }
  for (int u = 0; u <= kHalf; u += kHalf) {
    const float* const first = from + first_pair(kPoints, u) * stride;
    V x[kPoints], re[kHalf + 1], im[kHalf + 1];
    load(first, re[0], re[kHalf]);
#pragma GCC unroll 16
    for (int v = 1; v < kHalf; ++v) load(first + v * stride, re[v], im[v]);
    inverse_real<kPoints, 1>(d, re, im, x);
    float* const row = middle + u * kRow;
#pragma GCC unroll 32
    for (int j = 0; j < kPoints; ++j) {
      if (j >= tile.columns) break;
      hn::Store(x[j], d, row + j * kLanes);
    }
  }

  const V start = hn::LoadU(d, bias);
  for (int j = 0; j < tile.columns; ++j) {
    const float* const column = middle + j * kLanes;
    V x[kPoints], re[kHalf + 1], im[kHalf + 1];
    re[0] = hn::Load(d, column);
#pragma GCC unroll 16
    for (int u = 1; u < kHalf; ++u) {
      re[u] = hn::Load(d, column + u * kRow);
      im[u] = hn::Load(d, column + u * kRow + kImaginary);
    }
    re[kHalf] = hn::Load(d, column + kHalf * kRow);
    inverse_real<kPoints, 1>(d, re, im, x);
    store_column<false>(d, tile, place, j, x, start);
  }
}

template <int kPoints, int kLanes>
void output_tile(const OutputTile& tile) {
  const hn::CappedTag<float, kLanes> d;
  for_each_vector<kLanes>(tile, [&](int c, int count) HWY_ATTR {
    transform_pairs<kPoints>(d, tile, tile.transformed + c, tile.bias + c,
                             Place<float>(tile, c, count));
  });
}

template <int kPoints>
Transforms functions([[maybe_unused]] int channel_block) {
  constexpr int kLanes = static_cast<int>(HWY_LANES(float));
  if constexpr (kLanes > 8) {
    if (channel_block == 8) return {&input_tile<kPoints, 8>, &output_tile<kPoints, 8>};
  }
  return {&input_tile<kPoints, kLanes>, &output_tile<kPoints, kLanes>};
}

Transforms find_transforms(int points, int channel_block) {
  switch (points) {
    case 8:
      return functions<8>(channel_block);
    case 16:
      return functions<16>(channel_block);
    case 32:
      return functions<32>(channel_block);
    default:
      return {};
  }
}

}  // namespace convopt::fft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::fft {

CONVOPT_EXPORT(find_transforms);
Transforms transforms(Isa isa, int points, int channel_block) {
  return CONVOPT_DISPATCH(find_transforms, isa)(points, channel_block);
}

}  // namespace convopt::fft
#endif
