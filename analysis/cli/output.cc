#include "analysis/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "sim/atomic_file.h"
#include "sim/diagnostic.h"

namespace flopcast {

void check_writable(const std::string& path, const std::string& option) {
  if (path.empty() || path == "-") return;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  const bool is_folder = std::filesystem::is_directory(path);
  if (!is_folder && access(folder.c_str(), W_OK | X_OK) == 0) return;
  Diagnostic diagnostic;
  diagnostic.field = option;
  diagnostic.found = "`" + path + "`" + (is_folder ? ", a folder" : "");
  diagnostic.expected =
      is_folder ? "the name of a file" : "a file in a folder that exists and may be written to";
  throw InputError(diagnostic);
}

void write_text(const std::string& path, std::string_view text) {
  if (path != "-") return write_file_atomically(path, text);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw std::runtime_error("stdout: write failed");
}

GrowingFile::GrowingFile(std::string path)
    : path_(std::move(path)),
      temporary_(fmt::format("{}.{}.tmp", path_, getpid())),
      file_(std::fopen(temporary_.c_str(), "wb")) {
  if (file_ == nullptr) fail("cannot be created");
}

GrowingFile::~GrowingFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void GrowingFile::append(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size()) fail("cannot be written");
}

void GrowingFile::commit() {
  std::FILE* const file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    std::remove(temporary_.c_str());
    fail("cannot be written");
  }
}

void GrowingFile::fail(const char* what) const {
  throw std::runtime_error(fmt::format("{}: {}: {}", path_, what, std::strerror(errno)));
}

}  // namespace flopcast
