#include "profiler/instance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "core/quantisation.h"
#include "primitives/reference/reference.h"
#include "primitives/reference/tensor.h"
#include "profiler/random.h"

namespace convopt {
namespace {

// Seeds of the tensors, apart from each other and from those of other instances.
enum Stream : std::uint64_t { kWeights, kBias, kResidual, kPoints, kSource };
std::uint64_t stream(std::uint64_t seed, std::uint64_t which) { return seed * 1000 + which; }

/// Memory of so many elements.
Buffer memory_for(std::int64_t elements, DataType type) {
  const auto bytes = static_cast<std::size_t>(elements) * element_bytes(type);
  return Buffer((bytes + sizeof(float) - 1) / sizeof(float));
}

Buffer tensor(const TensorShape& shape, DataType type, Layout layout) {
  return memory_for(padded_elements(shape, layout), type);
}

bool all_finite(const TensorView& view) {
  const std::int64_t count = padded_elements(view.shape, view.layout);
  std::array<float, 4096> values;
  bool finite = true;
  for (std::int64_t first = 0; first < count; first += std::ssize(values)) {
    const auto part = std::min<std::int64_t>(count - first, std::ssize(values));
    to_floats(view.at_offset(first).data, view.type, part, values.data());
    for (std::int64_t i = 0; i < part; ++i) {
      finite &= std::abs(values[static_cast<std::size_t>(i)]) <= std::numeric_limits<float>::max();
    }
  }
  return finite;
}

/// Half of the coordinates at the rim, where kernels have their special cases.
int draw_coordinate(Random& random, int size) {
  const int any = random.below(size);
  const int rim[] = {0, 1 % size, size - 1, std::max(0, size - 2)};
  const int edge = rim[random.below(4)];
  return random.chance(0.5) ? edge : any;
}

}  // namespace

Instance::Instance(Workload workload, std::uint64_t seed)
    : workload_(std::move(workload)), seed_(seed), scales_(reference::scales_for(workload_, 1)) {
  std::int64_t largest = 0;
  for (const Layout layout : kLayouts) {
    if (layout != Layout::nchw && !workload_.is_image()) break;
    largest = std::max(largest, padded_elements(workload_.output(), layout));
  }
  destination_ = memory_for(largest, workload_.output_type);
  if (!workload_.has_weights()) return;
  weights_ = Buffer(static_cast<std::size_t>(workload_.weight_elements()));
  bias_ = Buffer(static_cast<std::size_t>(workload_.bias_elements()));
  const std::span<float> weights(weights_.data(),
                                 static_cast<std::size_t>(workload_.weight_elements()));
  reference::fill_weights(workload_, weights, stream(seed_, kWeights));
  // What a kernel rounds before it multiplies is rounded already.
  if (multiplies() && workload_.input_type != DataType::f32)
    round_weights(weights, workload_.shape.oc, workload_.input_type);
  reference::fill_random(bias_.data(), workload_.bias_elements(), stream(seed_, kBias), 1.0F);
  if (multiplies() && is_quantised(workload_.output_type)) choose_scale();
}

/// By the largest of the results at the points that are compared.
void Instance::choose_scale() {
  std::vector<Point>& compared = points(DataType::f32);
  double largest = 0;
  for (const Point& point : compared) largest = std::max(largest, std::abs(point.expected));
  scales_ = reference::scales_for(workload_, largest);
  const DataType type = workload_.output_type;
  for (Point& point : compared) {
    point.expected = std::clamp<double>(point.expected / scales_.output, smallest_number(type),
                                        largest_number(type));
  }
}

Instance::Sources& Instance::sources(Layout layout) {
  Sources& result = sources_[layout];
  if (!result.views.empty()) return result;
  for (int i = 0; i < workload_.source_count(); ++i) {
    const TensorShape shape = workload_.source(i);
    Buffer buffer = tensor(shape, DataType::f32, layout);
    TensorView view = TensorView::dense(buffer.data(), shape, layout);
    reference::fill_source(workload_, i, view,
                           stream(seed_, kSource + static_cast<std::uint64_t>(i)));
    if (const DataType type = workload_.source_type(i); type != DataType::f32) {
      const std::int64_t elements = padded_elements(shape, layout);
      Buffer typed = memory_for(elements, type);
      from_floats(buffer.data(), elements, type, typed.data());
      buffer = std::move(typed);
      view = TensorView::dense(buffer.data(), type, shape, layout);
    }
    result.buffers.push_back(std::move(buffer));
    result.views.push_back(view);
  }
  return result;
}

TensorView Instance::residual(Layout layout) {
  Buffer& buffer = residuals_[layout];
  const TensorShape shape = workload_.output();
  const bool is_new = buffer.empty();
  const DataType type = workload_.residual_type();
  if (is_new) buffer = tensor(shape, type, layout);
  const TensorView view = TensorView::dense(buffer.data(), type, shape, layout);
  if (is_new) reference::fill_residual(workload_, view, stream(seed_, kResidual));
  return view;
}

RunArgs Instance::args(const PrimitiveInfo& primitive, void* workspace) {
  RunArgs args;
  args.sources = sources(primitive.input_layout).views;
  args.destination = TensorView::dense(destination_.data(), workload_.output_type,
                                       workload_.output(), primitive.output_layout);
  if (workload_.epilogue.residual) {
    args.residual =
        primitive.traits.overwrites_residual ? args.destination : residual(primitive.output_layout);
    args.residual.type = workload_.residual_type();
  }
  args.workspace = workspace;
  return args;
}

void Instance::reset(const PrimitiveInfo& primitive, const RunArgs& args) const {
  if (workload_.epilogue.residual && primitive.traits.overwrites_residual) {
    reference::fill_residual(workload_, args.residual, stream(seed_, kResidual));
    return;
  }
  // All bits set are NaN in every floating-point type.
  std::memset(destination_.data(), 0xFF, destination_.count() * sizeof(float));
}

std::size_t Instance::tensor_bytes(const Workload& workload, const PrimitiveInfo& primitive) {
  const auto bytes = [](const TensorShape& shape, DataType type, Layout layout) {
    return static_cast<std::size_t>(padded_elements(shape, layout)) * element_bytes(type);
  };
  std::size_t sum = bytes(workload.output(), workload.output_type, primitive.output_layout);
  if (workload.epilogue.residual && !primitive.traits.overwrites_residual) sum *= 2;
  for (int i = 0; i < workload.source_count(); ++i) {
    sum += bytes(workload.source(i), workload.input_type, primitive.input_layout);
  }
  return sum;
}

double Instance::error(const RunArgs& args, DataType weight_type) {
  const TensorView& result = args.destination;
  if (!all_finite(result) || !reference::tail_is_zero(result)) {
    return std::numeric_limits<double>::infinity();
  }
  if (multiplies()) return point_error(result, weight_type);
  const TensorShape shape = workload_.output();
  // Real numbers, and steps of them in images, are compared before they are rounded.
  const bool is_rounded =
      is_real(result.type) || (is_quantised(result.type) && workload_.is_image());
  const DataType type = is_rounded ? DataType::f32 : result.type;
  const bool is_new = expected_.empty();
  if (is_new) expected_ = tensor(shape, type, Layout::nchw);
  const TensorView expected = TensorView::dense(expected_.data(), type, shape, Layout::nchw);
  if (is_new) {
    RunArgs reference_args;
    reference_args.sources = sources(Layout::nchw).views;
    reference_args.destination = expected;
    if (workload_.epilogue.residual) reference_args.residual = residual(Layout::nchw);
    reference::run(workload_, parameters(), reference_args);
  }
  return reference::max_relative_error(result, expected, reference::least_magnitude(workload_));
}

double Instance::condition() {
  if (multiplies()) return 0;
  return reference::condition(
      workload_, parameters(), sources(Layout::nchw).views,
      TensorView::dense(expected_.data(), workload_.output(), Layout::nchw));
}

std::vector<Instance::Point>& Instance::points(DataType weight_type) {
  std::vector<Point>& points = points_[weight_type];
  if (!points.empty()) return points;
  // Enough to hit every special case of a kernel several times, few enough to cost less than a run.
  constexpr int kCount = 300;
  const TensorShape shape = workload_.output();
  Random random(stream(seed_, kPoints));
  for (int i = 0; i < kCount; ++i) {
    Point point{random.below(shape.n()), draw_coordinate(random, shape.c()),
                draw_coordinate(random, shape.h()), draw_coordinate(random, shape.w()), 0};
    point.expected = expected_at(point, weight_type);
    points.push_back(point);
  }
  return points;
}

/// A fully connected layer is the convolution of a 1x1 image. Real, whatever the result's type.
double Instance::expected_at(const Point& point, DataType weight_type) {
  const ConvShape& s = workload_.shape;
  const std::vector<TensorView>& views = sources(Layout::nchw).views;
  const TensorView& source = views.front();
  const auto value = [](const TensorView& view, int n, int c, int h, int w) {
    return reference::load(view, view.offset(n, c, h, w));
  };
  const int inputs = s.ic / s.groups;
  const int first_input = point.c / (s.oc / s.groups) * inputs;
  const std::int64_t length = std::int64_t{inputs} * s.kh * s.kw;
  const float* weight = weights_.data() + point.c * length;
  std::vector<float> rounded_weights;
  if (weight_type != DataType::f32) {
    rounded_weights.assign(weight, weight + length);
    round_weights(rounded_weights, 1, weight_type);
    weight = rounded_weights.data();
  }
  double sum = 0;
  for (int c = 0; c < inputs; ++c) {
    const double factor = workload_.scaled ? value(views[1], point.n, c, 0, 0) : 1;
    for (int kh = 0; kh < s.kh; ++kh) {
      const int h = point.h * s.stride_h + kh * s.dilation_h - s.pad_top;
      for (int kw = 0; kw < s.kw; ++kw, ++weight) {
        const int w = point.w * s.stride_w + kw * s.dilation_w - s.pad_left;
        if (h < 0 || h >= s.ih || w < 0 || w >= s.iw) continue;
        sum += factor * static_cast<double>(*weight) *
               (value(source, point.n, first_input + c, h, w) - scales_.input_zero);
      }
    }
  }
  sum = scales_.input * sum + bias_.data()[point.c];
  if (workload_.epilogue.residual) {
    sum += scales_.residual * value(residual(Layout::nchw), point.n, point.c, point.h, point.w);
  }
  return workload_.epilogue.activation(static_cast<float>(sum));
}

double Instance::point_error(const TensorView& result, DataType weight_type) {
  double error = 0;
  double magnitude = 0;
  for (const Point& point : points(weight_type)) {
    const double got = reference::load(result, result.offset(point.n, point.c, point.h, point.w));
    error = std::max(error, std::abs(got - point.expected));
    magnitude = std::max(magnitude, std::abs(point.expected));
  }
  if (is_quantised(result.type)) magnitude = largest_number(result.type);
  return error == 0 ? 0 : error / magnitude;
}

}  // namespace convopt
