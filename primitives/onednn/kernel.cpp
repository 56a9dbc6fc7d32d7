#include "primitives/onednn/kernel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "primitives/onednn/compat.h"
#include "primitives/onednn/library.h"
#include "primitives/own.h"

namespace convopt::onednn {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

/// State of a run besides its arguments. Making three memory objects takes 0.55 us, a whole run
/// of a tiny kernel that finds them made 0.2 us, with new addresses each time 0.22 us (Zen 4).
struct Arguments {
  dnnl::stream stream;
  std::vector<dnnl::memory> memories;  // in the order of `bound`, keeps the handles alive
  std::vector<void*> bound;            // the address that each memory has
  std::vector<dnnl_exec_arg_t> list;
};

class OneDnnKernel final : public Kernel {
 public:
  OneDnnKernel(dnnl::engine cpu, const Request& request,
               const dnnl::primitive_desc_base& descriptor, const Parameters& parameters,
               const QuantisedWeights& quantised, const Scaling& scaling)
      : cpu_(std::move(cpu)),
        workload_(request.workload),
        input_(request.input),
        output_(request.output),
        threads_(request.threads),
        alignment_(
            tensor_alignment(workload_.op, clean_implementation(descriptor.impl_info_str()))),
        primitive_(descriptor.get()),
        scratchpad_(descriptor.scratchpad_desc()) {
    if (workload_.has_weights()) pack(descriptor, parameters, quantised, scaling);
    if (compat::kScalesAreArguments) keep_arguments_of(scaling);
    idle_.push_back(make_arguments());
  }

  void run(const RunArgs& args) const noexcept override {
    const ThreadScope threads(threads_);
    if (alignment_ > 1 && !is_aligned(args)) {
      run_on_copies(args);
    } else {
      execute(args);
    }
  }

  std::size_t workspace_bytes() const override { return scratchpad_.get_size(); }
  std::size_t packed_bytes() const override {
    return weights_ ? weights_.get_desc().get_size() + bias_.get_desc().get_size() : 0;
  }

 private:
  /// `quantised` are the weights of a layer whose source is quantised, else empty.
  void pack(const dnnl::primitive_desc_base& descriptor, const Parameters& parameters,
            const QuantisedWeights& quantised, const Scaling& scaling) {
    const ConvShape& shape = workload_.shape;
    const bool grouped = workload_.op == Op::conv && shape.groups > 1;
    const bool is_quantised = !quantised.numbers.empty();
    const auto type = is_quantised ? dnnl::memory::data_type::s8 : kFloat;
    // The same order of values as in Parameters; only the number of dimensions differs.
    const Desc plain = workload_.op == Op::fully_connected
                           ? Desc({shape.oc, shape.ic}, type, dnnl::memory::format_tag::oi)
                       : grouped ? Desc({shape.groups, shape.oc / shape.groups,
                                         shape.ic / shape.groups, shape.kh, shape.kw},
                                        type, dnnl::memory::format_tag::goihw)
                                 : Desc({shape.oc, shape.ic, shape.kh, shape.kw}, type,
                                        dnnl::memory::format_tag::oihw);
    dnnl::stream stream(cpu_);
    // Only read, although the interface cannot say so.
    void* const weights = is_quantised ? const_cast<std::int8_t*>(quantised.numbers.data())
                                       : const_cast<void*>(parameters.weights.data);
    dnnl::memory source(plain, cpu_, weights);
    weights_ = dnnl::memory(descriptor.weights_desc(0), cpu_);
    dnnl::reorder(source, weights_).execute(stream, source, weights_);
    stream.wait();

    // A source whose padding is not 0 is left to the library, and what an activation must not see
    // is added behind it.
    const std::vector<float> shifts =
        zero_point_shifts(quantised, parameters.scales, !workload_.zero_points,
                          activation_before_storing(workload_).kind == ActivationKind::none);
    bias_ = dnnl::memory(Desc({shape.oc}, kFloat, dnnl::memory::format_tag::x), cpu_);
    auto* const bias = static_cast<float*>(bias_.get_data_handle());
    for (int i = 0; i < shape.oc; ++i) {
      bias[i] = parameters.bias.as<float>() ? parameters.bias.as<float>()[i] : 0.0F;
      if (is_quantised) {
        const auto channel = static_cast<std::size_t>(i);
        bias[i] += shifts[channel];
        // It is added to sums of whole numbers, or to what they are after scaling.
        if (compat::kScalesAreArguments) {
          bias[i] *= scaling.bound;
        } else {
          bias[i] /= parameters.scales.input * quantised.scales[channel];
        }
      }
    }
  }

  void keep_arguments_of(const Scaling& scaling) {
    const auto keep = [this](int role, dnnl::memory::data_type type, const auto& values) {
      const auto count = static_cast<dnnl::memory::dim>(values.size());
      scaling_.emplace_back(role, dnnl::memory({{count}, type, dnnl::memory::format_tag::x}, cpu_));
      std::ranges::copy(values, static_cast<typename std::decay_t<decltype(values)>::value_type*>(
                                    scaling_.back().second.get_data_handle()));
    };
    if (!scaling.sums.empty())
      keep(compat::kScalesOf | scaled_argument(workload_), kFloat, scaling.sums);
    if (scaling.source_zero != 0) {
      keep(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, dnnl::memory::data_type::s32,
           std::vector<std::int32_t>{scaling.source_zero});
    }
  }

  /// oneDNN writes zeros into the padding of a memory whenever that gets an address. Sources are
  /// not ours to write to, and their padding holds zeros already: they are described with the
  /// padded channels, which lie in the same places.
  Desc source_desc(int index) const {
    TensorShape shape = workload_.source(index);
    if (workload_.op == Op::fully_connected) return matrix_desc(shape, workload_.input_type);
    shape.c() = static_cast<int>(padded_channels(shape.c(), input_));
    return tensor_desc(shape, workload_.input_type, input_);
  }

  Desc destination_desc() const {
    const TensorShape shape = workload_.output();
    if (workload_.op == Op::fully_connected) return matrix_desc(shape, workload_.output_type);
    return tensor_desc(shape, workload_.output_type, output_);
  }

  static Desc matrix_desc(const TensorShape& shape, DataType type) {
    return Desc({shape.n(), shape.c()}, data_type_of(type), dnnl::memory::format_tag::nc);
  }

  std::unique_ptr<Arguments> make_arguments() const {
    auto arguments = std::make_unique<Arguments>();
    arguments->stream = dnnl::stream(cpu_);
    const auto add = [&](int role, const Desc& desc) {
      arguments->memories.emplace_back(desc, cpu_, static_cast<void*>(DNNL_MEMORY_NONE));
      arguments->bound.push_back(nullptr);
      arguments->list.push_back({role, arguments->memories.back().get()});
    };
    const int first = workload_.op == Op::concat ? DNNL_ARG_MULTIPLE_SRC : DNNL_ARG_SRC_0;
    for (int i = 0; i < workload_.source_count(); ++i) add(first + i, source_desc(i));
    add(DNNL_ARG_DST, destination_desc());
    if (scratchpad_.get_size() > 0) add(DNNL_ARG_SCRATCHPAD, scratchpad_);
    if (weights_) {
      arguments->list.push_back({DNNL_ARG_WEIGHTS, weights_.get()});
      arguments->list.push_back({DNNL_ARG_BIAS, bias_.get()});
    }
    for (const auto& [role, memory] : scaling_) arguments->list.push_back({role, memory.get()});
    return arguments;
  }

  static std::size_t bytes_of(const TensorView& view) {
    return static_cast<std::size_t>(padded_elements(view.shape, view.layout)) *
           element_bytes(view.type);
  }

  static AlignedFloats room_for(const TensorView& view) {
    return AlignedFloats((bytes_of(view) + sizeof(float) - 1) / sizeof(float));
  }

  void execute(const RunArgs& args) const {
    if (workload_.epilogue.residual && args.residual.data != args.destination.data) {
      // The library's sum reads its second operand from the destination.
      std::memcpy(args.destination.data, args.residual.data, bytes_of(args.destination));
    }
    std::unique_ptr<Arguments> arguments = acquire();
    const bool done = bind(*arguments, args) &&
                      dnnl_primitive_execute(primitive_.get(), arguments->stream.get(),
                                             static_cast<int>(arguments->list.size()),
                                             arguments->list.data()) == dnnl_success &&
                      dnnl_stream_wait(arguments->stream.get()) == dnnl_success;
    release(std::move(arguments));
    // run() cannot fail: poison the output with what is NaN in types of real numbers.
    if (!done) std::memset(args.destination.data, 0xFF, bytes_of(args.destination));
  }

  bool is_aligned(const RunArgs& args) const {
    const auto fits = [this](const TensorView& view) {
      return reinterpret_cast<std::uintptr_t>(view.data) % alignment_ == 0;
    };
    return fits(args.destination) && std::all_of(args.sources.begin(), args.sources.end(), fits);
  }

  /// For the few kernels that want more than an element's alignment: slow, but it does not fault.
  void run_on_copies(const RunArgs& args) const {
    std::vector<AlignedFloats> copies;
    std::vector<TensorView> sources(args.sources.begin(), args.sources.end());
    for (TensorView& source : sources) {
      copies.push_back(room_for(source));
      std::memcpy(copies.back().data(), source.data, bytes_of(source));
      source.data = copies.back().data();
    }
    AlignedFloats result = room_for(args.destination);
    RunArgs moved = args;
    moved.sources = sources;
    moved.destination.data = result.data();
    execute(moved);
    std::memcpy(args.destination.data, result.data(), bytes_of(args.destination));
  }

  bool bind(Arguments& arguments, const RunArgs& args) const {
    const auto sources = static_cast<std::size_t>(workload_.source_count());
    for (std::size_t i = 0; i < arguments.bound.size(); ++i) {
      void* const address = i < sources    ? args.sources[i].data
                            : i == sources ? args.destination.data
                                           : args.workspace;
      if (address == arguments.bound[i]) continue;
      if (dnnl_memory_set_data_handle(arguments.memories[i].get(), address) != dnnl_success) {
        return false;
      }
      arguments.bound[i] = address;
    }
    return true;
  }

  /// The set used last, so that one thread with the same buffers finds them bound. Only when more
  /// threads than ever before run this kernel at once is a new one made.
  std::unique_ptr<Arguments> acquire() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto arguments = std::move(idle_.back());
        idle_.pop_back();
        return arguments;
      }
    }
    return make_arguments();
  }

  void release(std::unique_ptr<Arguments> arguments) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(arguments));
  }

  dnnl::engine cpu_;
  Workload workload_;
  Layout input_, output_;
  int threads_;
  std::size_t alignment_;
  dnnl::primitive primitive_;
  Desc scratchpad_;
  dnnl::memory weights_, bias_;
  std::vector<std::pair<int, dnnl::memory>> scaling_;  // by their roles
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Arguments>> idle_;
};

}  // namespace

Result<std::unique_ptr<Kernel>> make_kernel(const dnnl::engine& cpu, const Request& request,
                                            const std::string& implementation,
                                            const Parameters& parameters) {
  if (request.workload.has_weights() && parameters.weights.as<float>() == nullptr) {
    return make_error(ErrorCode::usage, request.workload.text() + " needs weights");
  }
  try {
    const ThreadScope threads(request.threads);
    const Workload& workload = request.workload;
    QuantisedWeights quantised;
    if (workload.has_weights() && is_quantised(workload.input_type)) {
      quantised = quantise_weights(
          {parameters.weights.as<float>(), static_cast<std::size_t>(parameters.weights.count)},
          workload.shape.oc);
    }
    const Scaling scaling = scaling_of(workload, parameters.scales, quantised.scales);
    const auto descriptor = find_descriptor(cpu, request, implementation, scaling);
    if (!descriptor) {
      return make_error(ErrorCode::usage, "oneDNN does not offer " + implementation + " for " +
                                              request.workload.text());
    }
    return std::unique_ptr<Kernel>(
        std::make_unique<OneDnnKernel>(cpu, request, descriptor, parameters, quantised, scaling));
  } catch (const std::exception& error) {
    return make_error(ErrorCode::environment,
                      "oneDNN cannot prepare " + request.workload.text() + ": " + error.what());
  }
}

}  // namespace convopt::onednn
