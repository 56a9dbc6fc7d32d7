// Convolution in groups of one channel or few where channels are neighbours: lanes are output
// channels. Depthwise, every layout but nchw then needs no shuffles. A group of several channels
// lies within one vector, whose lanes each take one input of their group after the other: one
// shuffle serves all outputs that an input reaches. Bands of rows are independent.
#include <algorithm>
#include <utility>

#include "core/conversion.h"
#include "primitives/blocking.h"
#include "primitives/depthwise/band.h"
#include "primitives/dot/product.h"
#include "primitives/own.h"

namespace convopt::depthwise {
namespace {

using Index = std::int64_t;

/// Bands per thread, so that the last ones do not leave a thread waiting for long.
constexpr Index kBandsPerThread = 8;

std::size_t units(const ConvShape& shape) {
  return static_cast<std::size_t>(ceil_div(shape.oc, kUnit));
}
std::size_t unit_weights(const ConvShape& shape) {
  return static_cast<std::size_t>(shape.ic / shape.groups) * static_cast<std::size_t>(shape.kh) *
         static_cast<std::size_t>(shape.kw) * kUnit;
}

int group_of(const ConvShape& shape) { return shape.ic / shape.groups; }

/// In numbers of type `Source`, with results of type `Destination`: float, or Bfloat16.
template <class Source, class Destination>
class DepthwiseKernel final : public Kernel {
 public:
  DepthwiseKernel(const PrimitiveInfo& info, const Workload& workload, const Parameters& parameters,
                  const Context& context)
      : shape_(workload.shape),
        layout_(info.output_layout),
        activation_(workload.epilogue.activation),
        has_residual_(workload.epilogue.residual),
        threads_(context.threads),
        caches_(context.caches),
        last_write_(last_write(activation_)),
        activate_(activate_rows_function(context.isa)),
        band_(band_function<Source, Destination>(context.isa, shape_)),
        weights_(units(shape_) * unit_weights(shape_)),
        bias_(units(shape_) * kUnit) {
    std::fill_n(weights_.data(), weights_.size(), 0.0F);
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    const int group = group_of(shape_);
    const float* from = parameters.weights.as<float>();
    for (int c = 0; c < shape_.oc; ++c) {
      for (int i = 0; i < group; ++i) {
        for (int y = 0; y < shape_.kh; ++y) {
          for (int x = 0; x < shape_.kw; ++x) {
            const Index row = (Index{c / kUnit} * shape_.kh + y) * group + i;
            weights_.data()[(row * shape_.kw + x) * kUnit + c % kUnit] =
                rounded(*from++, workload.input_type);
          }
        }
      }
      if (parameters.bias.as<float>() != nullptr) bias_.data()[c] = parameters.bias.as<float>()[c];
    }
    for (int i = 0; i < group; ++i) {
      for (int lane = 0; lane < kUnit; ++lane) spread_[i * kUnit + lane] = lane / group * group + i;
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
    const Index bytes = Index{s.oh()} * s.stride_h * s.iw * (nhwc ? s.ic : block) * sizeof(Source);
    // Channels of a row share cache lines and pages in nhwc, which should stay in L2 until the
    // band is done. In blocks, long bands are faster by up to a tenth.
    const Index in_cache = nhwc ? ceil_div(bytes, image_block_bytes(caches_)) : 1;
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
      compute(args, n, channel, block, static_cast<int>(2 * part_begin(pairs, band, bands)),
              std::min(static_cast<int>(2 * part_begin(pairs, band + 1, bands)), s.oh()));
    });
  }

 private:
  void compute(const RunArgs& args, int n, int channel, int block, int first_row,
               int last_row) const {
    const ConvShape& s = shape_;
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;

    BasicBand<Source, Destination> band;
    band.input = in.as<Source>() + in.offset(n, channel, 0, 0);
    band.input_row_step = in.row_stride();
    band.input_column_step = in.column_stride();
    band.input_rows = s.ih;
    band.input_columns = s.iw;
    band.weights =
        weights_.data() + channel / kUnit * static_cast<Index>(unit_weights(s)) + channel % kUnit;
    band.bias = bias_.data() + channel;
    band.kernel_rows = s.kh;
    band.kernel_columns = s.kw;
    band.group = group_of(s);
    band.spread = spread_;
    band.row_stride = s.stride_h;
    band.column_stride = s.stride_w;
    band.row_dilation = s.dilation_h;
    band.column_dilation = s.dilation_w;
    band.top_padding = s.pad_top;
    band.left_padding = s.pad_left;
    band.output = out.as<Destination>() + out.offset(n, channel, 0, 0);
    band.output_row_step = out.row_stride();
    band.output_column_step = out.column_stride();
    if (has_residual_) {
      band.residual = args.residual.as<Destination>() + args.residual.offset(n, channel, 0, 0);
      band.residual_row_step = args.residual.row_stride();
      band.residual_column_step = args.residual.column_stride();
    }
    band.first_row = first_row;
    band.last_row = last_row;
    band.output_columns = s.ow();
    const int existing = std::min(block, s.oc - channel);
    band.channels = layout_ == Layout::nhwc ? existing : block;
    band.low = last_write_.low;
    band.high = last_write_.high;
    if (last_write_.needs_pass) {
      band.activate = activate_;
      band.activation = &activation_;
      band.existing = existing;  // the padding of the last block stays zero
    }
    band_(band);
  }

  ConvShape shape_;
  Layout layout_;
  Activation activation_;
  bool has_residual_;
  int threads_;
  Caches caches_;
  LastWrite last_write_;
  ActivateRowsFunction activate_;
  BandFunction<Source, Destination> band_;
  AlignedFloats weights_;
  AlignedFloats bias_;
  std::int32_t spread_[kUnit * kUnit];  ///< as Band::spread
};

class BandPrimitive : public Primitive {
 public:
  using Primitive::Primitive;

  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    const ConvShape& shape = workload.shape;
    return units(shape) * (unit_weights(shape) + kUnit) * sizeof(float);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    const auto make = [&]<class Source, class Destination>() {
      return std::unique_ptr<Kernel>(std::make_unique<DepthwiseKernel<Source, Destination>>(
          info(), workload, parameters, context));
    };
    if (workload.input_type == DataType::f32) return make.template operator()<float, float>();
    if (workload.output_type == DataType::f32) return make.template operator()<Bfloat16, float>();
    return make.template operator()<Bfloat16, Bfloat16>();
  }
};

class DepthwisePrimitive final : public BandPrimitive {
 public:
  using BandPrimitive::BandPrimitive;

  Applicability applicability(const Workload& workload, const Context&) const override {
    if (workload.shape.is_depthwise()) return Applicability::yes();
    return Applicability::no("it is no depthwise convolution");
  }
};

class GroupedPrimitive final : public BandPrimitive {
 public:
  using BandPrimitive::BandPrimitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& s = workload.shape;
    const int group = group_of(s);
    if (s.ic != s.oc || (group != 4 && group != 8 && group != 16)) {
      return Applicability::no("its groups do not have 4, 8 or 16 input and output channels");
    }
    const int block = channel_block(info().output_layout);
    if (group > vector_floats(context.isa) || (block > 1 && group > block)) {
      return Applicability::no("a group takes more than a vector or a channel block");
    }
    return Applicability::yes();
  }
};

template <class PrimitiveType>
std::unique_ptr<Primitive> make(PrimitiveInfo info, int tile_channels) {
  info.traits.algorithm = Algorithm::direct;
  info.traits.cost = "direct";
  info.traits.tile_oc = tile_channels;
  info.traits.tile_pixels = 14;
  info.traits.strided_views = true;
  return std::make_unique<PrimitiveType>(std::move(info));
}

}  // namespace

std::unique_ptr<Primitive> make_depthwise(PrimitiveInfo info, const Context& context,
                                          std::initializer_list<int> types) {
  info.description = "depthwise, lanes are channels, inputs shared by neighbouring outputs";
  // Several vectors of a unit are in turn at every tile since revision 5, and activated together
  // since 6.
  info.revision = vector_floats(context.isa) < kUnit ? "6" : "4";
  if (types.size() > 0) {
    info.input_type = static_cast<DataType>(types.begin()[0]);
    info.output_type = static_cast<DataType>(types.begin()[1]);
    info.revision = "1";
    info.traits.product_type = info.input_type;
    info.traits.vector_products = true;
    // Products are of floats; without these vectors nothing else is fast in bf16.
    if (!dot::has_vectors(info.traits.product_type, context.isa)) return nullptr;
  }
  return make<DepthwisePrimitive>(std::move(info), vector_floats(context.isa));
}

std::unique_ptr<Primitive> make_grouped(PrimitiveInfo info, const Context& context,
                                        std::initializer_list<int>) {
  info.description = "groups of 4, 8 or 16 channels, each within a vector whose lanes share inputs";
  info.revision = vector_floats(context.isa) < kUnit ? "4" : "2";
  // A vector holds several groups: none is filled up to its width.
  return make<GroupedPrimitive>(std::move(info), 4);
}

}  // namespace convopt::depthwise
