#include "analysis/app/app_run.h"

namespace flopcast {

AppRun::~AppRun() {
  cancel = true;
  if (!thread.joinable()) return;
  // The last reference may be let go by the run's own thread.
  if (thread.get_id() == std::this_thread::get_id())
    thread.detach();
  else
    thread.join();
}

bool AppRun::at(const std::string& what, std::uint64_t so_far, std::uint64_t in_all, const std::string& of) {
  const std::lock_guard lock(mutex);
  stage = what;
  unit = of;
  done = so_far;
  all = in_all;
  return !cancel;
}

RunSettings settings_of(AppRun& run) {
  RunSettings settings;
  settings.progress = [&run](const Progress& progress) {
    return run.at(progress.stage, progress.done, progress.all, progress.unit);
  };
  return settings;
}

std::vector<Metric> number_figures(const std::vector<Metric>& all) {
  std::vector<Metric> out;
  for (const Metric& metric : all) {
    if (metric.number()) out.push_back(metric);
  }
  return out;
}

}  // namespace flopcast
