// Vectors of which only the first `count` values exist in memory, 0 < count < lanes. Nothing beyond
// them is touched. Included once per instruction set, from inside files that include simd.h.
#if defined(CONVOPT_GEMM_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVOPT_GEMM_PARTIAL_INL_H_
#undef CONVOPT_GEMM_PARTIAL_INL_H_
#else
#define CONVOPT_GEMM_PARTIAL_INL_H_
#endif

#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

// Masked loads and stores of AVX2 and AVX-512 do not fault on lanes that are off; elsewhere Highway
// reads the whole vector, so the values go through a buffer.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
inline constexpr bool kMasksProtect = true;
#else
inline constexpr bool kMasksProtect = false;
#endif

template <class D, class T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load_partial(D d, const T* from, int count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (kMasksProtect) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, from);
  } else {
    HWY_ALIGN T buffer[hn::MaxLanes(D())] = {};
    std::memcpy(buffer, from, static_cast<std::size_t>(count) * sizeof(T));
    return hn::Load(d, buffer);
  }
}

template <class D, class T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE void store_partial(D d, hwy::HWY_NAMESPACE::Vec<D> value, T* to, int count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (kMasksProtect) {
    hn::BlendedStore(value, hn::FirstN(d, static_cast<std::size_t>(count)), d, to);
  } else {
    HWY_ALIGN T buffer[hn::MaxLanes(D())];
    hn::Store(value, d, buffer);
    std::memcpy(to, buffer, static_cast<std::size_t>(count) * sizeof(T));
  }
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
