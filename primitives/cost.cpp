#include "primitives/cost.h"

#include <algorithm>
#include <iterator>

#include "core/ops/descriptor.h"
#include "primitives/cost_parts.h"

namespace convopt {

#define CONVOPT_COST(name)   \
  namespace name {           \
  extern CostStructure cost; \
  }
#include "primitives/primitives.inc"

namespace {

constexpr std::string_view kNames[] = {
#define CONVOPT_COST(name) #name,
#include "primitives/primitives.inc"
};
constexpr CostStructure* kStructures[] = {
#define CONVOPT_COST(name) name::cost,
#include "primitives/primitives.inc"
};

CostStructure* structure_of(const PrimitiveInfo& primitive) {
  const auto named = std::ranges::find(kNames, std::string_view(primitive.traits.cost));
  if (named != std::end(kNames)) return kStructures[named - std::begin(kNames)];
  if (primitive.op == Op::conv) return direct::cost;
  return primitive.op == Op::fully_connected ? gemm::cost : pointwise::cost;
}

double bytes_of(const TensorShape& shape, DataType type, Layout layout) {
  return static_cast<double>(element_bytes(type)) *
         static_cast<double>(padded_elements(shape, layout));
}

// Arithmetic per element, in multiply-adds' worth: exponentials cost a polynomial.
double activation_flops(ActivationKind kind, bool cheap_exponentials) {
  switch (kind) {
    case ActivationKind::none:
      return 0;
    case ActivationKind::relu:
    case ActivationKind::clip:
    case ActivationKind::abs:
    case ActivationKind::sign:
    case ActivationKind::floor:
    case ActivationKind::ceil:
    case ActivationKind::round:
    case ActivationKind::truncate:
    case ActivationKind::thresholded_relu:
    case ActivationKind::is_zero:
    case ActivationKind::is_nan:
      return 1;
    case ActivationKind::leaky_relu:
    case ActivationKind::hard_sigmoid:
    case ActivationKind::hard_swish:
    case ActivationKind::softsign:
    case ActivationKind::shrink:
    case ActivationKind::quantise:
      return 4;
    case ActivationKind::elu:
    case ActivationKind::selu:
    case ActivationKind::celu:
    case ActivationKind::tanh:
    case ActivationKind::log:
    case ActivationKind::sin:
    case ActivationKind::cos:
    case ActivationKind::asin:
    case ActivationKind::acos:
    case ActivationKind::atan:
    case ActivationKind::sinh:
    case ActivationKind::mish:
    case ActivationKind::gelu_tanh:
      return 24;
    case ActivationKind::sigmoid:
    case ActivationKind::swish:
      return cheap_exponentials ? 10 : 24;
    case ActivationKind::gelu:
    case ActivationKind::erf:
    case ActivationKind::exp:
    case ActivationKind::pow:
    case ActivationKind::tan:
    case ActivationKind::cosh:
    case ActivationKind::asinh:
    case ActivationKind::acosh:
    case ActivationKind::atanh:
    case ActivationKind::softplus:
      return 40;
  }
  return 1;
}

}  // namespace

std::span<const std::string_view> cost_names() { return kNames; }

WorkEstimate estimate_work(const Workload& workload, const PrimitiveInfo& primitive, int vector) {
  WorkEstimate work;
  const TensorShape output = workload.output();
  for (int i = 0; i < workload.source_count(); ++i) {
    work.input_bytes += bytes_of(workload.source(i), primitive.input_type, primitive.input_layout);
  }
  work.output_bytes = bytes_of(output, primitive.output_type, primitive.output_layout);
  if (workload.epilogue.residual) work.residual_bytes = work.output_bytes;
  const TensorShape image = as_image(output);
  work.m = double(image.n()) * image.h() * image.w();
  work.n = image.c();
  work.transform_flops =
      static_cast<double>(output.elements()) *
      (activation_flops(workload.epilogue.activation.kind, primitive.traits.cheap_exponentials) +
       (workload.epilogue.residual ? 1 : 0));
  structure_of(primitive)(workload, primitive, vector, work);
  // Weights times the factors of an image, from L2 to L2.
  constexpr double kFlopsPerScaledWeight = 4;
  if (workload.scaled) {
    work.transform_flops +=
        workload.shape.n * work.weight_bytes / kFloatBytes * kFlopsPerScaledWeight;
  }
  // Cost structures count weights as floats; packed, they are of the type that they are rounded to.
  work.product_type = primitive.traits.product_type;
  work.vector_products = primitive.traits.vector_products;
  work.weight_bytes *=
      static_cast<double>(element_bytes(primitive.traits.type_of_weights())) / kFloatBytes;
  return work;
}

void count_product(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                   PixelRuns runs, WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const double taps = taps_of(s), rows = double(s.n) * s.oh(), row = s.ow();
  work.nominal_flops = s.flops();
  work.packed_bytes = primitive.traits.packed_bytes_per_input_byte * work.input_bytes;
  work.m = rows * row;
  work.n = double(s.oc) / s.groups;
  if (s.is_depthwise()) {
    const double channels =
        round_up_to(s.oc, std::max<double>(vector, channel_block(primitive.output_layout)));
    work.n = s.oc;
    work.k = taps;
    work.flops = 2 * work.m * channels * taps;
    work.fill = s.oc / channels;
    work.tiles = work.m * channels / vector;
    work.weight_bytes = kFloatBytes * channels * taps;
    return;
  }
  const RegisterTile tile = RegisterTile::of(primitive, vector);
  const bool across = runs == PixelRuns::across_rows;
  const double pixels =
      across ? round_up_to(work.m, tile.pixels) : rows * round_up_to(row, tile.pixels);
  const double whole_pixels = across ? std::floor(work.m / tile.pixels) * tile.pixels
                                     : rows * std::floor(row / tile.pixels) * tile.pixels;
  const double oc = round_up_to(work.n, tile.channels);
  const double whole_channels = std::floor(work.n / tile.channels) * tile.channels;
  // Blocked inputs carry zeros that are multiplied like everything else.
  const double ic = s.groups == 1
                        ? static_cast<double>(padded_channels(s.ic, primitive.input_layout))
                        : double(s.ic) / s.groups;
  work.k = double(s.ic) / s.groups * taps;
  work.flops = 2 * pixels * oc * ic * taps * s.groups;
  work.fill = work.m * work.n / (pixels * oc);
  work.pixel_tiles = pixels / tile.pixels;
  work.channel_tiles = oc / tile.channels;
  work.tiles = work.pixel_tiles * work.channel_tiles * s.groups;
  work.border = (work.m * work.n - whole_pixels * whole_channels) * s.groups;
  work.weight_bytes = kFloatBytes * oc * ic * taps * s.groups;
}

double count_transformed(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                         const TransformedTiles& tiles, WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const double oc =
      round_up_to(double(s.oc) / s.groups, RegisterTile::of(primitive, vector).channels);
  const double useful = double(s.n) * s.oh() * s.ow();
  work.nominal_flops = s.flops();
  work.tiles = tiles.tiles;
  work.m = tiles.tiles;
  work.n = double(s.oc) / s.groups;
  work.k = tiles.parts * (s.ic / s.groups);
  work.fill = useful / (tiles.tiles * tiles.outputs_per_tile) * work.n / oc;
  return oc;
}

}  // namespace convopt
