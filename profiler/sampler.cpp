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

void draw_pixels(Random& random, ConvShape& shape) {
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
  enum Form { dense, depthwise, grouped, first_layer, sound } form = dense;
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
    {1, 3, 4, KernelKind::sound},  // the width is drawn
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
  // Half of what people run today has SiLU or hard swish behind most convolutions (EfficientNet,
  // MobileNetV3, YOLO from its fifth version on), the other half ReLU.
  const double choice = random.unit();
  if (choice < 0.28) return epilogue;
  if (choice < 0.60) {
    epilogue.activation.kind = ActivationKind::relu;
  } else if (choice < 0.70) {
    epilogue.residual = true;
    epilogue.activation.kind = ActivationKind::relu;
  } else if (choice < 0.73) {
    epilogue.residual = true;
  } else if (choice < 0.77) {
    epilogue.activation = {ActivationKind::clip, 0.0F, 6.0F};
  } else if (choice < 0.80) {
    epilogue.activation = {ActivationKind::leaky_relu, 0.1F, 0.0F};
  } else if (choice < 0.92) {
    epilogue.activation.kind = ActivationKind::swish;
  } else {
    epilogue.activation.kind = ActivationKind::hard_swish;
  }
  return epilogue;
}

/// Layers of networks for sound and other sequences: a filter bank over the wave, temporal
/// convolutions, and long kernels over time and pitch.
void draw_sound(Random& random, ConvShape& s) {
  const double choice = random.unit();
  if (choice < 0.35) {
    constexpr int kFilters[] = {64, 128, 256, 256, 400, 512};
    s.kw = random.pick<int>(kFilters);
    s.iw = random.octave_uniform(512, 1 << 16);
    s.stride_w = random.octave_uniform(1, s.kw / 2);
    s.oc = random.octave_uniform(1, 2 * s.kw);
  } else if (choice < 0.75) {
    constexpr int kWidths[] = {2, 3, 3, 5, 7, 8, 9, 11, 15, 31};
    s.kw = random.pick<int>(kWidths);
    s.iw = random.octave_uniform(64, 4096);
    s.ic = std::min(draw_channels(random), 512);
    s.oc = std::min(draw_output_channels(random, s.ic), 512);
    if (random.chance(0.2)) s.oc = s.groups = s.ic;
    if (random.chance(0.3)) s.dilation_w = 1 << random.below(4);
    if (random.chance(0.2)) s.stride_w = 2;
  } else {
    constexpr int kLong[] = {5, 9, 15, 21, 39};
    s.kh = 3;
    s.kw = random.pick<int>(kLong);
    s.ih = random.octave_uniform(32, 256);
    s.iw = random.octave_uniform(32, 512);
    s.ic = random.octave_uniform(1, 64);
    s.oc = random.octave_uniform(1, 64);
    if (random.chance(0.3)) std::swap(s.kh, s.kw);
  }
}

Workload draw_conv(Random& random, int batch) {
  const KernelKind& kind = draw_kernel(random);
  ConvShape s;
  s.n = batch;
  s.kh = kind.kh;
  s.kw = kind.kw;
  s.stride_h = s.stride_w = draw_stride(random, kind);
  draw_pixels(random, s);
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
    case KernelKind::sound:
      s.ih = s.stride_h = s.stride_w = 1;
      draw_sound(random, s);
      break;
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
  draw_pixels(random, s);
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
  draw_pixels(random, image);
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

Workload draw_image(Random& random, Op op, int batch) {
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
    default: {
      const TensorShape first = draw_tensor(random, batch);
      if (descriptor(op).sources == 1) return Workload::pointwise(op, first);
      // Of two tensors.
      TensorShape second = first;
      // A factor per channel, as squeeze-and-excitation has it.
      if (random.chance(0.6)) second.h() = second.w() = 1;
      return Workload::binary(op, first, second);
    }
  }
}

/// Tensors as transformers, heads of detectors and OCR have them: (1, tokens, features), (heads,
/// tokens, tokens), (1, boxes, classes), (1, pixels, channels), rows of 1000 classes, vectors.
TensorShape draw_rows(Random& random, int batch) {
  constexpr int kTokens[] = {16, 25, 49, 50, 77, 128, 197, 256, 384, 512, 577, 1024};
  constexpr int kFeatures[] = {32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072};
  constexpr int kHeads[] = {1, 3, 4, 6, 8, 12, 16};
  constexpr int kBoxes[] = {300, 1344, 2125, 3549, 8400, 8732, 16800, 25200};
  constexpr int kClasses[] = {1, 2, 4, 5, 6, 16, 17, 64, 80, 81, 85, 91};
  constexpr int kLetters[] = {37, 97, 438, 1000, 6625};
  const double choice = random.unit();
  const int tokens =
      random.chance(0.7) ? random.pick<int>(kTokens) : random.octave_uniform(4, 2048);
  if (choice < 0.30) return {batch, tokens, random.pick<int>(kFeatures)};
  if (choice < 0.45) return {batch * random.pick<int>(kHeads), tokens, tokens};
  if (choice < 0.55) return {batch, random.pick<int>(kHeads), tokens, 64};
  if (choice < 0.75) return {batch, random.pick<int>(kBoxes), random.pick<int>(kClasses)};
  if (choice < 0.85) return {batch, random.pick<int>(kClasses), random.pick<int>(kBoxes)};
  if (choice < 0.92) return {batch, random.pick<int>(kTokens), random.pick<int>(kLetters)};
  if (choice < 0.97) return {batch, random.octave_uniform(10, 8192)};
  return {random.octave_uniform(1, 1 << 20)};
}

/// A second source of the same shape, or of a value for each row, for each column or for all.
TensorShape draw_repeated(Random& random, TensorShape shape) {
  const double choice = random.unit();
  if (choice < 0.4) return shape;
  const int last = shape.rank() - 1;
  for (int d = 0; d <= last; ++d) {
    if (choice >= 0.85 || (d == last) == (choice < 0.6)) shape[d] = 1;
  }
  return shape;
}

/// The last axis mostly.
int draw_axis(Random& random, const TensorShape& shape) {
  const int last = shape.rank() - 1;
  return random.chance(0.7) ? last : random.below(last + 1);
}

Workload draw_transpose(Random& random, int batch) {
  const double choice = random.unit();
  if (choice < 0.3) {  // a shuffle of channels
    constexpr int kSides[] = {7, 10, 14, 20, 28, 40, 56};
    constexpr int kHalves[] = {24, 58, 88, 116, 232, 244};
    const int side = random.pick<int>(kSides);
    return Workload::transpose({batch, 2, random.pick<int>(kHalves), side, side}, {0, 2, 1, 3, 4});
  }
  if (choice < 0.5) {  // windows of pixels
    constexpr int kWindows[] = {2, 4, 7, 8};
    constexpr int kFeatures[] = {3, 16, 48, 96, 192, 384};
    const int window = random.pick<int>(kWindows), across = 1 + random.below(8);
    return Workload::transpose({batch, across, window, across, window, random.pick<int>(kFeatures)},
                               {0, 1, 3, 2, 4, 5});
  }
  const TensorShape shape = draw_rows(random, batch);
  if (shape.rank() == 2) return Workload::transpose(shape, {1, 0});
  if (shape.rank() == 1) return Workload::transpose({shape[0], 4}, {1, 0});
  if (shape.rank() == 4)
    return Workload::transpose({batch, shape[1], shape[2], 3, 64}, {3, 0, 2, 1, 4});
  return Workload::transpose(shape, {0, 2, 1});
}

/// Scores of attention, their products with values, and layers of features.
Workload draw_matmul(Random& random, int batch) {
  constexpr int kTokens[] = {16, 25, 49, 50, 64, 77, 128, 197, 256, 384, 512, 577};
  constexpr int kFeatures[] = {32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 3072};
  constexpr int kHeads[] = {1, 2, 3, 4, 6, 8, 12, 16};
  const int tokens =
      random.chance(0.7) ? random.pick<int>(kTokens) : random.octave_uniform(4, 2048);
  const int features = random.pick<int>(kFeatures), results = random.pick<int>(kFeatures);
  const int heads = random.pick<int>(kHeads);
  constexpr int kHeadFeatures[] = {16, 32, 32, 64, 64, 64, 80, 128};
  const int inner = random.pick<int>(kHeadFeatures);
  const double choice = random.unit();
  if (choice < 0.3) {
    return Workload::matmul({batch, heads, tokens, inner}, {batch, heads, tokens, inner}, true);
  }
  if (choice < 0.6) {
    return Workload::matmul({batch, heads, tokens, tokens}, {batch, heads, tokens, inner}, false);
  }
  if (choice < 0.9)
    return Workload::matmul({batch, tokens, features}, {1, features, results}, false);
  return Workload::matmul({tokens, features}, {features, results}, random.chance(0.5));
}

/// Letters and words, frames of sound, columns of a line of text; or single steps of a stream.
Workload draw_recurrent(Random& random, Op op, int batch) {
  constexpr int kSteps[] = {1, 1, 16, 25, 33, 40, 64, 80, 100, 128};
  constexpr int kHidden[] = {8, 16, 48, 64, 96, 128, 128, 192, 256, 512};
  constexpr int kInputs[] = {8, 16, 40, 64, 80, 96, 128, 256, 288, 512};
  const int hidden = random.pick<int>(kHidden);
  const int directions = random.chance(0.4) ? 2 : 1;
  const int images = random.chance(0.8) ? batch : batch * random.octave_uniform(2, 32);
  Workload workload =
      Workload::recurrent(op, {random.pick<int>(kSteps), images, random.pick<int>(kInputs)},
                          {directions, images, hidden});
  if (op == Op::gru) workload.reset_after = random.chance(0.7) ? 1 : 0;
  return workload;
}

/// On tensors that are no images.
Workload draw_plain(Random& random, Op op, int batch) {
  if (op == Op::transpose) return draw_transpose(random, batch);
  if (op == Op::matmul) return draw_matmul(random, batch);
  if (op == Op::lstm || op == Op::gru) return draw_recurrent(random, op, batch);
  TensorShape shape = draw_rows(random, batch);
  switch (op) {
    case Op::activation: {
      constexpr ActivationKind kKinds[] = {
          ActivationKind::sigmoid,   ActivationKind::sigmoid, ActivationKind::gelu,
          ActivationKind::erf,       ActivationKind::relu,    ActivationKind::swish,
          ActivationKind::gelu_tanh, ActivationKind::exp,     ActivationKind::tanh,
          ActivationKind::log,       ActivationKind::abs,     ActivationKind::floor,
          ActivationKind::softplus,  ActivationKind::sin,     ActivationKind::cos,
          ActivationKind::mish};
      return Workload::pointwise(op, shape, {false, {random.pick<ActivationKind>(kKinds)}});
    }
    case Op::expand:
      return Workload::expand(draw_repeated(random, shape), shape);
    case Op::softmax:
      return Workload::along(op, shape, draw_axis(random, shape));
    case Op::slice: {
      Workload slice = Workload::along(op, shape, draw_axis(random, shape));
      const int size = shape[slice.axis];
      slice.step = size > 1 && random.chance(0.2) ? 2 : 1;
      slice.count = std::max(1, size / (slice.step * (1 + random.below(4))));
      slice.begin = random.below(size - (slice.count - 1) * slice.step);
      return slice;
    }
    case Op::concat: {
      Workload concat = Workload::along(op, shape, draw_axis(random, shape));
      concat.parts = {shape[concat.axis]};
      for (int more = 1 + random.below(3); more > 0; --more) {
        concat.parts.push_back(random.octave_uniform(1, std::max(1, 2 * shape[concat.axis])));
      }
      return concat;
    }
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_maximum:
    case Op::reduce_minimum:
    case Op::reduce_product: {
      if (random.chance(0.3)) return Workload::reduce(op, draw_tensor(random, batch), {2, 3});
      if (random.chance(0.2)) return Workload::reduce(op, draw_tensor(random, batch), {1});
      return Workload::reduce(op, shape, {draw_axis(random, shape)});
    }
    case Op::arg_maximum:
    case Op::arg_minimum:
    case Op::cumulative_sum:
      return Workload::along(op, shape, draw_axis(random, shape));
    case Op::top_k:
    case Op::top_k_indices: {
      constexpr int kCounts[] = {1, 1, 5, 10, 100, 300, 400, 1000};
      const int axis = draw_axis(random, shape);
      return Workload::top_k(op, shape, axis, std::min(random.pick<int>(kCounts), shape[axis]));
    }
    case Op::gather: {
      // Rows of an embedding, or some elements of what was computed.
      if (random.chance(0.4)) {
        constexpr int kEntries[] = {77, 512, 1000, 6625, 30522, 49408};
        return Workload::gather(op, {random.pick<int>(kEntries), random.chance(0.5) ? 512 : 768},
                                {batch, shape[0]}, 0);
      }
      const int axis = draw_axis(random, shape);
      return Workload::gather(op, shape, {random.octave_uniform(1, std::max(1, shape[axis]))},
                              axis);
    }
    case Op::gather_elements: {
      TensorShape indices = shape;
      const int axis = draw_axis(random, shape);
      indices[axis] = random.octave_uniform(1, shape[axis]);
      return Workload::gather(op, shape, indices, axis);
    }
    case Op::scatter:
    case Op::scatter_add:
    case Op::scatter_multiply:
    case Op::scatter_maximum:
    case Op::scatter_minimum: {
      const int axis = draw_axis(random, shape);
      const int count = random.octave_uniform(1, shape[axis]);
      if (random.chance(0.5)) return Workload::scatter(op, shape, {count}, axis);
      TensorShape indices = shape;
      indices[axis] = count;
      return Workload::scatter(op, shape, indices, axis);
    }
    case Op::grid_sample: {
      constexpr int kWindows[] = {1, 2, 2, 2, 4};
      const TensorShape image = draw_tensor(random, batch);
      const TensorShape grid = {image[0], random.octave_uniform(1, 2 * image[2]),
                                random.octave_uniform(1, 2 * image[3]), 2};
      return Workload::grid_sample(image, grid, random.pick<int>(kWindows),
                                   static_cast<Border>(random.below(4)));
    }
    case Op::roi_average:
    case Op::roi_maximum: {
      constexpr int kSides[] = {7, 7, 14, 14, 28};
      const int side = random.pick<int>(kSides);
      return Workload::roi(op, draw_tensor(random, batch), random.octave_uniform(1, 1000), side,
                           side, random.below(3));
    }
    case Op::resample: {
      const TensorShape image = draw_tensor(random, batch);
      const int axis = random.chance(0.5) ? 2 : 3;
      constexpr int kWindows[] = {1, 2, 2, 4, 8};
      const int count = std::max(1, image[axis] * (1 + random.below(8)) / 4);
      return Workload::resample(image, axis, count, random.pick<int>(kWindows));
    }
    default:
      if (descriptor(op).sources == 2) {
        return Workload::binary(op, shape, draw_repeated(random, shape));
      }
      return Workload::pointwise(op, shape);
  }
}

/// Whether its time is that of multiplications.
bool multiplies(const Workload& workload) {
  return workload.op == Op::conv || workload.op == Op::fully_connected ||
         workload.op == Op::layer_norm || workload.is_recurrent();
}

/// By the geometry of a convolution, or the weights of a step.
double product_flops(const Workload& workload) {
  if (!workload.is_recurrent()) return geometry(workload).flops();
  return 2.0 * static_cast<double>(workload.weight_elements()) * workload.first[0] *
         workload.first[1];
}

bool within(const SampleLimits& limits, const Workload& workload) {
  if (!workload.validate()) return false;
  std::int64_t elements = workload.output().elements() + workload.weight_elements();
  for (int i = 0; i < workload.source_count(); ++i) elements += workload.source(i).elements();
  if (multiplies(workload)) {
    const double flops = product_flops(workload);
    if (flops < limits.min_flops || flops > limits.max_flops) return false;
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
  const double flops = multiplies(workload) ? product_flops(workload) : 0;
  return flops <= kCommon || random.unit() < std::sqrt(kCommon / flops);
}

/// Operations on images, and the same and others on tensors of any rank.
struct Kind {
  Op op;
  bool plain = false;
  bool operator==(const Kind&) const = default;
};

// What comes after every second convolution, in turn: conversions most often, because every plan is
// full of them, then what networks have many of.
constexpr Kind kFrequent[] = {{Op::convert},
                              {Op::max_pool},
                              {Op::add},
                              {Op::convert},
                              {Op::activation},
                              {Op::concat},
                              {Op::avg_pool_include},
                              {Op::convert},
                              {Op::add},
                              {Op::fully_connected},
                              {Op::lrn},
                              {Op::avg_pool_exclude},
                              {Op::convert},
                              {Op::softmax},
                              {Op::max_pool},
                              {Op::upsample_nearest},
                              {Op::concat},
                              {Op::upsample_bilinear},
                              {Op::multiply},
                              {Op::convert},
                              {Op::slice},
                              {Op::fully_connected},
                              {Op::add},
                              {Op::shuffle},
                              {Op::layer_norm},
                              {Op::convert},
                              {Op::multiply},
                              {Op::pad},
                              {Op::max_pool},
                              {Op::transpose},
                              {Op::convert},
                              {Op::depth_to_space},
                              {Op::subtract},
                              {Op::fully_connected},
                              {Op::activation},
                              {Op::upsample_corners},
                              {Op::convert},
                              {Op::divide},
                              {Op::activation, true},
                              {Op::add, true},
                              {Op::transpose, true},
                              {Op::softmax, true},
                              {Op::matmul, true},
                              {Op::slice, true},
                              {Op::multiply, true},
                              {Op::concat, true},
                              {Op::reduce_mean, true},
                              {Op::gather, true},
                              {Op::matmul, true},
                              {Op::activation, true},
                              {Op::transpose, true},
                              {Op::matmul, true},
                              {Op::resample, true},
                              {Op::add, true},
                              {Op::softmax, true},
                              {Op::matmul, true},
                              {Op::reduce_maximum, true},
                              {Op::arg_maximum, true},
                              {Op::top_k, true}};

/// What comes after them: everything else once.
std::vector<Kind> other_kinds() {
  std::vector<Kind> kinds(std::begin(kFrequent), std::end(kFrequent));
  for (int number = 0; number < kOpCount; ++number) {
    const auto op = static_cast<Op>(number);
    for (const Kind kind : {Kind{op, false}, Kind{op, true}}) {
      const OpDescriptor& known = descriptor(op);
      const bool exists = !(kind.plain ? known.plain_fields : known.image_fields).empty();
      if (exists && op != Op::conv && std::ranges::find(kinds, kind) == kinds.end()) {
        kinds.push_back(kind);
      }
    }
  }
  return kinds;
}

/// Draws one kind of workload; every kind has its own stream, so leaving some out changes no other.
class WorkloadStream {
 public:
  WorkloadStream(std::uint64_t seed, Kind kind)
      : kind_(kind),
        random_(Random(seed).bits() + static_cast<std::uint64_t>(kind.op) + 1 +
                (kind.plain ? kPlainStreams : 0)) {}

  std::optional<Workload> next(const SampleLimits& limits) {
    // About one draw in four is within the default limits; only a space that is all but empty needs
    // this many.
    constexpr int kAttempts = 20000;
    for (int attempt = 0; attempt < kAttempts && !exhausted_; ++attempt) {
      Workload workload = kind_.plain ? draw_plain(random_, kind_.op, limits.batch)
                                      : draw_image(random_, kind_.op, limits.batch);
      if (workload.is_image() != kind_.plain && within(limits, workload) &&
          accept(random_, workload) && seen_.insert(workload.text()).second)
        return workload;
    }
    exhausted_ = true;
    return std::nullopt;
  }

 private:
  static constexpr std::uint64_t kPlainStreams = 1000;
  Kind kind_;
  Random random_;
  std::unordered_set<std::string> seen_;
  bool exhausted_ = false;
};

}  // namespace

std::vector<Workload> sample_workloads(std::size_t count, std::uint64_t seed,
                                       const SampleLimits& limits) {
  std::vector<WorkloadStream> images, others;
  for (int op = 0; op < kOpCount; ++op) {
    images.emplace_back(seed, Kind{static_cast<Op>(op), false});
    others.emplace_back(seed, Kind{static_cast<Op>(op), true});
  }
  const auto wanted = [&](Op op) {
    return limits.ops.empty() || std::ranges::find(limits.ops, op) != limits.ops.end();
  };
  std::vector<Workload> samples;
  const std::vector<Kind> kinds = other_kinds();
  // A whole cycle without a sample: nothing is left.
  const std::size_t cycle = 3 * kinds.size();
  for (std::size_t turn = 0, barren = 0; samples.size() < count && barren < cycle; ++turn) {
    ++barren;
    const Kind kind = turn % 3 == 2 ? kinds[turn / 3 % kinds.size()] : Kind{Op::conv};
    if (!wanted(kind.op)) continue;
    WorkloadStream& stream = (kind.plain ? others : images)[static_cast<std::size_t>(kind.op)];
    if (auto workload = stream.next(limits)) {
      samples.push_back(std::move(*workload));
      barren = 0;
    }
  }
  return samples;
}

}  // namespace convopt
