#include "analysis/studies/digest.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "scenarios/read/libraries/libraries.h"
#include "sim/base/file_contents.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// Folders below a root whose files results may depend on: the program's, and the user's of every kind but scenarios,
/// which go in by themselves as studies do.
std::vector<std::string> data_folders() {
  std::vector<std::string> folders{"hwmodels/data", "workloads/data", "scenarios/data", "analysis/data"};
  for (const LibraryKind kind :
       {LibraryKind::gpus, LibraryKind::nodes, LibraryKind::fabrics, LibraryKind::clusters, LibraryKind::models,
        LibraryKind::software, LibraryKind::engines, LibraryKind::frameworks})
    folders.push_back(folders_of(kind).front());
  return folders;
}

}  // namespace

std::string digest_of_data(const Libraries& libraries) {
  WideHash hash;
  for (const std::string& root : libraries.roots()) {
    for (const std::string& folder : data_folders()) {
      std::vector<fs::path> files;
      std::error_code error;
      for (fs::recursive_directory_iterator it(fs::path(root) / folder, error), end; it != end && !error;
           it.increment(error)) {
        const std::string extension = it->path().extension().string();
        if (it->is_regular_file(error) && (extension == ".textproto" || extension == ".csv"))
          files.push_back(it->path());
      }
      std::sort(files.begin(), files.end());
      for (const fs::path& file : files) {
        hash.add(file.lexically_relative(root).string());
        hash.add(contents_of(file));
      }
    }
  }
  return hash.text();
}

std::string digest_of_text(const std::string& text, const std::string& of_folder) {
  WideHash hash;
  hash.add(text);
  const fs::path folder = of_folder;
  for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos;) {
    const std::size_t end = text.find_first_of("\"\n", at + 1);
    if (end == std::string::npos) break;
    const std::string word = text.substr(at + 1, end - at - 1);
    std::error_code error;
    if (word.find('.') != std::string::npos && fs::is_regular_file(folder / word, error)) {
      hash.add(word);
      hash.add(contents_of(folder / word));
    }
    at = end + 1;
  }
  return hash.text();
}

std::string digest_of_program() {
  WideHash hash;
  hash.add(contents_of("/proc/self/exe"));
  return hash.text();
}

}  // namespace flopcast
