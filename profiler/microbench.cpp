#include "profiler/microbench.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "profiler/microbench.cpp"
#include "primitives/simd.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Enough chains for latency times throughput (Zen 4: 4 cycles x 2, Golden Cove: 4 x 2, Neoverse V1:
// 4 x 4), few enough for the registers, 16 below AVX-512.
#if HWY_ARCH_ARM
constexpr int kChains = 20;
#else
constexpr int kChains = 12;
#endif

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

float multiply_add(std::int64_t iterations) {
  const Tag tag;
  // Converges to a fixed point, so no value ever overflows or becomes denormal.
  const Vector factor = hn::Set(tag, 0.5F);
  const Vector term = hn::Set(tag, 1.0F);
  Vector chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = hn::Set(tag, static_cast<float>(i));
  for (std::int64_t n = 0; n < iterations; ++n) {
    for (int i = 0; i < kChains; ++i) chains[i] = hn::MulAdd(chains[i], factor, term);
  }
  for (int i = 1; i < kChains; ++i) chains[0] = hn::Add(chains[0], chains[i]);
  return hn::GetLane(chains[0]);
}

float read(const float* data, std::size_t count) {
  const Tag tag;
  constexpr int kSums = 8;
  Vector sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = hn::Zero(tag);
  const std::size_t lanes = hn::Lanes(tag);
  for (std::size_t n = 0; n < count; n += kSums * lanes) {
    for (std::size_t i = 0; i < kSums; ++i) {
      sums[i] = hn::Add(sums[i], hn::Load(tag, data + n + i * lanes));
    }
  }
  for (int i = 1; i < kSums; ++i) sums[0] = hn::Add(sums[0], sums[i]);
  return hn::GetLane(sums[0]);
}

double flops_per_iteration() { return 2.0 * kChains * static_cast<double>(hn::Lanes(Tag())); }

}  // namespace convopt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt {

CONVOPT_EXPORT(multiply_add);
CONVOPT_EXPORT(read);
CONVOPT_EXPORT(flops_per_iteration);

Microbench microbench(Isa isa) {
  return {CONVOPT_DISPATCH(multiply_add, isa), CONVOPT_DISPATCH(flops_per_iteration, isa)(),
          CONVOPT_DISPATCH(read, isa)};
}

}  // namespace convopt
#endif
