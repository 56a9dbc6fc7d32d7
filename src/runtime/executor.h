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
  /// Asked before every step; false ends the run.
  virtual bool goes_on() const noexcept { return true; }
  virtual void after_step(std::size_t step, const TensorView& destination) noexcept = 0;
};

/// What executing the schedule will hold, without packing or allocating anything.
MemoryUse memory_of(const Schedule& schedule, const Context& context);

/// A network prepared by a plan: kernels created, weights packed, memory laid out. Executors share
/// nothing, so several may run at once, each in one thread at a time; in several threads at once it
/// runs in frames of their own.
class Executor {
 public:
  /// What a run writes to: tensors, scratch memory, and the views into both. Of one thread at a
  /// time.
  class Frame {
    friend class Executor;
    /// What a step's kernel is called with.
    struct Call {
      std::vector<TensorView> sources;
      RunArgs args;
      TensorView copied_residual;
    };
    /// A pointer that follows the caller's memory.
    struct Binding {
      TensorView* view = nullptr;
      int storage = kNone;
      std::ptrdiff_t offset = 0;  ///< of the view's first element, in bytes
    };

    std::vector<Call> calls;    ///< one per step
    std::vector<char> skipped;  ///< whether the run leaves the step out, one per step
    std::vector<Binding> bindings;
    std::vector<std::byte*> storage_data;
    AlignedBytes arena, workspace;
  };

  /// The registry must outlive the executor; all else is copied. A network that needs more than
  /// `max_memory` bytes is refused before any weights are packed.
  static Result<std::unique_ptr<Executor>> create(const Network& network, const Plan& plan,
                                                  const Registry& registry,
                                                  const WeightSource& weights,
                                                  std::size_t max_memory = SIZE_MAX);

  using Inputs = std::span<const std::span<const std::byte>>;
  using Outputs = std::span<const std::span<std::byte>>;
  /// In which order the caller has the tensors of a run, nchw or nhwc; empty: all are nchw.
  struct Layouts {
    std::span<const Layout> inputs, outputs;
  };
  /// Whether a run can take that input, or give that output, in nhwc: the plan begins, or ends,
  /// with a conversion between the two orders, which such a run leaves out, and nothing else reads
  /// what that would have read or written.
  bool takes_nhwc(std::size_t input) const { return input_bridges_[input].step != kNone; }
  bool gives_nhwc(std::size_t output) const { return output_bridges_[output].step != kNone; }

  /// Row-major tensors of the network's types, in the order of Network::inputs and
  /// Network::outputs. Allocates nothing and fails only if their number or sizes are wrong.
  /// Denormal numbers count as zero (primitives/flush_denormals.h).
  /// An observer that ends the run makes it fail with ErrorCode::interrupted.
  Result<void> run(Inputs inputs, Outputs outputs, Observer* observer = nullptr) {
    return run(*frame_, inputs, outputs, observer);
  }

  /// That of runs without a frame.
  Frame& frame() { return *frame_; }
  /// Another frame of memory().tensors and memory().workspace bytes. Frames and runs in them may be
  /// made in several threads at once; the executor outlives its frames.
  Result<std::unique_ptr<Frame>> make_frame() const;
  /// Observers do not see steps that are left out.
  Result<void> run(Frame& frame, Inputs inputs, Outputs outputs, Observer* observer = nullptr,
                   const Layouts& layouts = {}) const;

  /// Puts a kernel in the place of a step's and returns that one. It is of the same primitive and
  /// workload.
  std::shared_ptr<const Kernel> exchange_kernel(std::size_t step,
                                                std::shared_ptr<const Kernel> kernel) {
    return std::exchange(kernels_[step], std::move(kernel));
  }

  std::span<const ScheduleStep> steps() const { return schedule_.steps; }
  std::span<const Value> values() const { return schedule_.values; }
  /// With one frame.
  const MemoryUse& memory() const { return memory_; }

 private:
  /// The conversion between the network's own order of an input or output and nhwc, and the memory
  /// on its other side.
  struct Bridge {
    int step = kNone;
    int storage = kNone;
  };

  Executor() = default;
  void find_bridges();
  bool is_bridged(int storage) const;
  Result<void> prepare(const Network& network, const Registry& registry,
                       const WeightSource& weights);
  Result<void> fill_constants(const Network& network, const WeightSource& weights);
  Result<void> allocate(Frame& frame) const;
  void make_views(Frame& frame) const;
  TensorView view_of(const Frame& frame, int value) const;
  Result<void> bind(Frame& frame, Inputs inputs, Outputs outputs, const Layouts& layouts) const;
  Result<void> cross(Frame& frame, const Bridge& bridge, Layout layout, std::byte* data) const;

  Schedule schedule_;
  ArenaLayout layout_;
  int threads_ = 1;  ///< of the step that uses most
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Bridge> input_bridges_, output_bridges_;  ///< one per input and output
  std::vector<TensorShape> shapes_;                     ///< one per value
  std::vector<std::shared_ptr<const Kernel>> kernels_;  ///< one per step
  MemoryUse memory_;
  std::unique_ptr<Frame> frame_;  ///< of runs without one; has the constants that others copy
};

}  // namespace convopt
