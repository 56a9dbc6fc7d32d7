#include "model/analytic.h"

#include <algorithm>
#include <cmath>

namespace convopt {
namespace {

double known(double value, double otherwise) { return value > 0 ? value : otherwise; }

}  // namespace

Capabilities Capabilities::of(const Platform& platform) {
  const Machine& m = platform.machine;
  Capabilities c;
  c.vector = vector_floats(platform.isa);
  c.threads = std::max(1, platform.threads);
  // Two multiply-adds per cycle at 3 GHz, and the loads and stores that usually come with them:
  // likely enough for a first guess that the samples correct.
  c.flops_per_ns = known(m.peak_gflops, 4.0 * c.vector * 3.0 * c.threads);
  // Instructions that multiply numbers of half the size multiply two for one.
  c.bf16_flops_per_ns = known(m.peak_bf16_gflops, 2 * c.flops_per_ns);
  c.int8_ops_per_ns = known(m.peak_int8_gops, 4 * c.flops_per_ns);
  c.l1_per_ns = known(m.l1_gbps, 2.0 * c.flops_per_ns);
  c.l2_per_ns = known(m.l2_gbps, 0.5 * c.l1_per_ns);
  c.l3_per_ns = known(m.l3_gbps, 0.5 * c.l2_per_ns);
  c.memory_per_ns = known(m.memory_gbps, std::min(12.0, c.l3_per_ns));
  c.l1_bytes = known(double(m.l1d_bytes), 32 << 10);
  c.l2_bytes = known(double(m.l2_bytes), 512 << 10);
  c.l3_bytes = known(double(m.l3_bytes), 4 << 20);
  return c;
}

AnalyticTime analytic_time(const WorkEstimate& work, const Capabilities& machine, TimingMode mode) {
  // Calling a kernel and, with several threads, waking them.
  const double call_ns = 100.0 + 1000.0 * (machine.threads - 1);
  // Transforms and element-wise loops reach about a quarter of the peak: no multiply-adds in pairs,
  // shuffles between them.
  constexpr double kElementwiseShare = 0.25;

  AnalyticTime time;
  time.compute_ns =
      work.flops / machine.product_flops_per_ns(work.product_type, work.vector_products);
  time.transform_ns = work.transform_flops / (kElementwiseShare * machine.flops_per_ns);

  // The part of the working set that a level holds is read from there.
  const double cold = mode == TimingMode::cold_weights ? work.weight_bytes : 0;
  const double set = std::max(1.0, work.traffic() - work.packed_bytes - cold);
  const double in_l1 = std::min(1.0, machine.threads * machine.l1_bytes / set);
  const double in_l2 = std::max(in_l1, std::min(1.0, machine.threads * machine.l2_bytes / set));
  const double in_l3 = std::max(in_l2, std::min(1.0, machine.l3_bytes / set));
  const double ns_per_byte = in_l1 / machine.l1_per_ns + (in_l2 - in_l1) / machine.l2_per_ns +
                             (in_l3 - in_l2) / machine.l3_per_ns +
                             (1 - in_l3) / machine.memory_per_ns;
  time.result_ns = work.output_bytes * ns_per_byte;
  time.source_ns = (work.traffic() - work.weight_bytes - work.output_bytes) * ns_per_byte;
  time.weight_ns = cold / machine.memory_per_ns + (work.weight_bytes - cold) * ns_per_byte;
  time.memory_ns = time.source_ns + time.result_ns + time.weight_ns;

  // Arithmetic hides memory and the other way round, but never all of it.
  const double longer = std::max(time.compute_ns, time.memory_ns);
  const double shorter = std::min(time.compute_ns, time.memory_ns);
  const double ns = call_ns + longer + 0.5 * shorter + time.transform_ns;
  time.ns = std::isfinite(ns) ? std::clamp(ns, call_ns, 1e15) : 1e15;
  return time;
}

}  // namespace convopt
