// Products by the tile registers of AMX: sixteen rows of 64 bytes, a pixel each, by tiles of
// weights for sixteen output channels.
#include "primitives/amx/amx.h"

#include <algorithm>

#include "core/quantisation.h"
#include "primitives/dot/product.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "primitives/dot/finish-inl.h"
#endif

namespace convopt::amx {

using namespace convopt::dot;

namespace {
constexpr int kTileRows = 16, kRowBytes = 64;
/// Of a panel, for a step: two tiles of weights.
constexpr int kStepBytes = 2 * kTileRows * kRowBytes;
}  // namespace

#if defined(__x86_64__)
namespace {

struct Features {
  bool vectors_of_bf16 = false, tiles = false, tiles_of_bf16 = false, tiles_of_s8 = false;
};

/// As CPUID has them.
Features features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    found.tiles_of_bf16 = (d >> 22U & 1U) != 0;
    found.tiles = (d >> 24U & 1U) != 0;
    found.tiles_of_s8 = (d >> 25U & 1U) != 0;
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) found.vectors_of_bf16 = (a >> 5U & 1U) != 0;
  return found;
}

bool kernel_gives_tiles() {
  constexpr long kRequestState = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
}

/// What LDTILECFG reads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Registers: sums of the first tile of pixels (0, 1) and of the second (2, 3), the tiles of pixels
// (4, 5), those of weights (6, 7).
constexpr int kRegisters = 8, kFirstOfWeights = 6;

CONVOPT_DOT void set_tile_shapes(int rows) {
  TileShapes shapes;
  for (int i = 0; i < kRegisters; ++i) {
    shapes.row_bytes[i] = kRowBytes;
    shapes.rows[i] = static_cast<std::uint8_t>(i < kFirstOfWeights ? rows : kTileRows);
  }
  // GCC takes the instruction for one that reads no more than a pointer.
  asm volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}

// Macros, because registers are numbers in the instructions.
#define CONVOPT_TILE_PRODUCT(sums, pixels, weights) \
  if constexpr (kSource == DataType::bf16) {        \
    _tile_dpbf16ps(sums, pixels, weights);          \
  } else if constexpr (kSource == DataType::u8) {   \
    _tile_dpbusd(sums, pixels, weights);            \
  } else {                                          \
    _tile_dpbssd(sums, pixels, weights);            \
  }

/// Stores the sums of the panel before, just before the first product that needs their register.
#define CONVOPT_TILE_START(number, offset)              \
  if (step == 0) {                                      \
    _tile_stored(number, store_to + (offset), kStride); \
    _tile_zero(number);                                 \
  }

/// Multiplies blocks of two tiles by two panels, one after the other. Between the products of a
/// panel the sums of the one before are stored, and those of the block before become results: no
/// unit of the processor waits for another.
template <DataType kSource, DataType kResult>
CONVOPT_DOT void multiply_tiles(const Task& task) {
  alignas(64) float sums[2][2 * kTileRows * kBlockChannels];
  constexpr std::int64_t kStride = kBlockChannels * sizeof(float);
  set_tile_shapes(task.rows);
  const int rows = task.rows;
  const int second_tile = rows * kBlockChannels;
  Block finished;
  float* store_to = sums[1];
  int turn = 0;
  // Rows to finish after each product but the first ones. Fewer at a time are slower, because each
  // time scales and biases are loaded.
  constexpr int kLeastRows = 4;
  const int share = std::max(
      kLeastRows, static_cast<int>(ceil_div(2 * rows, 8 * std::int64_t{task.step_count} - 4)));
  const auto panel_bytes = std::int64_t{task.step_count} * kStepBytes;
  for (int first = 0; first < task.tiles; first += task.tiles_together) {
    const int end = std::min(first + task.tiles_together, task.tiles);
    for (int channel = 0; channel < task.channels; channel += kBlockChannels) {
      for (int tile = first; tile < end; tile += 2) {
        const bool both = tile + 1 < end;
        const std::byte* const pixels = task.image + task.first_pixels[tile] * task.pixel_bytes;
        const std::byte* const others =
            task.image + task.first_pixels[both ? tile + 1 : tile] * task.pixel_bytes;
        const std::byte* weights = task.weights + channel / kPanelChannels * panel_bytes;
        for (int half = 0; half < 2; ++half) {
          if (channel + half * kPanelChannels >= task.channels) break;
          for (int step = 0; step < task.step_count; ++step) {
            const int finishing = half + step > 0 ? share : 0;
            const std::int64_t offset = task.steps[step];
            _tile_loadd(4, pixels + offset, task.row_bytes);
            // Past the first cache, which keeps the pixels.
            _tile_stream_loadd(6, weights, kRowBytes);
            CONVOPT_TILE_START(0, 0)
            CONVOPT_TILE_PRODUCT(0, 4, 6)
            finish_some<kSource, kResult>(task, finished, finishing);
            CONVOPT_TILE_START(2, second_tile)
            if (both) {
              _tile_loadd(5, others + offset, task.row_bytes);
              CONVOPT_TILE_PRODUCT(2, 5, 6)
            }
            finish_some<kSource, kResult>(task, finished, finishing);
            _tile_stream_loadd(7, weights + kStepBytes / 2, kRowBytes);
            CONVOPT_TILE_START(3, second_tile + kLanes)
            if (both) {
              CONVOPT_TILE_PRODUCT(3, 5, 7)
            }
            finish_some<kSource, kResult>(task, finished, finishing);
            CONVOPT_TILE_START(1, kLanes)
            CONVOPT_TILE_PRODUCT(1, 4, 7)
            finish_some<kSource, kResult>(task, finished, finishing);
            weights += kStepBytes;
          }
          store_to = sums[turn] + half * kPanelChannels;
        }
        // Where the second panel is missing, or there is but one step, some are left.
        finish_some<kSource, kResult>(task, finished, 2 * kTileRows);
        finished = {sums[turn], task.places + std::int64_t{tile} * rows, channel, 0,
                    both ? 2 * rows : rows};
        turn = 1 - turn;
      }
    }
  }
  constexpr int step = 0;
  CONVOPT_TILE_START(0, 0)
  CONVOPT_TILE_START(1, kLanes)
  CONVOPT_TILE_START(2, second_tile)
  CONVOPT_TILE_START(3, second_tile + kLanes)
  finish_some<kSource, kResult>(task, finished, 2 * kTileRows);
  _tile_release();
}

#undef CONVOPT_TILE_START
#undef CONVOPT_TILE_PRODUCT

struct TileProducts {
  template <DataType kSource, DataType kResult>
  static void multiply(const Task& task) {
    multiply_tiles<kSource, kResult>(task);
  }
};

}  // namespace

bool has_tiles(DataType product, Isa isa) {
  if (isa != Isa::avx512) return false;
  static const Features found = features();
  const bool multiplies =
      found.tiles && found.vectors_of_bf16 &&
      (product == DataType::bf16 ? found.tiles_of_bf16
                                 : product == DataType::s8 && found.tiles_of_s8);
  static const bool given = found.tiles && kernel_gives_tiles();
  return multiplies && given;
}

namespace {

Multiply multiply_function(DataType source, DataType result) {
  return function_of<TileProducts>(source, result);
}

}  // namespace

#else

namespace {
Multiply multiply_function(DataType, DataType) { return nullptr; }
}  // namespace

bool has_tiles(DataType, Isa) { return false; }

#endif

std::unique_ptr<Primitive> make_amx(PrimitiveInfo info, const Context& context,
                                    std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.traits.product_type = product_type(info.input_type);
  if (!has_tiles(info.traits.product_type, context.isa)) return nullptr;
  info.description =
      "tile registers of pixels and output channels, over an image with zeros round it";
  info.revision = "4";
  info.traits.cost = "amx";
  // Of two products with the same weights one takes as long as its rows, the other one, which
  // brings the weights, as sixteen.
  static constexpr Unit kTiles = {.tile_rows = kTileRows,
                                  .panel_rows = kTileRows,
                                  .step_bytes = kRowBytes,
                                  .halves_together = false,
                                  .tile_cycles = 8,
                                  .row_cycles = 0.5,
                                  .shifts_s8 = false,
                                  .multiply = multiply_function};
  return make_convolution(std::move(info), kTiles);
}

}  // namespace convopt::amx
