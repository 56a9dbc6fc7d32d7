// Loading windows and storing results, for the transforms' own vectors. Included once per
// instruction set, from inside files that include simd.h.
#if defined(CONVOPT_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_TILES_INL_H_
#undef CONVOPT_TILES_INL_H_
#else
#define CONVOPT_TILES_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "primitives/clamp-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/tiles/tiles.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::tiles::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using convopt::HWY_NAMESPACE::load_partial;
using convopt::HWY_NAMESPACE::store_partial;

/// Calls body(first, count) for the channels of a tile, a vector of them at a time.
template <int kLanes, class Tile, class Body>
HWY_INLINE void for_each_vector(const Tile& tile, const Body& body) {
  for (int c = 0; c < tile.channels; c += kLanes) body(c, std::min(kLanes, tile.channels - c));
}

/// Whole vectors, or the first `count` numbers of one; nothing beyond these is touched.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_some(D d, const T* from, int count) {
  return count == static_cast<int>(hn::MaxLanes(D())) ? hn::LoadU(d, from)
                                                      : load_partial(d, from, count);
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_some(D d, hn::Vec<D> value, T* to, int count) {
  if (count == static_cast<int>(hn::MaxLanes(D()))) {
    hn::StoreU(value, d, to);
  } else {
    store_partial(d, value, to, count);
  }
}

/// A vector of floats from as many numbers of any type, zeros beyond `count`; and back.
template <class D>
HWY_INLINE hn::Vec<D> load_numbers(D d, const float* from, int count) {
  return load_some(d, from, count);
}
template <class D>
HWY_INLINE void store_numbers(D d, hn::Vec<D> value, float* to, int count) {
  store_some(d, value, to, count);
}

#if HWY_TARGET == HWY_AVX3
template <class D>
HWY_INLINE hn::Vec<D> load_numbers(D d, const Bfloat16* from, int count) {
  const hn::Rebind<Bfloat16, D> narrow;
  const hn::Rebind<std::uint32_t, D> wide;
  const auto bits = load_some(narrow, from, count);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, bits)));
}
template <class D, class Byte>
HWY_INLINE hn::Vec<D> load_bytes(D d, const Byte* from, int count) {
  const hn::Rebind<Byte, D> narrow;
  const hn::Rebind<std::int32_t, D> wide;
  return hn::ConvertTo(d, hn::PromoteTo(wide, load_some(narrow, from, count)));
}
template <class D>
HWY_INLINE hn::Vec<D> load_numbers(D d, const std::uint8_t* from, int count) {
  return load_bytes(d, from, count);
}
template <class D>
HWY_INLINE hn::Vec<D> load_numbers(D d, const std::int8_t* from, int count) {
  return load_bytes(d, from, count);
}

/// Rounds by the instruction of AVX512_BF16, which Highway 1.0.3 does not have.
template <class D>
HWY_INLINE void store_numbers(D d, hn::Vec<D> value, Bfloat16* to, int count) {
  const hn::Rebind<Bfloat16, D> narrow;
  hn::Vec<decltype(narrow)> rounded;
  asm("vcvtneps2bf16 %1, %0" : "=v"(rounded.raw) : "v"(value.raw));
  store_some(narrow, rounded, to, count);
}
/// Of values within the type's limits.
template <class D, class Byte>
HWY_INLINE void store_bytes(D /*d*/, hn::Vec<D> value, Byte* to, int count) {
  const hn::Rebind<Byte, D> narrow;
  store_some(narrow, hn::DemoteTo(narrow, hn::NearestInt(value)), to, count);
}
template <class D>
HWY_INLINE void store_numbers(D d, hn::Vec<D> value, std::uint8_t* to, int count) {
  store_bytes(d, value, to, count);
}
template <class D>
HWY_INLINE void store_numbers(D d, hn::Vec<D> value, std::int8_t* to, int count) {
  store_bytes(d, value, to, count);
}
#endif

/// Pixels as the real numbers, or whole steps, that they stand for.
template <class D, class Number>
HWY_INLINE hn::Vec<D> load_pixels(D d, const BasicInputTile<Number>& tile, const Number* from,
                                  int count) {
  const auto x = load_numbers(d, from, count);
  if constexpr (std::is_same_v<Number, std::uint8_t>)
    return hn::Sub(x, hn::Set(d, tile.zero_point));
  return x;
}

/// Copies column `column` of a window that lies partly outside the image or is no whole vector of
/// channels: whole vectors without gaps, zeros where nothing exists.
template <int kRows, class D, class Number>
HWY_INLINE void copy_column(D d, const BasicInputTile<Number>& tile, const Number* from, int column,
                            int count, float* to) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  const bool exists = column >= tile.column_begin && column < tile.column_end;
#pragma GCC unroll 1
  for (int i = 0; i < kRows; ++i) {
    auto x = hn::Zero(d);
    if (exists && i >= tile.row_begin && i < tile.row_end) {
      x = load_pixels(d, tile, from + i * tile.row_stride, count);
    }
    hn::Store(x, d, to + i * kLanes);
  }
}

/// Destination of a vector of channels of a tile, and what is added to it.
template <class Number>
struct Place {
  Number* destination;
  const Number* residual;  ///< null: none
  int count;               ///< channels that exist

  Place(const BasicOutputTile<Number>& tile, int channel, int channels)
      : destination(tile.destination + channel),
        residual(tile.residual != nullptr ? tile.residual + channel : nullptr),
        count(channels) {}
};

/// Adds bias and residual to a column of results, applies the activation and stores it.
template <bool kFetchNext, class D, int kRows, class Number>
HWY_INLINE void store_column(D d, const BasicOutputTile<Number>& tile, const Place<Number>& place,
                             int column, const hn::Vec<D> (&y)[kRows], hn::Vec<D> bias) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  const Number* const residual = place.residual;
  const int count = place.count;
  Number* const to = place.destination + column * tile.column_stride;
  const Number* const add =
      residual + (residual != nullptr ? column * tile.residual_column_stride : 0);
#pragma GCC unroll 32
  for (int i = 0; i < kRows; ++i) {
    if (i >= tile.rows) break;
    auto value = hn::Add(y[i], bias);
    if (residual != nullptr) {
      const Number* const from = add + i * tile.residual_row_stride;
      if constexpr (sizeof(Number) == 1) {
        using Other = std::conditional_t<std::is_signed_v<Number>, std::uint8_t, std::int8_t>;
        const auto x = tile.residual_is_other
                           ? load_numbers(d, reinterpret_cast<const Other*>(from), count)
                           : load_numbers(d, from, count);
        value = hn::MulAdd(x, hn::Set(d, tile.residual_scale), value);
      } else {
        value = hn::Add(value, load_numbers(d, from, count));
      }
    }
    if constexpr (!std::is_same_v<Number, float>) {
      if (tile.activate != nullptr) {
        HWY_ALIGN float values[kLanes];
        hn::Store(value, d, values);
        tile.activate(*tile.activation, values, kLanes);
        value = hn::Load(d, values);
        if constexpr (sizeof(Number) == 1)
          value = hn::MulAdd(value, hn::Set(d, tile.steps), hn::Set(d, tile.zero_point));
      }
    }
    if (tile.clamp) {
      value = clamp(hn::Set(d, tile.low), hn::Set(d, tile.high), value);
    }
    Number* const at = to + i * tile.row_stride;
    if constexpr (kFetchNext) __builtin_prefetch(at + tile.next_distance);
    store_numbers(d, value, at, count);
  }
}

}  // namespace convopt::tiles::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
