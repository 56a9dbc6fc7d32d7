#include "profiler/product_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "primitives/amx/amx.h"
#include "primitives/dot/product.h"

namespace convopt {

#if defined(__x86_64__)
namespace {

constexpr double kPerProduct = 2;

// A latency of six cycles and two instructions per cycle, at most: so many independent sums, in
// registers that no compiler moves to memory.
constexpr int kChains = 12;
#define CONVOPT_CHAINS(instruction)                                                           \
  instruction "0\n\t" instruction "1\n\t" instruction "2\n\t" instruction "3\n\t" instruction \
              "4\n\t" instruction "5\n\t" instruction "6\n\t" instruction "7\n\t" instruction \
              "8\n\t" instruction "9\n\t" instruction "10\n\t" instruction "11"
#define CONVOPT_CHAIN_REGISTERS \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"

__attribute__((target("avx512f,avx512bf16"))) void multiply_bf16_vectors(std::int64_t iterations) {
  const __m512 zero = _mm512_setzero_ps();
  for (std::int64_t n = 0; n < iterations; ++n) {
    asm volatile(CONVOPT_CHAINS("vdpbf16ps %0, %0, %%zmm") : : "v"(zero) : CONVOPT_CHAIN_REGISTERS);
  }
}

__attribute__((target("avx512f,avx512vnni"))) void multiply_int8_vectors(std::int64_t iterations) {
  const __m512i zero = _mm512_setzero_si512();
  for (std::int64_t n = 0; n < iterations; ++n) {
    asm volatile(CONVOPT_CHAINS("vpdpbusd %0, %0, %%zmm") : : "v"(zero) : CONVOPT_CHAIN_REGISTERS);
  }
}
#undef CONVOPT_CHAINS
#undef CONVOPT_CHAIN_REGISTERS

constexpr double kVectorBytes = 64;

/// What LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

__attribute__((target("amx-tile"))) void configure_tiles() {
  constexpr int kTiles = 8;
  TileConfig config;
  for (int tile = 0; tile < kTiles; ++tile) {
    config.row_bytes[tile] = 64;
    config.rows[tile] = 16;
  }
  // GCC takes the instruction for one that reads no more than a pointer.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

// Four sums of products of two tiles by two: as many as the eight tiles have room for.
__attribute__((target("amx-tile,amx-bf16"))) void multiply_bf16_tiles(std::int64_t iterations) {
  configure_tiles();
  for (std::int64_t n = 0; n < iterations; ++n) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

__attribute__((target("amx-tile,amx-int8"))) void multiply_int8_tiles(std::int64_t iterations) {
  configure_tiles();
  for (std::int64_t n = 0; n < iterations; ++n) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
}
constexpr double kTileProducts = 4 * 16 * 16;  // of rows of 64 bytes

}  // namespace

std::vector<ProductLoop> product_loops(DataType type, Isa isa) {
  std::vector<ProductLoop> loops;
  const bool bf16 = type == DataType::bf16;
  if (isa != Isa::avx512 || (!bf16 && type != DataType::s8)) return loops;
  const double per_row = kPerProduct * kVectorBytes / static_cast<double>(element_bytes(type));
  if (dot::has_vectors(type, isa)) {
    loops.push_back({bf16 ? multiply_bf16_vectors : multiply_int8_vectors, kChains * per_row});
  }
  if (amx::has_tiles(type, isa)) {
    loops.push_back({bf16 ? multiply_bf16_tiles : multiply_int8_tiles, kTileProducts * per_row});
  }
  return loops;
}
#else
std::vector<ProductLoop> product_loops(DataType, Isa) { return {}; }
#endif

}  // namespace convopt
