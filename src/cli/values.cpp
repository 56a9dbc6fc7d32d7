#include "src/cli/values.h"

#include <cmath>
#include <optional>
#include <utility>

#include "core/text.h"

namespace convopt::cli {
namespace {

/// Validators return the complaint, or nothing if the text is fine.
template <class Read>
CLI::Validator validator(const Read& read) {
  return CLI::Validator(read, "");
}

}  // namespace

CLI::Validator integer_between(std::uint64_t low, std::uint64_t high) {
  return validator([low, high](std::string& text) -> std::string {
    const auto value = parse_number<std::uint64_t>(text);
    if (!value || *value < low || *value > high) {
      std::string range = " is not an integer";
      if (high < std::numeric_limits<std::uint64_t>::max()) {
        range += " from " + std::to_string(low) + " to " + std::to_string(high);
      }
      return in_quotes(text) + range;
    }
    text = std::to_string(*value);
    return {};
  });
}

CLI::Validator byte_size() {
  return validator([](std::string& text) -> std::string {
    const auto bytes = parse_bytes(text);
    if (!bytes) return in_quotes(text) + " is not a size like 500KB, 64MB or 1.5GB";
    text = std::to_string(*bytes);
    return {};
  });
}

CLI::Validator duration(bool may_be_zero) {
  return validator([may_be_zero](std::string& text) -> std::string {
    constexpr double kShortest = 1e-9, kYear = 365.0 * 24 * 3600;
    const auto seconds = parse_duration(text);
    const bool zero = may_be_zero && seconds == 0;
    const auto bare = parse_number<double>(text);
    if (bare && std::isfinite(*bare) && *bare > 0) {
      return in_quotes(text) + " has no unit: write " + text + "s for seconds, or ms, m or h";
    }
    if (!seconds || (!zero && (*seconds < kShortest || *seconds > kYear))) {
      return in_quotes(text) + " is not a time like 500ms, 30s, 5m or 1h";
    }
    constexpr int kExact = 17;  // digits that a double keeps through text
    text = significant(*seconds, kExact);
    return {};
  });
}

CLI::Validator positive_number() {
  return validator([](std::string& text) -> std::string {
    const auto value = parse_number<double>(text);
    if (!value || !std::isfinite(*value) || !(*value > 0)) {
      return in_quotes(text) + " is not a number above zero";
    }
    return {};
  });
}

CLI::Option* add_precision(CLI::App& verb, std::function<void(Precision)> set,
                           const std::string& help) {
  const auto read = [set = std::move(set)](const std::string& name) {
    set(parse_precision(name).value_or(Precision::f32));
  };
  return verb.add_option_function<std::string>("--precision", read, help)
      ->check(validator([](std::string& name) -> std::string {
        if (parse_precision(name)) return {};
        return in_quotes(name) + " is none of f32, bf16, int8 and auto";
      }))
      ->type_name("f32|bf16|int8|auto")
      ->default_str("f32");
}

}  // namespace convopt::cli
