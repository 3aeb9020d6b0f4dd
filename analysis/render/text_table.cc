#include "analysis/render/text_table.h"

#include <algorithm>

#include "analysis/render/format.h"

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
  const bool breaks = columns_.back() == Align::left && used < width;
  const std::string hanging(used, ' ');

  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text(indent, ' ');
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const bool last = c + 1 == widths.size();
      if (last && breaks) {
        text += wrap(cells[c], width - used, hanging);
      } else {
        text += columns_[c] == Align::left ? pad_right(cells[c], widths[c]) : pad_left(cells[c], widths[c]);
      }
      if (!last) text.append(kGap, ' ');
    }
    return trimmed(text);
  };
  std::string out;
  if (!header_.empty()) out += style.dim(line(header_)) + "\n";
  for (const auto& row : rows_) out += line(row) + "\n";
  return out;
}

}  // namespace flopcast
