#include "workloads/serving/traffic/traces/line_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr std::size_t kFirstBuffer = 256u << 10;

[[noreturn]] void refuse(const std::string& path, const std::string& found) {
  throw InputError(Diagnostic{.file = path, .found = found, .expected = "a request trace, a regular file"});
}

}  // namespace

LineReader::LineReader(const std::string& path) : path_(path), buffer_(kFirstBuffer) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) refuse(path, "no such file");
  if (std::filesystem::is_directory(status)) refuse(path, "a folder");
  // It is read twice: once to check every line before anything runs, once to replay.
  if (!std::filesystem::is_regular_file(status)) refuse(path, "a device or pipe");
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) refuse(path, std::strerror(errno));
}

/// More of the file behind what is there; false when there is no more.
bool LineReader::fill() {
  if (at_end_) return false;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  const std::size_t read = std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, file_.get());
  if (read == 0 && std::ferror(file_.get())) refuse(path_, std::strerror(errno));
  end_ += read;
  at_end_ = read == 0;
  return read > 0;
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

}  // namespace flopcast
