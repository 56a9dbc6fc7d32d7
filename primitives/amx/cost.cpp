#include "primitives/cost_parts.h"

namespace convopt::amx {

// Steps of 64 bytes of input channels; images with padding, or that are no whole steps wide, are
// copied first.
void cost(const Workload& workload, const PrimitiveInfo& primitive, int vector,
          WorkEstimate& work) {
  count_product(workload, primitive, vector, PixelRuns::across_rows, work);
  const ConvShape& s = workload.shape;
  const double step = 64.0 / static_cast<double>(element_bytes(primitive.input_type));
  const double channels = double(s.ic) / s.groups;
  const double filled = round_up_to(channels, step) / channels;
  work.flops *= filled;
  work.fill /= filled;
  work.weight_bytes *= filled;
  const bool padded = s.pad_top + s.pad_bottom + s.pad_left + s.pad_right > 0;
  if (padded || filled > 1) work.packed_bytes = work.input_bytes * filled;
  // Sums are scaled, rounded and packed.
  constexpr double kPerResult = 4;
  work.transform_flops += kPerResult * double(s.n) * s.oc * s.oh() * s.ow();
}

}  // namespace convopt::amx
