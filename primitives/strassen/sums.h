// The sums of matrices around the products of Strassen's method.
#pragma once

#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt::strassen {

/// One matrix, its rows `stride` floats apart; a stride of 0 repeats one row.
struct Term {
  const float* data = nullptr;
  std::int64_t stride = 0;
};

/// to = plus[0] + ... - minus[0] - ..., then clamped if asked. `to` may be one of the terms.
struct Sum {
  static constexpr int kMostPlus = 4, kMostMinus = 2;
  float* to = nullptr;
  std::int64_t to_stride = 0;
  int rows = 0, columns = 0;
  Term plus[kMostPlus];
  int plus_count = 0;  ///< from 1
  Term minus[kMostMinus];
  int minus_count = 0;
  bool clamp = false;
  float low = 0, high = 0;
};

using SumFunction = void (*)(const Sum& sum);
SumFunction sum_function(Isa isa);

}  // namespace convopt::strassen
