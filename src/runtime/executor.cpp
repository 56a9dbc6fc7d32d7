#include "src/runtime/executor.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "core/parallel.h"
#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"
#include "core/views.h"
#include "primitives/flush_denormals.h"
#include "primitives/sharing.h"

namespace convopt {
namespace {

ArenaLayout lay_out(const Schedule& schedule) {
  std::vector<Lifetime> lifetimes;
  for (const Storage& storage : schedule.storages) {
    lifetimes.push_back(storage.life);
    // The caller's memory takes no room in the arena.
    if (storage.input != kNone || storage.output != kNone) lifetimes.back().bytes = 0;
  }
  return lay_out_arena(lifetimes);
}

Result<void> check_sizes(const Operator& op, const Weights& given) {
  const auto check = [&](std::string_view what, std::size_t got, std::size_t want) -> Result<void> {
    if (got == want) return {};
    return make_error(ErrorCode::bad_input, "operator '" + op.name + "' is given " +
                                                std::to_string(got) + " " + std::string(what) +
                                                ", but has " + std::to_string(want));
  };
  auto fits = check("weights", given.weights.values().size(),
                    static_cast<std::size_t>(op.workload.weight_elements()));
  if (!fits || given.bias.values().empty()) return fits;
  return check("bias values", given.bias.values().size(),
               static_cast<std::size_t>(op.workload.bias_elements()));
}

Error out_of_memory(std::size_t bytes) {
  return make_error(
      ErrorCode::environment,
      "there is no memory of " + std::to_string(bytes >> 20U) + " MiB for the network's tensors");
}

std::size_t elements(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.shape.elements());
}

Result<void> check_size(std::string_view what, std::size_t index, std::size_t bytes,
                        const Tensor& tensor) {
  const std::size_t size = element_bytes(tensor.type);
  if (bytes == elements(tensor) * size) return {};
  return make_error(ErrorCode::usage, std::string(what) + " " + std::to_string(index) + " has " +
                                          std::to_string(bytes / size) + " elements of " +
                                          std::string(to_string(tensor.type)) +
                                          ", but the network's has " +
                                          std::to_string(elements(tensor)));
}

bool is_same(std::span<const float> a, std::span<const float> b) {
  return a.data() == b.data() && a.size() == b.size();
}

}  // namespace

MemoryUse memory_of(const Schedule& schedule, const Context& context) {
  MemoryUse use;
  use.tensors = lay_out(schedule).bytes;
  for (const ScheduleStep& step : schedule.steps) {
    if (step.kernel_of != kNone) continue;
    const Context own = context_of(*step.primitive, step.workload, context);
    use.packed_weights += step.primitive->packed_bytes(step.workload, own);
    use.workspace = std::max(use.workspace, step.primitive->workspace_bytes(step.workload, own));
  }
  return use;
}

Result<std::unique_ptr<Executor>> Executor::create(const Network& network, const Plan& plan,
                                                   const Registry& registry,
                                                   const WeightSource& weights,
                                                   std::size_t max_memory) try {
  auto schedule = make_schedule(network, plan, registry);
  if (!schedule) return schedule.error();
  if (max_memory < SIZE_MAX) {
    const MemoryUse use = memory_of(*schedule, registry.context());
    if (use.total() > max_memory) {
      return make_error(ErrorCode::environment,
                        "the plan needs " + format_bytes(static_cast<double>(use.total())) +
                            " of memory (weights " +
                            format_bytes(static_cast<double>(use.packed_weights)) + ", tensors " +
                            format_bytes(static_cast<double>(use.tensors)) + ", workspace " +
                            format_bytes(static_cast<double>(use.workspace)) + "), allowed are " +
                            format_bytes(static_cast<double>(max_memory)));
    }
  }
  std::unique_ptr<Executor> executor(new Executor);
  executor->schedule_ = std::move(*schedule);
  for (const TensorId id : network.inputs) executor->inputs_.push_back(network.tensors[id]);
  for (const TensorId id : network.outputs) executor->outputs_.push_back(network.tensors[id]);
  if (auto prepared = executor->prepare(network, registry, weights); !prepared) {
    return prepared.error();
  }
  executor->layout_ = lay_out(executor->schedule_);
  executor->memory_.tensors = executor->layout_.bytes;
  for (const Value& value : executor->schedule_.values)
    executor->shapes_.push_back(network.tensors[value.tensor].shape);
  executor->find_bridges();
  auto frame = executor->make_frame();
  if (!frame) return frame.error();
  executor->frame_ = std::move(*frame);
  if (auto filled = executor->fill_constants(network, weights); !filled) return filled.error();
  return executor;
} catch (const std::bad_alloc&) {
  return make_error(ErrorCode::environment,
                    "there is not enough memory to prepare the network " + network.name);
}

Result<void> Executor::prepare(const Network& network, const Registry& registry,
                               const WeightSource& source) {
  // Packing waits for memory and for its pages more than for arithmetic, and layers have nothing to
  // do with each other. Sources are asked by one thread at a time.
  std::mutex mutex;
  std::vector<int> threads(schedule_.steps.size(), 1);
  const auto make = [&](std::size_t number) -> Result<std::unique_ptr<Kernel>> {
    const ScheduleStep& step = schedule_.steps[number];
    Weights weights;
    if (step.workload.has_weights()) {
      const Operator& op = network.operators[step.weighted_operator()];
      const std::scoped_lock lock(mutex);
      CONVOPT_TRY(weights, source.weights(op));
      CONVOPT_CHECK(check_sizes(op, weights));
    }
    Parameters parameters = weights.parameters();
    parameters.scales = scales_of(schedule_, step);
    const Context context = context_of(*step.primitive, step.workload, registry.context());
    threads[number] = context.threads;
    return step.primitive->prepare(step.workload, parameters, context);
  };
  // A source may have others for each operator than the network.
  const auto serves_too = [&](const ScheduleStep& step) {
    if (step.kernel_of == kNone) return false;
    const ScheduleStep& first = schedule_.steps[static_cast<std::size_t>(step.kernel_of)];
    const std::scoped_lock lock(mutex);
    const auto a = source.weights(network.operators[first.weighted_operator()]);
    const auto b = source.weights(network.operators[step.weighted_operator()]);
    return a && b && is_same(a->weights.values(), b->weights.values()) &&
           is_same(a->bias.values(), b->bias.values());
  };
  kernels_.resize(schedule_.steps.size());
  std::vector<std::optional<Error>> errors(kernels_.size());
  in_parallel(kernels_.size(), [&](std::size_t s) {
    if (serves_too(schedule_.steps[s])) return;
    auto kernel = make(s);
    if (kernel) {
      kernels_[s] = std::move(*kernel);
    } else {
      errors[s] = kernel.error();
    }
  });
  for (const int used : threads) threads_ = std::max(threads_, used);
  for (std::size_t s = 0; s < kernels_.size(); ++s) {
    if (errors[s]) return *errors[s];
    if (kernels_[s] == nullptr) {
      kernels_[s] = kernels_[static_cast<std::size_t>(schedule_.steps[s].kernel_of)];
      continue;
    }
    memory_.packed_weights += kernels_[s]->packed_bytes();
    memory_.workspace = std::max(memory_.workspace, kernels_[s]->workspace_bytes());
  }
  return {};
}

void Executor::find_bridges() {
  input_bridges_.resize(inputs_.size());
  output_bridges_.resize(outputs_.size());
  std::vector<int> reads(schedule_.storages.size()), values(reads.size());
  const auto storage_of = [&](int value) {
    return static_cast<std::size_t>(schedule_.values[value].storage);
  };
  for (std::size_t v = 0; v < schedule_.values.size(); ++v)
    ++values[storage_of(static_cast<int>(v))];
  for (const ScheduleStep& step : schedule_.steps) {
    for (const int source : step.sources) ++reads[storage_of(source)];
    if (step.residual != kNone) ++reads[storage_of(step.residual)];
  }
  for (const OutputCopy& copy : schedule_.output_copies) ++reads[copy.storage];
  for (std::size_t s = 0; s < schedule_.steps.size(); ++s) {
    const ScheduleStep& step = schedule_.steps[s];
    if (!step.is_conversion()) continue;
    const Value& from = schedule_.values[step.sources.front()];
    const Value& to = schedule_.values[step.destination];
    if (from.format.type != to.format.type) continue;
    const Storage& source = schedule_.storages[from.storage];
    const Storage& destination = schedule_.storages[to.storage];
    const auto turns = [&](Layout a, Layout b) {
      return from.format.layout == a && to.format.layout == b;
    };
    // What the caller gives is only read, so nothing may take its place in memory.
    if (source.input != kNone && turns(Layout::nchw, Layout::nhwc) && reads[from.storage] == 1 &&
        values[to.storage] == 1 && destination.output == kNone && reads[to.storage] > 0) {
      input_bridges_[source.input] = {static_cast<int>(s), to.storage};
    }
    // What was in its place before is as large, so the caller's memory holds that, too.
    const bool is_own = source.input == kNone && source.output == kNone && source.constant == kNone;
    if (destination.output != kNone && turns(Layout::nhwc, Layout::nchw) && is_own &&
        reads[to.storage] == 0 && values[to.storage] == 1 &&
        source.life.bytes == destination.life.bytes) {
      output_bridges_[destination.output] = {static_cast<int>(s), from.storage};
    }
  }
}

bool Executor::is_bridged(int storage) const {
  const auto leads_there = [&](const Bridge& bridge) { return bridge.storage == storage; };
  return std::ranges::any_of(input_bridges_, leads_there) ||
         std::ranges::any_of(output_bridges_, leads_there);
}

Result<std::unique_ptr<Executor::Frame>> Executor::make_frame() const try {
  auto frame = std::make_unique<Frame>();
  if (auto allocated = allocate(*frame); !allocated) return allocated.error();
  make_views(*frame);
  if (frame_ == nullptr) return frame;
  for (std::size_t s = 0; s < schedule_.storages.size(); ++s) {
    const Storage& storage = schedule_.storages[s];
    if (storage.constant == kNone) continue;
    // No run writes there.
    std::memcpy(frame->storage_data[s], frame_->storage_data[s], storage.life.bytes);
  }
  return frame;
} catch (const std::bad_alloc&) {
  return out_of_memory(memory_.tensors + memory_.workspace);
}

Result<void> Executor::allocate(Frame& frame) const {
  // Behind the last tensor is room for what kernels of libraries read too far (is_defective in
  // primitives/onednn/offers.cpp).
  constexpr std::size_t kSlack = 4096;
  frame.arena = allocate_aligned(memory_.tensors + kSlack);
  frame.workspace = allocate_aligned(memory_.workspace);
  if (!frame.arena || !frame.workspace) return out_of_memory(memory_.tensors + memory_.workspace);
  // Touched now, so that no run meets a page for the first time.
  std::memset(frame.arena.get(), 0, memory_.tensors);
  std::memset(frame.workspace.get(), 0, memory_.workspace);
  for (const std::size_t offset : layout_.offsets) {
    frame.storage_data.push_back(frame.arena.get() + offset);
  }
  return {};
}

Result<void> Executor::fill_constants(const Network& network, const WeightSource& source) {
  for (std::size_t s = 0; s < schedule_.storages.size(); ++s) {
    if (schedule_.storages[s].constant == kNone) continue;
    const Operator& op = network.operators[schedule_.storages[s].constant];
    auto loaded = source.weights(op);
    if (!loaded) return loaded.error();
    const std::span<const float> values = loaded->weights.values();
    const std::size_t wanted = elements(network.tensors[op.outputs.front()]);
    if (values.size() != wanted) {
      return make_error(ErrorCode::bad_input, "the constant '" + op.name + "' is given " +
                                                  std::to_string(values.size()) +
                                                  " values, but has " + std::to_string(wanted));
    }
    std::memcpy(frame_->storage_data[s], values.data(), values.size_bytes());
  }
  return {};
}

TensorView Executor::view_of(const Frame& frame, int index) const {
  const Value& value = schedule_.values[index];
  const TensorShape& shape = shapes_[index];
  const auto& [layout, type] = value.format;
  if (value.part_of == kNone) {
    return TensorView::dense(frame.storage_data[value.storage], type, shape, layout);
  }
  const TensorView part = view_of(frame, value.part_of).channels(value.first_channel, shape.c());
  // Of a single image, only the stride between images tells the part from a dense tensor.
  return channels_are_dense(shape, layout) ? TensorView::dense(part.data, type, shape, layout)
                                           : part;
}

void Executor::make_views(Frame& frame) const {
  const auto fill = [&](TensorView& view, int index) {
    const int number = schedule_.values[index].storage;
    const Storage& storage = schedule_.storages[number];
    view = view_of(frame, index);
    if (storage.input != kNone || storage.output != kNone || is_bridged(number)) {
      frame.bindings.push_back({&view, number, view.as<std::byte>() - frame.storage_data[number]});
    }
  };
  frame.calls.resize(schedule_.steps.size());
  frame.skipped.resize(schedule_.steps.size());
  for (std::size_t s = 0; s < schedule_.steps.size(); ++s) {
    const ScheduleStep& step = schedule_.steps[s];
    Frame::Call& call = frame.calls[s];
    call.sources.resize(step.sources.size());
    for (std::size_t i = 0; i < step.sources.size(); ++i) fill(call.sources[i], step.sources[i]);
    call.args.sources = call.sources;
    call.args.workspace = frame.workspace.get();
    fill(call.args.destination, step.destination);
    if (step.residual == kNone) continue;
    if (step.copies_residual) {
      fill(call.copied_residual, step.residual);
      fill(call.args.residual, step.destination);
      call.args.residual.type = call.copied_residual.type;
    } else {
      fill(call.args.residual, step.residual);
    }
  }
}

Result<void> Executor::cross(Frame& frame, const Bridge& bridge, Layout layout,
                             std::byte* data) const {
  if (bridge.step == kNone) {
    if (layout == Layout::nchw) return {};
    return make_error(ErrorCode::usage, "the plan wants tensors in nchw");
  }
  const bool is_given = layout == Layout::nhwc;
  frame.skipped[bridge.step] = is_given ? 1 : 0;
  frame.storage_data[bridge.storage] =
      is_given ? data : frame.arena.get() + layout_.offsets[bridge.storage];
  return {};
}

Result<void> Executor::bind(Frame& frame, Inputs inputs, Outputs outputs,
                            const Layouts& layouts) const {
  if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size()) {
    return make_error(ErrorCode::usage, "the network has " + counted(inputs_.size(), "input") +
                                            " and " + counted(outputs_.size(), "output"));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (auto fits = check_size("input", i, inputs[i].size(), inputs_[i]); !fits) return fits;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (auto fits = check_size("output", i, outputs[i].size(), outputs_[i]); !fits) return fits;
  }
  for (std::size_t s = 0; s < frame.storage_data.size(); ++s) {
    const Storage& storage = schedule_.storages[s];
    // Views of sources are never written to.
    if (storage.input != kNone) {
      frame.storage_data[s] = const_cast<std::byte*>(inputs[storage.input].data());
    }
    if (storage.output != kNone) frame.storage_data[s] = outputs[storage.output].data();
  }
  const auto layout_of = [](std::span<const Layout> given, std::size_t index) {
    return given.empty() ? Layout::nchw : given[index];
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    CONVOPT_CHECK(cross(frame, input_bridges_[i], layout_of(layouts.inputs, i),
                        const_cast<std::byte*>(inputs[i].data())));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    CONVOPT_CHECK(
        cross(frame, output_bridges_[i], layout_of(layouts.outputs, i), outputs[i].data()));
  }
  for (const Frame::Binding& binding : frame.bindings) {
    binding.view->data = frame.storage_data[binding.storage] + binding.offset;
  }
  return {};
}

Result<void> Executor::run(Frame& frame, Inputs inputs, Outputs outputs, Observer* observer,
                           const Layouts& layouts) const {
  if (auto bound = bind(frame, inputs, outputs, layouts); !bound) return bound;
  const FlushDenormals flush(threads_);
  if (observer != nullptr) observer->before_run();
  for (std::size_t s = 0; s < kernels_.size(); ++s) {
    if (observer != nullptr && !observer->goes_on()) {
      return make_error(ErrorCode::interrupted, "the run was cancelled before the layer " +
                                                    in_quotes(schedule_.steps[s].name));
    }
    if (frame.skipped[s] != 0) continue;
    const Frame::Call& call = frame.calls[s];
    if (schedule_.steps[s].copies_residual) {
      const TensorView& residual = call.copied_residual;
      std::memcpy(call.args.destination.data, residual.data,
                  element_bytes(residual.type) *
                      static_cast<std::size_t>(padded_elements(residual.shape, residual.layout)));
    }
    kernels_[s]->run(call.args);
    if (observer != nullptr) observer->after_step(s, call.args.destination);
  }
  for (const OutputCopy& copy : schedule_.output_copies) {
    std::memcpy(outputs[copy.output].data(), frame.storage_data[copy.storage],
                outputs[copy.output].size_bytes());
  }
  return {};
}

}  // namespace convopt
