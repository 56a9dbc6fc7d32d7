// Small pieces of text, read without exceptions.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convopt {

/// The whole of `text` as a number, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// "1.5 MiB"
std::string mebibytes(std::size_t bytes);

/// Whether JSON can hold the text as it is.
bool is_utf8(std::string_view text);

/// The entry of `names` closest to `name` if it is close enough to be a misspelling, else empty.
std::string_view closest_name(std::string_view name, const std::vector<std::string_view>& names);

}  // namespace convopt
