#include "tests/kernels/harness.h"

#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string_view>
#include <utility>

#include "core/conversion.h"
#include "core/ops/descriptor.h"
#include "core/quantisation.h"
#include "primitives/reference/reference.h"
#include "primitives/reference/tensor.h"

namespace convopt::harness {
namespace {

using reference::for_each_row;
using reference::Index;
using reference::Row;

using Memory = std::vector<std::byte>;

// Two bytes in turn that are a quiet NaN in f32 as in bf16, which arithmetic does not produce: read
// by mistake they poison the result, overwritten by mistake they are missed.
std::byte canary(std::size_t address) {
  return static_cast<std::byte>(address % 2 == 0 ? 0xD1 : 0x7F);
}

Memory canaries(std::size_t bytes) {
  Memory memory(bytes);
  for (std::size_t i = 0; i < bytes; ++i) memory[i] = canary(i);
  return memory;
}

constexpr std::size_t kLine = 64, kGuard = 256;

/// The first boundary of a cache line that has a guard in front of it.
std::size_t first_line(const Memory& memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data() + kGuard);
  return kGuard + (kLine - address % kLine) % kLine;
}

/// Memory of elements between canaries, off every alignment but their own.
class Guarded {
 public:
  Guarded(std::int64_t elements, DataType type)
      : element_bytes_(element_bytes(type)),
        values_(
            canaries(static_cast<std::size_t>(elements) * element_bytes_ + 2 * kGuard + 2 * kLine)),
        start_(first_line(values_) + element_bytes_) {}

  std::byte* data() { return values_.data() + start_; }
  const Memory& all() const { return values_; }
  /// As if the element had never been written.
  void forget(std::int64_t element) {
    const std::size_t first = start_ + static_cast<std::size_t>(element) * element_bytes_;
    for (std::size_t i = first; i < first + element_bytes_; ++i) values_[i] = canary(i);
  }
  bool is_untouched() const { return values_ == canaries(values_.size()); }

 private:
  std::size_t element_bytes_;
  Memory values_;
  std::size_t start_;
};

/// A tensor in guarded memory, on request in the middle of a larger one: a range of the channels of
/// an image, of the first and the last dimension of others.
class GuardedTensor {
 public:
  GuardedTensor(const TensorShape& shape, DataType type, Layout layout, bool plain, bool gaps)
      : memory_(padded_elements(gaps ? outer(shape, plain) : shape, layout), type) {
    const TensorShape whole = gaps ? outer(shape, plain) : shape;
    view_ = TensorView::dense(memory_.data(), type, whole, layout);
    if (!gaps) return;
    if (!plain) {
      view_ = view_.channels(kGap, shape.c());
    } else if (shape.rank() > 0) {
      const auto last = static_cast<std::size_t>(shape.rank() - 1);
      view_ = view_.at_offset(view_.strides[0] + 2 * view_.strides[last]);
      view_.shape = shape;
    }
  }

  const TensorView& view() const { return view_; }

  void copy_from(const TensorView& source) { copy_from(source, view_.type); }
  /// As numbers of another type of the same size.
  void copy_from(const TensorView& source, DataType type) {
    TensorView view = view_;
    view.type = type;
    for_each_row(padded(), [&](const Index& index) {
      const Row to(view, index);
      for (int i = 0; i < to.size; ++i) to.set(i, 0);
    });
    for_each_row(view.shape, [&](const Index& index) {
      const Row from(source, index), to(view, index);
      for (int i = 0; i < to.size; ++i) to.set(i, from[i]);
    });
  }

  /// Whether nothing but the view (and the filling of its last block) was written.
  bool surroundings_intact() {
    const auto first = (static_cast<std::byte*>(view_.data) - memory_.data()) /
                       static_cast<std::ptrdiff_t>(element_bytes(view_.type));
    Guarded copy = memory_;
    for_each_row(padded(), [&](const Index& index) {
      const Row row(view_, index);
      for (int i = 0; i < row.size; ++i) copy.forget(first + row.first + i * row.step);
    });
    return copy.is_untouched();
  }
  const Memory& memory() const { return memory_.all(); }

 private:
  static constexpr int kGap = 16;
  static TensorShape outer(TensorShape shape, bool plain) {
    if (!plain) {
      shape.c() += 3 * kGap;
    } else if (shape.rank() > 0) {
      shape[0] += 2;
      shape[shape.rank() - 1] += 5;
    }
    return shape;
  }
  /// The view with the filling of its last block.
  TensorShape padded() const {
    TensorShape shape = view_.shape;
    if (channel_block(view_.layout) > 1) {
      shape.c() = static_cast<int>(padded_channels(shape.c(), view_.layout));
    }
    return shape;
  }

  Guarded memory_;
  TensorView view_;
};

std::vector<float> dense(const TensorShape& shape) {
  return std::vector<float>(static_cast<std::size_t>(shape.elements()));
}

/// FNV-1a.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 14695981039346656037U;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return value;
}

TensorView nchw(const std::vector<float>& values, const TensorShape& shape) {
  return TensorView::dense(const_cast<float*>(values.data()), shape, Layout::nchw);
}

/// Empty if there is a NaN wherever one is expected.
std::string lost_nan(const TensorView& found, const TensorView& expected) {
  bool lost = false;
  for_each_row(expected.shape, [&](const Index& index) {
    const Row want(expected, index), got(found, index);
    for (int i = 0; i < want.size; ++i) lost |= std::isnan(want[i]) && !std::isnan(got[i]);
  });
  return lost ? "a NaN was lost" : "";
}

// The note is read by a signal handler.
char crash_note[512];

void report_crash(int signal) {
  constexpr char kStart[] = "\ncrashed in ";
  // Nothing can be done about a failed write.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, kStart, sizeof kStart - 1);
  written = write(STDERR_FILENO, crash_note, strlen(crash_note));
  written = write(STDERR_FILENO, "\n", 1);
  raise(signal);  // by default this time, see SA_RESETHAND
}

}  // namespace

CrashNote::CrashNote(const std::string& what) {
  [[maybe_unused]] static const bool installed = [] {
    struct sigaction action = {};
    action.sa_handler = report_crash;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
    return true;
  }();
  std::strncpy(crash_note, what.c_str(), sizeof crash_note - 1);
}
CrashNote::~CrashNote() { std::strcpy(crash_note, "a test that runs no kernel"); }

Problem::Problem(std::string axis, const Workload& workload)
    : axis_(std::move(axis)), workload_(workload) {}

Problem Problem::with_nan() const {
  Problem problem(axis_ + ", NaN in the sources", workload_);
  problem.nan_ = true;
  return problem;
}

bool may_have_zero_points(const Workload& workload) {
  const bool keeps = keeps_scale(workload.op) ||
                     (workload.op == Op::convert && workload.input_type == workload.output_type);
  return !keeps && (is_quantised(workload.input_type) || is_quantised(workload.output_type));
}

Problem Problem::with_zero_points() const {
  Problem problem(axis_ + ", zero points", workload_);
  problem.zero_points_ = true;
  Workload& workload = problem.workload_;
  workload.zero_points = minds_zero_points(workload);
  Activation& activation = workload.epilogue.activation;
  if (activation.kind == ActivationKind::quantise && workload.output_type == DataType::u8)
    activation.beta = static_cast<float>(-problem.scales(1).output_zero);
  return problem;
}

Quantisation Problem::scales(double largest) const {
  Quantisation scales = reference::scales_for(workload_, largest);
  if (!zero_points_) return scales;
  const auto zero_of = [](DataType type, int number) { return type == DataType::u8 ? number : 0; };
  const bool adds = workload_.op == Op::add;
  scales.input_zero = zero_of(workload_.input_type, 101);
  scales.output_zero = zero_of(workload_.output_type, 77);
  if (workload_.epilogue.residual || (adds && is_quantised(workload_.input_type)))
    scales.residual_zero = zero_of(adds ? workload_.source_type(1) : workload_.residual_type(), 53);
  return scales;
}

const Problem::Data& Problem::data() const {
  if (data_) return *data_;
  const auto made = std::make_shared<Data>();
  const std::uint64_t seed = hash(workload_.text());
  std::vector<TensorView> views;
  for (int i = 0; i < workload_.source_count(); ++i) {
    const TensorShape shape = workload_.source(i);
    std::vector<float>& values = made->sources.emplace_back(dense(shape));
    reference::fill_source(workload_, i, nchw(values, shape), seed + static_cast<std::uint64_t>(i));
    if (nan_) values[seed % values.size()] = std::numeric_limits<float>::quiet_NaN();
    for (float& value : values) value = rounded(value, workload_.source_type(i));
    views.push_back(nchw(values, shape));
  }
  Parameters parameters;
  if (workload_.has_weights()) {
    made->weights.resize(static_cast<std::size_t>(workload_.weight_elements()));
    made->bias.resize(static_cast<std::size_t>(workload_.bias_elements()));
    reference::fill_weights(workload_, made->weights, seed + 100);
    reference::fill_random(made->bias.data(), workload_.bias_elements(), seed + 101, 1);
    parameters = {std::span<const float>(made->weights), std::span<const float>(made->bias)};
  }
  if (workload_.epilogue.residual) {
    made->residual = dense(workload_.output());
    reference::fill_residual(workload_, nchw(made->residual, workload_.output()), seed + 102);
    for (float& value : made->residual) value = rounded(value, workload_.residual_type());
  }
  made->expected = dense(workload_.output());
  RunArgs args;
  args.sources = views;
  args.destination = nchw(made->expected, workload_.output());
  args.residual = nchw(made->residual, workload_.output());
  made->scales = parameters.scales = scales(1);
  if (is_quantised(workload_.output_type)) {
    Workload real = workload_;
    real.output_type = DataType::f32;
    parameters.scales.output = 1;
    reference::run(real, parameters, args);
    float largest = 0;
    for (const float value : made->expected) largest = std::max(largest, std::abs(value));
    made->scales = parameters.scales = scales(largest);
  }
  reference::run(workload_, parameters, args);
  data_ = made;
  return *data_;
}

Parameters Problem::parameters() const {
  Parameters parameters;
  parameters.scales = data().scales;
  if (workload_.has_weights()) {
    parameters.weights = std::span<const float>(data().weights);
    parameters.bias = std::span<const float>(data().bias);
  }
  return parameters;
}
TensorView Problem::source(int index) const {
  return nchw(data().sources[static_cast<std::size_t>(index)], workload_.source(index));
}
TensorView Problem::residual() const { return nchw(data().residual, workload_.output()); }

TensorView Problem::expected(DataType weight_type) const {
  if (weight_type == DataType::f32) return nchw(data().expected, workload_.output());
  std::vector<float>& expected = expected_of_[weight_type];
  if (expected.empty()) {
    std::vector<float> weights = data().weights;
    round_weights(weights, workload_.shape.oc, weight_type);
    Parameters rounded = parameters();
    rounded.weights = std::span<const float>(weights);
    std::vector<TensorView> sources;
    for (int i = 0; i < workload_.source_count(); ++i) sources.push_back(source(i));
    expected = dense(workload_.output());
    reference::run(workload_, rounded,
                   {sources, nchw(expected, workload_.output()), residual(), nullptr});
  }
  return nchw(expected, workload_.output());
}

std::string check(const Primitive& primitive, const Problem& problem, const Context& context,
                  const Setting& setting) {
  const PrimitiveInfo& info = primitive.info();
  const Workload& workload = problem.workload();

  std::vector<GuardedTensor> sources;
  std::vector<TensorView> views;
  for (int i = 0; i < workload.source_count(); ++i) {
    sources.emplace_back(workload.source(i), workload.source_type(i), info.input_layout, info.plain,
                         setting.gaps);
    sources.back().copy_from(problem.source(i));
  }
  // Views point into heap memory, which moving the vector's elements leaves in place.
  for (const GuardedTensor& source : sources) views.push_back(source.view());
  std::vector<Memory> before;
  for (const GuardedTensor& source : sources) before.push_back(source.memory());

  const auto room_for_result = [&] {
    return GuardedTensor(workload.output(), info.output_type, info.output_layout, info.plain,
                         setting.gaps);
  };
  GuardedTensor destination = room_for_result(), separate = room_for_result();
  const bool residual = workload.epilogue.residual;
  const bool in_place = residual && setting.residual_in_place;
  const auto as_residual = [&](TensorView view) {
    view.type = workload.residual_type();
    return view;
  };
  if (residual) {
    (in_place ? destination : separate).copy_from(problem.residual(), workload.residual_type());
  }

  const CrashNote note(std::string(to_string(context.isa)) + ", " +
                       std::to_string(context.threads) + " threads, " + info.name + ": " +
                       problem.text());
  auto kernel = primitive.prepare(workload, problem.parameters(), context);
  if (!kernel) return "prepare failed: " + kernel.error().message;
  if ((*kernel)->workspace_bytes() != primitive.workspace_bytes(workload, context)) {
    return "the kernel's workspace is " + std::to_string((*kernel)->workspace_bytes()) +
           " bytes, announced were " + std::to_string(primitive.workspace_bytes(workload, context));
  }
  if ((*kernel)->packed_bytes() != primitive.packed_bytes(workload, context)) {
    return "the kernel's packed weights take " + std::to_string((*kernel)->packed_bytes()) +
           " bytes, announced were " + std::to_string(primitive.packed_bytes(workload, context));
  }

  const std::size_t workspace_bytes = (*kernel)->workspace_bytes();
  Memory workspace = canaries(workspace_bytes + 2 * kGuard + kLine);
  const std::size_t workspace_start = first_line(workspace);

  RunArgs args;
  args.sources = views;
  args.destination = destination.view();
  if (residual) args.residual = as_residual(in_place ? destination.view() : separate.view());
  args.workspace = workspace.data() + workspace_start;
  (*kernel)->run(args);

  for (std::size_t i = 0; i < workspace.size(); ++i) {
    const bool inside = i >= workspace_start && i < workspace_start + workspace_bytes;
    if (!inside && workspace[i] != canary(i)) return "wrote outside the workspace";
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].memory() != before[i]) return "wrote to a source";
  }
  const TensorView expected = problem.expected(info.traits.weight_type);
  if (problem.has_nan()) return lost_nan(destination.view(), expected);
  const double error = reference::max_relative_error(
      destination.view(), expected, reference::least_magnitude(problem.workload()));
  double bound = error_bound(workload, info.traits);
  if (error > bound) {
    std::vector<TensorView> given;
    for (int i = 0; i < workload.source_count(); ++i) given.push_back(problem.source(i));
    bound = error_bound(workload, info.traits,
                        reference::condition(workload, problem.parameters(), given, expected));
  }
  if (!(error <= bound)) {
    return "the relative error is " + std::to_string(error * 1e6) + "e-6, the bound " +
           std::to_string(bound * 1e6) + "e-6";
  }
  if (!reference::tail_is_zero(destination.view())) return "the channel tail is not zero";
  if (!destination.surroundings_intact()) return "wrote outside the destination";
  return {};
}

namespace {

const Activation kRelu{ActivationKind::relu};
const Epilogue kSwish{false, {ActivationKind::swish}};
const std::vector<Activation> kActivations = {
    {},
    kRelu,
    {ActivationKind::clip, 0, 6},
    {ActivationKind::clip, 0.1F, 6},  // moves zero
    {ActivationKind::leaky_relu, 0.1F},
    {ActivationKind::elu, 1},
    {ActivationKind::sigmoid},
    {ActivationKind::tanh},
    {ActivationKind::swish},
    {ActivationKind::hard_sigmoid},
    {ActivationKind::hard_swish},
    {ActivationKind::gelu},
    {ActivationKind::erf},
    {ActivationKind::exp},
    {ActivationKind::pow, 2},
    {ActivationKind::pow, 3},
};
/// Those that are no part of another operation's epilogue here: they jump, or are not defined for
/// every sum.
const std::vector<Activation> kFunctions = {
    {ActivationKind::log},
    {ActivationKind::sin},
    {ActivationKind::cos},
    {ActivationKind::tan},
    {ActivationKind::asin},
    {ActivationKind::acos},
    {ActivationKind::atan},
    {ActivationKind::sinh},
    {ActivationKind::cosh},
    {ActivationKind::asinh},
    {ActivationKind::acosh},
    {ActivationKind::atanh},
    {ActivationKind::abs},
    {ActivationKind::sign},
    {ActivationKind::floor},
    {ActivationKind::ceil},
    {ActivationKind::round},
    {ActivationKind::truncate},
    {ActivationKind::softplus},
    {ActivationKind::softsign},
    {ActivationKind::selu, 1.67326F, 1.0507F},
    {ActivationKind::celu, 0.5F},
    {ActivationKind::thresholded_relu, 0.25F},
    {ActivationKind::mish},
    {ActivationKind::gelu_tanh},
    {ActivationKind::shrink, 0.5F, 0.125F},
    {ActivationKind::is_zero},
    {ActivationKind::is_nan},
    {ActivationKind::quantise, 0x1p-6F, 0},
    {ActivationKind::quantise, 0x1p-7F, -128},
};

/// Operations of two tensors, of images and others, element by element.
std::vector<Op> binary_operations() {
  std::vector<Op> list;
  for (int number = 0; number < kOpCount; ++number) {
    const auto op = static_cast<Op>(number);
    if (descriptor(op).sources == 2 && !descriptor(op).image_fields.empty()) list.push_back(op);
  }
  return list;
}

/// Collects problems.
struct List {
  std::vector<Problem> problems;

  void add(std::string axis, const Workload& workload) {
    problems.emplace_back(std::move(axis), workload);
  }
  void conv(const char* axis, const char* text, const Epilogue& epilogue = {}) {
    add(axis, Workload::conv(ConvShape::parse(text).value(), epilogue));
  }
};

void add_convolutions(List& list) {
  const auto conv = [&](const char* axis, const char* text, const Epilogue& epilogue = {}) {
    list.conv(axis, text, epilogue);
  };
  conv("aligned", "n1_ic32_ih12_iw12_oc64_kh3_kw3_s1_p1");
  conv("aligned 1x1", "n1_ic64_ih14_iw14_oc64_kh1_kw1_s1_p0");
  conv("output channel tail", "n1_ic16_ih8_iw8_oc37_kh3_kw3_s1_p1");
  conv("input channel tail", "n1_ic21_ih8_iw8_oc16_kh3_kw3_s1_p1");
  conv("chunks of odd length", "n1_ic33_ih6_iw7_oc24_kh3_kw3_s1_p1");
  conv("half block", "n1_ic8_ih8_iw8_oc24_kh3_kw3_s1_p1");
  conv("width tail", "n1_ic16_ih9_iw29_oc16_kh3_kw3_s1_p1");
  conv("no padding", "n1_ic16_ih10_iw11_oc16_kh3_kw3_s1_p0");
  conv("asymmetric padding", "n1_ic16_ih9_iw8_oc16_kh3_kw3_s1_pt0_pb2_pl1_pr0");
  conv("padding larger than kernel", "n1_ic8_ih5_iw6_oc16_kh3_kw3_s1_p4");
  conv("padding larger than tile", "n1_ic4_ih3_iw3_oc8_kh3_kw3_s1_p17");
  conv("stride 2", "n1_ic16_ih15_iw17_oc32_kh3_kw3_s2_p1");
  conv("stride 2, even", "n1_ic16_ih16_iw16_oc32_kh3_kw3_s2_p1");
  conv("stride 4", "n1_ic3_ih35_iw35_oc32_kh11_kw11_s4_p2");
  conv("strides differ", "n1_ic16_ih15_iw15_oc16_kh3_kw5_sh1_sw3_p2");
  conv("stride larger than kernel", "n1_ic16_ih13_iw13_oc16_kh1_kw1_s3_p0");
  conv("1x1 with stride", "n1_ic32_ih14_iw14_oc32_kh1_kw1_s2_p0");
  conv("1x1 with padding", "n1_ic32_ih7_iw7_oc32_kh1_kw1_s1_p1");
  conv("dilation", "n1_ic16_ih13_iw13_oc16_kh3_kw3_s1_p2_d2");
  conv("dilations differ", "n1_ic16_ih13_iw13_oc16_kh3_kw3_s2_p3_dh2_dw3");
  conv("groups of blocks", "n1_ic64_ih7_iw9_oc32_kh3_kw3_s1_p1_g2");
  conv("groups of half blocks", "n1_ic16_ih7_iw7_oc48_kh3_kw3_s1_p1_g2");
  conv("odd groups", "n1_ic15_ih7_iw7_oc9_kh3_kw3_s1_p1_g3");
  conv("few channels, kernel of different sides", "n2_ic3_ih17_iw30_oc24_kh5_kw7_s2_p2");
  conv("few channels, dilated rows", "n1_ic5_ih15_iw19_oc16_kh3_kw3_s1_pt2_pb2_pl1_pr1_dh2_dw1");
  conv("few channels, 1x1", "n1_ic6_ih9_iw11_oc20_kh1_kw1_s1_p0", {true, kRelu});
  conv("few channels, both tails", "n1_ic7_ih6_iw10_oc13_kh3_kw3_s1_p1", {true, kRelu});
  conv("depthwise 3x3", "n1_ic48_ih14_iw14_oc48_kh3_kw3_s1_p1_g48");
  conv("depthwise 3x3, stride 2", "n1_ic32_ih15_iw15_oc32_kh3_kw3_s2_p1_g32");
  conv("depthwise 5x5", "n1_ic24_ih11_iw13_oc24_kh5_kw5_s1_p2_g24");
  conv("depthwise 5x5, stride 2", "n2_ic16_ih14_iw14_oc16_kh5_kw5_s2_p2_g16");
  conv("depthwise 7x7", "n1_ic16_ih9_iw17_oc16_kh7_kw7_s1_p3_g16");
  conv("depthwise 7x7, stride 2", "n1_ic16_ih18_iw16_oc16_kh7_kw7_s2_p3_g16");
  conv("depthwise, tails", "n2_ic21_ih7_iw9_oc21_kh3_kw3_s1_p1_g21");
  conv("depthwise, dilation", "n1_ic16_ih11_iw11_oc16_kh3_kw3_s1_p2_d2_g16");
  conv("depthwise, odd kernel", "n1_ic19_ih9_iw10_oc19_kh2_kw4_sh2_sw3_pt1_pb0_pl0_pr2_g19");
  conv("depthwise, padding larger than image", "n1_ic8_ih2_iw2_oc8_kh3_kw3_s1_p5_g8");
  conv("depthwise, epilogue", "n1_ic20_ih9_iw9_oc20_kh3_kw3_s1_p1_g20", {true, kRelu});
  conv("depthwise, sigmoid", "n1_ic20_ih9_iw9_oc20_kh3_kw3_s1_p1_g20",
       {false, {ActivationKind::sigmoid}});
  conv("depthwise, swish, several tiles", "n1_ic28_ih5_iw33_oc28_kh3_kw3_s1_p1_g28", kSwish);
  conv("depthwise, swish, stride 2", "n2_ic16_ih15_iw29_oc16_kh5_kw5_s2_p2_g16", kSwish);
  conv("depthwise, swish, any kernel", "n1_ic21_ih9_iw13_oc21_kh4_kw4_s1_p1_g21", kSwish);
  conv("depthwise, several tiles", "n1_ic28_ih5_iw33_oc28_kh3_kw3_s1_p1_g28");
  conv("depthwise, several tiles, stride 2",
       "n1_ic24_ih8_iw61_oc24_kh3_kw3_s2_pt0_pb1_pl0_pr1_g24");
  conv("depthwise, several tiles, 5x5", "n1_ic16_ih7_iw39_oc16_kh5_kw5_s1_p4_g16", {true, kRelu});
  conv("depthwise, several tiles, 7x7", "n1_ic17_ih9_iw30_oc17_kh7_kw7_s1_p6_g17");
  conv("depthwise, several vectors of channels", "n1_ic148_ih6_iw21_oc148_kh3_kw3_s1_p1_g148",
       {true, kRelu});
  conv("depthwise, several vectors of channels, stride 2",
       "n2_ic72_ih11_iw37_oc72_kh5_kw5_s2_p2_g72");
  conv("depthwise, several vectors of channels, 7x7", "n1_ic64_ih9_iw19_oc64_kh7_kw7_s1_p3_g64");
  conv("depthwise, as much padding as columns", "n1_ic16_ih5_iw9_oc16_kh3_kw3_s1_p3_g16");
  conv("depthwise, rows between the dilation", "n1_ic16_ih3_iw9_oc16_kh3_kw3_s1_p4_dh4_dw1_g16");
  conv("depthwise, rows that reach no output", "n1_ic16_ih11_iw9_oc16_kh2_kw3_sh3_sw1_p1_g16");
  conv("depthwise, padding above two rows", "n1_ic16_ih6_iw9_oc16_kh3_kw3_s2_pt5_pb4_pl1_pr1_g16",
       {true, kRelu});
  conv("groups of 4", "n2_ic24_ih9_iw17_oc24_kh3_kw3_s1_p1_g6", {true, kRelu});
  conv("groups of 4, stride 2", "n1_ic20_ih12_iw15_oc20_kh3_kw3_s2_p1_g5");
  conv("groups of 4, dilation", "n1_ic20_ih11_iw11_oc20_kh3_kw3_s1_p2_d2_g5");
  conv("groups of 4, any kernel", "n1_ic12_ih8_iw9_oc12_kh2_kw5_s1_pt1_pb0_pl2_pr2_g3");
  conv("groups of 8", "n1_ic24_ih7_iw14_oc24_kh3_kw3_s1_pt0_pb2_pl1_pr0_g3", {true, kRelu});
  conv("groups of 8, stride 2", "n1_ic40_ih13_iw12_oc40_kh3_kw3_s2_p1_g5");
  conv("groups of 16", "n1_ic48_ih9_iw8_oc48_kh3_kw3_s1_p1_g3", {true, kRelu});
  conv("1x7", "n1_ic16_ih9_iw15_oc16_kh1_kw7_s1_pt0_pb0_pl3_pr3");
  conv("7x1", "n1_ic16_ih15_iw9_oc16_kh7_kw1_s1_pt3_pb3_pl0_pr0");
  conv("1x3", "n1_ic16_ih9_iw15_oc16_kh1_kw3_s1_pt0_pb0_pl1_pr1");
  conv("1x5", "n1_ic19_ih9_iw14_oc21_kh1_kw5_s1_pt0_pb0_pl2_pr1");
  conv("5x1", "n2_ic19_ih14_iw9_oc21_kh5_kw1_s1_pt2_pb1_pl0_pr0");
  conv("5x5, tails", "n1_ic19_ih11_iw14_oc21_kh5_kw5_s1_p2", {true, kRelu});
  conv("7x7, tails", "n1_ic19_ih11_iw14_oc21_kh7_kw7_s1_p3", {true, kRelu});
  conv("many tiles", "n1_ic5_ih37_iw41_oc70_kh3_kw3_s1_p1", {true, kRelu});
  conv("several blocks of the reduction", "n1_ic130_ih9_iw8_oc19_kh3_kw3_s1_p1", {true, kRelu});
  conv("7x7", "n1_ic19_ih15_iw18_oc21_kh7_kw7_s1_p3", {true, kRelu});
  conv("11x11", "n1_ic16_ih13_iw21_oc24_kh11_kw11_s1_p5");
  conv("7x11, asymmetric padding", "n2_ic9_ih14_iw9_oc17_kh7_kw11_s1_pt4_pb1_pl7_pr3",
       {true, kRelu});
  conv("13x5", "n1_ic5_ih40_iw37_oc18_kh13_kw5_s1_pt6_pb6_pl2_pr2");
  conv("31x31", "n1_ic6_ih38_iw35_oc8_kh31_kw31_s1_p15", {true, kRelu});
  conv("kernel larger than image", "n1_ic17_ih4_iw5_oc19_kh9_kw11_s1_p5");
  conv("kernel of the size of the image", "n2_ic20_ih8_iw7_oc33_kh8_kw7_s1_p0");
  conv("3x1", "n1_ic16_ih15_iw9_oc16_kh3_kw1_s1_pt1_pb1_pl0_pr0");
  conv("1x5", "n1_ic19_ih9_iw14_oc21_kh1_kw5_s1_pt0_pb0_pl2_pr2");
  conv("5x1", "n1_ic19_ih14_iw9_oc21_kh5_kw1_s1_pt2_pb2_pl0_pr0");
  conv("5x5", "n1_ic16_ih13_iw13_oc16_kh5_kw5_s1_p2");
  conv("even kernel", "n1_ic16_ih9_iw9_oc16_kh2_kw4_s1_pt1_pb0_pl2_pr1");
  conv("image smaller than tile", "n1_ic32_ih2_iw2_oc32_kh3_kw3_s1_p1");
  conv("one pixel", "n1_ic40_ih1_iw1_oc24_kh1_kw1_s1_p0");
  conv("one pixel under 3x3", "n1_ic16_ih1_iw1_oc16_kh3_kw3_s1_p1");
  conv("one column", "n1_ic16_ih20_iw1_oc16_kh3_kw1_s1_pt1_pb1_pl0_pr0");
  conv("batch 3", "n3_ic16_ih6_iw7_oc32_kh3_kw3_s1_p1");
  conv("batch 3, 1x1", "n3_ic19_ih5_iw5_oc33_kh1_kw1_s1_p0");
  conv("1x1, groups", "n2_ic21_ih6_iw7_oc33_kh1_kw1_s1_p0_g3", {true, kRelu});
  conv("one channel", "n1_ic1_ih12_iw12_oc1_kh3_kw3_s1_p1");
  conv("one input channel", "n1_ic1_ih12_iw12_oc32_kh5_kw5_s1_p2");
  conv("three input channels", "n1_ic3_ih24_iw22_oc32_kh3_kw3_s1_p1");
  conv("first layer", "n1_ic3_ih29_iw31_oc24_kh7_kw7_s2_p3");
  conv("large reduction", "n1_ic512_ih4_iw4_oc16_kh3_kw3_s1_p1");
  conv("large reduction, 1x1", "n1_ic2048_ih3_iw3_oc32_kh1_kw1_s1_p0");
  conv("weights in several parts", "n1_ic320_ih8_iw16_oc72_kh3_kw3_s1_p1", {true, kRelu});
  conv("tiles of seven pixels", "n1_ic24_ih6_iw14_oc64_kh3_kw3_s1_p1", {true, kRelu});
  conv("tiles of seven pixels, 1x1", "n1_ic80_ih7_iw7_oc64_kh1_kw1_s1_p0", {true, kRelu});
  conv("many output channels", "n1_ic16_ih4_iw4_oc272_kh1_kw1_s1_p0");
  conv("1x1, several blocks of pixels", "n1_ic64_ih21_iw25_oc70_kh1_kw1_s1_p0", {true, kRelu});
  conv("1x1, halves with tails", "n2_ic70_ih3_iw5_oc77_kh1_kw1_s1_p0",
       {true, {ActivationKind::sigmoid}});
  conv("one pixel, halves", "n3_ic64_ih1_iw1_oc64_kh1_kw1_s1_p0", {true, kRelu});
  conv("1x1, swish of many pixels", "n1_ic16_ih33_iw31_oc88_kh1_kw1_s1_p0", kSwish);
  conv("3x3, swish of long rows", "n1_ic5_ih3_iw401_oc24_kh3_kw3_s1_p1", kSwish);
  const auto scaled = [&](const char* axis, const char* text, const Epilogue& epilogue = {}) {
    Workload workload = Workload::conv(ConvShape::parse(text).value(), epilogue);
    workload.scaled = true;
    list.add(axis, workload);
  };
  scaled("scaled, 1x1", "n1_ic37_ih9_iw8_oc24_kh1_kw1_s1_p0", {true, {}});
  scaled("scaled, 3x3 with stride", "n2_ic19_ih7_iw6_oc40_kh3_kw3_s2_p1", {false, kRelu});
  scaled("scaled, several tiles", "n3_ic16_ih6_iw6_oc100_kh1_kw1_s1_p0", kSwish);
  scaled("scaled, weights in several parts", "n1_ic320_ih8_iw16_oc72_kh3_kw3_s1_p1");
}

void add_epilogues(List& list) {
  const auto conv = [&](const char* axis, const char* text, const Epilogue& epilogue = {}) {
    list.conv(axis, text, epilogue);
  };
  for (const bool residual : {false, true}) {
    for (const Activation& activation : kActivations) {
      conv("epilogue, 3x3 with tails", "n1_ic12_ih6_iw7_oc20_kh3_kw3_s1_p1",
           {residual, activation});
    }
    conv("epilogue, 1x1", "n2_ic32_ih7_iw7_oc64_kh1_kw1_s1_p0", {residual, kRelu});
    conv("epilogue, stride", "n1_ic16_ih9_iw9_oc48_kh3_kw3_s2_p1", {residual, kRelu});
    conv("epilogue, groups", "n1_ic32_ih6_iw6_oc32_kh3_kw3_s1_p1_g2", {residual, kRelu});
    conv("epilogue, groups of 8", "n1_ic24_ih6_iw6_oc24_kh3_kw3_s1_p1_g3", {residual, kRelu});
  }
}

void add_elementwise(List& list, const TensorShape& shape) {
  const auto add = [&](std::string axis, const Workload& workload) {
    list.add(std::move(axis), workload);
  };
  add("convert", Workload::pointwise(Op::convert, shape));
  add("convert, long rows", Workload::pointwise(Op::convert, {1, 3, 2, 1043}));
  add("softmax", Workload::pointwise(Op::softmax, shape));
  add("add", Workload::pointwise(Op::add, shape));
  add("add and activate", Workload::pointwise(Op::add, shape, {false, kRelu}));
  add("add and clip",
      Workload::pointwise(Op::add, shape, {false, {ActivationKind::clip, 0.1F, 0.5F}}));
  for (const Activation& activation : kActivations) {
    if (activation.kind == ActivationKind::none) continue;
    add("activation", Workload::pointwise(Op::activation, shape, {false, activation}));
  }
  for (const Activation& function : kFunctions) {
    add("function", Workload::pointwise(Op::activation, shape, {false, function}));
  }
  add("lrn", Workload::lrn(shape, 5));
  add("lrn, even window", Workload::lrn(shape, 4));
  Workload steep = Workload::lrn(shape, 3);
  steep.lrn_alpha = 2;
  steep.lrn_beta = 0.6F;
  add("lrn, steep", steep);
  for (const Op op : binary_operations()) {
    add("of equal shapes", Workload::binary(op, shape, shape));
    add("by channel", Workload::binary(op, shape, {shape.n(), shape.c(), 1, 1}));
    add("by channel, any image", Workload::binary(op, shape, {1, shape.c(), 1, 1}));
    add("by pixel", Workload::binary(op, shape, {shape.n(), 1, shape.h(), shape.w()}));
    add("by row", Workload::binary(op, shape, {1, shape.c(), shape.h(), 1}));
    add("by column", Workload::binary(op, shape, {1, 1, 1, shape.w()}));
    add("by one number", Workload::binary(op, shape, {1, 1, 1, 1}));
    Workload activated = Workload::binary(op, shape, {shape.n(), shape.c(), 1, 1});
    activated.epilogue.activation = {ActivationKind::sigmoid};
    add("by channel and activate", activated);
  }
}

void add_moves(List& list, const TensorShape& shape) {
  const auto add = [&](std::string axis, const Workload& workload) {
    list.add(std::move(axis), workload);
  };
  add("slice, blocks", Workload::slice(shape, 0, std::min(shape.c(), 16), 1));
  add("slice, inside", Workload::slice(shape, 1, shape.c() - 2, 1));
  add("slice, every second", Workload::slice(shape, 1, shape.c() / 2, 2));
  for (const int groups : {2, 3, 4, 8}) {
    if (shape.c() % groups == 0) add("shuffle", Workload::shuffle(shape, groups));
  }
  add("pad", Workload::pad(shape, 1, 2, 0, 3));
  if (shape.c() % 4 == 0) add("depth to space", Workload::depth_to_space(shape, 2, 2));
  if (shape.c() % 3 == 0)
    add("depth to space, factors differ", Workload::depth_to_space(shape, 1, 3));
  add("transpose, channels last", Workload::transpose(shape, {0, 2, 3, 1}));
  add("transpose, rows and columns", Workload::transpose(shape, {0, 1, 3, 2}));
  add("transpose, images too", Workload::transpose(shape, {3, 1, 0, 2}));
  add("layer norm", Workload::layer_norm(shape, 1e-5F));
}

void add_windows(List& list, const TensorShape& shape) {
  const auto add = [&](std::string axis, const Workload& workload) {
    list.add(std::move(axis), workload);
  };
  for (const Op op : {Op::upsample_nearest, Op::upsample_bilinear, Op::upsample_corners}) {
    add("upsample", Workload::upsample(op, shape, 2, 2));
    add("upsample, factors differ", Workload::upsample(op, shape, 3, 1));
  }
  ConvShape window{.n = shape.n(),
                   .ic = shape.c(),
                   .ih = shape.h(),
                   .iw = shape.w(),
                   .oc = shape.c(),
                   .kh = shape.h(),
                   .kw = shape.w(),
                   .groups = shape.c()};
  for (const Op op : {Op::max_pool, Op::avg_pool_include, Op::avg_pool_exclude}) {
    add("global pooling", Workload::pool(op, window));
    if (shape.h() < 3) continue;
    ConvShape sliding = window;
    sliding.kh = sliding.kw = 3;
    sliding.stride_h = sliding.stride_w = 2;
    sliding.pad_top = sliding.pad_left = sliding.pad_right = 1;
    add("pooling", Workload::pool(op, sliding));
    if (shape.h() < 5 || shape.w() < 5) continue;
    for (const auto& [size, stride] : {std::pair{5, 1}, {2, 2}, {4, 3}}) {
      ConvShape other = window;
      other.kh = size;
      other.kw = size - 1;
      other.stride_h = other.stride_w = stride;
      other.pad_top = other.pad_left = other.pad_right = (size - 1) / 2;
      add("pooling, stride " + std::to_string(stride), Workload::pool(op, other));
    }
  }
}

/// Every operation on one tensor, and on a second one that is broadcast to it.
void add_of_shape(List& list, const TensorShape& shape) {
  add_elementwise(list, shape);
  add_moves(list, shape);
  add_windows(list, shape);
}

void add_concatenations_and_products(List& list) {
  const auto add = [&](std::string axis, const Workload& workload) {
    list.add(std::move(axis), workload);
  };
  add("concat, aligned", Workload::concat({1, 64, 5, 6}, {16, 48}));
  add("concat, half blocks", Workload::concat({2, 48, 5, 6}, {8, 24, 16}));
  add("concat, unaligned", Workload::concat({1, 40, 4, 3}, {3, 20, 17}));
  add("concat, one", Workload::concat({1, 10, 4, 3}, {10}));
  for (const Activation& activation : {Activation(), kRelu}) {
    add("fully connected", Workload::fully_connected(1, 65, 37, activation));
    add("fully connected, batch", Workload::fully_connected(3, 64, 32, activation));
    add("fully connected, many vectors", Workload::fully_connected(1, 131, 350, activation));
    add("fully connected, tiles of images", Workload::fully_connected(7, 30, 150, activation));
  }
  for (const Activation& activation : kActivations)
    add("fully connected, epilogue", Workload::fully_connected(2, 37, 21, activation));
  for (const char* text :
       {"fully_connected:n1_ic1_oc9", "fully_connected:n5_ic2_oc3",
        "fully_connected:n3_ic27_oc45:add", "fully_connected:n1_ic6_oc70:add+gelu"})
    add("fully connected, epilogue", Workload::parse(text).value());
}

/// Windows, and rows, of more columns than kernels work through at a time.
void add_wide_windows(List& list) {
  for (const char* op : {"max_pool", "avg_pool_include", "avg_pool_exclude"}) {
    for (const char* window :
         {"n1_c5_ih3_iw100_kh3_kw90_s1_p1", "n1_c18_ih2_iw1300_kh2_kw1150_s2_p0",
          "n2_c3_ih4_iw1100_kh1_kw3_s2_p0"}) {
      list.add("pooling, wide", Workload::parse(op + std::string(":") + window).value());
    }
  }
}

void add_plain(List& list) {
  const auto add = [&](const char* axis, const std::string& text) {
    list.add(axis, Workload::parse(text).value());
  };
  for (const std::string shape : {"d2x25x97", "d5", "d3x1x7x2x1x33"}) {
    for (const Activation& activation : kActivations) {
      if (activation.kind == ActivationKind::none) continue;
      add("activation", "activation:" + shape + ":" + activation.text());
    }
    for (const Activation& function : kFunctions) {
      add("function", "activation:" + shape + ":" + function.text());
    }
    for (const Op op : binary_operations()) {
      add("of equal shapes", std::string(to_string(op)) + ":" + shape);
      add("and activate", std::string(to_string(op)) + ":" + shape + ":relu");
    }
    for (const char* op : {"convert", "select"}) {
      add("of one shape", std::string(op) + ":" + shape);
    }
  }
  for (const Op op : binary_operations()) {
    for (const char* shapes :
         {"d40x60x50_by1x60x1", "d40x60x50_by40x1x50", "d40x60x50_by1x1x50", "d6x5000_by6x1",
          "d3x5_by1x1", "d2x3x4x5x6_by1x3x1x5x1", "d2x1x9x1x4_by2x1x1x1x4"}) {
      add("repeated", std::string(to_string(op)) + ":" + shapes + ":sigmoid");
    }
  }
  for (const char* text : {"expand:d1x1_to7x9",
                           "expand:d3x1x5_to3x4x5",
                           "expand:d1x6x1x1x2_to5x6x3x1x2",
                           "transpose:d70x90_order10",
                           "transpose:d5x33x20_order021",
                           "transpose:d5x33x20_order210",
                           "transpose:d2x3x4x5x6_order04123",
                           "transpose:d1x2x8x5x7_order02134",
                           "transpose:d300x3x2_order120",
                           "slice:d4x100_from5_count10_step2",
                           "slice:d2x3x4x50x6_axis3_from7_count40_step1",
                           "slice:d2x3x4x5x70_axis4_from1_count20_step3",
                           "slice:d1x3x20x30_axis2_from1_count10_step2",
                           "concat:d2x5x9_axis2_parts9+3",
                           "concat:d40x1x7_axis0_parts40+1+3",
                           "concat:d2x5x9_parts5+1",
                           "softmax:d8x197x197_axis2",
                           "softmax:d3x300x77",
                           "softmax:d5_axis0",
                           "softmax:d1x8x16x16_axis3",
                           "softmax:d3x1"}) {
    add("any rank", text);
  }
}

void add_reductions(List& list) {
  const auto add = [&](const char* axis, const std::string& text) {
    list.add(axis, Workload::parse(text).value());
  };
  for (const char* op : {"sum", "mean", "maximum", "minimum", "product"}) {
    for (const char* shape :
         {"d2x512x7x7_axes23", "d1x40x85_axes2", "d3x300x17_axes1", "d2x5x3x4x2_axes024",
          "d6_axes0", "d2x3x4_axes012", "d3x1x5_axes1", "d2x1x1x9_axes0123", "d7x130x1_axes02"}) {
      add("reduction", "reduce_" + std::string(op) + ":" + shape);
    }
  }
  for (const char* op : {"sum", "mean", "maximum", "minimum"}) {
    for (const char* shape : {"d2x20000_axes1", "d20000x3_axes0"}) {
      add("long reduction", "reduce_" + std::string(op) + ":" + shape);
    }
  }
  for (const char* op : {"arg_maximum", "arg_minimum", "cumulative_sum"}) {
    for (const char* shape : {"d3x1000_axis1", "d2x21x300_axis1", "d1x21x9x11_axis1",
                              "d5x7x3_axis0", "d40_axis0", "d3x1x4_axis1", "d2x20000_axis1"}) {
      std::string text = std::string(op) + ":" + shape;
      if (const auto at = text.find("_axis1"); at != std::string::npos) text.resize(at);
      add("along an axis", text);
    }
  }
  for (const char* op : {"top_k", "top_k_indices"}) {
    for (const char* shape : {"d2x1000_count5", "d3x40_count40", "d2x60x7_count9",
                              "d300x2_axis0_count7", "d9_axis0_count1", "d3x1x2_count1"}) {
      add("along an axis", std::string(op) + ":" + shape);
    }
  }
  for (const char* text : {"gather:d30x20_axis0_at7",
                           "gather:d30x64_axis0_at2x9",
                           "gather:d3x50x4_at11",
                           "gather:d3x50x1_at11",
                           "gather:d4x9_at2x3",
                           "gather:d5x6x7_axis2",
                           "gather:d1_axis0_at4",
                           "gather_elements:d5x30_at5x12",
                           "gather_elements:d5x30x3_at4x40x2",
                           "gather_elements:d9_axis0_at20",
                           "gather_elements:d8x3x5_axis0_at2x3x5",
                           "scatter:d30x20_axis0_at7",
                           "scatter:d30x64_axis0_at50",
                           "scatter:d3x50x4_at3x11x1",
                           "scatter:d300_axis0_at120",
                           "scatter_add:d30x20_axis0_at7",
                           "scatter_add:d5x30_at5x12",
                           "scatter_add:d5x30x3_at4x40x2",
                           "scatter_multiply:d9_axis0_at20",
                           "scatter_multiply:d2x3000x2_at40",
                           "scatter_maximum:d8x3x5_axis0_at2x3x5",
                           "scatter_maximum:d1x700x9_at600",
                           "scatter_minimum:d5x30_at5x12",
                           "grid_sample:d2x3x20x15_at2x9x11x2_k2_border0",
                           "grid_sample:d2x3x20x15_at2x9x11x2_k2_border1",
                           "grid_sample:d1x5x7x6_at1x40x3x2_k2_border2",
                           "grid_sample:d1x5x7x6_at1x40x3x2_k2_border3",
                           "grid_sample:d1x5x7x6_at1x10x10x2_k1_border0",
                           "grid_sample:d2x5x7x6_at2x10x10x2_k1_border1",
                           "grid_sample:d1x5x1x6_at1x10x10x2_k1_border2",
                           "grid_sample:d1x5x7x1_at1x10x10x2_k1_border3",
                           "grid_sample:d1x70x7x6_at1x10x10x2_k4_border0",
                           "grid_sample:d1x3x7x6_at1x1x99x2_k4_border1",
                           "grid_sample:d1x3x7x6_at1x10x9x2_k4_border2",
                           "grid_sample:d1x3x1x2_at1x10x9x2_k4_border3",
                           "roi_average:d2x5x20x30_at7x4_s7_k2",
                           "roi_average:d1x130x14x9_at4x4_sh3_sw5_k0",
                           "roi_average:d3x2x1x40_at5x4_s1_k3",
                           "roi_maximum:d2x5x20x30_at7x4_s7_k2",
                           "roi_maximum:d1x130x14x9_at4x4_sh3_sw5_k0",
                           "roi_maximum:d3x2x40x1_at5x4_s2_k1",
                           "resample:d2x3x20x15_axis2_count40_k2",
                           "resample:d2x3x20x15_axis3_count7_k4",
                           "resample:d30_axis0_count11_k3",
                           "resample:d2x50x600_count9_k1",
                           "resample:d1x3x8x8_axis2_count16_k5"}) {
    add("indexing", text);
  }
  for (const char* text :
       {"matmul:d1x1_by1x1", "matmul:d1x70_by70x100", "matmul:d1x70_by100x70_t1",
        "matmul:d7x1_by1x65", "matmul:d13x300_by300x17", "matmul:d33x5_by1x5_t1",
        "matmul:d12x40x33_by12x33x40", "matmul:d3x4x9x20_by1x4x20x33",
        "matmul:d3x1x9x20_by1x4x33x20_t1", "matmul:d5x6x20_by1x20x70", "matmul:d5x1x20_by1x20x70",
        "matmul:d1x9x20_by6x20x70", "matmul:d40x600_by600x130:sigmoid",
        "matmul:d2x40x60_by2x60x30:add+relu", "matmul:d40x600_by130x600_t1:add+gelu",
        "matmul:d7x300_by13x300_t1:add+relu", "matmul:d2x6x37_by2x9x37_t1:gelu"}) {
    add("product of matrices", text);
  }
  for (const char* text :
       {"lstm:d1x1x1_state1x1x1", "lstm:d9x1x20_state1x1x16", "lstm:d9x1x20_state2x1x33_cell1",
        "lstm:d5x3x70_state1x3x40_reversed1", "lstm:d4x7x6_state2x7x65",
        "lstm:d300x1x3_state1x1x5_reversed1_cell1", "lstm:d2x40x9_state1x40x8",
        "gru:d1x1x1_state1x1x1", "gru:d9x1x20_state1x1x16_after1", "gru:d9x1x20_state2x1x33",
        "gru:d5x3x70_state1x3x40_reversed1", "gru:d4x7x6_state2x7x65_after1",
        "gru:d300x1x3_state1x1x5_reversed1_after1", "gru:d2x40x9_state1x40x8"}) {
    add("recurrent", text);
  }
}

/// Draws shapes of at most some hundred thousand multiply-adds.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  int from(int least, int most) {
    return least + static_cast<int>(engine_() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool one_in(int count) { return from(1, count) == 1; }
  template <class List>
  auto of(const List& list) {
    return *(std::begin(list) + from(0, static_cast<int>(std::size(list)) - 1));
  }

  TensorShape tensor() { return {from(1, 3), from(3, 50), from(1, 12), from(1, 20)}; }

  /// At most some ten thousand elements of rank 1 to 6, many sizes 1.
  TensorShape any() {
    std::vector<int> sizes(static_cast<std::size_t>(from(1, 6)));
    for (int& size : sizes) size = one_in(3) ? 1 : from(2, 5);
    sizes[static_cast<std::size_t>(from(0, static_cast<int>(sizes.size()) - 1))] = from(1, 70);
    return TensorShape(sizes);
  }
  /// Some sizes become 1.
  TensorShape with_ones(TensorShape shape) {
    for (int d = 0; d < shape.rank(); ++d) {
      if (one_in(2)) shape[d] = 1;
    }
    return shape;
  }
  std::vector<int> order(int rank) {
    std::vector<int> order(static_cast<std::size_t>(rank));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), engine_);
    return order;
  }

  ConvShape conv() {
    ConvShape s;
    s.n = one_in(4) ? from(2, 3) : 1;
    switch (from(0, 3)) {
      case 0:  // depthwise
        s.ic = s.oc = s.groups = from(2, 50);
        break;
      case 1:  // grouped, mostly by whole blocks
        s.groups = from(2, 4);
        s.ic = s.groups * of(std::array{4, 8, 16, 16, 3});
        s.oc = one_in(2) ? s.ic : s.groups * of(std::array{8, 16, 5});
        break;
      default:
        s.ic = from(1, 100);
        s.oc = from(1, 100);
    }
    s.kh = of(std::array{1, 1, 2, 3, 3, 3, 3, 5, 7, 9});
    s.kw = one_in(4) ? of(std::array{1, 3, 5, 7}) : s.kh;
    if (s.kh == s.kw && one_in(3)) s.stride_h = s.stride_w = 2;
    if (one_in(8)) s.stride_w = from(1, 3);
    if (one_in(6)) s.dilation_h = s.dilation_w = 2;
    if (one_in(8)) s.dilation_h = from(1, 3);
    s.pad_top = from(0, s.kh - 1);
    s.pad_left = from(0, s.kw - 1);
    s.pad_bottom = one_in(2) ? s.pad_top : from(0, s.kh);
    s.pad_right = one_in(2) ? s.pad_left : from(0, s.kw);
    s.ih = std::max(from(1, 30), s.extent_h() - s.pad_top - s.pad_bottom);
    s.iw = std::max(from(1, 40), s.extent_w() - s.pad_left - s.pad_right);
    return s;
  }

 private:
  std::mt19937_64 engine_;
};

void add_random_samples(List& list, Random& random) {
  const TensorShape image = {random.from(1, 3), random.from(1, 70), random.from(1, 12),
                             random.from(1, 15)};
  const TensorShape grid = {image[0], random.from(1, 9), random.from(1, 9), 2};
  list.add("random, any rank", Workload::grid_sample(image, grid, random.of(std::array{1, 2, 4}),
                                                     static_cast<Border>(random.from(0, 3))));
  list.add("random, any rank", Workload::roi(random.one_in(2) ? Op::roi_average : Op::roi_maximum,
                                             image, random.from(1, 5), random.from(1, 7),
                                             random.from(1, 7), random.from(0, 3)));
}

void add_random_reductions(List& list, Random& random) {
  const TensorShape shape = random.any();
  const auto add = [&](const Workload& workload) { list.add("random, any rank", workload); };
  const int axis = random.from(0, shape.rank() - 1), size = shape[axis];
  for (const Op op : {Op::reduce_sum, Op::reduce_mean, Op::reduce_maximum, Op::reduce_minimum,
                      Op::reduce_product}) {
    std::vector<int> axes;
    for (int d = 0; d < shape.rank(); ++d) {
      if (d == axis || random.one_in(3)) axes.push_back(d);
    }
    add(Workload::reduce(op, shape, axes));
  }
  for (const Op op : {Op::arg_maximum, Op::arg_minimum, Op::cumulative_sum}) {
    add(Workload::along(op, shape, axis));
  }
  for (const Op op : {Op::top_k, Op::top_k_indices}) {
    add(Workload::top_k(op, shape, axis, random.from(1, size)));
  }
  add(Workload::gather(Op::gather, shape, {random.from(1, 9)}, axis));
  add(Workload::gather(Op::gather, shape, {random.from(1, 5), random.from(1, 4)}, axis));
  add(Workload::gather(Op::gather, shape, {}, axis));
  TensorShape indices = shape;
  for (int d = 0; d < shape.rank(); ++d) indices[d] = random.from(1, shape[d]);
  indices[axis] = random.from(1, 20);
  add(Workload::gather(Op::gather_elements, shape, indices, axis));
  for (const Op op : {Op::scatter, Op::scatter_add, Op::scatter_multiply, Op::scatter_maximum,
                      Op::scatter_minimum}) {
    add(Workload::scatter(op, shape, random.one_in(2) ? indices : TensorShape{random.from(1, 9)},
                          axis));
  }
  add(Workload::resample(shape, axis, random.from(1, 40), random.from(1, 4)));
  add_random_samples(list, random);
  const TensorShape sequence = {random.from(1, 20), random.from(1, 4), random.from(1, 50)};
  const TensorShape state = {random.from(1, 2), sequence[1], random.from(1, 50)};
  Workload lstm = Workload::recurrent(Op::lstm, sequence, state);
  Workload gru = Workload::recurrent(Op::gru, sequence, state);
  lstm.reversed = gru.reversed = state[0] == 1 ? random.from(0, 1) : 0;
  lstm.keeps_cell = random.from(0, 1);
  gru.reset_after = random.from(0, 1);
  add(lstm);
  add(gru);

  std::vector<int> first(static_cast<std::size_t>(random.from(0, 4)));
  for (int& sizes : first) sizes = random.from(1, 4);
  std::vector<int> second = first;
  for (std::size_t d = 0; d < first.size(); ++d) {
    if (random.one_in(3)) (random.one_in(2) ? first : second)[d] = 1;
  }
  const int m = random.from(1, 70), n = random.from(1, 90), k = random.from(1, 100);
  const bool transposed = random.one_in(2);
  first.insert(first.end(), {m, k});
  second.insert(second.end(), {transposed ? n : k, transposed ? k : n});
  add(Workload::matmul(TensorShape(first), TensorShape(second), transposed));
}

/// One of each operation on tensors of any rank.
void add_random_plain(List& list, Random& random) {
  const TensorShape shape = random.any();
  const auto add = [&](const Workload& workload) { list.add("random, any rank", workload); };
  const int axis = random.from(0, shape.rank() - 1);
  for (const Op op : {Op::convert, Op::select}) add(Workload::pointwise(op, shape));
  const Activation& activation = random.of(kActivations);
  if (shape.elements() >= 16) {
    add(Workload::pointwise(Op::activation, shape, {false, random.of(kFunctions)}));
  }
  for (const Op op : binary_operations()) {
    Workload binary = Workload::binary(op, shape, random.with_ones(shape));
    // Exponentials of quotients and powers leave the range of numbers.
    const bool is_bounded = op != Op::divide && op != Op::power;
    if (is_bounded && shape.elements() >= 16) binary.epilogue.activation = activation;
    add(binary);
  }
  add(Workload::expand(random.with_ones(shape), shape));
  add(Workload::transpose(shape, random.order(shape.rank())));
  add(Workload::along(Op::softmax, shape, axis));
  Workload slice = Workload::along(Op::slice, shape, axis);
  slice.step = random.from(1, 3);
  slice.begin = random.from(0, shape[axis] - 1);
  slice.count = random.from(1, (shape[axis] - 1 - slice.begin) / slice.step + 1);
  add(slice);
  Workload concat = Workload::along(Op::concat, shape, axis);
  concat.parts = {shape[axis], random.from(1, 9), random.from(1, 40)};
  add(concat);
  add_random_reductions(list, random);
}

}  // namespace

std::vector<Problem> problems() {
  List list;
  add_convolutions(list);
  add_epilogues(list);
  for (const TensorShape& shape : {TensorShape{2, 32, 7, 8}, TensorShape{1, 21, 5, 7},
                                   TensorShape{3, 3, 1, 1}, TensorShape{1, 40, 9, 17}}) {
    add_of_shape(list, shape);
  }
  add_concatenations_and_products(list);
  add_wide_windows(list);
  add_plain(list);
  add_reductions(list);
  return std::move(list.problems);
}

std::vector<Problem> random_problems(std::uint64_t seed) {
  Random random(seed);
  List list;
  for (int i = 0; i < 40; ++i) {
    const ConvShape shape = random.conv();
    Epilogue epilogue;
    epilogue.residual = random.one_in(3);
    if (random.one_in(2)) epilogue.activation = random.of(kActivations);
    list.add("random", Workload::conv(shape, epilogue));
  }
  for (int i = 0; i < 3; ++i) add_of_shape(list, random.tensor());
  for (int i = 0; i < 20; ++i) add_random_plain(list, random);
  for (int i = 0; i < 4; ++i) {
    const TensorShape image = random.tensor();
    std::vector<int> parts(static_cast<std::size_t>(random.from(1, 4)));
    int channels = 0;
    for (int& part : parts) channels += part = random.from(1, 40);
    list.add("random", Workload::concat({image.n(), channels, image.h(), image.w()}, parts));
    list.add("random", Workload::fully_connected(random.from(1, 5), random.from(1, 300),
                                                 random.from(1, 100), random.of(kActivations)));
  }
  return std::move(list.problems);
}

}  // namespace convopt::harness
