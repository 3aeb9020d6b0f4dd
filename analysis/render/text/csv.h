// Small sourced tables: comma-separated, a header line, `#` comments, double quotes round fields with commas.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

class CsvTable {
 public:
  std::size_t size() const { return rows_.size(); }
  bool has(std::string_view column) const { return std::find(header_.begin(), header_.end(), column) != header_.end(); }
  const std::vector<std::string>& columns() const { return header_; }
  const std::string& file() const { return file_; }
  int line(std::size_t row) const { return line_of_row_[row]; }  ///< where it stands in the file
  /// @throws InputError when the header names a column twice: of a user's own table nobody knows which is meant.
  void check_columns_differ() const;
  const std::string& text(std::size_t row, std::string_view column) const;
  /// @throws InputError when the field is not a finite number.
  double number(std::size_t row, std::string_view column) const;

 private:
  friend CsvTable parse_csv(const std::string& text, const std::string& file);
  std::size_t column_index(std::string_view column) const;
  std::string file_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<int> line_of_row_;
};

/// @throws InputError with every row that has more or fewer fields than the header.
CsvTable parse_csv(const std::string& text, const std::string& file);

/// A cell: in double quotes where a comma, a quote or a line's end would break the line (RFC 4180). A text that a
/// spreadsheet would take for a formula (it begins with = + - @, a tab or a carriage return, and is no number) gets a
/// `'` in front.
std::string csv_cell(std::string text);

/// One line of such a table, cells quoted where they must be: {"a", "b, c"} -> `a,"b, c"` and a line end.
std::string csv_line(const std::vector<std::string>& cells);

}  // namespace flopcast
