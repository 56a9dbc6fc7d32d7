// Shared by convolutions that are matrix products: how the work is split, the weights in the order
// of the products, and the values that go in at a product's beginning and end.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>

#include "primitives/gemm/gemm.h"
#include "primitives/own.h"
#include "primitives/workspace.h"

namespace convopt::gemm {

/// How the pixels of every image are shared out: blocks of pixels, and if these are too few for the
/// threads, ranges of output channels as well. "Pixels" may be rows or columns of pixels.
struct Sharing {
  int pixels = 0, block_pixels = 0, pixel_blocks = 0;
  int channels = 0, block_channels = 0, channel_blocks = 0;  ///< output channels of one group
  std::int64_t tasks = 0;

  Sharing(std::int64_t images, int pixels_of_image, int channels_of_group, int most_pixels,
          int pixel_unit, int channel_unit, int threads)
      : pixels(pixels_of_image), channels(channels_of_group) {
    std::int64_t blocks = ceil_div(pixels, most_pixels);
    std::int64_t parts = 1;
    if (images * blocks % threads != 0) {
      const std::int64_t even = round_up(blocks, threads);
      if (pixels / even >= 2 * pixel_unit) {
        blocks = even;
      } else {
        parts = threads;
      }
    }
    block_pixels = static_cast<int>(round_up(ceil_div(pixels, blocks), pixel_unit));
    pixel_blocks = static_cast<int>(ceil_div(pixels, block_pixels));
    block_channels = static_cast<int>(round_up(ceil_div(channels, parts), channel_unit));
    channel_blocks = static_cast<int>(ceil_div(channels, block_channels));
    tasks = images * pixel_blocks * channel_blocks;
  }
};

/// One share of the work.
struct Task {
  int image, group;
  int pixel, pixels;      ///< first and count
  int channel, channels;  ///< within the group

  Task(const Sharing& sharing, int groups, std::int64_t index) {
    channel = static_cast<int>(index % sharing.channel_blocks) * sharing.block_channels;
    channels = std::min(sharing.block_channels, sharing.channels - channel);
    index /= sharing.channel_blocks;
    pixel = static_cast<int>(index % sharing.pixel_blocks) * sharing.block_pixels;
    pixels = std::min(sharing.block_pixels, sharing.pixels - pixel);
    index /= sharing.pixel_blocks;
    group = static_cast<int>(index % groups);
    image = static_cast<int>(index / groups);
  }
};

/// Weights of nhwc convolutions as packed matrices, reduction by output channels, one for every
/// group and block of output channels. The reduction runs over blocks of `block_inputs` input
/// channels, then the taps, then the channels of such a block.
struct PackedWeights {
  const Kernels& kernels;
  int groups, reduction;
  int channels, block_channels, channel_blocks;  ///< output channels of one group

  PackedWeights(const Kernels& of, const ConvShape& shape, const Sharing& sharing)
      : kernels(of),
        groups(shape.groups),
        reduction(shape.ic / shape.groups * shape.kh * shape.kw),
        channels(sharing.channels),
        block_channels(sharing.block_channels),
        channel_blocks(sharing.channel_blocks) {}

  std::int64_t floats() const { return groups * group_floats(); }
  /// Begin of the matrix of the output channels from `channel` on, the first of a block.
  std::int64_t offset(int group, int channel) const {
    return group * group_floats() + channel / block_channels * packed(block_channels);
  }
  void pack(const float* weights, int taps, int block_inputs, float* to) const;

 private:
  std::int64_t packed(int columns) const { return packed_floats(kernels, reduction, columns); }
  std::int64_t group_floats() const {
    return (channel_blocks - 1) * packed(block_channels) +
           packed(channels - (channel_blocks - 1) * block_channels);
  }
};

/// A convolution kernel that computes its tasks one by one, each thread with its own scratch.
class ProductKernel : public Kernel {
 public:
  ProductKernel(const Workload& workload, const Context& context, const Sharing& sharing,
                std::size_t task_floats, std::size_t weight_floats);

  /// Groups may start anywhere in a vector: the last one reads whole vectors too.
  static std::size_t bias_floats(const ConvShape& shape, const Kernels& kernels) {
    return static_cast<std::size_t>(shape.oc + kernels.lanes);
  }

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_) * task_floats_ * sizeof(float);
  }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }
  void run(const RunArgs& args) const noexcept override;

 protected:
  virtual void compute(const RunArgs& args, const Task& task, float* scratch) const = 0;

  void copy_bias(const float* bias);

  /// The residual goes in first, where it may be the destination itself; the clamp comes last.
  template <class ProductOrTile>
  void set_epilogue(ProductOrTile& product, bool first, bool last, const float* residual) const {
    product.accumulate = !first;
    product.residual = first && residual_ ? residual : nullptr;
    product.clamp = last && last_write_.clamps();
    product.low = last_write_.low;
    product.high = last_write_.high;
  }

  void activate_rows(float* data, std::int64_t stride, int rows, int columns) const {
    if (!last_write_.needs_pass) return;
    activate_(activation_, ActivatedRows::in_place(data, columns, rows, stride));
  }

  ConvShape shape_;
  int threads_;
  const Kernels& kernels_;
  Sharing sharing_;
  std::size_t task_floats_;
  int in_channels_;  ///< of one group
  int taps_;
  bool residual_;
  Activation activation_;
  LastWrite last_write_;
  ActivateRowsFunction activate_;
  AlignedFloats weights_;
  AlignedFloats bias_;
};

/// The primitive of such a kernel. `Plan` follows from shape and context alone and says what a task
/// and the weights need.
template <class KernelType, class Plan>
class ProductPrimitive : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    if (workload.shape.is_depthwise()) {
      return Applicability::no("a depthwise convolution is no matrix product");
    }
    return workspace_fits(workspace_bytes(workload, context), context);
  }
  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return static_cast<std::size_t>(context.threads) *
           Plan(workload.shape, context).task_floats(workload.shape) * sizeof(float);
  }
  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return sizeof(float) * (Plan(workload.shape, context).weight_floats(workload.shape) +
                            ProductKernel::bias_floats(workload.shape, gemm::kernels(context.isa)));
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<KernelType>(workload, parameters, context, Plan(workload.shape, context)));
  }
};

/// Rows of a view that continue each other.
inline bool rows_join(const TensorView& view) {
  return view.row_stride() == view.shape.w() * view.column_stride();
}
/// Calls body(pixel, count) for the pixels of a task: all of them where `rows_join`, otherwise
/// those of one row of `width` pixels at a time.
template <class Body>
void for_each_row_of(const Task& task, bool rows_join, int width, const Body& body) {
  for (int pixel = task.pixel, end = task.pixel + task.pixels; pixel < end;) {
    const int count = rows_join ? end - pixel : std::min(width - pixel % width, end - pixel);
    body(pixel, count);
    pixel += count;
  }
}

/// The dimension of the product that output channels are.
enum class OutputChannels { rows, columns };
/// Completes the description of such a primitive; what is special about it is added afterwards.
PrimitiveInfo product_info(PrimitiveInfo info, const Context& context, Algorithm algorithm,
                           OutputChannels channels, std::string revision, std::string description);

/// Taps first <= tap < last of a kernel's row or column lie inside the image.
struct TapRange {
  int first, last;
  auto operator<=>(const TapRange&) const = default;
};
inline TapRange taps_inside(int output, int stride, int pad, int dilation, int taps, int size) {
  const int start = output * stride - pad;
  const int first = start >= 0 ? 0 : static_cast<int>(ceil_div(-start, dilation));
  const int last = start >= size ? 0 : static_cast<int>(ceil_div(size - start, dilation));
  const int begin = std::min(first, taps);
  return {begin, std::clamp(last, begin, taps)};
}

}  // namespace convopt::gemm
