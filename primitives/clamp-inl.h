// Limits that let NaN pass, as those of ONNX do. Included once per instruction set, from inside
// files that include simd.h.
#if defined(CONVOPT_CLAMP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_CLAMP_INL_H_
#undef CONVOPT_CLAMP_INL_H_
#else
#define CONVOPT_CLAMP_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

/// x, but at least `low`. On x86 the second operand passes where one is NaN; Highway's maximum on
/// Arm is the number of the two.
template <class V>
HWY_INLINE V at_least(V low, V x) {
#if HWY_ARCH_X86
  return hwy::HWY_NAMESPACE::Max(low, x);
#else
  return hwy::HWY_NAMESPACE::IfThenElse(hwy::HWY_NAMESPACE::Lt(x, low), low, x);
#endif
}

/// x, but at most `high`.
template <class V>
HWY_INLINE V at_most(V high, V x) {
#if HWY_ARCH_X86
  return hwy::HWY_NAMESPACE::Min(high, x);
#else
  return hwy::HWY_NAMESPACE::IfThenElse(hwy::HWY_NAMESPACE::Gt(x, high), high, x);
#endif
}

template <class V>
HWY_INLINE V clamp(V low, V high, V x) {
  return at_most(high, at_least(low, x));
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
