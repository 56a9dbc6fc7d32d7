// Is a page well-formed? Enough of XML's rules to find tags that do not match, text that was not
// escaped, and names that are given twice.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace convopt {

/// What is wrong first; empty if nothing is.
inline std::string fault_of(std::string_view page) {
  const auto context = [&](std::size_t at) { return std::string(page.substr(at, 60)); };
  const auto is_text = [](std::string_view text) {
    for (std::size_t at = 0; (at = text.find('&', at)) != std::string_view::npos; ++at) {
      bool known = false;
      for (const std::string_view entity : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"})
        known = known || text.substr(at).starts_with(entity);
      if (!known) return false;
    }
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') return false;
    }
    return text.find('<') == std::string_view::npos;
  };
  std::vector<std::string> open;
  std::set<std::string> ids;
  std::size_t at = page.starts_with("<!DOCTYPE html>\n") ? 16 : 0;
  bool had_root = false;
  while (at < page.size()) {
    const std::size_t tag = page.find('<', at);
    const std::string_view text = page.substr(at, tag - at);
    if (!is_text(text)) return "bad text: " + context(at);
    if (tag == std::string_view::npos) break;
    const std::size_t end = page.find('>', tag);
    if (end == std::string_view::npos) return "no end of tag: " + context(tag);
    std::string_view inside = page.substr(tag + 1, end - tag - 1);
    at = end + 1;
    if (inside.starts_with('/')) {
      if (open.empty() || open.back() != inside.substr(1)) return "does not match: " + context(tag);
      open.pop_back();
      continue;
    }
    const bool is_empty = inside.ends_with('/');
    if (is_empty) inside.remove_suffix(1);
    const std::string name(inside.substr(0, inside.find(' ')));
    if (open.empty() && had_root) return "a second root: " + context(tag);
    had_root = true;
    inside.remove_prefix(name.size());
    while (!inside.empty()) {
      const std::size_t equals = inside.find("=\"");
      if (!inside.starts_with(' ') || equals == std::string_view::npos)
        return "bad attribute: " + context(tag);
      const std::string key(inside.substr(1, equals - 1));
      inside.remove_prefix(equals + 2);
      const std::size_t quote = inside.find('"');
      if (quote == std::string_view::npos || !is_text(inside.substr(0, quote)))
        return "bad value: " + context(tag);
      if (key == "id" && !ids.insert(std::string(inside.substr(0, quote))).second)
        return "an id twice: " + context(tag);
      inside.remove_prefix(quote + 1);
    }
    if (!is_empty) open.push_back(name);
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

}  // namespace convopt
