// Users name what the libraries have by its name, and what is theirs by its file.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace flopcast {

/// A text with a slash or the extension of our files is meant as a file, whether there is one or not.
inline bool looks_like_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".textproto");
}

/// The same, or a file of that name lies in the folder where the program was started.
inline bool names_file(const std::string& text) {
  std::error_code error;
  return looks_like_path(text) || std::filesystem::exists(text, error);
}

}  // namespace flopcast
