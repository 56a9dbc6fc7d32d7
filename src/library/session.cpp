#include "convopt/session.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/library/guard.h"
#include "src/library/registries.h"
#include "src/library/rest_runner.h"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"
#include "src/select/plan_check.h"

namespace convopt {
namespace {

/// Pointers with the sizes that the network says, as the executor wants them. `spans` has room.
/// Pointers to floats are for tensors of floats only.
template <class Pointer, class Byte>
Result<void> bind_tensors(std::span<Pointer const> pointers, const std::vector<Tensor>& tensors,
                          const char* what, std::vector<std::span<Byte>>& spans) {
  constexpr bool kOfFloats = !std::is_void_v<std::remove_pointer_t<Pointer>>;
  if (pointers.size() != tensors.size()) {
    return make_error(ErrorCode::usage, "the network has " + counted(tensors.size(), what) + ", " +
                                            counted(pointers.size(), "pointer") + " given");
  }
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    if (pointers[i] == nullptr) {
      return make_error(ErrorCode::usage, "the pointer for " + std::string(what) + " " +
                                              std::to_string(i) + ", '" + tensors[i].name +
                                              "', is null");
    }
    if (kOfFloats && tensors[i].type != DataType::f32) {
      return make_error(ErrorCode::usage, "the " + std::string(what) + " '" + tensors[i].name +
                                              "' is of type " +
                                              std::string(to_string(tensors[i].type)) +
                                              ": give its elements by a pointer to void");
    }
    spans[i] = {
        reinterpret_cast<Byte*>(pointers[i]),
        static_cast<std::size_t>(tensors[i].shape.elements()) * element_bytes(tensors[i].type)};
  }
  return {};
}

}  // namespace

struct Session::State {
  std::shared_ptr<const Registry> registry;
  std::unique_ptr<Executor> executor;
  std::vector<Tensor> inputs, outputs;
  Network border;  ///< the network without its operators
  std::optional<RestRunner> runner;
  std::vector<std::span<const std::byte>> sources;
  std::vector<std::span<std::byte>> destinations;

  template <class Source, class Destination>
  Result<void> run(std::span<Source const> inputs_given,
                   std::span<Destination const> outputs_given) {
    return guarded([&]() -> Result<void> {
      if (border.rest != nullptr) {
        return make_error(
            ErrorCode::usage,
            "shapes of the model's outputs depend on numbers: run it by the call that "
            "returns arrays");
      }
      CONVOPT_CHECK(bind_tensors(inputs_given, inputs, "input", sources));
      CONVOPT_CHECK(bind_tensors(outputs_given, outputs, "output", destinations));
      return executor->run(sources, destinations);
    });
  }

  Result<std::vector<Array>> run(std::span<const void* const> inputs_given) {
    return guarded([&]() -> Result<std::vector<Array>> {
      CONVOPT_CHECK(bind_tensors(inputs_given, inputs, "input", sources));
      Buffers buffers(border, border.outputs);
      CONVOPT_CHECK(executor->run(sources, buffers.outputs()));
      auto arrays = arrays_of(border, buffers.outputs());
      if (border.rest == nullptr) return arrays;
      return runner->run(border.rest, std::move(arrays));
    });
  }
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const Network& network, const Plan& plan,
                                const WeightSource& weights, const SessionOptions& options) {
  return guarded([&]() -> Result<Session> {
    CONVOPT_CHECK(check_network(plan, network));
    auto state = std::make_unique<State>();
    CONVOPT_TRY(state->registry, shared_registry({plan.platform.isa, plan.platform.threads}));
    CONVOPT_TRY(state->executor,
                Executor::create(network, plan, *state->registry, weights, options.max_memory));
    state->inputs = network.named_inputs();
    state->outputs = network.named_outputs();
    state->sources.resize(state->inputs.size());
    state->destinations.resize(state->outputs.size());
    state->border.tensors = network.tensors;
    state->border.outputs = network.outputs;
    state->border.output_names = network.output_names;
    state->border.rest = network.rest;
    state->runner.emplace(*state->registry, plan.platform);
    return Session(std::move(state));
  });
}

std::span<const Tensor> Session::inputs() const { return state_->inputs; }
std::span<const Tensor> Session::outputs() const { return state_->outputs; }
MemoryUse Session::memory() const { return state_->executor->memory(); }

Result<void> Session::run(std::span<const float* const> inputs, std::span<float* const> outputs) {
  return state_->run(inputs, outputs);
}

Result<void> Session::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  return state_->run(inputs, outputs);
}

Result<std::vector<Array>> Session::run(std::span<const void* const> inputs) {
  return state_->run(inputs);
}

}  // namespace convopt
