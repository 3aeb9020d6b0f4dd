#include "analysis/app/app_runs.h"

#include <thread>
#include <utility>

namespace flopcast {
namespace {

constexpr std::size_t kMostAtOnce = 3, kMostKept = 24;

/// Runs `work`, and keeps what it throws as faults of the run.
void guarded(AppRun& run, const std::function<void(AppRun&)>& work) {
  AppRun::State state = AppRun::State::done;
  std::vector<Diagnostic> faults;
  try {
    work(run);
  } catch (const Interrupted&) {
    state = AppRun::State::cancelled;
  } catch (const InputError& error) {
    state = AppRun::State::failed;
    faults = error.diagnostics();
  } catch (const std::exception& error) {
    state = AppRun::State::failed;
    faults.push_back({"", 0, 0, "", error.what(), "", ""});
  }
  const std::lock_guard lock(run.mutex);
  run.ended = true;
  if (run.state == AppRun::State::cancelled) {  // reported already, there is no result
    run.report.reset();
    run.page.clear();
    run.shown = {};
    return;
  }
  run.state = state;
  run.faults = std::move(faults);
}

}  // namespace

AppRuns::~AppRuns() {
  for (const auto& run : runs_) {
    if (run) run->cancel = true;
  }
  for (const auto& run : runs_) {
    if (run && run->thread.joinable()) run->thread.join();
  }
}

std::optional<std::size_t> AppRuns::launch(const std::shared_ptr<AppRun>& run, std::function<void(AppRun&)> work) {
  const std::lock_guard lock(mutex_);
  std::size_t going_on = 0;
  for (const auto& other : runs_) {
    if (!other) continue;
    const std::lock_guard other_lock(other->mutex);
    going_on += other->ended ? 0 : 1;
  }
  if (going_on >= kMostAtOnce) return std::nullopt;
  runs_.push_back(run);
  if (runs_.size() > kMostKept) {
    auto& old = runs_[runs_.size() - 1 - kMostKept];
    if (old) old->cancel = true;
    old.reset();
  }
  run->thread = std::thread([run, work = std::move(work)] { guarded(*run, work); });
  return runs_.size() - 1;
}

std::shared_ptr<AppRun> AppRuns::find(const std::string& id) const {
  if (id.empty() || id.size() > 6 || id.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  const std::lock_guard lock(mutex_);
  const std::size_t index = std::stoul(id);
  return index < runs_.size() ? runs_[index] : nullptr;
}

std::vector<std::shared_ptr<AppRun>> AppRuns::all() const {
  const std::lock_guard lock(mutex_);
  return runs_;
}

}  // namespace flopcast
