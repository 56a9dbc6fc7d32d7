// Errors are values: nothing in the library prints, exits or lets an exception out.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace convopt {

/// Why something could not be done. The numeric value is the exit code that the command line uses.
enum class ErrorCode {
  internal = 1,     ///< a defect of convopt itself
  usage = 2,        ///< the request makes no sense: wrong option, unknown name
  bad_input = 3,    ///< a file or a value in it cannot be used
  environment = 4,  ///< this machine, a library version or an unwritable path stands in the way
  partial = 5,      ///< some of the work was done; what was done is valid
  verification_failed = 6,  ///< a computed result differs from the reference by more than its bound
  interrupted = 130,        ///< ended by the user; files are valid, the same command resumes
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  ///< one sentence without a final full stop, naming file, operator or option
};

/// A value or the error that prevented it.
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
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}
  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const& { return error_; }
  Error&& error() && { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

inline Error make_error(ErrorCode code, std::string message) { return {code, std::move(message)}; }

}  // namespace convopt
