// The part of JSON Schema that docs/reference/network.schema.json uses.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>

#include "core/files.h"
#include "core/json.h"

namespace convopt {

class Schema {
 public:
  explicit Schema(Json root) : root_(std::move(root)) {}

  /// The schema of network files; null if it cannot be read.
  static Schema of_networks() {
    const auto text = read_file(std::filesystem::path(CONVOPT_SOURCE_DIR) / "docs" / "reference" /
                                "network.schema.json");
    if (!text) return Schema(nullptr);
    auto json = parse_json(*text, "network.schema.json");
    return Schema(json ? std::move(*json) : Json());
  }

  const Json& root() const { return root_; }

  bool accepts(const Json& value) const { return accepts(value, root_); }

 private:
  bool accepts(const Json& value, const Json& schema) const {
    if (schema.is_boolean()) return schema.get<bool>();
    for (const auto& rule : schema.items())
      if (!obeys(value, schema, rule.key(), rule.value())) return false;
    return true;
  }

  bool obeys(const Json& value, const Json& schema, const std::string& keyword,
             const Json& rule) const {
    const auto accepted = [&](const Json& branch) { return accepts(value, branch); };
    if (keyword == "$ref")
      return accepted(root_.at(Json::json_pointer(rule.get<std::string>().substr(1))));
    if (keyword == "type") return has_type(value, rule.get<std::string>());
    if (keyword == "const") return value == rule;
    if (keyword == "enum") return std::ranges::find(rule, value) != rule.end();
    if (keyword == "anyOf") return std::ranges::any_of(rule, accepted);
    if (keyword == "oneOf") return std::ranges::count_if(rule, accepted) == 1;
    if (keyword == "allOf") return std::ranges::all_of(rule, accepted);
    if (keyword == "if") return !accepted(rule) || accepted(schema.at("then"));
    if (value.is_object()) return obeys_object(value, schema, keyword, rule);
    if (keyword == "minimum" && value.is_number()) return value >= rule;
    if (keyword == "minLength" && value.is_string())
      return value.get_ref<const std::string&>().size() >= rule.get<std::size_t>();
    if (!value.is_array()) return true;
    if (keyword == "minItems") return value.size() >= rule.get<std::size_t>();
    if (keyword == "maxItems") return value.size() <= rule.get<std::size_t>();
    if (keyword == "items")
      return std::ranges::all_of(value, [&](const Json& item) { return accepts(item, rule); });
    return true;
  }

  bool obeys_object(const Json& value, const Json& schema, const std::string& keyword,
                    const Json& rule) const {
    if (keyword == "required")
      return std::ranges::all_of(
          rule, [&](const Json& key) { return value.contains(key.get<std::string>()); });
    if (keyword == "properties") {
      for (const auto& property : rule.items())
        if (value.contains(property.key()) && !accepts(value.at(property.key()), property.value()))
          return false;
    }
    if (keyword == "additionalProperties" && rule == false) {
      for (const auto& property : value.items())
        if (!schema.at("properties").contains(property.key())) return false;
    }
    return true;
  }

  static bool has_type(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    return type == "boolean" && value.is_boolean();
  }

  Json root_;
};

}  // namespace convopt
