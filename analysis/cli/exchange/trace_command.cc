// `flopcast trace`: what a request trace is like, in which form it is, and the same in another form.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/runs/serving/exchange/trace_convert.h"
#include "analysis/runs/serving/exchange/trace_stats_report.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct TraceArguments {
  std::string file, json, out, to;
  bool sort = false;
  TraceOptions options;
};

void trace_options(Command& command, TraceArguments& arguments) {
  command
      .option("FILE", arguments.file,
              "A table or JSON, perhaps packed (gzip, zstd): `trace formats` lists what is known")
      .required();
  TraceColumns& columns = arguments.options.columns;
  std::vector<std::string> formats;
  for (const TraceFormat& format : trace_formats()) formats.push_back(format.name);
  const std::vector<std::string> units(time_unit_names().begin(), time_unit_names().end());
  command.option("--format", arguments.options.format, "Which format it has, where its content leaves that open")
      .offers(formats)
      .value_name("NAME");
  command.option("--time", columns.time, "Column or key of the arrivals").value_name("NAME");
  command.option("--unit", columns.unit, "What the times count: s, ms, us, ns, min, h, date")
      .offers(units)
      .value_name("UNIT");
  command.option("--input", columns.input, "Column of the prompts' tokens").value_name("NAME");
  command.option("--output", columns.output, "Column of the answers' tokens").value_name("NAME");
  command.option("--session", columns.session, "Column that is equal in the turns of a conversation")
      .value_name("NAME");
  command.option("--delay", columns.delay, "Column of the time from an answer to the next turn").value_name("NAME");
  command.option("--delay-unit", columns.delay_unit, "What the delays count").offers(units).value_name("UNIT");
  command.option("--blocks", columns.blocks, "Column of the ids of a prompt's blocks").value_name("NAME");
  command.option("--block-tokens", columns.block_tokens, "Tokens of such a block").value_name("N");
  command.option("--turns", columns.turns, "What a later turn's input is: `whole` prompt, or what is `added`")
      .offers({"whole", "added"})
      .value_name("WHICH");
  command.option("--bytes-per-token", columns.bytes_per_token, "Of texts, for no tokenizer is asked").value_name("X");
}

TraceOptions checked_options(const TraceArguments& arguments) {
  TraceOptions options = arguments.options;
  options.path = arguments.file;
  if (!options.columns.turns.empty() && options.columns.turns != "whole" && options.columns.turns != "added")
    throw InputError(option_fault("--turns", "`" + options.columns.turns + "`", "whole or added"));
  if (options.columns.block_tokens < 0 || options.columns.block_tokens > 65536)
    throw InputError(option_fault("--block-tokens", std::to_string(options.columns.block_tokens), "1 to 65536"));
  if (!(options.columns.bytes_per_token >= 0 && options.columns.bytes_per_token <= 64))
    throw InputError(
        option_fault("--bytes-per-token", fmt::format("{:g}", options.columns.bytes_per_token), "0.5 to 64"));
  return options;
}

void show_stats(const TraceArguments& arguments) {
  const OutputOption output{.option = "--json", .path = arguments.json};
  check_outputs({&output, 1}, {arguments.file});
  const TraceStats stats = trace_stats(checked_options(arguments));
  if (arguments.json != "-") {
    put(trace_stats_text(arguments.file, stats, terminal_style(stdout)));
  }
  if (!arguments.json.empty()) {
    write_text(arguments.json, trace_stats_json(arguments.file, version(), stats));
  }
}

TraceForm form_of(const TraceArguments& arguments) {
  std::string_view name = arguments.out;
  for (const std::string_view packing : {".gz", ".zst"})
    if (name.ends_with(packing)) name.remove_suffix(packing.size());
  const bool table = name.ends_with(".csv"), objects = name.ends_with(".jsonl") || name.ends_with(".json");
  if (!table && !objects)
    throw InputError(option_fault("OUT", "`" + arguments.out + "`",
                                  "a name that ends in .csv or .jsonl, perhaps packed: .gz or .zst"));
  if (arguments.to == "mooncake") {
    if (table) throw InputError(option_fault("--to", "mooncake, in a table", "a name that ends in .jsonl"));
    return TraceForm::mooncake;
  }
  if (!arguments.to.empty() && arguments.to != "flopcast")
    throw InputError(option_fault("--to", "`" + arguments.to + "`", "flopcast or mooncake"));
  return table ? TraceForm::flopcast_csv : TraceForm::flopcast_json;
}

void convert(const TraceArguments& arguments) {
  TraceOptions options = checked_options(arguments);
  options.any_order = arguments.sort;
  const TraceForm form = form_of(arguments);
  const OutputOption output{.option = "OUT", .path = arguments.out, .takes_stdout = false};
  check_outputs({&output, 1}, {arguments.file});
  const TraceConversion made = convert_trace(options, form, arguments.out);
  std::string text = fmt::format("{} requests", made.requests);
  if (made.sessions > 0) text += fmt::format(" in {} sessions", made.sessions);
  text += fmt::format(" from {} ({}: {})\n", arguments.file, made.format, made.evidence);
  if (made.failed > 0) text += fmt::format("{} requests without an answer were left out.\n", made.failed);
  if (made.blocks_left_out)
    text += "The blocks of prompts were left out: a table has no place for them, a name that ends in .jsonl has.\n";
  if (made.sessions_left_out)
    text +=
        "The sessions were left out: in Mooncake's form a turn with one waits for the answer before it, and these come "
        "at "
        "times of their own.\n";
  show(text);
}

struct NoArguments {};

void list_formats(const NoArguments& /*arguments*/) { show(trace_formats_text(terminal_style(stdout))); }

}  // namespace

void add_trace_command(Command& program) {
  Command trace = program.add_group("trace", "Look at a request trace, or turn it into another form");
  for (const auto& [name, text] :
       {std::pair("stats", "Rate, bursts, lengths and prefixes of a trace"),
        std::pair("show", "Which format a trace has, on what evidence, and what is in it")}) {
    trace.add_command<TraceArguments>(
        name, text,
        [](Command& command, TraceArguments& arguments) {
          trace_options(command, arguments);
          command.option("--json", arguments.json, "Write the figures as JSON; `-`: stdout").value_name("FILE");
        },
        show_stats);
  }
  trace.add_command<TraceArguments>(
      "convert", "The same requests in another form: CSV, JSON Lines, or Mooncake's; packed by the name",
      [](Command& command, TraceArguments& arguments) {
        trace_options(command, arguments);
        command.option("OUT", arguments.out, "Ends in .csv or .jsonl, and .gz or .zst to pack it").required();
        command.option("--to", arguments.to, "flopcast (unless said), or mooncake: for AIPerf, Dynamo and others")
            .offers({"flopcast", "mooncake"})
            .value_name("FORM");
        command.flag("--sort", arguments.sort, "Sort by time, in memory: of traces that are not");
      },
      convert);
  trace.add_command<NoArguments>(
      "formats", "The formats that are recognised, and by what", [](Command&, NoArguments&) {}, list_formats);
}

}  // namespace flopcast
