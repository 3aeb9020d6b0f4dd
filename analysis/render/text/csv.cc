#include "analysis/render/text/csv.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>

#include "sim/base/diagnostic.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

std::vector<std::string> split_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += '"';  // two within quotes are one, as csv_cell() writes them
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

Diagnostic at_line(const std::string& file, int line, std::string found, std::string expected) {
  Diagnostic diagnostic;
  diagnostic.file = file;
  diagnostic.line = line;
  diagnostic.found = std::move(found);
  diagnostic.expected = std::move(expected);
  return diagnostic;
}

bool is_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

CsvTable parse_csv(const std::string& text, const std::string& file) {
  CsvTable table;
  table.file_ = file;
  std::vector<Diagnostic> faults;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> fields = split_fields(line);
    if (table.header_.empty()) {
      table.header_ = std::move(fields);
      continue;
    }
    if (fields.size() != table.header_.size()) {
      faults.push_back(at_line(file, number, fmt::format("{} fields", fields.size()),
                               fmt::format("{}, as in the header", table.header_.size())));
      continue;
    }
    table.rows_.push_back(std::move(fields));
    table.line_of_row_.push_back(number);
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return table;
}

void CsvTable::check_columns_differ() const {
  std::vector<Diagnostic> faults;
  for (auto name = header_.begin(); name != header_.end(); ++name)
    if (!name->empty() && std::find(header_.begin(), name, *name) != name)
      faults.push_back(at_line(file_, 0, fmt::format("a second column `{}`", *name), "one column of a name"));
  if (!faults.empty()) throw InputError(std::move(faults));
}

std::size_t CsvTable::column_index(std::string_view column) const {
  for (std::size_t i = 0; i < header_.size(); ++i) {
    if (header_[i] == column) return i;
  }
  throw InputError(at_line(file_, 1, "no such column", fmt::format("a column `{}`", column)));
}

const std::string& CsvTable::text(std::size_t row, std::string_view column) const {
  return rows_[row][column_index(column)];
}

double CsvTable::number(std::size_t row, std::string_view column) const {
  const std::string& field = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value)) {
    throw InputError(at_line(file_, line_of_row_[row], "`" + field + "`", fmt::format("a number for `{}`", column)));
  }
  return value;
}

std::string csv_cell(std::string text) {
  text = visible(text, LineEnds::allowed);
  // Spreadsheets run what begins like this; a number may.
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos && !is_number(text))
    text.insert(text.begin(), '\'');
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  for (auto at = text.find('"'); at != std::string::npos; at = text.find('"', at + 2)) text.insert(at, 1, '"');
  return '"' + text + '"';
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) out += (i ? "," : "") + csv_cell(cells[i]);
  return out + "\n";
}

}  // namespace flopcast
