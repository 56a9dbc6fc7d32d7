// Convolution in nhwc as products of tiles: pixels that lie at equal distances by the weights of
// thirty-two output channels, step by step through taps and input channels.
//
// An image that needs no padding, of whole steps of channels, is read where it lies. All others are
// copied with zero points round them while running, a band of rows at a time; pixels that a stride
// skips go to images of their own, so that a tap is only an offset. A tile may go on in the next
// row, where its pixels in the padding between are computed and left out.
//
// Pixels of u8 or s8 that do not fill lanes, as those of first layers, are copied as they are. The
// bytes below a row of the kernel continue each other, so its taps are one step; weights of zero
// meet what the last lane has of the next pixel.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "primitives/dot/product.h"
#include "primitives/own.h"
#include "primitives/workspace.h"

namespace convopt::dot {
namespace {

using Index = std::int64_t;

/// How the pixels of an image's result are cut into tiles of equally many: `row_groups` ranges of
/// rows, each `tiles` tiles long, that overlap where they would end behind the last pixel.
struct Tiling {
  int group_rows = 1, row_groups = 1, tiles = 1, rows = 1;
  double cost = 0;  ///< cycles of 64 bytes of the pixels by 16 output channels

  int count() const { return row_groups * tiles; }

  /// `pitch`: positions from one row to the next; 0 if a tile must not leave its row.
  static Tiling best(const Unit& unit, int most_rows, int result_rows, int columns, int pitch) {
    constexpr int kMostRows = 32, kMoreTiles = 3;
    Tiling best;
    const auto consider = [&](int group) {
      const Index length = Index{group - 1} * pitch + columns;
      const auto least = static_cast<int>(ceil_div(length, most_rows));
      for (int count = least; count < least + kMoreTiles; ++count) {
        Tiling one{group, static_cast<int>(ceil_div(result_rows, group)), count,
                   static_cast<int>(ceil_div(length, count))};
        one.cost = one.count() * (unit.tile_cycles + unit.row_cycles * one.rows);
        if (best.cost == 0 || one.cost < best.cost) best = one;
      }
    };
    const int most = pitch > 0 ? std::min(result_rows, kMostRows) : 1;
    for (int group = 1; group <= most; ++group) consider(group);
    if (pitch > 0) consider(result_rows);
    return best;
  }
};

/// A row or column of taps in the images that a stride makes of one.
struct Phases {
  std::vector<int> used;  ///< first row or column of the padded image
  int reach = 0;          ///< largest offset of a tap

  Phases(int taps, int stride, int dilation) {
    for (int tap = 0; tap < taps; ++tap) {
      const int phase = tap * dilation % stride;
      if (std::ranges::find(used, phase) == used.end()) used.push_back(phase);
      reach = std::max(reach, tap * dilation / stride);
    }
  }
  int number(int phase) const {
    return static_cast<int>(std::ranges::find(used, phase) - used.begin());
  }
};

ConvShape joined_images(ConvShape shape) {
  const bool padded = shape.pad_top + shape.pad_bottom + shape.pad_left + shape.pad_right > 0;
  if (shape.kh * shape.kw == 1 && shape.stride_h * shape.stride_w == 1 && !padded) {
    shape.ih *= shape.n;
    shape.n = 1;
  }
  return shape;
}

struct Plan {
  ConvShape shape;       ///< images that continue each other are one
  bool joins_taps;       ///< taps of a kernel's row are one step
  int split_h, split_w;  ///< strides that make images of phases
  Phases row_phases, column_phases;
  Index step_bytes;
  Index channel_bytes;    ///< of a pixel of the image that is read
  Index numbers_of_step;  ///< of a pixel, or of those below a kernel's row
  bool copies;
  int copy_rows, copy_columns;  ///< of an image of a phase
  Tiling tiling;
  int panels, steps;
  int pixel_parts = 1, channel_parts = 1;
  int tiles_together = 2;        ///< that a panel of weights serves before the next one
  bool fetches_weights = false;  ///< into the second cache, while others are used
  int band_tiles;                ///< for which the image is copied at a time

  Plan(const Workload& workload, const Context& context, const Unit& unit)
      : shape(joined_images(workload.shape)),
        joins_taps(unit.step_bytes == 0 && is_quantised(workload.input_type) &&
                   shape.dilation_w == 1 && bytes_of_pixel(workload) % kLaneBytes != 0),
        split_h(joins_taps ? 1 : shape.stride_h),
        split_w(joins_taps ? 1 : shape.stride_w),
        row_phases(shape.kh, split_h, shape.dilation_h),
        column_phases(shape.kw, split_w, shape.dilation_w),
        step_bytes(
            unit.step_bytes > 0
                ? unit.step_bytes
                : round_up((joins_taps ? shape.kw : 1) * bytes_of_pixel(workload), kLaneBytes)),
        channel_bytes(joins_taps ? bytes_of_pixel(workload)
                                 : round_up(bytes_of_pixel(workload), step_bytes)),
        numbers_of_step(step_bytes / static_cast<Index>(element_bytes(workload.input_type))),
        copy_rows((shape.oh() - 1) * row_step() + 1 + row_phases.reach),
        copy_columns(static_cast<int>(
            round_up((shape.ow() - 1) * column_step() + 1 + column_phases.reach, column_step()))),
        panels(static_cast<int>(ceil_div(shape.oc, kPanelChannels))),
        steps(joins_taps ? shape.kh
                         : static_cast<int>(shape.kh * shape.kw * channel_bytes / step_bytes)) {
    choose_image(workload, unit);
    split(context.threads);
    const Caches& caches = context.caches;
    const Index weight_bytes = 2 * ceil_div(ceil_div(panels, 2), channel_parts) * panel_bytes();
    const Index image_bytes = copies ? copy_bytes() : Index{shape.ih} * shape.iw * channel_bytes;
    const auto tiles_in = [&](Index bytes) {
      return static_cast<int>(
          std::clamp<Index>(bytes * tiling.count() / image_bytes / 2 * 2, 2, tiling.count() + 1));
    };
    // Weights that leave the second cache pass by as rarely as the image allows.
    if (weight_bytes > caches.l2 / 2) tiles_together = tiles_in(caches.l2 / 2);
    // Those of a network are not in the second cache when its layer begins.
    fetches_weights = weight_bytes > caches.l1d;
    band_tiles = std::max(tiles_together, tiles_in(caches.l2 / 8));
  }

  static Index bytes_of_pixel(const Workload& workload) {
    return workload.shape.ic * static_cast<Index>(element_bytes(workload.input_type));
  }

  /// From one row or column of the result to the next in those of an image of a phase.
  int row_step() const { return shape.stride_h / split_h; }
  int column_step() const { return shape.stride_w / split_w; }

  /// Of all images of phases, with what the last lane reads behind them.
  Index copy_bytes() const {
    constexpr Index kCacheLine = 64;
    return round_up(static_cast<Index>(row_phases.used.size() * column_phases.used.size()) *
                            copy_rows * copy_columns * channel_bytes +
                        kLaneBytes,
                    kCacheLine);
  }
  Index panel_bytes() const { return steps * step_bytes * kPanelChannels; }
  Index steps_bytes() const {
    constexpr Index kCacheLine = 64;
    return round_up(steps * static_cast<Index>(sizeof(std::int64_t)), kCacheLine);
  }
  std::size_t workspace_bytes() const {
    return static_cast<std::size_t>(steps_bytes() +
                                    (copies ? pixel_parts * channel_parts * copy_bytes() : 0));
  }
  std::size_t weight_bytes() const { return static_cast<std::size_t>(panels * panel_bytes()); }

  /// From one row of the result to the next in pixels of the image that is read.
  int row_pixels() const { return copies ? row_step() * copy_columns : shape.stride_h * shape.iw; }
  int column_pixels() const { return copies ? column_step() : shape.stride_w; }
  int pitch() const {
    return row_pixels() % column_pixels() == 0 ? row_pixels() / column_pixels() : 0;
  }

  /// Which of an output channel's weights [ic][taps] is multiplied by the n-th number of a step;
  /// negative for none.
  Index weight_of(int step, int number) const {
    const int taps = shape.kh * shape.kw;
    if (joins_taps) {
      const int column = number / shape.ic;
      return column < shape.kw ? Index{number % shape.ic} * taps + step * shape.kw + column : -1;
    }
    const int chunks = steps / taps;
    const Index channel = step % chunks * numbers_of_step + number;
    return channel < shape.ic ? channel * taps + step / chunks : -1;
  }

 private:
  void choose_image(const Workload& workload, const Unit& unit) {
    const bool padded = shape.pad_top + shape.pad_bottom + shape.pad_left + shape.pad_right > 0;
    copies = true;
    const int rows = panels > 1 ? unit.tile_rows : unit.panel_rows;
    tiling = Tiling::best(unit, rows, shape.oh(), shape.ow(), pitch());
    if (padded || joins_taps || bytes_of_pixel(workload) != channel_bytes) return;
    const double copied = tiling.cost;
    copies = false;
    const Tiling as_it_lies = Tiling::best(unit, rows, shape.oh(), shape.ow(), pitch());
    constexpr double kCopiedBytes = 16;  // in a cycle
    const double copying = double(copy_bytes()) / kCopiedBytes;
    constexpr double kCostBytes = 64;
    const double products = 2.0 * panels * steps * static_cast<double>(step_bytes) / kCostBytes;
    // What is not copied is shifted by an instruction for each vector of products by a block.
    const bool shifts = unit.shifts_s8 && workload.input_type == DataType::s8;
    const double shifting = shifts ? 1.0 / (2 * std::min(panels, 2)) : 0;
    copies = copied * products + copying < as_it_lies.cost * products * (1 + shifting);
    if (!copies) tiling = as_it_lies;
  }

  /// Among threads, so that the one with the most to do has as little as possible.
  void split(int threads) {
    const Index blocks = ceil_div(tiling.count(), 2);
    const Index pairs = ceil_div(panels, 2);
    Index least = blocks * pairs;
    for (int channels = 1; channels <= std::min<Index>(threads, pairs); ++channels) {
      const auto pixels = static_cast<int>(std::min<Index>(threads / channels, blocks));
      const Index most = ceil_div(blocks, pixels) * ceil_div(pairs, channels);
      if (most >= least) continue;
      least = most;
      pixel_parts = pixels;
      channel_parts = channels;
    }
  }
};

/// Weights [oc][ic][taps] in the order of Task.
template <class Number>
void pack(const Plan& plan, bool halves_together, const Number* weights, Number* packed) {
  constexpr int kTogether = kLaneBytes / sizeof(Number);
  const ConvShape& s = plan.shape;
  const Index reduction = Index{s.ic} * s.kh * s.kw;
  const int lanes = static_cast<int>(plan.step_bytes / kLaneBytes);
  const auto pack_vector = [&](int first_oc, int step, int lane) {
    for (int oc = first_oc; oc < first_oc + kLanes; ++oc) {
      for (int i = 0; i < kTogether; ++i) {
        const Index weight = plan.weight_of(step, lane * kTogether + i);
        *packed++ = oc < s.oc && weight >= 0 ? weights[oc * reduction + weight] : Number{0};
      }
    }
  };
  for (int panel = 0; panel < plan.panels; ++panel) {
    for (int step = 0; step < plan.steps; ++step) {
      for (int i = 0; i < 2 * lanes; ++i) {
        const int half = halves_together ? i % 2 : i / lanes;
        const int lane = halves_together ? i / 2 : i % lanes;
        pack_vector(panel * kPanelChannels + half * kLanes, step, lane);
      }
    }
  }
}

class DotKernel final : public Kernel {
 public:
  DotKernel(const Workload& workload, const Parameters& parameters, const Context& context,
            const Unit& unit)
      : plan_(workload, context, unit),
        threads_(context.threads),
        element_bytes_(static_cast<Index>(element_bytes(workload.input_type))),
        result_bytes_(static_cast<Index>(element_bytes(workload.output_type))),
        shifts_copy_(plan_.copies && unit.shifts_s8 && workload.input_type == DataType::s8),
        zero_point_(static_cast<unsigned char>(parameters.scales.input_zero)),
        residual_(workload.epilogue.residual),
        residual_bytes_(static_cast<Index>(element_bytes(workload.residual_type()))),
        activation_(activation_before_storing(workload)),
        multiply_(
            unit.multiply(shifts_copy_ ? DataType::u8 : workload.input_type, workload.output_type)),
        weights_(plan_.weight_bytes() / sizeof(float)),
        scales_(factors(plan_, workload)),
        bias_(padded_channels(plan_)),
        starts_(start_count(plan_, workload, unit)) {
    pack_weights(workload, parameters, unit);
    const double most = 255.0 * 128 * static_cast<double>(plan_.steps * plan_.step_bytes);
    finish_ = make_finish(workload, parameters.scales, activation_, most,
                          {scales_.data(), scales_.size()}, {bias_.data(), bias_.size()});
    list_tiles();
    list_steps();
  }

  void run(const RunArgs& args) const noexcept override;

  std::size_t workspace_bytes() const override { return plan_.workspace_bytes(); }
  std::size_t packed_bytes() const override {
    return weights_.bytes() + scales_.bytes() + bias_.bytes() + starts_.bytes();
  }
  static std::size_t packed_bytes(const Plan& plan, const Workload& workload, const Unit& unit) {
    return plan.weight_bytes() +
           (factors(plan, workload) + padded_channels(plan) + start_count(plan, workload, unit)) *
               sizeof(float);
  }

 private:
  static constexpr int kShift = 128;

  static std::size_t padded_channels(const Plan& plan) {
    return static_cast<std::size_t>(round_up(plan.panels, 2)) * kPanelChannels;
  }
  /// Of sums of whole numbers.
  static std::size_t factors(const Plan& plan, const Workload& workload) {
    return is_quantised(workload.input_type) ? padded_channels(plan) : 0;
  }

  static std::size_t start_count(const Plan& plan, const Workload& workload, const Unit& unit) {
    return unit.shifts_s8 && workload.input_type == DataType::s8 ? padded_channels(plan) : 0;
  }

  void pack_weights(const Workload& workload, const Parameters& parameters, const Unit& unit) {
    const std::span<const float> weights(parameters.weights.as<float>(),
                                         static_cast<std::size_t>(parameters.weights.count));
    std::fill_n(bias_.data(), bias_.size(), 0.0F);
    if (const auto* const bias = parameters.bias.as<float>()) {
      std::copy_n(bias, plan_.shape.oc, bias_.data());
    }
    if (is_quantised(workload.input_type)) {
      const QuantisedWeights quantised = quantise_weights(weights, plan_.shape.oc);
      pack(plan_, unit.halves_together, quantised.numbers.data(),
           reinterpret_cast<std::int8_t*>(weights_.data()));
      std::fill_n(scales_.data(), scales_.size(), 0.0F);
      std::ranges::copy(quantised.scales, scales_.data());
      set_starts(quantised);
      // The image's padding holds its zero point.
      const std::vector<float> shifts = zero_point_shifts(quantised, parameters.scales, true,
                                                          !last_write(activation_).needs_pass);
      for (std::size_t i = 0; i < shifts.size(); ++i) bias_.data()[i] += shifts[i];
    } else {
      std::vector<std::uint16_t> rounded(weights.size());
      from_floats(weights.data(), parameters.weights.count, DataType::bf16, rounded.data());
      pack(plan_, unit.halves_together, rounded.data(),
           reinterpret_cast<std::uint16_t*>(weights_.data()));
    }
  }

  void set_starts(const QuantisedWeights& quantised) {
    if (starts_.size() == 0) return;
    std::memset(starts_.data(), 0, starts_.bytes());
    std::ranges::copy(starts_of_shifted(quantised), starts());
  }
  std::int32_t* starts() { return reinterpret_cast<std::int32_t*>(starts_.data()); }
  const std::int32_t* starts() const {
    return reinterpret_cast<const std::int32_t*>(starts_.data());
  }

  void list_tiles() {
    const ConvShape& s = plan_.shape;
    const Tiling& tiling = plan_.tiling;
    const int pitch = std::max(plan_.pitch(), s.ow());
    const Index length = Index{tiling.group_rows - 1} * pitch + s.ow();
    std::vector<bool> taken(static_cast<std::size_t>(s.oh()) * static_cast<std::size_t>(s.ow()));
    for (int group = 0; group < tiling.row_groups; ++group) {
      const int top = std::min(group * tiling.group_rows, s.oh() - tiling.group_rows);
      for (int tile = 0; tile < tiling.tiles; ++tile) {
        const Index first = std::min(Index{tile} * tiling.rows, length - tiling.rows);
        const auto pixel_at = [&](Index position) {
          return Pixel{static_cast<int>(top + position / pitch),
                       static_cast<int>(position % pitch)};
        };
        const Pixel begin = pixel_at(first), end = pixel_at(first + tiling.rows - 1);
        first_pixels_.push_back(begin.row * plan_.row_pixels() +
                                begin.column * plan_.column_pixels());
        first_rows_.push_back(begin.row);
        last_rows_.push_back(end.row);
        for (int i = 0; i < tiling.rows; ++i) {
          const Pixel pixel = pixel_at(first + i);
          const int number = pixel.row * s.ow() + pixel.column;
          const bool counts = pixel.column < s.ow() && !taken[static_cast<std::size_t>(number)];
          if (counts) taken[static_cast<std::size_t>(number)] = true;
          places_.push_back(counts ? number : -1);
        }
      }
    }
  }

  void list_steps() {
    const ConvShape& s = plan_.shape;
    for (int i = 0; i < s.kh; ++i) {
      for (int j = 0; j < (plan_.joins_taps ? 1 : s.kw); ++j) {
        const int row = i * s.dilation_h, column = j * s.dilation_w;
        const Index phase = plan_.row_phases.number(row % plan_.split_h) *
                                static_cast<Index>(plan_.column_phases.used.size()) +
                            plan_.column_phases.number(column % plan_.split_w);
        taps_.push_back(plan_.copies
                            ? (phase * plan_.copy_rows + row / plan_.split_h) * plan_.copy_columns +
                                  column / plan_.split_w
                            : Index{row} * s.iw + column);
      }
    }
  }

  /// Rows [first, last) of the images of all phases.
  void copy_rows(const TensorView& source, int image, int first, int last, std::byte* to) const;
  void copy_row(const std::byte* from, Index pixel_bytes, int phase, std::byte* to) const;
  void run_part(const RunArgs& args, const std::int64_t* steps, int part) const;

  struct Pixel {
    int row, column;
  };

  Plan plan_;
  int threads_;
  Index element_bytes_, result_bytes_;
  bool shifts_copy_;          ///< numbers of s8 become those of u8 while they are copied
  unsigned char zero_point_;  ///< of the image: what its padding holds
  bool residual_;
  Index residual_bytes_;
  Activation activation_;
  Multiply multiply_;
  AlignedFloats weights_, scales_, bias_;
  AlignedFloats starts_;  ///< whole numbers, see Task
  Finish finish_;
  std::vector<std::int32_t> first_pixels_, places_;  ///< see Task
  std::vector<int> first_rows_, last_rows_;          ///< of the result that a tile has pixels of
  std::vector<Index> taps_;                          ///< distance in pixels from the first one
};

void DotKernel::copy_row(const std::byte* from, Index pixel_bytes, int phase, std::byte* to) const {
  const ConvShape& s = plan_.shape;
  const Index bytes = s.ic * element_bytes_, padded = plan_.channel_bytes;
  const int stride = plan_.split_w;
  // Columns that lie in the image.
  const int left = s.pad_left - phase;
  int begin = std::min(left > 0 ? static_cast<int>(ceil_div(left, stride)) : 0, plan_.copy_columns);
  const int width = s.iw + left;
  const int end = std::clamp(width > 0 ? static_cast<int>(ceil_div(width, stride)) : 0, begin,
                             plan_.copy_columns);
  std::memset(to, zero_point_, static_cast<std::size_t>(begin * padded));
  std::memset(to + end * padded, zero_point_,
              static_cast<std::size_t>((plan_.copy_columns - end) * padded));
  if (begin == end) return;
  from += (Index{begin} * stride - left) * pixel_bytes;
  to += begin * padded;
  if (stride == 1 && bytes == padded && pixel_bytes == bytes) {
    std::memcpy(to, from, static_cast<std::size_t>((end - begin) * bytes));
    return;
  }
  if (padded == kLaneBytes) {
    // What is behind a pixel belongs to the next one, but for the last column.
    const std::uint32_t mask = ~0U >> 8 * (kLaneBytes - bytes);
    for (int column = begin; column + 1 < end; ++column) {
      std::uint32_t pixel;
      std::memcpy(&pixel, from, sizeof pixel);
      pixel &= mask;
      std::memcpy(to, &pixel, sizeof pixel);
      from += stride * pixel_bytes;
      to += padded;
    }
    begin = end - 1;
  }
  // Calls would take as long as what they copy.
  constexpr Index kBlock = 16;
  const Index whole = bytes / kBlock * kBlock;
  for (int column = begin; column < end; ++column) {
    for (Index i = 0; i < whole; i += kBlock) std::memcpy(to + i, from + i, kBlock);
    Index i = whole;
    for (; i + kLaneBytes <= bytes; i += kLaneBytes) std::memcpy(to + i, from + i, kLaneBytes);
    for (; i < padded; ++i) to[i] = i < bytes ? from[i] : std::byte{0};
    from += stride * pixel_bytes;
    to += padded;
  }
}

void DotKernel::copy_rows(const TensorView& source, int image, int first, int last,
                          std::byte* to) const {
  const ConvShape& s = plan_.shape;
  const Index row_bytes = plan_.copy_columns * plan_.channel_bytes;
  const auto* const from =
      source.as<const std::byte>() + image * source.batch_stride() * element_bytes_;
  Index copy = 0;
  for (const int row_phase : plan_.row_phases.used) {
    for (const int column_phase : plan_.column_phases.used) {
      for (int row = first; row < last; ++row) {
        std::byte* const place = to + (copy * plan_.copy_rows + row) * row_bytes;
        const int source_row = row * plan_.split_h + row_phase - s.pad_top;
        if (source_row < 0 || source_row >= s.ih) {
          std::memset(place, zero_point_, static_cast<std::size_t>(row_bytes));
        } else {
          copy_row(from + source_row * source.row_stride() * element_bytes_,
                   source.column_stride() * element_bytes_, column_phase, place);
        }
        if (shifts_copy_) {
          for (Index i = 0; i < row_bytes; ++i) place[i] ^= std::byte{kShift};
        }
      }
      ++copy;
    }
  }
}

void DotKernel::run_part(const RunArgs& args, const std::int64_t* steps, int part) const {
  const ConvShape& s = plan_.shape;
  const TensorView &source = args.sources[0], &result = args.destination;
  const auto share = [](Index count, int index, int parts) {
    return static_cast<int>(part_begin(count, index, parts));
  };
  const int tiles = plan_.tiling.count();
  const int pixel_part = part / plan_.channel_parts, channel_part = part % plan_.channel_parts;
  const Index blocks = ceil_div(tiles, 2);
  const int first = 2 * share(blocks, pixel_part, plan_.pixel_parts);
  const int last = std::min(tiles, 2 * share(blocks, pixel_part + 1, plan_.pixel_parts));
  const Index pairs = ceil_div(plan_.panels, 2);
  const int panel = 2 * share(pairs, channel_part, plan_.channel_parts);
  const int panel_end = 2 * share(pairs, channel_part + 1, plan_.channel_parts);
  const int channel = panel * kPanelChannels;

  Task task;
  task.rows = plan_.tiling.rows;
  task.steps = steps;
  task.step_count = plan_.steps;
  task.weights = reinterpret_cast<const std::byte*>(weights_.data()) + panel * plan_.panel_bytes();
  task.step_bytes = static_cast<int>(plan_.step_bytes);
  task.channels = std::min(panel_end * kPanelChannels, s.oc) - channel;
  task.tiles_together = plan_.tiles_together;
  task.fetches_weights = plan_.fetches_weights;
  task.result_pixel = result.column_stride();
  task.finish = finish_;
  task.finish.bias = bias_.data() + channel;
  if (scales_.size() > 0) task.finish.scales = scales_.data() + channel;
  if (starts_.size() > 0) task.starts = starts() + channel;
  std::byte* const copy =
      static_cast<std::byte*>(args.workspace) + plan_.steps_bytes() + part * plan_.copy_bytes();
  task.pixel_bytes = plan_.copies ? plan_.channel_bytes : source.column_stride() * element_bytes_;
  task.row_bytes = plan_.column_pixels() * task.pixel_bytes;

  for (int image = 0; image < s.n; ++image) {
    task.image = plan_.copies ? copy
                              : source.as<const std::byte>() +
                                    image * source.batch_stride() * element_bytes_;
    task.result =
        result.as<std::byte>() + (image * result.batch_stride() + channel) * result_bytes_;
    if (residual_) {
      task.residual = args.residual.as<const std::byte>() +
                      (image * args.residual.batch_stride() + channel) * residual_bytes_;
      task.residual_pixel = args.residual.column_stride();
    }
    int copied = first < last ? first_rows_[static_cast<std::size_t>(first)] * plan_.row_step() : 0;
    for (int tile = first; tile < last; tile += plan_.band_tiles) {
      const int end = std::min(tile + plan_.band_tiles, last);
      if (plan_.copies) {
        const int needed = last_rows_[static_cast<std::size_t>(end - 1)] * plan_.row_step() +
                           plan_.row_phases.reach + 1;
        copy_rows(source, image, copied, needed, copy);
        copied = std::max(copied, needed);
      }
      task.tiles = end - tile;
      task.first_pixels = first_pixels_.data() + tile;
      task.places = places_.data() + Index{tile} * task.rows;
      multiply_(task);
    }
  }
}

void DotKernel::run(const RunArgs& args) const noexcept {
  const Index pixel_bytes =
      plan_.copies ? plan_.channel_bytes : args.sources[0].column_stride() * element_bytes_;
  auto* const steps = static_cast<std::int64_t*>(args.workspace);
  const int chunks = plan_.steps / static_cast<int>(taps_.size());
  for (int step = 0; step < plan_.steps; ++step) {
    steps[step] = taps_[static_cast<std::size_t>(step / chunks)] * pixel_bytes +
                  step % chunks * plan_.step_bytes;
  }
  parallel_for(threads_, plan_.pixel_parts * plan_.channel_parts,
               [&](Index part) { run_part(args, steps, static_cast<int>(part)); });
}

class DotPrimitive final : public Primitive {
 public:
  DotPrimitive(PrimitiveInfo info, const Unit& unit) : Primitive(std::move(info)), unit_(unit) {}

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& s = workload.shape;
    if (s.groups > 1) return Applicability::no("groups have too few channels for a tile");
    // 255 * 128 times as many stay within 32 bits.
    constexpr Index kMostProducts = 65000;
    if (is_quantised(workload.input_type) && Index{s.ic} * s.kh * s.kw > kMostProducts) {
      return Applicability::no("sums could leave 32 bits");
    }
    return workspace_fits(workspace_bytes(workload, context), context);
  }

  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return Plan(workload, context, unit_).workspace_bytes();
  }

  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return DotKernel::packed_bytes(Plan(workload, context, unit_), workload, unit_);
  }

  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<DotKernel>(workload, parameters, context, unit_));
  }

 private:
  const Unit& unit_;
};

}  // namespace

std::unique_ptr<Primitive> make_convolution(PrimitiveInfo info, const Unit& unit) {
  info.traits.algorithm = Algorithm::direct;
  info.traits.tile_oc = kPanelChannels;
  info.traits.tile_pixels = unit.tile_rows;
  info.traits.strided_views = true;
  info.traits.zero_points = true;
  return std::make_unique<DotPrimitive>(std::move(info), unit);
}

}  // namespace convopt::dot
