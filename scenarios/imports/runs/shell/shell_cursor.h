// A place in a text that is read character by character. Internal to scenarios/imports/runs/shell.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class ShellCursor {
 protected:
  /// Both have to live as long as this.
  ShellCursor(const std::string& text, const std::string& file) : text_(text), file_(file) {}

  Place here() const { return {file_, line_, column_}; }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void advance(std::size_t n = 1) {
    for (; n > 0 && at_ < text_.size(); --n, ++at_) {
      if (text_[at_] == '\n')
        ++line_, column_ = 1;
      else
        ++column_;
    }
  }
  /// To the next word of a line.
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') advance();
  }
  [[noreturn]] void refuse(const Place& place, std::string found, std::string expected) const {
    throw InputError(Diagnostic{.file = place.file,
                                .line = place.line,
                                .column = place.column,
                                .found = std::move(found),
                                .expected = std::move(expected)});
  }

  /// `text` becomes what stands between; the position is behind `close`. False: it is not closed.
  bool balanced(char open, char close, std::string& text) {
    advance();
    for (int depth = 1; at_ < text_.size(); advance()) {
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        text += peek();
        advance();
      } else if (peek() == open) {
        ++depth;
      } else if (peek() == close && --depth == 0) {
        advance();
        return true;
      }
      text += peek();
    }
    return false;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  int line_ = 1, column_ = 1;
};

}  // namespace flopcast
