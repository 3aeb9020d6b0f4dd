#include "workloads/serving/traffic/traces/line_reader.h"

#include <algorithm>
#include <cstring>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr std::size_t kFirstBuffer = 256u << 10;

}  // namespace

LineReader::LineReader(const std::string& path) : path_(path), bytes_(open_bytes(path)), buffer_(kFirstBuffer) {}

/// More of the file behind what is there; false when there is no more.
bool LineReader::fill() {
  if (at_end_) return false;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  const std::size_t read = bytes_->read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += read;
  at_end_ = read == 0;
  return read > 0;
}

std::string_view LineReader::head(std::size_t most) {
  while (end_ - begin_ < most && fill()) {
  }
  return {buffer_.data() + begin_, std::min(most, end_ - begin_)};
}

std::size_t LineReader::read(char* data, std::size_t most) {
  if (begin_ == end_ && !fill()) return 0;
  const std::size_t count = std::min(most, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

bool LineReader::finish_line(std::string_view& line, std::size_t length) {
  line = std::string_view(buffer_.data() + begin_, length);
  begin_ = std::min(begin_ + length + 1, end_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  ++number_;
  return true;
}

/// Up to the line's end, keeping nothing.
void LineReader::skip_rest() {
  for (;;) {
    const auto* newline = static_cast<const char*>(std::memchr(buffer_.data() + begin_, '\n', end_ - begin_));
    begin_ = newline ? static_cast<std::size_t>(newline - buffer_.data()) + 1 : end_;
    if (newline || !fill()) return;
  }
}

bool LineReader::next(std::string_view& line) {
  if (too_long_) skip_rest();
  too_long_ = false;
  std::size_t searched = 0;
  for (;;) {
    const char* const data = buffer_.data() + begin_;
    const auto* newline = static_cast<const char*>(std::memchr(data + searched, '\n', end_ - begin_ - searched));
    if (newline) return finish_line(line, static_cast<std::size_t>(newline - data));
    searched = end_ - begin_;
    if (searched >= kLongestLine) {
      too_long_ = true;
      line = std::string_view(data, kLongestLine);
      ++number_;
      return true;
    }
    if (!fill()) break;
  }
  return begin_ < end_ && finish_line(line, end_ - begin_);
}

void LineReader::refuse_here(const std::string& found, const std::string& expected) const {
  throw InputError(
      Diagnostic{.file = path_, .line = next_line_, .column = next_column_, .found = found, .expected = expected});
}

/// Over one byte.
void LineReader::step() {
  if (buffer_[begin_++] == '\n') {
    ++next_line_;
    next_column_ = 1;
  } else {
    ++next_column_;
  }
}

void LineReader::skip_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) step();
}

/// False at the end of the file.
bool LineReader::skip_space() {
  for (;;) {
    if (begin_ == end_ && !fill()) return false;
    const char c = buffer_[begin_];
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return true;
    step();
  }
}

/// Of what begins here, up to the comma or bracket that ends it. Brackets are counted, not matched: whoever reads the
/// element finds out.
std::size_t LineReader::element_length() {
  int depth = 0;
  bool quoted = false;
  for (std::size_t at = 0;; ++at) {
    if (begin_ + at == end_ && !fill()) refuse_here("the end of the file", "']' at the end of the list");
    if (at >= kLongestLine)
      refuse_here("an element of more than " + std::to_string(kLongestLine >> 20) + " MiB", "a request");
    const char c = buffer_[begin_ + at];
    if (quoted) {
      if (c == '\\') ++at;
      if (c == '"') quoted = false;
      if (begin_ + at >= end_) fill();
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '[' || c == '{') ++depth;
    if (depth == 0 && (c == ',' || c == ']')) return at;
    if (c == ']' || c == '}') --depth;
  }
}

bool LineReader::next_element(std::string_view& element) {
  if (array_done_) return false;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (!in_array_) {
    if (head(kByteOrderMark.size()) == kByteOrderMark) begin_ += kByteOrderMark.size();
    if (!skip_space() || buffer_[begin_] != '[') refuse_here("no list", "'['");
    step();
    in_array_ = true;
    if (skip_space() && buffer_[begin_] == ']') {
      array_done_ = true;
      return false;
    }
  }
  if (!skip_space()) refuse_here("the end of the file", "']' at the end of the list");
  number_ = next_line_;
  column_ = next_column_;
  const std::size_t length = element_length();
  element = std::string_view(buffer_.data() + begin_, length);
  skip_text(element);
  array_done_ = buffer_[begin_] == ']';
  step();
  if (array_done_) {
    // What follows is looked at now, for `element` is to stay valid: only what the buffer holds, unless it is at its
    // end.
    while (begin_ < end_ && std::strchr(" \t\r\n", buffer_[begin_]) != nullptr && buffer_[begin_] != '\0') step();
    if (begin_ < end_) refuse_here("something behind the list", "the end of the file");
  }
  return true;
}

}  // namespace flopcast
