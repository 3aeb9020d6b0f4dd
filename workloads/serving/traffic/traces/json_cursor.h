// JSON from left to right, one value at a time, without a copy.
#pragma once
#include <string>
#include <string_view>

#include "workloads/serving/traffic/traces/fields.h"

namespace flopcast {

class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}
  int column() {  ///< of what comes next, from 1
    skip_space();
    return static_cast<int>(at_) + 1;
  }
  bool done() {
    skip_space();
    return at_ == text_.size();
  }
  char peek() {  ///< '\0' at the end
    skip_space();
    return at_ == text_.size() ? '\0' : text_[at_];
  }
  bool accept(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c, std::string_view field) {
    if (!accept(c)) refuse(field, std::string("'") + c + "'");
  }
  /// Up to the next comma, bracket, brace or space.
  std::string_view scalar() {
    skip_space();
    const std::size_t begin = at_;
    while (at_ < text_.size() && !ends_scalar(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  /// What stands between the quotes, escapes as they are.
  std::string_view string(std::string_view field) {
    expect('"', field);
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) {
      at_ = text_.size();
      refuse(field, "'\"' at the end of a string");
    }
    return text_.substr(begin, at_++ - begin);
  }
  /// A value of any kind. Brackets are counted, not matched: whoever reads on finds out.
  void skip_value(std::string_view field) {
    int depth = 0;
    do {
      const char c = peek();
      if (c == '\0' && at_ == text_.size()) refuse(field, "a value");
      if (c == '"') {
        string(field);
      } else if (c == '[' || c == '{') {
        ++depth, ++at_;
      } else if (c == ']' || c == '}') {
        --depth, ++at_;
      } else if (scalar().empty()) {
        ++at_;  // a comma or colon inside
      }
    } while (depth > 0);
  }
  [[noreturn]] void refuse(std::string_view field, std::string expected) {
    skip_space();
    const std::string_view rest = text_.substr(at_);
    throw LineFault{column(), std::string(field), rest.empty() ? "the end of the line" : shown(rest),
                    std::move(expected)};
  }

 private:
  static bool ends_scalar(char c) {
    return c == ',' || c == ']' || c == '}' || c == '[' || c == '{' || c == ':' || c == ' ' || c == '\t' || c == '\n' ||
           c == '\r' || c == '"';
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

/// Bytes of UTF-8 that a string's characters take; `raw` stands between the quotes.
std::size_t decoded_bytes(std::string_view raw);

}  // namespace flopcast
