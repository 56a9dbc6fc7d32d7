// The boundary of the library: nothing is thrown across it.
#pragma once

#include <exception>
#include <new>

#include "convopt/error.hpp"

namespace convopt {

/// `body`'s result, or an error made of the exception that it threw.
template <class Body>
auto guarded(const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return make_error(ErrorCode::environment, "there is not enough memory");
  } catch (const std::exception& error) {
    return make_error(ErrorCode::internal, error.what());
  } catch (...) {
    return make_error(ErrorCode::internal, "an unknown exception");
  }
}

}  // namespace convopt
