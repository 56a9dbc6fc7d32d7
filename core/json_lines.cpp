#include "core/json_lines.h"

namespace convopt {

std::string one_element_per_line(const Json& document) {
  const auto compact = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  std::string text = "{";
  for (const auto& [key, value] : document.items()) {
    text += (text.size() > 1 ? ",\n  " : "\n  ") + compact(key) + ": ";
    if (!value.is_array() || value.empty()) {
      text += compact(value);
      continue;
    }
    const char* separator = "[\n    ";
    for (const Json& element : value) {
      text += separator + compact(element);
      separator = ",\n    ";
    }
    text += "\n  ]";
  }
  return text + "\n}\n";
}

}  // namespace convopt
