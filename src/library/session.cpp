#include "convopt/session.hpp"

#include <string>
#include <utility>
#include <vector>

#include "src/library/guard.h"
#include "src/library/registries.h"
#include "src/runtime/executor.h"

namespace convopt {
namespace {

std::vector<Tensor> tensors_of(const Network& network, const std::vector<TensorId>& ids) {
  std::vector<Tensor> tensors;
  for (const TensorId id : ids) tensors.push_back(network.tensors[id]);
  return tensors;
}

/// Pointers with the sizes that the network says, as the executor wants them. `spans` has room.
template <class Value>
Result<void> bind(std::span<Value* const> pointers, const std::vector<Tensor>& tensors,
                  const char* what, std::vector<std::span<Value>>& spans) {
  if (pointers.size() != tensors.size()) {
    return make_error(ErrorCode::usage, "the network has " + std::to_string(tensors.size()) + " " +
                                            what + "s, " + std::to_string(pointers.size()) +
                                            " are given");
  }
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    if (pointers[i] == nullptr) {
      return make_error(ErrorCode::usage, "the pointer for " + std::string(what) + " " +
                                              std::to_string(i) + ", '" + tensors[i].name +
                                              "', is null");
    }
    spans[i] = {pointers[i], static_cast<std::size_t>(tensors[i].shape.elements())};
  }
  return {};
}

}  // namespace

struct Session::State {
  std::shared_ptr<const Registry> registry;
  std::unique_ptr<Executor> executor;
  std::vector<Tensor> inputs, outputs;
  std::vector<std::span<const float>> sources;
  std::vector<std::span<float>> destinations;
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const Network& network, const Plan& plan,
                                const WeightSource& weights, const SessionOptions& options) {
  return guarded([&]() -> Result<Session> {
    if (plan.network_hash != network.hash()) {
      return make_error(ErrorCode::bad_input, "the plan was made for another network than " +
                                                  network.name + ", " + plan.network +
                                                  ", or for another batch size");
    }
    auto state = std::make_unique<State>();
    auto registry = shared_registry({plan.platform.isa, plan.platform.threads});
    if (!registry) return registry.error();
    state->registry = std::move(*registry);
    auto executor = Executor::create(network, plan, *state->registry, weights, options.max_memory);
    if (!executor) return executor.error();
    state->executor = std::move(*executor);
    state->inputs = tensors_of(network, network.inputs);
    state->outputs = tensors_of(network, network.outputs);
    state->sources.resize(state->inputs.size());
    state->destinations.resize(state->outputs.size());
    return Session(std::move(state));
  });
}

std::span<const Tensor> Session::inputs() const { return state_->inputs; }
std::span<const Tensor> Session::outputs() const { return state_->outputs; }
MemoryUse Session::memory() const { return state_->executor->memory(); }

Result<void> Session::run(std::span<const float* const> inputs, std::span<float* const> outputs) {
  return guarded([&]() -> Result<void> {
    State& state = *state_;
    if (auto bound = bind<const float>(inputs, state.inputs, "input", state.sources); !bound) {
      return bound;
    }
    if (auto bound = bind<float>(outputs, state.outputs, "output", state.destinations); !bound) {
      return bound;
    }
    return state.executor->run(state.sources, state.destinations);
  });
}

}  // namespace convopt
