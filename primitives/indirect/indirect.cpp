// Indirect convolution (M. Dukhan, The Indirect Convolution Algorithm, arXiv 1907.02129): a matrix
// product whose rows are found through pointers, one per output pixel and tap, so that stride,
// dilation, padding and batch are all the same to it and nothing of the image is copied.
//
// The pointers are made block by block in the workspace, because they depend on the tensors of a
// run. In every block, pixels that see the same taps stand together: a register tile leaves out the
// taps that lie in the padding for all of its pixels.
#include <algorithm>
#include <utility>
#include <vector>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"

namespace convopt::indirect {
namespace {

constexpr int kLeastPixels = 96;

struct Window {
  gemm::TapRange rows, columns;  ///< of the taps inside the image
  auto operator<=>(const Window&) const = default;
};

struct Plan {
  const gemm::Kernels& kernels;
  gemm::Sharing sharing;
  gemm::PackedWeights weights;
  int taps;
  int block_inputs;  ///< input channels that one segment adds up
  int block_taps;    ///< taps that one call of a tile goes through

  Plan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        // All images together: pixels of several may share a tile.
        sharing(shape.groups, shape.n * shape.oh() * shape.ow(), shape.oc / shape.groups,
                most_pixels(shape, context.caches), kernels.rows[kernels.vectors],
                kernels.panel_columns(), context.threads),
        weights(kernels, shape, sharing),
        taps(shape.kh * shape.kw) {
    const std::int64_t inputs = shape.ic / shape.groups;
    const int rows = panel_rows(context.caches);
    block_inputs = static_cast<int>(ceil_div(inputs, ceil_div(inputs, rows)));
    block_taps = std::clamp(rows / block_inputs, 1, taps);
  }

  static int most_pixels(const ConvShape& shape, const Caches& caches) {
    const std::int64_t bytes = std::int64_t{shape.ic} / shape.groups *
                               std::min(shape.stride_h, shape.kh) *
                               std::min(shape.stride_w, shape.kw) * std::int64_t{sizeof(float)};
    const std::int64_t fit = image_block_bytes(caches) / bytes;
    return static_cast<int>(std::clamp<std::int64_t>(fit, kLeastPixels, 1024));
  }

  // A task's scratch: pointers of its pixels, places of its results, numbers of a tile's taps.
  std::int64_t pointer_bytes() const {
    return std::int64_t{sharing.block_pixels} * taps * std::int64_t{sizeof(const float*)};
  }
  std::int64_t offset_bytes() const {
    return std::int64_t{sharing.block_pixels} * std::int64_t{sizeof(std::int64_t)};
  }
  std::size_t task_floats(const ConvShape&) const {
    const std::int64_t bytes =
        pointer_bytes() + 2 * offset_bytes() + block_taps * std::int64_t{sizeof(int)};
    return static_cast<std::size_t>(round_up(bytes, 64)) / sizeof(float);
  }
  /// The zeros that stand for the padding lie behind the weights.
  std::size_t weight_floats(const ConvShape& shape) const {
    return static_cast<std::size_t>(weights.floats() + shape.ic / shape.groups);
  }
};

class IndirectKernel final : public gemm::ProductKernel {
 public:
  IndirectKernel(const Workload& workload, const Parameters& parameters, const Context& context,
                 const Plan& plan)
      : ProductKernel(workload, context, plan.sharing, plan.task_floats(workload.shape),
                      plan.weight_floats(workload.shape)),
        plan_(plan),
        zeros_(weights_.data() + plan.weights.floats()) {
    plan_.weights.pack(parameters.weights.as<float>(), taps_, plan_.block_inputs, weights_.data());
    std::fill_n(weights_.data() + plan.weights.floats(), in_channels_, 0.0F);
    copy_bias(parameters.bias.as<float>());
    for (int row = 0; row < shape_.oh(); ++row) {
      tap_rows_.push_back(gemm::taps_inside(row, shape_.stride_h, shape_.pad_top, shape_.dilation_h,
                                            shape_.kh, shape_.ih));
    }
    for (int column = 0; column < shape_.ow(); ++column) {
      tap_columns_.push_back(gemm::taps_inside(column, shape_.stride_w, shape_.pad_left,
                                               shape_.dilation_w, shape_.kw, shape_.iw));
    }
    for (int image = 0; image < shape_.n; ++image) {
      for (int row = 0; row < shape_.oh(); ++row) {
        for (int column = 0; column < shape_.ow(); ++column) {
          order_.push_back({image, row, column});
        }
      }
    }
    const auto by_window = [&](const Pixel& a, const Pixel& b) { return window(a) < window(b); };
    for (int first = 0; first < sharing_.pixels; first += sharing_.block_pixels) {
      const auto begin = order_.begin() + first;
      std::stable_sort(begin, begin + std::min(sharing_.block_pixels, sharing_.pixels - first),
                       by_window);
    }
  }

 private:
  struct Pixel {
    int image, row, column;
  };
  Window window(const Pixel& pixel) const {
    return {tap_rows_[static_cast<std::size_t>(pixel.row)],
            tap_columns_[static_cast<std::size_t>(pixel.column)]};
  }

  void compute(const RunArgs& args, const gemm::Task& task, float* scratch) const override {
    const auto pointers = reinterpret_cast<const float**>(scratch);
    const auto places = reinterpret_cast<std::int64_t*>(pointers + task.pixels * taps_);
    const auto residual_places = places + task.pixels;
    const auto numbers = reinterpret_cast<int*>(residual_places + task.pixels);
    const Pixel* const order = order_.data() + task.pixel;
    const int channel = task.group * sharing_.channels + task.channel;
    const TensorView& destination = args.destination;
    for (int i = 0; i < task.pixels; ++i) {
      const auto [image, row, column] = order[i];
      places[i] = destination.offset(image, channel, row, column);
      if (residual_) residual_places[i] = args.residual.offset(image, channel, row, column);
      point(args.sources[0], task.group * in_channels_, {image, row, column}, pointers + i * taps_);
    }

    gemm::Tile tile;
    tile.pointers_per_row = taps_;
    tile.c = destination.as<float>();
    tile.segment_numbers = numbers;
    const int vectors_in_all = static_cast<int>(ceil_div(task.channels, kernels_.lanes));
    const float* const weights = weights_.data() + plan_.weights.offset(task.group, task.channel);
    gemm::for_each_panel(kernels_, task.channels, [&](int first, int vectors) {
      const int column = first * kernels_.lanes;
      const bool last_panel = first + vectors == vectors_in_all;
      tile.last_columns = last_panel ? (task.channels - 1) % kernels_.lanes + 1 : kernels_.lanes;
      tile.column_bias = bias_.data() + channel + column;
      tile.c = destination.as<float>() + column;
      tile.b_row_stride = std::int64_t{vectors} * kernels_.lanes;
      tile.b = weights + std::int64_t{column} * plan_.weights.reduction;
      const int groups = static_cast<int>(ceil_div(task.pixels, kernels_.rows[vectors]));
      for (int input = 0; input < in_channels_; input += plan_.block_inputs) {
        tile.a_offset = input;
        tile.k = std::min(plan_.block_inputs, in_channels_ - input);
        for (int tap = 0; tap < taps_; tap += plan_.block_taps) {
          const int end = std::min(tap + plan_.block_taps, taps_);
          set_epilogue(tile, input == 0 && tap == 0, input + tile.k == in_channels_ && end == taps_,
                       residual_ ? args.residual.as<float>() + column : nullptr);
          // Weights of the next taps, the next input channels or the next panel.
          const float* const following = tile.b + std::int64_t{end} * tile.k * tile.b_row_stride;
          for (int group = 0, i = 0; group < groups; ++group) {
            const int next = static_cast<int>(part_begin(task.pixels, group + 1, groups));
            tile.row_pointers = pointers + i * taps_;
            tile.c_offsets = places + i;
            tile.residual_offsets = residual_places + i;
            tile.segments = list_taps(order + i, next - i, tap, end, numbers);
            gemm::spread_fetch(tile, following, vectors * kernels_.lanes, (end - tap) * tile.k,
                               group, groups);
            kernels_.indirect_tile[vectors][next - i](tile);
            i = next;
          }
        }
        tile.b += std::int64_t{taps_} * tile.k * tile.b_row_stride;
      }
    });
    for (int i = 0; i < task.pixels; ++i) {
      activate_rows(destination.as<float>() + places[i], 0, 1, task.channels);
    }
  }

  // Fills in the addresses that the taps of a pixel read.
  void point(const TensorView& source, int channel, const Pixel& at, const float** pointers) const {
    const int top = at.row * shape_.stride_h - shape_.pad_top;
    const int left = at.column * shape_.stride_w - shape_.pad_left;
    const float* const image = source.as<float>() + source.offset(at.image, channel, 0, 0);
    for (int i = 0; i < shape_.kh; ++i) {
      const int row = top + i * shape_.dilation_h;
      const bool row_exists = row >= 0 && row < shape_.ih;
      for (int j = 0; j < shape_.kw; ++j) {
        const int column = left + j * shape_.dilation_w;
        const bool exists = row_exists && column >= 0 && column < shape_.iw;
        *pointers++ =
            exists ? image + row * source.row_stride() + column * source.column_stride() : zeros_;
      }
    }
  }

  // The taps between two that some pixel of a tile sees.
  int list_taps(const Pixel* pixels, int count, int begin, int end, int* numbers) const {
    Window all = window(pixels[0]);
    for (int i = 1; i < count; ++i) {
      const Window one = window(pixels[i]);
      all = {{std::min(all.rows.first, one.rows.first), std::max(all.rows.last, one.rows.last)},
             {std::min(all.columns.first, one.columns.first),
              std::max(all.columns.last, one.columns.last)}};
    }
    int listed = 0;
    for (int tap = begin; tap < end; ++tap) {
      const int row = tap / shape_.kw, column = tap % shape_.kw;
      const bool seen = row >= all.rows.first && row < all.rows.last &&
                        column >= all.columns.first && column < all.columns.last;
      if (seen) numbers[listed++] = tap;
    }
    return listed;
  }

  Plan plan_;
  const float* zeros_;
  std::vector<gemm::TapRange> tap_rows_, tap_columns_;  ///< of an output row or column
  std::vector<Pixel> order_;  ///< pixels of all images, as the tiles take them
};

}  // namespace

std::unique_ptr<Primitive> make_indirect(PrimitiveInfo info, const Context& context,
                                         std::initializer_list<int>) {
  info = gemm::product_info(
      std::move(info), context, Algorithm::indirect, gemm::OutputChannels::columns, "1",
      "matrix product with rows found through pointers, taps in the padding left out");
  return std::make_unique<gemm::ProductPrimitive<IndirectKernel, Plan>>(std::move(info));
}

}  // namespace convopt::indirect
