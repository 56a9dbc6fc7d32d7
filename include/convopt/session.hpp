// A network that can be run. Programs that only execute plans need no more than this.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/bundle.hpp"
#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/weights.hpp"

namespace convopt {

struct SessionOptions {
  /// Most bytes of packed weights, tensors and scratch memory; more is refused before any weights
  /// are packed. Runs at the same time need tensors and scratch memory each: those for which there
  /// is no room wait until others have ended.
  std::size_t max_memory = SIZE_MAX;
};

/// Ends runs from another thread. It must outlive the runs that it is passed to.
class Cancellation {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  /// For the next run.
  void reset() noexcept { cancelled_.store(false, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_ = false;
};

/// How long a layer or a conversion between layouts took in one run.
struct LayerTime {
  std::string_view name;  ///< of the layer, or of the tensor that is converted; the session's
  std::string_view primitive;
  std::int64_t ns = 0;
};

struct RunOptions {
  /// Becomes one entry per step, in the order of execution; allocates only where it has no room.
  /// Null: nothing is timed. Timing takes about 20 ns a step.
  std::vector<LayerTime>* layer_times = nullptr;
  /// Asked before every step; a cancelled run fails with ErrorCode::interrupted, and its outputs
  /// are not to be used. Null: no cancellation.
  const Cancellation* cancellation = nullptr;
};

/// Elements of an input, and how they lie in memory. Nothing is copied where the order is row-major
/// (nchw), and where it is nhwc and the plan begins with a conversion to nhwc, which is left out
/// then.
struct InputView {
  std::string_view name;         ///< as Session::inputs() has it
  const void* data = nullptr;    ///< elements of the input's type, dense
  std::size_t bytes = 0;         ///< all of them
  Layout layout = Layout::nchw;  ///< or nhwc, for images (rank 4): n x h x w x c
};

/// The same of an output, which is written.
struct OutputView {
  std::string_view name;
  void* data = nullptr;
  std::size_t bytes = 0;
  Layout layout = Layout::nchw;
};

/// A network prepared by a plan: kernels made, weights packed, memory laid out. Sessions may be
/// made and run in several threads at once, and several threads may run one session at once: they
/// share its packed weights, and each run has tensors and scratch memory of its own, which are made
/// when they are first needed and kept for later runs. Nothing is printed, nothing is thrown.
///
/// A run computes with as many OpenMP threads as its plan was made for. Where several threads run
/// at once, plans for one thread use the processors best.
class Session {
 public:
  /// Prepares for the instruction-set level and the number of threads that the plan was made for.
  /// Nothing that is given needs to outlive the call. Fails if the plan is for another network, for
  /// more threads than there are processors, or with primitives that this machine does not have.
  static Result<Session> create(const Network& network, const Plan& plan,
                                const WeightSource& weights, const SessionOptions& options = {});

  /// With the first of the bundle's choices whose primitives exist here. Fails if there is none,
  /// and where create() does. The bundle need not outlive the call.
  static Result<Session> open(const Bundle& bundle, const PlanRequest& request = {},
                              const SessionOptions& options = {});
  static Result<Session> open(const std::filesystem::path& path, const PlanRequest& request = {},
                              const SessionOptions& options = {});

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  /// Names as the model's file has them, shapes and types, in the order of the network.
  std::span<const Tensor> inputs() const;
  /// Of a network with a rest, what that is given.
  std::span<const Tensor> outputs() const;

  /// One pointer per input and output, to row-major tensors of inputs()[i].shape.elements()
  /// floats. Inputs are not written to, and must not overlap outputs. Allocates nothing once as
  /// many runs at a time as now have been seen; fails only if the number of pointers is wrong, one
  /// is null, a tensor is not of type f32, or the run is cancelled.
  Result<void> run(std::span<const float* const> inputs, std::span<float* const> outputs,
                   const RunOptions& options = {}) const;
  /// The same for any types: the pointers are to elements of inputs()[i].type.
  Result<void> run(std::span<const void* const> inputs, std::span<void* const> outputs,
                   const RunOptions& options = {}) const;
  /// The same by name, in any order. Every input is given; of outputs those that are wanted. Fails
  /// also if a name is unknown or given twice, the number of bytes is wrong, or a layout is neither
  /// nchw nor nhwc, or nhwc for a tensor that is no image. A tensor in nhwc is copied into nchw, or
  /// from it, unless the plan converts it to nhwc at once, or from it at the end: such a conversion
  /// is not run, and takes 0 ns among the layers' times.
  Result<void> run(std::span<const InputView> inputs, std::span<const OutputView> outputs,
                   const RunOptions& options = {}) const;
  /// All outputs of the model with their actual shapes. The only call for networks with
  /// data-dependent shapes (Network::rest), whose rest is planned when its shapes are first seen;
  /// such runs are serialised, and they need the whole library, convopt::convopt.
  Result<std::vector<Array>> run(std::span<const void* const> inputs) const;

  /// One sentence where a bundle had no plan for this platform; else empty.
  const std::string& note() const;
  /// Level and threads that it computes with, and the machine that its plan was made for.
  const Platform& platform() const;
  /// With the tensors and scratch memory of all runs that there have been at the same time.
  MemoryUse memory() const;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace convopt
