// `flopcast chakra`: execution traces of ASTRA-sim, STAGE or PyTorch on one of our clusters, and steps of ours as such.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/run.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/chakra/chakra_report.h"
#include "scenarios/imports/chakra_import.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"
#include "workloads/chakra/step_writer.h"

namespace flopcast {
namespace {

struct ChakraArguments {
  std::string path, on, groups, json, trace, engine, times, precision, links;
  std::optional<int> alike;
  std::vector<std::string> sets, library_folders;
};

/// A name that is a cluster's or a scenario's. Of a node it says what makes a cluster of it.
void check_cluster_name(const std::string& name, std::vector<std::string> known, const Environment& environment) {
  const std::vector<std::string> scenarios = environment.names("scenarios"), nodes = environment.names("nodes");
  known.insert(known.end(), scenarios.begin(), scenarios.end());
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  const bool node = std::find(nodes.begin(), nodes.end(), name) != nodes.end();
  throw InputError(Diagnostic{
      "", 0, 0, "--on", quoted(name) + (node ? ", a node" : ""),
      "a cluster (flopcast list clusters), a scenario that has one, or a file", node ? "" : nearest_name(name, known),
      node ? fmt::format("a file with cluster {{ node: \"{}\" nodes: 8 fabric: \"rail-ft2\" }}", name) : ""});
}

/// A scenario that has the cluster: one of the libraries' clusters, a scenario, or a file with a cluster alone.
ResolvedScenario chakra_cluster(const ChakraArguments& arguments, const Environment& environment) {
  // A scenario has to have some work; that of this one is never done.
  const std::string work =
      "\ncollective { operation: \"ring_all_reduce\" bytes: \"1 MB\" ranks: 2 measured_links: false }\n";
  const std::vector<std::string> clusters = environment.names("clusters");
  if (std::find(clusters.begin(), clusters.end(), arguments.on) != clusters.end()) {
    return resolve_text("cluster { base: \"" + arguments.on + "\" }" + work, arguments.on, environment, arguments.sets);
  }
  std::error_code ignored;
  if (std::filesystem::is_regular_file(arguments.on, ignored)) {
    const std::string text = read_text_file(arguments.on);
    proto::Scenario message;
    Places places(arguments.on);
    Diagnostics faults;
    parse_text(text, arguments.on, message, places, faults);
    const bool alone = !message.has_training() && !message.has_collective() && !message.has_cluster_life() &&
                       !message.has_serving() && !message.has_rl() && !message.has_given_service() &&
                       !message.has_run();
    if (faults.empty() && alone) return resolve_text(text + work, arguments.on, environment, arguments.sets);
  }
  if (!names_file(arguments.on)) check_cluster_name(arguments.on, clusters, environment);
  return resolve(arguments.on, environment, arguments.sets);
}

JobPrices chakra_prices(const ChakraArguments& arguments, const LinkCalibration* links) {
  JobPrices prices;
  prices.pricing = arguments.times == "recorded"   ? NodePricing::recorded
                   : arguments.times == "roofline" ? NodePricing::roofline
                                                   : NodePricing::automatic;
  const auto names = enum_names(Precision{});
  prices.precision = static_cast<Precision>(std::find(names.begin(), names.end(), arguments.precision) - names.begin());
  prices.links = arguments.links == "full" ? nullptr : links;
  return prices;
}

void replay_traces(const ChakraArguments& arguments) {
  const OutputOption outputs[] = {{"--json", arguments.json}, {"--trace", arguments.trace, false}};
  check_outputs(outputs);
  const Environment environment = load_environment(arguments.library_folders);
  const ResolvedScenario scenario = chakra_cluster(arguments, environment);
  ProgressLine progress;
  progress.stage("reading traces");
  const ChakraJob job = load_chakra({arguments.path, arguments.groups, arguments.alike.value_or(0)});
  RunSettings settings = command_settings(progress);
  set_engine(settings, arguments.engine);
  progress.stage("the traces");
  ChakraReplay replay =
      replay_chakra(job, scenario.value().cluster, chakra_prices(arguments, scenario.value().links.get()),
                    run_options(scenario.value(), environment, settings));
  progress.clear();
  replay.report.source = arguments.path;
  if (!arguments.trace.empty()) {
    write_text(arguments.trace,
               arguments.trace.ends_with(".json") ? chakra_chrome(job, replay) : chakra_perfetto(job, replay));
  }
  if (arguments.json != "-") show(chakra_text(replay.report, terminal_style(stdout)));
  if (!arguments.json.empty()) write_text(arguments.json, chakra_json(replay.report, version()));
}

struct ChakraWriteArguments {
  ScenarioArguments scenario;
  std::string folder, ranks = "replayed";
};

/// Which ranks are written: those replayed, all, or those listed.
std::vector<RankId> ranks_to_write(const std::string& text, const StepWriter& writer) {
  if (text == "replayed") return writer.replayed();
  std::vector<RankId> ranks;
  if (text == "all") {
    for (int rank = 0; rank < writer.ranks(); ++rank) ranks.push_back(RankId::at(rank));
    return ranks;
  }
  std::set<int> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const bool number = !word.empty() && word.size() < 9 && word.find_first_not_of("0123456789") == std::string::npos;
    if (!number || std::stoi(word) >= writer.ranks()) {
      throw InputError(
          option_fault("--ranks", "`" + word + "`",
                       fmt::format("replayed, all, or numbers of ranks from 0 to {}", writer.ranks() - 1)));
    }
    numbers.insert(std::stoi(word));
    begin = end + 1;
  }
  for (const int rank : numbers) ranks.push_back(RankId::at(rank));
  return ranks;
}

// Files that stay from before would be taken for ranks of this step.
void check_folder(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".et")
      throw InputError(option_fault("--to",
                                    fmt::format("{} has traces already ({})", folder, entry.path().filename().string()),
                                    "a folder without traces"));
  }
  const OutputOption output{"--to", folder + "/comm_group.json", false, true};
  check_outputs(std::span(&output, 1));
}

std::string host_note(Seconds wait) {
  if (wait <= Seconds(0)) return "";
  return fmt::format(
      " Compute nodes hold up to {} a rank in which the GPU waits for its host: with these links it is so long, with "
      "slower ones communication would take of it.",
      format_time(wait));
}

void write_traces(const ChakraWriteArguments& arguments) {
  check_folder(arguments.folder);
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario resolved = arguments.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  if (!scenario.training || scenario.rl)
    throw InputError(option_fault("FILE", "a scenario without `training`", "one with a step to write"));
  if (scenario.training->local.workers > 1)
    throw InputError(
        option_fault("training.local_updates", "several workers", "one: traces hold a step that all take"));
  check(resolved);
  ProgressLine progress;
  progress.stage("the step");
  const PreparedStep prepared = prepare_step(scenario, *scenario.training);
  StepWriter writer(*scenario.training, prepared.step, *prepared.topology, chakra_cluster_text(scenario.cluster));
  const std::vector<RankId> ranks = ranks_to_write(arguments.ranks, writer);
  const bool folded =
      prepared.step.ranks.size() < static_cast<std::size_t>(writer.ranks()) && ranks == writer.replayed();
  progress.stage("writing traces");
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const std::string text = writer.rank_file(ranks[i], folded);
    write_text_in_new_folder(fmt::format("{}/step.{}.et", arguments.folder, ranks[i].index()), text);
    bytes += text.size();
    progress.update(i + 1, ranks.size(), "ranks");
  }
  write_text_in_new_folder(arguments.folder + "/comm_group.json", writer.groups_json());
  Seconds host_wait;
  for (const RankId rank : ranks) host_wait = std::max(host_wait, writer.host_wait(rank));
  progress.clear();
  show(wrap(fmt::format("{} of {} ranks written to {}: step.RANK.et and comm_group.json, {}.{}", ranks.size(),
                        writer.ranks(), arguments.folder, format_bytes(Bytes(static_cast<double>(bytes))),
                        folded ? " The ranks left out do as those written; --ranks all writes them too, as ASTRA-sim "
                                 "needs them."
                               : "") +
                host_note(host_wait),
            terminal_style(stdout).width(), "") +
       "\n");
}

void add_write(Command& group) {
  group.add_command<ChakraWriteArguments>(
      "write", "Write a training step as execution traces, for ASTRA-sim and others",
      [](Command& command, ChakraWriteArguments& arguments) {
        arguments.scenario.add_to(command);
        command.option("--to", arguments.folder, "Folder for step.0.et, step.1.et, ... and comm_group.json")
            .value_name("DIR")
            .required();
        command
            .option("--ranks", arguments.ranks,
                    "replayed: one of each kind of ranks that do the same; all; or their numbers, 0,8,16")
            .value_name("RANKS")
            .show_default();
      },
      write_traces);
}

void add_replay(Command& group) {
  group.add_command<ChakraArguments>(
      "replay", "Replay execution traces on a cluster: time, exposed communication, contention",
      [](Command& command, ChakraArguments& arguments) {
        command
            .option("TRACES", arguments.path,
                    "A folder with NAME.0.et, NAME.1.et, ..., the beginning of their names, or one file")
            .required();
        command
            .option("--on", arguments.on,
                    "Cluster: a name from `flopcast list clusters`, a scenario, or a file with `cluster { ... }` alone")
            .names_of({"clusters", "scenarios"})
            .value_name("CLUSTER")
            .required();
        add_set_option(command, arguments.sets, "Override a field, e.g. cluster.nodes=2; may be repeated");
        command
            .option(
                "--groups", arguments.groups,
                "Communicators as ASTRA-sim has them, {\"1\": [0, 1]}; without it comm_group.json or NAME.json beside "
                "the traces")
            .value_name("FILE");
        command.option("--alike", arguments.alike, "One trace is run by this many ranks, all alike")
            .value_name("RANKS");
        command
            .option(
                "--times", arguments.times,
                "How long nodes take: recorded, roofline (of FLOP and bytes on the cluster's GPU), or auto: recorded "
                "where there is a time, else the roofline")
            .one_of({"auto", "recorded", "roofline"})
            .default_value("auto");
        command.option("--precision", arguments.precision, "Whose peak the roofline has")
            .one_of({"fp32", "bf16", "fp8", "fp4"})
            .default_value("bf16");
        command
            .option(
                "--links", arguments.links,
                "measured: NCCL's algorithms, launches and rates; full: rings at the links' full rate, as closed forms "
                "have it")
            .one_of({"measured", "full"})
            .default_value("measured");
        command
            .option("--engine", arguments.engine,
                    "How flows share links: shared (max-min fairly, in this process), simgrid (the same by SimGrid) or "
                    "ideal (not at all)")
            .one_of({"shared", "simgrid", "ideal"})
            .default_value("shared");
        add_json(command, arguments.json, "report");
        command
            .option(
                "--trace", arguments.trace,
                "Write the timeline for ui.perfetto.dev: in Perfetto's format, or in Chrome's where FILE ends in .json")
            .value_name("FILE");
        add_library_option(command, arguments.library_folders);
      },
      replay_traces);
}

}  // namespace

void add_chakra_command(Command& program) {
  Command chakra =
      program.add_group("chakra", "Execution traces in the field's exchange format (ASTRA-sim, STAGE, PyTorch)");
  add_replay(chakra);
  add_write(chakra);
}

}  // namespace flopcast
