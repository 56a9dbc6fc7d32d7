#include "src/runtime/executor.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "core/text.h"
#include "core/views.h"

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

std::string wrong_size(std::string_view what, std::size_t index, std::size_t got,
                       std::size_t want) {
  return std::string(what) + " " + std::to_string(index) + " has " + std::to_string(got) +
         " elements, but the network's has " + std::to_string(want);
}

}  // namespace

MemoryUse memory_of(const Schedule& schedule, const Context& context) {
  MemoryUse use;
  use.tensors = lay_out(schedule).bytes;
  for (const Step& step : schedule.steps) {
    use.packed_weights += step.primitive->packed_bytes(step.workload, context);
    use.workspace =
        std::max(use.workspace, step.primitive->workspace_bytes(step.workload, context));
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
                        "the plan needs " + mebibytes(use.total()) + " of memory (weights " +
                            mebibytes(use.packed_weights) + ", tensors " + mebibytes(use.tensors) +
                            ", workspace " + mebibytes(use.workspace) + "), allowed are " +
                            mebibytes(max_memory));
    }
  }
  std::unique_ptr<Executor> executor(new Executor);
  executor->schedule_ = std::move(*schedule);
  const auto sizes = [&](const std::vector<TensorId>& tensors) {
    std::vector<std::size_t> result;
    for (const TensorId id : tensors) {
      result.push_back(static_cast<std::size_t>(network.tensors[id].shape.elements()));
    }
    return result;
  };
  executor->input_sizes_ = sizes(network.inputs);
  executor->output_sizes_ = sizes(network.outputs);
  if (auto prepared = executor->prepare(network, registry, weights); !prepared) {
    return prepared.error();
  }
  if (auto allocated = executor->allocate(); !allocated) return allocated.error();
  executor->make_views(network);
  return executor;
} catch (const std::bad_alloc&) {
  return make_error(ErrorCode::environment,
                    "there is not enough memory to prepare the network " + network.name);
}

Result<void> Executor::prepare(const Network& network, const Registry& registry,
                               const WeightSource& source) {
  for (const Step& step : schedule_.steps) {
    Weights weights;
    if (step.workload.has_weights()) {
      const Operator& op = network.operators[step.operators.front()];
      auto loaded = source.weights(op);
      if (!loaded) return loaded.error();
      if (auto fits = check_sizes(op, *loaded); !fits) return fits;
      weights = std::move(*loaded);
    }
    auto kernel = step.primitive->prepare(step.workload, weights.parameters(), registry.context());
    if (!kernel) return kernel.error();
    memory_.packed_weights += (*kernel)->packed_bytes();
    memory_.workspace = std::max(memory_.workspace, (*kernel)->workspace_bytes());
    calls_.push_back({std::move(*kernel), {}, {}, 0, {}});
  }
  return {};
}

Result<void> Executor::allocate() {
  const ArenaLayout layout = lay_out(schedule_);
  memory_.tensors = layout.bytes;
  arena_ = allocate_aligned(memory_.tensors);
  workspace_ = allocate_aligned(memory_.workspace);
  if (!arena_ || !workspace_) return out_of_memory(memory_.tensors + memory_.workspace);
  // Touched now, so that no run meets a page for the first time.
  std::memset(arena_.get(), 0, memory_.tensors);
  std::memset(workspace_.get(), 0, memory_.workspace);
  for (const std::size_t offset : layout.offsets) {
    storage_data_.push_back(reinterpret_cast<float*>(arena_.get() + offset));
  }
  return {};
}

TensorView Executor::view_of(int index, const Network& network) const {
  const Value& value = schedule_.values[index];
  const TensorShape& shape = network.tensors[value.tensor].shape;
  if (value.part_of == kNone) {
    return TensorView::dense(storage_data_[value.storage], shape, value.layout);
  }
  const TensorView part = view_of(value.part_of, network).channels(value.first_channel, shape.c());
  // Of a single image, only the stride between images tells the part from a dense tensor.
  return channels_are_dense(shape, value.layout)
             ? TensorView::dense(part.as<float>(), shape, value.layout)
             : part;
}

void Executor::make_views(const Network& network) {
  const auto fill = [&](TensorView& view, int index) {
    const int number = schedule_.values[index].storage;
    const Storage& storage = schedule_.storages[number];
    view = view_of(index, network);
    if (storage.input != kNone || storage.output != kNone) {
      bindings_.push_back({&view, number, view.as<float>() - storage_data_[number]});
    }
  };
  for (std::size_t s = 0; s < calls_.size(); ++s) {
    const Step& step = schedule_.steps[s];
    Call& call = calls_[s];
    call.sources.resize(step.sources.size());
    for (std::size_t i = 0; i < step.sources.size(); ++i) fill(call.sources[i], step.sources[i]);
    call.args.sources = call.sources;
    call.args.workspace = workspace_.get();
    fill(call.args.destination, step.destination);
    if (step.residual == kNone) continue;
    if (step.copies_residual) {
      fill(call.copied_residual, step.residual);
      fill(call.args.residual, step.destination);
      const TensorView& residual = call.copied_residual;
      call.copy_bytes = sizeof(float) *
                        static_cast<std::size_t>(padded_elements(residual.shape, residual.layout));
    } else {
      fill(call.args.residual, step.residual);
    }
  }
}

Result<void> Executor::bind(std::span<const std::span<const float>> inputs,
                            std::span<const std::span<float>> outputs) {
  if (inputs.size() != input_sizes_.size() || outputs.size() != output_sizes_.size()) {
    return make_error(ErrorCode::usage, "the network has " + std::to_string(input_sizes_.size()) +
                                            " inputs and " + std::to_string(output_sizes_.size()) +
                                            " outputs");
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].size() != input_sizes_[i]) {
      return make_error(ErrorCode::usage,
                        wrong_size("input", i, inputs[i].size(), input_sizes_[i]));
    }
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].size() != output_sizes_[i]) {
      return make_error(ErrorCode::usage,
                        wrong_size("output", i, outputs[i].size(), output_sizes_[i]));
    }
  }
  for (std::size_t s = 0; s < storage_data_.size(); ++s) {
    const Storage& storage = schedule_.storages[s];
    // Views of sources are never written to.
    if (storage.input != kNone) storage_data_[s] = const_cast<float*>(inputs[storage.input].data());
    if (storage.output != kNone) storage_data_[s] = outputs[storage.output].data();
  }
  for (const Binding& binding : bindings_) {
    binding.view->data = storage_data_[binding.storage] + binding.offset;
  }
  return {};
}

Result<void> Executor::run(std::span<const std::span<const float>> inputs,
                           std::span<const std::span<float>> outputs, Observer* observer) {
  if (auto bound = bind(inputs, outputs); !bound) return bound;
  if (observer != nullptr) observer->before_run();
  for (std::size_t s = 0; s < calls_.size(); ++s) {
    const Call& call = calls_[s];
    if (call.copy_bytes > 0) {
      std::memcpy(call.args.destination.as<float>(), call.copied_residual.as<float>(),
                  call.copy_bytes);
    }
    call.kernel->run(call.args);
    if (observer != nullptr) observer->after_step(s, call.args.destination);
  }
  for (const OutputCopy& copy : schedule_.output_copies) {
    std::memcpy(outputs[copy.output].data(), storage_data_[copy.storage],
                outputs[copy.output].size_bytes());
  }
  return {};
}

}  // namespace convopt
