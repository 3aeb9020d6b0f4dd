// Plain tables for the terminal: columns separated by space, no boxes.
#pragma once
#include <string>
#include <vector>

namespace flopcast {

/// Columns of text where nobody says how wide the terminal is.
inline constexpr std::size_t kTextWidth = 80;

/// How text is written: emphasis (all plain when colours are off), and how wide.
class TextStyle {
 public:
  explicit TextStyle(bool colour = false, std::size_t width = kTextWidth) : colour_(colour), width_(width) {}
  /// Columns of a line.
  std::size_t width() const { return width_; }
  std::string bold(const std::string& text) const { return wrapped("1", text); }
  std::string dim(const std::string& text) const { return wrapped("2", text); }
  std::string good(const std::string& text) const { return wrapped("32", text); }
  std::string bad(const std::string& text) const { return wrapped("31", text); }
  std::string accent(const std::string& text) const { return wrapped("36", text); }

 private:
  std::string wrapped(const char* code, const std::string& text) const {
    return colour_ ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  }
  bool colour_;
  std::size_t width_;
};

enum class Align { left, right };

class TextTable {
 public:
  explicit TextTable(std::vector<Align> columns) : columns_(std::move(columns)) {}
  /// A dimmed row of headings. Fewer cells than columns: the rest is empty.
  void header(std::vector<std::string> cells) { header_ = std::move(cells); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  /// Lines no longer than the style's width. Where the columns are wider together, headings and columns of words are
  /// broken into lines; where that is not enough, the table goes on below, its first column repeated.
  std::string render(const TextStyle& style, std::size_t indent = 2) const;

 private:
  struct Layout;
  Layout natural(const std::vector<std::size_t>& columns) const;
  std::vector<std::size_t> narrowest(const Layout& layout) const;
  bool fit(Layout& layout, std::size_t width) const;
  std::vector<Layout> layouts(std::size_t width) const;
  std::string block(const Layout& layout, const TextStyle& style, std::size_t indent) const;
  std::vector<Align> columns_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace flopcast
