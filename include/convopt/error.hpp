// Errors are values: nothing in the library prints, exits or lets an exception out.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace convopt {

/// Why something could not be done.
enum class ErrorCode {
  internal,             ///< a defect of convopt itself
  usage,                ///< the request makes no sense: wrong option, unknown name
  bad_input,            ///< a file or a value in it cannot be used
  environment,          ///< this machine, a library version or an unwritable path prevents it
  partial,              ///< only some of the work was done; its results are valid
  verification_failed,  ///< a computed result differs from the reference by more than its bound
  interrupted,          ///< ended by the user; files are valid, the same command resumes
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  ///< one sentence without a final full stop, naming file, operator or option
};

/// Writes the sentence to standard error and aborts: the program has a defect.
[[noreturn]] void abort_with(const std::string& sentence);

/// A value or the error that prevented it. Asking a failed result for its value, or a successful
/// one for its error, is a defect of the program: it aborts and names the error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <class U>
  requires std::is_convertible_v<U, T> Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return value_of(state_); }
  const T& value() const& { return value_of(state_); }
  T&& value() && { return std::move(value_of(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return error_of(state_); }
  Error&& error() && { return std::move(error_of(state_)); }

 private:
  template <class State>
  static auto& value_of(State& state) {
    const auto value = std::get_if<0>(&state);
    if (value == nullptr) abort_with("no value was made: " + std::get_if<1>(&state)->message);
    return *value;
  }
  template <class State>
  static auto& error_of(State& state) {
    const auto error = std::get_if<1>(&state);
    if (error == nullptr) abort_with("a result without an error was asked for it");
    return *error;
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}
  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const& {
    if (ok_) abort_with("a result without an error was asked for it");
    return error_;
  }
  Error&& error() && {
    if (ok_) abort_with("a result without an error was asked for it");
    return std::move(error_);
  }

 private:
  Error error_;
  bool ok_ = true;
};

inline Error make_error(ErrorCode code, std::string message) { return {code, std::move(message)}; }

}  // namespace convopt
