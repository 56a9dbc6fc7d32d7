#include "model/analytic.h"

#include <algorithm>
#include <cmath>

namespace convopt {
namespace {

constexpr double kFloat = 4;  // bytes

double round_up(double value, double unit) { return std::ceil(value / unit) * unit; }

double known(double value, double otherwise) { return value > 0 ? value : otherwise; }

double bytes_of(const TensorShape& shape, Layout layout) {
  return kFloat * static_cast<double>(padded_elements(shape, layout));
}

// Arithmetic per element of an activation, in multiply-adds' worth: exponentials cost a polynomial.
double activation_flops(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::none:
      return 0;
    case ActivationKind::relu:
    case ActivationKind::clip:
      return 1;
    case ActivationKind::leaky_relu:
    case ActivationKind::hard_sigmoid:
    case ActivationKind::hard_swish:
      return 4;
    case ActivationKind::elu:
    case ActivationKind::sigmoid:
    case ActivationKind::tanh:
    case ActivationKind::swish:
      return 24;
    case ActivationKind::gelu:
    case ActivationKind::erf:
    case ActivationKind::exp:
    case ActivationKind::pow:
      return 40;
  }
  return 1;
}

// Register tile: what the primitive says, otherwise one vector of output channels and one pixel,
// which assumes nothing about waste.
struct Tile {
  double channels, pixels;
};

Tile register_tile(const Traits& traits, Layout output, int vector) {
  const int block = channel_block(output);
  return {known(traits.tile_oc, block > 1 ? block : vector), known(traits.tile_pixels, 1)};
}

// Tiles of one direction, and into how many parts the kernel is cut.
struct Split {
  double outputs = 1, tiles = 1, parts = 1;
};

Split split_direction(int points, int outputs_per_tile, int taps, int outputs) {
  const auto split = [&](double per_tile, double parts) {
    return Split{per_tile, std::ceil(outputs / per_tile), parts};
  };
  if (outputs_per_tile > 0) return split(outputs_per_tile, 1);
  // FFT: what does not wrap around in a tile, or parts of half a tile, whichever is less work.
  const double half = std::max(1, points / 2);
  const Split parts = split(half, std::ceil(taps / half));
  if (taps > points) return parts;
  const Split whole = split(points - taps + 1, 1);
  return whole.tiles <= parts.tiles * parts.parts ? whole : parts;
}

void spatial_tiles(const ConvShape& s, const Traits& traits, const Tile& tile, WorkEstimate& work) {
  const double points = double{1} * traits.transform_h * traits.transform_w;
  const Split h = split_direction(traits.transform_h, traits.output_h, s.kh, s.oh());
  const Split w = split_direction(traits.transform_w, traits.output_w, s.kw, s.ow());
  const double tiles = s.n * h.tiles * w.tiles, parts = h.parts * w.parts;
  const double ic = s.ic / s.groups, oc = round_up(double(s.oc) / s.groups, tile.channels);
  const double images = double(s.ic) + s.oc;

  work.tiles = tiles;
  if (traits.block_tiles > 0) work.pixel_tiles = std::ceil(tiles / traits.block_tiles);
  work.m = tiles;
  work.n = double(s.oc) / s.groups;
  work.k = ic;
  const double useful = double(s.n) * s.oh() * s.ow();
  work.fill = useful / (tiles * h.outputs * w.outputs) * work.n / oc;
  if (traits.algorithm == Algorithm::fft) {
    // Half a spectrum of complex numbers, three multiply-adds each; parts of a kernel are like more
    // input channels.
    const double inputs = parts * ic * s.groups;
    work.k = parts * ic;
    work.flops = 3 * points * round_up(tiles, tile.pixels) * inputs * oc;
    work.transform_flops +=
        2.5 * points * std::log2(std::max(2.0, points)) * tiles * (parts * s.ic + s.oc);
    work.weight_bytes = kFloat * points * inputs * oc;
    work.packed_bytes = kFloat * points * tiles * (1.5 * parts * s.ic + s.oc);
  } else {
    work.flops = 2 * points * round_up(tiles, tile.pixels) * ic * oc * s.groups;
    // Two small matrix products per tile; about half of the matrices' entries are zeros and ones.
    work.transform_flops += points * (traits.transform_h + traits.transform_w) * tiles * images;
    work.weight_bytes = kFloat * points * ic * oc * s.groups;
    work.packed_bytes = kFloat * points * tiles * images;
  }
}

void convolution(const Workload& workload, const PrimitiveInfo& primitive, int vector,
                 WorkEstimate& work) {
  const ConvShape& s = workload.shape;
  const Traits& traits = primitive.traits;
  const Tile tile = register_tile(traits, primitive.output_layout, vector);
  const double taps = double(s.kh) * s.kw;
  const bool transformed =
      (traits.algorithm == Algorithm::winograd || traits.algorithm == Algorithm::fft) &&
      traits.transform_h > 0 && traits.transform_w > 0 &&
      (traits.algorithm == Algorithm::fft || (traits.output_h > 0 && traits.output_w > 0));
  work.nominal_flops = s.flops();
  if (transformed) {
    spatial_tiles(s, traits, tile, work);
    return;
  }
  const bool copies_image = traits.packed_bytes_per_input_byte > 0;
  const double pixels_in_row = s.ow();
  const double rows = double(s.n) * s.oh();
  work.m = rows * pixels_in_row;
  if (s.is_depthwise()) {
    const double channels =
        round_up(s.oc, std::max<double>(vector, channel_block(primitive.output_layout)));
    work.n = s.oc;
    work.k = taps;
    work.flops = 2 * work.m * channels * taps;
    work.fill = s.oc / channels;
    work.tiles = work.m * channels / vector;
    work.weight_bytes = kFloat * channels * taps;
  } else {
    const bool across_rows =
        traits.algorithm == Algorithm::gemm || traits.algorithm == Algorithm::indirect ||
        traits.algorithm == Algorithm::kn2row || traits.algorithm == Algorithm::mec;
    const double pixels =
        across_rows ? round_up(work.m, tile.pixels) : rows * round_up(pixels_in_row, tile.pixels);
    work.n = double(s.oc) / s.groups;
    const double oc = round_up(work.n, tile.channels);
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
    const double whole_pixels = across_rows
                                    ? std::floor(work.m / tile.pixels) * tile.pixels
                                    : rows * std::floor(pixels_in_row / tile.pixels) * tile.pixels;
    const double whole_channels = std::floor(work.n / tile.channels) * tile.channels;
    work.border = (work.m * work.n - whole_pixels * whole_channels) * s.groups;
    work.weight_bytes = kFloat * oc * ic * taps * s.groups;
    // These read the image itself and leave out taps in the padding.
    const bool skips_padding = traits.algorithm == Algorithm::indirect ||
                               (traits.algorithm == Algorithm::kn2row && !copies_image);
    if (skips_padding) work.flops *= s.flops_inside() / s.flops();
    // Seven products of quarters instead of eight, each with weights of its own.
    if (primitive.family == "strassen") {
      work.flops *= 7.0 / 8;
      work.weight_bytes *= 7.0 / 4;
    }
  }
  work.packed_bytes = traits.packed_bytes_per_input_byte * work.input_bytes;
  if (traits.algorithm == Algorithm::gemm && traits.packed_bytes_per_input_byte == 0 && taps > 1 &&
      !s.is_depthwise()) {
    work.packed_bytes = kFloat * work.m * work.k * s.groups;  // the patch matrix
  }
  if (traits.algorithm == Algorithm::mec && !copies_image) {
    // For every column of the result, the kw pixels that it sees of each row of the image.
    work.packed_bytes =
        kFloat * double(s.n) * s.ow() * (s.ih + s.pad_top + s.pad_bottom) * s.kw * s.ic;
  }
  // Over the image itself, every tap after the first reads and writes the result again.
  if (traits.algorithm == Algorithm::kn2row && !copies_image) {
    work.packed_bytes += (taps - 1) * work.output_bytes;
  }
}

}  // namespace

double WorkEstimate::traffic() const { return tensor_bytes() + weight_bytes + 2 * packed_bytes; }

Capabilities Capabilities::of(const Platform& platform) {
  const Machine& m = platform.machine;
  Capabilities c;
  c.vector = vector_floats(platform.isa);
  c.threads = std::max(1, platform.threads);
  // Two multiply-adds per cycle at 3 GHz, and the loads and stores that usually come with them:
  // likely enough for a first guess that the samples correct.
  c.flops_per_ns = known(m.peak_gflops, 4.0 * c.vector * 3.0 * c.threads);
  c.l1_per_ns = known(m.l1_gbps, 2.0 * c.flops_per_ns);
  c.l2_per_ns = known(m.l2_gbps, 0.5 * c.l1_per_ns);
  c.l3_per_ns = known(m.l3_gbps, 0.5 * c.l2_per_ns);
  c.memory_per_ns = known(m.memory_gbps, std::min(12.0, c.l3_per_ns));
  c.l1_bytes = known(double(m.l1d_bytes), 32 << 10);
  c.l2_bytes = known(double(m.l2_bytes), 512 << 10);
  c.l3_bytes = known(double(m.l3_bytes), 4 << 20);
  return c;
}

WorkEstimate estimate_work(const Workload& workload, const PrimitiveInfo& primitive, int vector) {
  WorkEstimate work;
  const ConvShape& s = workload.shape;
  const TensorShape output = workload.output();
  const double elements = static_cast<double>(output.elements());
  for (int i = 0; i < workload.source_count(); ++i) {
    work.input_bytes += bytes_of(workload.source(i), primitive.input_layout);
  }
  work.output_bytes = bytes_of(output, primitive.output_layout);
  if (workload.epilogue.residual) work.residual_bytes = work.output_bytes;

  work.m = double(output.n) * output.h * output.w;
  work.n = output.c;
  work.transform_flops = elements * (activation_flops(workload.epilogue.activation.kind) +
                                     (workload.epilogue.residual ? 1 : 0));
  switch (workload.op) {
    case Op::conv:
      convolution(workload, primitive, vector, work);
      break;
    case Op::fully_connected: {
      const Tile tile = register_tile(primitive.traits, primitive.output_layout, vector);
      work.k = s.ic;
      work.nominal_flops = 2.0 * s.n * s.ic * s.oc;
      work.flops = 2 * double(s.n) * s.ic * round_up(s.oc, tile.channels);
      work.fill = work.nominal_flops / work.flops;
      work.weight_bytes = kFloat * double(s.ic) * s.oc;
      break;
    }
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
  return work;
}

AnalyticTime analytic_time(const WorkEstimate& work, const Capabilities& machine, TimingMode mode) {
  // Calling a kernel and, with several threads, waking them.
  const double call_ns = 100.0 + 1000.0 * (machine.threads - 1);
  // Transforms and element-wise loops reach about a quarter of the peak: no multiply-adds in pairs,
  // shuffles between them.
  constexpr double kElementwiseShare = 0.25;

  AnalyticTime time;
  time.compute_ns = work.flops / machine.flops_per_ns;
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
