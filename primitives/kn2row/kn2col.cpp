// Convolution as a sum of 1x1 convolutions of an nhwc image, one per tap: each adds its product to
// the pixels of the result that see the tap inside the image. Nothing is copied, nothing is
// multiplied that lies in the padding, and any stride or dilation is only a distance between rows.
// Its price is reading and writing the result once per tap, which is little beside long reductions.
#include <algorithm>
#include <utility>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"

namespace convopt::kn2row {
namespace {

/// The tile for rows of `width` pixels: fewest loads per vector of results, which are one of B for
/// every tile and one of A for every pixel and tile's width.
int best_vectors(Isa isa, int width) {
  const gemm::Kernels& all = gemm::kernels(isa);
  int best = all.vectors;
  double least = 0;
  for (int v = all.vectors; v > 0; --v) {
    const double loads = double(ceil_div(width, all.rows[v])) + double(width) / v;
    if (v == all.vectors || loads < least) {
      best = v;
      least = loads;
    }
  }
  return best;
}

struct ColumnPlan {
  const gemm::Kernels& kernels;
  gemm::Sharing sharing;  ///< its pixels are rows of pixels
  gemm::PackedWeights weights;
  int block_inputs;

  ColumnPlan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa, best_vectors(context.isa, shape.ow()))),
        sharing(std::int64_t{shape.n} * shape.groups, shape.oh(), shape.oc / shape.groups,
                most_rows(shape, context.caches), 1, kernels.panel_columns(), context.threads),
        weights(kernels, shape, sharing) {
    const std::int64_t inputs = shape.ic / shape.groups;
    const std::int64_t blocks = ceil_div(inputs, panel_rows(context.caches));
    block_inputs = static_cast<int>(ceil_div(inputs, blocks));
  }

  static int most_rows(const ConvShape& shape, const Caches& caches) {
    const std::int64_t bytes = std::int64_t{shape.ic} / shape.groups * shape.iw *
                               std::min(shape.stride_h, shape.kh) * std::int64_t{sizeof(float)};
    return static_cast<int>(std::max<std::int64_t>(4, image_block_bytes(caches) / bytes));
  }
  static std::size_t task_floats(const ConvShape&) { return 0; }
  std::size_t weight_floats(const ConvShape&) const {
    return static_cast<std::size_t>(weights.floats());
  }
};

class Kn2colKernel final : public gemm::ProductKernel {
 public:
  Kn2colKernel(const Workload& workload, const Parameters& parameters, const Context& context,
               const ColumnPlan& plan)
      : ProductKernel(workload, context, plan.sharing, 0, plan.weight_floats(workload.shape)),
        plan_(plan) {
    plan_.weights.pack(parameters.weights.as<float>(), taps_, plan_.block_inputs, weights_.data());
    copy_bias(parameters.bias.as<float>());
    for (int tap = 0; tap < taps_ && first_tap_ < 0; ++tap) {
      const bool all_rows = outputs(tap / shape_.kw, true) == gemm::TapRange{0, shape_.oh()};
      const bool all_columns = outputs(tap % shape_.kw, false) == gemm::TapRange{0, shape_.ow()};
      if (all_rows && all_columns) first_tap_ = tap;
    }
  }

 private:
  // The rows or columns of the result that see a kernel's row or column inside the image.
  gemm::TapRange outputs(int tap, bool rows) const {
    const int stride = rows ? shape_.stride_h : shape_.stride_w;
    const int offset =
        rows ? tap * shape_.dilation_h - shape_.pad_top : tap * shape_.dilation_w - shape_.pad_left;
    return gemm::taps_inside(0, stride, -offset, stride, rows ? shape_.oh() : shape_.ow(),
                             rows ? shape_.ih : shape_.iw);
  }

  void compute(const RunArgs& args, const gemm::Task& task, float*) const override {
    const TensorView& destination = args.destination;
    const int channel = task.group * sharing_.channels + task.channel;
    const float* const weights = weights_.data() + plan_.weights.offset(task.group, task.channel);
    gemm::Product product;
    product.a_row_stride = args.sources[0].column_stride() * shape_.stride_w;
    product.c_row_stride = destination.column_stride();
    product.residual_row_stride = args.residual.column_stride();
    product.packed_k = plan_.weights.reduction;
    gemm::for_each_panel(plan_.kernels, task.channels, [&](int first, int vectors) {
      const int lanes = plan_.kernels.lanes, column = first * lanes;
      product.columns = std::min(vectors * lanes, task.channels - column);
      product.b = weights + std::int64_t{column} * plan_.weights.reduction;
      product.column_bias = bias_.data() + channel + column;
      // Bias and residual go in with a tap that all pixels see, if there is one.
      if (first_tap_ < 0) add_tap(args, task, product, channel + column, 0, 0, true, 0);
      for (int input = 0; input < in_channels_; input += plan_.block_inputs) {
        const int inputs = std::min(plan_.block_inputs, in_channels_ - input);
        const auto add = [&](int tap, bool first_of_all) {
          add_tap(args, task, product, channel + column, input, inputs, first_of_all, tap);
        };
        if (input == 0 && first_tap_ >= 0) add(first_tap_, true);
        for (int tap = 0; tap < taps_; ++tap) {
          if (input > 0 || tap != first_tap_) add(tap, false);
        }
      }
    });
    if (activation_.kind == ActivationKind::none) return;
    for (int row = task.pixel; row < task.pixel + task.pixels; ++row) {
      float* const to = destination.as<float>() + destination.offset(task.image, channel, row, 0);
      activate_(activation_, ActivatedRows::in_place(to, task.channels, shape_.ow(),
                                                     destination.column_stride()));
    }
  }

  // Adds the product of `inputs` input channels with one tap; of none, it leaves bias and residual.
  void add_tap(const RunArgs& args, const gemm::Task& task, gemm::Product& product, int channel,
               int input, int inputs, bool first, int tap) const {
    const TensorView& source = args.sources[0];
    const int tap_row = tap / shape_.kw, tap_column = tap % shape_.kw;
    const gemm::TapRange all_rows{0, shape_.oh()}, all_columns{0, shape_.ow()};
    const auto [top, bottom] = inputs == 0 ? all_rows : outputs(tap_row, true);
    const auto [left, right] = inputs == 0 ? all_columns : outputs(tap_column, false);
    product.rows = right - left;
    if (product.rows <= 0) return;
    product.k = inputs;
    product.first_k = input * taps_ + tap * inputs;
    const int row_offset = tap_row * shape_.dilation_h - shape_.pad_top;
    const int column = left * shape_.stride_w + tap_column * shape_.dilation_w - shape_.pad_left;
    for (int row = std::max(top, task.pixel); row < std::min(bottom, task.pixel + task.pixels);
         ++row) {
      if (inputs > 0) {
        product.a =
            source.as<float>() + source.offset(task.image, task.group * in_channels_ + input,
                                               row * shape_.stride_h + row_offset, column);
      }
      product.c =
          args.destination.as<float>() + args.destination.offset(task.image, channel, row, left);
      set_epilogue(product, first, false,
                   residual_ ? args.residual.as<float>() +
                                   args.residual.offset(task.image, channel, row, left)
                             : nullptr);
      gemm::multiply(plan_.kernels, product);
    }
  }

  ColumnPlan plan_;
  int first_tap_ = -1;  ///< one that every pixel sees inside the image; negative: there is none
};

class Kn2colPrimitive final : public gemm::ProductPrimitive<Kn2colKernel, ColumnPlan> {
 public:
  using ProductPrimitive::ProductPrimitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    if (workload.shape.kh * workload.shape.kw == 1) {
      return Applicability::no("a 1x1 kernel is one product, which im2row computes in place");
    }
    return ProductPrimitive::applicability(workload, context);
  }
};

}  // namespace

std::unique_ptr<Primitive> make_kn2col(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info = gemm::product_info(
      std::move(info), context, Algorithm::kn2row, gemm::OutputChannels::columns, "1",
      "one matrix product per tap with the image itself, added to the result");
  return std::make_unique<Kn2colPrimitive>(std::move(info));
}

}  // namespace convopt::kn2row
