#include "profiler/instance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "primitives/reference/reference.h"
#include "profiler/random.h"

namespace convopt {
namespace {

// Seeds of the tensors, apart from each other and from those of other instances.
enum Stream : std::uint64_t { kWeights, kBias, kResidual, kPoints, kSource };
std::uint64_t stream(std::uint64_t seed, std::uint64_t which) { return seed * 1000 + which; }

Buffer tensor(const TensorShape& shape, Layout layout) {
  return Buffer(static_cast<std::size_t>(padded_elements(shape, layout)));
}

/// Floats that take as much memory as so many elements of that type.
std::size_t floats_for(std::int64_t elements, DataType type) {
  const auto bytes = static_cast<std::size_t>(elements) * element_bytes(type);
  return (bytes + sizeof(float) - 1) / sizeof(float);
}

bool all_finite(const float* data, std::int64_t count) {
  bool finite = true;
  for (std::int64_t i = 0; i < count; ++i) {
    finite &= std::abs(data[i]) <= std::numeric_limits<float>::max();
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
    : workload_(std::move(workload)), seed_(seed) {
  std::int64_t largest = 0;
  for (const Layout layout : kLayouts) {
    if (layout != Layout::nchw && !workload_.is_image()) break;
    largest = std::max(largest, padded_elements(workload_.output(), layout));
  }
  destination_ = Buffer(floats_for(largest, workload_.output_type));
  if (!workload_.has_weights()) return;
  weights_ = Buffer(static_cast<std::size_t>(workload_.weight_elements()));
  bias_ = Buffer(static_cast<std::size_t>(workload_.bias_elements()));
  const std::span<float> weights(weights_.data(),
                                 static_cast<std::size_t>(workload_.weight_elements()));
  reference::fill_weights(workload_, weights, stream(seed_, kWeights));
  reference::fill_random(bias_.data(), workload_.bias_elements(), stream(seed_, kBias), 1.0F);
}

Instance::Sources& Instance::sources(Layout layout) {
  Sources& result = sources_[layout];
  if (!result.views.empty()) return result;
  for (int i = 0; i < workload_.source_count(); ++i) {
    const TensorShape shape = workload_.source(i);
    Buffer buffer = tensor(shape, layout);
    TensorView view = TensorView::dense(buffer.data(), shape, layout);
    reference::fill_source(workload_, i, view,
                           stream(seed_, kSource + static_cast<std::uint64_t>(i)));
    if (const DataType type = workload_.input_type; type != DataType::f32) {
      const std::int64_t elements = padded_elements(shape, layout);
      Buffer typed(floats_for(elements, type));
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
  if (is_new) buffer = tensor(shape, layout);
  const TensorView view = TensorView::dense(buffer.data(), shape, layout);
  if (is_new) reference::fill_random(view, stream(seed_, kResidual));
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
  }
  args.workspace = workspace;
  return args;
}

void Instance::reset(const PrimitiveInfo& primitive, const RunArgs& args) const {
  if (workload_.epilogue.residual && primitive.traits.overwrites_residual) {
    reference::fill_random(args.destination, stream(seed_, kResidual));
    return;
  }
  std::fill_n(destination_.data(), destination_.count(), std::numeric_limits<float>::quiet_NaN());
}

std::size_t Instance::tensor_bytes(const Workload& workload, const PrimitiveInfo& primitive) {
  std::int64_t elements = padded_elements(workload.output(), primitive.output_layout);
  if (workload.epilogue.residual && !primitive.traits.overwrites_residual) elements *= 2;
  for (int i = 0; i < workload.source_count(); ++i) {
    elements += padded_elements(workload.source(i), primitive.input_layout);
  }
  return static_cast<std::size_t>(elements) * sizeof(float);
}

double Instance::error(const RunArgs& args) {
  const TensorView& result = args.destination;
  if (workload_.input_type != workload_.output_type) return conversion_error(args);
  if (!all_finite(result.as<float>(), padded_elements(result.shape, result.layout)) ||
      !reference::tail_is_zero(result)) {
    return std::numeric_limits<double>::infinity();
  }
  if (workload_.op == Op::conv || workload_.op == Op::fully_connected) return point_error(result);
  const TensorShape shape = workload_.output();
  const bool is_new = expected_.empty();
  if (is_new) expected_ = tensor(shape, Layout::nchw);
  const TensorView expected = TensorView::dense(expected_.data(), shape, Layout::nchw);
  if (is_new) {
    RunArgs reference_args;
    reference_args.sources = sources(Layout::nchw).views;
    reference_args.destination = expected;
    if (workload_.epilogue.residual) reference_args.residual = residual(Layout::nchw);
    reference::run(workload_, parameters(), reference_args);
  }
  return reference::max_relative_error(result, expected);
}

double Instance::conversion_error(const RunArgs& args) {
  const TensorView& source = args.sources[0];
  const TensorView& result = args.destination;
  const std::int64_t count = result.shape.elements();
  std::vector<float> got(static_cast<std::size_t>(count)), expected(got.size());
  to_floats(result.data, result.type, count, got.data());
  Buffer rounded(floats_for(count, result.type));
  to_floats(source.data, source.type, count, expected.data());
  from_floats(expected.data(), count, result.type, rounded.data());
  to_floats(rounded.data(), result.type, count, expected.data());
  return reference::max_relative_error(
      TensorView::dense(got.data(), result.shape, Layout::nchw),
      TensorView::dense(expected.data(), result.shape, Layout::nchw));
}

void Instance::choose_points() {
  // Enough to hit every special case of a kernel several times, few enough to cost less than a run.
  constexpr int kCount = 300;
  const TensorShape shape = workload_.output();
  Random random(stream(seed_, kPoints));
  for (int i = 0; i < kCount; ++i) {
    Point point{random.below(shape.n()), draw_coordinate(random, shape.c()),
                draw_coordinate(random, shape.h()), draw_coordinate(random, shape.w()), 0};
    point.expected = expected_at(point);
    points_.push_back(point);
  }
}

/// A fully connected layer is the convolution of a 1x1 image.
double Instance::expected_at(const Point& point) {
  const ConvShape& s = workload_.shape;
  const TensorView& source = sources(Layout::nchw).views.front();
  const int inputs = s.ic / s.groups;
  const int first_input = point.c / (s.oc / s.groups) * inputs;
  const float* weight = weights_.data() + static_cast<std::int64_t>(point.c) * inputs * s.kh * s.kw;
  double sum = bias_.data()[point.c];
  for (int c = 0; c < inputs; ++c) {
    for (int kh = 0; kh < s.kh; ++kh) {
      const int h = point.h * s.stride_h + kh * s.dilation_h - s.pad_top;
      for (int kw = 0; kw < s.kw; ++kw, ++weight) {
        const int w = point.w * s.stride_w + kw * s.dilation_w - s.pad_left;
        if (h < 0 || h >= s.ih || w < 0 || w >= s.iw) continue;
        sum += static_cast<double>(*weight) * source.at(point.n, first_input + c, h, w);
      }
    }
  }
  if (workload_.epilogue.residual) {
    sum += residual(Layout::nchw).at(point.n, point.c, point.h, point.w);
  }
  return workload_.epilogue.activation(static_cast<float>(sum));
}

double Instance::point_error(const TensorView& result) {
  if (points_.empty()) choose_points();
  double error = 0;
  double magnitude = 0;
  for (const Point& point : points_) {
    const double got = result.at(point.n, point.c, point.h, point.w);
    error = std::max(error, std::abs(got - point.expected));
    magnitude = std::max(magnitude, std::abs(point.expected));
  }
  return error == 0 ? 0 : error / magnitude;
}

}  // namespace convopt
