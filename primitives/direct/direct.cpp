// Direct convolution from any layout to any layout. The driver below cuts a convolution into calls
// of a register tile (tile.h): rows of outputs times a few vectors of output channels, then pixels.
// Padding costs nothing: kernel rows outside the image are left out, and kernel columns that reach
// only some pixels of a tile are computed for these pixels alone.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "primitives/blocking.h"
#include "primitives/direct/tile.h"
#include "primitives/own.h"

namespace convopt::direct {
namespace {

/// Pixels of a stretch: enough tiles to pay for bringing a part of the weights into L1, and more
/// where their input is small, see segment_bytes().
constexpr int kStretchPixels = 96;
/// With at least this many stretches per thread, imbalance is below an eighth.
constexpr int kStretchesToShare = 8;

/// 1x1 reductions up to this length are short: beginning and end of a tile cost more than is gained
/// by more accumulators.
constexpr int kShortReduction = 64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Index = std::int64_t;

/// How a convolution is cut up: everything that follows from shape, layouts and ISA.
struct Cut {
  Cut(const ConvShape& s, const PrimitiveInfo& info, const Context& context)
      : tiles(tile_set(context.isa)),
        ic(s.ic / s.groups),
        oc(s.oc / s.groups),
        output_block(info.output_layout == Layout::nhwc ? oc : channel_block(info.output_layout)) {
    // From nchw, neighbouring columns are as near as it gets, so kernel columns are innermost.
    columns_innermost = info.input_layout == Layout::nchw && s.kw > 1;
    if (columns_innermost) {
      run = 1;
    } else if (channel_block(info.input_layout) > 1) {
      run = channel_block(info.input_layout);
    } else {
      constexpr int kMostChannels = 32;
      run = static_cast<int>(ceil_div(ic, ceil_div(ic, kMostChannels)));
    }
    runs = static_cast<int>(ceil_div(ic, run));
    written_channels = static_cast<int>(padded_channels(oc, info.output_layout));
    vectors = static_cast<int>(ceil_div(written_channels, tiles.lanes));
    oc_tiles = static_cast<int>(ceil_div(vectors, tiles.vectors));
    run_weights = Index{run} * s.kh * s.kw;
    vector_weights = runs * run_weights * tiles.lanes;
    short_reduction = s.kh * s.kw == 1 && ic <= kShortReduction;

    const Index run_bytes = run_weights * tile_vectors(0) * tiles.lanes * 4;
    const Index part_bytes = weight_part_bytes(context.caches, tiles.part_eighths);
    const Index runs_per_part = std::clamp<Index>(part_bytes / run_bytes, 1, runs);
    parts = static_cast<int>(ceil_div(runs, runs_per_part));
    const Index weight_bytes = s.groups * vectors * vector_weights * Index{sizeof(float)};
    weights_stay = weight_bytes <= resident_weight_bytes(context.caches);
    stretch_bytes = segment_bytes(context.caches);
  }

  // Output channels of a group are split evenly over tiles, runs evenly over parts.
  int first_vector(int tile) const { return static_cast<int>(part_begin(vectors, tile, oc_tiles)); }
  int tile_vectors(int tile) const { return first_vector(tile + 1) - first_vector(tile); }
  int first_run(int part) const { return static_cast<int>(part_begin(runs, part, parts)); }

  int most_pixels(int tile_vectors) const {
    const int most = tiles.pixels[tile_vectors];
    return short_reduction ? std::min(most, tiles.short_accumulators / tile_vectors) : most;
  }

  const TileSet& tiles;
  int ic, oc;  ///< of one group
  int output_block;
  bool columns_innermost;
  int run, runs;         ///< input channels with a constant distance; how often
  int parts;             ///< of the reduction; sums wait in the output in between
  int written_channels;  ///< output channels of one group, with the filling of its last block
  int vectors, oc_tiles;
  bool short_reduction;
  /// All weights stay in L2: a stretch of outputs is finished for all output channels before the
  /// next one, the input coming from L1. Otherwise one tile of output channels is finished for all
  /// stretches first, and its weights stay in L2.
  bool weights_stay;
  Index stretch_bytes;   ///< of input, where stretches are longer than kStretchPixels
  Index run_weights;     ///< weights of one run for one output channel
  Index vector_weights;  ///< floats of packed weights of one vector of output channels
};

class DirectKernel final : public Kernel {
 public:
  DirectKernel(const PrimitiveInfo& info, const Workload& workload, const Parameters& parameters,
               const Context& context)
      : shape_(workload.shape),
        activation_(workload.epilogue.activation),
        has_residual_(workload.epilogue.residual),
        threads_(context.threads),
        cut_(shape_, info, context),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)),
        weights_(static_cast<std::size_t>(shape_.groups * cut_.vectors * cut_.vector_weights)),
        bias_(bias_floats(shape_, cut_)) {
    pack(parameters);
    for (int tile = 0; tile < cut_.oc_tiles; ++tile) {
      const auto vectors = static_cast<std::size_t>(cut_.tile_vectors(tile));
      if (row_[vectors].steps.empty())
        row_[vectors] = cut(cut_.most_pixels(cut_.tile_vectors(tile)));
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
    const Index places = Index{geometry.row_stretches} * geometry.column_stretches;
    const Index channel_tiles = Index{shape_.groups} * cut_.oc_tiles;
    const bool channels_inside = cut_.weights_stay;
    parallel_for(threads_, shape_.n * places * channel_tiles, [&](Index item) {
      const Index rest = item % (places * channel_tiles);
      const Index place = channels_inside ? rest / channel_tiles : rest % places;
      const Index channel_tile = channels_inside ? rest % channel_tiles : rest / places;
      const Index rows = place / geometry.column_stretches;
      const Index columns = place % geometry.column_stretches;
      Stretch stretch;
      stretch.n = static_cast<int>(item / (places * channel_tiles));
      stretch.group = static_cast<int>(channel_tile / cut_.oc_tiles);
      stretch.tile = static_cast<int>(channel_tile % cut_.oc_tiles);
      stretch.rows = {
          static_cast<int>(part_begin(geometry.rows, rows, geometry.row_stretches)),
          static_cast<int>(part_begin(geometry.rows, rows + 1, geometry.row_stretches))};
      stretch.columns = {
          static_cast<int>(columns) * geometry.stretch_columns,
          std::min(static_cast<int>(columns + 1) * geometry.stretch_columns, geometry.columns)};
      stretch.last = place + 1 == places;
      compute(args, geometry, stretch);
    });
  }

 private:
  struct Range {
    int first, last;
    bool operator==(const Range&) const = default;
  };

  /// One call of a row's computation: tiles of `pixels` pixels and the kernel columns for them.
  struct Step {
    int first, pixels, repeat;
    Range kernel_columns;
    int inside = -1;  ///< where Row::inside has what these columns reach; -1: every pixel
  };
  struct Row {
    std::vector<Step> steps;
    std::vector<std::uint32_t> inside;  ///< as Tile::inside
  };

  /// The outputs as the loops see them: stretches of rows and columns.
  struct Geometry {
    bool flat = false;  ///< all rows are one: a 1x1 convolution without gaps between rows
    Index rows = 0;
    int columns = 0;
    int row_stretches = 0, column_stretches = 0, stretch_columns = 0;
  };

  struct Stretch {
    int n, group, tile;
    Range rows, columns;
    bool last;  ///< of its tile of output channels
  };

  static std::size_t bias_floats(const ConvShape& shape, const Cut& cut) {
    // Behind the bias lie the zeros that sums start from when they go on from the output.
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
    if (parameters.bias.as<float>() != nullptr) {
      for (int oc = 0; oc < s.oc; ++oc) {
        bias_.data()[oc / cut_.oc * cut_.vectors * lanes + oc % cut_.oc] =
            parameters.bias.as<float>()[oc];
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
                *to++ =
                    oc < cut_.oc && ic < cut_.ic
                        ? parameters.weights.as<float>()[(row * cut_.ic + ic) * s.kh * s.kw + tap]
                        : 0.0F;
              }
            }
          }
        }
      }
    }
  }

  /// Splits [first, last) into tiles of at most `most` pixels, larger ones first, neighbours of one
  /// size together. Calls body(first pixel, pixels, repeat) at most twice.
  template <class Body>
  static void for_each_tile_size(int first, int last, int most, const Body& body) {
    const int tiles = static_cast<int>(ceil_div(last - first, most));
    if (tiles == 0) return;
    const int small = (last - first) / tiles;
    const int large_tiles = (last - first) % tiles;
    if (large_tiles > 0) body(first, small + 1, large_tiles);
    body(first + large_tiles * (small + 1), small, tiles - large_tiles);
  }

  /// The steps of a row that may touch the padding.
  Row cut(int most) const {
    const ConvShape& s = shape_;
    const auto inside = [&](int pixel, int kw) {
      const Index column = Index{pixel} * s.stride_w + Index{kw} * s.dilation_w - s.pad_left;
      return 0 <= column && column < s.iw;
    };
    Row row;
    const auto add_tile = [&](int first, int pixels) {
      std::vector<std::uint32_t> columns;
      for (int kw = 0; kw < s.kw; ++kw) {
        std::uint32_t mask = 0;
        for (int p = 0; p < pixels; ++p) mask |= std::uint32_t{inside(first + p, kw)} << p;
        columns.push_back(mask);
      }
      const std::uint32_t every = (std::uint32_t{1} << pixels) - 1;
      const auto reaches = [](std::uint32_t mask) { return mask != 0; };
      const auto begin = std::find_if(columns.begin(), columns.end(), reaches);
      const auto end = std::find_if(columns.rbegin(), columns.rend(), reaches).base();
      Step step = {first, pixels, 1, {0, 0}};
      if (begin < end) {
        step.kernel_columns = {static_cast<int>(begin - columns.begin()),
                               static_cast<int>(end - columns.begin())};
        if (std::any_of(begin, end, [&](std::uint32_t mask) { return mask != every; })) {
          step.inside = static_cast<int>(row.inside.size());
          row.inside.insert(row.inside.end(), begin, end);
        }
      }
      const bool whole = step.inside < 0 && step.kernel_columns == Range{0, s.kw};
      if (whole && !row.steps.empty()) {
        Step& last = row.steps.back();
        if (last.inside < 0 && last.kernel_columns == step.kernel_columns &&
            last.pixels == pixels) {
          ++last.repeat;
          return;
        }
      }
      row.steps.push_back(step);
    };
    for_each_tile_size(0, s.ow(), most, [&](int first, int pixels, int repeat) {
      for (int i = 0; i < repeat; ++i) add_tile(first + i * pixels, pixels);
    });
    return row;
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
    g.stretch_columns = g.columns;
    if (g.flat) {
      const Index fit = cut_.stretch_bytes / (Index{sizeof(float)} * cut_.ic);
      g.stretch_columns = static_cast<int>(
          round_up(std::max<Index>(kStretchPixels, fit), cut_.most_pixels(cut_.tile_vectors(0))));
    }
    g.column_stretches = static_cast<int>(ceil_div(g.columns, g.stretch_columns));
    if (g.flat && threads_ > 1) share_out(g);
    Index rows = ceil_div(kStretchPixels, g.columns);
    if (cut_.parts == 1 && threads_ > 1) {
      const Index all_rows = Index{shape_.n} * shape_.groups * cut_.oc_tiles * g.rows;
      rows = std::clamp<Index>(all_rows / (kStretchesToShare * threads_), 1, rows);
    }
    g.row_stretches = static_cast<int>(ceil_div(g.rows, rows));
    return g;
  }

  /// Makes stretches equally long, and more of them where what there is does not divide by the
  /// threads: a short last one, or one too many, leaves a thread with up to twice the work.
  void share_out(Geometry& g) const {
    Index stretches = g.column_stretches;
    const Index tiles = Index{shape_.n} * shape_.groups * cut_.oc_tiles;
    if (tiles * stretches % threads_ != 0 &&
        tiles * stretches < Index{kStretchesToShare} * threads_) {
      stretches *= threads_;
    }
    g.stretch_columns = static_cast<int>(
        round_up(ceil_div(g.columns, stretches), cut_.most_pixels(cut_.tile_vectors(0))));
    g.column_stretches = static_cast<int>(ceil_div(g.columns, g.stretch_columns));
  }

  /// Distance of channel `first + c` from channel `first` of the same pixel.
  Index channel_offset(const TensorView& view, int first, int c) const {
    const int block = cut_.output_block;
    const int in_block = first % block;
    return (in_block + c) / block * view.channel_stride() + (in_block + c) % block - in_block;
  }

  void compute(const RunArgs& args, const Geometry& geometry, const Stretch& stretch) const {
    const ConvShape& s = shape_;
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const int lanes = cut_.tiles.lanes;
    const int vectors = cut_.tile_vectors(stretch.tile);
    const Row& row_cut = row_[static_cast<std::size_t>(vectors)];
    const int width = vectors * lanes;
    const int first_channel = stretch.group * cut_.oc + cut_.first_vector(stretch.tile) * lanes;
    const int channels =
        std::min(width, cut_.written_channels - cut_.first_vector(stretch.tile) * lanes);
    // Whole vectors of neighbouring channels are written straight to the tensor. The rest (channel
    // tails, nchw, vectors wider than a block) is computed in a buffer and copied.
    const bool direct =
        channels == width && (out.layout == Layout::nhwc || cut_.output_block % lanes == 0);

    Tile call;
    call.pixel_step = s.stride_w * in.column_stride();
    call.run_step =
        channel_block(in.layout) > 1 ? in.channel_stride() : cut_.run * in.channel_stride();
    call.row_step = s.dilation_h * in.row_stride();
    call.column_step = s.dilation_w * in.column_stride();
    call.channel_step = in.layout == Layout::nchw ? in.channel_stride() : 1;
    call.weight_column_step = Index{cut_.run} * width;
    call.weight_row_step = s.kw * call.weight_column_step;
    call.weight_run_step = s.kh * call.weight_row_step;
    call.prefetch = s.kh * s.kw == 1 && channel_block(in.layout) > 1;
    call.output_pixel_step = direct ? out.column_stride() : width;
    for (int v = 0; v < vectors; ++v) {
      call.output_vector[v] = direct ? channel_offset(out, first_channel, v * lanes) : v * lanes;
    }
    const float* const bias = this->bias(stretch.group, stretch.tile);
    const float* const weights = this->weights(stretch.group, stretch.tile);
    const TensorView& add = has_residual_ ? args.residual : out;

    const auto run_step = [&](const Step& step, int part, int row) {
      const bool starts = part == 0;
      const bool ends = part + 1 == cut_.parts;
      const Range runs = {cut_.first_run(part), cut_.first_run(part + 1)};
      // Kernel rows inside the image.
      const int top = row * s.stride_h - s.pad_top;
      // Divisions are as dear as ten products of a tile, and most rows need none.
      const int first_kh = top >= 0 ? 0 : static_cast<int>(ceil_div(-top, s.dilation_h));
      const int last_kh =
          top + s.extent_h() <= s.ih
              ? s.kh
              : std::min(s.kh, static_cast<int>(ceil_div(std::max(s.ih - top, 0), s.dilation_h)));

      Tile tile = call;
      tile.repeat = step.repeat;
      tile.runs = runs.last - runs.first;
      tile.rows = std::max(last_kh - first_kh, 0);
      tile.columns = step.kernel_columns.last - step.kernel_columns.first;
      if (tile.rows == 0 || tile.columns == 0) {
        tile.runs = 0;
      } else {
        tile.weights = weights + runs.first * tile.weight_run_step +
                       first_kh * tile.weight_row_step +
                       step.kernel_columns.first * tile.weight_column_step;
        tile.input =
            in.as<float>() + in.offset(stretch.n, stretch.group * cut_.ic, 0, 0) +
            runs.first * tile.run_step + (top + Index{first_kh} * s.dilation_h) * in.row_stride() +
            step.first * tile.pixel_step +
            (Index{step.kernel_columns.first} * s.dilation_w - s.pad_left) * in.column_stride();
      }
      tile.channels = cut_.run;
      tile.last_channels = runs.last == cut_.runs ? cut_.ic - (cut_.runs - 1) * cut_.run : cut_.run;
      if (step.inside >= 0) tile.inside = row_cut.inside.data() + step.inside;
      const float* const next = weights_behind(stretch, part);
      join_loops(tile, next == nullptr);
      if (next != nullptr) share_fetch(tile, next, geometry, stretch, part, row, step);
      tile.low = ends ? last_write_.low : -kInfinity;
      tile.high = ends ? last_write_.high : kInfinity;
      tile.bias = starts ? bias : zeros();

      float* const place = out.as<float>() + out.offset(stretch.n, first_channel, row, 0) +
                           step.first * out.column_stride();
      const float* const addend =
          starts && has_residual_ ? add.as<float>() + add.offset(stretch.n, first_channel, row, 0) +
                                        step.first * add.column_stride()
          : starts ? nullptr
                   : place;
      const TensorView& added = starts ? add : out;
      const TileFunction function = cut_.tiles.function[vectors][step.pixels];
      if (direct) {
        tile.output = place;
        if (addend != nullptr) {
          tile.addend = addend;
          tile.addend_pixel_step = added.column_stride();
          for (int v = 0; v < vectors; ++v) {
            tile.addend_vector[v] = channel_offset(added, first_channel, v * lanes);
          }
        }
        function(tile);
        return;
      }
      alignas(64) float buffer[kMaxPixels * kMaxVectors * 16];
      tile.output = buffer;
      tile.repeat = 1;
      for (int i = 0; i < step.repeat; ++i) {
        const Index pixel = Index{i} * step.pixels;
        if (addend != nullptr) {
          gather(added, addend + pixel * added.column_stride(), step.pixels, first_channel,
                 channels, width, buffer);
          tile.addend = buffer;
          tile.addend_pixel_step = width;
          std::copy_n(tile.output_vector, kMaxVectors, tile.addend_vector);
        }
        function(tile);
        scatter(out, place + pixel * out.column_stride(), step.pixels, first_channel, channels,
                width, buffer);
        tile.input += step.pixels * tile.pixel_step;
      }
    };

    for (int part = 0; part < cut_.parts; ++part) {
      for (int row = stretch.rows.first; row < stretch.rows.last; ++row) {
        if (geometry.flat) {
          for_each_tile_size(stretch.columns.first, stretch.columns.last, cut_.most_pixels(vectors),
                             [&](int first, int pixels, int repeat) {
                               run_step({first, pixels, repeat, {0, 1}}, part, row);
                             });
        } else {
          for (const Step& step : row_cut.steps) run_step(step, part, row);
        }
      }
    }
    if (!last_write_.needs_pass) return;
    for (int row = stretch.rows.first; row < stretch.rows.last; ++row) {
      finish(out, stretch, row, first_channel, channels);
    }
  }

  /// The weights that come after those of a stretch and a part, unless they are in L2 anyway.
  const float* weights_behind(const Stretch& stretch, int part) const {
    if (cut_.weights_stay) return nullptr;
    const float* const weights = this->weights(stretch.group, stretch.tile);
    const bool again = cut_.parts > 1 && part + 1 == cut_.parts && !stretch.last;
    if (again) return weights;
    const int floats = cut_.tile_vectors(stretch.tile) * cut_.tiles.lanes;
    const float* const next = weights + cut_.first_run(part + 1) * cut_.run_weights * floats;
    return next < weights_.data() + weights_.size() ? next : nullptr;
  }

  /// Has the tiles of a step fetch their share of `next`: as large as the present part, to be there
  /// when all pixels are done that the present part is used for.
  void share_fetch(Tile& tile, const float* next, const Geometry& geometry, const Stretch& stretch,
                   int part, int row, const Step& step) const {
    const bool whole = cut_.parts == 1;
    const Range rows = whole ? Range{0, static_cast<int>(geometry.rows)} : stretch.rows;
    const Range columns = whole ? Range{0, geometry.columns} : stretch.columns;
    const Index width = columns.last - columns.first;
    const Index pixels = (rows.last - rows.first) * width;
    const Index before = (row - rows.first) * width + step.first - columns.first;
    const Index floats = (cut_.first_run(part + 1) - cut_.first_run(part)) * cut_.run_weights *
                         cut_.tile_vectors(stretch.tile) * cut_.tiles.lanes;
    constexpr Index kLineFloats = 64 / sizeof(float);
    const Index calls = std::max<Index>(Index{tile.runs} * tile.rows * tile.columns, 1);
    tile.fetch = next + floats * before / pixels;
    tile.fetch_lines =
        static_cast<int>(ceil_div(floats * step.pixels, pixels * calls * kLineFloats));
  }

  /// Loops that continue each other become one; runs only where `runs_too`.
  void join_loops(Tile& tile, bool runs_too) const {
    if (cut_.columns_innermost) {
      tile.columns_are_channels = true;
      tile.channels = tile.last_channels = tile.columns;
      tile.columns = 1;
      tile.channel_step = tile.column_step;
    } else if (tile.inside != nullptr) {
      return;
    } else if (tile.rows == 1 && tile.columns == 1 && runs_too &&
               tile.run_step == tile.channels * tile.channel_step &&
               tile.weight_run_step == tile.weight_column_step) {
      tile.last_channels += (tile.runs - 1) * tile.channels;
      tile.channels = tile.last_channels;
      tile.runs = std::min(tile.runs, 1);
    } else if (tile.runs == 1 && tile.last_channels == cut_.run &&
               tile.column_step == tile.last_channels * tile.channel_step) {
      tile.last_channels *= tile.columns;
      tile.columns = std::min(tile.columns, 1);
    }
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
  /// Calls body(place in the view, place in the buffer, values) for a tile's pixels and stretches.
  /// The counts that occur all the time are constants to the body's copy loop.
  template <class Body>
  void for_each_copy(const TensorView& view, int pixels, int first_channel, int channels, int width,
                     const Body& body) const {
    for_each_stretch(first_channel, channels, [&](int c, int count) {
      const Index offset = channel_offset(view, first_channel, c);
      for (int p = 0; p < pixels; ++p) {
        const Index from = offset + p * view.column_stride();
        const Index to = Index{p} * width + c;
        if (count == 1) {
          body(from, to, 1);
        } else if (count == 8) {
          body(from, to, 8);
        } else {
          body(from, to, count);
        }
      }
    });
  }
  void gather(const TensorView& view, const float* from, int pixels, int first_channel,
              int channels, int width, float* buffer) const {
    std::fill_n(buffer, pixels * width, 0.0F);
    for_each_copy(view, pixels, first_channel, channels, width,
                  [&](Index in_view, Index in_buffer, int count) {
                    for (int i = 0; i < count; ++i) buffer[in_buffer + i] = from[in_view + i];
                  });
  }
  void scatter(const TensorView& view, float* to, int pixels, int first_channel, int channels,
               int width, const float* buffer) const {
    for_each_copy(view, pixels, first_channel, channels, width,
                  [&](Index in_view, Index in_buffer, int count) {
                    for (int i = 0; i < count; ++i) to[in_view + i] = buffer[in_buffer + i];
                  });
  }

  /// Applies an activation that is no clamp to what was just written.
  void finish(const TensorView& out, const Stretch& stretch, int row, int first_channel,
              int channels) const {
    for_each_stretch(first_channel, channels, [&](int c, int count) {
      const int first = first_channel + c;
      // Filling stays zero.
      const int used = std::clamp(shape_.oc - first, 0, count);
      float* values = out.as<float>() + out.offset(stretch.n, first, row, 0);
      if (out.column_stride() == used) {
        activate_(activation_, values + Index{stretch.columns.first} * used,
                  Index{stretch.columns.last - stretch.columns.first} * used);
        return;
      }
      for (int w = stretch.columns.first; w < stretch.columns.last && used > 0; ++w) {
        activate_(activation_, values + w * out.column_stride(), used);
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
  std::array<Row, kMaxVectors + 1> row_;  ///< by vectors of a tile
  AlignedFloats weights_;
  AlignedFloats bias_;
};

class DirectPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

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
    return DirectKernel::packed_bytes(workload.shape, Cut(workload.shape, info(), context));
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
  info.revision = "4";
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = tiles.vectors * tiles.lanes;
  info.traits.tile_pixels = tiles.pixels[tiles.vectors];
  info.traits.strided_views = true;
  return std::make_unique<DirectPrimitive>(std::move(info));
}

}  // namespace convopt::direct
