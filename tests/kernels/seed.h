// The seed of random problems.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

namespace convopt::harness {

/// `CONVOPT_SEED`, else GoogleTest's.
inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* const given = std::getenv("CONVOPT_SEED");
    return given != nullptr
               ? std::strtoull(given, nullptr, 10)
               : static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  }();
  return value;
}

}  // namespace convopt::harness
