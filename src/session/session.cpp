#include "convopt/session.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/text.h"
#include "core/try.h"
#include "src/runtime/buffers.h"
#include "src/runtime/executor.h"
#include "src/runtime/plan_network.h"
#include "src/runtime/weights.h"
#include "src/session/guard.h"
#include "src/session/registries.h"
#include "src/session/rest.h"

namespace convopt {
namespace {

std::size_t bytes_of(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.shape.elements()) * element_bytes(tensor.type);
}

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
    spans[i] = {reinterpret_cast<Byte*>(pointers[i]), bytes_of(tensors[i])};
  }
  return {};
}

/// Which of the tensors each view is of, checked; kNone for tensors without one.
template <class View>
Result<void> match(std::span<const View> views, const std::vector<Tensor>& tensors,
                   const char* what, std::vector<int>& view_of) {
  std::ranges::fill(view_of, kNone);
  for (std::size_t v = 0; v < views.size(); ++v) {
    const View& view = views[v];
    const auto refused = [&](const std::string& sentence) {
      return make_error(ErrorCode::usage,
                        "the " + std::string(what) + " " + in_quotes(view.name) + " " + sentence);
    };
    const auto found = std::ranges::find(tensors, view.name, &Tensor::name);
    if (found == tensors.end()) {
      std::vector<std::string> names;
      for (const Tensor& tensor : tensors) names.push_back(tensor.name);
      return refused("is not one of the network's, which are " + listed(names));
    }
    int& mine = view_of[static_cast<std::size_t>(found - tensors.begin())];
    if (std::exchange(mine, static_cast<int>(v)) != kNone) return refused("is given twice");
    if (view.data == nullptr) return refused("is given by a null pointer");
    if (view.bytes != bytes_of(*found)) {
      return refused("has " + std::to_string(bytes_of(*found)) + " bytes, " +
                     std::to_string(view.bytes) + " are given");
    }
    if (view.layout != Layout::nchw && view.layout != Layout::nhwc)
      return refused("can be given in nchw and nhwc only");
    if (view.layout == Layout::nhwc && !found->shape.is_image())
      return refused("is no image, so it has no order nhwc");
  }
  return {};
}

/// Matrices of `rows` x `columns` elements, one after the other, turned round.
template <class Element>
void transpose(const void* from, void* to, int matrices, std::int64_t rows, std::int64_t columns) {
  // Blocks whose lines stay in the first cache on both sides.
  constexpr std::int64_t kBlock = 64;
  const auto* source = static_cast<const Element*>(from);
  auto* destination = static_cast<Element*>(to);
  for (int m = 0; m < matrices; ++m, source += rows * columns, destination += rows * columns) {
    for (std::int64_t first = 0; first < rows; first += kBlock) {
      const std::int64_t end = std::min(rows, first + kBlock);
      for (std::int64_t c = 0; c < columns; ++c)
        for (std::int64_t r = first; r < end; ++r)
          destination[c * rows + r] = source[r * columns + c];
    }
  }
}

void transpose(const void* from, void* to, std::size_t element, int matrices, std::int64_t rows,
               std::int64_t columns) {
  switch (element) {
    case 1:
      return transpose<std::uint8_t>(from, to, matrices, rows, columns);
    case 2:
      return transpose<std::uint16_t>(from, to, matrices, rows, columns);
    case 4:
      return transpose<std::uint32_t>(from, to, matrices, rows, columns);
    default:
      return transpose<std::uint64_t>(from, to, matrices, rows, columns);
  }
}

void from_nhwc(const void* from, std::byte* to, const Tensor& tensor) {
  const TensorShape& shape = tensor.shape;
  transpose(from, to, element_bytes(tensor.type), shape.n(), std::int64_t{shape.h()} * shape.w(),
            shape.c());
}

void to_nhwc(const std::byte* from, void* to, const Tensor& tensor) {
  const TensorShape& shape = tensor.shape;
  transpose(from, to, element_bytes(tensor.type), shape.n(), shape.c(),
            std::int64_t{shape.h()} * shape.w());
}

/// Far more threads than processors are not only slow: OpenMP ends the process.
Result<void> check_threads(int threads, ErrorCode code) {
  const auto processors = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  if (threads >= 0 && threads <= processors) return {};
  return make_error(code, std::to_string(threads) + " threads are asked for, this machine has " +
                              counted(static_cast<std::size_t>(processors), "processor"));
}

class RunObserver final : public Observer {
 public:
  RunObserver(const RunOptions& options, std::span<const ScheduleStep> steps) : options_(options) {
    if (options_.layer_times == nullptr) return;
    options_.layer_times->resize(steps.size());
    for (std::size_t s = 0; s < steps.size(); ++s)
      (*options_.layer_times)[s] = {steps[s].name, steps[s].primitive->name(), 0};
  }

  void before_run() noexcept override { last_ = Clock::now(); }
  bool goes_on() const noexcept override {
    return options_.cancellation == nullptr || !options_.cancellation->is_cancelled();
  }
  void after_step(std::size_t step, const TensorView&) noexcept override {
    if (options_.layer_times == nullptr) return;
    const auto now = Clock::now();
    (*options_.layer_times)[step].ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;

  const RunOptions& options_;
  Clock::time_point last_;
};

}  // namespace

struct Session::State {
  /// State of one run: memory, views and copies. Each concurrent run has its own.
  struct Slot {
    Executor::Frame* frame = nullptr;
    std::unique_ptr<Executor::Frame> own_frame;  ///< null: the executor's
    std::vector<std::span<const std::byte>> sources;
    std::vector<std::span<std::byte>> destinations;
    std::vector<int> view_of_input, view_of_output;
    /// In which the executor takes them from the caller, or gives them.
    std::vector<Layout> input_layouts, output_layouts;
    /// Tensors in the network's own order that the caller has in another, or does not want.
    std::vector<std::vector<std::byte>> own_inputs, own_outputs;
  };
  /// Deleter that returns the slot to the pool.
  struct Return {
    State* state;
    void operator()(Slot* slot) const { state->give_back(slot); }
  };
  using Borrowed = std::unique_ptr<Slot, Return>;

  std::shared_ptr<const Registry> registry;
  std::unique_ptr<Executor> executor;
  std::vector<Tensor> inputs, outputs;
  std::size_t max_memory = SIZE_MAX;
  std::string note;
  Platform platform;

  Network border;  ///< the network without its operators
  std::mutex rest_mutex;
  std::unique_ptr<RestExecution> rest;

  std::mutex mutex;
  std::condition_variable given_back;
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<Slot*> idle;
  std::size_t slots_in_making = 0;

  std::size_t slot_bytes() const {
    return executor->memory().tensors + executor->memory().workspace;
  }

  /// The first one has the executor's frame.
  Result<std::unique_ptr<Slot>> make_slot(bool is_first) const {
    auto slot = std::make_unique<Slot>();
    if (!is_first) {
      CONVOPT_TRY(slot->own_frame, executor->make_frame());
    }
    slot->frame = is_first ? &executor->frame() : slot->own_frame.get();
    slot->sources.resize(inputs.size());
    slot->destinations.resize(outputs.size());
    slot->view_of_input.resize(inputs.size());
    slot->view_of_output.resize(outputs.size());
    slot->input_layouts.resize(inputs.size(), Layout::nchw);
    slot->output_layouts.resize(outputs.size(), Layout::nchw);
    slot->own_inputs.resize(inputs.size());
    slot->own_outputs.resize(outputs.size());
    return slot;
  }

  /// An idle slot, else a new one; where the memory limit admits none, the next that is returned.
  Result<Borrowed> borrow() {
    std::unique_lock lock(mutex);
    const auto has_room = [&] {
      const std::size_t count = slots.size() + slots_in_making;
      return executor->memory().packed_weights + (count + 1) * slot_bytes() <= max_memory;
    };
    given_back.wait(lock, [&] { return !idle.empty() || has_room(); });
    if (!idle.empty()) {
      Slot* const slot = idle.back();
      idle.pop_back();
      return Borrowed(slot, {this});
    }
    ++slots_in_making;
    lock.unlock();
    auto made = guarded([&] { return make_slot(false); });
    lock.lock();
    --slots_in_making;
    if (!made) {
      given_back.notify_one();  // the limit may admit another one now
      return made.error();
    }
    idle.reserve(slots.size() + 1);  // so that giving back allocates nothing
    slots.push_back(std::move(*made));
    return Borrowed(slots.back().get(), {this});
  }

  void give_back(Slot* slot) {
    {
      const std::scoped_lock lock(mutex);
      idle.push_back(slot);
    }
    given_back.notify_one();
  }

  Result<void> check_has_no_rest() const {
    if (border.rest == nullptr) return {};
    return make_error(
        ErrorCode::usage,
        "the shapes of the model's outputs are data-dependent: run it by the call that "
        "returns arrays");
  }

  Result<void> execute(Slot& slot, const RunOptions& options,
                       const Executor::Layouts& layouts = {}) const {
    if (options.layer_times == nullptr && options.cancellation == nullptr)
      return executor->run(*slot.frame, slot.sources, slot.destinations, nullptr, layouts);
    RunObserver observer(options, executor->steps());
    return executor->run(*slot.frame, slot.sources, slot.destinations, &observer, layouts);
  }

  template <class Source, class Destination>
  Result<void> run(std::span<Source const> inputs_given, std::span<Destination const> outputs_given,
                   const RunOptions& options) {
    return guarded([&]() -> Result<void> {
      CONVOPT_CHECK(check_has_no_rest());
      CONVOPT_TRY(const Borrowed slot, borrow());
      CONVOPT_CHECK(bind_tensors(inputs_given, inputs, "input", slot->sources));
      CONVOPT_CHECK(bind_tensors(outputs_given, outputs, "output", slot->destinations));
      return execute(*slot, options);
    });
  }

  Result<void> run(std::span<const InputView> inputs_given,
                   std::span<const OutputView> outputs_given, const RunOptions& options) {
    return guarded([&]() -> Result<void> {
      CONVOPT_CHECK(check_has_no_rest());
      CONVOPT_TRY(const Borrowed slot, borrow());
      CONVOPT_CHECK(match(inputs_given, inputs, "input", slot->view_of_input));
      CONVOPT_CHECK(match(outputs_given, outputs, "output", slot->view_of_output));
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (slot->view_of_input[i] == kNone) {
          return make_error(ErrorCode::usage,
                            "the input " + in_quotes(inputs[i].name) + " is not given");
        }
        const InputView& view = inputs_given[static_cast<std::size_t>(slot->view_of_input[i])];
        slot->sources[i] = {static_cast<const std::byte*>(view.data), view.bytes};
        const bool is_taken = view.layout == Layout::nchw || executor->takes_nhwc(i);
        slot->input_layouts[i] = is_taken ? view.layout : Layout::nchw;
        if (is_taken) continue;
        slot->own_inputs[i].resize(view.bytes);
        from_nhwc(view.data, slot->own_inputs[i].data(), inputs[i]);
        slot->sources[i] = slot->own_inputs[i];
      }
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const int v = slot->view_of_output[i];
        slot->output_layouts[i] = Layout::nchw;
        if (v != kNone) {
          const OutputView& view = outputs_given[static_cast<std::size_t>(v)];
          if (view.layout == Layout::nchw || executor->gives_nhwc(i)) {
            slot->output_layouts[i] = view.layout;
            slot->destinations[i] = {static_cast<std::byte*>(view.data), view.bytes};
            continue;
          }
        }
        slot->own_outputs[i].resize(bytes_of(outputs[i]));
        slot->destinations[i] = slot->own_outputs[i];
      }
      CONVOPT_CHECK(execute(*slot, options, {slot->input_layouts, slot->output_layouts}));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const int v = slot->view_of_output[i];
        if (v == kNone || slot->output_layouts[i] == Layout::nhwc) continue;
        const OutputView& view = outputs_given[static_cast<std::size_t>(v)];
        if (view.layout == Layout::nhwc)
          to_nhwc(slot->own_outputs[i].data(), view.data, outputs[i]);
      }
      return {};
    });
  }

  Result<std::vector<Array>> run(std::span<const void* const> inputs_given) {
    return guarded([&]() -> Result<std::vector<Array>> {
      Buffers buffers(border, border.outputs);
      {
        CONVOPT_TRY(const Borrowed slot, borrow());
        CONVOPT_CHECK(bind_tensors(inputs_given, inputs, "input", slot->sources));
        CONVOPT_CHECK(executor->run(*slot->frame, slot->sources, buffers.outputs()));
      }
      auto arrays = arrays_of(border, buffers.outputs());
      if (border.rest == nullptr) return arrays;
      const std::scoped_lock lock(rest_mutex);
      return rest->run(border.rest, std::move(arrays));
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
    CONVOPT_CHECK(check_threads(plan.platform.threads, ErrorCode::environment));
    auto state = std::make_unique<State>();
    CONVOPT_TRY(state->registry, shared_registry({plan.platform.isa, plan.platform.threads}));
    if (network.rest != nullptr) {
      CONVOPT_TRY(state->rest, make_rest_execution(*state->registry, plan.platform));
    }
    CONVOPT_TRY(state->executor,
                Executor::create(network, plan, *state->registry, weights, options.max_memory));
    state->inputs = network.named_inputs();
    state->outputs = network.named_outputs();
    state->max_memory = options.max_memory;
    state->platform = plan.platform;
    state->border.tensors = network.tensors;
    state->border.outputs = network.outputs;
    state->border.output_names = network.output_names;
    state->border.rest = network.rest;
    CONVOPT_TRY(auto slot, state->make_slot(true));
    state->idle.push_back(slot.get());
    state->slots.push_back(std::move(slot));
    return Session(std::move(state));
  });
}

Result<Session> Session::open(const Bundle& bundle, const PlanRequest& request,
                              const SessionOptions& options) {
  return guarded([&]() -> Result<Session> {
    CONVOPT_CHECK(check_threads(request.threads, ErrorCode::usage));
    const NetworkWeights weights(bundle.network(), 1);
    std::optional<Error> first;
    for (const PlanChoice& choice : bundle.choices(request)) {
      auto session = create(bundle.network(), choice.plan, weights, options);
      if (session) {
        session->state_->note = choice.note;
        // The plan was for this platform, but cannot be used.
        if (first) session->state_->note += "; the nearest cannot be used: " + first->message;
        return session;
      }
      if (!first) first = session.error();
    }
    if (first) return *first;
    return make_error(ErrorCode::environment,
                      "the bundle has no plan for this processor, and no fall-back");
  });
}

Result<Session> Session::open(const std::filesystem::path& path, const PlanRequest& request,
                              const SessionOptions& options) {
  CONVOPT_TRY(const Bundle bundle, Bundle::open(path));
  return open(bundle, request, options);
}

std::span<const Tensor> Session::inputs() const { return state_->inputs; }
std::span<const Tensor> Session::outputs() const { return state_->outputs; }

const std::string& Session::note() const { return state_->note; }
const Platform& Session::platform() const { return state_->platform; }

MemoryUse Session::memory() const {
  MemoryUse use = state_->executor->memory();
  const std::scoped_lock lock(state_->mutex);
  use.tensors *= state_->slots.size();
  use.workspace *= state_->slots.size();
  return use;
}

Result<void> Session::run(std::span<const float* const> inputs, std::span<float* const> outputs,
                          const RunOptions& options) const {
  return state_->run(inputs, outputs, options);
}

Result<void> Session::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                          const RunOptions& options) const {
  return state_->run(inputs, outputs, options);
}

Result<void> Session::run(std::span<const InputView> inputs, std::span<const OutputView> outputs,
                          const RunOptions& options) const {
  return state_->run(inputs, outputs, options);
}

Result<std::vector<Array>> Session::run(std::span<const void* const> inputs) const {
  return state_->run(inputs);
}

}  // namespace convopt
