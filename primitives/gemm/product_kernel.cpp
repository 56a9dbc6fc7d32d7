#include "primitives/gemm/product_kernel.h"

#include <utility>

namespace convopt::gemm {

void PackedWeights::pack(const float* weights, int taps, int block_inputs, float* to) const {
  const int inputs = reduction / taps;
  for (int group = 0; group < groups; ++group) {
    for (int block = 0; block < channels; block += block_channels) {
      const int columns = std::min(block_channels, channels - block);
      const float* const from = weights + (std::int64_t{group} * channels + block) * reduction;
      float* const matrix = to + offset(group, block);
      for_each_panel(kernels, columns, [&](int first, int vectors) {
        const int width = vectors * kernels.lanes, column = first * kernels.lanes;
        float* row = matrix + std::int64_t{column} * reduction;
        for (int c = 0; c < inputs; c += block_inputs) {
          const int end = std::min(c + block_inputs, inputs);
          for (int tap = 0; tap < taps; ++tap) {
            for (int i = c; i < end; ++i, row += width) {
              for (int j = 0; j < width; ++j) {
                const std::int64_t oc = column + j;
                row[j] = oc < columns ? from[oc * reduction + i * taps + tap] : 0.0F;
              }
            }
          }
        }
      });
    }
  }
}

ProductKernel::ProductKernel(const Workload& workload, const Context& context,
                             const Sharing& sharing, std::size_t task_floats,
                             std::size_t weight_floats)
    : shape_(workload.shape),
      threads_(context.threads),
      kernels_(gemm::kernels(context.isa)),
      sharing_(sharing),
      task_floats_(task_floats),
      in_channels_(shape_.ic / shape_.groups),
      taps_(shape_.kh * shape_.kw),
      residual_(workload.epilogue.residual),
      activation_(workload.epilogue.activation),
      last_write_(last_write(activation_)),
      activate_(activate_rows_function(context.isa)),
      weights_(weight_floats),
      bias_(bias_floats(shape_, kernels_)) {}

void ProductKernel::run(const RunArgs& args) const noexcept {
  parallel_tasks(threads_, sharing_.tasks, [&](std::int64_t index, int thread) {
    float* const scratch =
        static_cast<float*>(args.workspace) + static_cast<std::size_t>(thread) * task_floats_;
    compute(args, Task(sharing_, shape_.groups, index), scratch);
  });
}

PrimitiveInfo product_info(PrimitiveInfo info, const Context& context, Algorithm algorithm,
                           OutputChannels channels, std::string revision, std::string description) {
  const Kernels& kernels = gemm::kernels(context.isa);
  info.description = std::move(description);
  info.revision = std::move(revision);
  info.traits.algorithm = algorithm;
  info.traits.tile_oc = kernels.rows[kernels.vectors];
  info.traits.tile_pixels = kernels.panel_columns();
  if (channels == OutputChannels::columns) std::swap(info.traits.tile_oc, info.traits.tile_pixels);
  info.traits.strided_views = true;
  return info;
}

void ProductKernel::copy_bias(const float* bias) {
  std::fill_n(bias_.data(), bias_.size(), 0.0F);
  if (bias != nullptr) std::copy_n(bias, shape_.oc, bias_.data());
}

}  // namespace convopt::gemm
