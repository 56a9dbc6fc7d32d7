// Small pieces of text, read without exceptions.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"

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

/// Bytes of "4096", "64MB" or "1.5 GiB"; units are powers of 1024, their case does not matter.
std::optional<std::size_t> parse_bytes(std::string_view text);
/// Seconds of "60s", "5m", "1h", "250ms" or "0"; nothing for negative times and other text, such as
/// a number without a unit, which may have been meant as seconds or as minutes.
std::optional<double> parse_duration(std::string_view text);

/// "1.50"
std::string fixed(double value, int decimals);
/// "1.5", "2e-06"
std::string significant(double value, int digits);
/// "1.5e-06"
std::string scientific(double value, int decimals);
/// "'TEXT' is not a WHAT", of a text that may be long.
Error bad_text(std::string_view what, std::string_view text);

/// "12.3 ms", "45.6 us", "1.2 s" with three significant digits.
std::string format_time(double ns);
/// "512 B", "1.50 MiB"
std::string format_bytes(double bytes);
/// "1 input", "2 inputs"
std::string counted(std::size_t count, std::string_view noun);
/// "'a', 'b', 'c'", cut off where there are very many; "none" for an empty list.
std::string listed(std::span<const std::string> names);
/// The text in single quotes, fit for a message about a file that may hold anything: control
/// characters are replaced, and text longer than `longest` bytes is cut.
std::string in_quotes(std::string_view text, std::size_t longest = 80);

/// Whether JSON can hold the text as it is.
bool is_utf8(std::string_view text);

/// The entry of `names` closest to `name` if it is close enough to be a misspelling, else empty.
std::string_view closest_name(std::string_view name, const std::vector<std::string_view>& names);

/// "12.4MB": a value for options that is at least that much, in few digits.
std::string enough_bytes(std::size_t bytes);
/// "500ms" or "30s".
std::string duration_text(double seconds);

}  // namespace convopt
