// The exponential of a vector's negative, its sigmoid, and the product of that with the vector.
// Included once per instruction set, from inside files that include simd.h.
#if defined(CONVOPT_SIGMOID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_SIGMOID_INL_H_
#undef CONVOPT_SIGMOID_INL_H_
#else
#define CONVOPT_SIGMOID_INL_H_
#endif

#include "primitives/clamp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3

/// exp(-x), up to infinity, with relative error 2^-22 + 2^-23 |x|, from the one rounding of the
/// power of two.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V exp_minus(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto constant = [d](float value) HWY_ATTR { return hn::Set(d, value); };
  // exp(-x) = 2^power = 2^floor(power) 2^fraction. Both instructions that take a power apart and
  // put it together are right for infinities and NaN, so that no argument has to be clamped.
  const V power = hn::Mul(x, constant(-1.44269504F));
  constexpr int kMinusFloor = 1 | 8;  // rounding down, no exceptions
  const V fraction{_mm512_reduce_ps(power.raw, kMinusFloor)};
  // 2^fraction by Remez's algorithm with relative error 2^-23.5, and none at 0.
  V e = constant(0.00186713021F);
  e = hn::MulAdd(e, fraction, constant(0.00901703002F));
  e = hn::MulAdd(e, fraction, constant(0.0557999133F));
  e = hn::MulAdd(e, fraction, constant(0.24016445F));
  e = hn::MulAdd(e, fraction, constant(0.693151312F));
  e = hn::MulAdd(e, fraction, constant(1));
  return V{_mm512_scalef_ps(e.raw, power.raw)};
}

/// 1 + exp(-x). The error of its reciprocal stays below 2^-23.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V one_plus_exp_minus(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::Add(exp_minus(d, x), hn::Set(d, 1));
}

#else

/// A number is its product.
template <class V>
struct Factors {
  V number, power_of_two;
};

/// exp(-x) for x between -87 and 87, and for others that of the nearer end: beyond, the exponential
/// leaves the range of normal numbers. Its relative error is 2^-22 + 2^-26 |x| where products are
/// added without a rounding between, from log2(e) in one number, else 2^-22 + 2^-23 |x|.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE Factors<V> exp_minus_factors(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto constant = [d](float value) HWY_ATTR { return hn::Set(d, value); };
  x = clamp(constant(-87.0F), constant(87.0F), x);
  // exp(-x) = 2^n 2^fraction. A number of this size has no bits behind the point: adding it leaves
  // n, the whole number nearest to -x log2(e), and in its last bits the exponent of 2^n.
  const V large = constant(12582912.0F + 127);
  const V shifted = hn::NegMulAdd(x, constant(1.44269504F), large);
  const V n = hn::Sub(shifted, large);
  const V power_of_two =
      hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(hn::RebindToSigned<D>(), shifted)));
  const V fraction = hn::NegMulSub(x, constant(1.44269504F), n);
  // 2^fraction by Remez's algorithm for |fraction| <= 1/2 with relative error 2^-23.1, and none
  // at 0.
  V e = constant(0.00132647273F);
  e = hn::MulAdd(e, fraction, constant(0.00967151299F));
  e = hn::MulAdd(e, fraction, constant(0.0555073358F));
  e = hn::MulAdd(e, fraction, constant(0.240222424F));
  e = hn::MulAdd(e, fraction, constant(0.693147004F));
  e = hn::MulAdd(e, fraction, constant(1));
  return {e, power_of_two};
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V exp_minus(D d, V x) {
  const Factors<V> factors = exp_minus_factors(d, x);
  return hwy::HWY_NAMESPACE::Mul(factors.number, factors.power_of_two);
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V one_plus_exp_minus(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const Factors<V> factors = exp_minus_factors(d, x);
  return hn::MulAdd(factors.number, factors.power_of_two, hn::Set(d, 1));
}

#endif

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::Div(hn::Set(d, 1), one_plus_exp_minus(d, x));
}

/// x sigmoid(x).
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V swish(D d, V x) {
  return hwy::HWY_NAMESPACE::Div(x, one_plus_exp_minus(d, x));
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
