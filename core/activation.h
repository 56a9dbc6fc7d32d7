// Activation functions for any floating-point type.
#pragma once

#include <algorithm>
#include <cmath>

#include "convopt/workload.hpp"

namespace convopt {

/// NaN stays NaN.
template <class T>
T activate(const Activation& activation, T x) {
  const auto alpha = static_cast<T>(activation.alpha), beta = static_cast<T>(activation.beta);
  const auto clamp = [](T v, T low, T high) { return v < low ? low : v > high ? high : v; };
  const auto sigmoid = [](T v) { return 1 / (1 + std::exp(-v)); };
  const auto softplus = [](T v) { return std::max<T>(v, 0) + std::log1p(std::exp(-std::abs(v))); };
  const auto hard_sigmoid = [&](T v) { return clamp(v / 6 + T{0.5}, 0, 1); };
  switch (activation.kind) {
    case ActivationKind::none:
      return x;
    case ActivationKind::relu:
      return x < 0 ? 0 : x;
    case ActivationKind::clip:
      return clamp(x, alpha, beta);
    case ActivationKind::leaky_relu:
      return x < 0 ? alpha * x : x;
    case ActivationKind::elu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case ActivationKind::sigmoid:
      return sigmoid(x);
    case ActivationKind::tanh:
      return std::tanh(x);
    case ActivationKind::swish:
      return x * sigmoid(x);
    case ActivationKind::hard_sigmoid:
      return hard_sigmoid(x);
    case ActivationKind::hard_swish:
      return x * hard_sigmoid(x);
    case ActivationKind::gelu:
      return T{0.5} * x * (1 + std::erf(x * static_cast<T>(0.70710678118654752)));
    case ActivationKind::erf:
      return std::erf(x);
    case ActivationKind::exp:
      return std::exp(x);
    case ActivationKind::pow:
      return std::pow(x, alpha);
    case ActivationKind::log:
      return std::log(x);
    case ActivationKind::sin:
      return std::sin(x);
    case ActivationKind::cos:
      return std::cos(x);
    case ActivationKind::tan:
      return std::tan(x);
    case ActivationKind::asin:
      return std::asin(x);
    case ActivationKind::acos:
      return std::acos(x);
    case ActivationKind::atan:
      return std::atan(x);
    case ActivationKind::sinh:
      return std::sinh(x);
    case ActivationKind::cosh:
      return std::cosh(x);
    case ActivationKind::asinh:
      return std::asinh(x);
    case ActivationKind::acosh:
      return std::acosh(x);
    case ActivationKind::atanh:
      return std::atanh(x);
    case ActivationKind::abs:
      return std::abs(x);
    case ActivationKind::sign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    case ActivationKind::floor:
      return std::floor(x);
    case ActivationKind::ceil:
      return std::ceil(x);
    case ActivationKind::round:
      return std::nearbyint(x);
    case ActivationKind::truncate:
      return std::trunc(x);
    case ActivationKind::softplus:
      return softplus(x);
    case ActivationKind::softsign:
      return x / (1 + std::abs(x));
    case ActivationKind::selu:
      return beta * (x < 0 ? alpha * std::expm1(x) : x);
    case ActivationKind::celu:
      return x < 0 ? alpha * std::expm1(x / alpha) : x;
    case ActivationKind::thresholded_relu:
      return x <= alpha ? 0 : x;
    case ActivationKind::mish:
      return x * std::tanh(softplus(x));
    case ActivationKind::gelu_tanh: {
      constexpr T kRootOfTwoOverPi = static_cast<T>(0.79788456080286536);
      return T{0.5} * x * (1 + std::tanh(kRootOfTwoOverPi * (x + T(0.044715) * x * x * x)));
    }
    case ActivationKind::shrink:
      return x < -alpha ? x + beta : x > alpha ? x - beta : x - x;
    case ActivationKind::is_zero:
      return x == 0 ? 1 : 0;
    case ActivationKind::is_nan:
      return std::isnan(x) ? 1 : 0;
    case ActivationKind::quantise:
      return alpha * clamp(std::nearbyint(x / alpha), beta, beta + 255);
  }
  return x;
}

/// The largest magnitude of a result of `quantise`, over its scale; 0 for all others.
inline float most_steps(const Activation& activation) {
  if (activation.kind != ActivationKind::quantise) return 0;
  return std::max(std::abs(activation.beta), std::abs(activation.beta + 255));
}

/// Factor by which the activation amplifies a relative error, both errors relative to the largest
/// value of their tensor. Arguments of exponentials are assumed to be at most eight, as in layers
/// that use them.
double error_growth(const Activation& activation);

}  // namespace convopt
