// Sets of tensor formats.
#pragma once

#include <bit>
#include <cstdint>

#include "convopt/tensor.hpp"

namespace convopt {

class FormatSet {
 public:
  constexpr void add(TensorFormat format) { bits_ |= bit(format); }
  constexpr bool contains(TensorFormat format) const { return (bits_ & bit(format)) != 0; }
  constexpr bool is_within(FormatSet other) const { return (bits_ & ~other.bits_) == 0; }
  constexpr int size() const { return std::popcount(bits_); }

  /// Calls `visit(format)` for each, type by type in the order of kDataTypes, layouts in that of
  /// kLayouts.
  template <class Visit>
  constexpr void for_each(Visit visit) const {
    for (std::uint64_t rest = bits_; rest != 0; rest &= rest - 1) {
      const auto number = static_cast<std::size_t>(std::countr_zero(rest));
      visit(TensorFormat{kLayouts[number % kLayouts.size()], kDataTypes[number / kLayouts.size()]});
    }
  }

  constexpr bool operator==(const FormatSet&) const = default;

 private:
  static_assert(kDataTypes.size() * kLayouts.size() <= 64);
  static constexpr std::uint64_t bit(TensorFormat format) {
    return std::uint64_t{1} << (static_cast<std::size_t>(format.type) * kLayouts.size() +
                                static_cast<std::size_t>(format.layout));
  }

  std::uint64_t bits_ = 0;
};

}  // namespace convopt
