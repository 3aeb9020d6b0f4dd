// Traces of one JSON object per line. Only what a trace needs is read; other keys are passed over.
#include <string>

#include "workloads/serving/traffic/traces/line_parsers.h"

namespace flopcast {
namespace {

/// JSON from left to right, one value at a time.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}
  int column() const { return static_cast<int>(at_) + 1; }
  bool done() {
    skip_space();
    return at_ == text_.size();
  }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
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
      skip_space();
      if (at_ == text_.size()) refuse(field, "a value");
      const char c = text_[at_];
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
    return c == ',' || c == ']' || c == '}' || c == '[' || c == '{' || c == ':' || c == ' ' || c == '\t';
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

class JsonLineParser final : public LineParser {
 public:
  explicit JsonLineParser(const TraceFormat& format) : format_(format) {}

  void parse(std::string_view line, ParsedLine& parsed) const override {
    Found found;
    parsed.blocks = {};
    JsonCursor cursor(line);
    cursor.expect('{', "");
    if (!cursor.accept('}')) {
      do {
        parse_member(cursor, parsed, found);
      } while (cursor.accept(','));
      cursor.expect('}', "");
    }
    if (!cursor.done()) cursor.refuse("", "the end of the line");
    for (const auto& [there, key] : {std::pair(found.time, format_.time), std::pair(found.input, format_.input),
                                     std::pair(found.output, format_.output)}) {
      if (!there) throw LineFault{1, std::string(key), "no such key", "one in every line"};
    }
    if (found.blocks > 0) check_blocks(parsed, found.blocks);
  }

 private:
  struct Found {
    bool time = false, input = false, output = false;
    int blocks = 0;  // column of the list
  };

  void parse_member(JsonCursor& cursor, ParsedLine& parsed, Found& found) const {
    const std::string_view key = cursor.string("");
    cursor.expect(':', key);
    if (key == format_.time) {
      parsed.time_field = number(cursor, format_.time);
      parsed.time = parse_time(format_, parsed.time_field);
      found.time = true;
    } else if (key == format_.input) {
      parsed.input_field = number(cursor, format_.input);
      parsed.input_tokens = parse_tokens(parsed.input_field);
      found.input = true;
    } else if (key == format_.output) {
      parsed.output_field = number(cursor, format_.output);
      parsed.output_tokens = parse_tokens(parsed.output_field);
      found.output = true;
    } else if (key == format_.blocks) {
      cursor.expect('[', format_.blocks);
      found.blocks = cursor.column() - 1;
      parse_blocks(cursor, parsed.blocks);
    } else {
      cursor.skip_value(key);
    }
  }

  static Field number(JsonCursor& cursor, std::string_view name) {
    cursor.accept('\0');  // only to pass over spaces
    const int column = cursor.column();
    return {cursor.scalar(), column, name};
  }

  void parse_blocks(JsonCursor& cursor, PrefixBlocks& blocks) const {
    blocks = {};
    if (cursor.accept(']')) return;
    do {
      const Field field = number(cursor, format_.blocks);
      blocks.append(parse_block_id(field.text, field));
    } while (cursor.accept(','));
    cursor.expect(']', format_.blocks);
  }

  /// One id per started block. What begins and does not fill the last block cannot be reused: engines keep
  /// full blocks.
  void check_blocks(ParsedLine& parsed, int column) const {
    const auto tokens = static_cast<std::size_t>(parsed.input_tokens);
    const auto size = static_cast<std::size_t>(format_.block_tokens);
    const std::size_t started = (tokens + size - 1) / size;
    if (parsed.blocks.size() != started) {
      throw LineFault{column, std::string(format_.blocks), std::to_string(parsed.blocks.size()) + " ids",
                      std::to_string(started) + ", one for each " + std::to_string(size) + " of " +
                          std::to_string(tokens) + " tokens"};
    }
    if (tokens % size != 0) parsed.blocks.truncate(tokens / size);
  }

  const TraceFormat& format_;
};

}  // namespace

std::unique_ptr<LineParser> json_line_parser(const TraceFormat& format) {
  return std::make_unique<JsonLineParser>(format);
}

}  // namespace flopcast
