#include "workloads/serving/traffic/traces/column_lists.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/traces/line_parsers.h"

namespace flopcast {
namespace {

/// JSON from a stream, byte by byte.
class JsonStream {
 public:
  explicit JsonStream(LineReader& file) : file_(file) {}
  /// '\0' at the end of the file; spaces are passed over.
  char peek() {
    for (;; take()) {
      const char c = current();
      if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c;
    }
  }
  bool accept(char c) {
    if (peek() != c || c == '\0') return false;
    take();
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse(std::string("'") + c + "'");
  }
  const std::string& string() {
    expect('"');
    text_.clear();
    for (char c; (c = current()) != '"'; take()) {
      if (c == '\0') refuse("'\"' at the end of a string");
      if (c == '\\') take();
      if (text_.size() < kLongestName) text_ += current();
    }
    take();
    return text_;
  }
  /// Number or word; its place stays until the next one.
  const std::string& scalar() {
    peek();
    word_.clear();
    word_line_ = line_;
    word_column_ = column_;
    for (char c; (c = current()) != '\0' && std::string_view(",]}[{: \t\r\n\"").find(c) == std::string_view::npos;
         take())
      if (word_.size() < kLongestName) word_ += c;
    return word_;
  }
  void skip_value() {
    int depth = 0;
    do {
      const char c = peek();
      if (c == '\0') refuse("a value");
      if (c == '"') {
        string();
      } else if (c == '[' || c == '{') {
        ++depth;
        take();
      } else if (c == ']' || c == '}') {
        --depth;
        take();
      } else if (scalar().empty()) {
        take();
      }
    } while (depth > 0);
  }
  [[noreturn]] void refuse(std::string expected) {
    const char c = peek();
    throw InputError(Diagnostic{.file = file_.path(),
                                .line = line_,
                                .column = column_,
                                .found = c == '\0' ? "the end of the file" : shown(std::string(1, c)),
                                .expected = std::move(expected)});
  }
  [[noreturn]] void refuse_word(LineFault fault) const {
    throw InputError(Diagnostic{.file = file_.path(),
                                .line = word_line_,
                                .column = word_column_,
                                .field = std::move(fault.field),
                                .found = std::move(fault.found),
                                .expected = std::move(fault.expected),
                                .remedy = std::move(fault.remedy)});
  }

 private:
  static constexpr std::size_t kLongestName = 256;
  char current() {
    if (at_ == size_) {
      size_ = file_.read(buffer_.data(), buffer_.size());
      at_ = 0;
      if (size_ == 0) return '\0';
    }
    return buffer_[at_];
  }
  void take() {
    if (current() == '\0' && size_ == 0) refuse("more");
    if (buffer_[at_++] == '\n') {
      ++line_;
      column_ = 1;
    } else {
      ++column_;
    }
  }
  LineReader& file_;
  std::array<char, 16 << 10> buffer_{};
  std::size_t at_ = 0, size_ = 0;
  int line_ = 1, column_ = 1;
  int word_line_ = 1, word_column_ = 1;
  std::string text_, word_;
};

template <class Value, class Parse>
void read_list(JsonStream& json, const std::string& name, std::vector<Value>& values, Parse&& parse) {
  if (!values.empty()) json.refuse("one list of " + name);
  json.expect('[');
  if (json.accept(']')) return;
  do {
    const std::string& word = json.scalar();
    try {
      values.push_back(parse(Field{word, 1, name}));
    } catch (LineFault& fault) {
      json.refuse_word(std::move(fault));
    }
  } while (json.accept(','));
  json.expect(']');
}

}  // namespace

std::vector<ListedRequest> read_column_lists(LineReader& file, const TraceFormat& format) {
  std::vector<TraceTime> times;
  std::vector<std::int32_t> inputs, outputs;
  const bool timed = format.time_notation != TimeNotation::none;
  JsonStream json(file);
  json.accept('\xef'), json.accept('\xbb'), json.accept('\xbf');
  json.expect('{');
  do {
    const std::string key = json.string();
    json.expect(':');
    if (timed && key == format.time)
      read_list(json, key, times, [&](const Field& field) { return parse_time(format, field); });
    else if (key == format.input)
      read_list(json, key, inputs, [](const Field& field) { return parse_tokens(field); });
    else if (key == format.output)
      read_list(json, key, outputs, [](const Field& field) { return parse_tokens_or_none(field); });
    else
      json.skip_value();
  } while (json.accept(','));
  json.expect('}');
  if (json.peek() != '\0') json.refuse("the end of the file: one result, not several");
  if (inputs.size() != outputs.size() || (timed && times.size() != inputs.size())) {
    std::string found = std::to_string(inputs.size()) + " " + format.input + " and " + std::to_string(outputs.size()) +
                        " " + format.output;
    if (timed) found += " and " + std::to_string(times.size()) + " " + format.time;
    throw InputError(Diagnostic{.file = file.path(), .found = std::move(found), .expected = "lists of equal length"});
  }
  std::vector<ListedRequest> requests(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) requests[i] = {timed ? times[i] : TraceTime(), inputs[i], outputs[i]};
  std::ranges::stable_sort(requests, {}, &ListedRequest::time);
  return requests;
}

}  // namespace flopcast
