// Lanes of several vectors put together. Included once per instruction set, from inside files that
// include simd.h.
#if defined(CONVOPT_GEMM_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_GEMM_LANES_INL_H_
#undef CONVOPT_GEMM_LANES_INL_H_
#else
#define CONVOPT_GEMM_LANES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

/// Combines the lanes of each of four vectors, to one of the first four lanes: a third of the work
/// of four times one vector.
template <class D, class Combine, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V combine_lanes(D d, V a, V b, V c, V e, const Combine& combine) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Repartition<double, D> pairs;
  const auto ab = combine(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const auto ce = combine(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
  const auto low = hn::BitCast(pairs, ab), high = hn::BitCast(pairs, ce);
  auto all = combine(hn::BitCast(d, hn::InterleaveLower(pairs, low, high)),
                     hn::BitCast(d, hn::InterleaveUpper(pairs, low, high)));
  if constexpr (hn::MaxLanes(D()) > 8) all = combine(all, hn::ReverseBlocks(d, all));
  if constexpr (hn::MaxLanes(D()) > 4) all = combine(all, hn::SwapAdjacentBlocks(all));
  return all;
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
