// Convolution as a matrix product over patches. The patch matrix never exists as a whole: the
// packing step of the product reads it from the image, a cache block at a time. Two forms:
//   im2col  nchw: C[output channel][pixel], weights as they come times packed patches
//   im2row  nhwc: C[pixel][output channel], rows of patches times packed weights
// Where the patch matrix is the image itself (1x1, stride 1, no padding) nothing is copied.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"

namespace convopt::im2col {
namespace {

bool image_is_patch_matrix(const ConvShape& shape) {
  return shape.kh == 1 && shape.kw == 1 && shape.stride_h == 1 && shape.stride_w == 1 &&
         shape.pad_top == 0 && shape.pad_bottom == 0 && shape.pad_left == 0 && shape.pad_right == 0;
}

using gemm::Sharing;
using gemm::Task;

int pixels_of(const ConvShape& shape) { return shape.oh() * shape.ow(); }
std::int64_t images_of(const ConvShape& shape) { return std::int64_t{shape.n} * shape.groups; }

// ---- im2col, nchw ----

// Rows of patches are copied in chunks of this many floats. What a chunk writes too much is
// overwritten by the next one; what it reads too much must exist, so the padded section of the
// image is longer by a chunk.
constexpr int kChunk = 8;

struct ColumnPlan {
  gemm::Kernels const& kernels;
  Sharing sharing;
  int block_inputs;                 ///< input channels whose patches are packed together
  int padded_rows, padded_columns;  ///< of one channel's image section with its padding
  bool in_place;

  ColumnPlan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        sharing(images_of(shape), pixels_of(shape), shape.oc / shape.groups,
                most_pixels(kernels, context.caches), kernels.lanes, kernels.rows[kernels.vectors],
                context.threads),
        block_inputs(std::clamp(patch_panel_rows(context.caches) / (shape.kh * shape.kw), 1,
                                shape.ic / shape.groups)),
        in_place(image_is_patch_matrix(shape)) {
    const int rows = static_cast<int>(
        std::min<std::int64_t>(shape.oh(), ceil_div(sharing.block_pixels - 1, shape.ow()) + 1));
    padded_rows = (rows - 1) * shape.stride_h + shape.extent_h();
    padded_columns = (shape.ow() - 1) * shape.stride_w + shape.extent_w();
  }

  static int most_pixels(const gemm::Kernels& kernels, const Caches& caches) {
    const std::int64_t fit =
        copied_block_bytes(caches) / (patch_panel_rows(caches) * std::int64_t{sizeof(float)});
    return static_cast<int>(std::max<std::int64_t>(1, fit / kernels.panel_columns()) *
                            kernels.panel_columns());
  }
  std::int64_t patch_floats(const ConvShape& shape) const {
    return std::int64_t{block_inputs} * shape.kh * shape.kw *
           round_up(sharing.block_pixels, kernels.lanes);
  }
  std::size_t task_floats(const ConvShape& shape) const {
    if (in_place) return 0;
    const std::int64_t image = std::int64_t{padded_rows} * padded_columns + kChunk;
    return static_cast<std::size_t>(round_up(patch_floats(shape), 16) + round_up(image, 16));
  }
  static std::size_t weight_floats(const ConvShape& shape) {
    return static_cast<std::size_t>(shape.weight_elements());
  }
};

class ColumnKernel final : public gemm::ProductKernel {
 public:
  ColumnKernel(const Workload& workload, const Parameters& parameters, const Context& context,
               const ColumnPlan& plan)
      : gemm::ProductKernel(workload, context, plan.sharing, plan.task_floats(workload.shape),
                            ColumnPlan::weight_floats(workload.shape)),
        plan_(plan) {
    std::copy_n(parameters.weights.as<float>(), weights_.size(), weights_.data());
    copy_bias(parameters.bias.as<float>());
  }

 private:
  void compute(const RunArgs& args, const Task& task, float* scratch) const override {
    const auto rows_touch = [](const TensorView& view) {
      return view.row_stride() == view.shape.w();
    };
    const bool touch = rows_touch(args.destination) && (!residual_ || rows_touch(args.residual)) &&
                       (!plan_.in_place || rows_touch(args.sources[0]));
    gemm::for_each_row_of(task, touch, shape_.ow(), [&](int pixel, int pixels) {
      compute_pixels(args, task, pixel, pixels, scratch);
    });
  }

  // Pixels that lie side by side in the destination.
  void compute_pixels(const RunArgs& args, const Task& task, int pixel, int pixels,
                      float* scratch) const {
    const TensorView& source = args.sources[0];
    const int channel = task.group * sharing_.channels + task.channel;
    const int row = pixel / shape_.ow(), column = pixel % shape_.ow();
    const std::int64_t reduction = std::int64_t{in_channels_} * taps_;
    gemm::Product product;
    product.rows = task.channels;
    product.columns = pixels;
    product.a_row_stride = reduction;
    product.c =
        args.destination.as<float>() + args.destination.offset(task.image, channel, row, column);
    product.c_row_stride = args.destination.channel_stride();
    product.row_bias = bias_.data() + channel;
    product.residual_row_stride = args.residual.channel_stride();
    const float* residual = residual_ ? args.residual.as<float>() +
                                            args.residual.offset(task.image, channel, row, column)
                                      : nullptr;
    const float* const weights = weights_.data() + channel * reduction;
    const float* image =
        source.as<float>() + source.offset(task.image, task.group * in_channels_, 0, 0);

    if (plan_.in_place) {
      product.k = in_channels_;
      product.a = weights;
      product.b = image + row * source.row_stride() + column;
      product.b_row_stride = source.channel_stride();
      product.b_ends = true;
      set_epilogue(product, true, true, residual);
      gemm::multiply(kernels_, product);
    } else {
      product.b = scratch;
      for (int first = 0; first < in_channels_; first += plan_.block_inputs) {
        const int inputs = std::min(plan_.block_inputs, in_channels_ - first);
        product.k = inputs * taps_;
        product.a = weights + std::int64_t{first} * taps_;
        pack_patches(image + first * source.channel_stride(), source, inputs, pixel, pixels,
                     scratch);
        set_epilogue(product, first == 0, first + inputs == in_channels_, residual);
        gemm::multiply(kernels_, product);
      }
    }
    activate_rows(
        args.destination.as<float>() + args.destination.offset(task.image, channel, row, column),
        args.destination.channel_stride(), task.channels, pixels);
  }

  // Patches of `pixels` pixels as packed columns, channel by channel over a padded copy of the rows
  // of the image that they cover.
  void pack_patches(const float* image, const TensorView& source, int inputs, int pixel, int pixels,
                    float* packed) const {
    float* const padded = packed + round_up(plan_.patch_floats(shape_), 16);
    const int width = shape_.ow();
    const int first_row = pixel / width;
    const int rows = (pixel + pixels - 1) / width - first_row + 1;
    const int padded_rows = (rows - 1) * shape_.stride_h + shape_.extent_h();
    const int reduction = inputs * taps_;
    for (int c = 0; c < inputs; ++c) {
      pad_image(image + c * source.channel_stride(), source.row_stride(),
                first_row * shape_.stride_h - shape_.pad_top, padded_rows, padded);
      gemm::for_each_panel(kernels_, pixels, [&](int first_vector, int vectors) {
        const int panel = first_vector * kernels_.lanes, columns = vectors * kernels_.lanes;
        float* to = packed + std::int64_t{panel} * reduction + std::int64_t{c} * taps_ * columns;
        for (int tap_row = 0; tap_row < shape_.kh; ++tap_row) {
          for (int tap_column = 0; tap_column < shape_.kw; ++tap_column, to += columns) {
            const float* tap = padded +
                               std::int64_t{tap_row} * shape_.dilation_h * plan_.padded_columns +
                               tap_column * shape_.dilation_w;
            copy_pixels(tap, pixel - first_row * width + panel, std::min(columns, pixels - panel),
                        columns, to);
          }
        }
      });
    }
  }

  void pad_image(const float* image, std::int64_t row_stride, int first_row, int rows,
                 float* padded) const {
    const int width = plan_.padded_columns;
    const int left = std::min(shape_.pad_left, width);
    const int inside = std::clamp(width - left, 0, shape_.iw);
    for (int i = 0; i < rows; ++i, padded += width) {
      const int row = first_row + i;
      if (row < 0 || row >= shape_.ih) {
        std::fill_n(padded, width, 0.0F);
        continue;
      }
      std::fill_n(padded, left, 0.0F);
      std::copy_n(image + row * row_stride, inside, padded + left);
      std::fill_n(padded + left + inside, width - left - inside, 0.0F);
    }
  }

  // `count` values of one tap, from pixel `pixel` of the padded section, filled up to `columns`.
  void copy_pixels(const float* tap, int pixel, int count, int columns, float* to) const {
    const int width = shape_.ow();
    int row = pixel / width, column = pixel % width;
    int done = 0;
    while (done < count) {
      const int run = std::min(width - column, count - done);
      const float* from = tap + std::int64_t{row} * shape_.stride_h * plan_.padded_columns +
                          std::int64_t{column} * shape_.stride_w;
      if (shape_.stride_w == 1) {
        int i = 0;
        for (; i < run && done + i + kChunk <= columns; i += kChunk) {
          std::memcpy(to + done + i, from + i, kChunk * sizeof(float));
        }
        for (; i < run; ++i) to[done + i] = from[i];
      } else {
        for (int i = 0; i < run; ++i) to[done + i] = from[std::int64_t{i} * shape_.stride_w];
      }
      done += run;
      column = 0;
      ++row;
    }
    if (count < columns) std::fill_n(to + count, columns - count, 0.0F);
  }

  ColumnPlan plan_;
};

// ---- im2row, nhwc ----

struct RowPlan {
  const gemm::Kernels& kernels;
  Sharing sharing;
  gemm::PackedWeights weights;
  int reduction;        ///< of the whole convolution
  int block_reduction;  ///< packed together
  bool in_place;

  RowPlan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        sharing(images_of(shape), pixels_of(shape), shape.oc / shape.groups,
                most_pixels(kernels, context.caches), kernels.rows[kernels.vectors],
                kernels.panel_columns(), context.threads),
        weights(kernels, shape, sharing),
        reduction(shape.ic / shape.groups * shape.kh * shape.kw),
        in_place(image_is_patch_matrix(shape)) {
    const std::int64_t blocks = ceil_div(reduction, patch_panel_rows(context.caches));
    block_reduction = in_place ? reduction : static_cast<int>(ceil_div(reduction, blocks));
  }

  static int most_pixels(const gemm::Kernels& kernels, const Caches& caches) {
    // Half as many as im2col: the weights' panels pass through the same cache.
    const int rows = kernels.rows[kernels.vectors];
    const std::int64_t fit =
        copied_block_bytes(caches) / 2 / (patch_panel_rows(caches) * std::int64_t{sizeof(float)});
    return static_cast<int>(std::max<std::int64_t>(1, fit / rows) * rows);
  }
  std::size_t task_floats(const ConvShape&) const {
    if (in_place) return 0;
    return static_cast<std::size_t>(
        round_up(std::int64_t{sharing.block_pixels} * block_reduction, 16));
  }
  std::size_t weight_floats(const ConvShape&) const {
    return static_cast<std::size_t>(weights.floats());
  }
};

class RowKernel final : public gemm::ProductKernel {
 public:
  RowKernel(const Workload& workload, const Parameters& parameters, const Context& context,
            const RowPlan& plan)
      : gemm::ProductKernel(workload, context, plan.sharing, plan.task_floats(workload.shape),
                            plan.weight_floats(workload.shape)),
        plan_(plan) {
    copy_bias(parameters.bias.as<float>());
    plan_.weights.pack(parameters.weights.as<float>(), taps_, in_channels_, weights_.data());
  }

 private:
  void compute(const RunArgs& args, const Task& task, float* scratch) const override {
    const bool join = gemm::rows_join(args.destination) &&
                      (!residual_ || gemm::rows_join(args.residual)) &&
                      (!plan_.in_place || gemm::rows_join(args.sources[0]));
    gemm::for_each_row_of(task, join, shape_.ow(), [&](int pixel, int pixels) {
      compute_pixels(args, task, pixel, pixels, scratch);
    });
  }

  // Pixels that lie at equal distances in the destination.
  void compute_pixels(const RunArgs& args, const Task& task, int pixel, int pixels,
                      float* scratch) const {
    const TensorView& source = args.sources[0];
    const int channel = task.group * sharing_.channels + task.channel;
    const int row = pixel / shape_.ow(), column = pixel % shape_.ow();
    const float* image =
        source.as<float>() + source.offset(task.image, task.group * in_channels_, 0, 0);
    gemm::Product product;
    product.rows = pixels;
    product.columns = task.channels;
    product.c =
        args.destination.as<float>() + args.destination.offset(task.image, channel, row, column);
    product.c_row_stride = args.destination.column_stride();
    product.column_bias = bias_.data() + channel;
    product.b = weights_.data() + plan_.weights.offset(task.group, task.channel);
    product.packed_k = plan_.reduction;
    product.residual_row_stride = args.residual.column_stride();
    const float* residual = residual_ ? args.residual.as<float>() +
                                            args.residual.offset(task.image, channel, row, column)
                                      : nullptr;
    for (int k = 0; k < plan_.reduction; k += plan_.block_reduction) {
      product.k = std::min(plan_.block_reduction, plan_.reduction - k);
      product.first_k = k;
      if (plan_.in_place) {
        product.a = image + row * source.row_stride() + column * source.column_stride();
        product.a_row_stride = source.column_stride();
      } else {
        pack_rows(image, source, pixel, pixels, k, product.k, scratch);
        product.a = scratch;
        product.a_row_stride = product.k;
      }
      set_epilogue(product, k == 0, k + product.k == plan_.reduction, residual);
      gemm::multiply(kernels_, product);
    }
    activate_rows(product.c, product.c_row_stride, pixels, task.channels);
  }

  // Values [k, k + count) of the patches, which run over tap rows, tap columns and channels.
  void pack_rows(const float* image, const TensorView& source, int pixel, int pixels, int k,
                 int count, float* to) const {
    // Taps of one row that lie side by side in memory are copied in one go.
    const bool taps_touch = shape_.dilation_w == 1 && source.column_stride() == in_channels_;
    for (int i = 0; i < pixels; ++i) {
      const int top = (pixel + i) / shape_.ow() * shape_.stride_h - shape_.pad_top;
      const int left = (pixel + i) % shape_.ow() * shape_.stride_w - shape_.pad_left;
      int at = k;
      const int end = k + count;
      while (at < end) {
        const int tap = at / in_channels_, channel = at % in_channels_;
        const int tap_row = tap / shape_.kw, tap_column = tap % shape_.kw;
        const int row = top + tap_row * shape_.dilation_h;
        const int column = left + tap_column * shape_.dilation_w;
        int taps = 1;  // of this row, in one run
        const bool inside = row >= 0 && row < shape_.ih && column >= 0 && column < shape_.iw;
        if (taps_touch && inside) {
          taps = std::min(shape_.kw - tap_column, shape_.iw - column);
        }
        const int run = std::min(end - at, taps * in_channels_ - channel);
        if (inside) {
          std::copy_n(image + row * source.row_stride() + column * source.column_stride() + channel,
                      run, to);
        } else {
          std::fill_n(to, run, 0.0F);
        }
        to += run;
        at += run;
      }
    }
  }

  RowPlan plan_;
};

}  // namespace

std::unique_ptr<Primitive> make_im2col(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info =
      gemm::product_info(std::move(info), context, Algorithm::gemm, gemm::OutputChannels::rows, "3",
                         "matrix product of the weights with patches packed from the image");
  return std::make_unique<gemm::ProductPrimitive<ColumnKernel, ColumnPlan>>(std::move(info));
}

std::unique_ptr<Primitive> make_im2row(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info = gemm::product_info(
      std::move(info), context, Algorithm::gemm, gemm::OutputChannels::columns, "2",
      "matrix product of patches, or of the image itself for 1x1, with the weights");
  return std::make_unique<gemm::ProductPrimitive<RowKernel, RowPlan>>(std::move(info));
}

}  // namespace convopt::im2col
