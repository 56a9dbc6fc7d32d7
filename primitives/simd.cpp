#include "primitives/own.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/simd.cpp"
#include "primitives/simd.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {

int lanes() {
  return static_cast<int>(hwy::HWY_NAMESPACE::Lanes(hwy::HWY_NAMESPACE::ScalableTag<float>()));
}

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt {

CONVOPT_EXPORT(lanes);
int simd_lanes(Isa isa) { return CONVOPT_DISPATCH(lanes, isa)(); }

}  // namespace convopt
#endif
