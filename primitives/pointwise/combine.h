// Operations of two values, for loops over either kind of tensor.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "convopt/workload.hpp"

namespace convopt::pointwise {

/// Division's remainder with the sign of the dividend, exactly: std::fmod, of quotients of up to 28
/// bits by arithmetic in double precision, which rounds none of them.
inline float remainder(float a, float b) {
  constexpr float kLargest = 1 << 28;
  if (!(std::abs(a) < kLargest * std::abs(b)) || std::isinf(b)) return std::fmod(a, b);
  const auto quotient = static_cast<std::int64_t>(double{a} / double{b});
  const double rest = double{a} - static_cast<double>(quotient) * double{b};
  return std::copysign(static_cast<float>(rest), a);
}

/// The same with the sign of the divisor.
inline float modulo(float a, float b) {
  const float rest = remainder(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/// Calls `loop(function)` with the operation as a function of two floats.
template <class Loop>
void with_function(Op op, const Loop& loop) {
  switch (op) {
    case Op::multiply:
      return loop([](float a, float b) { return a * b; });
    case Op::subtract:
      return loop([](float a, float b) { return a - b; });
    case Op::divide:
      return loop([](float a, float b) { return a / b; });
    case Op::maximum:
      return loop([](float a, float b) { return a > b || a != a ? a : b; });
    case Op::minimum:
      return loop([](float a, float b) { return a < b || a != a ? a : b; });
    case Op::power:
      return loop([](float a, float b) { return std::pow(a, b); });
    case Op::modulo:
      return loop([](float a, float b) { return modulo(a, b); });
    case Op::remainder:
      return loop([](float a, float b) { return remainder(a, b); });
    case Op::equal:
      return loop([](float a, float b) { return a == b ? 1.0F : 0.0F; });
    case Op::less:
      return loop([](float a, float b) { return a < b ? 1.0F : 0.0F; });
    case Op::less_or_equal:
      return loop([](float a, float b) { return a <= b ? 1.0F : 0.0F; });
    case Op::prelu:
      return loop([](float a, float b) { return a < 0 ? a * b : a; });
    case Op::add:
      return loop([](float a, float b) { return a + b; });
    default:  // forgotten here
      std::abort();
  }
}

/// Whether the operation makes a zero of two zeros.
constexpr bool keeps_zeros(Op op) {
  return op == Op::add || op == Op::multiply || op == Op::subtract || op == Op::maximum ||
         op == Op::minimum || op == Op::less || op == Op::prelu;
}

}  // namespace convopt::pointwise
