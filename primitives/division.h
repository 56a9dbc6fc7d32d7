// Division of whole numbers, none of them negative.
#pragma once

#include <cstdint>

namespace convopt {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }
/// First item of part `index` when `count` items are split evenly into `parts`.
constexpr std::int64_t part_begin(std::int64_t count, std::int64_t index, std::int64_t parts) {
  return count * index / parts;
}

}  // namespace convopt
