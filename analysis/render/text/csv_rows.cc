#include "analysis/render/text/csv_rows.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/json.h"

namespace flopcast {

CsvRows::CsvRows(std::initializer_list<std::string_view> columns) : columns_(columns.begin(), columns.end()) {}

CsvRows& CsvRows::row() {
  rows_.emplace_back(columns_.size());
  return *this;
}

CsvRows& CsvRows::set(std::string_view column, std::string value) {
  const auto at = std::find(columns_.begin(), columns_.end(), column);
  assert(at != columns_.end() && !rows_.empty());
  if (at != columns_.end()) rows_.back()[static_cast<std::size_t>(at - columns_.begin())] = std::move(value);
  return *this;
}

CsvRows& CsvRows::set(std::string_view column, double value) { return set(column, shortest(value)); }

std::string CsvRows::text() const {
  std::string out = csv_line(columns_);
  for (const std::vector<std::string>& cells : rows_) out += csv_line(cells);
  return out;
}

}  // namespace flopcast
