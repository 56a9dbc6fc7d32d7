#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "primitives/own.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/activation.cpp"
#include "primitives/simd.h"
// clang-format off: after simd.h
#include "hwy/contrib/math/math-inl.h"
#include "primitives/clamp-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/sigmoid-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE V constant(float x) { return hn::Set(D(), x); }

/// Highway's exponential of a NaN is zero; this one's is a NaN.
HWY_INLINE V exponential(V x) { return hn::IfThenElse(hn::Eq(x, x), hn::Exp(D(), x), x); }

HWY_INLINE V hard_sigmoid(V x) {
  const V line = hn::MulAdd(x, constant(1.0F / 6), constant(0.5F));
  return clamp(constant(0), constant(1), line);
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
  const V e = exp_minus(D(), hn::Mul(size, size));
  return hn::CopySign(hn::NegMulAdd(hn::Mul(p, t), e, constant(1)), x);
}

/// The series, to a rounding up to 1/2.
HWY_INLINE V erf_near_zero(V x) {
  const V square = hn::Mul(x, x);
  V p = constant(-8.5483e-4F);
  p = hn::MulAdd(p, square, constant(5.2239776e-3F));
  p = hn::MulAdd(p, square, constant(-2.6866171e-2F));
  p = hn::MulAdd(p, square, constant(0.11283792F));
  p = hn::MulAdd(p, square, constant(-0.37612639F));
  p = hn::MulAdd(p, square, constant(1.1283792F));
  return hn::Mul(p, x);
}

/// The kind is a template parameter so that loops are free of branches.
template <ActivationKind kKind>
HWY_INLINE V apply(V x, V alpha, V beta) {
  if constexpr (kKind == ActivationKind::relu) {
    return at_least(constant(0), x);
  } else if constexpr (kKind == ActivationKind::clip) {
    return clamp(alpha, beta, x);
  } else if constexpr (kKind == ActivationKind::leaky_relu) {
    return hn::IfThenElse(hn::Lt(x, constant(0)), hn::Mul(alpha, x), x);
  } else if constexpr (kKind == ActivationKind::elu) {
    const V below = hn::Mul(alpha, hn::Expm1(D(), hn::Min(x, constant(0))));
    return hn::IfThenElse(hn::Lt(x, constant(0)), below, x);
  } else if constexpr (kKind == ActivationKind::sigmoid) {
    return sigmoid(D(), x);
  } else if constexpr (kKind == ActivationKind::tanh) {
    return hn::Tanh(D(), x);
  } else if constexpr (kKind == ActivationKind::swish) {
    return swish(D(), x);
  } else if constexpr (kKind == ActivationKind::hard_sigmoid) {
    return hard_sigmoid(x);
  } else if constexpr (kKind == ActivationKind::hard_swish) {
    return hn::Mul(x, hard_sigmoid(x));
  } else if constexpr (kKind == ActivationKind::gelu) {
    const V half = hn::Mul(constant(0.5F), x);
    return hn::MulAdd(half, erf(hn::Mul(x, constant(0.70710678F))), half);
  } else if constexpr (kKind == ActivationKind::erf) {
    return hn::IfThenElse(hn::Lt(hn::Abs(x), constant(0.5F)), erf_near_zero(x), erf(x));
  } else if constexpr (kKind == ActivationKind::exp) {
    return exponential(x);
  } else if constexpr (kKind == ActivationKind::abs) {
    return hn::Abs(x);
  } else if constexpr (kKind == ActivationKind::sign) {
    const V above = hn::IfThenElse(hn::Gt(x, constant(0)), constant(1), x);
    return hn::IfThenElse(hn::Lt(x, constant(0)), constant(-1), above);
  } else if constexpr (kKind == ActivationKind::floor) {
    return hn::Floor(x);
  } else if constexpr (kKind == ActivationKind::ceil) {
    return hn::Ceil(x);
  } else if constexpr (kKind == ActivationKind::round) {
    return hn::Round(x);
  } else if constexpr (kKind == ActivationKind::truncate) {
    return hn::Trunc(x);
  } else if constexpr (kKind == ActivationKind::quantise) {
    const V number = hn::Round(hn::Div(x, alpha));
    return hn::Mul(alpha, clamp(beta, hn::Add(beta, constant(255)), number));
  } else if constexpr (kKind == ActivationKind::softsign) {
    return hn::Div(x, hn::Add(constant(1), hn::Abs(x)));
  } else if constexpr (kKind == ActivationKind::selu) {
    return hn::Mul(beta, apply<ActivationKind::elu>(x, alpha, beta));
  } else if constexpr (kKind == ActivationKind::celu) {
    const V below = hn::Expm1(D(), hn::Div(hn::Min(x, constant(0)), alpha));
    return hn::IfThenElse(hn::Lt(x, constant(0)), hn::Mul(alpha, below), x);
  } else if constexpr (kKind == ActivationKind::thresholded_relu) {
    return hn::IfThenElse(hn::Le(x, alpha), constant(0), x);
  } else if constexpr (kKind == ActivationKind::shrink) {
    const V above = hn::IfThenElse(hn::Gt(x, alpha), hn::Sub(x, beta), hn::Sub(x, x));
    return hn::IfThenElse(hn::Lt(x, hn::Neg(alpha)), hn::Add(x, beta), above);
  } else if constexpr (kKind == ActivationKind::is_zero) {
    return hn::IfThenElse(hn::Eq(x, constant(0)), constant(1), constant(0));
  } else if constexpr (kKind == ActivationKind::is_nan) {
    return hn::IfThenElse(hn::Eq(x, x), constant(0), constant(1));
  } else if constexpr (kKind == ActivationKind::log) {
    return hn::Log(D(), x);
  } else if constexpr (kKind == ActivationKind::sin) {
    return hn::Sin(D(), x);
  } else if constexpr (kKind == ActivationKind::cos) {
    return hn::Cos(D(), x);
  } else if constexpr (kKind == ActivationKind::asin) {
    return hn::Asin(D(), x);
  } else if constexpr (kKind == ActivationKind::acos) {
    return hn::Acos(D(), x);
  } else if constexpr (kKind == ActivationKind::atan) {
    return hn::Atan(D(), x);
  } else if constexpr (kKind == ActivationKind::sinh) {
    return hn::Sinh(D(), x);
  } else if constexpr (kKind == ActivationKind::cosh) {
    const V e = hn::Exp(D(), x);
    return hn::Mul(constant(0.5F), hn::Add(e, hn::Div(constant(1), e)));
  } else if constexpr (kKind == ActivationKind::asinh) {
    return hn::Asinh(D(), x);
  } else if constexpr (kKind == ActivationKind::acosh) {
    return hn::Acosh(D(), x);
  } else if constexpr (kKind == ActivationKind::atanh) {
    return hn::Atanh(D(), x);
  } else if constexpr (kKind == ActivationKind::softplus) {
    const V e = exp_minus(D(), hn::Abs(x));
    return hn::Add(hn::Max(x, constant(0)), hn::Log1p(D(), e));
  } else if constexpr (kKind == ActivationKind::mish) {
    // tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2); from 20 on it is 1.
    const V e = exp_minus(D(), hn::Neg(hn::Min(x, constant(20))));
    const V n = hn::Mul(e, hn::Add(e, constant(2)));
    return hn::Mul(x, hn::Div(n, hn::Add(n, constant(2))));
  } else if constexpr (kKind == ActivationKind::gelu_tanh) {
    // x (1 + tanh(y)) / 2 is x sigmoid(2 y).
    const V square = hn::Mul(x, x);
    const V cubic = hn::Mul(x, hn::MulAdd(square, constant(0.044715F), constant(1)));
    return hn::Div(x, one_plus_exp_minus(D(), hn::Mul(cubic, constant(1.59576912F))));
  } else {
    return x;
  }
}

/// Arguments for which `apply` is good to a few roundings.
struct Range {
  float low, high;
};
template <ActivationKind kKind>
constexpr Range good_range() {
  constexpr float kLargest = std::numeric_limits<float>::max();
  switch (kKind) {
    case ActivationKind::log:
      return {std::numeric_limits<float>::min(), kLargest};
    case ActivationKind::sin:
    case ActivationKind::cos:
      return {-39000, 39000};
    case ActivationKind::tan:  // which Highway does not have
      return {1, -1};
    case ActivationKind::asin:
    case ActivationKind::acos:
      return {-1, 1};
    case ActivationKind::atan:
      return {-kLargest, kLargest};
    case ActivationKind::asinh:
      return {-1e18F, 1e18F};
    case ActivationKind::acosh:
      return {1, 1e18F};
    case ActivationKind::atanh:
      return {-0.999F, 0.999F};
    case ActivationKind::sinh:
    case ActivationKind::cosh:
    case ActivationKind::softplus:
    case ActivationKind::mish:
      return {-87, 87};
    case ActivationKind::gelu_tanh:
      return {-1e4F, 1e4F};
    default:  // everywhere
      return {-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  }
}

template <class Function>
HWY_INLINE void for_each_vector(ActivatedRows rows, const Function& function) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (rows.from_step == rows.width && rows.to_step == rows.width) {
    rows.width *= rows.count;
    rows.count = 1;
  }
  for (std::int64_t r = 0; r < rows.count; ++r) {
    std::int64_t i = 0;
    // Two at a time, since one after the other waits for the results of long functions.
    for (; i + 2 * lanes <= rows.width; i += 2 * lanes) {
      const V first = function(hn::LoadU(d, rows.from + i));
      const V second = function(hn::LoadU(d, rows.from + i + lanes));
      hn::StoreU(first, d, rows.to + i);
      hn::StoreU(second, d, rows.to + i + lanes);
    }
    if (i + lanes <= rows.width) {
      hn::StoreU(function(hn::LoadU(d, rows.from + i)), d, rows.to + i);
      i += lanes;
    }
    if (i < rows.width) {
      const int rest = static_cast<int>(rows.width - i);
      const V values = load_partial(d, rows.from + i, rest);
      // A value that exists stands for those that do not: zeros may be where a function is slow.
      const V last = constant(rows.from[rows.width - 1]);
      const auto exists = hn::FirstN(d, static_cast<std::size_t>(rest));
      store_partial(d, function(hn::IfThenElse(exists, values, last)), rows.to + i, rest);
    }
    rows.from += rows.from_step;
    rows.to += rows.to_step;
  }
}

/// Powers that networks have, by arithmetic; the others value by value.
void power(float exponent, const ActivatedRows& rows) {
  if (exponent == 2) {
    for_each_vector(rows, [](V x) HWY_ATTR { return hn::Mul(x, x); });
  } else if (exponent == 0.5F) {
    for_each_vector(rows, [](V x) HWY_ATTR { return hn::Sqrt(x); });
  } else if (exponent == -1) {
    for_each_vector(rows, [](V x) HWY_ATTR { return hn::Div(constant(1), x); });
  } else {
    for (std::int64_t r = 0; r < rows.count; ++r) {
      const float* const from = rows.from + r * rows.from_step;
      float* const to = rows.to + r * rows.to_step;
      for (std::int64_t i = 0; i < rows.width; ++i) to[i] = std::pow(from[i], exponent);
    }
  }
}

/// A vector of which some values lie outside of the good range.
template <ActivationKind kKind>
HWY_NOINLINE V apply_slowly(const Activation& activation, V x) {
  HWY_ALIGN float values[HWY_LANES(float)];
  hn::Store(x, D(), values);
  for (float& value : values) value = activation(value);
  return hn::Load(D(), values);
}

template <ActivationKind kKind>
void pass(const Activation& activation, const ActivatedRows& rows) {
  if (kKind == ActivationKind::none && rows.from == rows.to) return;
  if constexpr (kKind == ActivationKind::pow) return power(activation.alpha, rows);
  const V alpha = constant(activation.alpha);
  const V beta = constant(activation.beta);
  constexpr Range kRange = good_range<kKind>();
  if constexpr (kRange.low == -std::numeric_limits<float>::infinity()) {
    for_each_vector(rows, [&](V x) HWY_ATTR { return apply<kKind>(x, alpha, beta); });
  } else {
    for_each_vector(rows, [&](V x) HWY_ATTR {
      const auto is_good =
          hn::And(hn::Ge(x, constant(kRange.low)), hn::Le(x, constant(kRange.high)));
      if (HWY_LIKELY(hn::AllTrue(D(), is_good))) return apply<kKind>(x, alpha, beta);
      return apply_slowly<kKind>(activation, x);
    });
  }
}

template <std::size_t... kKinds>
constexpr auto passes(std::index_sequence<kKinds...>) {
  return std::array{&pass<static_cast<ActivationKind>(kKinds)>...};
}

void activate_rows(const Activation& activation, const ActivatedRows& rows) {
  static constexpr auto kPasses = passes(std::make_index_sequence<kActivationCount>());
  kPasses[static_cast<std::size_t>(activation.kind)](activation, rows);
}

void activate(const Activation& activation, float* data, std::int64_t count) {
  activate_rows(activation, ActivatedRows::in_place(data, count, 1, count));
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt {

CONVOPT_EXPORT(activate);
ActivateFunction activate_function(Isa isa) { return CONVOPT_DISPATCH(activate, isa); }

CONVOPT_EXPORT(activate_rows);
ActivateRowsFunction activate_rows_function(Isa isa) {
  return CONVOPT_DISPATCH(activate_rows, isa);
}

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
