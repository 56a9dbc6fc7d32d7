// The door to Highway: which instruction sets are compiled and how a kernel picks one at run time.
//
// A file with SIMD code is compiled once per instruction set and has this form:
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "primitives/FAMILY/FILE.cpp"
//   #include "primitives/simd.h"  // before other headers; they need ordinary include guards
//
//   HWY_BEFORE_NAMESPACE();
//   namespace convopt::FAMILY::HWY_NAMESPACE {
//   namespace hn = hwy::HWY_NAMESPACE;
//   void scale(float* data, std::int64_t count) { ... }   // everything that depends on the ISA
//   }  // namespace
//   HWY_AFTER_NAMESPACE();
//
//   #if HWY_ONCE
//   namespace convopt::FAMILY {
//   CONVOPT_EXPORT(scale);
//   auto* scale_function = CONVOPT_DISPATCH(scale, context.isa);   // in a function
//   }
//   #endif
//
// What a primitive's factory or applicability calls, such as a list of kernels and their tile
// sizes, stands behind HWY_AFTER_NAMESPACE in a second namespace of that name: a plan for other
// processors asks for it at levels that this one cannot execute.
//
// The level comes from the Context that a kernel was prepared for, never from a process-wide
// choice, so one process can run and compare all levels. Lambdas inside the SIMD part need
// HWY_ATTR. OpenMP loops belong into the HWY_ONCE part: they are compiled once and call through the
// function pointer.
//
// No `#pragma once`: foreach_target.h must see every inclusion.

// x86 without compiler flags would make Highway add an emulated target below SSE4. Every processor
// that convopt serves has SSE4.2, so that is the floor. Scalable vectors cannot be array elements,
// which the register tiles need.
#ifndef CONVOPT_SIMD_H_
#define CONVOPT_SIMD_H_
#include "hwy/detect_compiler_arch.h"
#if HWY_ARCH_X86
#define HWY_BASELINE_TARGETS HWY_SSE4
#endif
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif  // CONVOPT_SIMD_H_

// clang-format off: the order matters
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on

#ifndef CONVOPT_SIMD_DISPATCH_
#define CONVOPT_SIMD_DISPATCH_

#include <cstddef>
#include <cstdint>

#include "convopt/platform.hpp"

namespace convopt {

/// Highway's targets that a level may use, in the form of HWY_TARGETS.
constexpr std::int64_t simd_targets(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return HWY_AVX3 | HWY_AVX2 | HWY_SSE4;
    case Isa::avx2:
      return HWY_AVX2 | HWY_SSE4;
    case Isa::sse4:
      return HWY_SSE4;
    case Isa::neon:
      return HWY_NEON;
    case Isa::scalar:
      break;
  }
  return 0;  // the entry of the lowest compiled target
}

/// Index of the function for `isa` in the table of CONVOPT_EXPORT. Force-inlined into the calling
/// file, because the table's form depends on the targets compiled there.
HWY_INLINE std::size_t simd_index(Isa isa) {
  if constexpr ((HWY_TARGETS & (HWY_TARGETS - 1)) == 0) {
    static_cast<void>(isa);
    return 0;
  } else {
    hwy::ChosenTarget chosen;
    chosen.Update(simd_targets(isa));
    return chosen.GetIndex();
  }
}

}  // namespace convopt

/// Table of what FUNCTION was compiled to, as HWY_EXPORT makes it but for the first entry, which
/// would find out the level at the first call. Nothing here needs that, and without it Highway is
/// headers alone: its library reads the time for 2.4 ms when it is loaded, to learn the clock's
/// resolution.
#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
#define CONVOPT_EXPORT(FUNCTION) HWY_EXPORT(FUNCTION)
#else
#define CONVOPT_EXPORT(FUNCTION)                                                           \
  static decltype(&HWY_STATIC_DISPATCH(FUNCTION)) const HWY_DISPATCH_TABLE(FUNCTION)[] = { \
      nullptr, HWY_CHOOSE_TARGET_LIST(FUNCTION), HWY_CHOOSE_FALLBACK(FUNCTION)}
#endif

/// Pointer to the function exported by CONVOPT_EXPORT(FUNCTION) in this file, compiled for `isa`.
#define CONVOPT_DISPATCH(FUNCTION, isa) (HWY_DISPATCH_TABLE(FUNCTION)[::convopt::simd_index(isa)])

#endif  // CONVOPT_SIMD_DISPATCH_
