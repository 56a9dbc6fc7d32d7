#include "src/cli/table.h"

#include <algorithm>

namespace convopt::cli {

std::string shortened(const std::string& name) {
  constexpr std::size_t kLongest = 64, kHalf = (kLongest - kGap.size()) / 2;
  if (name.size() <= kLongest) return name;
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(name[at]) & 0xC0U) == 0x80U;
  };
  std::size_t first = kHalf, last = name.size() - kHalf;
  while (first > 0 && continues(first)) --first;
  while (last < name.size() && continues(last)) ++last;
  return name.substr(0, first) + std::string(kGap) + name.substr(last);
}

bool is_shown_as(const std::string& name, std::string_view text) {
  const std::size_t gap = text.find(kGap);
  if (gap == std::string_view::npos) return name.find(text) != std::string::npos;
  return name.size() >= text.size() - kGap.size() && name.starts_with(text.substr(0, gap)) &&
         name.ends_with(text.substr(gap + kGap.size()));
}

std::string Table::text() const {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns_) lines[0].push_back(column.title);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (std::vector<std::string>& line : lines) {
    line.resize(columns_.size());
    line[0] = shortened(line[0]);
    for (std::size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  std::string result;
  for (const std::vector<std::string>& line : lines) {
    std::string row;
    for (std::size_t c = 0; c < line.size(); ++c) {
      const std::string blanks(widths[c] - line[c].size(), ' ');
      row += c == 0 ? "" : "  ";
      row += columns_[c].align == Align::right ? blanks + line[c] : line[c] + blanks;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    result += row + "\n";
  }
  return result;
}

}  // namespace convopt::cli
