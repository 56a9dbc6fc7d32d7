#include "core/checksum.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace convopt {
namespace {

/// Little-endian, so that a file has one checksum everywhere.
std::uint64_t word_at(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
  return word;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;  // odd, so that no step loses anything
  hash = (hash ^ word) * kFactor;
  return hash ^ (hash >> 32U);
}

}  // namespace

std::uint64_t checksum64(std::string_view bytes) {
  // Independent lanes, because a multiplication takes four cycles but one may begin in each.
  constexpr std::size_t kLanes = 8, kBlock = kLanes * sizeof(std::uint64_t);
  std::array<std::uint64_t, kLanes> lanes{};
  for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = i + 1;
  std::size_t at = 0;
  for (; at + kBlock <= bytes.size(); at += kBlock) {
    for (std::size_t i = 0; i < kLanes; ++i)
      lanes[i] = mixed(lanes[i], word_at(bytes.data() + at + i * sizeof(std::uint64_t)));
  }
  std::array<char, kBlock> last{};
  if (at < bytes.size()) std::memcpy(last.data(), bytes.data() + at, bytes.size() - at);
  std::uint64_t result = bytes.size();
  for (std::size_t i = 0; i < kLanes; ++i)
    result = mixed(result, mixed(lanes[i], word_at(last.data() + i * sizeof(std::uint64_t))));
  return result;
}

}  // namespace convopt
