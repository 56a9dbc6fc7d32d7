#include "model/cost_terms.h"

#include <algorithm>

#include "core/ops/descriptor.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, kCostTerms> kNames = {
    "call",          "arithmetic",  "transforms", "tiles",   "tensors",  "weights",
    "weights_again", "image_again", "border",     "results", "unaligned"};

// Share of an array that half of the L2 cache does not hold.
double share_beyond_l2(double bytes, const Capabilities& machine) {
  return bytes > 0 ? std::max(0.0, 1 - 0.5 * machine.l2_bytes / bytes) : 0.0;
}

}  // namespace

std::span<const std::string_view> cost_term_names() { return kNames; }

CostTerms cost_terms(const WorkEstimate& work, double unaligned, const Capabilities& machine,
                     TimingMode mode) {
  const AnalyticTime time = analytic_time(work, machine, mode);
  // Entering and leaving a tile: a few instructions per value of its result.
  constexpr double kFlopsPerTile = 400;
  // A store of a single value for each of a vector.
  constexpr double kFlopsPerUnaligned = 100;
  const double rate = 0.5 * (1 / machine.l2_per_ns + 1 / machine.l3_per_ns);
  CostTerms terms{};
  terms[0] = 100.0 + 1000.0 * (machine.threads - 1);
  terms[1] = time.compute_ns;
  terms[2] = time.transform_ns;
  terms[3] = work.tiles * kFlopsPerTile / machine.flops_per_ns;
  terms[4] = time.source_ns;
  terms[5] = time.weight_ns;
  terms[6] =
      share_beyond_l2(work.weight_bytes, machine) * work.weight_bytes * work.pixel_tiles * rate;
  terms[7] =
      share_beyond_l2(work.input_bytes, machine) * work.input_bytes * work.channel_tiles * rate;
  terms[8] = 8 * work.border / machine.flops_per_ns;
  terms[9] = time.result_ns;
  terms[10] = kFlopsPerUnaligned * unaligned / machine.flops_per_ns;
  return terms;
}

double unaligned_results(const Workload& workload, const PrimitiveInfo& primitive) {
  const TensorShape output = as_image(workload.output());
  const int pixels = output.h() * output.w();
  const bool plain = primitive.output_layout == Layout::nchw;
  const int run = plain ? pixels : output.c();
  const int tile = plain ? primitive.traits.tile_pixels : primitive.traits.tile_oc;
  const bool aligned = channel_block(primitive.output_layout) > 1 || tile <= 1 || run % tile == 0;
  return aligned ? 0 : double(output.elements());
}

}  // namespace convopt
