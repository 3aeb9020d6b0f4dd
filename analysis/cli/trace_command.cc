// `flopcast trace stats`: what a request trace is like.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/standard_streams.h"
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
    put(trace_stats_text(arguments.file, stats, terminal_style(stdout)));
  }
  if (!arguments.json.empty()) {
    write_text(arguments.json, trace_stats_json(arguments.file, version(), stats));
  }
}

}  // namespace

void add_trace_command(Command& program) {
  Command trace = program.add_group("trace", "Look at a request trace");
  trace.add_command<TraceArguments>(
      "stats", "Rate, bursts, lengths and prefixes of a trace",
      [](Command& command, TraceArguments& arguments) {
        command.option("FILE", arguments.file, "Azure or BurstGPT CSV, Mooncake JSON lines, Vidur CSV, or your own")
            .required();
        command.option("--json", arguments.json, "Write the figures as JSON; `-`: stdout").value_name("FILE");
      },
      show_stats);
}

}  // namespace flopcast
