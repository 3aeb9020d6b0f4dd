// Lines of a file of any size, in bounded memory.
#pragma once
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

class LineReader {
 public:
  /// Longer lines are none that a trace has: a million tokens in blocks of 16 are 0.7 MB of ids.
  static constexpr std::size_t kLongestLine = 4u << 20;

  /// @throws InputError when `path` is not a file that can be read.
  explicit LineReader(const std::string& path);
  /// The next line without its end (LF or CRLF), valid until the next call; false at the end of the file. A
  /// line that is too long comes cut off.
  bool next(std::string_view& line);
  int number() const { return number_; }  ///< of that line, from 1
  bool too_long() const { return too_long_; }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  bool fill();
  bool finish_line(std::string_view& line, std::size_t length);
  void skip_rest();

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what is read and not handed out
  int number_ = 0;
  bool too_long_ = false, at_end_ = false;
};

}  // namespace flopcast
