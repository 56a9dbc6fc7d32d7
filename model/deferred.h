// A lazily read value: most of a model file is about platforms and types that are not used.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "convopt/error.hpp"

namespace convopt {

/// Copies share the value; access is thread-safe.
template <class T>
class Deferred {
 public:
  using Read = std::function<Result<T>()>;

  explicit Deferred(T value) : state_(std::make_shared<State>()) {
    state_->value.emplace(std::move(value));
  }
  explicit Deferred(Read read) : state_(std::make_shared<State>()) {
    state_->read = std::move(read);
  }

  /// Lives as long as any copy of this.
  Result<const T*> get() const {
    State& state = *state_;
    std::call_once(state.once, [&state] {
      if (!state.read) return;
      auto result = state.read();
      if (result) {
        state.value.emplace(*std::move(result));
      } else {
        state.error = std::move(result).error();
      }
    });
    if (!state.value) return state.error;
    return &*state.value;
  }

 private:
  struct State {
    std::once_flag once;
    Read read{};  ///< empty: there is a value
    std::optional<T> value{};
    Error error{};
  };
  std::shared_ptr<State> state_;
};

}  // namespace convopt
