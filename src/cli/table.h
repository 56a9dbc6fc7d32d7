// Columns of text for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace convopt::cli {

/// Stands in a table for the middle of a long name.
inline constexpr std::string_view kGap = "...";

/// A name of more than 64 characters with its middle cut out, since names of layers differ at their
/// ends; never within a character of UTF-8.
std::string shortened(const std::string& name);

/// Whether `text` is a part of the name, or the name as a table shows it.
bool is_shown_as(const std::string& name, std::string_view text);

class Table {
 public:
  enum class Align : unsigned char { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell per column; missing ones are empty.
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Title line and rows, two spaces between columns, no blanks at the ends of lines. The first
  /// column holds names, of which at most 64 characters are shown.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace convopt::cli
