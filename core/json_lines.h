// JSON documents of a few fields and long lists.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "core/json.h"
#include "core/json_reader.h"

namespace convopt {

/// A line for every field, and one for every element of a list: for people, grep and diff.
std::string one_element_per_line(const Json& document);

/// Reads each element of a list by `read`.
template <class T, class Read>
Result<void> read_list(JsonReader& reader, const char* key, const std::string& what,
                       std::vector<T>& out, Read read, bool required = true) {
  const Json* list = reader.find(key, required);
  if (list == nullptr && reader.ok()) return {};
  if (list != nullptr && !list->is_array()) {
    reader.fail(std::string("field '") + key + "' is not a list");
  }
  if (!reader.ok()) return reader.error();
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto element = read((*list)[i], what + ": " + key + "[" + std::to_string(i) + "]");
    if (!element) return element.error();
    out.push_back(std::move(*element));
  }
  return {};
}

}  // namespace convopt
