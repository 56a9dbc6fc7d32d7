// Operations of two numbers.
#pragma once

#include <cmath>
#include <cstdlib>
#include <limits>

#include "convopt/workload.hpp"

namespace convopt::reference {

inline double combine(Op op, double a, double b) {
  const bool none = std::isnan(a) || std::isnan(b);
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  switch (op) {
    case Op::multiply:
      return a * b;
    case Op::subtract:
      return a - b;
    case Op::divide:
      return a / b;
    case Op::maximum:
      return none ? kNone : std::fmax(a, b);
    case Op::minimum:
      return none ? kNone : std::fmin(a, b);
    case Op::power:
      return std::pow(a, b);
    case Op::modulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && std::signbit(rest) != std::signbit(b) ? rest + b : rest;
    }
    case Op::remainder:
      return std::fmod(a, b);
    case Op::equal:
      return a == b ? 1 : 0;
    case Op::less:
      return a < b ? 1 : 0;
    case Op::less_or_equal:
      return a <= b ? 1 : 0;
    case Op::prelu:
      return a < 0 ? a * b : a;
    case Op::add:
      return a + b;
    default:  // forgotten here
      std::abort();
  }
}

}  // namespace convopt::reference
