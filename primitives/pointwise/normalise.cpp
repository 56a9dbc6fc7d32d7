// Elements divided by what their neighbours say.
#include <algorithm>
#include <cmath>
#include <limits>

#include "primitives/pointwise/rows.h"

namespace convopt::pointwise {
namespace {

/// Calls `body(n, h, w, last_w)` for segments of pixels: short enough that what belongs to them
/// stays in the first-level cache from one pass over the channels to the next.
constexpr int kSegment = 16;
template <class Body>
void for_pixel_segments(int threads, const TensorShape& shape, const Body& body) {
  const std::int64_t segments = ceil_div(shape.w(), kSegment);
  parallel_for(threads, std::int64_t{shape.n()} * shape.h() * segments, [&](std::int64_t number) {
    const int w = static_cast<int>(number % segments) * kSegment;
    const int h = static_cast<int>(number / segments % shape.h());
    const int n = static_cast<int>(number / segments / shape.h());
    body(n, h, w, std::min(w + kSegment, shape.w()));
  });
}

void clear_tail_pixels(const TensorView& view, int n, int h, int first, int last) {
  const auto padded = static_cast<int>(padded_channels(view.shape.c(), view.layout));
  for (int w = first; w < last; ++w) {
    for (int c = view.shape.c(); c < padded; ++c) view.at(n, c, h, w) = 0;
  }
}

class SoftmaxKernel final : public WeightlessKernel {
 public:
  SoftmaxKernel(const PrimitiveInfo&, const Workload&, const Context& context)
      : threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int channels = out.shape.c();
    for_pixel_segments(threads_, out.shape, [&](int n, int h, int first, int last) {
      for (int w = first; w < last; ++w) {
        float maximum = -std::numeric_limits<float>::infinity();
        for (int c = 0; c < channels; ++c) maximum = std::max(maximum, in.at(n, c, h, w));
        double sum = 0;
        for (int c = 0; c < channels; ++c) {
          const float power = std::exp(in.at(n, c, h, w) - maximum);
          out.at(n, c, h, w) = power;
          sum += power;
        }
        const auto scale = static_cast<float>(1 / sum);
        for (int c = 0; c < channels; ++c) out.at(n, c, h, w) *= scale;
      }
      clear_tail_pixels(out, n, h, first, last);
    });
  }

 private:
  int threads_;
};

class LrnKernel final : public WeightlessKernel {
 public:
  LrnKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : workload_(workload), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int channels = out.shape.c();
    const int window = workload_.window;
    const float scale = workload_.lrn_alpha / static_cast<float>(window);
    for_pixel_segments(threads_, out.shape, [&](int n, int h, int first, int last) {
      for (int c = 0; c < channels; ++c) {
        const int from = std::max(0, c - (window - 1) / 2);
        const int to = std::min(channels - 1, c + window / 2);
        for (int w = first; w < last; ++w) {
          float squares = 0;
          for (int i = from; i <= to; ++i) squares += in.at(n, i, h, w) * in.at(n, i, h, w);
          out.at(n, c, h, w) = in.at(n, c, h, w) * factor(workload_.lrn_k + scale * squares);
        }
      }
      clear_tail_pixels(out, n, h, first, last);
    });
  }

 private:
  /// base ^ -beta; for the 0.75 of nearly every network without a general power.
  float factor(float base) const {
    if (workload_.lrn_beta == 0.75F) return 1 / std::sqrt(base * std::sqrt(base));
    return std::pow(base, -workload_.lrn_beta);
  }

  Workload workload_;
  int threads_;
};

/// The sum of term(x) over neighbouring values. Parts in single precision, which vectorises, are
/// added in double: rows may be whole images, as instance normalisation has them.
template <class Term>
double sum_of(const float* x, std::int64_t count, const Term& term) {
  constexpr std::int64_t kPart = 1024, kLanes = 16;
  double total = 0;
  for (std::int64_t first = 0; first < count; first += kPart) {
    const std::int64_t last = std::min(first + kPart, count);
    float lanes[kLanes] = {};
    std::int64_t i = first;
    for (; i + kLanes <= last; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(x[i + lane]);
    }
    for (; i < last; ++i) lanes[0] += term(x[i]);
    for (const float lane : lanes) total += double{lane};
  }
  return total;
}

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : channels_(workload.first.c()),
        epsilon_(workload.epsilon),
        threads_(context.threads),
        scale_shift_(2 * static_cast<std::size_t>(channels_)) {
    std::copy_n(parameters.weights.as<float>(), channels_, scale_shift_.data());
    float* const shift = scale_shift_.data() + channels_;
    for (int c = 0; c < channels_; ++c)
      shift[c] = parameters.bias.as<float>() ? parameters.bias.as<float>()[c] : 0.0F;
  }

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const float* const scale = scale_shift_.data();
    const float* const shift = scale + channels_;
    const auto channels_touch = [](const TensorView& view) {
      return channel_block(view.layout) == 1 && view.channel_stride() == 1;
    };
    if (channels_touch(in) && channels_touch(out)) return normalise_rows(in, out);
    for_pixel_segments(threads_, out.shape, [&](int n, int h, int first, int last) {
      double sums[kSegment] = {};
      double factors[kSegment] = {};
      const auto for_each_channel = [&](const auto& body) {
        for (int c = 0; c < channels_; ++c) {
          const float* const from = in.as<float>() + in.offset(n, c, h, first);
          float* const to = out.as<float>() + out.offset(n, c, h, first);
          for (int i = 0; i < last - first; ++i) {
            body(c, i, from[i * in.column_stride()], to[i * out.column_stride()]);
          }
        }
      };
      for_each_channel([&](int, int i, float x, float&) { sums[i] += double{x}; });
      for (double& sum : sums) sum /= channels_;  // now the mean
      for_each_channel([&](int, int i, float x, float&) {
        const double distance = double{x} - sums[i];
        factors[i] += distance * distance;
      });
      float means[kSegment], inverses[kSegment];
      for (int i = 0; i < kSegment; ++i) {
        means[i] = static_cast<float>(sums[i]);
        inverses[i] = inverse_deviation(factors[i]);
      }
      for_each_channel([&](int c, int i, float x, float& y) {
        y = (x - means[i]) * inverses[i] * scale[c] + shift[c];
      });
      clear_tail_pixels(out, n, h, first, last);
    });
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return scale_shift_.bytes(); }

 private:
  float inverse_deviation(double squares) const {
    return static_cast<float>(1 / std::sqrt(squares / channels_ + double{epsilon_}));
  }

  /// Normalises pixels whose channels are neighbours.
  void normalise_rows(const TensorView& in, const TensorView& out) const {
    const float* const scale = scale_shift_.data();
    const float* const shift = scale + channels_;
    const TensorShape& shape = out.shape;
    const std::int64_t pixels = std::int64_t{shape.n()} * shape.h() * shape.w();
    parallel_for(threads_, pixels, [&](std::int64_t pixel) {
      const int w = static_cast<int>(pixel % shape.w());
      const int h = static_cast<int>(pixel / shape.w() % shape.h());
      const int n = static_cast<int>(pixel / shape.w() / shape.h());
      const float* const x = in.as<float>() + in.offset(n, 0, h, w);
      float* const y = out.as<float>() + out.offset(n, 0, h, w);
      const auto mean =
          static_cast<float>(sum_of(x, channels_, [](float value) { return value; }) / channels_);
      const float factor = inverse_deviation(
          sum_of(x, channels_, [mean](float value) { return (value - mean) * (value - mean); }));
      for (int c = 0; c < channels_; ++c) y[c] = (x[c] - mean) * factor * scale[c] + shift[c];
    });
  }

  int channels_;
  float epsilon_;
  int threads_;
  AlignedFloats scale_shift_;
};

class LayerNormPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    return 2 * sizeof(float) * static_cast<std::size_t>(workload.first.c());
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<LayerNormKernel>(workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_softmax(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  return make<SoftmaxKernel>(std::move(info), "maximum, exponentials, division, pixel by pixel");
}

std::unique_ptr<Primitive> make_lrn(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make<LrnKernel>(std::move(info), "sum of squares over neighbouring channels");
}

std::unique_ptr<Primitive> make_layer_norm(PrimitiveInfo info, const Context&,
                                           std::initializer_list<int>) {
  return make_primitive<LayerNormPrimitive>(
      std::move(info), "mean, variance, scaling over the channels of a pixel", 2);
}

}  // namespace convopt::pointwise
