#include "src/cli/table.h"

#include <algorithm>

namespace convopt::cli {

std::string Table::text() const {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns_) lines[0].push_back(column.title);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (std::vector<std::string>& line : lines) {
    line.resize(columns_.size());
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
