// Loading windows and storing results, for the transforms' own vectors. Included once per
// instruction set, from inside files that include simd.h.
#if defined(CONVOPT_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_TILES_INL_H_
#undef CONVOPT_TILES_INL_H_
#else
#define CONVOPT_TILES_INL_H_
#endif

#include <algorithm>

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

/// Copies column `column` of a window that lies partly outside the image or is no whole vector of
/// channels: whole vectors without gaps, zeros where nothing exists.
template <int kRows, class D>
HWY_INLINE void copy_column(D d, const InputTile& tile, const float* from, int column, int count,
                            float* to) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  const bool exists = column >= tile.column_begin && column < tile.column_end;
#pragma GCC unroll 1
  for (int i = 0; i < kRows; ++i) {
    auto x = hn::Zero(d);
    if (exists && i >= tile.row_begin && i < tile.row_end) {
      const float* const at = from + i * tile.row_stride;
      x = count == kLanes ? hn::LoadU(d, at) : load_partial(d, at, count);
    }
    hn::Store(x, d, to + i * kLanes);
  }
}

/// Destination of a vector of channels of a tile, and what is added to it.
struct Place {
  float* destination;
  const float* residual;  ///< null: none
  int count;              ///< channels that exist

  Place(const OutputTile& tile, int channel, int channels)
      : destination(tile.destination + channel),
        residual(tile.residual != nullptr ? tile.residual + channel : nullptr),
        count(channels) {}
};

/// Adds bias and residual to a column of results, clamps and stores it.
template <bool kFetchNext, class D, int kRows>
HWY_INLINE void store_column(D d, const OutputTile& tile, const Place& place, int column,
                             const hn::Vec<D> (&y)[kRows], hn::Vec<D> bias) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  const float* const residual = place.residual;
  const int count = place.count;
  float* const to = place.destination + column * tile.column_stride;
  const float* const add =
      residual + (residual != nullptr ? column * tile.residual_column_stride : 0);
#pragma GCC unroll 32
  for (int i = 0; i < kRows; ++i) {
    if (i >= tile.rows) break;
    auto value = hn::Add(y[i], bias);
    if (residual != nullptr) {
      const float* const from = add + i * tile.residual_row_stride;
      value = hn::Add(value, count == kLanes ? hn::LoadU(d, from) : load_partial(d, from, count));
    }
    if (tile.clamp) {
      value = clamp(hn::Set(d, tile.low), hn::Set(d, tile.high), value);
    }
    float* const at = to + i * tile.row_stride;
    if constexpr (kFetchNext) __builtin_prefetch(at + tile.next_distance);
    if (count == kLanes) {
      hn::StoreU(value, d, at);
    } else {
      store_partial(d, value, at, count);
    }
  }
}

}  // namespace convopt::tiles::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
