#include "analysis/text_table.h"

#include <algorithm>

#include "analysis/format.h"

namespace flopcast {
namespace {

constexpr std::size_t kGap = 2;

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::string TextTable::render(const TextStyle& style, std::size_t width, std::size_t indent) const {
  std::vector<std::size_t> widths(columns_.size(), 0);
  const auto measure = [&](const std::vector<std::string>& cells) {
    for (std::size_t c = 0; c < cells.size(); ++c) widths[c] = std::max(widths[c], display_width(cells[c]));
  };
  measure(header_);
  for (const auto& row : rows_) measure(row);

  std::size_t used = indent;
  for (std::size_t c = 0; c + 1 < widths.size(); ++c) used += widths[c] + kGap;
  if (columns_.back() == Align::left && used < width) widths.back() = std::min(widths.back(), width - used);

  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text(indent, ' ');
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string cell = c + 1 == widths.size() ? shorten(cells[c], widths[c]) : cells[c];
      text += columns_[c] == Align::left ? pad_right(cell, widths[c]) : pad_left(cell, widths[c]);
      if (c + 1 < cells.size()) text.append(kGap, ' ');
    }
    return trimmed(text);
  };
  std::string out;
  if (!header_.empty()) out += style.dim(line(header_)) + "\n";
  for (const auto& row : rows_) out += line(row) + "\n";
  return out;
}

}  // namespace flopcast
