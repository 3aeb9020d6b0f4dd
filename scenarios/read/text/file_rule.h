// Which files a scenario may open: an order of passes, a trace. Whoever opens one asks here, with the path as it is
// opened, however the text spelled it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "sim/base/diagnostic.h"

namespace flopcast {

class FileRule {
 public:
  FileRule() = default;  ///< any file
  /// For scenarios by somebody else than the files' owner: only files below these folders, links followed.
  explicit FileRule(std::vector<std::string> folders) : confined_(true), folders_(std::move(folders)) {}

  /// Whether there is such a file or not: who may not open it does not learn that either.
  /// @param stated where the scenario names it. @throws InputError.
  void check(const std::string& path, const Diagnostic& stated) const;

 private:
  bool confined_ = false;
  std::vector<std::string> folders_;
};

}  // namespace flopcast
