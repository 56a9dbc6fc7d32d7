// What the activations compute, for any floating-point type.
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
  }
  return x;
}

}  // namespace convopt
