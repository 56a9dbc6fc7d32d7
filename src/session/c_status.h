// What the functions in C of all libraries share.
#pragma once

#include "convopt/convopt.h"
#include "convopt/error.hpp"
#include "src/session/guard.h"

namespace convopt {

/// The result's status; convopt_last_error() says its sentence.
convopt_status c_status(const Result<void>& result) noexcept;

Error null_pointer(const char* what);

/// For a whole function.
template <class Body>
convopt_status c_answer(const Body& body) noexcept {
  return c_status(guarded([&]() -> Result<void> { return body(); }));
}

}  // namespace convopt
