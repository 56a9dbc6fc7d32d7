// Transposition of matrices in memory. Included once per instruction set, from inside files that
// include simd.h.
#if defined(CONVOPT_LAYOUT_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_LAYOUT_TRANSPOSE_INL_H_
#undef CONVOPT_LAYOUT_TRANSPOSE_INL_H_
#else
#define CONVOPT_LAYOUT_TRANSPOSE_INL_H_
#endif

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

/// destination[j][i] = source[i][j] for a 4 x 4 block of rows `source_step` and `destination_step`
/// apart. 128-bit registers serve every level: 16 x 16 blocks in wider ones would save
/// instructions, but transpositions wait for the caches.
HWY_INLINE void transpose_4x4(const float* source, std::int64_t source_step, float* destination,
                              std::int64_t destination_step) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<float, 4> d;
  const hn::Repartition<double, hn::FixedTag<float, 4>> pairs;
  const auto r0 = hn::LoadU(d, source);
  const auto r1 = hn::LoadU(d, source + source_step);
  const auto r2 = hn::LoadU(d, source + 2 * source_step);
  const auto r3 = hn::LoadU(d, source + 3 * source_step);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, destination);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d,
             destination + destination_step);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d,
             destination + 2 * destination_step);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d,
             destination + 3 * destination_step);
}

/// The same for `rows` by `columns` elements of the source.
inline void transpose(const float* source, std::int64_t source_step, float* destination,
                      std::int64_t destination_step, int rows, int columns) {
  const int whole_rows = rows / 4 * 4;
  const int whole_columns = columns / 4 * 4;
  for (int j = 0; j < whole_columns; j += 4) {
    for (int i = 0; i < whole_rows; i += 4) {
      transpose_4x4(source + i * source_step + j, source_step,
                    destination + j * destination_step + i, destination_step);
    }
    for (int i = whole_rows; i < rows; ++i) {
      for (int k = j; k < j + 4; ++k) {
        destination[k * destination_step + i] = source[i * source_step + k];
      }
    }
  }
  for (int j = whole_columns; j < columns; ++j) {
    for (int i = 0; i < rows; ++i) {
      destination[j * destination_step + i] = source[i * source_step + j];
    }
  }
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
