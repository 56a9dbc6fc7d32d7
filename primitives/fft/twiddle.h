// Roots of unity in the form that a butterfly of multiply-adds takes.
#pragma once

#include <array>

namespace convopt::fft {

/// e^(-2 pi i k / n) = cosine * (1 + i tangent) * (-i)^quarter with |tangent| <= 1. Multiplying by
/// 1 + i tangent takes two multiply-adds, and the cosine goes into the additions that follow, so a
/// butterfly is six multiply-adds (Linzer and Feig 1993) instead of four products and six sums.
struct Twiddle {
  int quarter = 0;
  double cosine = 1, tangent = 0;
};

constexpr Twiddle twiddle(int k, int n) {
  constexpr double kPi = 3.14159265358979323846;
  Twiddle result;
  result.quarter = (8 * k + n) / (2 * n);  // 4 k / n, rounded
  const double angle = -2 * kPi * (4 * k - result.quarter * n) / (4.0 * n);
  // Taylor series: the angle is at most pi / 4.
  double cosine = 1, sine = angle, cosine_term = 1, sine_term = angle;
  for (int i = 1; i < 12; ++i) {
    cosine_term *= -angle * angle / ((2 * i - 1) * (2 * i));
    sine_term *= -angle * angle / ((2 * i) * (2 * i + 1));
    cosine += cosine_term;
    sine += sine_term;
  }
  result.cosine = cosine;
  result.tangent = sine / cosine;
  return result;
}

/// twiddle(k, kPoints) for the first half of the circle.
template <int kPoints>
inline constexpr auto kTwiddles = [] {
  std::array<Twiddle, kPoints / 2> table{};
  for (int k = 0; k < kPoints / 2; ++k) table[static_cast<std::size_t>(k)] = twiddle(k, kPoints);
  return table;
}();

}  // namespace convopt::fft
