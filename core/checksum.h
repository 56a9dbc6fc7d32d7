// A checksum of large files, fast enough to be taken whenever one is opened.
#pragma once

#include <cstdint>
#include <string_view>

namespace convopt {

/// 64 bits of the bytes in their order, at the speed of memory: a hash of eight lanes of 64-bit
/// words, which docs/reference/bundle-format.md describes. It detects corruption, not tampering.
std::uint64_t checksum64(std::string_view bytes);

}  // namespace convopt
