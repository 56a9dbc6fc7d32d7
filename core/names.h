// The names of enumerations as the only list of their values: `to_string` of a value that does not
// exist is empty.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "convopt/workload.hpp"

namespace convopt {

std::string_view to_string(ActivationKind kind);  ///< `none`, `relu`, ...

/// Entry of a table of names, empty beyond its end.
template <class E>
constexpr std::string_view name_in(std::span<const std::string_view> names, E value) {
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : std::string_view();
}

/// Calls `visit(value)` for every value of an enumeration whose values count up from zero.
template <class E, class Visit>
void for_each_value(Visit&& visit) {
  for (int i = 0; !to_string(static_cast<E>(i)).empty(); ++i) visit(static_cast<E>(i));
}

template <class E>
std::optional<E> value_named(std::string_view name) {
  std::optional<E> result;
  for_each_value<E>([&](E value) {
    if (to_string(value) == name) result = value;
  });
  return result;
}

}  // namespace convopt
