// Windows are separable: the rows of a window are combined once per column of the image, and the
// results, which stay in L1, once per output. A window of k x k so takes about 2k loads instead of
// k * k.
#include "primitives/pooling/row.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/pooling/row.cpp"
#include "primitives/simd.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::pooling::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Index = std::int64_t;

struct Maximum {
  static constexpr bool kDivides = false;
  static constexpr float kNeutral = -std::numeric_limits<float>::infinity();
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Max(a, b);
  }
};
struct Sum {
  static constexpr bool kDivides = true;
  static constexpr float kNeutral = 0;
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};

/// Calls `body` with a count that the compiler knows where it is that of most networks.
template <class Body>
HWY_INLINE void with_count(int count, const Body& body) {
  switch (count) {
    case 2:
      return body(std::integral_constant<int, 2>());
    case 3:
      return body(std::integral_constant<int, 3>());
    default:
      return body(count);
  }
}

/// Columns of the image [first, last) that the windows of a few neighbouring outputs reach; some
/// may be padding.
struct Columns {
  Columns(const Row& row, int output, int outputs)
      : first(output * row.column_stride - row.left_padding),
        last(first + (outputs - 1) * row.column_stride + row.window_columns) {}
  int first, last;
};

/// Columns that are combined at a time, which leaves most of L1 to the image: at most 16 KB.
constexpr int kVectorColumns = 64, kFloatColumns = 1024;

/// Outputs whose windows reach `columns` columns; 1 if not even that one fits.
HWY_INLINE int outputs_within(const Row& row, int columns) {
  return std::max(1, (columns - row.window_columns) / row.column_stride + 1);
}

/// Results [output, output + outputs) for `kVectors` vectors of channels: neighbouring cache lines
/// of every pixel, since pixels may lie so far apart that few of them fit into L1 together.
template <int kVectors, class D, class Combine>
HWY_INLINE void pixels(D d, const Row& row, int output, int outputs, int channel) {
  using V = hn::Vec<D>;
  constexpr Index kLanes = hn::MaxLanes(D()), kWidth = kVectors * kLanes;
  constexpr Combine combine;
  HWY_ALIGN float combined[kVectorColumns * kWidth];
  const auto fill = [&](V(&values)[kVectors], V value) HWY_ATTR {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) values[v] = value;
  };
  const auto add = [&](V(&values)[kVectors], const float* from) HWY_ATTR {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      values[v] = combine(values[v], hn::LoadU(d, from + v * kLanes));
    }
  };
  const V neutral = hn::Set(d, Combine::kNeutral);
  const float* const input = row.input + channel;
  const Columns reached(row, output, outputs);
  const bool is_wide = reached.last - reached.first > kVectorColumns;
  V wide[kVectors];  // of a window of more columns than are combined at a time
  fill(wide, neutral);
  for (int first = reached.first; first < reached.last; first += kVectorColumns) {
    const int last = std::min(first + kVectorColumns, reached.last);
    with_count(row.window_rows, [&](auto rows) HWY_ATTR {
      float* to = combined;
      for (int column = first; column < last; ++column, to += kWidth) {
        V values[kVectors];
        fill(values, neutral);
        if (0 <= column && column < row.input_columns) {
          const float* from = input + column * row.input_column_stride;
          for (int y = 0; y < rows; ++y, from += row.input_row_stride) add(values, from);
        }
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) hn::Store(values[v], d, to + v * kLanes);
      }
    });
    if (is_wide) {
      for (int x = 0; x < last - first; ++x) add(wide, combined + x * kWidth);
    }
  }
  with_count(row.window_columns, [&](auto columns) HWY_ATTR {
    float* to = row.output + output * row.output_column_stride + channel;
    for (int p = 0; p < outputs; ++p, to += row.output_column_stride) {
      V values[kVectors];
      std::copy_n(wide, kVectors, values);
      if (!is_wide) {
        const float* from = combined + p * row.column_stride * kWidth;
        for (int x = 0; x < columns; ++x, from += kWidth) add(values, from);
      }
      if constexpr (Combine::kDivides) {
        const V factor = hn::Set(d, 1.0F / (row.divisor_rows * row.divisor_columns[output + p]));
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) values[v] = hn::Mul(values[v], factor);
      }
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) hn::StoreU(values[v], d, to + v * kLanes);
    }
  });
}

template <class Combine>
void channels_last(const Row& row) {
  constexpr int kLanes = HWY_LANES(float);
  const int together = outputs_within(row, kVectorColumns);
  for (int output = 0; output < row.output_columns; output += together) {
    const int outputs = std::min(together, row.output_columns - output);
    int channel = 0;
    const auto vectors = [&](auto d, auto count) HWY_ATTR {
      constexpr int kWidth = count * static_cast<int>(hn::MaxLanes(decltype(d)()));
      for (; channel + kWidth <= row.channels; channel += kWidth) {
        pixels<count, decltype(d), Combine>(d, row, output, outputs, channel);
      }
    };
    const hn::CappedTag<float, kLanes> whole;
    constexpr std::integral_constant<int, 1> kOne;
    vectors(whole, std::integral_constant<int, 4>());
    vectors(whole, std::integral_constant<int, 2>());
    vectors(whole, kOne);
    if (channel < row.channels && row.channels > kLanes) {
      channel = row.channels - kLanes;  // some channels twice rather than in shorter vectors
      vectors(whole, kOne);
    }
    if constexpr (kLanes > 8) vectors(hn::CappedTag<float, 8>(), kOne);
    if constexpr (kLanes > 4) vectors(hn::CappedTag<float, 4>(), kOne);
    vectors(hn::CappedTag<float, 1>(), kOne);
  }
}

/// Combines the rows of columns [first, last) into `combined`, whole vectors of it.
template <class D, class Combine>
HWY_INLINE void combine_rows(D d, const Row& row, int first, int last, float* combined) {
  using V = hn::Vec<D>;
  constexpr int kLanes = hn::MaxLanes(D());
  constexpr Combine combine;
  const V neutral = hn::Set(d, Combine::kNeutral);
  const int inside = std::clamp(0, first, last);
  const int beyond = std::clamp(row.input_columns, inside, last);
  for (int x = 0; x < inside - first; x += kLanes) hn::StoreU(neutral, d, combined + x);
  const auto combine_at = [&](auto tag, int column) HWY_ATTR {
    auto value = hn::Set(tag, Combine::kNeutral);
    const float* from = row.input + column;
    for (int y = 0; y < row.window_rows; ++y, from += row.input_row_stride) {
      value = combine(value, hn::LoadU(tag, from));
    }
    hn::StoreU(value, tag, combined + (column - first));
  };
  int column = inside;
  for (; column + kLanes <= beyond; column += kLanes) combine_at(d, column);
  if (column < beyond && beyond - inside > kLanes) {
    combine_at(d, beyond - kLanes);
  } else {
    for (; column < beyond; ++column) combine_at(hn::CappedTag<float, 1>(), column);
  }
  for (int x = beyond - first; x < last - first; x += kLanes) {
    hn::StoreU(neutral, d, combined + x);
  }
}

/// Combines `window` neighbours of each of a vector's first columns, which lie `kStride` apart.
template <int kStride, class D, class Combine>
HWY_INLINE hn::Vec<D> combine_columns(D d, const float* from, int window, Combine combine) {
  auto value = hn::Set(d, Combine::kNeutral);
  if constexpr (kStride == 1) {
    for (int x = 0; x < window; ++x) value = combine(value, hn::LoadU(d, from + x));
  } else {
    for (int x = 0; x < window; x += 2) {
      hn::Vec<D> even, odd;
      hn::LoadInterleaved2(d, from + x, even, odd);
      value = combine(value, even);
      if (x + 1 < window) value = combine(value, odd);
    }
  }
  return value;
}

template <class Combine>
void planar(const Row& row) {
  const hn::CappedTag<float, HWY_LANES(float)> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int kLanes = HWY_LANES(float);
  constexpr Combine combine;
  // Vectors are stored and read beyond the last column.
  HWY_ALIGN float combined[kFloatColumns + 4 * kLanes];
  const int together = outputs_within(row, kFloatColumns);
  for (int output = 0; output < row.output_columns; output += together) {
    const int outputs = std::min(together, row.output_columns - output);
    const Columns reached(row, output, outputs);
    float* const to = row.output + output;
    const auto divisor = [&](int p) { return row.divisor_rows * row.divisor_columns[output + p]; };
    if (reached.last - reached.first > kFloatColumns) {
      float wide = Combine::kNeutral;
      for (int first = reached.first; first < reached.last; first += kFloatColumns) {
        const int last = std::min(first + kFloatColumns, reached.last);
        combine_rows<decltype(d), Combine>(d, row, first, last, combined);
        for (int x = 0; x < last - first; ++x) {
          wide = Combine::kDivides ? wide + combined[x] : std::max(wide, combined[x]);
        }
      }
      *to = Combine::kDivides ? wide / divisor(0) : wide;
      continue;
    }
    combine_rows<decltype(d), Combine>(d, row, reached.first, reached.last, combined);
    if (row.column_stride > 2) {
      for (int p = 0; p < outputs; ++p) {
        const float* const from = combined + p * row.column_stride;
        float value = Combine::kNeutral;
        for (int x = 0; x < row.window_columns; ++x) {
          value = Combine::kDivides ? value + from[x] : std::max(value, from[x]);
        }
        to[p] = Combine::kDivides ? value / divisor(p) : value;
      }
      continue;
    }
    for (int p = 0; p < outputs; p += kLanes) {
      V value = row.column_stride == 1
                    ? combine_columns<1>(d, combined + p, row.window_columns, combine)
                    : combine_columns<2>(d, combined + 2 * p, row.window_columns, combine);
      if constexpr (Combine::kDivides) {
        const V columns = hn::LoadU(d, row.divisor_columns + output + p);
        value = hn::Div(value, hn::Mul(hn::Set(d, row.divisor_rows), columns));
      }
      if (p + kLanes <= outputs) {
        hn::StoreU(value, d, to + p);
      } else {
        HWY_ALIGN float last[kLanes];
        hn::Store(value, d, last);
        std::copy_n(last, outputs - p, to + p);
      }
    }
  }
}

RowFunctions maximum() { return {&channels_last<Maximum>, &planar<Maximum>}; }
RowFunctions average() { return {&channels_last<Sum>, &planar<Sum>}; }

}  // namespace convopt::pooling::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::pooling {

CONVOPT_EXPORT(maximum);
CONVOPT_EXPORT(average);

RowFunctions maximum_functions(Isa isa) { return CONVOPT_DISPATCH(maximum, isa)(); }
RowFunctions average_functions(Isa isa) { return CONVOPT_DISPATCH(average, isa)(); }

}  // namespace convopt::pooling
#endif
