// `flopcast trace stats`: what a request trace is like.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/terminal.h"
#include "analysis/runs/serving/trace_stats_report.h"

namespace flopcast {
namespace {

struct TraceArguments {
  std::string file, json;
};

void show_stats(const TraceArguments& arguments) {
  if (!arguments.json.empty()) check_writable(arguments.json, "--json");
  const TraceStats stats = trace_stats({.path = arguments.file});
  if (arguments.json != "-") {
    fmt::print("{}", trace_stats_text(arguments.file, stats, TextStyle(terminal_colours(stdout))));
  }
  if (!arguments.json.empty()) {
    write_text(arguments.json, trace_stats_json(arguments.file, program_version(), stats));
  }
}

}  // namespace

void add_trace_command(CLI::App& program) {
  CLI::App& command = *program.add_subcommand("trace", "Look at a request trace");
  command.require_subcommand(1);
  CLI::App& stats = *command.add_subcommand("stats", "Rate, bursts, lengths and prefixes of a trace");
  const auto arguments = std::make_shared<TraceArguments>();
  stats.add_option("FILE", arguments->file, "Azure or BurstGPT CSV, Mooncake JSON lines, Vidur CSV, or your own")
      ->required();
  stats.add_option("--json", arguments->json, "Write the figures as JSON; `-`: stdout")->type_name("FILE");
  stats.callback([arguments] { show_stats(*arguments); });
}

}  // namespace flopcast
