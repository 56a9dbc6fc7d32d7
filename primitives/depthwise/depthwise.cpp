// Depthwise convolution where channels are neighbours: lanes are channels, so every layout but nchw
// needs no shuffles. Rows of outputs are independent.
#include <algorithm>
#include <utility>

#include "primitives/depthwise/row.h"
#include "primitives/own.h"

namespace convopt::depthwise {
namespace {

using Index = std::int64_t;

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
        row_(row_function(context.isa, shape_.kw, shape_.stride_w, shape_.dilation_w)),
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
    // Outputs whose first and last kernel column lie inside the image.
    const int reach = shape_.iw + shape_.pad_left - shape_.extent_w();
    const auto columns = [&](Index count) {
      return static_cast<int>(std::clamp<Index>(count, 0, shape_.ow()));
    };
    first_whole_ = columns(ceil_div(shape_.pad_left, shape_.stride_w));
    last_whole_ = reach < 0 ? first_whole_ : columns(reach / shape_.stride_w + 1);
    last_whole_ = std::max(first_whole_, last_whole_);
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    const ConvShape& s = shape_;
    // A work item is a row of one block, or of as many channels in nhwc.
    const int block = layout_ == Layout::nhwc ? kUnit : channel_block(layout_);
    const Index blocks = ceil_div(s.oc, block);
    const Index rows = s.oh();
    parallel_for(threads_, s.n * blocks * rows, [&](Index item) {
      // The order in which neighbouring items share inputs.
      const Index inner = layout_ == Layout::nhwc ? blocks : rows;
      const auto minor = static_cast<int>(item % inner);
      const auto major = static_cast<int>(item / inner % (blocks * rows / inner));
      const auto n = static_cast<int>(item / (blocks * rows));
      const int oh = layout_ == Layout::nhwc ? major : minor;
      const int channel = (layout_ == Layout::nhwc ? minor : major) * block;
      compute(args, n, channel, block, oh);
    });
  }

 private:
  void compute(const RunArgs& args, int n, int channel, int block, int oh) const {
    const ConvShape& s = shape_;
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const int top = oh * s.stride_h - s.pad_top;
    const int first_kh = static_cast<int>(ceil_div(std::max(-top, 0), s.dilation_h));
    const int last_kh =
        std::min(s.kh, static_cast<int>(ceil_div(std::max(s.ih - top, 0), s.dilation_h)));

    Row row;
    row.kernel_rows = std::max(last_kh - first_kh, 0);
    if (row.kernel_rows > 0) {
      row.input = in.data + in.offset(n, channel, top + first_kh * s.dilation_h, 0);
      row.weights = weights_.data() + channel / kUnit * static_cast<Index>(unit_weights(s)) +
                    Index{first_kh} * s.kw * kUnit + channel % kUnit;
    } else {
      row.input = in.data;  // not read
      row.weights = weights_.data();
    }
    row.input_row_step = s.dilation_h * in.row_stride;
    row.input_column_step = in.column_stride;
    row.input_columns = s.iw;
    row.bias = bias_.data() + channel;
    row.kernel_columns = s.kw;
    row.stride = s.stride_w;
    row.dilation = s.dilation_w;
    row.padding = s.pad_left;
    row.output = out.data + out.offset(n, channel, oh, 0);
    row.output_column_step = out.column_stride;
    if (has_residual_) {
      row.residual = args.residual.data + args.residual.offset(n, channel, oh, 0);
      row.residual_column_step = args.residual.column_stride;
    }
    row.output_columns = s.ow();
    row.first_whole = first_whole_;
    row.last_whole = last_whole_;
    const int existing = std::min(block, s.oc - channel);
    row.channels = layout_ == Layout::nhwc ? existing : block;
    row.low = last_write_.low;
    row.high = last_write_.high;
    row_(row);
    if (!last_write_.needs_pass) return;
    // The filling of the last block is left out and stays zero.
    if (existing == out.column_stride) {
      activate_(activation_, row.output, Index{row.output_columns} * existing);
      return;
    }
    for (int w = 0; w < row.output_columns; ++w) {
      activate_(activation_, row.output + w * out.column_stride, existing);
    }
  }

  ConvShape shape_;
  Layout layout_;
  Activation activation_;
  bool has_residual_;
  int threads_;
  LastWrite last_write_;
  ActivateFunction activate_;
  RowFunction row_;
  int first_whole_ = 0, last_whole_ = 0;
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
  info.revision = "1";
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = vector_floats(context.isa);
  info.traits.tile_pixels = 8;
  info.traits.strided_views = true;
  return std::make_unique<DepthwisePrimitive>(std::move(info));
}

}  // namespace convopt::depthwise
