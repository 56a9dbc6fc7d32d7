// Direct convolution from any layout to any layout. The driver below cuts a convolution into calls
// of a register tile (tile.h): rows of outputs times a few vectors of output channels, then pixels.
// Padding costs nothing: kernel rows outside the image are left out, and kernel columns that reach
// only some pixels of a tile are computed for these pixels alone.
#include <algorithm>
#include <array>
#include <utility>

#include "primitives/blocking.h"
#include "primitives/direct/row_tiles.h"
#include "primitives/direct/tile.h"
#include "primitives/own.h"
#include "primitives/workspace.h"

namespace convopt::direct {
namespace {

/// Pixels of a segment: enough tiles to pay for bringing a part of the weights into L1, and more
/// where their input is small, see segment_bytes().
constexpr int kSegmentPixels = 96;
/// Segments per thread from which on imbalance is below an eighth.
constexpr int kSegmentsToShare = 8;

/// 1x1 reductions up to this length are short: beginning and end of a tile cost more than is gained
/// by more accumulators.
constexpr int kShortReduction = 64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Index = std::int64_t;

/// Everything that follows from shape, layouts and context.
struct Blocking {
  Blocking(const ConvShape& s, const PrimitiveInfo& info, const Context& context)
      : tiles(tile_set(context.isa)),
        ic(s.ic / s.groups),
        oc(s.oc / s.groups),
        output_block(info.output_layout == Layout::nhwc ? oc : channel_block(info.output_layout)) {
    // Kernel columns are innermost from nchw, whose neighbouring columns are as near as it gets.
    columns_innermost = info.input_layout == Layout::nchw && s.kw > 1;
    if (columns_innermost) {
      chunk = 1;
    } else if (channel_block(info.input_layout) > 1) {
      chunk = channel_block(info.input_layout);
    } else {
      constexpr int kMostChannels = 32;
      chunk = static_cast<int>(ceil_div(ic, ceil_div(ic, kMostChannels)));
    }
    chunks = static_cast<int>(ceil_div(ic, chunk));
    written_channels = static_cast<int>(padded_channels(oc, info.output_layout));
    vectors = static_cast<int>(ceil_div(written_channels, tiles.lanes));
    oc_tiles = static_cast<int>(ceil_div(vectors, tiles.vectors));
    chunk_weights = Index{chunk} * s.kh * s.kw;
    vector_weights = chunks * chunk_weights * tiles.lanes;
    short_reduction = s.kh * s.kw == 1 && ic <= kShortReduction;

    const Index chunk_bytes = chunk_weights * tile_vectors(0) * tiles.lanes * 4;
    const Index part_bytes = weight_part_bytes(context.caches, tiles.part_eighths);
    const Index chunks_per_part = std::clamp<Index>(part_bytes / chunk_bytes, 1, chunks);
    parts = static_cast<int>(ceil_div(chunks, chunks_per_part));
    const Index weight_bytes = s.groups * vectors * vector_weights * Index{sizeof(float)};
    weights_stay = weight_bytes <= resident_weight_bytes(context.caches);
    segment_input_bytes = segment_bytes(context.caches);
    activated_bytes = convopt::activated_bytes(context.caches);
  }

  // Output channels of a group are split evenly over tiles, chunks evenly over parts.
  int first_vector(int tile) const { return static_cast<int>(part_begin(vectors, tile, oc_tiles)); }
  int tile_vectors(int tile) const { return first_vector(tile + 1) - first_vector(tile); }
  int first_channel(int tile) const { return first_vector(tile) * tiles.lanes; }
  /// Output channels of a tile that are written.
  int tile_channels(int tile) const {
    return std::min(tile_vectors(tile) * tiles.lanes, written_channels - first_channel(tile));
  }
  /// Vector `v` of a tile starts so many channels behind the tile's first one. Where neighbours in
  /// memory are no whole number of vectors, the last vector begins earlier and computes some of
  /// the channels of the one before again: both write the same to them, and none writes beyond.
  int vector_channel(int tile, int v) const {
    const int last = tile_channels(tile) - tiles.lanes;
    return last >= 0 && output_block == oc ? std::min(v * tiles.lanes, last) : v * tiles.lanes;
  }
  int first_chunk(int part) const { return static_cast<int>(part_begin(chunks, part, parts)); }

  int most_pixels(int tile_vectors) const {
    const int most = tiles.pixels[tile_vectors];
    return short_reduction ? std::min(most, tiles.short_accumulators / tile_vectors) : most;
  }

  const TileSet& tiles;
  int ic, oc;  ///< of one group
  int output_block;
  bool columns_innermost;
  int chunk, chunks;     ///< input channels with a constant distance; how often
  int parts;             ///< of the reduction; sums wait in the output in between
  int written_channels;  ///< output channels of one group, with the padding of its last block
  int vectors, oc_tiles;
  bool short_reduction;
  /// All weights stay in L2: a segment of outputs is finished for all output channels before the
  /// next one, the input coming from L1. Otherwise one tile of output channels is finished for all
  /// segments first, and its weights stay in L2.
  bool weights_stay;
  Index segment_input_bytes;  ///< of input, where segments are longer than kSegmentPixels
  Index activated_bytes;      ///< of results between two passes of an activation
  Index chunk_weights;        ///< weights of one chunk for one output channel
  Index vector_weights;       ///< floats of packed weights of one vector of output channels
};

/// The outputs as the loops see them: segments of rows and columns.
struct Geometry {
  bool flat = false;  ///< all rows are one: a 1x1 convolution without gaps between rows
  Index rows = 0;
  int columns = 0;
  int row_segments = 0, column_segments = 0, segment_columns = 0;
};

/// Outputs that are finished together for one tile of output channels.
struct Segment {
  int n, group, tile;
  Range rows, columns;
  bool last;  ///< of its tile of output channels
};

class DirectKernel final : public Kernel {
 public:
  DirectKernel(const PrimitiveInfo& info, const Workload& workload, const Parameters& parameters,
               const Context& context)
      : shape_(workload.shape),
        activation_(workload.epilogue.activation),
        has_residual_(workload.epilogue.residual),
        scaled_(workload.scaled),
        threads_(threads_for(context.threads, products(shape_), kLeastProducts)),
        blocking_(shape_, info, context),
        last_write_(last_write(activation_)),
        activate_(activate_rows_function(context.isa)),
        weights_(
            static_cast<std::size_t>(shape_.groups * blocking_.vectors * blocking_.vector_weights)),
        bias_(bias_floats(shape_, blocking_)) {
    pack(parameters);
    for (int tile = 0; tile < blocking_.oc_tiles; ++tile) {
      const int vectors = blocking_.tile_vectors(tile);
      RowTiles& row = rows_[static_cast<std::size_t>(vectors)];
      if (row.steps.empty()) row = row_tiles(shape_, blocking_.most_pixels(vectors));
    }
  }

  static std::size_t packed_bytes(const ConvShape& shape, const Blocking& blocking) {
    return (static_cast<std::size_t>(shape.groups * blocking.vectors * blocking.vector_weights) +
            bias_floats(shape, blocking)) *
           sizeof(float);
  }

  static Index products(const ConvShape& s) {
    return Index{s.n} * s.oc * s.oh() * s.ow() * (s.ic / s.groups) * s.kh * s.kw;
  }

  /// Scaled weights, for every image of a batch.
  static std::size_t workspace_bytes(const Workload& workload, const Blocking& blocking) {
    if (!workload.scaled) return 0;
    return static_cast<std::size_t>(workload.shape.n * blocking.vectors * blocking.vector_weights) *
           sizeof(float);
  }

  std::size_t workspace_bytes() const override {
    return scaled_ ? static_cast<std::size_t>(shape_.n) * weights_.bytes() : 0;
  }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  void run(const RunArgs& args) const noexcept override;

 private:
  /// Computes one segment.
  class SegmentLoop;

  static std::size_t bias_floats(const ConvShape& shape, const Blocking& blocking) {
    // Behind the bias lie the zeros that sums start from when they go on from the output.
    return static_cast<std::size_t>(shape.groups * blocking.vectors + kMaxVectors) *
           static_cast<std::size_t>(blocking.tiles.lanes);
  }
  const float* zeros() const {
    return bias_.data() + shape_.groups * blocking_.vectors * blocking_.tiles.lanes;
  }
  const float* bias(int group, int tile) const {
    return bias_.data() +
           (group * blocking_.vectors + blocking_.first_vector(tile)) * blocking_.tiles.lanes;
  }
  /// Distance of a tile's weights from the first ones.
  Index weights_before(int group, int tile) const {
    return (group * blocking_.vectors + blocking_.first_vector(tile)) * blocking_.vector_weights;
  }
  /// All weights that an image is multiplied with.
  const float* weights_of(const RunArgs& args, int image) const {
    return scaled_ ? scaled_weights(args, image) : weights_.data();
  }
  float* scaled_weights(const RunArgs& args, int image) const {
    return static_cast<float*>(args.workspace) + image * static_cast<Index>(weights_.size());
  }

  /// Multiplies the weights of every input channel by the images' factors for it: fewer numbers
  /// than the images wherever these have more pixels than output channels.
  void scale_weights(const RunArgs& args) const {
    const int taps = shape_.kh * shape_.kw, chunk = blocking_.chunk;
    const TensorView& factors = args.sources[1];
    parallel_for(threads_, Index{shape_.n} * blocking_.oc_tiles, [&](Index item) {
      const int image = static_cast<int>(item / blocking_.oc_tiles);
      const int tile = static_cast<int>(item % blocking_.oc_tiles);
      const int width = blocking_.tile_vectors(tile) * blocking_.tiles.lanes;
      const float* from = weights_.data() + weights_before(0, tile);
      float* to = scaled_weights(args, image) + weights_before(0, tile);
      for (int first = 0; first < blocking_.chunks * chunk; first += chunk) {
        for (int tap = 0; tap < taps; ++tap) {
          for (int ic = first; ic < first + chunk; ++ic, from += width, to += width) {
            const float factor = ic < blocking_.ic ? factors.at(image, ic, 0, 0) : 0.0F;
            for (int i = 0; i < width; ++i) to[i] = factor * from[i];
          }
        }
      }
    });
  }

  /// Weights as [group][tile][chunk][kh][kw][channel of the chunk][output channel of the tile].
  void pack(const Parameters& parameters) {
    const int lanes = blocking_.tiles.lanes;
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    float* to = weights_.data();
    for (int group = 0; group < shape_.groups; ++group) {
      for (int tile = 0; tile < blocking_.oc_tiles; ++tile) {
        const std::vector<int> channels = channels_of(tile);
        const float* const bias = parameters.bias.as<float>();
        float* const packed =
            bias_.data() + (group * blocking_.vectors + blocking_.first_vector(tile)) * lanes;
        for (std::size_t i = 0; bias != nullptr && i < channels.size(); ++i) {
          if (channels[i] < blocking_.oc) packed[i] = bias[group * blocking_.oc + channels[i]];
        }
        to = pack_tile(parameters.weights.as<float>(), group, channels, to);
      }
    }
  }

  /// The output channels that a tile computes, in the order of its vectors.
  std::vector<int> channels_of(int tile) const {
    std::vector<int> channels;
    for (int v = 0; v < blocking_.tile_vectors(tile); ++v) {
      const int first = blocking_.first_channel(tile) + blocking_.vector_channel(tile, v);
      for (int lane = 0; lane < blocking_.tiles.lanes; ++lane) channels.push_back(first + lane);
    }
    return channels;
  }

  /// Packs the weights of one tile of output channels; returns the place after them.
  float* pack_tile(const float* weights, int group, const std::vector<int>& channels,
                   float* to) const {
    const int taps = shape_.kh * shape_.kw, chunk = blocking_.chunk;
    for (int from = 0; from < blocking_.chunks * chunk; from += chunk) {
      for (int tap = 0; tap < taps; ++tap) {
        for (int ic = from; ic < from + chunk; ++ic) {
          for (const int oc : channels) {
            const Index row = Index{group} * blocking_.oc + oc;
            const bool exists = oc < blocking_.oc && ic < blocking_.ic;
            *to++ = exists ? weights[(row * blocking_.ic + ic) * taps + tap] : 0.0F;
          }
        }
      }
    }
    return to;
  }

  Geometry geometry(const RunArgs& args) const {
    const ConvShape& s = shape_;
    const auto rows_join = [](const TensorView& view) {
      return view.row_stride() == view.shape.w() * view.column_stride();
    };
    Geometry g;
    g.flat = s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.oh() == s.ih &&
             s.ow() == s.iw && s.pad_top == 0 && s.pad_left == 0 && rows_join(args.sources[0]) &&
             rows_join(args.destination) && (!has_residual_ || rows_join(args.residual));
    g.rows = g.flat ? 1 : s.oh();
    g.columns = g.flat ? s.oh() * s.ow() : s.ow();
    g.segment_columns = g.columns;
    if (g.flat) {
      const Index fit = blocking_.segment_input_bytes / (Index{sizeof(float)} * blocking_.ic);
      g.segment_columns = static_cast<int>(round_up(
          std::max<Index>(kSegmentPixels, fit), blocking_.most_pixels(blocking_.tile_vectors(0))));
    }
    g.column_segments = static_cast<int>(ceil_div(g.columns, g.segment_columns));
    if (g.flat && threads_ > 1) share_out(g);
    Index rows = ceil_div(kSegmentPixels, g.columns);
    if (blocking_.parts == 1 && threads_ > 1) {
      const Index all_rows = Index{shape_.n} * shape_.groups * blocking_.oc_tiles * g.rows;
      rows = std::clamp<Index>(all_rows / (kSegmentsToShare * threads_), 1, rows);
    }
    g.row_segments = static_cast<int>(ceil_div(g.rows, rows));
    return g;
  }

  /// Makes segments equally long, and more of them where their number does not divide by the
  /// threads: a short last one, or one too many, leaves a thread with up to twice the work.
  void share_out(Geometry& g) const {
    Index segments = g.column_segments;
    const Index tiles = Index{shape_.n} * shape_.groups * blocking_.oc_tiles;
    if (tiles * segments % threads_ != 0 && tiles * segments < Index{kSegmentsToShare} * threads_) {
      segments *= threads_;
    }
    g.segment_columns = static_cast<int>(
        round_up(ceil_div(g.columns, segments), blocking_.most_pixels(blocking_.tile_vectors(0))));
    g.column_segments = static_cast<int>(ceil_div(g.columns, g.segment_columns));
  }

  /// Segment number `item`: images first, then places or tiles of output channels, whichever the
  /// weights ask for.
  Segment segment(const Geometry& g, Index item) const {
    const Index places = Index{g.row_segments} * g.column_segments;
    const Index channel_tiles = Index{shape_.groups} * blocking_.oc_tiles;
    const bool channels_inside = blocking_.weights_stay;
    const Index rest = item % (places * channel_tiles);
    const Index place = channels_inside ? rest / channel_tiles : rest % places;
    const Index channel_tile = channels_inside ? rest % channel_tiles : rest / places;
    const Index rows = place / g.column_segments;
    const int column = static_cast<int>(place % g.column_segments) * g.segment_columns;
    Segment segment;
    segment.n = static_cast<int>(item / (places * channel_tiles));
    segment.group = static_cast<int>(channel_tile / blocking_.oc_tiles);
    segment.tile = static_cast<int>(channel_tile % blocking_.oc_tiles);
    segment.rows = {static_cast<int>(part_begin(g.rows, rows, g.row_segments)),
                    static_cast<int>(part_begin(g.rows, rows + 1, g.row_segments))};
    segment.columns = {column, std::min(column + g.segment_columns, g.columns)};
    segment.last = place + 1 == places;
    return segment;
  }

  ConvShape shape_;
  Activation activation_;
  bool has_residual_, scaled_;
  int threads_;
  Blocking blocking_;
  LastWrite last_write_;
  ActivateRowsFunction activate_;
  std::array<RowTiles, kMaxVectors + 1> rows_;  ///< by vectors of a tile
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class DirectKernel::SegmentLoop {
 public:
  SegmentLoop(const DirectKernel& kernel, const RunArgs& args, const Geometry& geometry,
              const Segment& segment)
      : kernel_(kernel),
        shape_(kernel.shape_),
        blocking_(kernel.blocking_),
        geometry_(geometry),
        segment_(segment),
        in_(args.sources[0]),
        out_(args.destination),
        residual_(args.residual),
        lanes_(blocking_.tiles.lanes),
        vectors_(blocking_.tile_vectors(segment.tile)),
        width_(vectors_ * lanes_),
        row_(kernel.rows_[static_cast<std::size_t>(vectors_)]),
        bias_(kernel.bias(segment.group, segment.tile)),
        all_weights_(kernel.weights_of(args, segment.n)),
        weights_(all_weights_ + kernel.weights_before(segment.group, segment.tile)) {
    first_channel_ = segment.group * blocking_.oc + blocking_.first_channel(segment.tile);
    in_block_ = first_channel_ % blocking_.output_block;
    channels_ = blocking_.tile_channels(segment.tile);
    in_place_ = out_.layout == Layout::nhwc
                    ? channels_ >= lanes_
                    : channels_ == width_ && blocking_.output_block % lanes_ == 0;
    set_steps();
  }

  void run() const {
    for (int part = 0; part < blocking_.parts; ++part) {
      for (int row = segment_.rows.first; row < segment_.rows.last; ++row) {
        if (geometry_.flat) {
          for_each_tile_size(segment_.columns.first, segment_.columns.last,
                             blocking_.most_pixels(vectors_),
                             [&](int first, int pixels, int repeat) {
                               finish({first, pixels, repeat, {0, 1}}, part, row);
                             });
        } else {
          for (const Step& step : row_.steps) finish(step, part, row);
        }
      }
    }
  }

 private:
  /// Sets what all tiles of the segment share.
  void set_steps() {
    steps_.pixel_step = shape_.stride_w * in_.column_stride();
    steps_.chunk_step = channel_block(in_.layout) > 1 ? in_.channel_stride()
                                                      : blocking_.chunk * in_.channel_stride();
    steps_.row_step = shape_.dilation_h * in_.row_stride();
    steps_.column_step = shape_.dilation_w * in_.column_stride();
    steps_.channel_step = in_.layout == Layout::nchw ? in_.channel_stride() : 1;
    steps_.weight_column_step = Index{blocking_.chunk} * width_;
    steps_.weight_row_step = shape_.kw * steps_.weight_column_step;
    steps_.weight_chunk_step = shape_.kh * steps_.weight_row_step;
    steps_.prefetch = shape_.kh * shape_.kw == 1 && channel_block(in_.layout) > 1;
    steps_.output_pixel_step = in_place_ ? out_.column_stride() : width_;
    for (int v = 0; v < vectors_; ++v) {
      steps_.output_vector[v] = in_place_ ? vector_offset(out_, v) : v * lanes_;
    }
  }

  /// Distance of the first channel of vector `v` from that of the tile, in the same pixel.
  Index vector_offset(const TensorView& view, int v) const {
    const int block = blocking_.output_block;
    const int in_block = in_block_ + blocking_.vector_channel(segment_.tile, v);
    return in_block / block * view.channel_stride() + in_block % block - in_block_;
  }

  /// Computes a step, and after the last part of the reduction what an activation that is no clamp
  /// makes of it: after so few tiles at a time that they are still in L1.
  void finish(const Step& step, int part, int row) const {
    if (!kernel_.last_write_.needs_pass || part + 1 < blocking_.parts) {
      return compute(step, part, row);
    }
    const Index tile_bytes = Index{step.pixels} * width_ * Index{sizeof(float)};
    const int most = static_cast<int>(std::max<Index>(1, blocking_.activated_bytes / tile_bytes));
    for (int i = 0; i < step.repeat; i += most) {
      Step some = step;
      some.first += i * step.pixels;
      some.repeat = std::min(most, step.repeat - i);
      compute(some, part, row);
      activate(some, row);
    }
  }

  void compute(const Step& step, int part, int row) const {
    const bool starts = part == 0, ends = part + 1 == blocking_.parts;
    Tile tile = steps_;
    tile.repeat = step.repeat;
    set_operands(tile, step, part, row);
    const float* const next = weights_behind(part);
    join_loops(tile, next == nullptr);
    if (next != nullptr) share_fetch(tile, next, step, part, row);
    tile.low = ends ? kernel_.last_write_.low : -kInfinity;
    tile.high = ends ? kernel_.last_write_.high : kInfinity;
    tile.bias = starts ? bias_ : kernel_.zeros();

    const auto place = [&](const TensorView& view) {
      return view.as<float>() + view.offset(segment_.n, first_channel_, row, 0) +
             step.first * view.column_stride();
    };
    const TensorView* const added = !starts ? &out_ : kernel_.has_residual_ ? &residual_ : nullptr;
    tile.output = place(out_);
    if (added != nullptr) {
      tile.addend = place(*added);
      tile.addend_pixel_step = added->column_stride();
    }
    if (in_place_) {
      for (int v = 0; added != nullptr && v < vectors_; ++v) {
        tile.addend_vector[v] = vector_offset(*added, v);
      }
      blocking_.tiles.function[vectors_][step.pixels](tile);
    } else {
      compute_in_buffer(tile, step, added);
    }
  }

  /// Sets input and weights of a part of the reduction, and the loops over them.
  void set_operands(Tile& tile, const Step& step, int part, int row) const {
    const Range chunks = {blocking_.first_chunk(part), blocking_.first_chunk(part + 1)};
    const int top = row * shape_.stride_h - shape_.pad_top;
    const Range kernel_rows = rows_inside(top);
    const int chunk = blocking_.chunk;
    tile.channels = chunk;
    tile.last_channels =
        chunks.last == blocking_.chunks ? blocking_.ic - (blocking_.chunks - 1) * chunk : chunk;
    tile.rows = std::max(kernel_rows.size(), 0);
    tile.columns = step.kernel_columns.size();
    if (step.inside >= 0) tile.inside = row_.inside.data() + step.inside;
    if (tile.rows == 0 || tile.columns == 0) {
      tile.chunks = 0;
      return;
    }
    tile.chunks = chunks.size();
    tile.weights = weights_ + chunks.first * tile.weight_chunk_step +
                   kernel_rows.first * tile.weight_row_step +
                   step.kernel_columns.first * tile.weight_column_step;
    const Index input_row = top + Index{kernel_rows.first} * shape_.dilation_h;
    const Index input_column =
        Index{step.kernel_columns.first} * shape_.dilation_w - shape_.pad_left;
    tile.input = in_.as<float>() + in_.offset(segment_.n, segment_.group * blocking_.ic, 0, 0) +
                 chunks.first * tile.chunk_step + input_row * in_.row_stride() +
                 step.first * tile.pixel_step + input_column * in_.column_stride();
  }

  /// Kernel rows inside the image, for outputs whose first one reads row `top`. Divisions are as
  /// dear as ten products of a tile, and most rows need none.
  Range rows_inside(int top) const {
    const ConvShape& s = shape_;
    const auto rows_until = [&](int row) { return static_cast<int>(ceil_div(row, s.dilation_h)); };
    return {
        top >= 0 ? 0 : rows_until(-top),
        top + s.extent_h() <= s.ih ? s.kh : std::min(s.kh, rows_until(std::max(s.ih - top, 0)))};
  }

  /// The weights that come after those of this part, unless they are in L2 anyway.
  const float* weights_behind(int part) const {
    if (blocking_.weights_stay) return nullptr;
    const bool again = blocking_.parts > 1 && part + 1 == blocking_.parts && !segment_.last;
    if (again) return weights_;
    const float* const next =
        weights_ + blocking_.first_chunk(part + 1) * blocking_.chunk_weights * width_;
    return next < all_weights_ + kernel_.weights_.size() ? next : nullptr;
  }

  /// Makes the tiles of a step fetch their share of `next`: as large as the present part, to be
  /// there when all pixels are done that the present part is used for.
  void share_fetch(Tile& tile, const float* next, const Step& step, int part, int row) const {
    const bool whole = blocking_.parts == 1;
    const Range rows = whole ? Range{0, static_cast<int>(geometry_.rows)} : segment_.rows;
    const Range columns = whole ? Range{0, geometry_.columns} : segment_.columns;
    const Index width = columns.size();
    const Index pixels = rows.size() * width;
    const Index before = (row - rows.first) * width + step.first - columns.first;
    const Index floats = (blocking_.first_chunk(part + 1) - blocking_.first_chunk(part)) *
                         blocking_.chunk_weights * width_;
    constexpr Index kLineFloats = 64 / sizeof(float);
    const Index calls = std::max<Index>(Index{tile.chunks} * tile.rows * tile.columns, 1);
    tile.fetch = next + floats * before / pixels;
    tile.fetch_lines =
        static_cast<int>(ceil_div(floats * step.pixels, pixels * calls * kLineFloats));
  }

  /// Joins loops that continue each other; chunks only where `chunks_too`.
  void join_loops(Tile& tile, bool chunks_too) const {
    if (blocking_.columns_innermost) {
      tile.columns_are_channels = true;
      tile.channels = tile.last_channels = tile.columns;
      tile.columns = 1;
      tile.channel_step = tile.column_step;
    } else if (tile.inside != nullptr) {
      return;
    } else if (tile.rows == 1 && tile.columns == 1 && chunks_too &&
               tile.chunk_step == tile.channels * tile.channel_step &&
               tile.weight_chunk_step == tile.weight_column_step) {
      tile.last_channels += (tile.chunks - 1) * tile.channels;
      tile.channels = tile.last_channels;
      tile.chunks = std::min(tile.chunks, 1);
    } else if (tile.chunks == 1 && tile.last_channels == blocking_.chunk &&
               tile.column_step == tile.last_channels * tile.channel_step) {
      tile.channels = tile.last_channels *= tile.columns;
      tile.columns = std::min(tile.columns, 1);
    }
  }

  /// Computes tiles that are not whole vectors of neighbouring channels in the destination: channel
  /// tails, nchw, vectors wider than a block.
  void compute_in_buffer(Tile& tile, const Step& step, const TensorView* added) const {
    alignas(64) float buffer[kMaxPixels * kMaxVectors * 16];
    float* output = tile.output;
    const float* addend = tile.addend;
    tile.output = buffer;
    tile.repeat = 1;
    for (int i = 0; i < step.repeat; ++i) {
      if (added != nullptr) {
        gather(*added, addend, step.pixels, buffer);
        addend += step.pixels * added->column_stride();
        tile.addend = buffer;
        tile.addend_pixel_step = width_;
        std::copy_n(tile.output_vector, kMaxVectors, tile.addend_vector);
      }
      blocking_.tiles.function[vectors_][step.pixels](tile);
      scatter(out_, output, step.pixels, buffer);
      output += step.pixels * out_.column_stride();
      tile.input += step.pixels * tile.pixel_step;
    }
  }

  /// Calls body(offset, c, count) for the tile's channels, those of one layout block at a time,
  /// that lie `offset` behind the tile's first channel in the view.
  template <class Body>
  void for_each_block(const TensorView& view, const Body& body) const {
    Index offset = 0;
    int count = std::min(blocking_.output_block - in_block_, channels_);
    for (int c = 0; c < channels_;) {
      body(offset, c, count);
      offset += view.channel_stride() - (c == 0 ? in_block_ : 0);
      c += count;
      count = std::min(blocking_.output_block, channels_ - c);
    }
  }
  /// Calls body(place in the view, place in the buffer, values) for the tile's pixels and blocks.
  /// The counts that occur all the time are constants to the body's copy loop.
  template <class Body>
  void for_each_copy(const TensorView& view, int pixels, const Body& body) const {
    for_each_block(view, [&](Index offset, int c, int count) {
      for (int p = 0; p < pixels; ++p) {
        const Index in_view = offset + p * view.column_stride();
        const Index in_buffer = Index{p} * width_ + c;
        if (count == 1) {
          body(in_view, in_buffer, 1);
        } else if (count == 8) {
          body(in_view, in_buffer, 8);
        } else {
          body(in_view, in_buffer, count);
        }
      }
    });
  }
  void gather(const TensorView& view, const float* from, int pixels, float* buffer) const {
    std::fill_n(buffer, pixels * width_, 0.0F);
    for_each_copy(view, pixels, [&](Index in_view, Index in_buffer, int count) {
      for (int i = 0; i < count; ++i) buffer[in_buffer + i] = from[in_view + i];
    });
  }
  void scatter(const TensorView& view, float* to, int pixels, const float* buffer) const {
    for_each_copy(view, pixels, [&](Index in_view, Index in_buffer, int count) {
      for (int i = 0; i < count; ++i) to[in_view + i] = buffer[in_buffer + i];
    });
  }

  /// Applies the activation to the pixels of a step.
  void activate(const Step& step, int row) const {
    float* const first = out_.as<float>() + out_.offset(segment_.n, first_channel_, row, 0) +
                         step.first * out_.column_stride();
    for_each_block(out_, [&](Index offset, int c, int count) {
      // Padding stays zero.
      const int used = std::clamp(shape_.oc - first_channel_ - c, 0, count);
      kernel_.activate_(
          kernel_.activation_,
          ActivatedRows::in_place(first + offset, used, Index{step.pixels} * step.repeat,
                                  out_.column_stride()));
    });
  }

  const DirectKernel& kernel_;
  const ConvShape& shape_;
  const Blocking& blocking_;
  const Geometry& geometry_;
  Segment segment_;
  const TensorView &in_, &out_, &residual_;
  const int lanes_, vectors_, width_;  ///< of the tile of output channels
  const RowTiles& row_;
  const float *bias_, *all_weights_, *weights_;
  int first_channel_, in_block_, channels_;  ///< in_block_: of the first one, in its layout block
  bool in_place_;  ///< vectors of neighbouring channels are written straight to the tensor
  Tile steps_;     ///< what all tiles of the segment share
};

void DirectKernel::run(const RunArgs& args) const noexcept {
  if (scaled_) scale_weights(args);
  const Geometry geometry = this->geometry(args);
  const Index places = Index{geometry.row_segments} * geometry.column_segments;
  const Index channel_tiles = Index{shape_.groups} * blocking_.oc_tiles;
  parallel_for(threads_, shape_.n * places * channel_tiles, [&](Index item) {
    SegmentLoop(*this, args, geometry, segment(geometry, item)).run();
  });
}

class DirectPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& s = workload.shape;
    if (s.groups == 1) return workspace_fits(workspace_bytes(workload, context), context);
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

  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return DirectKernel::workspace_bytes(workload, Blocking(workload.shape, info(), context));
  }

  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return DirectKernel::packed_bytes(workload.shape, Blocking(workload.shape, info(), context));
  }

  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<DirectKernel>(info(), workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_direct(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  const TileSet& tiles = tile_set(context.isa);
  info.description = "register tile over pixels and output channels, reduction in registers";
  info.revision = "6";
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = tiles.vectors * tiles.lanes;
  info.traits.tile_pixels = tiles.pixels[tiles.vectors];
  info.traits.strided_views = true;
  info.traits.scales_source = true;
  return std::make_unique<DirectPrimitive>(std::move(info));
}

}  // namespace convopt::direct
