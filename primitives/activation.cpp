#include <cmath>

#include "primitives/own.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/activation.cpp"
#include "primitives/simd.h"
// clang-format off: after simd.h
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE V constant(float x) { return hn::Set(D(), x); }

/// Highway's exponential of a NaN is zero; this one's is a NaN.
HWY_INLINE V exponential(V x) { return hn::IfThenElse(hn::Eq(x, x), hn::Exp(D(), x), x); }

HWY_INLINE V sigmoid(V x) {
  // Beyond 87 the exponential leaves the range of normal numbers; the result is 0 to single
  // precision long before.
  const V e = exponential(hn::Min(constant(87.0F), hn::Neg(x)));
  return hn::Div(constant(1), hn::Add(constant(1), e));
}

HWY_INLINE V hard_sigmoid(V x) {
  const V line = hn::MulAdd(x, constant(1.0F / 6), constant(0.5F));
  return hn::Min(constant(1), hn::Max(constant(0), line));
}

/// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
HWY_INLINE V erf(V x) {
  const V size = hn::Abs(x);
  const V t = hn::Div(constant(1), hn::MulAdd(size, constant(0.3275911F), constant(1)));
  V p = constant(1.061405429F);
  p = hn::MulAdd(p, t, constant(-1.453152027F));
  p = hn::MulAdd(p, t, constant(1.421413741F));
  p = hn::MulAdd(p, t, constant(-0.284496736F));
  p = hn::MulAdd(p, t, constant(0.254829592F));
  const V e = hn::Exp(D(), hn::Neg(hn::Min(hn::Mul(size, size), constant(87.0F))));
  return hn::CopySign(hn::NegMulAdd(hn::Mul(p, t), e, constant(1)), x);
}

/// The kind is a template parameter so that the loop below is free of branches.
template <ActivationKind kKind>
HWY_INLINE V apply(V x, V alpha, V beta) {
  if constexpr (kKind == ActivationKind::relu) {
    return hn::Max(constant(0), x);
  } else if constexpr (kKind == ActivationKind::clip) {
    return hn::Min(beta, hn::Max(alpha, x));
  } else if constexpr (kKind == ActivationKind::leaky_relu) {
    return hn::IfThenElse(hn::Lt(x, constant(0)), hn::Mul(alpha, x), x);
  } else if constexpr (kKind == ActivationKind::elu) {
    const V below = hn::Mul(alpha, hn::Expm1(D(), hn::Min(x, constant(0))));
    return hn::IfThenElse(hn::Lt(x, constant(0)), below, x);
  } else if constexpr (kKind == ActivationKind::sigmoid) {
    return sigmoid(x);
  } else if constexpr (kKind == ActivationKind::tanh) {
    return hn::Tanh(D(), x);
  } else if constexpr (kKind == ActivationKind::swish) {
    return hn::Mul(x, sigmoid(x));
  } else if constexpr (kKind == ActivationKind::hard_sigmoid) {
    return hard_sigmoid(x);
  } else if constexpr (kKind == ActivationKind::hard_swish) {
    return hn::Mul(x, hard_sigmoid(x));
  } else if constexpr (kKind == ActivationKind::gelu) {
    const V half = hn::Mul(constant(0.5F), x);
    return hn::MulAdd(half, erf(hn::Mul(x, constant(0.70710678F))), half);
  } else if constexpr (kKind == ActivationKind::erf) {
    return erf(x);
  } else if constexpr (kKind == ActivationKind::exp) {
    return exponential(x);
  } else {
    return x;
  }
}

template <class Function>
void for_each_vector(float* data, std::int64_t count, const Function& function) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(function(hn::LoadU(d, data + i)), d, data + i);
  if (i < count) {
    HWY_ALIGN float rest[HWY_LANES(float)] = {};
    for (std::int64_t j = i; j < count; ++j) rest[j - i] = data[j];
    hn::Store(function(hn::Load(d, rest)), d, rest);
    for (std::int64_t j = i; j < count; ++j) data[j] = rest[j - i];
  }
}

template <ActivationKind kKind>
void pass(const Activation& activation, float* data, std::int64_t count) {
  const V alpha = constant(activation.alpha);
  const V beta = constant(activation.beta);
  for_each_vector(data, count, [&](V x) { return apply<kKind>(x, alpha, beta); });
}

/// Powers that networks have, by arithmetic; the others value by value.
void power(float exponent, float* data, std::int64_t count) {
  if (exponent == 2) {
    for_each_vector(data, count, [](V x) { return hn::Mul(x, x); });
  } else if (exponent == 0.5F) {
    for_each_vector(data, count, [](V x) { return hn::Sqrt(x); });
  } else if (exponent == -1) {
    for_each_vector(data, count, [](V x) { return hn::Div(constant(1), x); });
  } else {
    for (std::int64_t i = 0; i < count; ++i) data[i] = std::pow(data[i], exponent);
  }
}

void activate(const Activation& activation, float* data, std::int64_t count) {
  switch (activation.kind) {
    case ActivationKind::none:
      return;
    case ActivationKind::relu:
      return pass<ActivationKind::relu>(activation, data, count);
    case ActivationKind::clip:
      return pass<ActivationKind::clip>(activation, data, count);
    case ActivationKind::leaky_relu:
      return pass<ActivationKind::leaky_relu>(activation, data, count);
    case ActivationKind::elu:
      return pass<ActivationKind::elu>(activation, data, count);
    case ActivationKind::sigmoid:
      return pass<ActivationKind::sigmoid>(activation, data, count);
    case ActivationKind::tanh:
      return pass<ActivationKind::tanh>(activation, data, count);
    case ActivationKind::swish:
      return pass<ActivationKind::swish>(activation, data, count);
    case ActivationKind::hard_sigmoid:
      return pass<ActivationKind::hard_sigmoid>(activation, data, count);
    case ActivationKind::hard_swish:
      return pass<ActivationKind::hard_swish>(activation, data, count);
    case ActivationKind::gelu:
      return pass<ActivationKind::gelu>(activation, data, count);
    case ActivationKind::erf:
      return pass<ActivationKind::erf>(activation, data, count);
    case ActivationKind::exp:
      return pass<ActivationKind::exp>(activation, data, count);
    case ActivationKind::pow:
      return power(activation.alpha, data, count);
  }
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt {

HWY_EXPORT(activate);
ActivateFunction activate_function(Isa isa) { return CONVOPT_DISPATCH(activate, isa); }

LastWrite last_write(const Activation& activation) {
  LastWrite write;
  switch (activation.kind) {
    case ActivationKind::none:
      break;
    case ActivationKind::relu:
      write.low = 0;
      break;
    case ActivationKind::clip:
      if (activation.alpha <= 0 && 0 <= activation.beta) {
        write.low = activation.alpha;
        write.high = activation.beta;
        break;
      }
      [[fallthrough]];
    default:
      write.needs_pass = true;
  }
  return write;
}

}  // namespace convopt
#endif
