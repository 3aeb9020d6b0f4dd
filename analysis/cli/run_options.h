// Options of a run that do not come from the command line, and those that several commands share.
#pragma once
#include <string>

#include "analysis/cli/options.h"
#include "analysis/cli/terminal.h"
#include "analysis/runs/training/run.h"
#include "scenarios/read/libraries.h"

namespace flopcast {

/// Adds `--backend` and `--allow-oom`.
void add_replay_options(Command& command, std::string& backend, bool& allow_oom);

/// Run options with the power table of the library, progress on stderr, and Ctrl-C.
RunOptions make_run_options(const Libraries& libraries, const ClusterSpec& cluster, const std::string& backend,
                            bool allow_oom, ProgressLine& progress);

}  // namespace flopcast
