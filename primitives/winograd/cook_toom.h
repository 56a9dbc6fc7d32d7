// Minimal filtering: m outputs of an r-tap correlation from m + r - 1 products,
//   y = A^T [(G g) . (B^T d)],
// the transpose of Toom and Cook's polynomial product evaluated at m + r - 2 points and infinity.
// B^T depends on the number of points only, so one input transform serves every split into m and r.
#pragma once

#include <array>
#include <cstddef>

namespace convopt::winograd {

/// Finite points for an algorithm of `count + 1` products: zero if `count` is odd, then pairs +a,
/// -a. Pairs let the transforms share their even and odd halves. Chosen by RMS error on random
/// data, as a multiple of the error of direct convolution: 2-D F(4,3) at 512 channels has 1.6 with
/// square roots of 2 and 4.1 with {0, +-1, +-2}; 2-D F(5,3) 3.7 with the points here, 5.4 with
/// {+-1/2, +-1,
/// +-2}, 6 with zero and one point without its pair; 1-D F(4,7) 4.5, 7 to 15 with the points for
/// eight products and one of 5/4, 3/2, 3 or 4 added. 2-D F(7,3) has 17 to 45 with all points tried,
/// F(8,3) 47.
constexpr std::array<double, 9> finite_points(int count) {
  constexpr double kRoot2 = 1.4142135623730950488;
  if (count == 5) return {0, kRoot2 / 2, -kRoot2 / 2, kRoot2, -kRoot2};
  if (count == 6) return {0.35, -0.35, 0.9, -0.9, 1.7, -1.7};
  if (count == 9) return {0, 0.5, -0.5, 0.8, -0.8, 1.25, -1.25, 2, -2};
  return {0, 1, -1, 2, -2, 0.5, -0.5};
}

template <int kOutputs, int kTaps>
struct CookToom {
  static constexpr int kProducts = kOutputs + kTaps - 1;
  static_assert(kProducts == 1 || kProducts == 4 || (kProducts >= 6 && kProducts <= 8) ||
                kProducts == 10);

  std::array<std::array<double, kProducts>, kProducts> input{};  ///< B^T
  std::array<std::array<double, kTaps>, kProducts> filter{};     ///< G
  std::array<std::array<double, kProducts>, kOutputs> output{};  ///< A^T

  constexpr CookToom() {
    constexpr int kFinite = kProducts - 1;
    const auto points = finite_points(kFinite);
    const auto power = [](double x, int n) {
      double result = 1;
      for (int i = 0; i < n; ++i) result *= x;
      return result;
    };
    for (int j = 0; j < kProducts; ++j) {
      // Coefficients of the product of (x - point) over the finite points other than point j.
      std::array<double, kProducts + 1> polynomial{1};
      double scale = 1;
      for (int l = 0, degree = 0; l < kFinite; ++l) {
        if (l == j) continue;
        const auto point = points[static_cast<std::size_t>(l)];
        if (j < kFinite) scale *= points[static_cast<std::size_t>(j)] - point;
        ++degree;
        for (int i = degree; i > 0; --i) {
          polynomial[i] = polynomial[i - 1] - point * polynomial[i];
        }
        polynomial[0] *= -point;
      }
      for (int i = 0; i < kProducts; ++i) input[j][i] = polynomial[i];
      const bool finite = j < kFinite;
      for (int i = 0; i < kTaps; ++i) {
        filter[j][i] = finite ? power(points[static_cast<std::size_t>(j)], i) / scale
                              : (i == kTaps - 1 ? 1.0 : 0.0);
      }
      for (int i = 0; i < kOutputs; ++i) {
        output[i][j] = finite ? power(points[static_cast<std::size_t>(j)], i)
                              : (i == kOutputs - 1 ? 1.0 : 0.0);
      }
    }
    // Pairs of points cancel exactly; rounding must not leave a trace where zero is meant.
    for (auto& row : input) {
      for (double& value : row) {
        if (value < 1e-12 && value > -1e-12) value = 0;
      }
    }
  }
};

}  // namespace convopt::winograd
