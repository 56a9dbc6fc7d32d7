#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/winograd/transforms.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <array>

#include "primitives/tiles/tiles-inl.h"
#include "primitives/winograd/cook_toom.h"
#include "primitives/winograd/transforms.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::winograd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tiles::HWY_NAMESPACE::copy_column;
using tiles::HWY_NAMESPACE::for_each_vector;
using tiles::HWY_NAMESPACE::load_pixels;
using tiles::HWY_NAMESPACE::Place;
using tiles::HWY_NAMESPACE::store_column;
using tiles::HWY_NAMESPACE::store_numbers;

// B^T of any algorithm with this many products.
template <int kProducts>
inline constexpr CookToom<kProducts - 2, 3> kInput{};
template <int kOutputs, int kTaps>
inline constexpr CookToom<kOutputs, kTaps> kOutput{};

// sum + coefficient * x, where everything but x is known at compile time once loops are unrolled.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V add_scaled(D d, bool& any, V sum, double coefficient, V x) {
  if (coefficient == 0) return sum;
  const bool first = !any;
  any = true;
  if (coefficient == 1) return first ? x : hn::Add(sum, x);
  if (coefficient == -1 && !first) return hn::Sub(sum, x);
  const V factor = hn::Set(d, static_cast<float>(coefficient));
  return first ? hn::Mul(factor, x) : hn::MulAdd(factor, x, sum);
}

// B^T x. Rows of a pair of points +a, -a have the same even coefficients and opposite odd ones, so
// both come from one even and one odd sum. Sums run downwards: the leading coefficient of the even
// ones is 1.
template <int kProducts, class D, class V>
HWY_INLINE void transform_input(D d, const V (&x)[kProducts], V (&y)[kProducts]) {
  if constexpr (kProducts == 1) {
    y[0] = x[0];
  } else {
    constexpr auto& kMatrix = kInput<kProducts>.input;
    const auto half = [&](int row, int last) HWY_ATTR {
      V sum = hn::Zero(d);
      bool any = false;
#pragma GCC unroll 16
      for (int i = last; i >= 0; i -= 2) sum = add_scaled(d, any, sum, kMatrix[row][i], x[i]);
      return sum;
    };
    // Zero is a point where the number of finite ones is odd.
    constexpr int kFirst = kProducts % 2 == 0 ? 1 : 0;
    if constexpr (kFirst == 1) y[0] = half(0, kProducts - 2);
#pragma GCC unroll 16
    for (int j = kFirst; j < kProducts - 1; j += 2) {
      const V even = half(j, kProducts - 2);
      const V odd = half(j, kProducts - 3);
      y[j] = hn::Add(even, odd);
      y[j + 1] = hn::Sub(even, odd);
    }
    y[kProducts - 1] = half(kProducts - 1, kProducts - 1);
  }
}

// A^T x, again by pairs: even powers of +a and -a agree, odd ones are opposite.
template <int kOutputs, int kTaps, class D, class V>
HWY_INLINE void transform_output(D d, const V (&x)[kOutputs + kTaps - 1], V (&y)[kOutputs]) {
  constexpr int kProducts = kOutputs + kTaps - 1;
  if constexpr (kProducts == 1) {
    y[0] = x[0];
  } else {
    constexpr auto& kMatrix = kOutput<kOutputs, kTaps>.output;
    constexpr int kFirst = kProducts % 2 == 0 ? 1 : 0;
    constexpr int kPairs = (kProducts - 1) / 2;
    V sum[kPairs], difference[kPairs];
#pragma GCC unroll 16
    for (int p = 0; p < kPairs; ++p) {
      sum[p] = hn::Add(x[2 * p + kFirst], x[2 * p + kFirst + 1]);
      difference[p] = hn::Sub(x[2 * p + kFirst], x[2 * p + kFirst + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) {
      bool any = false;
      V result = x[0];
      if constexpr (kFirst == 1) result = add_scaled(d, any, result, kMatrix[i][0], x[0]);
#pragma GCC unroll 16
      for (int p = 0; p < kPairs; ++p) {
        result = add_scaled(d, any, result, kMatrix[i][2 * p + kFirst],
                            i % 2 == 0 ? sum[p] : difference[p]);
      }
      y[i] = add_scaled(d, any, result, kMatrix[i][kProducts - 1], x[kProducts - 1]);
    }
  }
}

// The window of one vector of channels. `inside`: all of it exists.
template <int kH, int kW, class D, class Number>
HWY_INLINE void transform_window(D d, const BasicInputTile<Number>& tile, bool inside,
                                 const Number* source, int count,
                                 typename BasicInputTile<Number>::Transformed* products) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  HWY_ALIGN float copy[kH * kLanes];
  V middle[kH][kW];
  for (int j = 0; j < kW; ++j) {
    V x[kH], y[kH];
    const Number* column = source + j * tile.column_stride;
    if (inside) {
#pragma GCC unroll 16
      for (int i = 0; i < kH; ++i)
        x[i] = load_pixels(d, tile, column + i * tile.row_stride, kLanes);
    } else {
      copy_column<kH>(d, tile, column, j, count, copy);
#pragma GCC unroll 16
      for (int i = 0; i < kH; ++i) x[i] = hn::Load(d, copy + i * kLanes);
    }
    transform_input<kH>(d, x, y);
#pragma GCC unroll 16
    for (int i = 0; i < kH; ++i) middle[i][j] = y[i];
  }
  for (int i = 0; i < kH; ++i) {
    V x[kW], y[kW];
#pragma GCC unroll 16
    for (int j = 0; j < kW; ++j) x[j] = middle[i][j];
    transform_input<kW>(d, x, y);
    auto* const to = products + i * kW * tile.transformed_stride;
#pragma GCC unroll 16
    for (int j = 0; j < kW; ++j) store_numbers(d, y[j], to + j * tile.transformed_stride, kLanes);
  }
}

template <int kH, int kW, int kLanes, class Number>
void input_tile(const BasicInputTile<Number>& tile) {
  const hn::CappedTag<float, kLanes> d;
  const bool inside = tile.is_inside(kH, kW);
  for_each_vector<kLanes>(tile, [&](int c, int count) HWY_ATTR {
    transform_window<kH, kW>(d, tile, inside && count == kLanes, tile.source + c, count,
                             tile.transformed + c);
  });
}

template <int kOutputsH, int kOutputsW, int kTapsH, int kTapsW, class D, class Number>
HWY_INLINE void transform_results(D d, const BasicOutputTile<Number>& tile, const float* products,
                                  const float* bias, const Place<Number>& place) {
  using V = hn::Vec<D>;
  constexpr int kH = kOutputsH + kTapsH - 1, kW = kOutputsW + kTapsW - 1;
  V middle[kH][kOutputsW];
  for (int i = 0; i < kH; ++i) {
    V x[kW], y[kOutputsW];
#pragma GCC unroll 16
    for (int j = 0; j < kW; ++j) {
      x[j] = hn::LoadU(d, products + (i * kW + j) * tile.transformed_stride);
    }
    transform_output<kOutputsW, kTapsW>(d, x, y);
#pragma GCC unroll 16
    for (int j = 0; j < kOutputsW; ++j) middle[i][j] = y[j];
  }
  const V start = hn::LoadU(d, bias);
  // A store of this loop moves along a row: what a core fetches ahead of it belongs to the next
  // tile. Along a column it would be rows of tiles that another thread may be writing.
  for (int j = 0; j < tile.columns; ++j) {
    V x[kH], y[kOutputsH];
#pragma GCC unroll 16
    for (int i = 0; i < kH; ++i) x[i] = middle[i][j];
    transform_output<kOutputsH, kTapsH>(d, x, y);
    store_column<true>(d, tile, place, j, y, start);
  }
}

template <int kOutputsH, int kOutputsW, int kTapsH, int kTapsW, int kLanes, class Number>
void output_tile(const BasicOutputTile<Number>& tile) {
  const hn::CappedTag<float, kLanes> d;
  for_each_vector<kLanes>(tile, [&](int c, int count) HWY_ATTR {
    transform_results<kOutputsH, kOutputsW, kTapsH, kTapsW>(
        d, tile, tile.transformed + c, tile.bias + c, Place<Number>(tile, c, count));
  });
}

template <int kOutputsH, int kOutputsW, int kTapsH, int kTapsW, int kLanes>
Transforms functions_of() {
  constexpr int kH = kOutputsH + kTapsH - 1, kW = kOutputsW + kTapsW - 1;
  Transforms result;
  const auto set = [&]<class Number>(TileFunctions<Number>& functions) {
    functions.input = &input_tile<kH, kW, kLanes, Number>;
    functions.output = &output_tile<kOutputsH, kOutputsW, kTapsH, kTapsW, kLanes, Number>;
  };
  set(result.of_f32);
#if HWY_TARGET == HWY_AVX3
  // Tiles of more products lose what bf16 has of digits.
  if constexpr (kLanes == static_cast<int>(HWY_LANES(float)) && kH * kW <= 36) {
    set(result.of_bf16);
    if constexpr (kOutputsH == 4 && kOutputsW == 4) {
      set(result.of_u8);
      set(result.of_s8);
    }
  }
#endif
  return result;
}

template <int kOutputsH, int kOutputsW, int kTapsH, int kTapsW>
Transforms functions([[maybe_unused]] int channel_block) {
  constexpr int kLanes = static_cast<int>(HWY_LANES(float));
  if constexpr (kLanes > 8) {
    if (channel_block == 8) return functions_of<kOutputsH, kOutputsW, kTapsH, kTapsW, 8>();
  }
  return functions_of<kOutputsH, kOutputsW, kTapsH, kTapsW, kLanes>();
}

Transforms find_transforms(const Variant& variant, int channel_block) {
#define CONVOPT_WINOGRAD_VARIANT(outputs_h, outputs_w, taps_h, taps_w)     \
  if (variant == Variant{outputs_h, outputs_w, taps_h, taps_w}) {          \
    return functions<outputs_h, outputs_w, taps_h, taps_w>(channel_block); \
  }
#include "primitives/winograd/variants.inc"
#undef CONVOPT_WINOGRAD_VARIANT
  return {};
}

}  // namespace convopt::winograd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::winograd {
namespace {

CONVOPT_EXPORT(find_transforms);

template <int kOutputsH, int kOutputsW, int kTapsH, int kTapsW>
void transform_filter(const float* filter, double* products) {
  constexpr auto kRows = CookToom<kOutputsH, kTapsH>().filter;
  constexpr auto kColumns = CookToom<kOutputsW, kTapsW>().filter;
  for (const auto& row : kRows) {
    std::array<double, kTapsW> middle{};
    for (int i = 0; i < kTapsH; ++i) {
      for (int j = 0; j < kTapsW; ++j) middle[j] += row[i] * filter[i * kTapsW + j];
    }
    for (const auto& column : kColumns) {
      double sum = 0;
      for (int j = 0; j < kTapsW; ++j) sum += column[j] * middle[j];
      *products++ = sum;
    }
  }
}

}  // namespace

Transforms transforms(Isa isa, const Variant& variant, int channel_block) {
  Transforms result = CONVOPT_DISPATCH(find_transforms, isa)(variant, channel_block);
#define CONVOPT_WINOGRAD_VARIANT(outputs_h, outputs_w, taps_h, taps_w)       \
  if (variant == Variant{outputs_h, outputs_w, taps_h, taps_w}) {            \
    result.filter = &transform_filter<outputs_h, outputs_w, taps_h, taps_w>; \
  }
#include "primitives/winograd/variants.inc"
#undef CONVOPT_WINOGRAD_VARIANT
  return result;
}

}  // namespace convopt::winograd
#endif
