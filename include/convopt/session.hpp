// A network that can be run. Programs that only execute plans need no more than this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"
#include "convopt/plan.hpp"
#include "convopt/weights.hpp"

namespace convopt {

struct SessionOptions {
  /// Most bytes of packed weights, tensors and scratch memory; more is refused before any weights
  /// are packed.
  std::size_t max_memory = SIZE_MAX;
};

/// A network prepared by a plan: kernels made, weights packed, memory laid out. Sessions may be
/// made and run in several threads at once, each in one thread at a time. Nothing is printed,
/// nothing is thrown.
class Session {
 public:
  /// Prepares for the instruction-set level and the number of threads that the plan was made for.
  /// Nothing that is given needs to outlive the call. Fails if the plan is for another network, or
  /// with primitives that this machine does not have.
  static Result<Session> create(const Network& network, const Plan& plan,
                                const WeightSource& weights, const SessionOptions& options = {});

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  /// Names as the model's file has them, shapes and types, in the order of the network.
  std::span<const Tensor> inputs() const;
  /// Of a network with a rest, what that is given.
  std::span<const Tensor> outputs() const;

  /// One pointer per input and output, to row-major tensors of inputs()[i].shape.elements()
  /// floats. Inputs are not written to, and must not overlap outputs. Allocates nothing; fails only
  /// if the number of pointers is wrong, one is null, or a tensor is not of type f32.
  Result<void> run(std::span<const float* const> inputs, std::span<float* const> outputs);
  /// The same for any types: the pointers are to elements of inputs()[i].type.
  Result<void> run(std::span<const void* const> inputs, std::span<void* const> outputs);
  /// All outputs of the model with the shapes that they turn out to have. The only way where the
  /// network has a rest (Network::rest), whose networks are made when their shapes are first seen.
  Result<std::vector<Array>> run(std::span<const void* const> inputs);

  MemoryUse memory() const;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace convopt
