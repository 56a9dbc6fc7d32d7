// Direct convolution from any layout to any layout. The driver below cuts a convolution into calls
// of a register tile (tile.h): rows of outputs times a few vectors of output channels, then pixels.
// Padding costs nothing: kernel columns that reach only some pixels of a tile are computed for
// these pixels alone, on top of what stands in the output.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "primitives/direct/tile.h"
#include "primitives/own.h"

namespace convopt::direct {
namespace {

/// If all weights take no more than this, a row of outputs is finished for all output channels
/// before the next one: the weights come from L2 each time, the input from L1. Otherwise one tile
/// of output channels is finished for all rows first, whose weights then stay in L2.
constexpr std::size_t kWeightsInL2 = std::size_t{256} << 10;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Bytes as an AlignedFloats of them; the index arithmetic of views needs no unsigned values.
using Index = std::int64_t;

/// How a convolution is cut up: everything that follows from shape, layouts and ISA.
struct Cut {
  Cut(const ConvShape& s, const PrimitiveInfo& info, const Context& context, int vectors_per_tile)
      : tiles(tile_set(context.isa)),
        ic(s.ic / s.groups),
        oc(s.oc / s.groups),
        output_block(info.output_layout == Layout::nhwc ? oc : channel_block(info.output_layout)) {
    // From nchw, neighbouring columns are as near as it gets, so kernel columns are innermost.
    columns_innermost = info.input_layout == Layout::nchw && s.kw > 1;
    run = columns_innermost                      ? 1
          : channel_block(info.input_layout) > 1 ? channel_block(info.input_layout)
                                                 : ic;
    runs = static_cast<int>(ceil_div(ic, run));
    written_channels = static_cast<int>(padded_channels(oc, info.output_layout));
    vectors = static_cast<int>(ceil_div(written_channels, tiles.lanes));
    oc_tiles = static_cast<int>(ceil_div(vectors, vectors_per_tile));
    vector_weights = Index{runs} * run * s.kh * s.kw * tiles.lanes;
  }

  // Output channels of a group are split evenly over tiles.
  int first_vector(int tile) const { return static_cast<int>(Index{vectors} * tile / oc_tiles); }
  int tile_vectors(int tile) const { return first_vector(tile + 1) - first_vector(tile); }

  const TileSet& tiles;
  int ic, oc;  ///< of one group
  int output_block;
  bool columns_innermost;
  int run, runs;         ///< input channels with a constant distance; how often
  int written_channels;  ///< output channels of one group, with the filling of its last block
  int vectors, oc_tiles;
  Index vector_weights;  ///< floats of packed weights of one vector of output channels
};

/// Vectors of output channels in a register tile.
int vectors_per_tile(const ConvShape& shape, const PrimitiveInfo& info, const Context& context) {
  const TileSet& tiles = tile_set(context.isa);
  int most = kMaxVectors;
  while (tiles.pixels[most] == 0) --most;
  static_cast<void>(shape);
  static_cast<void>(info);
  return most;
}

class DirectKernel final : public Kernel {
 public:
  DirectKernel(const PrimitiveInfo& info, const Workload& workload, const Parameters& parameters,
               const Context& context, int vectors)
      : shape_(workload.shape),
        activation_(workload.epilogue.activation),
        has_residual_(workload.epilogue.residual),
        threads_(context.threads),
        cut_(shape_, info, context, vectors),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)),
        weights_(static_cast<std::size_t>(shape_.groups * cut_.vectors * cut_.vector_weights)),
        bias_(bias_floats(shape_, cut_)) {
    pack(parameters);
    for (int kw = 0; kw < shape_.kw; ++kw) {
      // Outputs whose column kw lies inside the image: 0 <= ow * stride + shift < iw.
      const Index shift = Index{kw} * shape_.dilation_w - shape_.pad_left;
      const Index first = ceil_div(std::max<Index>(-shift, 0), shape_.stride_w);
      const Index last = ceil_div(std::max<Index>(shape_.iw - shift, 0), shape_.stride_w);
      reach_.push_back({static_cast<int>(std::min<Index>(first, shape_.ow())),
                        static_cast<int>(std::min<Index>(last, shape_.ow()))});
    }
  }

  static std::size_t packed_bytes(const ConvShape& shape, const Cut& cut) {
    return (static_cast<std::size_t>(shape.groups * cut.vectors * cut.vector_weights) +
            bias_floats(shape, cut)) *
           sizeof(float);
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    const Geometry geometry = this->geometry(args);
    const Index places = Index{geometry.rows} * geometry.segments;
    const Index channel_tiles = Index{shape_.groups} * cut_.oc_tiles;
    const bool channels_inside = weights_.bytes() <= kWeightsInL2;
    parallel_for(threads_, shape_.n * places * channel_tiles, [&](Index item) {
      Index place, channel_tile;
      const Index n = item / (places * channel_tiles);
      if (channels_inside) {
        channel_tile = item % channel_tiles;
        place = item / channel_tiles % places;
      } else {
        place = item % places;
        channel_tile = item / places % channel_tiles;
      }
      Segment segment;
      segment.n = static_cast<int>(n);
      segment.group = static_cast<int>(channel_tile / cut_.oc_tiles);
      segment.tile = static_cast<int>(channel_tile % cut_.oc_tiles);
      segment.row = static_cast<int>(place / geometry.segments);
      segment.first = static_cast<int>(place % geometry.segments) * geometry.segment;
      segment.last = std::min(segment.first + geometry.segment, geometry.width);
      compute(args, geometry, segment);
    });
  }

 private:
  /// Pixels [first, last) that kernel columns reach.
  struct Range {
    int first, last;
    bool operator==(const Range&) const = default;
  };

  /// The rows of outputs as the loops see them.
  struct Geometry {
    bool flat = false;  ///< all rows are one: a 1x1 convolution without gaps between rows
    int rows = 0, width = 0;
    int segment = 0, segments = 0;  ///< pixels of a work item; items per row
  };

  struct Segment {
    int n, group, tile, row, first, last;
  };

  static std::size_t bias_floats(const ConvShape& shape, const Cut& cut) {
    // And zeros, where sums go on from the output.
    return static_cast<std::size_t>(shape.groups * cut.vectors + kMaxVectors) *
           static_cast<std::size_t>(cut.tiles.lanes);
  }
  const float* zeros() const {
    return bias_.data() + shape_.groups * cut_.vectors * cut_.tiles.lanes;
  }
  const float* bias(int group, int tile) const {
    return bias_.data() + (group * cut_.vectors + cut_.first_vector(tile)) * cut_.tiles.lanes;
  }
  const float* weights(int group, int tile) const {
    return weights_.data() + (group * cut_.vectors + cut_.first_vector(tile)) * cut_.vector_weights;
  }

  void pack(const Parameters& parameters) {
    const ConvShape& s = shape_;
    const int lanes = cut_.tiles.lanes;
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    if (parameters.bias != nullptr) {
      for (int oc = 0; oc < s.oc; ++oc) {
        bias_.data()[oc / cut_.oc * cut_.vectors * lanes + oc % cut_.oc] = parameters.bias[oc];
      }
    }
    // [group][tile][run][kh][kw][channel of the run][output channel of the tile]
    float* to = weights_.data();
    for (int group = 0; group < s.groups; ++group) {
      for (int tile = 0; tile < cut_.oc_tiles; ++tile) {
        const int first = cut_.first_vector(tile) * lanes;
        const int width = cut_.tile_vectors(tile) * lanes;
        for (int run = 0; run < cut_.runs; ++run) {
          for (int tap = 0; tap < s.kh * s.kw; ++tap) {
            for (int ic = run * cut_.run; ic < (run + 1) * cut_.run; ++ic) {
              for (int oc = first; oc < first + width; ++oc) {
                const Index row = Index{group} * cut_.oc + oc;
                *to++ = oc < cut_.oc && ic < cut_.ic
                            ? parameters.weights[(row * cut_.ic + ic) * s.kh * s.kw + tap]
                            : 0.0F;
              }
            }
          }
        }
      }
    }
  }

  Geometry geometry(const RunArgs& args) const {
    const ConvShape& s = shape_;
    const auto rows_join = [](const TensorView& view) {
      return view.row_stride == view.shape.w * view.column_stride;
    };
    Geometry g;
    g.flat = s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.oh() == s.ih &&
             s.ow() == s.iw && s.pad_top == 0 && s.pad_left == 0 && rows_join(args.sources[0]) &&
             rows_join(args.destination) && (!has_residual_ || rows_join(args.residual));
    g.rows = g.flat ? 1 : s.oh();
    g.width = g.flat ? s.oh() * s.ow() : s.ow();
    g.segment = g.width;
    if (g.flat) {
      // Long enough to be worth a call, short enough to spread over threads and to stay in L1.
      constexpr int kTilesPerSegment = 8;
      g.segment = std::min(g.width, kTilesPerSegment * cut_.tiles.pixels[cut_.tile_vectors(0)]);
    }
    g.segments = static_cast<int>(ceil_div(g.width, g.segment));
    return g;
  }

  /// Distance of channel `first + c` from channel `first` of the same pixel.
  Index channel_offset(const TensorView& view, int first, int c) const {
    const int block = cut_.output_block;
    const int in_block = first % block;
    return (in_block + c) / block * view.channel_stride + (in_block + c) % block - in_block;
  }

  void compute(const RunArgs& args, const Geometry& geometry, const Segment& segment) const {
    const ConvShape& s = shape_;
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const int lanes = cut_.tiles.lanes;
    const int vectors = cut_.tile_vectors(segment.tile);
    const int width = vectors * lanes;
    const int first_channel = segment.group * cut_.oc + cut_.first_vector(segment.tile) * lanes;
    const int channels =
        std::min(width, cut_.written_channels - cut_.first_vector(segment.tile) * lanes);

    // Kernel rows inside the image.
    const int top = segment.row * s.stride_h - s.pad_top;
    const int first_kh =
        std::min<int>(s.kh, static_cast<int>(ceil_div(std::max(-top, 0), s.dilation_h)));
    const int last_kh = std::max(
        first_kh,
        std::min<int>(s.kh, static_cast<int>(ceil_div(std::max(s.ih - top, 0), s.dilation_h))));

    Tile call;
    call.pixel_step = s.stride_w * in.column_stride;
    call.run_step = in.layout == Layout::nhwc ? cut_.run : in.channel_stride;
    call.row_step = s.dilation_h * in.row_stride;
    call.column_step = s.dilation_w * in.column_stride;
    call.channel_step = in.layout == Layout::nchw ? in.channel_stride : 1;
    call.rows = last_kh - first_kh;
    call.channels = cut_.run;
    call.last_channels = cut_.ic - (cut_.runs - 1) * cut_.run;
    call.weight_column_step = Index{cut_.run} * width;
    call.weight_row_step = s.kw * call.weight_column_step;
    call.weight_run_step = s.kh * call.weight_row_step;
    const float* const tile_weights =
        weights(segment.group, segment.tile) + first_kh * call.weight_row_step;
    const float* const tile_input = call.rows > 0
                                        ? in.data + in.offset(segment.n, segment.group * cut_.ic,
                                                              top + first_kh * s.dilation_h, 0)
                                        : in.data;

    // Whole vectors of neighbouring channels are written straight to the tensor. The rest (channel
    // tails, nchw, vectors wider than a block) is computed in a buffer and copied.
    const bool whole =
        channels == width && (out.layout == Layout::nhwc || cut_.output_block % lanes == 0);
    alignas(64) float buffer[kMaxPixels * kMaxVectors * 16];
    if (whole) {
      call.output_pixel_step = out.column_stride;
      for (int v = 0; v < vectors; ++v) {
        call.output_vector[v] = channel_offset(out, first_channel, v * lanes);
      }
    } else {
      call.output_pixel_step = width;
      for (int v = 0; v < vectors; ++v) call.output_vector[v] = v * lanes;
    }

    const int most = cut_.tiles.pixels[vectors];
    const int tiles = static_cast<int>(ceil_div(segment.last - segment.first, most));
    for (int t = 0; t < tiles; ++t) {
      const int length = segment.last - segment.first;
      const Range pixels = {segment.first + length * t / tiles,
                            segment.first + length * (t + 1) / tiles};
      float* const place = out.data + out.offset(segment.n, first_channel, segment.row, 0) +
                           pixels.first * out.column_stride;
      call.output = whole ? place : buffer;

      // From the bias and the residual to the first sums.
      Tile start = call;
      start.bias = bias(segment.group, segment.tile);
      if (has_residual_) {
        const TensorView& add = args.residual;
        const float* from = add.data + add.offset(segment.n, first_channel, segment.row, 0) +
                            pixels.first * add.column_stride;
        if (whole) {
          start.addend = from;
          start.addend_pixel_step = add.column_stride;
          for (int v = 0; v < vectors; ++v) {
            start.addend_vector[v] = channel_offset(add, first_channel, v * lanes);
          }
        } else {
          gather(add, from, pixels, first_channel, channels, width, buffer);
          go_on(start);
        }
      }
      Tile next = call;
      next.bias = zeros();
      go_on(next);

      const auto columns = [&](Tile& c, Range kw, int first_pixel) {
        c.runs = cut_.runs;
        c.columns = kw.last - kw.first;
        c.weights = tile_weights + kw.first * c.weight_column_step;
        c.input = tile_input + Index{first_pixel} * c.pixel_step +
                  (Index{kw.first} * s.dilation_w - s.pad_left) * in.column_stride;
        if (cut_.columns_innermost) {
          c.channels = c.last_channels = c.columns;
          c.columns = 1;
          c.channel_step = c.column_step;
        } else if (cut_.runs == 1 && c.column_step == c.last_channels * c.channel_step) {
          // Neighbouring columns of nhwc continue each other.
          c.last_channels *= c.columns;
          c.columns = 1;
        }
      };
      const auto call_tile = [&](Tile& c, int count, bool last) {
        c.low = last ? last_write_.low : -kInfinity;
        c.high = last ? last_write_.high : kInfinity;
        cut_.tiles.function[vectors][count](c);
      };

      const int count = pixels.last - pixels.first;
      const Range all = {0, s.kw};
      if (geometry.flat ||
          (call.rows > 0 && covers(reach_.front(), pixels) && covers(reach_.back(), pixels))) {
        columns(start, all, pixels.first);
        call_tile(start, count, true);
      } else {
        call_tile(start, count, false);
        Range complete = {0, 0};
        for (int kw = 0; kw < s.kw && call.rows > 0;) {
          const Range reached = common(reach_[static_cast<std::size_t>(kw)], pixels);
          Range same = {kw, kw + 1};
          while (same.last < s.kw &&
                 common(reach_[static_cast<std::size_t>(same.last)], pixels) == reached)
            ++same.last;
          kw = same.last;
          if (reached == pixels) {
            complete = same;
          } else if (reached.first < reached.last) {
            Tile part = next;
            columns(part, same, reached.first);
            part.output += (reached.first - pixels.first) * part.output_pixel_step;
            part.addend = part.output;
            call_tile(part, reached.last - reached.first, false);
          }
        }
        if (complete.first < complete.last) columns(next, complete, pixels.first);
        call_tile(next, count, true);
      }
      if (!whole) scatter(out, place, pixels, first_channel, channels, width, buffer);
    }
    if (last_write_.needs_pass) finish(out, segment, first_channel, channels);
  }

  static bool covers(Range range, Range pixels) {
    return range.first <= pixels.first && pixels.last <= range.last;
  }
  static Range common(Range a, Range b) {
    const int first = std::max(a.first, b.first);
    return {first, std::max(first, std::min(a.last, b.last))};
  }

  static void go_on(Tile& call) {
    call.addend = call.output;
    call.addend_pixel_step = call.output_pixel_step;
    std::copy_n(call.output_vector, kMaxVectors, call.addend_vector);
  }

  /// Calls body(c, count) for the stretches of a tile's channels that lie in one block each.
  template <class Body>
  void for_each_stretch(int first_channel, int channels, const Body& body) const {
    for (int c = 0; c < channels;) {
      const int count =
          std::min(cut_.output_block - (first_channel + c) % cut_.output_block, channels - c);
      body(c, count);
      c += count;
    }
  }
  void gather(const TensorView& view, const float* from, Range pixels, int first_channel,
              int channels, int width, float* buffer) const {
    std::fill_n(buffer, (pixels.last - pixels.first) * width, 0.0F);
    for_each_stretch(first_channel, channels, [&](int c, int count) {
      const float* stretch = from + channel_offset(view, first_channel, c);
      for (int p = 0; p < pixels.last - pixels.first; ++p) {
        std::copy_n(stretch + p * view.column_stride, count, buffer + p * width + c);
      }
    });
  }
  void scatter(const TensorView& view, float* to, Range pixels, int first_channel, int channels,
               int width, const float* buffer) const {
    for_each_stretch(first_channel, channels, [&](int c, int count) {
      float* stretch = to + channel_offset(view, first_channel, c);
      for (int p = 0; p < pixels.last - pixels.first; ++p) {
        std::copy_n(buffer + p * width + c, count, stretch + p * view.column_stride);
      }
    });
  }

  /// Applies an activation that is no clamp to what was just written.
  void finish(const TensorView& out, const Segment& segment, int first_channel,
              int channels) const {
    for_each_stretch(first_channel, channels, [&](int c, int count) {
      const int first = first_channel + c;
      // Filling stays zero.
      const int used = std::clamp(shape_.oc - first, 0, count);
      float* row = out.data + out.offset(segment.n, first, segment.row, 0);
      if (out.column_stride == used) {
        activate_(activation_, row + Index{segment.first} * used,
                  Index{segment.last - segment.first} * used);
        return;
      }
      for (int w = segment.first; w < segment.last && used > 0; ++w) {
        activate_(activation_, row + w * out.column_stride, used);
      }
    });
  }

  ConvShape shape_;
  Activation activation_;
  bool has_residual_;
  int threads_;
  Cut cut_;
  LastWrite last_write_;
  ActivateFunction activate_;
  std::vector<Range> reach_;  ///< by kernel column
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class DirectPrimitive final : public Primitive {
 public:
  DirectPrimitive(PrimitiveInfo info, int vectors)
      : Primitive(std::move(info)), vectors_(vectors) {}

  Applicability applicability(const Workload& workload, const Context&) const override {
    const ConvShape& s = workload.shape;
    if (s.groups == 1) return Applicability::yes();
    if (s.is_depthwise() && info().output_layout != Layout::nchw) {
      return Applicability::no("depthwise convolutions have primitives of their own");
    }
    const auto fits = [&](Layout layout, int channels) {
      return channels / s.groups % channel_block(layout) == 0;
    };
    if (!fits(info().input_layout, s.ic)) {
      return Applicability::no("input channels per group are no multiple of the channel block");
    }
    if (!fits(info().output_layout, s.oc)) {
      return Applicability::no("output channels per group are no multiple of the channel block");
    }
    return Applicability::yes();
  }

  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }

  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return DirectKernel::packed_bytes(
        workload.shape, Cut(workload.shape, info(), context, vectors(workload.shape, context)));
  }

  Result<std::unique_ptr<Kernel>> prepare(const Workload& workload, const Parameters& parameters,
                                          const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<DirectKernel>(
        info(), workload, parameters, context, vectors(workload.shape, context)));
  }

 private:
  int vectors(const ConvShape& shape, const Context& context) const {
    return vectors_ > 0 ? vectors_ : vectors_per_tile(shape, info(), context);
  }
  int vectors_;  ///< of a register tile; 0: whatever suits the shape
};

}  // namespace

std::unique_ptr<Primitive> make_direct(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int> variant) {
  const TileSet& tiles = tile_set(context.isa);
  int vectors = kMaxVectors;
  while (tiles.pixels[vectors] == 0) --vectors;
  info.description = "register tile over pixels and output channels, reduction in registers";
  info.revision = "1";
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = vectors * tiles.lanes;
  info.traits.tile_pixels = tiles.pixels[vectors];
  info.traits.strided_views = true;
  return std::make_unique<DirectPrimitive>(std::move(info),
                                           variant.size() > 0 ? *variant.begin() : 0);
}

}  // namespace convopt::direct
