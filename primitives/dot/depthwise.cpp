// Depthwise convolution of u8 and s8 in nhwc by the dot products of AVX512_VNNI. A lane is a
// channel, and its four bytes are pixels that are neighbours in a row, so that one instruction
// multiplies by four taps instead of one.
//
// Bytes of neighbouring pixels are brought together by two steps of unpacking: pairs of pixels, and
// groups of two pairs. A group begins at every second pixel of the image and serves one position:
// two outputs at stride 1, the second of which has weights that are shifted by a byte, or one at
// stride 2. Kernels wider than a group take the upper pairs of those that follow.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "primitives/dot/product.h"
#include "primitives/own.h"

#if defined(__x86_64__)
#include "primitives/dot/finish-inl.h"
#endif

namespace convopt::dot {

#if defined(__x86_64__)
namespace {

/// Rows of a kernel, and its columns with those that dilation skips.
constexpr int kMostTaps = 7;
constexpr int kMostGroups = 3;
constexpr int kTileOutputs = 4;
/// Vectors of sums for an output. Unpacking works within lanes of 128 bits: lane l of vector v
/// holds channels 16 * l + 4 * v and the next three.
constexpr int kParts = 4;
constexpr int kLaneChannels = 16, kVectorChannels = 64;

/// A row of the image below one of the kernel.
struct WindowRow {
  const std::byte* pixels = nullptr;  ///< column 0
  std::int64_t step = 0;              ///< from one column to the next; 0 where all of it is padding
  const std::byte* weights = nullptr;
};

/// A row of results for the channels of a block.
struct Window {
  std::array<WindowRow, kMostTaps> rows;
  int row_count = 0;
  const std::byte* padding = nullptr;  ///< a pixel of zero points
  int columns = 0, left_padding = 0;   ///< of the image
  int outputs = 0;
  // In the order of sums.
  const std::int32_t* starts = nullptr;
  const float *scales = nullptr, *biases = nullptr;
  const Finish* finish = nullptr;
  DataType result_type = DataType::u8;
  std::byte* result = nullptr;  ///< of bytes; null where `finish_tile` makes results
  std::int64_t result_pixel = 0;
  std::uint64_t written = 0;  ///< mask of the block's channels

  // What makes other results, of sums in the order of channels.
  void (*finish_tile)(const Task& task, Block& block) = nullptr;
  const Task* task = nullptr;
  std::int32_t place = 0;  ///< of the row's first pixel
  int channel = 0;         ///< first of the block that is written
  int skipped = 0;         ///< channels of the block before it
};

/// Goes along a row of the image. Blocks of half or a quarter as many channels as a vector has take
/// those of two or four places in a row, a tile of outputs apart.
template <int kPlaces, int kStride, bool kInside>
struct Cursor {
  static constexpr int kDistance = kTileOutputs * kStride;
  const Window* window;
  const WindowRow* row;
  int column;
  const std::byte* inside;  ///< where nothing of the tile is padding

  CONVOPT_DOT_INLINE const std::byte* pixel(int distance) const {
    if constexpr (kInside) return inside + distance * row->step;
    const int at = column + distance;
    const bool exists = static_cast<unsigned>(at) < static_cast<unsigned>(window->columns);
    return exists ? row->pixels + at * row->step : window->padding;
  }

  CONVOPT_DOT_INLINE __m512i load() const {
    if constexpr (kPlaces == 1) return _mm512_loadu_si512(pixel(0));
    const auto* const first = pixel(0);
    const auto* const second = pixel(kDistance);
    if constexpr (kPlaces == 2) {
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first));
      const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second));
      return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    } else {
      const auto* const third = pixel(2 * kDistance);
      const auto* const fourth = pixel(3 * kDistance);
      __m512i x = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first)));
      x = _mm512_inserti32x4(x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(second)), 1);
      x = _mm512_inserti32x4(x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(third)), 2);
      return _mm512_inserti32x4(x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(fourth)), 3);
    }
  }

  CONVOPT_DOT_INLINE void advance() {
    ++column;
    if constexpr (kInside) inside += row->step;
  }
};

/// Two pixels that are neighbours, byte by byte.
struct Pair {
  __m512i low, high;
};

template <DataType kSource, class CursorType>
CONVOPT_DOT_INLINE Pair load_pair(CursorType& cursor) {
  __m512i a = cursor.load();
  cursor.advance();
  __m512i b = cursor.load();
  cursor.advance();
  if constexpr (kSource == DataType::s8) {
    const __m512i shift = _mm512_set1_epi8(-128);
    a = _mm512_xor_si512(a, shift);
    b = _mm512_xor_si512(b, shift);
  }
  return {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
}

/// Stores the channels of the places whose outputs, `output` and those tiles behind it, exist.
template <int kPlaces>
CONVOPT_DOT_INLINE void store_places(const Window& window, int output, __m512i bytes) {
  std::byte* to = window.result + output * window.result_pixel;
  if constexpr (kPlaces == 1) {
    _mm512_mask_storeu_epi8(to, window.written, bytes);
    return;
  }
  const std::int64_t tile = kTileOutputs * window.result_pixel;
  if constexpr (kPlaces == 2) {
    const auto mask = static_cast<__mmask32>(window.written);
    _mm256_mask_storeu_epi8(to, mask, _mm512_castsi512_si256(bytes));
    if (output + kTileOutputs >= window.outputs) return;
    _mm256_mask_storeu_epi8(to + tile, mask, _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    const auto mask = static_cast<__mmask16>(window.written);
    _mm_mask_storeu_epi8(to, mask, _mm512_castsi512_si128(bytes));
    if (output + kTileOutputs >= window.outputs) return;
    _mm_mask_storeu_epi8(to + tile, mask, _mm512_extracti32x4_epi32(bytes, 1));
    if (output + 2 * kTileOutputs >= window.outputs) return;
    _mm_mask_storeu_epi8(to + 2 * tile, mask, _mm512_extracti32x4_epi32(bytes, 2));
    if (output + 3 * kTileOutputs >= window.outputs) return;
    _mm_mask_storeu_epi8(to + 3 * tile, mask, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

template <int kPlaces, DataType kResult, int kOutputs>
CONVOPT_DOT_INLINE void store_tile(const Window& window, int first,
                                   const __m512i (&sums)[kOutputs][kParts]) {
  __m512 scales[kParts], biases[kParts];
#pragma GCC unroll 4
  for (int part = 0; part < kParts; ++part) {
    scales[part] = _mm512_load_ps(window.scales + part * kLanes);
    biases[part] = _mm512_load_ps(window.biases + part * kLanes);
  }
  const __m512 low = _mm512_set1_ps(window.finish->low), high = _mm512_set1_ps(window.finish->high);
  const bool clamps_low = window.finish->clamps_low, clamps_high = window.finish->clamps_high;
#pragma GCC unroll 4
  for (int output = 0; output < kOutputs; ++output) {
    if (first + output >= window.outputs) return;
    __m512i numbers[kParts];
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      __m512 x =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[output][part]), scales[part], biases[part]);
      if (clamps_low) x = _mm512_max_ps(low, x);
      if (clamps_high) x = _mm512_min_ps(high, x);
      numbers[part] = _mm512_cvtps_epi32(x);
    }
    const __m512i front = _mm512_packs_epi32(numbers[0], numbers[1]);
    const __m512i back = _mm512_packs_epi32(numbers[2], numbers[3]);
    store_places<kPlaces>(window, first + output,
                          kResult == DataType::u8 ? _mm512_packus_epi16(front, back)
                                                  : _mm512_packs_epi16(front, back));
  }
}

/// Results that are more than bytes of clamped sums.
template <int kPlaces, int kOutputs>
CONVOPT_DOT_INLINE void finish_others(const Window& window, int first,
                                      const __m512i (&sums)[kOutputs][kParts]) {
  // What lies before the channels that are written goes before those of the output, too, where the
  // output before has none.
  alignas(64) float room[(kPlaces * kOutputs + 1) * kBlockChannels];
  float* const block_sums = room + kBlockChannels;
  std::int32_t places[kPlaces * kOutputs];
  for (int place = 0; place < kPlaces; ++place) {
    for (int output = 0; output < kOutputs; ++output) {
      const int number = place * kOutputs + output;
      float* const to = block_sums + number * kBlockChannels - window.skipped;
      for (int part = 0; part < kParts; ++part) {
        alignas(64) float lanes[kLanes];
        _mm512_store_si512(lanes, sums[output][part]);
        for (int lane = 0; lane < kParts / kPlaces; ++lane) {
          const float* const from = lanes + (place * (kParts / kPlaces) + lane) * 4;
          std::copy_n(from, 4, to + kLaneChannels * lane + 4 * part);
        }
      }
      const int column = first + place * kTileOutputs + output;
      places[number] = column < window.outputs ? window.place + column : -1;
    }
  }
  Block block{block_sums, places, window.channel, 0, kPlaces * kOutputs};
  window.finish_tile(*window.task, block);
}

/// Outputs from `first` on: so many positions with one output or two, at each of the places, of
/// kernels that take so many groups.
template <int kPlaces, DataType kSource, int kStride, int kGroups, int kPositions, bool kInside>
CONVOPT_DOT_INLINE void compute_tile(const Window& window, int first) {
  constexpr int kOfPosition = kStride == 1 ? 2 : 1;
  constexpr int kOutputs = kOfPosition * kPositions;
  __m512i sums[kOutputs][kParts];
#pragma GCC unroll 4
  for (int part = 0; part < kParts; ++part) {
    const __m512i start = _mm512_load_si512(window.starts + part * kLanes);
#pragma GCC unroll 4
    for (int output = 0; output < kOutputs; ++output) sums[output][part] = start;
  }
  const int column = first * kStride - window.left_padding;
  for (int i = 0; i < window.row_count; ++i) {
    const WindowRow& row = window.rows[static_cast<std::size_t>(i)];
    Cursor<kPlaces, kStride, kInside> cursor{&window, &row, column,
                                             kInside ? row.pixels + column * row.step : nullptr};
    Pair pair = load_pair<kSource>(cursor);
#pragma GCC unroll 8
    for (int at = 0; at < kPositions + kGroups - 1; ++at) {
      const Pair next = load_pair<kSource>(cursor);
      const __m512i group[kParts] = {
          _mm512_unpacklo_epi16(pair.low, next.low), _mm512_unpackhi_epi16(pair.low, next.low),
          _mm512_unpacklo_epi16(pair.high, next.high), _mm512_unpackhi_epi16(pair.high, next.high)};
#pragma GCC unroll 4
      for (int position = 0; position < kPositions; ++position) {
        const int number = at - position;
        if (number < 0 || number >= kGroups) continue;
#pragma GCC unroll 2
        for (int shift = 0; shift < kOfPosition; ++shift) {
          const std::byte* const weights =
              row.weights + (number * kOfPosition + shift) * kParts * kVectorChannels;
          auto& output = sums[position * kOfPosition + shift];
#pragma GCC unroll 4
          for (int part = 0; part < kParts; ++part) {
            output[part] = _mm512_dpbusd_epi32(output[part], group[part],
                                               _mm512_load_si512(weights + part * kVectorChannels));
          }
        }
      }
      pair = next;
    }
  }
  if (window.result == nullptr) return finish_others<kPlaces, kOutputs>(window, first, sums);
  window.result_type == DataType::u8
      ? store_tile<kPlaces, DataType::u8, kOutputs>(window, first, sums)
      : store_tile<kPlaces, DataType::s8, kOutputs>(window, first, sums);
}

template <int kPlaces, DataType kSource, int kStride, int kGroups>
CONVOPT_DOT void compute_row(const Window& window) {
  constexpr int kPositions = kStride == 1 ? kTileOutputs / 2 : kTileOutputs;
  constexpr int kTogether = kPlaces * kTileOutputs;
  // Columns of the image that a tile reads.
  constexpr int kSpan = (kPlaces - 1) * kTileOutputs * kStride + 2 * (kPositions + kGroups);
  for (int first = 0; first < window.outputs; first += kTogether) {
    const int column = first * kStride - window.left_padding;
    if (column >= 0 && column + kSpan <= window.columns) {
      compute_tile<kPlaces, kSource, kStride, kGroups, kPositions, true>(window, first);
    } else if (kPlaces == 1 && window.outputs - first <= kTileOutputs / 2) {
      compute_tile<1, kSource, kStride, kGroups, kPositions / 2, false>(window, first);
    } else {
      compute_tile<kPlaces, kSource, kStride, kGroups, kPositions, false>(window, first);
    }
  }
}

using ComputeRow = void (*)(const Window& window);

template <int kPlaces, DataType kSource, int kStride>
ComputeRow row_function(int groups) {
  static constexpr ComputeRow kByGroups[kMostGroups] = {compute_row<kPlaces, kSource, kStride, 1>,
                                                        compute_row<kPlaces, kSource, kStride, 2>,
                                                        compute_row<kPlaces, kSource, kStride, 3>};
  return kByGroups[groups - 1];
}

template <int kPlaces>
ComputeRow row_function(DataType source, int stride, int groups) {
  if (source == DataType::u8) {
    return stride == 1 ? row_function<kPlaces, DataType::u8, 1>(groups)
                       : row_function<kPlaces, DataType::u8, 2>(groups);
  }
  return stride == 1 ? row_function<kPlaces, DataType::s8, 1>(groups)
                     : row_function<kPlaces, DataType::s8, 2>(groups);
}

template <DataType kResult>
CONVOPT_DOT void finish_tile(const Task& task, Block& block) {
  finish_some<DataType::u8, kResult>(task, block, block.rows);
}

/// Channels that are computed together: 64, 32 or 16. The last ones begin early enough to be so
/// many, and leave out what is written already.
struct ChannelBlock {
  int first, channels;
  int skipped;  ///< of its channels
};

std::vector<ChannelBlock> channel_blocks(int channels) {
  std::vector<ChannelBlock> blocks;
  for (int written = 0; written < channels;) {
    const int left = channels - written;
    int size = kVectorChannels;
    while (size > channels || (size > kLaneChannels && left <= size / 2)) size /= 2;
    const int first = std::min(written, channels - size);
    blocks.push_back({first, size, written - first});
    written = first + size;
  }
  return blocks;
}

/// Outputs that share a group of pixels.
int outputs_of_position(const ConvShape& shape) { return shape.stride_w == 1 ? 2 : 1; }

int group_count(const ConvShape& shape) {
  const int columns = outputs_of_position(shape) - 1 + shape.extent_w();
  return std::max<int>(1, static_cast<int>(ceil_div(columns - 2, 2)));
}

/// Which of a block's channels the i-th of its sums is for.
int channel_of_sum(int i, const ChannelBlock& block) {
  const int part = i / kLanes, lane = i % kLanes;
  return (kLaneChannels * (lane / 4) + 4 * part + lane % 4) % block.channels;
}

class DepthwiseDotKernel final : public Kernel {
 public:
  DepthwiseDotKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : shape_(workload.shape),
        groups_(group_count(shape_)),
        source_type_(workload.input_type),
        result_type_(workload.output_type),
        residual_(workload.epilogue.residual),
        residual_bytes_(static_cast<std::int64_t>(element_bytes(workload.residual_type()))),
        activation_(activation_before_storing(workload)),
        blocks_(channel_blocks(shape_.oc)),
        whole_(row_function<1>(source_type_, shape_.stride_w, groups_)),
        half_(row_function<2>(source_type_, shape_.stride_w, groups_)),
        quarter_(row_function<4>(source_type_, shape_.stride_w, groups_)),
        weights_(weight_bytes(shape_) / sizeof(float)),
        factors_(kFactors * blocks_.size() * kBlockChannels),
        scales_(padded_channels()),
        biases_(padded_channels()) {
    padding_.fill(static_cast<std::byte>(parameters.scales.input_zero));
    constexpr std::int64_t kProductsOfThread = 2 * kLeastProducts;
    const std::int64_t products =
        std::int64_t{shape_.n} * shape_.oc * shape_.oh() * shape_.ow() * shape_.kh * shape_.kw;
    threads_ = threads_for(context.threads, products, kProductsOfThread);
    pack(workload, parameters);
  }

  void run(const RunArgs& args) const noexcept override {
    const std::int64_t items =
        std::int64_t{shape_.n} * shape_.oh() * static_cast<std::int64_t>(blocks_.size());
    parallel_for(threads_, threads_, [&](std::int64_t part) {
      run_items(args, part_begin(items, part, threads_), part_begin(items, part + 1, threads_));
    });
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override {
    return weights_.bytes() + factors_.bytes() + scales_.bytes() + biases_.bytes();
  }
  static std::size_t packed_bytes(const ConvShape& shape) {
    const std::size_t blocks = channel_blocks(shape.oc).size();
    return weight_bytes(shape) +
           (kFactors * blocks * kBlockChannels + 2 * padded_channels(shape)) * sizeof(float);
  }

 private:
  /// Starts, scales and biases of a block, in the order of its sums.
  static constexpr std::size_t kFactors = 3;

  static std::size_t padded_channels(const ConvShape& shape) {
    return static_cast<std::size_t>(round_up(shape.oc, kBlockChannels) + kBlockChannels);
  }
  std::size_t padded_channels() const { return padded_channels(shape_); }

  /// Of a row of the kernel for the channels of a block.
  static std::size_t row_bytes(const ConvShape& shape) {
    return static_cast<std::size_t>(group_count(shape) * outputs_of_position(shape)) * kParts *
           kVectorChannels;
  }
  static std::size_t weight_bytes(const ConvShape& shape) {
    return channel_blocks(shape.oc).size() * static_cast<std::size_t>(shape.kh) * row_bytes(shape);
  }

  void pack(const Workload& workload, const Parameters& parameters);
  void pack_block(const QuantisedWeights& quantised, const ChannelBlock& block,
                  std::byte* to) const;
  void run_items(const RunArgs& args, std::int64_t begin, std::int64_t end) const;
  Task task_of(const RunArgs& args, int image) const;
  void set_rows(const TensorView& source, int image, int row, std::size_t block,
                Window& window) const;

  ConvShape shape_;
  int groups_;
  DataType source_type_, result_type_;
  bool residual_;
  std::int64_t residual_bytes_;
  Activation activation_;
  std::vector<ChannelBlock> blocks_;
  ComputeRow whole_, half_, quarter_;  ///< for blocks of so much of a vector
  int threads_ = 1;
  std::array<std::byte, kVectorChannels> padding_{};
  Finish finish_;
  AlignedFloats weights_;          ///< bytes [block][kernel row][group][output][64][4 pixels]
  AlignedFloats factors_;          ///< [block][3][64]: starts, which are s32, scales, biases
  AlignedFloats scales_, biases_;  ///< in the order of channels
};

void DepthwiseDotKernel::pack_block(const QuantisedWeights& quantised, const ChannelBlock& block,
                                    std::byte* to) const {
  const ConvShape& s = shape_;
  const int taps = s.kh * s.kw;
  // Of a channel and a column of the image below the kernel at its output.
  const auto weight = [&](int channel, int row, int column) {
    const bool is_tap = column >= 0 && column % s.dilation_w == 0 && column < s.extent_w();
    if (!is_tap) return std::int8_t{0};
    return quantised.numbers[static_cast<std::size_t>(channel) * static_cast<std::size_t>(taps) +
                             static_cast<std::size_t>(row * s.kw + column / s.dilation_w)];
  };
  for (int row = 0; row < s.kh; ++row) {
    for (int group = 0; group < groups_; ++group) {
      for (int output = 0; output < outputs_of_position(s); ++output) {
        for (int i = 0; i < kVectorChannels; ++i) {
          const int channel = block.first + channel_of_sum(i, block);
          for (int pixel = 0; pixel < kLaneBytes; ++pixel) {
            // The lower pair of a group is the upper one of the group before.
            const bool counts = group == 0 || pixel >= 2;
            const int column = 2 * group + pixel - output;
            *to++ = static_cast<std::byte>(counts ? weight(channel, row, column) : 0);
          }
        }
      }
    }
  }
}

void DepthwiseDotKernel::pack(const Workload& workload, const Parameters& parameters) {
  const std::span<const float> weights(parameters.weights.as<float>(),
                                       static_cast<std::size_t>(parameters.weights.count));
  const QuantisedWeights quantised = quantise_weights(weights, shape_.oc);
  auto* to = reinterpret_cast<std::byte*>(weights_.data());
  for (const ChannelBlock& block : blocks_) {
    pack_block(quantised, block, to);
    to += static_cast<std::size_t>(shape_.kh) * row_bytes(shape_);
  }

  std::fill_n(biases_.data(), biases_.size(), 0.0F);
  std::fill_n(scales_.data(), scales_.size(), 0.0F);
  if (const auto* const bias = parameters.bias.as<float>())
    std::copy_n(bias, shape_.oc, biases_.data());
  std::ranges::copy(quantised.scales, scales_.data());
  // The image's padding holds its zero point.
  const std::vector<float> shifts =
      zero_point_shifts(quantised, parameters.scales, true, !last_write(activation_).needs_pass);
  for (std::size_t i = 0; i < shifts.size(); ++i) biases_.data()[i] += shifts[i];
  finish_ =
      make_finish(workload, parameters.scales, activation_, 255.0 * 128 * shape_.kh * shape_.kw,
                  {scales_.data(), scales_.size()}, {biases_.data(), biases_.size()});
  finish_.scales = scales_.data();
  finish_.bias = biases_.data();

  std::vector<std::int32_t> starts(quantised.scales.size());
  if (source_type_ == DataType::s8) starts = starts_of_shifted(quantised);
  std::memset(factors_.data(), 0, factors_.bytes());
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    float* const factors = factors_.data() + b * kFactors * kBlockChannels;
    for (int i = 0; i < kVectorChannels; ++i) {
      const int channel = blocks_[b].first + channel_of_sum(i, blocks_[b]);
      std::memcpy(factors + i, &starts[static_cast<std::size_t>(channel)], sizeof(float));
      factors[kBlockChannels + i] = scales_.data()[channel];
      factors[2 * kBlockChannels + i] = biases_.data()[channel];
    }
  }
}

Task DepthwiseDotKernel::task_of(const RunArgs& args, int image) const {
  const TensorView& result = args.destination;
  const auto result_bytes = static_cast<std::int64_t>(element_bytes(result_type_));
  Task task;
  task.finish = finish_;
  task.result = result.as<std::byte>() + image * result.batch_stride() * result_bytes;
  task.result_pixel = result.column_stride();
  if (residual_) {
    task.residual = args.residual.as<const std::byte>() +
                    image * args.residual.batch_stride() * residual_bytes_;
    task.residual_pixel = args.residual.column_stride();
  }
  return task;
}

void DepthwiseDotKernel::set_rows(const TensorView& source, int image, int row, std::size_t block,
                                  Window& window) const {
  const ConvShape& s = shape_;
  const auto* const pixels = source.as<const std::byte>() + image * source.batch_stride();
  const std::size_t bytes = row_bytes(s);
  const auto* weights = reinterpret_cast<const std::byte*>(weights_.data()) +
                        block * static_cast<std::size_t>(s.kh) * bytes;
  // Padding of zeros adds nothing.
  const bool counts = source_type_ == DataType::s8 || padding_[0] != std::byte{0};
  window.row_count = 0;
  for (int i = 0; i < s.kh; ++i, weights += bytes) {
    const int at = row * s.stride_h + i * s.dilation_h - s.pad_top;
    const bool inside = at >= 0 && at < s.ih;
    if (!inside && !counts) continue;
    window.rows[static_cast<std::size_t>(window.row_count++)] =
        inside ? WindowRow{pixels + at * source.row_stride() + blocks_[block].first,
                           source.column_stride(), weights}
               : WindowRow{padding_.data(), 0, weights};
  }
}

void DepthwiseDotKernel::run_items(const RunArgs& args, std::int64_t begin,
                                   std::int64_t end) const {
  const ConvShape& s = shape_;
  const TensorView &source = args.sources[0], &result = args.destination;
  const bool stores_bytes = is_quantised(result_type_) && !residual_ && finish_.activate == nullptr;
  Window window;
  window.padding = padding_.data();
  window.columns = s.iw;
  window.left_padding = s.pad_left;
  window.outputs = s.ow();
  window.finish = &finish_;
  window.result_type = result_type_;
  window.result_pixel = result.column_stride();
  window.finish_tile = result_type_ == DataType::u8   ? finish_tile<DataType::u8>
                       : result_type_ == DataType::s8 ? finish_tile<DataType::s8>
                                                      : finish_tile<DataType::f32>;
  Task task;
  const auto blocks = static_cast<std::int64_t>(blocks_.size());
  for (std::int64_t item = begin; item < end;) {
    const auto row = static_cast<int>(item / blocks % s.oh());
    const auto image = static_cast<int>(item / blocks / s.oh());
    if (item == begin || row == 0) task = task_of(args, image);
    window.task = &task;
    window.place = row * s.ow();
    const std::int64_t last = std::min(end, (item / blocks + 1) * blocks);
    for (; item < last; ++item) {
      const auto number = static_cast<std::size_t>(item % blocks);
      const ChannelBlock& block = blocks_[number];
      set_rows(source, image, row, number, window);
      const float* const factors = factors_.data() + number * kFactors * kBlockChannels;
      window.starts = reinterpret_cast<const std::int32_t*>(factors);
      window.scales = factors + kBlockChannels;
      window.biases = factors + 2 * kBlockChannels;
      window.written = ~0ULL << block.skipped;
      window.channel = block.first + block.skipped;
      window.skipped = block.skipped;
      task.channels = block.first + block.channels;
      window.result = stores_bytes ? result.as<std::byte>() + image * result.batch_stride() +
                                         row * result.row_stride() + block.first
                                   : nullptr;
      const ComputeRow compute = block.channels == kVectorChannels ? whole_
                                 : block.channels == kLaneChannels ? quarter_
                                                                   : half_;
      compute(window);
    }
  }
}

class DepthwiseDotPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context&) const override {
    const ConvShape& s = workload.shape;
    if (!s.is_depthwise()) return Applicability::no("it is no depthwise convolution");
    if (s.oc < kLaneChannels) return Applicability::no("its channels do not fill a lane of bytes");
    if (s.kh > kMostTaps || s.extent_w() > kMostTaps) {
      return Applicability::no("its kernel is larger than 7 x 7");
    }
    if (s.stride_w > 2) return Applicability::no("its stride is neither 1 nor 2");
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    return DepthwiseDotKernel::packed_bytes(workload.shape);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<DepthwiseDotKernel>(workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_depthwise(PrimitiveInfo info, const Context& context,
                                          std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.traits.product_type = product_type(info.input_type);
  if (!has_vectors(info.traits.product_type, context.isa)) return nullptr;
  info.description = "depthwise, lanes are channels, dot products of neighbouring pixels";
  info.revision = "1";
  info.traits.algorithm = Algorithm::direct;
  info.traits.cost = "direct";
  info.traits.vector_products = true;
  info.traits.tile_oc = kVectorChannels;
  info.traits.tile_pixels = kTileOutputs;
  info.traits.strided_views = true;
  info.traits.zero_points = true;
  return std::make_unique<DepthwiseDotPrimitive>(std::move(info));
}

#else

std::unique_ptr<Primitive> make_depthwise(PrimitiveInfo, const Context&,
                                          std::initializer_list<int>) {
  return nullptr;
}

#endif

}  // namespace convopt::dot
