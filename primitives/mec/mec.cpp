// Memory-efficient convolution (M. Cho, D. Brand, MEC: Memory-efficient Convolution for Deep Neural
// Network, ICML 2017) of nhwc images: the image is lowered along its width only. For one column of
// the result, every row of the image contributes the kw pixels that the column sees; they follow
// each other row by row. A pixel's patch is then kh such rows in one piece, and the patches of
// neighbouring rows overlap: a matrix whose rows are longer than their distance. The lowered image
// is kh / stride times smaller than the patches of im2row.
#include <algorithm>
#include <utility>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"

namespace convopt::mec {
namespace {

struct Plan {
  const gemm::Kernels& kernels;
  std::int64_t lowered_bytes;  ///< that the lowered columns of one task may take
  int lowered_row;             ///< floats that a column takes from one row of the image
  int block_rows, row_blocks;  ///< a strip is a column of this many rows of the result
  std::int64_t strip_floats;
  gemm::Sharing sharing;  ///< its pixels are strips
  gemm::PackedWeights weights;
  int block_reduction;

  Plan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        lowered_bytes(image_block_bytes(context.caches)),
        lowered_row(shape.kw * (shape.ic / shape.groups)),
        block_rows(static_cast<int>(ceil_div(shape.oh(), ceil_div(shape.oh(), most_rows(shape))))),
        row_blocks(static_cast<int>(ceil_div(shape.oh(), block_rows))),
        strip_floats(
            round_up(std::int64_t{(block_rows - 1) * shape.stride_h + shape.kh} * lowered_row, 16)),
        sharing(std::int64_t{shape.n} * shape.groups, row_blocks * shape.ow(),
                shape.oc / shape.groups, most_strips(), 1, kernels.panel_columns(),
                context.threads),
        weights(kernels, shape, sharing) {
    const std::int64_t blocks = ceil_div(weights.reduction, panel_rows(context.caches));
    block_reduction = static_cast<int>(ceil_div(weights.reduction, blocks));
  }

  int most_rows(const ConvShape& shape) const {
    const std::int64_t fit = lowered_bytes / (lowered_row * std::int64_t{sizeof(float)});
    const std::int64_t rows = (fit - shape.kh) / shape.stride_h + 1;
    return static_cast<int>(std::max<std::int64_t>(rows, 2 * kernels.rows[kernels.vectors]));
  }
  int most_strips() const {
    return static_cast<int>(
        std::max<std::int64_t>(1, lowered_bytes / (strip_floats * std::int64_t{sizeof(float)})));
  }
  std::size_t task_floats(const ConvShape&) const {
    return static_cast<std::size_t>(sharing.block_pixels * strip_floats);
  }
  std::size_t weight_floats(const ConvShape&) const {
    return static_cast<std::size_t>(weights.floats());
  }
};

class MecKernel final : public gemm::ProductKernel {
 public:
  MecKernel(const Workload& workload, const Parameters& parameters, const Context& context,
            const Plan& plan)
      : ProductKernel(workload, context, plan.sharing, plan.task_floats(workload.shape),
                      plan.weight_floats(workload.shape)),
        plan_(plan) {
    plan_.weights.pack(parameters.weights.as<float>(), taps_, in_channels_, weights_.data());
    copy_bias(parameters.bias.as<float>());
  }

 private:
  struct Strip {
    int row, rows, column;
  };
  Strip strip(int index) const {
    const int row = index / shape_.ow() * plan_.block_rows;
    return {row, std::min(plan_.block_rows, shape_.oh() - row), index % shape_.ow()};
  }

  void compute(const RunArgs& args, const gemm::Task& task, float* scratch) const override {
    for (int i = 0; i < task.pixels; ++i) {
      lower(args.sources[0], task.image, task.group * in_channels_, strip(task.pixel + i),
            scratch + i * plan_.strip_floats);
    }
    const TensorView& destination = args.destination;
    const int channel = task.group * sharing_.channels + task.channel;
    const float* const weights = weights_.data() + plan_.weights.offset(task.group, task.channel);
    gemm::Product product;
    product.a_row_stride = std::int64_t{shape_.stride_h} * plan_.lowered_row;
    product.c_row_stride = destination.row_stride();
    product.residual_row_stride = args.residual.row_stride();
    product.packed_k = plan_.weights.reduction;
    gemm::for_each_panel(kernels_, task.channels, [&](int first, int vectors) {
      const int column = first * kernels_.lanes;
      product.columns = std::min(vectors * kernels_.lanes, task.channels - column);
      product.b = weights + std::int64_t{column} * plan_.weights.reduction;
      product.column_bias = bias_.data() + channel + column;
      for (int k = 0; k < plan_.weights.reduction; k += plan_.block_reduction) {
        product.first_k = k;
        product.k = std::min(plan_.block_reduction, plan_.weights.reduction - k);
        for (int i = 0; i < task.pixels; ++i) {
          const auto [row, rows, at] = strip(task.pixel + i);
          product.rows = rows;
          product.a = scratch + i * plan_.strip_floats + k;
          product.c =
              destination.as<float>() + destination.offset(task.image, channel + column, row, at);
          set_epilogue(product, k == 0, k + product.k == plan_.weights.reduction,
                       residual_ ? args.residual.as<float>() +
                                       args.residual.offset(task.image, channel + column, row, at)
                                 : nullptr);
          gemm::multiply(kernels_, product);
        }
      }
    });
    for (int i = 0; i < task.pixels; ++i) {
      const auto [row, rows, at] = strip(task.pixel + i);
      activate_rows(destination.as<float>() + destination.offset(task.image, channel, row, at),
                    destination.row_stride(), rows, task.channels);
    }
  }

  void lower(const TensorView& source, int image, int channel, const Strip& strip,
             float* to) const {
    const int left = strip.column * shape_.stride_w - shape_.pad_left;
    const int top = strip.row * shape_.stride_h - shape_.pad_top;
    const int rows = (strip.rows - 1) * shape_.stride_h + shape_.kh;
    // Pixels of a row that lie side by side in memory are copied in one go.
    const bool touch = shape_.dilation_w == 1 && source.column_stride() == in_channels_;
    const auto [first, last] = gemm::taps_inside(strip.column, shape_.stride_w, shape_.pad_left,
                                                 shape_.dilation_w, shape_.kw, shape_.iw);
    for (int i = 0; i < rows; ++i, to += plan_.lowered_row) {
      const int row = top + i;
      if (row < 0 || row >= shape_.ih || first == last) {
        std::fill_n(to, plan_.lowered_row, 0.0F);
        continue;
      }
      const float* const from = source.as<float>() + source.offset(image, channel, row, 0);
      std::fill_n(to, first * in_channels_, 0.0F);
      for (int tap = first; tap < last; tap += touch ? last - first : 1) {
        const int column = left + tap * shape_.dilation_w;
        std::copy_n(from + column * source.column_stride(),
                    (touch ? last - first : 1) * in_channels_, to + tap * in_channels_);
      }
      std::fill_n(to + last * in_channels_, (shape_.kw - last) * in_channels_, 0.0F);
    }
  }

  Plan plan_;
};

class MecPrimitive final : public gemm::ProductPrimitive<MecKernel, Plan> {
 public:
  using ProductPrimitive::ProductPrimitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    if (workload.shape.dilation_h != 1 && workload.shape.kh != 1) {
      return Applicability::no(
          "rows of a kernel dilated along the height do not follow each other");
    }
    if (workload.shape.kh == 1) {
      return Applicability::no("with a kernel of one row it is im2row");
    }
    return ProductPrimitive::applicability(workload, context);
  }
};

}  // namespace

std::unique_ptr<Primitive> make_mec(PrimitiveInfo info, const Context& context,
                                    std::initializer_list<int>) {
  info = gemm::product_info(
      std::move(info), context, Algorithm::mec, gemm::OutputChannels::columns, "1",
      "matrix products over overlapping windows of an image lowered along its width");
  return std::make_unique<MecPrimitive>(std::move(info));
}

}  // namespace convopt::mec
