#include "primitives/cost.h"

namespace convopt::pointwise {

// Streams: a few operations per element of the result.
void cost(const Workload& workload, const PrimitiveInfo&, int, WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const auto elements = static_cast<double>(workload.output().elements());
  switch (workload.op) {
    case Op::conv:
    case Op::fully_connected:
      break;
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      work.transform_flops += elements * s.kh * s.kw;
      break;
    case Op::softmax:
      work.transform_flops += 30 * elements;
      break;
    case Op::lrn:
      work.transform_flops += elements * (s.kh + 40);  // window sum and a power
      break;
    case Op::upsample_bilinear:
    case Op::upsample_corners:
    case Op::layer_norm:
      work.transform_flops += 8 * elements;
      break;
    case Op::convert:
    case Op::activation:
    case Op::add:
    case Op::concat:
    case Op::upsample_nearest:
    case Op::multiply:
    case Op::subtract:
    case Op::divide:
    case Op::slice:
    case Op::shuffle:
    case Op::pad:
    case Op::depth_to_space:
    case Op::transpose:
      work.transform_flops += elements;
      break;
  }
}

}  // namespace convopt::pointwise
