#include "analysis/cli/run_options.h"

#include "analysis/face/run.h"

namespace flopcast {

void add_replay_options(Command& command, std::string& backend, bool& allow_oom) {
  command.option("--backend", backend, "How flows share links: simgrid (max-min fairly) or ideal (not at all)")
      .one_of({"simgrid", "ideal"})
      .default_value("simgrid");
  command.flag("--allow-oom", allow_oom, "Replay a plan that does not fit into memory");
}

RunSettings command_settings(ProgressLine& line) {
  RunSettings settings;
  settings.solver = Solver::simgrid_child;  // the program has no thread while it replays
  settings.progress = [&line, shown = std::string()](const Progress& progress) mutable {
    if (progress.stage != shown) line.stage(progress.stage);
    shown = progress.stage;
    line.update(progress.done, progress.all, progress.unit.c_str());
    return true;  // Ctrl-C ends the program without asking (InterruptGuard)
  };
  return settings;
}

RunOptions study_options(const Scenario& scenario, const Environment& environment, ProgressLine& line) {
  RunSettings settings = command_settings(line);
  settings.allow_oom = true;
  return run_options(scenario, environment, settings);
}

}  // namespace flopcast
