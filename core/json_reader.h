// Reading JSON objects whose fields may be missing or wrong.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "convopt/error.hpp"
#include "core/json.h"
#include "core/names.h"

namespace convopt {

/// Reads fields of one object; remembers the first problem instead of throwing.
class JsonReader {
 public:
  JsonReader(const Json& json, std::string_view what) : json_(json), what_(what) {
    if (!json.is_object()) fail("is not an object");
  }

  template <class T>
  void number(const char* key, T& out, bool required = false) {
    const Json* field = find(key, required);
    if (field == nullptr) return;
    if (!field->is_number()) return fail(std::string("field '") + key + "' is not a number");
    if constexpr (std::is_floating_point_v<T>) {
      out = field->get<T>();
    } else {
      const double value = field->get<double>();
      if (!(value >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
            value <= static_cast<double>(std::numeric_limits<T>::max()))) {
        return fail(std::string("field '") + key + "' is out of range");
      }
      if (value != std::trunc(value)) {
        return fail(std::string("field '") + key + "' is not an integer");
      }
      out = field->get<T>();
    }
  }

  void text(const char* key, std::string& out, bool required = false) {
    const Json* field = find(key, required);
    if (field == nullptr) return;
    if (!field->is_string()) return fail(std::string("field '") + key + "' is not a text");
    out = field->get<std::string>();
  }

  void flag(const char* key, bool& out) {
    const Json* field = find(key, false);
    if (field == nullptr) return;
    if (!field->is_boolean()) return fail(std::string("field '") + key + "' is not true or false");
    out = field->get<bool>();
  }

  /// An enumeration value by its name.
  template <class E>
  void name(const char* key, E& out, bool required = false) {
    std::string text_value;
    text(key, text_value, required);
    if (text_value.empty()) return;
    if (const auto value = value_named<E>(text_value)) {
      out = *value;
      return;
    }
    fail(std::string("field '") + key + "' has the unknown value '" + text_value.substr(0, 60) +
         "'");
  }

  const Json* find(const char* key, bool required) {
    if (!ok()) return nullptr;
    const auto field = json_.find(key);
    if (field == json_.end()) {
      if (required) fail(std::string("field '") + key + "' is missing");
      return nullptr;
    }
    return &*field;
  }

  void fail(const std::string& why) {
    if (ok()) problem_ = what_ + " " + why;
  }
  bool ok() const { return problem_.empty(); }
  Error error() const { return make_error(ErrorCode::bad_input, problem_); }

 private:
  const Json& json_;
  std::string what_, problem_;
};

}  // namespace convopt
