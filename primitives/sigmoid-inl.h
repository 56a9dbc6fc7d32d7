// The sigmoid of a vector. Included once per instruction set, from inside files that include
// simd.h.
#if defined(CONVOPT_SIGMOID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_SIGMOID_INL_H_
#undef CONVOPT_SIGMOID_INL_H_
#else
#define CONVOPT_SIGMOID_INL_H_
#endif

#include "primitives/clamp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

/// The exponential of -87 to 87, where it and its factors are normal numbers, and of NaN: a third
/// of the instructions of Highway's, which has to mind the others. Off by at most two roundings.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V exponential_of_bounded(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  // x = n log(2) + r, where log(2) is two numbers whose first has few enough bits for n times it to
  // be exact.
  const auto n = hn::NearestInt(hn::Mul(x, hn::Set(d, 1.44269504F)));
  const V whole = hn::ConvertTo(d, n);
  V r = hn::NegMulAdd(whole, hn::Set(d, 0.693359375F), x);
  r = hn::NegMulAdd(whole, hn::Set(d, -2.12194440e-4F), r);
  // The series to r^7, whose next term is below 2^-27 for |r| <= log(2) / 2.
  V p = hn::Set(d, 1.0F / 5040);
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F / 720));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F / 120));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F / 24));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F / 6));
  p = hn::MulAdd(p, r, hn::Set(d, 0.5F));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1)));
  // 2^n by adding to the exponent, which NaN has none of.
  const auto bits = hn::BitCast(hn::RebindToSigned<D>(), p);
  const V result = hn::BitCast(d, hn::Add(bits, hn::ShiftLeft<23>(n)));
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  // Beyond 87 the exponential leaves the range of normal numbers; the result is 0 or 1 to single
  // precision long before.
  const V bounded = clamp(hn::Set(d, -87.0F), hn::Set(d, 87.0F), hn::Neg(x));
  const V divisor = hn::Add(hn::Set(d, 1), exponential_of_bounded(d, bounded));
#if HWY_TARGET == HWY_AVX3
  // A quotient of 16 numbers takes as long as all the rest. The reciprocal is good to 2^-14, one
  // step of Newton's method squares that.
  const V reciprocal = hn::ApproximateReciprocal(divisor);
  return hn::Mul(reciprocal, hn::NegMulAdd(divisor, reciprocal, hn::Set(d, 2)));
#else
  return hn::Div(hn::Set(d, 1), divisor);
#endif
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
