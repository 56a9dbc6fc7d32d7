// Depthwise convolution where channels are neighbours: lanes are channels, so every layout but nchw
// needs no shuffles. Bands of rows are independent.
#include <algorithm>
#include <utility>

#include "primitives/depthwise/band.h"
#include "primitives/own.h"

namespace convopt::depthwise {
namespace {

using Index = std::int64_t;

/// Inputs of a band where channels alternate: what the channels of a row have in common, cache
/// lines next to each other and pages, should stay in L2 until the band is done.
constexpr Index kBandBytes = Index{256} << 10;
/// Bands per thread, so that the last ones do not leave a thread waiting for long.
constexpr Index kBandsPerThread = 8;

std::size_t units(const ConvShape& shape) {
  return static_cast<std::size_t>(ceil_div(shape.oc, kUnit));
}
std::size_t unit_weights(const ConvShape& shape) {
  return static_cast<std::size_t>(shape.kh) * static_cast<std::size_t>(shape.kw) * kUnit;
}

class DepthwiseKernel final : public Kernel {
 public:
  DepthwiseKernel(const PrimitiveInfo& info, const Workload& workload, const Parameters& parameters,
                  const Context& context)
      : shape_(workload.shape),
        layout_(info.output_layout),
        activation_(workload.epilogue.activation),
        has_residual_(workload.epilogue.residual),
        threads_(context.threads),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)),
        band_(band_function(context.isa, shape_)),
        weights_(units(shape_) * unit_weights(shape_)),
        bias_(units(shape_) * kUnit) {
    std::fill_n(weights_.data(), weights_.size(), 0.0F);
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    const int taps = shape_.kh * shape_.kw;
    for (int c = 0; c < shape_.oc; ++c) {
      for (int tap = 0; tap < taps; ++tap) {
        weights_.data()[(Index{c / kUnit} * taps + tap) * kUnit + c % kUnit] =
            parameters.weights[Index{c} * taps + tap];
      }
      if (parameters.bias != nullptr) bias_.data()[c] = parameters.bias[c];
    }
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    const ConvShape& s = shape_;
    // A work item is a band of one block, or of as many channels in nhwc.
    const bool nhwc = layout_ == Layout::nhwc;
    const int block = nhwc ? kUnit : channel_block(layout_);
    const Index blocks = ceil_div(s.oc, block);
    const Index parallel = threads_ > 1 ? ceil_div(kBandsPerThread * threads_, s.n * blocks) : 1;
    const Index output_row_bytes = Index{s.stride_h} * s.iw * s.ic * sizeof(float);
    const Index in_cache = nhwc ? ceil_div(s.oh() * output_row_bytes, kBandBytes) : 1;
    // Rows are computed in pairs.
    const Index pairs = ceil_div(s.oh(), 2);
    const Index bands = std::clamp<Index>(std::max(parallel, in_cache), 1, pairs);
    parallel_for(threads_, s.n * blocks * bands, [&](Index item) {
      // The order in which neighbouring items share inputs.
      const Index inner = nhwc ? blocks : bands;
      const Index minor = item % inner;
      const Index major = item / inner % (blocks * bands / inner);
      const auto n = static_cast<int>(item / (blocks * bands));
      const Index band = nhwc ? major : minor;
      const auto channel = static_cast<int>(nhwc ? minor : major) * block;
      compute(args, n, channel, block, static_cast<int>(2 * (pairs * band / bands)),
              std::min(static_cast<int>(2 * (pairs * (band + 1) / bands)), s.oh()));
    });
  }

 private:
  void compute(const RunArgs& args, int n, int channel, int block, int first_row,
               int last_row) const {
    const ConvShape& s = shape_;
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;

    Band band;
    band.input = in.data + in.offset(n, channel, 0, 0);
    band.input_row_step = in.row_stride;
    band.input_column_step = in.column_stride;
    band.input_rows = s.ih;
    band.input_columns = s.iw;
    band.weights =
        weights_.data() + channel / kUnit * static_cast<Index>(unit_weights(s)) + channel % kUnit;
    band.bias = bias_.data() + channel;
    band.kernel_rows = s.kh;
    band.kernel_columns = s.kw;
    band.row_stride = s.stride_h;
    band.column_stride = s.stride_w;
    band.row_dilation = s.dilation_h;
    band.column_dilation = s.dilation_w;
    band.top_padding = s.pad_top;
    band.left_padding = s.pad_left;
    band.output = out.data + out.offset(n, channel, 0, 0);
    band.output_row_step = out.row_stride;
    band.output_column_step = out.column_stride;
    if (has_residual_) {
      band.residual = args.residual.data + args.residual.offset(n, channel, 0, 0);
      band.residual_row_step = args.residual.row_stride;
      band.residual_column_step = args.residual.column_stride;
    }
    band.first_row = first_row;
    band.last_row = last_row;
    band.output_columns = s.ow();
    const int existing = std::min(block, s.oc - channel);
    band.channels = layout_ == Layout::nhwc ? existing : block;
    band.low = last_write_.low;
    band.high = last_write_.high;
    band_(band);
    if (!last_write_.needs_pass) return;
    for (int row = first_row; row < last_row; ++row) {
      float* values = band.output + row * band.output_row_step;
      // The filling of the last block is left out and stays zero.
      if (existing == out.column_stride) {
        activate_(activation_, values, Index{s.ow()} * existing);
        continue;
      }
      for (int w = 0; w < s.ow(); ++w)
        activate_(activation_, values + w * out.column_stride, existing);
    }
  }

  ConvShape shape_;
  Layout layout_;
  Activation activation_;
  bool has_residual_;
  int threads_;
  LastWrite last_write_;
  ActivateFunction activate_;
  BandFunction band_;
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class DepthwisePrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context&) const override {
    if (workload.shape.is_depthwise()) return Applicability::yes();
    return Applicability::no("it is no depthwise convolution");
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    const ConvShape& shape = workload.shape;
    return units(shape) * (unit_weights(shape) + kUnit) * sizeof(float);
  }
  Result<std::unique_ptr<Kernel>> prepare(const Workload& workload, const Parameters& parameters,
                                          const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<DepthwiseKernel>(info(), workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_depthwise(PrimitiveInfo info, const Context& context,
                                          std::initializer_list<int>) {
  info.description = "depthwise, lanes are channels, inputs shared by neighbouring outputs";
  info.revision = "3";
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = vector_floats(context.isa);
  info.traits.tile_pixels = 14;
  info.traits.strided_views = true;
  return std::make_unique<DepthwisePrimitive>(std::move(info));
}

}  // namespace convopt::depthwise
