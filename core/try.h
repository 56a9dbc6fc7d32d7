// Hands an error on to the caller, so that a chain of calls that may fail reads as one of calls.
#pragma once

#include <utility>

#include "convopt/error.hpp"

/// Declares a variable with the value of a Result, or returns its error from the enclosing
/// function:
///   CONVOPT_TRY(const auto shape, ConvShape::parse(text));
#define CONVOPT_TRY(declaration, ...) \
  CONVOPT_TRY_NAMED(CONVOPT_TRY_CONCAT(convopt_result_, __COUNTER__), declaration, __VA_ARGS__)

/// The same for a Result<void>, and where the value is not wanted.
#define CONVOPT_CHECK(...) \
  if (auto convopt_result = (__VA_ARGS__); !convopt_result) return std::move(convopt_result).error()

#define CONVOPT_TRY_NAMED(result, declaration, ...) \
  auto result = (__VA_ARGS__);                      \
  if (!result) return std::move(result).error();    \
  declaration = *std::move(result)
#define CONVOPT_TRY_CONCAT(a, b) CONVOPT_TRY_CONCAT_EXPANDED(a, b)
#define CONVOPT_TRY_CONCAT_EXPANDED(a, b) a##b
