// A comma-separated table that is written: cells go by the names of their columns.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

class CsvRows {
 public:
  CsvRows(std::initializer_list<std::string_view> columns);

  /// Begins a row, all of whose cells are empty.
  CsvRows& row();
  /// A cell of the row that was begun last. @pre there is such a column.
  CsvRows& set(std::string_view column, std::string value);
  /// The shortest form that reads back as the same value.
  CsvRows& set(std::string_view column, double value);

  /// Header and rows, cells quoted where they must be (csv.h).
  std::string text() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace flopcast
