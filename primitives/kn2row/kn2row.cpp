// Convolution as one matrix product per tap, all accumulated in registers: the pixels that a tap
// sees are the image itself, shifted. A padded copy of the rows in work makes every shift a plain
// matrix [input channel][pixel], so nothing is repeated per tap as in im2col. Its rows are wider
// than the result's; the columns computed in between are left out when results are written.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"
#include "primitives/workspace.h"

namespace convopt::kn2row {
namespace {

constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kCacheLineFloats = 16;

/// Everything that follows from shape and context alone.
struct Blocking {
  int inputs = 0, outputs = 0;  ///< channels of one group
  int rows = 0, row_blocks = 0;
  int block_outputs = 0, output_blocks = 0;  ///< shared out among threads
  int chunk = 0;                             ///< output channels computed before they are written
  int width = 0, padded_rows = 0;            ///< of the padded copy
  int columns = 0;                           ///< of one block of rows, those in between included
  std::int64_t channel_stride = 0, result_stride = 0;
  std::int64_t image_floats = 0, task_floats = 0;
  std::int64_t tasks = 0;

  Blocking(const ConvShape& shape, const gemm::Kernels& kernels, const Context& context) {
    const int threads = context.threads;
    inputs = shape.ic / shape.groups;
    outputs = shape.oc / shape.groups;
    width = shape.ow() - 1 + shape.extent_w();
    const std::int64_t row_bytes = std::int64_t{inputs} * width * kFloat;
    // Whole images if they fit; at least one panel of columns.
    const std::int64_t fit =
        copied_block_bytes(context.caches) / row_bytes - (shape.extent_h() - 1);
    const std::int64_t least = ceil_div(kernels.panel_columns(), width);
    const std::int64_t most_rows = std::clamp<std::int64_t>(std::max(fit, least), 1, shape.oh());
    const std::int64_t images = std::int64_t{shape.n} * shape.groups;
    std::int64_t blocks = ceil_div(shape.oh(), most_rows), parts = 1;
    if (images * blocks % threads != 0) {
      const std::int64_t even = round_up(blocks, threads);
      if (shape.oh() / even >= least) {
        blocks = even;
      } else {
        parts = threads;
      }
    }
    rows = static_cast<int>(ceil_div(shape.oh(), blocks));
    row_blocks = static_cast<int>(ceil_div(shape.oh(), rows));
    padded_rows = rows - 1 + shape.extent_h();
    columns = (rows - 1) * width + shape.ow();
    // Whole vectors may be read past the last pixel. An odd number of cache lines, so that the same
    // pixel of many channels is spread over the cache's sets.
    const std::int64_t lines = ceil_div(padded_rows * width + kernels.lanes, kCacheLineFloats);
    channel_stride = (lines + (lines % 2 == 0 ? 1 : 0)) * kCacheLineFloats;
    result_stride = round_up(columns, kCacheLineFloats);

    const int tile_rows = kernels.rows[kernels.vectors];
    block_outputs = static_cast<int>(round_up(ceil_div(outputs, parts), tile_rows));
    output_blocks = static_cast<int>(ceil_div(outputs, block_outputs));
    const std::int64_t fitting =
        result_block_bytes(context.caches) / (result_stride * kFloat) / tile_rows * tile_rows;
    chunk = static_cast<int>(std::clamp<std::int64_t>(fitting, tile_rows, block_outputs));
    image_floats = inputs * channel_stride;
    task_floats = image_floats + chunk * result_stride;
    tasks = images * row_blocks * output_blocks;
  }
};

class Kn2rowKernel final : public Kernel {
 public:
  Kn2rowKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : shape_(workload.shape),
        threads_(context.threads),
        kernels_(gemm::kernels(context.isa)),
        blocking_(shape_, kernels_, context),
        residual_(workload.epilogue.residual),
        activation_(workload.epilogue.activation),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)),
        weights_(static_cast<std::size_t>(shape_.weight_elements())),
        bias_(static_cast<std::size_t>(shape_.oc)) {
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    if (parameters.bias.as<float>() != nullptr)
      std::copy_n(parameters.bias.as<float>(), shape_.oc, bias_.data());
    // [output channel][tap][input channel]
    const int taps = shape_.kh * shape_.kw;
    const float* from = parameters.weights.as<float>();
    for (int oc = 0; oc < shape_.oc; ++oc) {
      float* to = weights_.data() + std::int64_t{oc} * taps * blocking_.inputs;
      for (int ic = 0; ic < blocking_.inputs; ++ic) {
        for (int tap = 0; tap < taps; ++tap) to[tap * blocking_.inputs + ic] = *from++;
      }
    }
    for (int i = 0; i < shape_.kh; ++i) {
      for (int j = 0; j < shape_.kw; ++j) {
        shifts_.push_back(std::int64_t{i} * shape_.dilation_h * blocking_.width +
                          j * shape_.dilation_w);
      }
    }
  }

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * blocking_.task_floats * kFloat);
  }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    parallel_tasks(threads_, blocking_.tasks, [&](std::int64_t task, int thread) {
      compute(args, task, static_cast<float*>(args.workspace) + thread * blocking_.task_floats);
    });
  }

 private:
  void compute(const RunArgs& args, std::int64_t task, float* scratch) const {
    const int part = static_cast<int>(task % blocking_.output_blocks);
    task /= blocking_.output_blocks;
    const int first_row = static_cast<int>(task % blocking_.row_blocks) * blocking_.rows;
    task /= blocking_.row_blocks;
    const int group = static_cast<int>(task % shape_.groups);
    const int image = static_cast<int>(task / shape_.groups);
    const int rows = std::min(blocking_.rows, shape_.oh() - first_row);

    for (int c = 0; c < blocking_.inputs; ++c) {
      pad(args.sources[0], image, group * blocking_.inputs + c, first_row,
          scratch + c * blocking_.channel_stride);
    }
    gemm::Product product;
    product.columns = (rows - 1) * blocking_.width + shape_.ow();
    product.k = blocking_.inputs;
    product.segments = static_cast<int>(shifts_.size());
    product.segment_offsets = shifts_.data();
    product.a_row_stride = std::int64_t{product.segments} * blocking_.inputs;
    product.b = scratch;
    product.b_row_stride = blocking_.channel_stride;
    product.c = scratch + blocking_.image_floats;
    product.c_row_stride = blocking_.result_stride;
    const int begin = part * blocking_.block_outputs;
    const int end = std::min(begin + blocking_.block_outputs, blocking_.outputs);
    for (int c = begin; c < end; c += blocking_.chunk) {
      const int channel = group * blocking_.outputs + c;
      product.rows = std::min(blocking_.chunk, end - c);
      product.a = weights_.data() + channel * product.a_row_stride;
      product.row_bias = bias_.data() + channel;
      gemm::multiply(kernels_, product);
      for (int i = 0; i < product.rows; ++i) {
        write(args, image, channel + i, first_row, rows, product.c + i * product.c_row_stride);
      }
    }
  }

  // The rows of one channel that a block of output rows reads, with their padding.
  void pad(const TensorView& source, int image, int channel, int first_row, float* to) const {
    const int width = blocking_.width;
    const int left = std::min(shape_.pad_left, width);
    const int inside = std::clamp(width - left, 0, shape_.iw);
    const float* const from = source.as<float>() + source.offset(image, channel, 0, 0);
    for (int i = 0; i < blocking_.padded_rows; ++i, to += width) {
      const int row = first_row + i - shape_.pad_top;
      if (row < 0 || row >= shape_.ih) {
        std::fill_n(to, width, 0.0F);
        continue;
      }
      std::fill_n(to, left, 0.0F);
      std::copy_n(from + row * source.row_stride(), inside, to + left);
      std::fill_n(to + left + inside, width - left - inside, 0.0F);
    }
  }

  void write(const RunArgs& args, int image, int channel, int first_row, int rows,
             const float* from) const {
    const int columns = shape_.ow();
    const float low = last_write_.low, high = last_write_.high;
    for (int i = 0; i < rows; ++i, from += blocking_.width) {
      float* const to =
          args.destination.as<float>() + args.destination.offset(image, channel, first_row + i, 0);
      const float* const add =
          residual_
              ? args.residual.as<float>() + args.residual.offset(image, channel, first_row + i, 0)
              : nullptr;
      for (int j = 0; j < columns; ++j) {
        const float value = add != nullptr ? from[j] + add[j] : from[j];
        to[j] = std::min(std::max(value, low), high);
      }
      if (last_write_.needs_pass) activate_(activation_, to, columns);
    }
  }

  ConvShape shape_;
  int threads_;
  const gemm::Kernels& kernels_;
  Blocking blocking_;
  bool residual_;
  Activation activation_;
  LastWrite last_write_;
  ActivateFunction activate_;
  std::vector<std::int64_t> shifts_;  ///< of the padded copy, for each tap
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class Kn2rowPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& shape = workload.shape;
    if (shape.stride_h != 1 || shape.stride_w != 1) return Applicability::no("the stride is not 1");
    if (shape.kh * shape.kw == 1) {
      return Applicability::no("a 1x1 kernel is one product, which im2col computes in place");
    }
    if (shape.is_depthwise()) {
      return Applicability::no("a depthwise convolution is no matrix product");
    }
    return workspace_fits(workspace_bytes(workload, context), context);
  }
  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    const Blocking blocking(workload.shape, gemm::kernels(context.isa), context);
    return static_cast<std::size_t>(context.threads * blocking.task_floats * kFloat);
  }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    return static_cast<std::size_t>((workload.weight_elements() + workload.shape.oc) * kFloat);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<Kn2rowKernel>(workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_kn2row(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info = gemm::product_info(
      std::move(info), context, Algorithm::kn2row, gemm::OutputChannels::rows, "2",
      "one matrix product per tap over a padded copy of the image, accumulated");
  info.traits.packed_bytes_per_input_byte = 1;
  return std::make_unique<Kn2rowPrimitive>(std::move(info));
}

}  // namespace convopt::kn2row
