// Executes whole networks by a plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/primitive.hpp"
#include "convopt/weights.hpp"
#include "src/runtime/arena.h"
#include "src/runtime/schedule.h"

namespace convopt {

/// Sees every step of a run; `destination` is what the step has just written.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void before_run() noexcept {}
  virtual void after_step(std::size_t step, const TensorView& destination) noexcept = 0;
};

/// What executing the schedule will hold, without packing or allocating anything.
MemoryUse memory_of(const Schedule& schedule, const Context& context);

/// A network prepared by a plan: kernels created, weights packed, memory laid out. Executors share
/// nothing, so several may run at once, each in one thread at a time.
class Executor {
 public:
  /// The registry must outlive the executor; all else is copied. A network that needs more than
  /// `max_memory` bytes is refused before any weights are packed.
  static Result<std::unique_ptr<Executor>> create(const Network& network, const Plan& plan,
                                                  const Registry& registry,
                                                  const WeightSource& weights,
                                                  std::size_t max_memory = SIZE_MAX);

  using Inputs = std::span<const std::span<const std::byte>>;
  using Outputs = std::span<const std::span<std::byte>>;
  /// Row-major tensors of the network's types, in the order of Network::inputs and
  /// Network::outputs. Allocates nothing and fails only if their number or sizes are wrong.
  /// Denormal numbers count as zero (primitives/flush_denormals.h).
  Result<void> run(Inputs inputs, Outputs outputs, Observer* observer = nullptr);

  /// Puts a kernel in the place of a step's and returns that one. It is of the same primitive and
  /// workload.
  std::unique_ptr<Kernel> exchange_kernel(std::size_t step, std::unique_ptr<Kernel> kernel) {
    return std::exchange(calls_[step].kernel, std::move(kernel));
  }

  std::span<const ScheduleStep> steps() const { return schedule_.steps; }
  std::span<const Value> values() const { return schedule_.values; }
  const MemoryUse& memory() const { return memory_; }

 private:
  /// What a step's kernel is called with.
  struct Call {
    std::unique_ptr<Kernel> kernel;
    std::vector<TensorView> sources;
    RunArgs args;
    std::size_t copy_bytes = 0;  ///< residual to destination, before the kernel runs
    TensorView copied_residual;
  };
  /// A pointer that follows the caller's memory.
  struct Binding {
    TensorView* view = nullptr;
    int storage = kNone;
    std::ptrdiff_t offset = 0;  ///< of the view's first element, in bytes
  };

  Executor() = default;
  Result<void> prepare(const Network& network, const Registry& registry,
                       const WeightSource& weights);
  Result<void> allocate();
  Result<void> fill_constants(const Network& network, const WeightSource& weights);
  void make_views(const Network& network);
  TensorView view_of(int value, const Network& network) const;
  Result<void> bind(Inputs inputs, Outputs outputs);

  Schedule schedule_;
  int threads_ = 1;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Call> calls_;  ///< one per step
  std::vector<Binding> bindings_;
  std::vector<std::byte*> storage_data_;
  AlignedBytes arena_, workspace_;
  MemoryUse memory_;
};

}  // namespace convopt
