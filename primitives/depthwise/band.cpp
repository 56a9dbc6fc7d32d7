#include "primitives/depthwise/band.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/depthwise/band.cpp"
#include "primitives/simd.h"

#include "primitives/clamp-inl.h"
#include "primitives/tiles/tiles-inl.h"

#ifndef CONVOPT_DEPTHWISE_BAND_
#define CONVOPT_DEPTHWISE_BAND_
namespace convopt::depthwise {

using FloatBand = BasicBand<float, float>;

/// Code for kernels of 3, 5 and 7 columns by stride, 1 or 2, and for any.
template <class Source, class Destination>
struct Bands {
  BandFunction<Source, Destination> any, columns_3[2], columns_5[2], columns_7[2];
};

struct AllBands {
  Bands<float, float> f32;
  BandFunction<float, float> grouped, grouped_3[2];
  Bands<Bfloat16, Bfloat16> bf16;  ///< these where there are the instructions
  Bands<Bfloat16, float> bf16_f32;
};

}  // namespace convopt::depthwise
#endif  // CONVOPT_DEPTHWISE_BAND_

HWY_BEFORE_NAMESPACE();
namespace convopt::depthwise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using tiles::HWY_NAMESPACE::load_numbers;
using tiles::HWY_NAMESPACE::store_numbers;

/// Whole vectors of floats, whatever is in memory.
template <class D, class Number>
HWY_INLINE hn::Vec<D> load(D d, const Number* from) {
  return load_numbers(d, from, static_cast<int>(hn::MaxLanes(D())));
}
template <class D, class Number>
HWY_INLINE void store(D d, hn::Vec<D> value, Number* to) {
  store_numbers(d, value, to, static_cast<int>(hn::MaxLanes(D())));
}

// Never wider than a block of nChw8c asks for where `channels` says so; see compute().
template <int kLanes>
using Tag = hn::CappedTag<float, kLanes>;

/// A tile is as many neighbouring outputs in each of two rows with 32 registers, in one with 16:
/// the sums, the kernel's columns (for both rows) and one input must fit. Widths of common images
/// are multiples of 7. On Zen 5, two rows of 7 take 0.7 to 0.9 of the time of one row of 7 or 14,
/// whose 7 chains of dependent sums are too few to hide the end of one tile behind the next; with
/// 16 registers two rows of 4 lose against one of 7 or 8.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
inline constexpr bool kTwoRows = true;
#else
inline constexpr bool kTwoRows = false;
#endif

template <int kColumns>
constexpr int most_pixels() {
  if (kTwoRows) return 7;
  return kColumns == 7 ? 6 : 8;
}

/// Kernel rows that one output row reads inside the image.
template <class Source>
struct KernelRows {
  int first, last;      ///< of the kernel, those inside the image
  const Source* input;  ///< column 0 of what the first one reads
};

template <class Band>
HWY_INLINE KernelRows<typename Band::Input> kernel_rows(const Band& band, int row) {
  const int top = row * band.row_stride - band.top_padding;
  KernelRows<typename Band::Input> rows = {0, band.kernel_rows, nullptr};
  if (top < 0) rows.first = (-top + band.row_dilation - 1) / band.row_dilation;
  const int below = top + (band.kernel_rows - 1) * band.row_dilation - (band.input_rows - 1);
  if (below > 0) rows.last -= (below + band.row_dilation - 1) / band.row_dilation;
  if (rows.first >= rows.last) return {0, 0, band.input};
  rows.input = band.input + (top + rows.first * band.row_dilation) * band.input_row_step;
  return rows;
}

/// Bias is in the sums already; residual, clamp and store. Results of another type than float pass
/// through an activation that is no clamp before they are rounded.
template <class D, int kPixels, class Band>
HWY_INLINE void finish(D d, const Band& band, int row, int pixel, int channel,
                       hn::Vec<D> (&sum)[kPixels]) {
  auto* output =
      band.output + row * band.output_row_step + pixel * band.output_column_step + channel;
  const std::int64_t output_step = band.output_column_step;
  const auto low = hn::Set(d, band.low);
  const auto high = hn::Set(d, band.high);
  if (band.residual != nullptr) {
    const auto* add =
        band.residual + row * band.residual_row_step + pixel * band.residual_column_step + channel;
    const std::int64_t add_step = band.residual_column_step;
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      sum[p] = hn::Add(sum[p], load(d, add));
      add += add_step;
    }
  }
  if constexpr (!std::is_same_v<typename Band::Output, float>) {
    if (band.activate != nullptr) {
      constexpr auto kLanes = static_cast<int>(hn::MaxLanes(D()));
      HWY_ALIGN float values[kPixels * kLanes];
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) hn::Store(sum[p], d, values + p * kLanes);
      band.activate(*band.activation, ActivatedRows::in_place(values, kLanes, kPixels, kLanes));
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) sum[p] = hn::Load(d, values + p * kLanes);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    store(d, clamp(low, high, sum[p]), output);
    output += output_step;
  }
}

/// Applies an activation that is no clamp to neighbouring pixels of a row, for `channels` channels
/// as far as they exist.
template <class Band>
HWY_INLINE void activate(const Band& band, int row, int first_pixel, int pixels, int channel,
                         int channels) {
  if constexpr (std::is_same_v<typename Band::Output, float>) {
    if (band.activate == nullptr) return;
    channels = std::min(channels, band.existing - channel);
    if (channels <= 0) return;
    float* const first =
        band.output + row * band.output_row_step + first_pixel * band.output_column_step + channel;
    band.activate(*band.activation,
                  ActivatedRows::in_place(first, channels, pixels, band.output_column_step));
  }
}

/// Inputs [first, last) of a tile lie inside the image. Only the outermost columns of a tile may
/// lie in the padding; see band_function().
template <int kPixels, int kColumns, int kStride>
struct Inside {
  static constexpr int kInputs = (kPixels - 1) * kStride + kColumns;
  int first, last;

  bool operator()(int input) const {
    return (input >= kColumns - 1 || input >= first) &&
           (input <= kInputs - kColumns || input < last);
  }
};

/// Selects what the lanes multiply from a vector of inputs: depthwise, their own channel.
template <class D>
struct Own {
  HWY_INLINE hn::Vec<D> operator()(hn::Vec<D> inputs) const { return inputs; }
};
/// Selects one channel of their group, in groups of several channels.
template <class D>
struct OfGroup {
  decltype(hn::SetTableIndices(D(), static_cast<const std::int32_t*>(nullptr))) lanes;
  HWY_INLINE hn::Vec<D> operator()(hn::Vec<D> inputs) const {
    return hn::TableLookupLanes(inputs, lanes);
  }
};

template <bool kGrouped, class D, class Band>
HWY_INLINE auto selection([[maybe_unused]] D d, [[maybe_unused]] const Band& band,
                          [[maybe_unused]] int input) {
  if constexpr (kGrouped) {
    return OfGroup<D>{hn::SetTableIndices(d, band.spread + input * kUnit)};
  } else {
    return Own<D>();
  }
}

/// Adds the products of one row of inputs to two rows of outputs, or to one of them only. `select`
/// picks from a vector of inputs what each lane multiplies. `column` is the tile's first input,
/// weights are those of the kernel's row that the inputs are for the outputs.
template <bool kUpper, bool kLower, int kColumns, int kStride, class D, int kPixels, class Source,
          class Select>
HWY_INLINE void add_inputs(D d, hn::Vec<D> (&upper)[kPixels], hn::Vec<D> (&lower)[kPixels],
                           const Source* column, std::int64_t step, const float* upper_weights,
                           const float* lower_weights, Inside<kPixels, kColumns, kStride> inside,
                           Select select) {
  using V = hn::Vec<D>;
  constexpr int kInputs = Inside<kPixels, kColumns, kStride>::kInputs;
  V u[kColumns], l[kColumns];
#pragma GCC unroll 8
  for (int x = 0; x < kColumns; ++x) {
    if (kUpper) u[x] = hn::LoadU(d, upper_weights + x * kUnit);
    if (kLower) l[x] = hn::LoadU(d, lower_weights + x * kUnit);
  }
  const auto add = [&](V value, int p, int x) HWY_ATTR {
    if (kUpper) upper[p] = hn::MulAdd(value, u[x], upper[p]);
    if (kLower) lower[p] = hn::MulAdd(value, l[x], lower[p]);
  };
  // Launder the pointers below: otherwise GCC keeps multiples of `step` in all registers.
  constexpr bool kFewShared = kColumns < 2 * kStride && std::is_same_v<Select, Own<D>>;
  if constexpr (kFewShared && !kTwoRows) {
    // Every sum once in turn, so that none waits for the product before: at stride 2, 0.9 of the
    // time of the other order, which is as much better where more inputs are shared.
    constexpr int kTogether = 4;  // columns per pointer
    const Source* at[(kInputs + kTogether - 1) / kTogether];
#pragma GCC unroll 16
    for (auto& pointer : at) {
      pointer = column;
      asm("" : "+r"(pointer));
      column += kTogether * step;
    }
#pragma GCC unroll 8
    for (int x = 0; x < kColumns; ++x) {
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const int j = p * kStride + x;
        if (inside(j)) add(select(load(d, at[j / kTogether] + j % kTogether * step)), p, x);
      }
    }
    return;
  }
#pragma GCC unroll 64
  for (int j = 0; j < kInputs; ++j) {
    if (inside(j)) {
      const V value = select(load(d, column));
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
        const int x = j - p * kStride;
        if (0 <= x && x < kColumns) add(value, p, x);
      }
    }
    column += step;
    asm("" : "+r"(column));
  }
}

/// The same for all inputs of a group.
template <bool kUpper, bool kLower, int kColumns, int kStride, bool kGrouped, class D, int kPixels,
          class Band>
HWY_INLINE void add_row(D d, const Band& band, hn::Vec<D> (&upper)[kPixels],
                        hn::Vec<D> (&lower)[kPixels], const typename Band::Input* column,
                        const float* upper_weights, const float* lower_weights,
                        Inside<kPixels, kColumns, kStride> inside) {
  for (int i = 0; i < (kGrouped ? band.group : 1); ++i) {
    add_inputs<kUpper, kLower, kColumns, kStride>(d, upper, lower, column, band.input_column_step,
                                                  upper_weights, lower_weights, inside,
                                                  selection<kGrouped>(d, band, i));
    if (kUpper) upper_weights += kColumns * kUnit;
    if (kLower) lower_weights += kColumns * kUnit;
  }
}

/// The rows of inputs that one row of outputs reads, or two rows that share theirs: those that only
/// the upper outputs need come first, then those that both need, then those that only the lower
/// ones need. Row 0 is the first one that a kernel wholly inside the image would read.
template <class Source>
struct InputRows {
  bool two;
  int first, upper_last, both_last, lower_first, last;
  const Source* input;  ///< column 0 of row 0
  std::int64_t step;    ///< between rows
};

template <class Band>
HWY_INLINE InputRows<typename Band::Input> input_rows(const Band& band, int row) {
  const int stride = band.row_stride, taps = band.kernel_rows;
  const int top = row * stride - band.top_padding;
  InputRows<typename Band::Input> rows;
  rows.two = kTwoRows && band.row_dilation == 1 && row + 1 < band.last_row;
  rows.step = band.row_dilation * band.input_row_step;
  rows.input = band.input + top * band.input_row_step;
  if (rows.two) {
    rows.first = std::max(0, -top);
    rows.last = std::min(stride + taps, band.input_rows - top);
    rows.upper_last = std::min({stride, taps, rows.last});
    rows.both_last = std::min(taps, rows.last);
    rows.lower_first = std::max({stride, rows.first, rows.both_last});
  } else {
    const auto kernel = kernel_rows(band, row);
    rows.first = kernel.first;
    rows.upper_last = rows.both_last = rows.lower_first = rows.last = kernel.last;
  }
  return rows;
}

/// `repeat` neighbouring tiles of `kPixels` outputs in every row of the band, for all vectors of
/// channels before the next tile: they share cache lines of the image, which are gone from L1 by
/// then where pixels lie far apart.
template <class D, int kPixels, int kColumns, int kStride, bool kGrouped, bool kSeveral, class Band>
void tiles(const Band& band, int first_pixel, int repeat, int first_channel, int vector_count) {
  const D d;
  const int vectors = kSeveral ? vector_count : 1;
  using V = hn::Vec<D>;
  const std::int64_t row_weights = (kGrouped ? band.group : 1) * kColumns * kUnit;
  const std::int64_t step = band.input_column_step;
  using InsideTile = Inside<kPixels, kColumns, kStride>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  for (int row = band.first_row; row < band.last_row;) {
    const auto rows = input_rows(band, row);
    for (int i = 0; i < repeat; ++i) {
      const int pixel = first_pixel + i * kPixels;
      const int start = pixel * kStride - band.left_padding;
      const InsideTile inside = {-start, band.input_columns - start};
      int channel = first_channel;
      do {
        const float* const all_weights = band.weights + channel;
        const V bias = hn::LoadU(d, band.bias + channel);
        V upper[kPixels], lower[kPixels];
#pragma GCC unroll 16
        for (int p = 0; p < kPixels; ++p) upper[p] = lower[p] = bias;
        const auto* const inputs = rows.input + start * step + channel;
        const float* const lower_weights = all_weights - band.row_stride * row_weights;
        const auto* input = inputs + rows.first * rows.step;
        int y = rows.first;
        for (; y < rows.upper_last; ++y, input += rows.step) {
          const float* const weights = all_weights + y * row_weights;
          add_row<true, false, kColumns, kStride, kGrouped>(d, band, upper, lower, input, weights,
                                                            nullptr, inside);
        }
        if constexpr (kTwoRows) {
          for (; y < rows.both_last; ++y, input += rows.step) {
            add_row<true, true, kColumns, kStride, kGrouped>(
                d, band, upper, lower, input, all_weights + y * row_weights,
                lower_weights + y * row_weights, inside);
          }
          input = inputs + rows.lower_first * rows.step;
          for (y = rows.lower_first; y < rows.last; ++y, input += rows.step) {
            const float* const weights = lower_weights + y * row_weights;
            add_row<false, true, kColumns, kStride, kGrouped>(d, band, upper, lower, input, nullptr,
                                                              weights, inside);
          }
        }
        finish(d, band, row, pixel, channel, upper);
        if (kTwoRows && rows.two) finish(d, band, row + 1, pixel, channel, lower);
        channel += kLanes;
      } while (channel < first_channel + vectors * kLanes);
    }
    for (int i = 0; i < (rows.two ? 2 : 1); ++i) {
      activate(band, row + i, first_pixel, repeat * kPixels, first_channel, vectors * kLanes);
    }
    row += rows.two ? 2 : 1;
  }
}

/// The same for any kernel.
template <class D, int kPixels, bool kGrouped, class Band>
void any_tiles(const Band& band, int first_pixel, int repeat, int channel) {
  const D d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  using V = hn::Vec<D>;
  const std::int64_t pixel_step = band.column_stride * band.input_column_step;
  for (int row = band.first_row; row < band.last_row; ++row) {
    const auto rows = kernel_rows(band, row);
    for (int i = 0; i < repeat; ++i) {
      const int pixel = first_pixel + i * kPixels;
      V sum[kPixels];
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) sum[p] = hn::LoadU(d, band.bias + channel);
      const auto* input = rows.input + channel;
      const int group = kGrouped ? band.group : 1;
      const float* weights =
          band.weights + rows.first * group * band.kernel_columns * kUnit + channel;
      for (int y = rows.first; y < rows.last; ++y) {
        for (int g = 0; g < group; ++g) {
          const auto select = selection<kGrouped>(d, band, g);
          int start = pixel * band.column_stride - band.left_padding;
          for (int x = 0; x < band.kernel_columns; ++x) {
            const V w = hn::LoadU(d, weights);
            weights += kUnit;
            const auto* from = input + start * band.input_column_step;
            int column = start;
#pragma GCC unroll 16
            for (int p = 0; p < kPixels; ++p) {
              if (0 <= column && column < band.input_columns) {
                sum[p] = hn::MulAdd(select(load(d, from)), w, sum[p]);
              }
              from += pixel_step;
              column += band.column_stride;
            }
            start += band.column_dilation;
          }
        }
        input += band.row_dilation * band.input_row_step;
      }
      finish(d, band, row, pixel, channel, sum);
    }
    activate(band, row, first_pixel, repeat * kPixels, channel, kLanes);
  }
}

template <class Band>
using TilesFunction = void (*)(const Band& band, int first_pixel, int repeat, int first_channel,
                               int vectors);

template <class Band, class D, int kColumns, int kStride, bool kGrouped, bool kSeveral,
          int... kPixelsMinusOne>
TilesFunction<Band> tiles_function(int pixels, std::integer_sequence<int, kPixelsMinusOne...>) {
  static constexpr TilesFunction<Band> kFunctions[] = {
      &tiles<D, kPixelsMinusOne + 1, kColumns, kStride, kGrouped, kSeveral, Band>...};
  return kFunctions[pixels - 1];
}

/// All columns of the band for as many vectors of channels as there are whole ones from `channel`
/// on. Returns the first channel behind them.
template <class D, int kColumns, int kStride, bool kGrouped, class Band>
HWY_INLINE int vector_band(const Band& band, int channel) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  const int vectors = (band.channels - channel) / kLanes;
  if (vectors == 0) return channel;
  const int columns = band.output_columns;
  if constexpr (kColumns == 0) {
    constexpr int kPixels = 6;
    const int repeat = columns / kPixels;
    for (int v = 0; v < vectors; ++v) {
      const int first = channel + v * kLanes;
      if (repeat > 0) any_tiles<D, kPixels, kGrouped>(band, 0, repeat, first);
      if (columns % kPixels > 0) {
        any_tiles<D, 1, kGrouped>(band, repeat * kPixels, columns % kPixels, first);
      }
    }
  } else {
    constexpr int kMost = most_pixels<kColumns>();
    const auto call = [&](int first, int pixels, int repeat) {
      constexpr std::make_integer_sequence<int, kMost> kSizes;
      // One vector has code of its own, which is 5 % faster.
      auto* function = tiles_function<Band, D, kColumns, kStride, kGrouped, false>(pixels, kSizes);
      if constexpr (kLanes < kUnit) {
        if (vectors > 1)
          function = tiles_function<Band, D, kColumns, kStride, kGrouped, true>(pixels, kSizes);
      }
      function(band, first, repeat, channel, vectors);
    };
    // Evenly, larger ones first.
    const int count = (columns + kMost - 1) / kMost;
    const int small = columns / count;
    const int large = columns % count;
    if (large > 0) call(0, small + 1, large);
    call(large * (small + 1), small, count - large);
  }
  return channel + vectors * kLanes;
}

template <int kColumns, int kStride, bool kGrouped = false, class Band>
void compute(const Band& band) {
  constexpr int kMost = static_cast<int>(HWY_LANES(float));
  int channel = vector_band<Tag<kMost>, kColumns, kStride, kGrouped>(band, 0);
  if constexpr (kMost > 8) {  // one block of nChw8c
    channel = vector_band<Tag<8>, kColumns, kStride, kGrouped>(band, channel);
  }
  // The last channels of nhwc. Groups of several are never split.
  channel = vector_band<Tag<4>, 0, 0, kGrouped>(band, channel);
  if constexpr (!kGrouped) vector_band<Tag<1>, 0, 0, false>(band, channel);
}

template <bool kGrouped, int kColumns, class Source, class Destination>
void find_strides(BandFunction<Source, Destination> (&by_stride)[2]) {
  using Band = BasicBand<Source, Destination>;
  by_stride[0] = &compute<kColumns, 1, kGrouped, Band>;
  by_stride[1] = &compute<kColumns, 2, kGrouped, Band>;
}

template <class Source, class Destination>
void find_bands(Bands<Source, Destination>& bands) {
  using Band = BasicBand<Source, Destination>;
  bands.any = &compute<0, 0, false, Band>;
  find_strides<false, 3>(bands.columns_3);
  find_strides<false, 5>(bands.columns_5);
  find_strides<false, 7>(bands.columns_7);
}

void find_all_bands(AllBands& bands) {
  find_bands(bands.f32);
  bands.grouped = &compute<0, 0, true, FloatBand>;
  find_strides<true, 3>(bands.grouped_3);
#if HWY_TARGET == HWY_AVX3
  find_bands(bands.bf16);
  find_bands(bands.bf16_f32);
#endif
}

}  // namespace convopt::depthwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::depthwise {

CONVOPT_EXPORT(find_all_bands);

namespace {

const Bands<float, float>& of_types(const AllBands& all, const Bands<float, float>&) {
  return all.f32;
}
const Bands<Bfloat16, Bfloat16>& of_types(const AllBands& all, const Bands<Bfloat16, Bfloat16>&) {
  return all.bf16;
}
const Bands<Bfloat16, float>& of_types(const AllBands& all, const Bands<Bfloat16, float>&) {
  return all.bf16_f32;
}

}  // namespace

template <class Source, class Destination>
BandFunction<Source, Destination> band_function(Isa isa, const ConvShape& shape) {
  AllBands all{};
  CONVOPT_DISPATCH(find_all_bands, isa)(all);
  const Bands<Source, Destination>& bands = of_types(all, Bands<Source, Destination>());
  const int stride = shape.stride_w;
  // Every output then has a column inside the image.
  const int last = (shape.ow() - 1) * stride - shape.pad_left;
  const bool special = shape.pad_left < shape.kw && last < shape.iw && shape.dilation_w == 1 &&
                       (stride == 1 || stride == 2);
  if constexpr (std::is_same_v<Source, float>) {
    if (!shape.is_depthwise())
      return special && shape.kw == 3 ? all.grouped_3[stride - 1] : all.grouped;
  }
  if (special && shape.kw == 3) return bands.columns_3[stride - 1];
  if (special && shape.kw == 5) return bands.columns_5[stride - 1];
  if (special && shape.kw == 7) return bands.columns_7[stride - 1];
  return bands.any;
}

template BandFunction<float, float> band_function(Isa isa, const ConvShape& shape);
template BandFunction<Bfloat16, Bfloat16> band_function(Isa isa, const ConvShape& shape);
template BandFunction<Bfloat16, float> band_function(Isa isa, const ConvShape& shape);

}  // namespace convopt::depthwise
#endif
