#include "analysis/render/text/text_table.h"

#include <algorithm>
#include <numeric>

#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowestText = 12;  // a column of words below this is no fun to read

std::string without_trailing_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

// A cell within its column; one that is set in stays so.
std::vector<std::string> lines_of(const std::string& cell, std::size_t width) {
  if (display_width(cell) <= width) return {cell};
  const std::size_t margin = std::min(cell.find_first_not_of(' '), width / 2);
  const std::string indent(margin, ' ');
  std::vector<std::string> lines{indent};
  for (const char c : wrap(std::string_view(cell).substr(margin), width - margin, "")) {
    if (c == '\n') {
      lines.push_back(indent);
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

std::size_t longest_word(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    longest = std::max(longest, display_width(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  return longest;
}

std::size_t total(const std::vector<std::size_t>& widths) {
  return std::accumulate(widths.begin(), widths.end(), widths.empty() ? 0 : kGap * (widths.size() - 1));
}

}  // namespace

struct TextTable::Layout {
  std::vector<std::size_t> columns;  // of the table, the ones shown
  std::vector<std::size_t> widths;   // of those
};

TextTable::Layout TextTable::natural(const std::vector<std::size_t>& columns) const {
  Layout out{columns, {}};
  for (const std::size_t c : columns) {
    std::size_t widest = c < header_.size() ? display_width(header_[c]) : 0;
    for (const auto& row : rows_) widest = std::max(widest, c < row.size() ? display_width(row[c]) : 0);
    out.widths.push_back(widest);
  }
  return out;
}

// As narrow as the columns may get: words are broken into lines, numbers are not.
std::vector<std::size_t> TextTable::narrowest(const Layout& layout) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    const std::size_t c = layout.columns[i];
    std::size_t least = c < header_.size() ? longest_word(header_[c]) : 0;
    for (const auto& row : rows_) {
      if (c >= row.size()) continue;
      least = std::max(
          least, columns_[c] == Align::right ? display_width(row[c]) : std::min(longest_word(row[c]), kNarrowestText));
    }
    if (columns_[c] == Align::left) least = std::max(least, kNarrowestText);
    out.push_back(std::min(layout.widths[i], least));
  }
  return out;
}

// Takes columns in until the whole fits, the widest first; the last one, of words, before all others.
bool TextTable::fit(Layout& layout, std::size_t width) const {
  const std::vector<std::size_t> least = narrowest(layout);
  if (total(least) > width) return false;
  const std::size_t last = layout.columns.size() - 1;
  if (columns_[layout.columns[last]] == Align::left) {
    const std::size_t over = total(layout.widths) - std::min(total(layout.widths), width);
    // Half of what it has, as long as others can give.
    layout.widths[last] = std::max(std::max(least[last], std::min(layout.widths[last], width / 3)),
                                   layout.widths[last] - std::min(over, layout.widths[last]));
  }
  // Headings of numbers first: those are broken once a table, words in every row.
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    if (columns_[layout.columns[i]] == Align::left) continue;
    const std::size_t over = total(layout.widths) - std::min(total(layout.widths), width);
    layout.widths[i] = std::max(least[i], layout.widths[i] - std::min(over, layout.widths[i]));
  }
  while (total(layout.widths) > width) {
    std::size_t widest = layout.columns.size();
    for (std::size_t i = 0; i < layout.columns.size(); ++i) {
      if (layout.widths[i] > least[i] && (widest == layout.columns.size() || layout.widths[i] > layout.widths[widest]))
        widest = i;
    }
    --layout.widths[widest];
  }
  return true;
}

// The columns in as many groups as it takes, the first column at the head of each.
std::vector<TextTable::Layout> TextTable::layouts(std::size_t width) const {
  std::vector<std::size_t> all(columns_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  Layout whole = natural(all);
  if (total(whole.widths) <= width || fit(whole, width)) return {whole};
  std::vector<Layout> out;
  for (std::size_t c = 1; c < columns_.size();) {
    std::vector<std::size_t> group{0, c++};
    Layout fitting = natural(group);
    fit(fitting, width);
    while (c < columns_.size()) {
      group.push_back(c);
      Layout next = natural(group);
      if (total(next.widths) > width && !fit(next, width)) break;
      fitting = next;
      ++c;
    }
    out.push_back(fitting);
  }
  return out;
}

std::string TextTable::block(const Layout& layout, const TextStyle& style, std::size_t indent) const {
  const auto block_of = [&](const std::vector<std::string>& cells) {
    std::vector<std::vector<std::string>> columns;
    std::size_t height = 1;
    for (std::size_t i = 0; i < layout.columns.size(); ++i) {
      const std::size_t c = layout.columns[i];
      columns.push_back(
          lines_of(c < cells.size() ? cells[c] : std::string(), std::max<std::size_t>(1, layout.widths[i])));
      height = std::max(height, columns.back().size());
    }
    std::vector<std::string> lines;
    for (std::size_t y = 0; y < height; ++y) {
      std::string text(indent, ' ');
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::string cell = y < columns[i].size() ? columns[i][y] : std::string();
        const bool left = columns_[layout.columns[i]] == Align::left;
        text += left ? pad_right(cell, layout.widths[i]) : pad_left(cell, layout.widths[i]);
        if (i + 1 < columns.size()) text.append(kGap, ' ');
      }
      lines.push_back(without_trailing_blanks(text));
    }
    return lines;
  };
  std::string out;
  if (!header_.empty())
    for (const std::string& line : block_of(header_)) out += style.dim(line) + "\n";
  for (const auto& row : rows_)
    for (const std::string& line : block_of(row)) out += line + "\n";
  return out;
}

std::string TextTable::render(const TextStyle& style, std::size_t indent) const {
  std::string out;
  for (const Layout& layout : layouts(style.width() - indent)) {
    if (!out.empty()) out += "\n";
    out += block(layout, style, indent);
  }
  return out;
}

}  // namespace flopcast
