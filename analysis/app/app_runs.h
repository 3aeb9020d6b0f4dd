// The runs of the local application, by their numbers.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "analysis/app/app_run.h"

namespace flopcast {

class AppRuns {
 public:
  AppRuns() = default;
  /// Cancels those that go on, and waits for them.
  ~AppRuns();
  /// Begins a run on a thread of its own, and lets an old one go. @return its number; none: too many go on already
  std::optional<std::size_t> launch(const std::shared_ptr<AppRun>& run, std::function<void(AppRun&)> work);
  std::shared_ptr<AppRun> find(const std::string& id) const;  ///< null: there is none
  std::vector<std::shared_ptr<AppRun>> all() const;           ///< by number; null: let go

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<AppRun>> runs_;
};

}  // namespace flopcast
