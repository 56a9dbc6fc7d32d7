#include "core/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace convopt {
namespace {

struct Unit {
  double size;
  const char* name;
};

/// Three significant digits in the largest unit of which there is at least one.
template <std::size_t N>
std::string scaled(double value, const std::array<Unit, N>& units) {
  const auto unit =
      std::ranges::find_if(units, [&](const Unit& candidate) { return value >= candidate.size; });
  const Unit& chosen = unit == units.end() ? units.back() : *unit;
  const double scaled_value = value / chosen.size;
  const int decimals = scaled_value >= 99.95 ? 0 : scaled_value >= 9.995 ? 1 : 2;
  return fixed(scaled_value, decimals) + " " + chosen.name;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

struct LeadingNumber {
  double value = 0;
  std::string_view rest;
};

std::optional<LeadingNumber> leading_number(std::string_view text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return LeadingNumber{value, {rest, static_cast<std::size_t>(last - rest)}};
}

std::string formatted(const char* format, int digits, double value) {
  char text[352];  // the largest double has 309 digits before the point
  std::snprintf(text, sizeof text, format, digits, value);
  return text;
}

}  // namespace

std::optional<std::size_t> parse_bytes(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return std::nullopt;
  std::string unit;
  for (const char c : number->rest) {
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  constexpr std::string_view kPrefixes = "bkmgt";
  const std::size_t power = unit.empty() ? 0 : kPrefixes.find(unit.front());
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = std::string_view(unit).substr(unit.empty() ? 0 : 1);
  if (!suffix.empty() && (power == 0 || (suffix != "b" && suffix != "ib" && suffix != "i"))) {
    return std::nullopt;
  }
  const double bytes = std::ldexp(number->value, static_cast<int>(10 * power));
  constexpr double kMost = 1ULL << 62U;
  if (!(bytes >= 0) || bytes > kMost) return std::nullopt;
  return static_cast<std::size_t>(bytes);
}

std::optional<double> parse_duration(std::string_view text) {
  const auto number = leading_number(text);
  if (!number || number->value < 0) return std::nullopt;
  const double value = number->value;
  const std::string_view unit = number->rest;
  if (unit == "s" || (unit.empty() && value == 0)) return value;
  if (unit == "ms") return value / 1000;
  if (unit == "m" || unit == "min") return value * 60;
  if (unit == "h") return value * 3600;
  return std::nullopt;
}

std::string fixed(double value, int decimals) { return formatted("%.*f", decimals, value); }
std::string significant(double value, int digits) { return formatted("%.*g", digits, value); }
std::string scientific(double value, int decimals) { return formatted("%.*e", decimals, value); }

Error bad_text(std::string_view what, std::string_view text) {
  constexpr std::size_t kShown = 120;
  return make_error(ErrorCode::bad_input,
                    "'" + std::string(text.substr(0, kShown)) + "' is not a " + std::string(what));
}

std::string format_time(double ns) {
  return scaled(ns, std::array{Unit{1e9, "s"}, Unit{1e6, "ms"}, Unit{1e3, "us"}, Unit{1, "ns"}});
}

std::string format_bytes(double bytes) {
  constexpr double kKibibyte = 1 << 10;
  if (bytes < kKibibyte) return fixed(bytes, 0) + " B";
  return scaled(bytes,
                std::array{Unit{1 << 30, "GiB"}, Unit{1 << 20, "MiB"}, Unit{kKibibyte, "KiB"}});
}

std::string listed(std::span<const std::string> names) {
  constexpr std::size_t kMost = 12;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    text += (i > 0 ? ", " : "") + in_quotes(names[i]);
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text.empty() ? "none" : text;
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string in_quotes(std::string_view text, std::size_t longest) {
  std::size_t length = std::min(text.size(), longest);
  // A cut must not fall between the bytes of one UTF-8 character.
  while (length < text.size() && length > 0 && (text[length] & 0xC0) == 0x80) --length;
  std::string result = "'";
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return result + (length < text.size() ? "...'" : "'");
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const unsigned first = byte(i);
    const std::size_t more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : 3;
    if (more == 3 && first >> 3 != 30) return false;
    unsigned code = more == 0 ? first : first & (0x3FU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      if (byte(i + k) >> 6 != 2) return false;
      code = code << 6 | (byte(i + k) & 0x3FU);
    }
    // In the shortest form, up to the last code point, none of the surrogates.
    constexpr unsigned kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF || code >> 11 == 0x1B) return false;
    i += more + 1;
  }
  return true;
}

std::string_view closest_name(std::string_view name, const std::vector<std::string_view>& names) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 4) + 1;
  for (const auto candidate : names) {
    // A beginning of the right name (`pad` for `padding`) is as close as one slip.
    constexpr std::size_t kShortestStem = 3;
    const bool stem = name.size() >= kShortestStem && candidate.starts_with(name);
    const std::size_t distance = stem ? 1 : edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string enough_bytes(std::size_t bytes) {
  constexpr std::size_t kExact = 10000;
  if (bytes < kExact) return std::to_string(bytes);
  std::string_view unit = "KB";
  double size = 1 << 10;
  if (bytes >= 1U << 30U) {
    unit = "GB";
    size = 1 << 30;
  } else if (bytes >= 1U << 20U) {
    unit = "MB";
    size = 1 << 20;
  }
  // A tenth more is no loss, and rounding down would not do.
  constexpr double kTenths = 10;
  return fixed(std::ceil(static_cast<double>(bytes) / size * kTenths) / kTenths, 1) +
         std::string(unit);
}

std::string duration_text(double seconds) {
  constexpr double kMilliseconds = 1000;
  return seconds < 1 ? std::to_string(std::lround(seconds * kMilliseconds)) + "ms"
                     : std::to_string(std::lround(seconds)) + "s";
}

}  // namespace convopt
