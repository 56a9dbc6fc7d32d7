#include "src/report/markup.h"

#include "core/text.h"

namespace convopt {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

/// Bytes of the character that begins here, 0 if it is no character that XML may hold.
std::size_t character_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  constexpr unsigned char kDelete = 0x7F, kFirstOfTwo = 0xC2, kFirstOfThree = 0xE0,
                          kFirstOfFour = 0xF0;
  if (lead < ' ') return lead == '\t' || lead == '\n' ? 1 : 0;
  if (lead < kDelete) return 1;
  const std::size_t bytes = lead >= kFirstOfFour    ? 4
                            : lead >= kFirstOfThree ? 3
                            : lead >= kFirstOfTwo   ? 2
                                                    : 0;
  if (bytes == 0 || bytes > text.size() || !is_utf8(text.substr(0, bytes))) return 0;
  // U+FFFE and U+FFFF, and the control characters of two bytes.
  const bool is_none = text.starts_with("\xEF\xBF\xBE") || text.starts_with("\xEF\xBF\xBF");
  const bool is_control = lead == kFirstOfTwo && static_cast<unsigned char>(text[1]) < 0xA0;
  return is_none || is_control ? 0 : bytes;
}

std::string tag(std::string_view name, Attributes attributes) {
  std::string text = "<" + std::string(name);
  for (const auto& [key, value] : attributes) {
    text += " " + std::string(key) + "=\"" + escaped(value) + "\"";
  }
  return text;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    const std::string_view known = entity(text.front());
    result += bytes == 0 ? kReplacement : !known.empty() ? known : text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return result;
}

std::string element(std::string_view name, Attributes attributes, std::string_view content) {
  std::string text = tag(name, attributes) + ">";
  text += content;
  return text + "</" + std::string(name) + ">";
}

std::string empty_element(std::string_view name, Attributes attributes) {
  return tag(name, attributes) + "/>";
}

std::string pixels(double value) { return fixed(value, 1); }

}  // namespace convopt
