// Records of a file of any size, in bounded memory: its lines, or the elements of the JSON array that it is.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/serving/traffic/traces/byte_source.h"

namespace flopcast {

class LineReader {
 public:
  /// Longer records are none that a trace has: a million tokens in blocks of 16 are 0.7 MB of ids.
  static constexpr std::size_t kLongestLine = 4u << 20;

  /// @throws InputError when `path` is not a file that can be read.
  explicit LineReader(const std::string& path);
  /// The first bytes of the file, at most `most` and fewer only in a shorter file. Before anything else is read.
  std::string_view head(std::size_t most);
  /// The next line without its end (LF or CRLF), valid until the next call; false at the end of the file. A
  /// line that is too long comes cut off.
  bool next(std::string_view& line);
  /// The next element of a JSON array, valid until the next call; false at the array's end. It may go over several
  /// lines. @throws InputError when something else stands there, or an element is too long.
  bool next_element(std::string_view& element);
  /// At most `most` bytes as they are, 0 at the end.
  std::size_t read(char* data, std::size_t most);
  int number() const { return number_; }  ///< of the line where that record begins, from 1
  int column() const { return column_; }  ///< and of its first byte, from 1
  bool too_long() const { return too_long_; }
  const std::string& path() const { return path_; }

 private:
  bool fill();
  bool finish_line(std::string_view& line, std::size_t length);
  void skip_rest();
  bool skip_space();
  void step();
  std::size_t element_length();
  void skip_text(std::string_view text);
  [[noreturn]] void refuse_here(const std::string& found, const std::string& expected) const;

  std::string path_;
  std::unique_ptr<ByteSource> bytes_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what is read and not handed out
  int number_ = 0, column_ = 1;
  int next_line_ = 1, next_column_ = 1;  // of what comes next, in arrays
  bool too_long_ = false, at_end_ = false, in_array_ = false, array_done_ = false;
};

}  // namespace flopcast
