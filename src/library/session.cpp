#include "convopt/session.hpp"

#include <string>
#include <utility>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/library/guard.h"
#include "src/library/registries.h"
#include "src/runtime/executor.h"
#include "src/select/plan_check.h"

namespace convopt {
namespace {

std::vector<Tensor> tensors_of(const Network& network, const std::vector<TensorId>& ids) {
  std::vector<Tensor> tensors;
  for (const TensorId id : ids) tensors.push_back(network.tensors[id]);
  return tensors;
}

/// Pointers with the sizes that the network says, as the executor wants them. `spans` has room.
template <class Value>
Result<void> bind_tensors(std::span<Value* const> pointers, const std::vector<Tensor>& tensors,
                          const char* what, std::vector<std::span<Value>>& spans) {
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
    CONVOPT_CHECK(check_network(plan, network));
    auto state = std::make_unique<State>();
    CONVOPT_TRY(state->registry, shared_registry({plan.platform.isa, plan.platform.threads}));
    CONVOPT_TRY(state->executor,
                Executor::create(network, plan, *state->registry, weights, options.max_memory));
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
    CONVOPT_CHECK(bind_tensors<const float>(inputs, state.inputs, "input", state.sources));
    CONVOPT_CHECK(bind_tensors<float>(outputs, state.outputs, "output", state.destinations));
    return state.executor->run(state.sources, state.destinations);
  });
}

}  // namespace convopt
