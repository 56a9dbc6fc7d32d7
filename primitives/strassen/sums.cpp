#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/strassen/sums.cpp"
#include "primitives/simd.h"

#include "primitives/clamp-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/strassen/sums.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::strassen::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using convopt::HWY_NAMESPACE::load_partial;
using convopt::HWY_NAMESPACE::store_partial;

template <int kPlus, int kMinus>
void add_rows(const Sum& sum) {
  const hn::ScalableTag<float> d;
  constexpr int kLanes = HWY_LANES(float);
  const auto low = hn::Set(d, sum.low), high = hn::Set(d, sum.high);
  for (int row = 0; row < sum.rows; ++row) {
    const float* plus[kPlus];
    const float* minus[kMinus + 1];
    for (int i = 0; i < kPlus; ++i) plus[i] = sum.plus[i].data + row * sum.plus[i].stride;
    for (int i = 0; i < kMinus; ++i) minus[i] = sum.minus[i].data + row * sum.minus[i].stride;
    float* const to = sum.to + row * sum.to_stride;
    const auto total = [&](int at, const auto& load) HWY_ATTR {
      auto value = load(plus[0] + at);
#pragma GCC unroll 4
      for (int i = 1; i < kPlus; ++i) value = hn::Add(value, load(plus[i] + at));
#pragma GCC unroll 2
      for (int i = 0; i < kMinus; ++i) value = hn::Sub(value, load(minus[i] + at));
      return sum.clamp ? clamp(low, high, value) : value;
    };
    int at = 0;
    for (; at + kLanes <= sum.columns; at += kLanes) {
      hn::StoreU(total(at, [&](const float* from) HWY_ATTR { return hn::LoadU(d, from); }), d,
                 to + at);
    }
    const int rest = sum.columns - at;
    if (rest == 0) continue;
    store_partial(
        d, total(at, [&](const float* from) HWY_ATTR { return load_partial(d, from, rest); }),
        to + at, rest);
  }
}

template <int kPlus>
void add_with(const Sum& sum) {
  switch (sum.minus_count) {
    case 0:
      return add_rows<kPlus, 0>(sum);
    case 1:
      return add_rows<kPlus, 1>(sum);
    default:
      return add_rows<kPlus, 2>(sum);
  }
}

void add_up(const Sum& sum) {
  switch (sum.plus_count) {
    case 1:
      return add_with<1>(sum);
    case 2:
      return add_with<2>(sum);
    case 3:
      return add_with<3>(sum);
    default:
      return add_with<4>(sum);
  }
}

}  // namespace convopt::strassen::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::strassen {

CONVOPT_EXPORT(add_up);
SumFunction sum_function(Isa isa) { return CONVOPT_DISPATCH(add_up, isa); }

}  // namespace convopt::strassen
#endif
