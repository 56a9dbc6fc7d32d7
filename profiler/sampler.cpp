#include "profiler/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_set>

#include "core/ops/descriptor.h"
#include "profiler/random.h"

namespace convopt {
namespace {

// Channel counts and image sizes that networks are made of (VGG, ResNet, Inception, MobileNet,
// EfficientNet, DenseNet, YOLO, U-Net, SSD). Two thirds of the draws come from these lists, the
// rest from the whole range, so that the model is densest where it will be asked.
constexpr int kChannels[] = {8,   16,  24,  32,  40,  48,   64,   80,   96,   112,  128, 144, 160,
                             192, 224, 240, 256, 288, 320,  384,  448,  480,  512,  576, 640, 672,
                             728, 768, 832, 896, 960, 1024, 1152, 1280, 1536, 2048, 4096};
constexpr int kSizes[] = {5,   7,   8,   10,  13,  14,  16,  17,  19,  26,  27,  28,  32,
                          35,  38,  52,  55,  56,  64,  71,  75,  80,  104, 112, 128, 147,
                          149, 150, 160, 208, 224, 256, 299, 300, 320, 416, 512};
constexpr int kMaxChannels = 4096, kMinSize = 5, kMaxSize = 512;

/// Of tensors that are moved rather than multiplied: 64 MiB.
constexpr std::int64_t kMaxElements = 1LL << 24U;

int draw_channels(Random& random) {
  const double choice = random.unit();
  if (choice < 0.70) return random.pick<int>(kChannels);
  if (choice < 0.90) return 8 * random.octave_uniform(2, kMaxChannels / 8);
  return random.octave_uniform(1, kMaxChannels);
}

int draw_size(Random& random) {
  return random.chance(0.65) ? random.pick<int>(kSizes) : random.octave_uniform(kMinSize, kMaxSize);
}

void draw_image(Random& random, ConvShape& shape) {
  shape.ih = shape.iw = draw_size(random);
  if (random.chance(0.12)) shape.iw = draw_size(random);
}

/// Output channels as networks relate them to input channels: kept, doubled or halved at a change
/// of resolution, times or by four in a bottleneck, or anything.
int draw_output_channels(Random& random, int ic) {
  const double choice = random.unit();
  int oc = ic;
  if (choice < 0.30) {
    oc = ic;
  } else if (choice < 0.42) {
    oc = ic * 2;
  } else if (choice < 0.50) {
    oc = ic / 2;
  } else if (choice < 0.60) {
    oc = ic * 4;
  } else if (choice < 0.70) {
    oc = ic / 4;
  } else {
    oc = draw_channels(random);
  }
  return std::clamp(oc, 1, kMaxChannels);
}

enum class Padding { same, symmetric, valid };

/// `same` keeps ceil(size / stride) and puts the odd row at the bottom, `symmetric` pads half the
/// kernel on every side: TensorFlow's and PyTorch's habit; they differ for strides above one.
void pad(ConvShape& s, Padding padding) {
  const auto one = [&](int size, int extent, int stride, int& before, int& after) {
    if (padding == Padding::valid) {
      before = after = 0;
    } else if (padding == Padding::symmetric) {
      before = after = (extent - 1) / 2;
    } else {
      const int outputs = (size + stride - 1) / stride;
      const int total = std::max(0, (outputs - 1) * stride + extent - size);
      before = total / 2;
      after = total - before;
    }
  };
  one(s.ih, s.extent_h(), s.stride_h, s.pad_top, s.pad_bottom);
  one(s.iw, s.extent_w(), s.stride_w, s.pad_left, s.pad_right);
}

Padding draw_padding(Random& random) {
  const double choice = random.unit();
  if (choice < 0.60) return Padding::symmetric;
  return choice < 0.85 ? Padding::same : Padding::valid;
}

struct KernelKind {
  int kh, kw;
  double weight;
  enum Form { dense, depthwise, grouped, first_layer } form = dense;
};
constexpr KernelKind kKernels[] = {
    {1, 1, 30},
    {3, 3, 30},
    {5, 5, 6},
    {7, 7, 3},
    {11, 11, 1.5},
    {1, 7, 2},
    {7, 1, 2},
    {1, 3, 2},
    {3, 1, 2},
    {2, 2, 1},
    {1, 1, 1.5, KernelKind::grouped},
    {3, 3, 4, KernelKind::grouped},
    {3, 3, 6, KernelKind::depthwise},
    {5, 5, 2.5, KernelKind::depthwise},
    {7, 7, 1, KernelKind::depthwise},
    {3, 3, 2.5, KernelKind::first_layer},
    {5, 5, 0.5, KernelKind::first_layer},
    {7, 7, 1.5, KernelKind::first_layer},
    {11, 11, 1, KernelKind::first_layer},
};

const KernelKind& draw_kernel(Random& random) {
  double total = 0;
  for (const auto& kind : kKernels) total += kind.weight;
  double left = random.unit() * total;
  for (const auto& kind : kKernels) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return kKernels[0];
}

int draw_stride(Random& random, const KernelKind& kind) {
  if (kind.kh != kind.kw) return 1;
  if (kind.form == KernelKind::first_layer) {
    if (kind.kh == 11) return 4;
    return random.chance(0.6) ? 2 : 1;
  }
  if (kind.kh == 2) return 2;
  const double choice = random.unit();
  if (choice < 0.76) return 1;
  return choice < 0.97 || kind.kh == 1 ? 2 : 4;
}

Epilogue draw_epilogue(Random& random) {
  Epilogue epilogue;
  const double choice = random.unit();
  if (choice < 0.28) return epilogue;
  if (choice < 0.80) {
    epilogue.activation.kind = ActivationKind::relu;
  } else if (choice < 0.90) {
    epilogue.residual = true;
    epilogue.activation.kind = ActivationKind::relu;
  } else if (choice < 0.93) {
    epilogue.residual = true;
  } else if (choice < 0.96) {
    epilogue.activation = {ActivationKind::clip, 0.0F, 6.0F};
  } else if (choice < 0.98) {
    epilogue.activation = {ActivationKind::leaky_relu, 0.1F, 0.0F};
  } else {
    epilogue.activation.kind = ActivationKind::swish;
  }
  return epilogue;
}

Workload draw_conv(Random& random, int batch) {
  const KernelKind& kind = draw_kernel(random);
  ConvShape s;
  s.n = batch;
  s.kh = kind.kh;
  s.kw = kind.kw;
  s.stride_h = s.stride_w = draw_stride(random, kind);
  draw_image(random, s);
  switch (kind.form) {
    case KernelKind::dense:
      s.ic = draw_channels(random);
      s.oc = draw_output_channels(random, s.ic);
      break;
    case KernelKind::depthwise:
      s.ic = s.oc = s.groups = draw_channels(random);
      break;
    case KernelKind::grouped: {
      constexpr int kGroups[] = {2, 2, 3, 4, 8, 16, 32, 32, 64};
      s.groups = random.pick<int>(kGroups);
      s.ic = std::max(1, draw_channels(random) / s.groups) * s.groups;
      s.oc = std::max(1, draw_output_channels(random, s.ic) / s.groups) * s.groups;
      break;
    }
    case KernelKind::first_layer: {
      constexpr int kOutputs[] = {16, 24, 32, 32, 48, 64, 64, 96};
      constexpr int kInputs[] = {3, 3, 3, 3, 3, 3, 1, 4};
      s.ic = random.pick<int>(kInputs);
      s.oc = random.pick<int>(kOutputs);
      constexpr int kImages[] = {96, 128, 160, 192, 224, 224, 224, 227, 256, 299, 300, 416, 512};
      s.ih = s.iw = random.pick<int>(kImages);
      break;
    }
  }
  const Padding padding = draw_padding(random);
  if (kind.kh == 3 && kind.kw == 3 && s.stride_h == 1 && random.chance(0.05)) {
    constexpr int kDilations[] = {2, 2, 4, 6, 12};
    s.dilation_h = s.dilation_w = random.pick<int>(kDilations);
  }
  pad(s, kind.kh == 2 ? Padding::valid : padding);
  return Workload::conv(s, draw_epilogue(random));
}

Workload draw_pool(Random& random, Op op, int batch) {
  ConvShape s;
  s.n = batch;
  s.ic = s.oc = s.groups = draw_channels(random);
  draw_image(random, s);
  const double choice = random.unit();
  if (op != Op::max_pool && choice < 0.5) {  // global
    s.kh = s.ih;
    s.kw = s.iw;
  } else if (choice < 0.6) {
    s.kh = s.kw = s.stride_h = s.stride_w = 2;
  } else {
    s.kh = s.kw = 3;
    s.stride_h = s.stride_w = random.chance(0.7) ? 2 : 1;
    pad(s, draw_padding(random));
  }
  return Workload::pool(op, s);
}

TensorShape draw_tensor(Random& random, int batch) {
  ConvShape image;
  draw_image(random, image);
  return {batch, draw_channels(random), image.ih, image.iw};
}

Workload draw_concat(Random& random, int batch) {
  TensorShape shape = draw_tensor(random, batch);
  std::vector<int> parts(static_cast<std::size_t>(2 + random.below(3)));
  shape.c() = 0;
  for (int& part : parts) shape.c() += part = draw_channels(random);
  return Workload::concat(shape, std::move(parts));
}

Workload draw_fully_connected(Random& random, int batch) {
  constexpr int kInputs[] = {256, 512, 1024, 1024, 1280, 2048, 2048, 4096, 9216, 25088};
  constexpr int kOutputs[] = {10, 100, 128, 512, 1000, 1000, 1000, 2048, 4096};
  const int ic = random.chance(0.6) ? random.pick<int>(kInputs) : random.octave_uniform(64, 25088);
  const int oc = random.chance(0.6) ? random.pick<int>(kOutputs) : random.octave_uniform(8, 4096);
  Activation activation;
  if (random.chance(0.4)) activation.kind = ActivationKind::relu;
  return Workload::fully_connected(batch, ic, oc, activation);
}

Activation draw_activation(Random& random) {
  constexpr ActivationKind kKinds[] = {ActivationKind::relu,       ActivationKind::relu,
                                       ActivationKind::relu,       ActivationKind::clip,
                                       ActivationKind::sigmoid,    ActivationKind::swish,
                                       ActivationKind::hard_swish, ActivationKind::leaky_relu};
  Activation activation{random.pick<ActivationKind>(kKinds), 0.0F, 0.0F};
  if (activation.kind == ActivationKind::clip) activation.beta = 6.0F;
  if (activation.kind == ActivationKind::leaky_relu) activation.alpha = 0.1F;
  return activation;
}

Workload draw(Random& random, Op op, int batch) {
  switch (op) {
    case Op::conv:
      return draw_conv(random, batch);
    case Op::max_pool:
    case Op::avg_pool_include:
    case Op::avg_pool_exclude:
      return draw_pool(random, op, batch);
    case Op::fully_connected:
      return draw_fully_connected(random, batch);
    case Op::concat:
      return draw_concat(random, batch);
    case Op::lrn:
      return Workload::lrn(draw_tensor(random, batch), 5);
    case Op::upsample_nearest:
    case Op::upsample_bilinear:
    case Op::upsample_corners:
      return Workload::upsample(op, draw_tensor(random, batch), 2, 2);
    case Op::softmax: {
      TensorShape shape = draw_tensor(random, batch);
      if (random.chance(0.7)) shape.h() = shape.w() = 1;
      return Workload::pointwise(op, shape);
    }
    case Op::activation: {
      const TensorShape shape = draw_tensor(random, batch);
      return Workload::pointwise(op, shape, {false, draw_activation(random)});
    }
    case Op::add: {
      Epilogue epilogue;
      if (random.chance(0.6)) epilogue.activation.kind = ActivationKind::relu;
      return Workload::pointwise(op, draw_tensor(random, batch), epilogue);
    }
    case Op::multiply:
    case Op::subtract:
    case Op::divide: {
      const TensorShape first = draw_tensor(random, batch);
      TensorShape second = first;
      // A factor per channel, as squeeze-and-excitation has it.
      if (random.chance(0.6)) second.h() = second.w() = 1;
      return Workload::binary(op, first, second);
    }
    case Op::slice: {
      const TensorShape shape = draw_tensor(random, batch);
      const int half = shape.c() / 2;
      return Workload::slice(shape, random.chance(0.5) ? half : 0, std::max(1, half), 1);
    }
    case Op::shuffle: {
      constexpr int kGroups[] = {2, 2, 3, 4, 8};
      const int groups = random.pick<int>(kGroups);
      TensorShape shape = draw_tensor(random, batch);
      shape.c() = std::max(1, shape.c() / groups) * groups;
      return Workload::shuffle(shape, groups);
    }
    case Op::pad: {
      const int margin = random.chance(0.8) ? 1 : 3;
      return Workload::pad(draw_tensor(random, batch), margin, margin, margin, margin);
    }
    case Op::depth_to_space: {
      TensorShape shape = draw_tensor(random, batch);
      shape.c() = std::max(1, shape.c() / 4) * 4;
      return Workload::depth_to_space(shape, 2, 2);
    }
    case Op::transpose:
      return Workload::transpose(draw_tensor(random, batch), {0, 2, 3, 1});
    case Op::layer_norm:
      return Workload::layer_norm(draw_tensor(random, batch), 1e-6F);
    case Op::convert:
      break;
  }
  return Workload::pointwise(Op::convert, draw_tensor(random, batch));
}

bool within(const SampleLimits& limits, const Workload& workload) {
  if (!workload.validate()) return false;
  std::int64_t elements = workload.output().elements();
  for (int i = 0; i < workload.source_count(); ++i) elements += workload.source(i).elements();
  if (workload.has_weights()) {
    const double flops = geometry(workload).flops();
    if (flops < limits.min_flops || flops > limits.max_flops) return false;
    elements += workload.weight_elements();
  } else if (elements > kMaxElements) {
    return false;
  }
  return static_cast<std::size_t>(elements) * sizeof(float) <= limits.max_bytes;
}

/// Large layers cost as much time as dozens of small ones and behave more regularly, so beyond
/// 0.2 GFLOP they are drawn with a probability that falls with the root of their work: the mean
/// falls from 1 GFLOP to that of the networks' own layers.
bool accept(Random& random, const Workload& workload) {
  constexpr double kCommon = 0.2e9;
  const double flops = workload.has_weights() ? geometry(workload).flops() : 0;
  return flops <= kCommon || random.unit() < std::sqrt(kCommon / flops);
}

// What comes after every second convolution, in turn: conversions most often, because every plan is
// full of them, then what networks have many of.
constexpr std::array kOthers = {Op::convert,
                                Op::max_pool,
                                Op::add,
                                Op::convert,
                                Op::activation,
                                Op::concat,
                                Op::avg_pool_include,
                                Op::convert,
                                Op::add,
                                Op::fully_connected,
                                Op::lrn,
                                Op::avg_pool_exclude,
                                Op::convert,
                                Op::softmax,
                                Op::max_pool,
                                Op::upsample_nearest,
                                Op::concat,
                                Op::upsample_bilinear,
                                Op::multiply,
                                Op::convert,
                                Op::slice,
                                Op::fully_connected,
                                Op::add,
                                Op::shuffle,
                                Op::layer_norm,
                                Op::convert,
                                Op::multiply,
                                Op::pad,
                                Op::max_pool,
                                Op::transpose,
                                Op::convert,
                                Op::depth_to_space,
                                Op::subtract,
                                Op::fully_connected,
                                Op::activation,
                                Op::upsample_corners,
                                Op::convert,
                                Op::divide};

Op scheduled(std::size_t turn) {
  return turn % 3 == 2 ? kOthers[turn / 3 % kOthers.size()] : Op::conv;
}

/// Draws one kind of workload; every kind has its own stream, so leaving some out changes no other.
class Stream {
 public:
  Stream(std::uint64_t seed, Op op)
      : op_(op), random_(Random(seed).bits() + static_cast<std::uint64_t>(op) + 1) {}

  std::optional<Workload> next(const SampleLimits& limits) {
    // About one draw in four is within the default limits; only a space that is all but empty needs
    // this many.
    constexpr int kPatience = 20000;
    for (int attempt = 0; attempt < kPatience && !exhausted_; ++attempt) {
      Workload workload = draw(random_, op_, limits.batch);
      if (within(limits, workload) && accept(random_, workload) &&
          seen_.insert(workload.text()).second)
        return workload;
    }
    exhausted_ = true;
    return std::nullopt;
  }

 private:
  Op op_;
  Random random_;
  std::unordered_set<std::string> seen_;
  bool exhausted_ = false;
};

}  // namespace

std::vector<Workload> sample_workloads(std::size_t count, std::uint64_t seed,
                                       const SampleLimits& limits) {
  std::vector<Stream> streams;
  for (int op = 0; op < kOpCount; ++op) streams.emplace_back(seed, static_cast<Op>(op));
  const auto wanted = [&](Op op) {
    return limits.ops.empty() || std::ranges::find(limits.ops, op) != limits.ops.end();
  };
  std::vector<Workload> samples;
  // A whole cycle without a sample: nothing is left.
  constexpr std::size_t kCycle = 3 * kOthers.size();
  for (std::size_t turn = 0, barren = 0; samples.size() < count && barren < kCycle; ++turn) {
    ++barren;
    const Op op = scheduled(turn);
    if (!wanted(op)) continue;
    if (auto workload = streams[static_cast<std::size_t>(op)].next(limits)) {
      samples.push_back(std::move(*workload));
      barren = 0;
    }
  }
  return samples;
}

}  // namespace convopt
