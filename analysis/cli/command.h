// The commands of the program. Each lives in a file of its own and adds itself to the command line.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/cli/options.h"
#include "flopcast/environment.h"
#include "flopcast/scenario.h"

namespace flopcast {

/// Exit codes.
constexpr int kExitInternal = 1;
constexpr int kExitBadInput = 2;
constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells have it
constexpr int kExitReaderGone = 141;   // 128 + SIGPIPE: `flopcast run X | head -1`

/// The commands, in the order in which the help shows them. A row here and a file NAME_command.cc that defines
/// `void add_NAME_command(Command& program)` make a command.
#define FLOPCAST_COMMANDS(ROW) \
  ROW(run)                     \
  ROW(check)                   \
  ROW(explain)                 \
  ROW(list)                    \
  ROW(show)                    \
  ROW(fields)                  \
  ROW(validate)                \
  ROW(plan)                    \
  ROW(size)                    \
  ROW(curve)                   \
  ROW(sweep)                   \
  ROW(calibrate)               \
  ROW(deploy)                  \
  ROW(import_model)            \
  ROW(import_run)              \
  ROW(export_run)              \
  ROW(trace)                   \
  ROW(chakra)                  \
  ROW(policy)                  \
  ROW(compare)                 \
  ROW(claims)                  \
  ROW(cost)                    \
  ROW(fleet)                   \
  ROW(app)                     \
  ROW(help)                    \
  ROW(completion)
#define FLOPCAST_DECLARE_COMMAND(name) void add_##name##_command(Command& program);
FLOPCAST_COMMANDS(FLOPCAST_DECLARE_COMMAND)
#undef FLOPCAST_DECLARE_COMMAND

/// What the program says of itself.
ProgramText program_text();

/// `flopcast complete -- WORD...`, asked by shells: prints what may come next, a word and its meaning a line. No
/// command like the others, which take no empty words.
void print_candidates(std::span<const std::string> words);

/// Adds every one of them.
void add_commands(Command& program);

/// What commands that read a scenario share.
struct ScenarioArguments {
  std::string file;
  std::vector<std::string> sets;
  std::vector<std::string> library_folders;
  /// @return the positional argument FILE, which is required.
  Option add_to(Command& command);
  Environment environment() const { return load_environment(library_folders); }
  ResolvedScenario load(const Environment& environment) const;
};

/// Adds `--set PATH=VALUE`, which may stand several times.
void add_set_option(Command& command, std::vector<std::string>& sets, const std::string& help);
/// Adds `--library`.
void add_library_option(Command& command, std::vector<std::string>& folders);

}  // namespace flopcast
