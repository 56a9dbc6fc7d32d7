// Fully connected layers with few images, which wait for their weights to come from memory. These
// lie in the order in which they are read, and are fetched far ahead. They may be kept shorter than
// they are multiplied, as bf16 or as s8 with a scale per output channel, and become floats on their
// way. Lanes are output channels, sources are broadcast.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/gemv/gemv.cpp"
#include "primitives/simd.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "primitives/clamp-inl.h"
#include "primitives/gemm/partial-inl.h"
#include "primitives/gemv/gemv.h"
#include "primitives/own.h"

HWY_BEFORE_NAMESPACE();
namespace convopt::gemv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using convopt::HWY_NAMESPACE::clamp;
using convopt::HWY_NAMESPACE::load_partial;
using convopt::HWY_NAMESPACE::store_partial;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
inline constexpr int kLanes = HWY_LANES(float);

// Sums, a broadcast of every row and kMostVectors of weights must fit the registers: 32 on AVX-512
// and NEON, 16 elsewhere.
inline constexpr int kMostRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 4 : 2;
/// Chains of sums that keep the units busy for as long as one addition takes.
inline constexpr int kChains = 8;

using Words = hn::Vec<hn::RebindToUnsigned<D>>;

/// Number kIndex of those that each word holds, as a float.
template <class Number, int kIndex>
HWY_INLINE V number_of(Words words) {
  const hn::RebindToUnsigned<D> d;
  if constexpr (std::is_same_v<Number, float>) return hn::BitCast(D(), words);
  constexpr int kBits = 8 * sizeof(Number), kShift = 32 - (kIndex + 1) * kBits;
  // To the highest bits, with zeros below it.
  if constexpr (kIndex == 0) {
    words = hn::ShiftLeft<kShift>(words);
  } else if constexpr (kShift == 0) {
    words = hn::And(words, hn::Set(d, ~0U << (32 - kBits)));
  } else {
    // Indices with the highest bit make zeros.
    constexpr std::uint32_t kFirst = std::uint32_t{kIndex} << 24U | 0x808080U, kNext = 4U << 24U;
    alignas(16) static constexpr std::uint32_t kFrom[4] = {kFirst, kFirst + kNext,
                                                           kFirst + 2 * kNext, kFirst + 3 * kNext};
    words = hn::TableLookupBytesOr0(words, hn::LoadDup128(d, kFrom));
  }
  if constexpr (std::is_same_v<Number, std::int8_t>) {
    return hn::ConvertTo(D(), hn::BitCast(hn::RebindToSigned<D>(), words));
  } else {
    return hn::BitCast(D(), words);
  }
}

/// The panel's weights are one stream, which is fetched so many words before it is used: four
/// kilobytes. On Zen 4 with one core, weights that lie in memory come at 29 to 31 GB/s, with an
/// eighth of that distance at 24 to 27. Processors without AVX-512 are older, and their own
/// prefetchers better than ours: on Zen 3 so fetched weights come at 16 to 19 GB/s, not fetched at
/// 21, and a stream for each of four vectors at 26 to 28, of two or eight as well.
inline constexpr bool kStreams = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4;
inline constexpr int kAhead = 1024;

/// Adds the products by number kIndex of the words.
template <class Number, int kIndex, int kSets, int kRows, int kVectors>
HWY_INLINE void add_products(const float* const (&source)[kRows], std::int64_t k,
                             const Words (&weights)[kVectors], V (&sum)[kSets][kRows][kVectors]) {
  const D d;
  V x[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) x[r] = hn::Set(d, source[r][k + kIndex]);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const V factor = number_of<Number, kIndex>(weights[v]);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      V& to = sum[kIndex % kSets][r][v];
      to = hn::MulAdd(x[r], factor, to);
    }
  }
}

/// Adds the products of as many numbers of each row as a word has.
template <class Number, int kSets, int kRows, int kVectors>
HWY_INLINE void add_word(const float* const (&source)[kRows], std::int64_t k,
                         const std::uint32_t* from, std::int64_t vector_stride,
                         V (&sum)[kSets][kRows][kVectors]) {
  const hn::RebindToUnsigned<D> d;
  hn::Vec<decltype(d)> weights[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) weights[v] = hn::Load(d, from + v * vector_stride);
  add_products<Number, 0>(source, k, weights, sum);
  if constexpr (numbers_together < Number >> 1) add_products<Number, 1>(source, k, weights, sum);
  if constexpr (numbers_together < Number >> 2) {
    add_products<Number, 2>(source, k, weights, sum);
    add_products<Number, 3>(source, k, weights, sum);
  }
}

template <class Number, int kRows, int kVectors>
void compute_tile(const Panel& panel, int first_row) {
  const D d;
  constexpr int kTogether = numbers_together<Number>;
  constexpr int kSets = std::clamp(kChains / (kRows * kVectors), 1, kTogether);
  constexpr int kStepWords = kStreams ? kLanes : kVectors * kLanes, kLineWords = 16;
  const std::int64_t vector_stride =
      kStreams ? std::int64_t{(panel.k + kTogether - 1) / kTogether} * kLanes : kLanes;
  const float* source[kRows];
  V sum[kSets][kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) source[r] = panel.source + (first_row + r) * panel.source_row;
#pragma GCC unroll 4
  for (int s = 0; s < kSets; ++s) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[s][r][v] = hn::Zero(d);
    }
  }
  const std::uint32_t* weights = panel.weights;
  int k = 0;
  for (; k + kTogether <= panel.k; k += kTogether) {
    if constexpr (!kStreams) {
#pragma GCC unroll 8
      for (int word = 0; word < kStepWords; word += kLineWords)
        __builtin_prefetch(weights + kAhead + word, 0, 3);
    }
    add_word<Number>(source, k, weights, vector_stride, sum);
    weights += kStepWords;
  }
  if (k < panel.k) {
    // Behind the last number of a row nothing is read.
    float last[kRows][kTogether] = {};
    const float* filled[kRows];
    for (int r = 0; r < kRows; ++r) {
      std::copy(source[r] + k, source[r] + panel.k, last[r]);
      filled[r] = last[r];
    }
    add_word<Number>(filled, 0, weights, vector_stride, sum);
  }

  const V low = hn::Set(d, panel.low), high = hn::Set(d, panel.high);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    float* const result = panel.result + (first_row + r) * panel.result_row;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int first = v * kLanes;
      const bool whole = v + 1 < kVectors || panel.last_channels == kLanes;
      V x = sum[0][r][v];
#pragma GCC unroll 4
      for (int s = 1; s < kSets; ++s) x = hn::Add(x, sum[s][r][v]);
      const V bias = hn::LoadU(d, panel.bias + first);
      if constexpr (std::is_same_v<Number, std::int8_t>) {
        x = hn::MulAdd(x, hn::LoadU(d, panel.scales + first), bias);
      } else {
        x = hn::Add(x, bias);
      }
      if (panel.residual != nullptr) {
        const float* const from = panel.residual + (first_row + r) * panel.residual_row + first;
        x = hn::Add(x, whole ? hn::LoadU(d, from) : load_partial(d, from, panel.last_channels));
      }
      x = clamp(low, high, x);
      if (whole) {
        hn::StoreU(x, d, result + first);
      } else {
        store_partial(d, x, result + first, panel.last_channels);
      }
    }
  }
}

template <class Number, int kVectors>
void compute_rows(const Panel& panel) {
  int row = 0;
  for (; row + kMostRows <= panel.rows; row += kMostRows)
    compute_tile<Number, kMostRows, kVectors>(panel, row);
  if constexpr (kMostRows > 2) {
    if (panel.rows - row == 3) return compute_tile<Number, 3, kVectors>(panel, row);
    if (panel.rows - row == 2) return compute_tile<Number, 2, kVectors>(panel, row);
  }
  if (panel.rows - row == 1) compute_tile<Number, 1, kVectors>(panel, row);
}

template <class Number>
void compute(const Panel& panel) {
  switch (panel.vectors) {
    case 1:
      return compute_rows<Number, 1>(panel);
    case 2:
      return compute_rows<Number, 2>(panel);
    case 3:
      return compute_rows<Number, 3>(panel);
    default:
      return compute_rows<Number, kMostVectors>(panel);
  }
}

}  // namespace convopt::gemv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Not compiled for the instruction set (primitives/simd.h).
namespace convopt::gemv::HWY_NAMESPACE {

Kernels list_kernels() {
  return {
      kLanes, kMostRows, kStreams, &compute<float>, &compute<std::uint16_t>, &compute<std::int8_t>};
}

}  // namespace convopt::gemv::HWY_NAMESPACE

#if HWY_ONCE
namespace convopt::gemv {
namespace {

CONVOPT_EXPORT(list_kernels);

/// Output channels as vectors, in panels that are as wide as others and shared evenly by threads.
struct Panels {
  Panels(const Workload& workload, const Context& context)
      : kernels(CONVOPT_DISPATCH(list_kernels, context.isa)()),
        vectors(static_cast<int>(ceil_div(workload.shape.oc, kernels.lanes))) {
    const ConvShape& s = workload.shape;
    threads = threads_for(context.threads, std::int64_t{s.n} * s.ic * s.oc, kLeastProducts);
    const std::int64_t least = ceil_div(vectors, kMostVectors);
    count = static_cast<int>(std::min<std::int64_t>(vectors, round_up(least, threads)));
  }

  int first_vector(int panel) const { return static_cast<int>(part_begin(vectors, panel, count)); }
  int channels() const { return vectors * kernels.lanes; }

  Kernels kernels;
  int vectors, count = 1, threads = 1;
};

class GemvKernel final : public Kernel {
 public:
  GemvKernel(const Workload& workload, DataType weight_type, const Parameters& parameters,
             const Context& context)
      : shape_(workload.shape),
        activation_(workload.epilogue.activation),
        residual_(workload.epilogue.residual),
        weight_type_(weight_type),
        panels_(workload, context),
        compute_(panels_.kernels.of(weight_type)),
        last_write_(last_write(activation_)),
        activate_rows_(activate_rows_function(context.isa)),
        weights_(weight_words(workload, weight_type, panels_)),
        factors_(factor_count(weight_type, panels_)) {
    pack(parameters);
  }

  static std::size_t packed_bytes(const Workload& workload, DataType weight_type,
                                  const Context& context) {
    const Panels panels(workload, context);
    return (weight_words(workload, weight_type, panels) + factor_count(weight_type, panels)) *
           sizeof(float);
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return weights_.bytes() + factors_.bytes(); }

  void run(const RunArgs& args) const noexcept override {
    parallel_for(panels_.threads, panels_.count, [&](std::int64_t number) {
      const Panel panel = panel_of(args, static_cast<int>(number));
      compute_(panel);
      if (last_write_.needs_pass) {
        const int channels = (panel.vectors - 1) * panels_.kernels.lanes + panel.last_channels;
        activate_rows_(activation_, ActivatedRows::in_place(panel.result, channels, panel.rows,
                                                            panel.result_row));
      }
    });
  }

 private:
  static std::int64_t words_of_channel(const ConvShape& shape, DataType weight_type) {
    return ceil_div(shape.ic, static_cast<std::int64_t>(kWordBytes / element_bytes(weight_type)));
  }
  static std::size_t weight_words(const Workload& workload, DataType weight_type,
                                  const Panels& panels) {
    return static_cast<std::size_t>(panels.channels() *
                                    words_of_channel(workload.shape, weight_type));
  }
  /// Biases, and scales of s8.
  static std::size_t factor_count(DataType weight_type, const Panels& panels) {
    return static_cast<std::size_t>(panels.channels()) * (weight_type == DataType::s8 ? 2 : 1);
  }

  Panel panel_of(const RunArgs& args, int number) const {
    const TensorView &source = args.sources[0], &result = args.destination;
    const int lanes = panels_.kernels.lanes;
    const int first = panels_.first_vector(number), channel = first * lanes;
    Panel panel;
    panel.source = source.as<float>();
    panel.source_row = source.batch_stride();
    panel.rows = shape_.n;
    panel.k = shape_.ic;
    panel.weights = reinterpret_cast<const std::uint32_t*>(weights_.data()) +
                    channel * words_of_channel(shape_, weight_type_);
    panel.vectors = panels_.first_vector(number + 1) - first;
    panel.last_channels = std::min(lanes, shape_.oc - channel - (panel.vectors - 1) * lanes);
    panel.bias = factors_.data() + channel;
    panel.scales = panel.bias + panels_.channels();
    panel.result = result.as<float>() + channel;
    panel.result_row = result.batch_stride();
    if (residual_) {
      panel.residual = args.residual.as<float>() + channel;
      panel.residual_row = args.residual.batch_stride();
    }
    panel.low = last_write_.low;
    panel.high = last_write_.high;
    return panel;
  }

  void pack(const Parameters& parameters) {
    std::fill_n(factors_.data(), factors_.size(), 0.0F);
    if (const auto* const bias = parameters.bias.as<float>())
      std::copy_n(bias, shape_.oc, factors_.data());
    const std::span<const float> weights(parameters.weights.as<float>(),
                                         static_cast<std::size_t>(parameters.weights.count));
    if (weight_type_ == DataType::s8) {
      const QuantisedWeights quantised = quantise_weights(weights, shape_.oc);
      std::ranges::transform(quantised.scales, factors_.data() + panels_.channels(),
                             [](float scale) { return scale / kUnitOfNumber; });
      pack_numbers(quantised.numbers.data());
    } else if (weight_type_ == DataType::f32) {
      pack_numbers(weights.data());
    } else {
      std::vector<std::uint16_t> numbers(weights.size());
      from_floats(weights.data(), std::ssize(weights), DataType::bf16, numbers.data());
      pack_numbers(numbers.data());
    }
  }

  /// `numbers` are [channel][k].
  template <class Number>
  void pack_numbers(const Number* numbers) {
    // So many words of each channel at a time leave the stream's part of them in the L1 cache.
    constexpr int kBlock = 64, kTogether = numbers_together<Number>;
    const int words = static_cast<int>(ceil_div(shape_.ic, kTogether));
    auto* to = reinterpret_cast<Number*>(weights_.data());
    const int streams = panels_.kernels.streams ? panels_.vectors : panels_.count;
    for (int stream = 0; stream < streams; ++stream) {
      const int lanes = panels_.kernels.lanes;
      const int vector = panels_.kernels.streams ? stream : panels_.first_vector(stream);
      const int next = panels_.kernels.streams ? stream + 1 : panels_.first_vector(stream + 1);
      const int first = vector * lanes, width = (next - vector) * lanes;
      for (int begin = 0; begin < words; begin += kBlock) {
        const int end = std::min(begin + kBlock, words);
        for (int c = 0; c < width; ++c) {
          const bool exists = first + c < shape_.oc;
          const Number* const from = numbers + std::int64_t{first + c} * shape_.ic;
          for (int i = begin * kTogether; i < end * kTogether; ++i) {
            const std::int64_t word = std::int64_t{i / kTogether} * width + c;
            to[word * kTogether + i % kTogether] = exists && i < shape_.ic ? from[i] : Number{0};
          }
        }
      }
      to += std::int64_t{words} * width * kTogether;
    }
  }

  ConvShape shape_;
  Activation activation_;
  bool residual_;
  DataType weight_type_;
  Panels panels_;
  ComputePanel compute_;
  LastWrite last_write_;
  ActivateRowsFunction activate_rows_;
  AlignedFloats weights_;  ///< words [stream][k][channels of the stream]: a panel, or a vector
  AlignedFloats factors_;  ///< [channels] biases, and scales of s8
};

class GemvPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    return GemvKernel::packed_bytes(workload, info().traits.weight_type, context);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<GemvKernel>(workload, info().traits.weight_type, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_gemv(PrimitiveInfo info, const Context& context,
                                     std::initializer_list<int> type) {
  const Kernels kernels = CONVOPT_DISPATCH(list_kernels, context.isa)();
  info.description =
      "a few rows by weights in the order in which they are read, and become floats while read";
  info.revision = kernels.streams ? "2" : "1";
  info.traits.algorithm = Algorithm::gemm;
  if (type.size() > 0) info.traits.weight_type = static_cast<DataType>(type.begin()[0]);
  info.traits.tile_oc = kMostVectors * kernels.lanes;
  info.traits.tile_pixels = kernels.rows;
  info.traits.strided_views = true;
  return std::make_unique<GemvPrimitive>(std::move(info));
}

}  // namespace convopt::gemv
#endif
