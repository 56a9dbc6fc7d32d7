// The single-precision matrix product under im2col, im2row, kn2row, 1x1 and Winograd convolutions.
//
// C = A B with the rows of A anywhere in memory (pixels of an nhwc tensor, transformed tiles,
// weights as they come) and B in panels as wide as a register tile. Elements of A are broadcast
// straight from memory, so A needs no packing; B is either packed once (weights) or by the caller's
// packing step (patches). Callers block for the caches, because they know what A and B really are.
#pragma once

#include <cstdint>
#include <limits>

#include "convopt/platform.hpp"
#include "primitives/own.h"

namespace convopt::gemm {

/// One register tile: `rows` rows by `vectors` vectors, both fixed by the function called.
struct Tile {
  const float* a = nullptr;  ///< rows x k
  std::int64_t a_row_stride = 0;
  const float* b = nullptr;  ///< k x (vectors * lanes), whole vectors readable unless b_ends
  std::int64_t b_row_stride = 0;
  bool b_ends = false;  ///< nothing can be read behind the last column that exists
  /// Distances from `b` of the segments of k rows in which the reduction goes through B.
  /// Rows of A are then segments * k long. Null: one segment, at `b`.
  const std::int64_t* segment_offsets = nullptr;
  int segments = 1;
  /// Every step of the reduction asks for the cache line at `fetch` and moves on by fetch_step
  /// floats: weights that come next travel to the L2 cache meanwhile. Null: nothing is fetched.
  const float* fetch = nullptr;
  std::int64_t fetch_step = 0;
  float* c = nullptr;  ///< rows x columns
  std::int64_t c_row_stride = 0;
  int k = 0;
  int last_columns = 0;                ///< columns that exist in the last vector, 1 to lanes
  bool accumulate = false;             ///< start from C instead of the bias
  const float* column_bias = nullptr;  ///< vectors * lanes values
  const float* row_bias = nullptr;     ///< one value per row; used without column_bias only
  const float* residual = nullptr;     ///< added at the end
  std::int64_t residual_row_stride = 0;
  bool clamp = false;  ///< to [low, high] at the end
  float low = 0, high = 0;

  // Indirect tiles: every row of A, C and the residual lies somewhere of its own, and the segments
  // are any of those that row_pointers knows, a kernel's taps. They do not read a, a_row_stride,
  // segment_offsets and the other row strides.
  const float* const* row_pointers = nullptr;  ///< [row][pointers_per_row]
  int pointers_per_row = 0;
  std::int64_t a_offset = 0;             ///< added to every such pointer
  const int* segment_numbers = nullptr;  ///< number n: pointer n and the n-th k rows from `b`
  const std::int64_t* c_offsets = nullptr;
  const std::int64_t* residual_offsets = nullptr;
};

using TileFunction = void (*)(const Tile& tile);

inline constexpr int kMostVectors = 4;
inline constexpr int kMostRows = 14;

/// The register tiles of one instruction set: MR x NR of the literature is rows[vectors] x
/// panel_columns().
struct Kernels {
  int lanes = 0;
  int vectors = 0;                  ///< width of the widest tile, in vectors
  int rows[kMostVectors + 1] = {};  ///< most rows of a tile of that many vectors
  TileFunction tile[kMostVectors + 1][kMostRows + 1] = {};  ///< [vectors][rows], from 1
  TileFunction indirect_tile[kMostVectors + 1][kMostRows + 1] = {};
  /// destination[j][i] = source[i][j]
  void (*transpose)(const float* source, std::int64_t source_step, float* destination,
                    std::int64_t destination_step, int rows, int columns) = nullptr;

  int panel_columns() const { return vectors * lanes; }
};
/// Tiles of at most `most_vectors` vectors, from 1: narrower ones hold more rows.
const Kernels& kernels(Isa isa, int most_vectors = kMostVectors);

/// A product of any size. Rows and columns are split evenly over register tiles, so that no tile
/// is much smaller than the others. The values at the end are those of Tile.
struct Product {
  int rows = 0, columns = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_row_stride = 0;
  const float* b = nullptr;
  std::int64_t b_row_stride = 0;  ///< 0: packed as by pack()
  bool b_ends = false;            ///< as in Tile; for B that is not packed
  /// Rows of the packed matrix, where the product takes only k of them, from first_k on. 0: k.
  int packed_k = 0, first_k = 0;
  const std::int64_t* segment_offsets = nullptr;  ///< as in Tile; for B that is not packed
  int segments = 1;
  float* c = nullptr;
  std::int64_t c_row_stride = 0;
  bool accumulate = false;
  const float* column_bias = nullptr;  ///< `columns` rounded up to whole vectors
  const float* row_bias = nullptr;
  const float* residual = nullptr;
  std::int64_t residual_row_stride = 0;
  bool clamp = false;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};
void multiply(const Kernels& kernels, const Product& product);

/// Consecutive vectors of columns that share register tiles: the split of `columns` that packed
/// matrices are made for. Calls body(first_vector, vectors) for each panel.
template <class Body>
void for_each_panel(const Kernels& kernels, int columns, const Body& body) {
  const int total = (columns + kernels.lanes - 1) / kernels.lanes;
  const int panels = (total + kernels.vectors - 1) / kernels.vectors;
  for (int i = 0, first = 0; i < panels; ++i) {
    const int next = static_cast<int>(part_begin(total, i + 1, panels));
    body(first, next - first);
    first = next;
  }
}

/// Makes tile number `group` of `groups`, whose reductions have k steps, fetch its part of k x
/// `columns` floats from `next` on.
void spread_fetch(Tile& tile, const float* next, int columns, int k, std::int64_t group,
                  std::int64_t groups);

/// Floats of a packed k x columns matrix.
std::int64_t packed_floats(const Kernels& kernels, int k, int columns);
/// Packs B[i][j] = b[i * row_stride + j * column_stride]; missing columns become zeros. The panel
/// that starts at vector v lies at v * lanes * k, its rows follow each other.
void pack(const Kernels& kernels, int k, int columns, const float* b, std::int64_t row_stride,
          std::int64_t column_stride, float* packed);

/// Packs row `row` of such a matrix only; `values` holds whole vectors, zeros where columns are
/// missing.
void pack_row(const Kernels& kernels, int k, int columns, int row, const float* values,
              float* packed);

}  // namespace convopt::gemm
