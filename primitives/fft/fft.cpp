// FFT convolution by overlap-save: windows of the image are transformed, multiplied per frequency
// over all channels, and transformed back; of the circular convolution that results, the part that
// does not wrap around is the output of the tile. Tiles are worked through in blocks, and in each
// block V [pair][tile][input channel] is made from the image, M [pair][tile][output channel]
// from V by one complex matrix product per pair, and the destination from M. All
// threads share a block: tiles and channels are divided among them in the transforms, and the
// products, so that every weight is read by one thread only.
//
// A kernel of more than half a tile leaves few outputs per tile. It can instead be divided into
// parts of half a tile, which step through the image like the tiles do: results of the parts are
// added up per frequency, as if they were more input channels, and transformed back once.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "primitives/blocking.h"
#include "primitives/fft/product.h"
#include "primitives/fft/split.h"
#include "primitives/fft/transforms.h"
#include "primitives/own.h"
#include "primitives/tiles/tiles.h"
#include "primitives/workspace.h"

namespace convopt::fft {
namespace {

/// Most parts of a kernel per direction. Every part is as much work as a whole kernel of half a
/// tile, so with more of them larger tiles win.
constexpr int kMostParts = 2;

/// Reading them takes 50 ms on a fast machine, and making them seconds: of 121 layers beyond half
/// of this that were timed, none came within a factor of four of the best primitive.
constexpr std::size_t kMostPackedBytes = std::size_t{1} << 30U;

/// Everything that follows from shape and context alone.
struct Blocking {
  Split h, w;
  tiles::Grid grid;
  int tiles = 0;  ///< of all images
  int block_tiles = 0, tile_blocks = 0;
  int parts = 0;
  int oc = 0;       ///< those of a partial layout block included
  int columns = 0;  ///< output channels in whole vectors
  std::int64_t v_row = 0, v_pair = 0, v_part = 0, m_row = 0, m_pair = 0;  ///< in floats
  std::int64_t v_floats = 0, m_floats = 0;
  std::int64_t matrix_floats = 0;  ///< packed weights of one pair and part
  std::int64_t weight_floats = 0;

  std::size_t workspace_bytes() const {
    return static_cast<std::size_t>(v_floats + m_floats) * sizeof(float);
  }
  std::size_t packed_bytes() const {
    return static_cast<std::size_t>(weight_floats + bias_floats()) * sizeof(float);
  }
  std::int64_t bias_floats() const { return m_row / 2; }
};

// Limits on the tiles of a block. First guesses; other values have not been timed.
constexpr std::int64_t kFewTiles = 16, kManyTiles = 128;

Blocking choose_blocking(const ConvShape& shape, int points, Layout layout,
                         const Context& context) {
  const int lanes = simd_lanes(context.isa);
  Blocking b;
  b.h = choose_split(points, shape.kh, shape.oh());
  b.w = choose_split(points, shape.kw, shape.ow());
  b.grid = tiles::Grid(shape, b.h.step, b.w.step);
  b.tiles = static_cast<int>(b.grid.count);
  b.parts = b.h.parts * b.w.parts;
  b.oc = static_cast<int>(padded_channels(shape.oc, layout));
  b.columns = static_cast<int>(round_up(b.oc, lanes));
  b.v_row = 3 * round_up(shape.ic, kGroup);
  b.m_row = 2 * round_up(b.columns, kGroup);

  const std::int64_t tile_bytes =
      pairs(points) * (b.parts * b.v_row + b.m_row) * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t most_tiles =
      std::clamp(fft_block_bytes(context.caches) / tile_bytes, kFewTiles, kManyTiles);
  b.block_tiles = static_cast<int>(ceil_div(b.tiles, ceil_div(b.tiles, most_tiles)));
  b.tile_blocks = static_cast<int>(ceil_div(b.tiles, b.block_tiles));
  b.v_part = b.block_tiles * b.v_row;
  b.v_pair = tiles::matrix_stride(b.parts * b.v_part);
  b.m_pair = tiles::matrix_stride(b.block_tiles * b.m_row);
  b.v_floats = pairs(points) * b.v_pair;
  b.m_floats = pairs(points) * b.m_pair;
  b.matrix_floats = std::int64_t{2} * shape.ic * b.columns;
  b.weight_floats = pairs(points) * b.parts * b.matrix_floats;
  return b;
}

/// Channels that a transform is called for.
int channel_group(Layout layout) { return layout == Layout::nhwc ? 16 : channel_block(layout); }

class FftKernel final : public Kernel {
 public:
  FftKernel(const Workload& workload, const Parameters& parameters, const Context& context,
            int points, Layout layout)
      : shape_(workload.shape),
        points_(points),
        group_(channel_group(layout)),
        threads_(context.threads),
        functions_(product_functions(context.isa)),
        transforms_(transforms(context.isa, points, group_)),
        blocking_(choose_blocking(shape_, points, layout, context)),
        writer_(workload.epilogue, context.isa),
        weights_(static_cast<std::size_t>(blocking_.weight_floats)),
        bias_(static_cast<std::size_t>(blocking_.bias_floats())) {
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    if (parameters.bias.as<float>() != nullptr)
      std::copy_n(parameters.bias.as<float>(), shape_.oc, bias_.data());
    pack_weights(parameters.weights.as<float>(), context.isa);
  }

  std::size_t workspace_bytes() const override { return blocking_.workspace_bytes(); }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    float* const v = static_cast<float*>(args.workspace);
    float* const m = v + blocking_.v_floats;
    const int input_groups = static_cast<int>(ceil_div(shape_.ic, group_));
    const int output_groups = static_cast<int>(ceil_div(blocking_.oc, group_));
#pragma omp parallel num_threads(threads_) if (threads_ > 1)
    for (int block = 0; block < blocking_.tile_blocks; ++block) {
      const int first = block * blocking_.block_tiles;
      const int count = std::min(blocking_.block_tiles, blocking_.tiles - first);
#pragma omp for schedule(static)
      for (int i = 0; i < count * blocking_.parts * input_groups; ++i) {
        const int group = i % input_groups, tile = i / input_groups;
        transform_window(args, first, tile / blocking_.parts, tile % blocking_.parts, group, v);
      }
#pragma omp for schedule(static)
      for (int p = 0; p < pairs(points_); ++p) multiply(p, count, v, m);
#pragma omp for schedule(static)
      for (int i = 0; i < count * output_groups; ++i) {
        store_tile(args, first, i / output_groups, i % output_groups, m);
      }
    }
  }

 private:
  /// Packs U [pair][part], each an ic x oc matrix for the product.
  void pack_weights(const float* weights, Isa isa) {
    const Transforms filter_transforms = transforms(isa, points_, kGroup);
    parallel_for(threads_, std::int64_t{shape_.ic} * blocking_.parts, [&](std::int64_t index) {
      pack_filters(weights, static_cast<int>(index / blocking_.parts),
                   static_cast<int>(index % blocking_.parts), filter_transforms);
    });
  }

  /// Packs one part of the filters of input channel `k`. They go through the transform of images,
  /// lanes being output channels. Correlation takes their conjugate.
  void pack_filters(const float* weights, int k, int part, const Transforms& filter_transforms) {
    const int count = pairs(points_);
    const int top = part / blocking_.w.parts * blocking_.h.taps;
    const int left = part % blocking_.w.parts * blocking_.w.taps;
    const int taps_h = std::min(blocking_.h.taps, shape_.kh - top);
    const int taps_w = std::min(blocking_.w.taps, shape_.kw - left);
    const float scale = 1.0F / static_cast<float>(points_ * points_);
    std::vector<float> taps(static_cast<std::size_t>(taps_h * taps_w * kGroup));
    std::vector<float> transformed(static_cast<std::size_t>(count * 3 * kGroup));
    InputTile tile;
    tile.source = taps.data();
    tile.row_stride = taps_w * kGroup;
    tile.column_stride = kGroup;
    tile.channels = kGroup;
    tile.row_end = taps_h;
    tile.column_end = taps_w;
    tile.transformed = transformed.data();
    tile.transformed_stride = 3 * kGroup;
    for (int c = 0; c < blocking_.columns; c += kGroup) {
      for (int lane = 0; lane < kGroup; ++lane) {
        const float* filter =
            weights + (std::int64_t{c + lane} * shape_.ic + k) * shape_.kh * shape_.kw;
        for (int i = 0; i < taps_h; ++i) {
          for (int j = 0; j < taps_w; ++j) {
            taps[static_cast<std::size_t>((i * taps_w + j) * kGroup + lane)] =
                c + lane < shape_.oc ? filter[(top + i) * shape_.kw + left + j] * scale : 0.0F;
          }
        }
      }
      filter_transforms.input(tile);
      for (int p = 0; p < count; ++p) {
        const float* from = transformed.data() + p * 3 * kGroup;
        const float sign = is_real_pair(points_, p) ? 1.0F : -1.0F;
        for (int lane = 0; lane < kGroup && c + lane < blocking_.columns; ++lane) {
          float* to = weights_.data() + matrix(p, part) +
                      functions_.packed_offset(shape_.ic, blocking_.columns, k, c + lane);
          to[0] = from[lane];
          to[functions_.lanes] = sign * from[lane + kGroup];
        }
      }
    }
  }

  std::int64_t matrix(int pair, int part) const {
    return (std::int64_t{pair} * blocking_.parts + part) * blocking_.matrix_floats;
  }

  void transform_window(const RunArgs& args, int first, int tile, int part, int group,
                        float* v) const {
    const TensorView& source = args.sources[0];
    const auto [image, row, column] = blocking_.grid.position(first + tile);
    const int top = row + part / blocking_.w.parts * blocking_.h.taps - shape_.pad_top;
    const int left = column + part % blocking_.w.parts * blocking_.w.taps - shape_.pad_left;
    const int channel = group * group_;
    InputTile input;
    input.row_stride = source.row_stride();
    input.column_stride = source.column_stride();
    input.source = source.as<float>() + source.offset(image, channel, 0, 0) +
                   top * source.row_stride() + left * source.column_stride();
    input.channels = std::min(group_, shape_.ic - channel);
    input.set_window(shape_, top, left, points_, points_);
    input.transformed =
        v + part * blocking_.v_part + tile * blocking_.v_row + input_offset(channel);
    input.transformed_stride = blocking_.v_pair;
    transforms_.input(input);
  }

  void multiply(int p, int count, const float* v, float* m) const {
    Product product;
    product.rows = count;
    product.columns = blocking_.columns;
    product.k = shape_.ic;
    product.real_pairs = is_real_pair(points_, p);
    product.a_row_stride = blocking_.v_row;
    product.c_row_stride = blocking_.m_row;
    product.c = m + p * blocking_.m_pair;
    for (int part = 0; part < blocking_.parts; ++part) {
      product.a = v + p * blocking_.v_pair + part * blocking_.v_part;
      product.b = weights_.data() + matrix(p, part);
      product.accumulate = part > 0;
      fft::multiply(functions_, product);
    }
  }

  void store_tile(const RunArgs& args, int first, int tile, int group, const float* m) const {
    const auto [image, row, column] = blocking_.grid.position(first + tile);
    const int channel = group * group_;
    const TensorView& destination = args.destination;
    OutputTile output = writer_.shared(args);
    output.transformed = m + tile * blocking_.m_row + result_offset(channel);
    output.transformed_stride = blocking_.m_pair;
    output.bias = bias_.data() + channel;
    output.destination = destination.as<float>() + destination.offset(image, channel, row, column);
    if (writer_.has_residual()) {
      output.residual =
          args.residual.as<float>() + args.residual.offset(image, channel, row, column);
    }
    output.channels = std::min(group_, blocking_.oc - channel);
    output.rows = std::min(blocking_.grid.outputs_h, blocking_.grid.oh - row);
    output.columns = std::min(blocking_.grid.outputs_w, blocking_.grid.ow - column);
    transforms_.output(output);
    writer_.finish(output, std::min(output.channels, shape_.oc - channel));
  }

  ConvShape shape_;
  int points_;
  int group_;
  int threads_;
  ProductFunctions functions_;
  Transforms transforms_;
  Blocking blocking_;
  tiles::Writer writer_;
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class FftPrimitive final : public Primitive {
 public:
  FftPrimitive(PrimitiveInfo info, int points) : Primitive(std::move(info)), points_(points) {}

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& shape = workload.shape;
    if (shape.kh == 1 && shape.kw == 1) return Applicability::no("a 1x1 kernel is a plain product");
    if (std::max(shape.kh, shape.kw) > kMostParts * (points_ / 2)) {
      return Applicability::no("the kernel is larger than the tile");
    }
    if (shape.stride_h != 1 || shape.stride_w != 1) return Applicability::no("the stride is not 1");
    if (shape.dilation_h != 1 || shape.dilation_w != 1) {
      return Applicability::no("the kernel is dilated");
    }
    if (shape.groups != 1) return Applicability::no("the convolution is grouped");
    if (packed_bytes(workload, context) > kMostPackedBytes) {
      return Applicability::no("the transformed filters would take more than 1 GiB");
    }
    return workspace_fits(workspace_bytes(workload, context), context);
  }

  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return blocking(workload, context).workspace_bytes();
  }
  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return blocking(workload, context).packed_bytes();
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<FftKernel>(workload, parameters, context, points_, info().input_layout));
  }

 private:
  Blocking blocking(const Workload& workload, const Context& context) const {
    return choose_blocking(workload.shape, points_, info().input_layout, context);
  }

  int points_;
};

}  // namespace

/// Variant: points per tile and direction.
std::unique_ptr<Primitive> make_fft(PrimitiveInfo info, const Context& context,
                                    std::initializer_list<int> numbers) {
  const int points = *numbers.begin();
  const ProductFunctions functions = product_functions(context.isa);
  info.description = "overlap-save FFT convolution in tiles of " + std::to_string(points) + "x" +
                     std::to_string(points) + " points, three real products per complex one";
  info.revision = "1";
  info.traits.algorithm = Algorithm::fft;
  info.traits.tile_oc = functions.vectors * functions.lanes;
  info.traits.tile_pixels = functions.rows[functions.vectors];
  info.traits.transform_h = points;
  info.traits.transform_w = points;
  info.traits.error_amplification = 1;
  info.traits.strided_views = true;
  return std::make_unique<FftPrimitive>(std::move(info), points);
}

}  // namespace convopt::fft
