// Options of a run that do not come from the command line, and those that several commands share.
#pragma once
#include <string>
#include <string_view>

#include "analysis/cli/line/options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/runs/training/run.h"
#include "flopcast/run.h"

namespace flopcast {

/// What `--engine` is until it is given.
inline constexpr const char* kDefaultEngine = "shared";
/// Adds `--engine` and `--allow-oom`.
void add_replay_options(Command& command, std::string& engine, bool& allow_oom);
/// Adds `--allow-oom`, for every kind of scenario: a script need not know which of its files are of which.
void add_allow_oom(Command& command, bool& allow_oom);
/// Adds `-j,--workers`, the number of `things` at a time. @param workers 0, also until it is given: one per core.
void add_workers_option(Command& command, int& workers, std::string_view things = "Replays");
/// What `--engine` names.
void set_engine(RunSettings& settings, std::string_view engine);

/// Settings of the program's own runs: SimGrid in a child process, progress on stderr, and Ctrl-C.
RunSettings command_settings(ProgressLine& line);

/// The same for studies, which also replay what does not fit.
RunOptions study_options(const Scenario& scenario, const Environment& environment, ProgressLine& line);

}  // namespace flopcast
