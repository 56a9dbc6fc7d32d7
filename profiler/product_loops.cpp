#include "profiler/product_loops.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "primitives/amx/product.h"

namespace convopt {

#if defined(__x86_64__)
namespace {

constexpr double kPerProduct = 2;

// A latency of six cycles and two instructions per cycle, at most. Loops over them are unrolled, or
// the compiler keeps the sums in memory: 163 instead of 700 GOP/s in int8 on an Ice Lake.
constexpr int kChains = 12;
#define CONVOPT_FOR_ALL _Pragma("GCC unroll 12") for

__attribute__((target("avx512f,avx512bf16"))) void multiply_bf16_vectors(std::int64_t iterations) {
  const __m512 zero = _mm512_setzero_ps();
  const __m512bh factors = _mm512_cvtne2ps_pbh(zero, zero);
  __m512 chains[kChains];
  for (__m512& chain : chains) chain = zero;
  for (std::int64_t n = 0; n < iterations; ++n) {
    CONVOPT_FOR_ALL(int i = 0; i < kChains; ++i)
    chains[i] = _mm512_dpbf16_ps(chains[i], factors, factors);
    // Keeps the compiler from leaving out what only adds zeros.
    CONVOPT_FOR_ALL(int i = 0; i < kChains; ++i) asm volatile("" : "+v"(chains[i]));
  }
}

__attribute__((target("avx512f,avx512vnni"))) void multiply_int8_vectors(std::int64_t iterations) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i chains[kChains];
  for (__m512i& chain : chains) chain = zero;
  for (std::int64_t n = 0; n < iterations; ++n) {
    CONVOPT_FOR_ALL(int i = 0; i < kChains; ++i)
    chains[i] = _mm512_dpbusd_epi32(chains[i], zero, zero);
    CONVOPT_FOR_ALL(int i = 0; i < kChains; ++i) asm volatile("" : "+v"(chains[i]));
  }
}
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

/// Whether CPUID says that vectors of such numbers are multiplied.
bool has_vectors(DataType type) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (type == DataType::bf16)
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5U & 1U) != 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 11U & 1U) != 0;
}

}  // namespace

std::vector<ProductLoop> product_loops(DataType type, Isa isa) {
  std::vector<ProductLoop> loops;
  const bool bf16 = type == DataType::bf16;
  if (isa != Isa::avx512 || (!bf16 && type != DataType::s8)) return loops;
  const double per_row = kPerProduct * kVectorBytes / static_cast<double>(element_bytes(type));
  if (has_vectors(type)) {
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
