#include "primitives/sharing.h"

#include <algorithm>

#include "core/work.h"
#include "primitives/own.h"

namespace convopt {
namespace {

/// The work of a workload in shares that are worth a thread each.
double shares(const Primitive& primitive, const Workload& workload, Isa isa) {
  const WorkEstimate work = estimate_work(workload, primitive.info(), simd_lanes(isa));
  // A value that is moved is read once and written once; two operations are a product. What fills
  // up tiles of small images is not there to be shared.
  const double values = work.traffic() / (2 * sizeof(float));
  const double products = (std::min(work.flops, work.nominal_flops) + work.transform_flops) / 2;
  return std::max(values / double{kLeastValues}, products / double{kLeastProducts});
}

}  // namespace

Context context_of(const Primitive& primitive, const Workload& workload, const Context& context) {
  if (context.threads == 1 || shares(primitive, workload, context.isa) >= 2) return context;
  Context alone = context;
  alone.threads = 1;
  // What oneDNN has depends on the number of threads.
  return primitive.applicability(workload, alone) ? alone : context;
}

}  // namespace convopt
