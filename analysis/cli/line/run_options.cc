#include "analysis/cli/line/run_options.h"

#include "analysis/face/run.h"

namespace flopcast {

void add_replay_options(Command& command, std::string& engine, bool& allow_oom) {
  command
      .option("--engine,--backend", engine,
              "How flows share links: shared (max-min fairly, in this process), simgrid (the same by SimGrid) or ideal "
              "(not at all)")
      .one_of({"shared", "simgrid", "ideal"})
      .default_value(kDefaultEngine);
  add_allow_oom(command, allow_oom);
}

void add_allow_oom(Command& command, bool& allow_oom) {
  command.flag("--allow-oom", allow_oom,
               "Replay a plan that does not fit into memory; a deployment that has no room for weights and a "
               "cache is refused all the same");
}

void add_workers_option(Command& command, int& workers, std::string_view things) {
  command
      .option("-j,--workers", workers,
              std::string(things) + " at a time; 0, the default: one per core; the result is the same")
      .value_name("N")
      .between(0, 4096);
}

void set_engine(RunSettings& settings, std::string_view engine) {
  settings.sharing = engine == "ideal" ? Sharing::ideal : Sharing::max_min;
  // The program has no thread while it replays, so that SimGrid may be forked.
  settings.solver = engine == "simgrid" ? Solver::simgrid_child : Solver::in_process;
}

RunSettings command_settings(ProgressLine& line) {
  RunSettings settings;
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
