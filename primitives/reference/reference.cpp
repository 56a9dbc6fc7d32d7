#include "primitives/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "core/activation.h"
#include "core/ops/descriptor.h"
#include "core/quantisation.h"
#include "primitives/own.h"
#include "primitives/reference/combine.h"
#include "primitives/reference/plain.h"

namespace convopt::reference {
namespace {

/// A dense nchw tensor of doubles.
struct Image {
  explicit Image(const TensorShape& s) : shape(s), values(static_cast<std::size_t>(s.elements())) {}

  double* row(int n, int c, int h) {
    return values.data() + ((std::int64_t{n} * shape.c() + c) * shape.h() + h) * shape.w();
  }
  const double* row(int n, int c, int h) const { return const_cast<Image*>(this)->row(n, c, h); }
  double& at(int n, int c, int h, int w) { return row(n, c, h)[w]; }
  double at(int n, int c, int h, int w) const { return row(n, c, h)[w]; }

  TensorShape shape;
  std::vector<double> values;
};

template <class Function>
void for_each(const TensorShape& shape, const Function& function) {
  for (int n = 0; n < shape.n(); ++n) {
    for (int c = 0; c < shape.c(); ++c) {
      for (int h = 0; h < shape.h(); ++h) {
        for (int w = 0; w < shape.w(); ++w) function(n, c, h, w);
      }
    }
  }
}

Image read_image(const TensorView& view, double scale, int zero) {
  Image image(view.shape);
  image.values = read(view).values;
  if (scale == 1 && zero == 0) return image;
  for (double& value : image.values) value = scale * (value - zero);
  return image;
}

/// Calls `function(offset)` for the elements of channels that exist only as padding.
template <class Function>
void for_each_in_tail(const TensorView& view, const Function& function) {
  if (channel_block(view.layout) == 1) return;
  TensorShape shape = view.shape;
  const int first = shape.c();
  shape.c() = static_cast<int>(padded_channels(first, view.layout)) - first;
  for_each(shape, [&](int n, int c, int h, int w) { function(view.offset(n, first + c, h, w)); });
}

void clear_tail(const TensorView& view) {
  for_each_in_tail(view, [&](std::int64_t offset) { store(view, offset, 0); });
}

/// Weights as they are multiplied, of the source's type.
class Weights {
 public:
  Weights(const Workload& workload, const Parameters& parameters)
      : values_(parameters.weights.as<float>()) {
    const bool multiplies = workload.op == Op::conv || workload.op == Op::fully_connected;
    const DataType type = workload.input_type;
    if (!multiplies || (type != DataType::bf16 && !is_quantised(type))) return;
    const std::span<const float> given(values_, static_cast<std::size_t>(parameters.weights.count));
    if (is_quantised(type)) {
      QuantisedWeights quantised = quantise_weights(given, workload.shape.oc);
      rounded_.assign(quantised.numbers.begin(), quantised.numbers.end());
      scales_ = std::move(quantised.scales);
    } else {
      for (const float value : given) rounded_.push_back(rounded(value, type));
    }
    values_ = rounded_.data();
  }

  double scale(std::int64_t channel) const {
    return scales_.empty() ? 1 : scales_[static_cast<std::size_t>(channel)];
  }
  /// Without the channel's scale.
  const float* values() const { return values_; }

 private:
  std::vector<float> rounded_, scales_;
  const float* values_;
};

void convolve(const ConvShape& s, const Weights& weights, const ParameterView& biases,
              const Image& in, Image& out) {
  const int ic_per_group = s.ic / s.groups;
  const int oc_per_group = s.oc / s.groups;
  parallel_for(default_threads(), std::int64_t{s.n} * s.oc, [&](std::int64_t index) {
    const int n = static_cast<int>(index / s.oc);
    const int oc = static_cast<int>(index % s.oc);
    const int first_ic = oc / oc_per_group * ic_per_group;
    const double bias = biases.as<float>() ? biases.as<float>()[oc] : 0;
    const double scale = weights.scale(oc);
    std::fill_n(out.row(n, oc, 0), std::int64_t{s.oh()} * s.ow(), bias);
    for (int ic = 0; ic < ic_per_group; ++ic) {
      for (int kh = 0; kh < s.kh; ++kh) {
        for (int kw = 0; kw < s.kw; ++kw) {
          const std::int64_t weight_row = (std::int64_t{oc} * ic_per_group + ic) * s.kh + kh;
          const double weight = scale * weights.values()[weight_row * s.kw + kw];
          const std::int64_t shift = std::int64_t{kw} * s.dilation_w - s.pad_left;
          // Outputs whose tap at kw lies inside the row: 0 <= ow * stride + shift < iw.
          const auto first = static_cast<int>(std::clamp<std::int64_t>(
              ceil_div(std::max<std::int64_t>(-shift, 0), s.stride_w), 0, s.ow()));
          const auto last = static_cast<int>(std::clamp<std::int64_t>(
              shift >= s.iw ? 0 : ceil_div(s.iw - shift, s.stride_w), first, s.ow()));
          for (int oh = 0; oh < s.oh(); ++oh) {
            const int ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
            if (ih < 0 || ih >= s.ih) continue;
            const double* source = in.row(n, first_ic + ic, ih) + shift;
            double* destination = out.row(n, oc, oh);
            if (s.stride_w == 1) {
              for (int ow = first; ow < last; ++ow) destination[ow] += weight * source[ow];
            } else {
              for (int ow = first; ow < last; ++ow) {
                destination[ow] += weight * source[std::int64_t{ow} * s.stride_w];
              }
            }
          }
        }
      }
    }
  });
}

void pool(const Workload& workload, const Image& in, Image& out) {
  const ConvShape& s = workload.shape;
  for_each(out.shape, [&](int n, int c, int oh, int ow) {
    double sum = 0;
    double maximum = -std::numeric_limits<double>::infinity();
    int inside = 0;
    for (int kh = 0; kh < s.kh; ++kh) {
      for (int kw = 0; kw < s.kw; ++kw) {
        const int ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
        const int iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
        if (ih < 0 || ih >= s.ih || iw < 0 || iw >= s.iw) continue;
        sum += in.at(n, c, ih, iw);
        maximum = std::max(maximum, in.at(n, c, ih, iw));
        ++inside;
      }
    }
    if (workload.op == Op::max_pool) {
      out.at(n, c, oh, ow) = maximum;
    } else {
      const int divisor = workload.op == Op::avg_pool_include ? s.kh * s.kw : inside;
      out.at(n, c, oh, ow) = divisor > 0 ? sum / divisor : 0;
    }
  });
}

void fully_connected(const ConvShape& s, const Weights& weights, const ParameterView& biases,
                     const Image& in, Image& out) {
  parallel_for(default_threads(), s.oc, [&](std::int64_t oc) {
    const double scale = weights.scale(oc);
    const float* const row = weights.values() + oc * s.ic;
    for (int n = 0; n < s.n; ++n) {
      double sum = biases.as<float>() ? biases.as<float>()[oc] : 0;
      // Channels and pixels of the source together are the inputs, in the order of nchw.
      for (int i = 0; i < s.ic; ++i) {
        sum += scale * row[i] * in.values[static_cast<std::size_t>(std::int64_t{n} * s.ic + i)];
      }
      out.at(n, static_cast<int>(oc), 0, 0) = sum;
    }
  });
}

void softmax(const Image& in, Image& out) {
  TensorShape pixels = in.shape;
  pixels.c() = 1;
  for_each(pixels, [&](int n, int, int h, int w) {
    double maximum = -std::numeric_limits<double>::infinity();
    for (int c = 0; c < in.shape.c(); ++c) maximum = std::max(maximum, in.at(n, c, h, w));
    double sum = 0;
    for (int c = 0; c < in.shape.c(); ++c) {
      out.at(n, c, h, w) = std::exp(in.at(n, c, h, w) - maximum);
      sum += out.at(n, c, h, w);
    }
    for (int c = 0; c < in.shape.c(); ++c) out.at(n, c, h, w) /= sum;
  });
}

void lrn(const Workload& workload, const Image& in, Image& out) {
  const int window = workload.window;
  for_each(in.shape, [&](int n, int c, int h, int w) {
    const int first = std::max(0, c - (window - 1) / 2);
    const int last = std::min(in.shape.c() - 1, c + window / 2);
    double squares = 0;
    for (int i = first; i <= last; ++i) squares += in.at(n, i, h, w) * in.at(n, i, h, w);
    const double base = workload.lrn_k + double{workload.lrn_alpha} / window * squares;
    out.at(n, c, h, w) = in.at(n, c, h, w) * std::pow(base, -double{workload.lrn_beta});
  });
}

void upsample_nearest(const Workload& workload, const Image& in, Image& out) {
  for_each(out.shape, [&](int n, int c, int h, int w) {
    out.at(n, c, h, w) = in.at(n, c, h / workload.factors[0], w / workload.factors[1]);
  });
}

void upsample_bilinear(const Workload& workload, const Image& in, Image& out) {
  // Half-pixel centres: output pixel i lies at (i + 1/2) / factor - 1/2, clamped into the image.
  const auto place = [](int i, int factor, int size) {
    return std::clamp((i + 0.5) / factor - 0.5, 0.0, size - 1.0);
  };
  for_each(out.shape, [&](int n, int c, int h, int w) {
    const double y = place(h, workload.factors[0], in.shape.h());
    const double x = place(w, workload.factors[1], in.shape.w());
    const int y0 = static_cast<int>(y);
    const int x0 = static_cast<int>(x);
    const int y1 = std::min(y0 + 1, in.shape.h() - 1);
    const int x1 = std::min(x0 + 1, in.shape.w() - 1);
    const double top = std::lerp(in.at(n, c, y0, x0), in.at(n, c, y0, x1), x - x0);
    const double bottom = std::lerp(in.at(n, c, y1, x0), in.at(n, c, y1, x1), x - x0);
    out.at(n, c, h, w) = std::lerp(top, bottom, y - y0);
  });
}

/// Element of the second source that belongs to one of the first: sizes of 1 are repeated.
double repeated(const Image& other, int n, int c, int h, int w) {
  const TensorShape& s = other.shape;
  return other.at(s.n() == 1 ? 0 : n, s.c() == 1 ? 0 : c, s.h() == 1 ? 0 : h, s.w() == 1 ? 0 : w);
}

void upsample_corners(const Image& in, Image& out) {
  const auto place = [](int i, int from, int to) {
    return to > 1 ? double{1} * i * (from - 1) / (to - 1) : 0.0;
  };
  for_each(out.shape, [&](int n, int c, int h, int w) {
    const double y = place(h, in.shape.h(), out.shape.h());
    const double x = place(w, in.shape.w(), out.shape.w());
    const int y0 = static_cast<int>(y);
    const int x0 = static_cast<int>(x);
    const int y1 = std::min(y0 + 1, in.shape.h() - 1);
    const int x1 = std::min(x0 + 1, in.shape.w() - 1);
    const double top = std::lerp(in.at(n, c, y0, x0), in.at(n, c, y0, x1), x - x0);
    const double bottom = std::lerp(in.at(n, c, y1, x0), in.at(n, c, y1, x1), x - x0);
    out.at(n, c, h, w) = std::lerp(top, bottom, y - y0);
  });
}

void layer_norm(const Workload& workload, const Parameters& parameters, const Image& in,
                Image& out) {
  TensorShape pixels = in.shape;
  pixels.c() = 1;
  const int channels = in.shape.c();
  for_each(pixels, [&](int n, int, int h, int w) {
    double sum = 0;
    for (int c = 0; c < channels; ++c) sum += in.at(n, c, h, w);
    const double mean = sum / channels;
    double squares = 0;
    for (int c = 0; c < channels; ++c) {
      const double difference = in.at(n, c, h, w) - mean;
      squares += difference * difference;
    }
    const double scale = 1 / std::sqrt(squares / channels + workload.epsilon);
    for (int c = 0; c < channels; ++c) {
      const double bias = parameters.bias.as<float>() ? parameters.bias.as<float>()[c] : 0;
      out.at(n, c, h, w) =
          (in.at(n, c, h, w) - mean) * scale * parameters.weights.as<float>()[c] + bias;
    }
  });
}

/// Operations that only move values: where each element of the result comes from.
void rearrange(const Workload& workload, const Image& in, Image& out) {
  const int fh = workload.factors[0], fw = workload.factors[1];
  for_each(out.shape, [&](int n, int c, int h, int w) {
    double value = 0;
    switch (workload.op) {
      case Op::slice:
        value = in.at(n, workload.begin + c * workload.step, h, w);
        break;
      case Op::shuffle: {
        const int groups = workload.groups;
        value = in.at(n, c % groups * (in.shape.c() / groups) + c / groups, h, w);
        break;
      }
      case Op::pad: {
        const int y = h - workload.pads[0];
        const int x = w - workload.pads[2];
        if (y >= 0 && y < in.shape.h() && x >= 0 && x < in.shape.w()) value = in.at(n, c, y, x);
        break;
      }
      case Op::depth_to_space:
        value = in.at(n, (c * fh + h % fh) * fw + w % fw, h / fh, w / fw);
        break;
      default: {  // transpose
        int at[4] = {};
        const int index[4] = {n, c, h, w};
        for (std::size_t i = 0; i < 4; ++i) at[workload.order[i]] = index[i];
        value = in.at(at[0], at[1], at[2], at[3]);
      }
    }
    out.at(n, c, h, w) = value;
  });
}

/// SplitMix64, a generator whose i-th value can be computed without the ones before it.
double uniform(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0x9E3779B97F4A7C15ULL + (index + 1) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-52 - 1;
}

/// Everything but the epilogue.
void compute_image(const Workload& workload, const Parameters& parameters,
                   std::span<const TensorView> sources, Image& out) {
  const Quantisation& scales = parameters.scales;
  Image in = read_image(sources[0], scales.input, scales.input_zero);
  if (workload.scaled) {
    const Image factors = read_image(sources[1], 1, 0);
    for_each(in.shape, [&](int n, int c, int h, int w) {
      in.at(n, c, h, w) *= repeated(factors, n, c, h, w);
    });
  }
  switch (workload.op) {
    case Op::conv:
      convolve(workload.shape, {workload, parameters}, parameters.bias, in, out);
      break;
    case Op::fully_connected:
      fully_connected(workload.shape, {workload, parameters}, parameters.bias, in, out);
      break;
    case Op::convert:
    case Op::activation:
      out.values = in.values;
      break;
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      pool(workload, in, out);
      break;
    case Op::slice:
    case Op::shuffle:
    case Op::pad:
    case Op::depth_to_space:
    case Op::transpose:
      rearrange(workload, in, out);
      break;
    case Op::layer_norm:
      layer_norm(workload, parameters, in, out);
      break;
    case Op::upsample_corners:
      upsample_corners(in, out);
      break;
    case Op::concat: {
      int first = 0;
      for (const TensorView& source : sources) {
        const Image part = read_image(source, scales.input, scales.input_zero);
        for_each(part.shape, [&](int n, int c, int h, int w) {
          out.at(n, first + c, h, w) = part.at(n, c, h, w);
        });
        first += part.shape.c();
      }
      break;
    }
    case Op::softmax:
      softmax(in, out);
      break;
    case Op::lrn:
      lrn(workload, in, out);
      break;
    case Op::upsample_nearest:
      upsample_nearest(workload, in, out);
      break;
    case Op::upsample_bilinear:
      upsample_bilinear(workload, in, out);
      break;
    default: {  // of two tensors
      const bool is_scaled = is_quantised(workload.source_type(1));
      const Image other = is_scaled ? read_image(sources[1], scales.residual, scales.residual_zero)
                                    : read_image(sources[1], 1, 0);
      for_each(out.shape, [&](int n, int c, int h, int w) {
        out.at(n, c, h, w) = combine(workload.op, in.at(n, c, h, w), repeated(other, n, c, h, w));
      });
    }
  }
}

/// A whole number from 0 to count - 1 for a value in [-1, 1).
float whole_number(float value, int count) {
  return std::floor(
      std::min((value + 1) / 2 * static_cast<float>(count), static_cast<float>(count - 1)));
}

/// Quarters: several values are equal, and some are zero.
float coarse(float value) { return std::round(4 * value) / 4; }

using Map = std::function<float(float)>;

/// Makes of a random value an argument for which an activation is defined and not linear.
Map value_of_argument(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::log:
      return [](float x) { return 1.1F + x; };
    case ActivationKind::acosh:
      return [](float x) { return 2.1F + x; };
    case ActivationKind::atanh:
      return [](float x) { return 0.95F * x; };
    case ActivationKind::sign:
    case ActivationKind::floor:
    case ActivationKind::ceil:
    case ActivationKind::round:
    case ActivationKind::truncate:
    case ActivationKind::is_zero:
      return [](float x) { return x < 0 ? 4 * x : 2 * coarse(x); };
    case ActivationKind::is_nan:
      return [](float x) { return x < 0 ? std::numeric_limits<float>::quiet_NaN() : x; };
    default:
      return {};
  }
}

float longer_side(const Workload& workload) {
  return static_cast<float>(std::max(workload.first[2], workload.first[3]));
}

/// Makes of a random value in [-1, 1) an element of a source; empty: the value itself.
Map value_of_source(const Workload& workload, int source) {
  switch (workload.op) {
    case Op::activation:
      return value_of_argument(workload.epilogue.activation.kind);
    case Op::power:
      if (source == 1) return {};
      return [](float x) { return 1.25F + x; };
    case Op::modulo:
    case Op::remainder:
      // Divisors away from zero, and dividends beyond them.
      if (source == 0) return [](float x) { return 4 * x; };
      return [](float x) { return x < 0 ? x - 0.25F : x + 0.25F; };
    case Op::equal:
    case Op::less:
    case Op::less_or_equal:
    case Op::arg_maximum:
    case Op::arg_minimum:
    case Op::top_k:
    case Op::top_k_indices:
      return coarse;
    case Op::reduce_sum:
    case Op::reduce_mean:
      // Sums that are no near zeros: their errors are measured against them.
      return [](float x) { return 0.75F + x; };
    case Op::select:
      if (source == 0) return [](float x) { return x < 0 ? 0.0F : x; };
      return {};
    case Op::grid_sample:
      if (source == 0) return {};
      // Coordinates up to two elements outside of the image's longer side.
      return [last = longer_side(workload) + 1.5F](float x) { return (x + 1) / 2 * last - 2; };
    case Op::roi_average:
    case Op::roi_maximum:
      if (source == 0) return {};
      if (source == 1) {
        return [last = longer_side(workload) + 1.5F](float x) { return (x + 1) / 2 * last - 2; };
      }
      return [count = workload.first[0]](float x) { return whole_number(x, count); };
    case Op::gather:
    case Op::gather_elements:
    case Op::scatter:
    case Op::scatter_add:
    case Op::scatter_multiply:
    case Op::scatter_maximum:
    case Op::scatter_minimum:
      if (source != 1) return {};
      // Some count from the end.
      return [count = workload.first[workload.axis]](float x) {
        const float number = whole_number(x, count);
        return x > 0.5F ? number - static_cast<float>(count) : number;
      };
    default:
      return {};
  }
}

}  // namespace

void run(const Workload& workload, const Parameters& parameters, const RunArgs& args) {
  Tensor result(workload.output());
  if (workload.is_image()) {
    Image image(result.shape);
    compute_image(workload, parameters, args.sources, image);
    result.values = std::move(image.values);
  } else {
    std::vector<Tensor> sources;
    for (const TensorView& source : args.sources) sources.push_back(read(source));
    compute_plain(workload, parameters, sources, result);
  }
  const Epilogue& epilogue = workload.epilogue;
  if (epilogue.residual) {
    const Tensor residual = read(args.residual);
    const double scale = parameters.scales.residual;
    const int zero = parameters.scales.residual_zero;
    for (std::size_t i = 0; i < result.values.size(); ++i) {
      result.values[i] += scale * (residual.values[i] - zero);
    }
  }
  const TensorView& destination = args.destination;
  const DataType type = workload.output_type;
  const bool in_steps = workload.is_image() && is_quantised(type);
  const double least = smallest_number(type), most = largest_number(type);
  auto value = result.values.begin();
  for_each_row(result.shape, [&](const Index& index) {
    const Row row(destination, index);
    for (int i = 0; i < row.size; ++i) {
      double number = activate(epilogue.activation, *value++);
      if (in_steps) {
        const Quantisation& scales = parameters.scales;
        number = std::clamp(number / scales.output + scales.output_zero, least, most);
      }
      if (in_steps && !is_real(destination.type)) number = std::nearbyint(number);
      row.set(i, static_cast<float>(number));
    }
  });
  clear_tail(destination);
}

void fill_random(const TensorView& view, std::uint64_t seed) {
  std::uint64_t number = 0;
  for_each_row(view.shape, [&](const Index& index) {
    const Row row(view, index);
    for (int i = 0; i < row.size; ++i) row.set(i, static_cast<float>(uniform(seed, number++)));
  });
  clear_tail(view);
}

void fill_random(float* data, std::int64_t count, std::uint64_t seed, float scale) {
  for (std::int64_t i = 0; i < count; ++i) {
    data[i] = scale * static_cast<float>(uniform(seed, static_cast<std::uint64_t>(i)));
  }
}

void fill_random(const TensorView& view, DataType type, std::uint64_t seed) {
  std::uint64_t number = 0;
  const double shift = type == DataType::u8 ? 1 : 0;
  const double steps = largest_number(type) / (1 + shift);
  for_each_row(view.shape, [&](const Index& index) {
    const Row row(view, index);
    for (int i = 0; i < row.size; ++i) {
      const double value = steps * (uniform(seed, number++) + shift);
      row.set(i, quantised(static_cast<float>(value), type));
    }
  });
  clear_tail(view);
}

void fill_source(const Workload& workload, int source, const TensorView& view, std::uint64_t seed) {
  const DataType type = workload.source_type(source);
  if (workload.is_image() && is_quantised(type)) return fill_random(view, type, seed);
  fill_random(view, seed);
  const auto map = value_of_source(workload, source);
  if (!map) return;
  for_each_row(view.shape, [&](const Index& index) {
    const Row row(view, index);
    for (int i = 0; i < row.size; ++i) row.set(i, map(row[i]));
  });
}

void fill_residual(const Workload& workload, const TensorView& view, std::uint64_t seed) {
  const DataType type = workload.residual_type();
  if (is_quantised(type)) return fill_random(view, type, seed);
  fill_random(view, seed);
}

Quantisation scales_for(const Workload& workload, double largest) {
  // Results beyond the range become its limits.
  constexpr float kShare = 0.9F;
  const DataType input = workload.input_type, output = workload.output_type;
  Quantisation scales;
  if (!workload.is_image()) return scales;
  // Any but the middle, which other mistakes may lead to.
  constexpr int kZero = 101;
  if (workload.zero_points) {
    if (input == DataType::u8) scales.input_zero = kZero;
    if (output == DataType::u8 && workload.op == Op::convert) scales.output_zero = kZero;
  }
  if (is_quantised(input)) scales.input = 1 / largest_number(input);
  if (!is_quantised(output)) return scales;
  if (!(largest > 0)) largest = 1;
  const Activation& activation = workload.epilogue.activation;
  const bool in_steps = activation.kind == ActivationKind::quantise;
  const bool keeps = keeps_scale(workload.op) || workload.op == Op::convert;
  scales.output = in_steps ? activation.alpha
                  : input == output && keeps
                      ? scales.input
                      : kShare * static_cast<float>(largest) / largest_number(output);
  if (workload.epilogue.residual) scales.residual = 1 / largest_number(workload.residual_type());
  if (workload.op == Op::add && is_quantised(input))
    scales.residual = 1 / largest_number(workload.source_type(1));
  return scales;
}

void fill_weights(const Workload& workload, std::span<float> weights, std::uint64_t seed,
                  float scale) {
  // The variance of U(-s, s) is s^2 / 3; He's rule asks for 2 / reduction.
  if (workload.bias_elements() > 0) {
    const double reduction = static_cast<double>(workload.weight_elements()) /
                             static_cast<double>(workload.bias_elements());
    scale *= static_cast<float>(std::sqrt(6 / reduction));
  }
  fill_random(weights.data(), std::ssize(weights), seed, scale);
  if (workload.op != Op::resample) return;
  const std::span<float> indices = weights.first(weights.size() / 2);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    indices[i] = whole_number(static_cast<float>(uniform(seed, i)), workload.first[workload.axis]);
  }
}

double max_relative_error(const TensorView& result, const TensorView& expected, double magnitude) {
  double error = 0;
  if (is_quantised(result.type)) magnitude = largest_number(result.type);
  bool right = true;  // where a value is not finite
  for_each_row(expected.shape, [&](const Index& index) {
    const Row wanted(expected, index), found(result, index);
    for (int i = 0; i < wanted.size; ++i) {
      const double want = wanted[i];
      const double got = found[i];
      if (!std::isfinite(want) || !std::isfinite(got)) {
        right = right && (got == want || (std::isnan(got) && std::isnan(want)));
        continue;
      }
      error = std::max(error, std::abs(got - want));
      magnitude = std::max(magnitude, std::abs(want));
    }
  });
  if (!right) return std::numeric_limits<double>::infinity();
  if (error == 0) return 0;
  return error / magnitude;
}

double least_magnitude(const Workload& workload) {
  const Activation& activation = workload.epilogue.activation;
  const double steps = most_steps(activation) * double{activation.alpha};
  const bool cancels = workload.op == Op::grid_sample || workload.op == Op::resample;
  return cancels ? std::max(steps, 1.0) : steps;
}

namespace {

/// Whether nothing makes terms of a sum differ whose numbers are alike: no weights, or weights that
/// are all the same, as in files whose weights were left out to save space.
bool terms_may_be_alike(const Workload& workload, const Parameters& parameters) {
  if (!workload.has_weights()) return true;
  const std::span<const float> weights(parameters.weights.as<float>(),
                                       static_cast<std::size_t>(parameters.weights.count));
  return std::ranges::all_of(weights, [&](float weight) { return weight == weights[0]; });
}

}  // namespace

double condition(const Workload& workload, const Parameters& parameters,
                 std::span<const TensorView> sources, const TensorView& expected) {
  if (!is_real(workload.input_type) || !is_real(workload.output_type) || sources.empty() ||
      descriptor(workload.op).reduction_length(workload) <= 1) {
    return 0;
  }
  Workload sums = workload.of_type(DataType::f32);
  sums.input_type = workload.input_type;  // weights are rounded to it
  sums.epilogue = {};
  const auto compute = [&](const TensorView& first) {
    std::vector<TensorView> views(sources.begin(), sources.end());
    views.front() = first;
    std::vector<float> result(static_cast<std::size_t>(sums.output().elements()));
    run(sums, parameters,
        {views, TensorView::dense(result.data(), sums.output(), Layout::nchw), {}, nullptr});
    return result;
  };
  const auto each = [](const TensorView& view, const auto& function) {
    for_each_row(view.shape, [&](const Index& index) {
      const Row row(view, index);
      for (int i = 0; i < row.size; ++i) function(double{row[i]});
    });
  };
  const auto largest = [](double most, double value) {
    return std::isfinite(value) ? std::max(most, std::abs(value)) : most;
  };
  const std::vector<float> exact = compute(sources.front());
  double sensitivity = std::accumulate(exact.begin(), exact.end(), 0.0, largest);
  // Changes of many unit roundoffs, so that rounding to float does not show in them. Several
  // directions, because in one the changes of a single sum may cancel.
  constexpr double kChange = 0x1p-18;
  constexpr std::uint64_t kDirections = 4;
  const TensorShape& shape = sources.front().shape;
  std::vector<float> changed;
  for (std::uint64_t direction = 0; direction < kDirections; ++direction) {
    changed.clear();
    each(sources.front(), [&](double value) {
      const double sign = uniform(direction, changed.size()) < 0 ? -1 : 1;
      changed.push_back(static_cast<float>(value * (1 + sign * kChange)));
    });
    const std::vector<float> other =
        compute(TensorView::dense(changed.data(), shape, Layout::nchw));
    for (std::size_t i = 0; i < exact.size(); ++i) {
      sensitivity = largest(sensitivity, (double{other[i]} - double{exact[i]}) / kChange);
    }
  }
  double most = std::numeric_limits<double>::min();
  each(expected, [&](double value) { most = largest(most, value); });
  const double condition = sensitivity / most;
  return terms_may_be_alike(workload, parameters)
             ? std::max(condition, condition_of_equal_terms(workload))
             : condition;
}

bool tail_is_zero(const TensorView& view) {
  bool zero = true;
  for_each_in_tail(view,
                   [&](const std::int64_t offset) { zero = zero && load(view, offset) == 0; });
  return zero;
}

}  // namespace convopt::reference
