// A file that is there for the length of a test.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace flopcast {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& contents, const std::string& name = "trace") {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("flopcast_" + std::to_string(getpid()) + "_" + std::to_string(count++) + "_" + name);
    std::ofstream(path_, std::ios::binary) << contents;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace flopcast
