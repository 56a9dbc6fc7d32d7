#include "core/scaled_convolution.h"

namespace convopt {

std::optional<Workload> scaled_convolution(const Workload& product, const Workload& convolution) {
  if (product.op != Op::multiply || convolution.op != Op::conv || convolution.scaled) return {};
  if (!product.is_image() || product.epilogue != Epilogue{} ||
      convolution.shape.input() != product.first || product.input_type != DataType::f32 ||
      product.output_type != DataType::f32) {
    return {};
  }
  Workload scaled = convolution;
  scaled.scaled = true;
  if (product.second != scaled.source(1) || !scaled.validate()) return {};
  return scaled;
}

}  // namespace convopt
