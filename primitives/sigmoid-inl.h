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

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto constant = [d](float value) HWY_ATTR { return hn::Set(d, value); };
  // 1 / (1 + exp(-x)). Beyond 87 the exponential leaves the range of normal numbers; the result is
  // 0 or 1 to single precision long before.
  x = clamp(constant(-87.0F), constant(87.0F), x);
  // -x = n log(2) + r. A number of this size has no bits behind the point: adding it leaves n
  // nearest to the quotient, and in its last bits the exponent of 2^n.
  const V large = constant(12582912.0F + 127);
  const V shifted = hn::NegMulAdd(x, constant(1.44269504F), large);
  const V n = hn::Sub(shifted, large);
  const V power_of_two =
      hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(hn::RebindToSigned<D>(), shifted)));
  // log(2) is two numbers, of which the first has few enough bits for n times it to be exact.
  V r = hn::NegMulSub(n, constant(0.693359375F), x);
  r = hn::NegMulAdd(n, constant(-2.12194440e-4F), r);
  // exp(r) by Remez's algorithm with relative error 2^-29 for |r| <= log(2) / 2.
  V e = constant(0.0013836742F);
  e = hn::MulAdd(e, r, constant(0.0083748987F));
  e = hn::MulAdd(e, r, constant(0.041668233F));
  e = hn::MulAdd(e, r, constant(0.1666642F));
  e = hn::MulAdd(e, r, constant(0.4999999F));
  e = hn::MulAdd(e, r, constant(1));
  e = hn::MulAdd(e, r, constant(1));
  const V divisor = hn::MulAdd(e, power_of_two, constant(1));
#if HWY_TARGET == HWY_AVX3
  // A quotient of 16 numbers takes as long as all the rest. The reciprocal is good to 2^-14, one
  // step of Newton's method squares that.
  const V reciprocal = hn::ApproximateReciprocal(divisor);
  return hn::Mul(reciprocal, hn::NegMulAdd(divisor, reciprocal, constant(2)));
#else
  return hn::Div(constant(1), divisor);
#endif
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
