// Winograd convolution: transform windows of the image, multiply per product over all channels,
// transform back. The image is worked through in blocks of tiles, and for each block the products
// V [product][tile][input channel] are made once; then, per block of output channels, the results
// M [product][tile][output channel] of one matrix product per transform product, and from them the
// destination. V and M of a block are small, so they live in cache from writing to reading.
//
// Sources of bf16, u8 and s8 are transformed in float, V and U are rounded to bf16, and their
// products are added up in float.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "primitives/blocking.h"
#include "primitives/dot/product.h"
#include "primitives/gemm/gemm.h"
#include "primitives/own.h"
#include "primitives/tiles/tiles.h"
#include "primitives/winograd/transforms.h"
#include "primitives/workspace.h"

namespace convopt::winograd {
namespace {

constexpr std::int64_t kCacheLineBytes = 64, kFloatBytes = sizeof(float);
constexpr int kCacheLineFloats = 16;

/// The matrix products of transformed tiles of that type. B is packed; its bytes are whole cache
/// lines for each of a matrix's panels.
template <class Number>
class Products;

template <>
class Products<float> {
 public:
  explicit Products(Isa isa) : kernels_(gemm::kernels(isa)) {}

  /// Of columns that are packed alike wherever they begin.
  int unit() const { return kernels_.lanes; }
  int panel_columns() const { return kernels_.panel_columns(); }
  std::int64_t packed_floats(int k, int columns) const {
    return gemm::packed_floats(kernels_, k, columns);
  }
  void pack_row(int k, int columns, int row, const float* values, float* packed) const {
    gemm::pack_row(kernels_, k, columns, row, values, packed);
  }
  void multiply(int rows, int columns, int k, const float* a, std::int64_t a_row_stride,
                const float* b, float* c, std::int64_t c_row_stride) const {
    gemm::Product product;
    product.rows = rows;
    product.columns = static_cast<int>(round_up(columns, kernels_.lanes));
    product.k = k;
    product.a = a;
    product.a_row_stride = a_row_stride;
    product.b = b;
    product.c = c;
    product.c_row_stride = c_row_stride;
    gemm::multiply(kernels_, product);
  }

 private:
  const gemm::Kernels& kernels_;
};

template <>
class Products<Bfloat16> {
 public:
  explicit Products(Isa) {}

  int unit() const { return dot::kPanelChannels; }
  int panel_columns() const { return 2 * dot::kPanelChannels; }
  std::int64_t packed_floats(int k, int columns) const {
    return dot::packed_bytes(k, columns) / kFloatBytes;
  }
  void pack_row(int k, int columns, int row, const float* values, float* packed) const {
    dot::pack_row(k, columns, row, values, reinterpret_cast<std::byte*>(packed));
  }
  void multiply(int rows, int columns, int k, const Bfloat16* a, std::int64_t a_row_stride,
                const float* b, float* c, std::int64_t c_row_stride) const {
    dot::multiply({.a = a,
                   .a_row_stride = a_row_stride,
                   .b = reinterpret_cast<const std::byte*>(b),
                   .c = c,
                   .c_row_stride = c_row_stride,
                   .rows = rows,
                   .columns = columns,
                   .k = k});
  }
};

/// Everything that follows from shape and context alone.
struct Blocking {
  tiles::Grid grid;
  int tiles = 0;                                 ///< of all images
  int block_tiles = 0, tile_blocks = 0;          ///< most tiles of a block
  int oc = 0;                                    ///< with those of a partial layout block
  int unit_oc = 0, block_oc = 0, oc_blocks = 0;  ///< blocks are whole units, but for the last
  /// Threads form a grid of so many parts of the tile blocks by so many of the channel blocks.
  int tile_parts = 1, channel_parts = 1;
  std::int64_t v_row = 0, v_product = 0;    ///< strides in numbers
  std::int64_t m_row = 0, m_product = 0;    ///< in floats
  std::int64_t v_floats = 0, m_floats = 0;  ///< of one thread

  /// Distance of two threads' V. Between them lies as much again that stays untouched:
  /// cores prefetch several products ahead, past the last one too, and every line that they fetch
  /// of another thread's has to be fetched back. On Zen 5, cores far apart (a line takes 190 ns),
  /// F(4,3) on 256 channels at 14 x 14 takes 219 us without, 207 with a quarter, 178 with all of
  /// it.
  std::int64_t thread_floats() const { return 2 * (v_floats + m_floats); }
  std::size_t workspace_bytes() const {
    const int shares = tile_parts * channel_parts;
    return static_cast<std::size_t>((shares - 1) * thread_floats() + v_floats + m_floats) *
           sizeof(float);
  }
  // Blocks are as equal as can be, so that threads are.
  int first_tile(int block) const {
    return static_cast<int>(part_begin(tiles, block, tile_blocks));
  }
  int first_channel(int block) const {
    return static_cast<int>(
        std::min(part_begin(ceil_div(oc, unit_oc), block, oc_blocks) * unit_oc, std::int64_t{oc}));
  }
  int channels_of_block(int block) const { return first_channel(block + 1) - first_channel(block); }
};

constexpr int kBlockOutputChannels = 64;

// Costs that choose_blocking() weighs, in multiply-adds of one vector. Per product a vector of V
// costs 8 and one of the destination 7: F(6,3) on 64 channels at 56 x 56 takes 316 per vector of
// output channels on Zen 5, 256 of them in products. Where threads write to the same pixels (parts
// of the channels of nhwc), prefetching costs them up to eight times as much for the destination if
// their cores lie far apart, and nothing if not.
constexpr std::int64_t kInputWork = 8, kOutputWork = 7, kSharedOutputWork = 14;

/// Cost of fetching `vector_bytes` of all the weights that one thread goes through. From L3 they
/// come at 11 bytes per cycle, from memory, if two cores read, at 5; from L2 they are never waited
/// for.
std::int64_t weight_work(std::int64_t weight_bytes, std::int64_t vector_bytes,
                         const Caches& caches) {
  constexpr std::int64_t kL3BytesPerWork = 6, kMemoryBytesPerWork = 3;
  if (weight_bytes <= caches.l2) return 0;
  return vector_bytes / (weight_bytes <= caches.l3 / 2 ? kL3BytesPerWork : kMemoryBytesPerWork);
}

template <class Number>
Blocking blocking_of(const ConvShape& shape, const Variant& variant, Layout layout,
                     const Products<Number>& products, const Caches& caches, int tile_parts,
                     int channel_parts) {
  constexpr std::int64_t kNumberBytes = sizeof(Number);
  Blocking b;
  b.grid = tiles::Grid(shape, variant.outputs_h, variant.outputs_w);
  b.tiles = static_cast<int>(b.grid.count);
  b.oc = static_cast<int>(padded_channels(shape.oc, layout));
  b.tile_parts = tile_parts;
  b.channel_parts = channel_parts;

  const std::int64_t most_oc = std::max(kBlockOutputChannels, products.panel_columns());
  const auto blocks = [](std::int64_t count, std::int64_t most, int parts) {
    return static_cast<int>(std::min(round_up(ceil_div(count, most), parts), count));
  };
  b.tile_blocks = blocks(b.tiles, most_winograd_tiles(caches), tile_parts);
  b.block_tiles = static_cast<int>(ceil_div(b.tiles, b.tile_blocks));

  b.unit_oc = std::max(products.unit(), channel_block(layout));
  const std::int64_t units = ceil_div(b.oc, b.unit_oc);
  b.oc_blocks = blocks(units, std::max<std::int64_t>(most_oc / b.unit_oc, 1), channel_parts);
  b.block_oc = static_cast<int>(ceil_div(units, b.oc_blocks)) * b.unit_oc;

  b.v_row = round_up(shape.ic, kCacheLineBytes / kNumberBytes);
  const std::int64_t product_floats =
      tiles::matrix_stride(b.block_tiles * b.v_row * kNumberBytes / kFloatBytes);
  b.v_product = product_floats * kFloatBytes / kNumberBytes;
  b.m_row = round_up(b.block_oc, kCacheLineFloats);
  b.m_product = tiles::matrix_stride(b.block_tiles * b.m_row);
  b.v_floats = variant.products() * product_floats;
  b.m_floats = variant.products() * b.m_product;
  return b;
}

/// Work of the busiest thread, per product of the variant. Numbers of half the size are multiplied
/// and fetched in half the time.
std::int64_t work(const Blocking& b, const ConvShape& shape, const Variant& variant, Layout layout,
                  int lanes, std::int64_t number_bytes, const Caches& caches) {
  const std::int64_t blocks = ceil_div(b.tile_blocks, b.tile_parts);
  const std::int64_t tiles = std::min(blocks * b.block_tiles, ceil_div(b.tiles, b.tile_parts));
  const std::int64_t channels = std::min<std::int64_t>(
      ceil_div(ceil_div(b.oc, b.unit_oc), b.channel_parts) * b.unit_oc, b.oc);
  const std::int64_t vectors = ceil_div(channels, lanes);
  const std::int64_t fetch =
      weight_work(std::int64_t{variant.products()} * shape.ic * channels * number_bytes,
                  lanes * kFloatBytes, caches);
  const bool shared_pixels = b.channel_parts > 1 && layout == Layout::nhwc;
  const std::int64_t output_work = shared_pixels ? kSharedOutputWork : kOutputWork;
  return vectors * shape.ic * std::max(tiles, blocks * fetch) * number_bytes / kFloatBytes +
         tiles * (kInputWork * ceil_div(shape.ic, lanes) + output_work * vectors);
}

/// Threads share nothing but what they read, since what one of them wrote the other would have to
/// fetch from its cache, which takes long where a virtual machine's cores lie far apart. Parts of
/// the tiles cost reading all weights in every thread, parts of the output channels transforming
/// all tiles in every thread, and either may leave one thread more than the others.
template <class Number>
Blocking choose_blocking(const ConvShape& shape, const Variant& variant, Layout layout,
                         const Context& context) {
  const Products<Number> products(context.isa);
  const int lanes = simd_lanes(context.isa);
  const int threads = context.threads;
  Blocking best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (int parts = 1; parts <= threads; ++parts) {
    if (threads % parts != 0) continue;
    const Blocking b =
        blocking_of(shape, variant, layout, products, context.caches, threads / parts, parts);
    const std::int64_t cost =
        work(b, shape, variant, layout, lanes, sizeof(Number), context.caches);
    if (cost < least) {
      least = cost;
      best = b;
    }
  }
  return best;
}

/// Channels that lie one after the other.
int channels_together(const TensorView& view) {
  return view.layout == Layout::nhwc ? view.shape.c() : channel_block(view.layout);
}

/// `Source` is float, and then `Destination` too; Bfloat16, and then that or float; or std::uint8_t
/// or std::int8_t, and then these or float.
template <class Source, class Destination>
class WinogradKernel final : public Kernel {
 public:
  using Transformed = typename BasicInputTile<Source>::Transformed;

  WinogradKernel(const Workload& workload, const Parameters& parameters, const Context& context,
                 const Variant& variant, Layout layout)
      : shape_(workload.shape),
        variant_(variant),
        threads_(context.threads),
        products_(context.isa),
        transforms_(transforms(context.isa, variant, channel_block(layout))),
        blocking_(choose_blocking<Transformed>(shape_, variant, layout, context)),
        activation_(activation_before_storing(workload)),
        writer_({.residual = workload.epilogue.residual, .activation = activation_}, context.isa),
        weights_(weight_floats(shape_, variant, blocking_, products_)),
        bias_(bias_floats(blocking_)) {
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    if (parameters.bias.as<float>() != nullptr)
      std::copy_n(parameters.bias.as<float>(), shape_.oc, bias_.data());
    const auto* weights = parameters.weights.as<float>();
    std::vector<float> rounded, scales;
    if constexpr (sizeof(Source) == 1) {
      rounded.assign(weights, weights + parameters.weights.count);
      round_weights(rounded, shape_.oc, workload.input_type);
      weights = rounded.data();
      scales.assign(static_cast<std::size_t>(shape_.oc), 1.0F);
      zero_point_ = static_cast<float>(parameters.scales.input_zero);
      set_finish(workload, parameters.scales, scales);
    }
    // The second of a pair of numbers, where there is none.
    if constexpr (!std::is_same_v<Transformed, float>)
      std::fill_n(weights_.data(), weights_.size(), 0.0F);
    parallel_for(threads_, blocking_.oc_blocks, [&](std::int64_t block) {
      pack_weights(weights, scales, static_cast<int>(block));
    });
  }

  static std::size_t weight_floats(const ConvShape& shape, const Variant& variant,
                                   const Blocking& blocking,
                                   const Products<Transformed>& products) {
    return static_cast<std::size_t>(variant.products() *
                                    products.packed_floats(shape.ic, blocking.oc));
  }
  static std::size_t bias_floats(const Blocking& blocking) {
    return static_cast<std::size_t>(round_up(blocking.oc, blocking.unit_oc));
  }

  std::size_t workspace_bytes() const override { return blocking_.workspace_bytes(); }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    const Blocking& b = blocking_;
    parallel_for(threads_, threads_, [&](std::int64_t thread) {
      const auto [first_block, last_block] =
          part(b.tile_blocks, thread / b.channel_parts, b.tile_parts);
      const auto [first_oc, last_oc] = part(b.oc_blocks, thread % b.channel_parts, b.channel_parts);
      if (first_oc == last_oc) return;
      float* const workspace = static_cast<float*>(args.workspace) + thread * b.thread_floats();
      auto* const v = reinterpret_cast<Transformed*>(workspace);
      float* const m = workspace + b.v_floats;
      for (int block = first_block; block < last_block; ++block) {
        const int first = b.first_tile(block);
        const int count = b.first_tile(block + 1) - first;
        transform_tiles(args, first, count, v);
        for (int oc = first_oc; oc < last_oc; ++oc) compute(args, first, count, oc, v, m);
      }
    });
  }

 private:
  using Position = tiles::Grid::Position;

  static std::int64_t place(const TensorView& view, const Position& at) {
    return at.image * view.batch_stride() + at.row * view.row_stride() +
           at.column * view.column_stride();
  }

  /// First and behind the last of the blocks of one part.
  static std::pair<int, int> part(int blocks, std::int64_t index, int parts) {
    return {static_cast<int>(part_begin(blocks, index, parts)),
            static_cast<int>(part_begin(blocks, index + 1, parts))};
  }

  std::int64_t block_weights(int block) const {
    return variant_.products() * products_.packed_floats(shape_.ic, blocking_.first_channel(block));
  }

  /// The epilogue of whole steps; turns biases and factors of sums into what it adds and
  /// multiplies.
  void set_finish(const Workload& workload, const Quantisation& quantisation,
                  std::vector<float>& scales) {
    const std::span<float> biases(bias_.data(), static_cast<std::size_t>(shape_.oc));
    const std::vector<float> shifts =
        zero_point_shifts({{}, scales}, quantisation, false, !last_write(activation_).needs_pass);
    for (std::size_t i = 0; i < shifts.size(); ++i) biases[i] += shifts[i];
    const double most = 255.0 * 128 * shape_.ic * shape_.kh * shape_.kw;
    finish_ = dot::make_finish(workload, quantisation, activation_, most, scales, biases);
  }

  // U [block of output channels][product], each an ic x block matrix packed for the product, times
  // the channels' scales, if there are any.
  void pack_weights(const float* weights, const std::vector<float>& scales, int block) {
    const int products = variant_.products();
    const int taps = variant_.taps_h * variant_.taps_w;
    const int columns = blocking_.channels_of_block(block);
    const int first = blocking_.first_channel(block);
    const int real = std::clamp(shape_.oc - first, 0, columns);
    const std::int64_t row_floats = round_up(columns, products_.unit());
    const std::int64_t product_floats = products_.packed_floats(shape_.ic, columns);
    // Row k of all matrices, then into their panels.
    std::vector<float> rows(static_cast<std::size_t>(products * row_floats));
    std::vector<double> transformed(static_cast<std::size_t>(products));
    for (int k = 0; k < shape_.ic; ++k) {
      for (int c = 0; c < real; ++c) {
        transforms_.filter(weights + (std::int64_t{first + c} * shape_.ic + k) * taps,
                           transformed.data());
        const double scale =
            scales.empty() ? 1.0 : double{scales[static_cast<std::size_t>(first + c)]};
        for (int p = 0; p < products; ++p) {
          rows[static_cast<std::size_t>(p * row_floats + c)] =
              static_cast<float>(transformed[static_cast<std::size_t>(p)] * scale);
        }
      }
      for (int p = 0; p < products; ++p) {
        products_.pack_row(shape_.ic, columns, k, rows.data() + p * row_floats,
                           weights_.data() + block_weights(block) + p * product_floats);
      }
    }
  }

  // Blocks of channels are the outer loop: a core that sees a tile read or written block after
  // block takes that for a pattern, and fetches from where another block would be, also behind the
  // last one. With that, threads took cache lines of each other's and of whatever lies there.
  void transform_tiles(const RunArgs& args, int first, int count, Transformed* v) const {
    const TensorView& source = args.sources[0];
    const int step = channels_together(source);
    BasicInputTile<Source> input;
    input.row_stride = source.row_stride();
    input.column_stride = source.column_stride();
    input.transformed_stride = blocking_.v_product;
    input.zero_point = zero_point_;
    const Position start = blocking_.grid.position(first);
    for (int channel = 0; channel < shape_.ic; channel += step) {
      const Source* const corner =
          source.as<const Source>() + source.offset(0, channel, -shape_.pad_top, -shape_.pad_left);
      input.channels = std::min(step, shape_.ic - channel);
      input.transformed = v + channel;
      Position at = start;
      for (int tile = 0; tile < count; ++tile) {
        input.source = corner + place(source, at);
        input.set_window(shape_, at.row - shape_.pad_top, at.column - shape_.pad_left,
                         variant_.window_h(), variant_.window_w());
        transforms_.template of<Source>().input(input);
        input.transformed += blocking_.v_row;
        blocking_.grid.advance(at);
      }
    }
  }

  void compute(const RunArgs& args, int first, int count, int block, const Transformed* v,
               float* m) const {
    const int columns = blocking_.channels_of_block(block);
    const std::int64_t product_floats = products_.packed_floats(shape_.ic, columns);
    const float* const weights = weights_.data() + block_weights(block);
    for (int p = 0; p < variant_.products(); ++p) {
      products_.multiply(count, columns, shape_.ic, v + p * blocking_.v_product, blocking_.v_row,
                         weights + p * product_floats, m + p * blocking_.m_product,
                         blocking_.m_row);
    }
    const int step = channels_together(args.destination);
    for (int channel = 0; channel < columns; channel += step) {
      store_tiles(args, first, count, blocking_.first_channel(block) + channel,
                  std::min(step, columns - channel), m + channel);
    }
  }

  void store_tiles(const RunArgs& args, int first, int count, int channel, int channels,
                   const float* m) const {
    const TensorView& destination = args.destination;
    const tiles::Grid& grid = blocking_.grid;
    Destination* const to = destination.as<Destination>() + destination.offset(0, channel, 0, 0);
    const Destination* const add =
        writer_.has_residual()
            ? args.residual.as<const Destination>() + args.residual.offset(0, channel, 0, 0)
            : nullptr;
    BasicOutputTile<Destination> output = writer_.shared<Destination>(args);
    if constexpr (sizeof(Destination) == 1) {
      output.clamp = true;
      output.low = finish_.low;
      output.high = finish_.high;
      output.residual_is_other =
          (finish_.residual_type == DataType::s8) != std::is_signed_v<Destination>;
      output.residual_scale = finish_.residual_scale;
      output.steps = finish_.steps;
      output.zero_point = finish_.zero_point;
    }
    output.transformed = m;
    output.transformed_stride = blocking_.m_product;
    output.bias = bias_.data() + channel;
    output.channels = channels;
    Position at = grid.position(first);
    std::int64_t here = place(destination, at);
    for (int tile = 0; tile < count; ++tile) {
      output.destination = to + here;
      if (add != nullptr) output.residual = add + place(args.residual, at);
      output.rows = std::min(grid.outputs_h, grid.oh - at.row);
      output.columns = std::min(grid.outputs_w, grid.ow - at.column);
      grid.advance(at);
      const std::int64_t next = place(destination, at);
      output.next_distance = tile + 1 < count ? next - here : 0;
      transforms_.template of<Destination>().output(output);
      if constexpr (std::is_same_v<Destination, float>) {
        writer_.finish(output, std::min(channels, shape_.oc - channel));
      }
      output.transformed += blocking_.m_row;
      here = next;
    }
  }

  ConvShape shape_;
  Variant variant_;
  int threads_;
  Products<Transformed> products_;
  Transforms transforms_;
  Blocking blocking_;
  Activation activation_;
  dot::Finish finish_;
  float zero_point_ = 0;
  tiles::Writer writer_;
  AlignedFloats weights_;
  AlignedFloats bias_;
};

/// RMS error relative to direct convolution, rounded up, from the products of each dimension.
double amplification(const Variant& variant) {
  const auto one_dimension = [](int window) {
    switch (window) {
      case 6:
        return std::sqrt(3.0);
      case 7:
        return 2.0;
      case 8:
        return std::sqrt(8.5);
      case 10:
        return 5.0;
      default:
        return 1.0;
    }
  };
  return one_dimension(variant.window_h()) * one_dimension(variant.window_w());
}

template <class Source, class Destination>
class WinogradPrimitive final : public Primitive {
 public:
  WinogradPrimitive(PrimitiveInfo info, const Variant& variant)
      : Primitive(std::move(info)), variant_(variant) {}

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& shape = workload.shape;
    if (shape.kh != variant_.taps_h || shape.kw != variant_.taps_w) {
      return Applicability::no("the kernel is not " + std::to_string(variant_.taps_h) + "x" +
                               std::to_string(variant_.taps_w));
    }
    if (shape.stride_h != 1 || shape.stride_w != 1) return Applicability::no("the stride is not 1");
    if (shape.dilation_h != 1 || shape.dilation_w != 1) {
      return Applicability::no("the kernel is dilated");
    }
    if (shape.groups != 1) return Applicability::no("the convolution is grouped");
    return workspace_fits(workspace_bytes(workload, context), context);
  }

  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return blocking(workload, context).workspace_bytes();
  }

  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    const Blocking b = blocking(workload, context);
    return sizeof(float) * (KernelType::bias_floats(b) +
                            KernelType::weight_floats(workload.shape, variant_, b,
                                                      Products<Transformed>(context.isa)));
  }

  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<KernelType>(workload, parameters, context, variant_, info().input_layout));
  }

 private:
  using KernelType = WinogradKernel<Source, Destination>;
  using Transformed = typename KernelType::Transformed;

  Blocking blocking(const Workload& workload, const Context& context) const {
    return choose_blocking<Transformed>(workload.shape, variant_, info().input_layout, context);
  }

  Variant variant_;
};

template <class Source>
std::unique_ptr<Primitive> make_from(PrimitiveInfo info, const Variant& variant) {
  const auto make = [&]<class Destination>(Destination) -> std::unique_ptr<Primitive> {
    return std::make_unique<WinogradPrimitive<Source, Destination>>(std::move(info), variant);
  };
  if constexpr (std::is_same_v<Source, float>) {
    return make(float{});
  } else if constexpr (std::is_same_v<Source, Bfloat16>) {
    return info.output_type == DataType::f32 ? make(float{}) : make(Bfloat16{});
  } else {
    return info.output_type == DataType::f32  ? make(float{})
           : info.output_type == DataType::u8 ? make(std::uint8_t{})
                                              : make(std::int8_t{});
  }
}

}  // namespace

/// Variant: outputs per tile (h, w), taps (h, w), and types of sources and results if these are not
/// f32.
std::unique_ptr<Primitive> make_winograd(PrimitiveInfo info, const Context& context,
                                         std::initializer_list<int> numbers) {
  const int* number = numbers.begin();
  const Variant variant{number[0], number[1], number[2], number[3]};
  if (numbers.size() > 4) {
    info.input_type = static_cast<DataType>(number[4]);
    info.output_type = static_cast<DataType>(number[5]);
  }
  const bool is_f32 = info.input_type == DataType::f32;
  if (!is_f32 && !dot::has_vectors(DataType::bf16, context.isa)) return nullptr;
  const gemm::Kernels& kernels = gemm::kernels(context.isa);
  const auto by = [](int a, int b) { return std::to_string(a) + "x" + std::to_string(b); };
  info.description = "Winograd convolution of " + by(variant.taps_h, variant.taps_w) +
                     " kernels, " + by(variant.outputs_h, variant.outputs_w) + " outputs from " +
                     by(variant.window_h(), variant.window_w()) + " products per tile" +
                     (is_f32 ? "" : ", in bf16");
  info.revision = is_f32 ? "4" : "2";
  info.traits.algorithm = Algorithm::winograd;
  info.traits.product_type = is_f32 ? DataType::f32 : DataType::bf16;
  info.traits.vector_products = !is_f32;
  info.traits.tile_oc = is_f32 ? kernels.panel_columns() : dot::kPanelChannels;
  info.traits.tile_pixels = kernels.rows[kernels.vectors];
  info.traits.transform_h = variant.window_h();
  info.traits.transform_w = variant.window_w();
  info.traits.output_h = variant.outputs_h;
  info.traits.output_w = variant.outputs_w;
  info.traits.block_tiles = most_winograd_tiles(context.caches);
  info.traits.packed_bytes_per_input_byte =
      double{1} * variant.products() / (variant.outputs_h * variant.outputs_w);
  info.traits.error_amplification = amplification(variant);
  info.traits.strided_views = true;
  info.traits.zero_points = is_quantised(info.input_type);
  switch (info.input_type) {
    case DataType::bf16:
      return make_from<Bfloat16>(std::move(info), variant);
    case DataType::u8:
      return make_from<std::uint8_t>(std::move(info), variant);
    case DataType::s8:
      return make_from<std::int8_t>(std::move(info), variant);
    default:
      return make_from<float>(std::move(info), variant);
  }
}

}  // namespace convopt::winograd
