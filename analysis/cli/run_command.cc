// `flopcast run`: replays one scenario and shows what it takes.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <set>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/run_options.h"
#include "analysis/cli/terminal.h"
#include "analysis/json.h"
#include "analysis/pipeline_picture.h"
#include "analysis/report_message.h"
#include "analysis/run.h"
#include "analysis/text_report.h"
#include "analysis/trace.h"

namespace flopcast {
namespace {

struct RunArguments {
  ScenarioArguments scenario;
  std::string json, trace, picture;
  std::vector<int> trace_gpus;
  std::string backend;
  bool allow_oom = false;
  bool unfolded = false;
};

// Shows a report: JSON where it is asked for, text on stdout unless the JSON goes there.
template <class AnyReport>
void present(const AnyReport& found, const std::string& json) {
  if (json != "-") fmt::print("{}", to_text(found, TextStyle(terminal_colours(stdout))));
  if (json.empty()) return;
  report::Report message = to_message(found);
  message.set_program(program_version());
  write_text(json, to_json(message));
}

// The trace of a run: a growing file and the sink that fills it.
class TraceFile {
 public:
  TraceFile(const std::string& path, std::set<int> gpus) : file_(path), gpus_(std::move(gpus)) {}

  std::unique_ptr<TimelineSink> sink(const TrainingStep& step) {
    auto sink =
        std::make_unique<ChromeTraceSink>(step, gpus_, [this](std::string_view text) { file_.append(text); });
    return std::make_unique<ClosingSink>(std::move(sink));
  }
  void commit() { file_.commit(); }

 private:
  // Ends the trace when the run lets go of its sinks.
  class ClosingSink final : public TimelineSink {
   public:
    explicit ClosingSink(std::unique_ptr<ChromeTraceSink> trace) : trace_(std::move(trace)) {}
    ~ClosingSink() override { trace_->close(); }
    void finished(const OperationGraph& graph, const OpSpan& span) override { trace_->finished(graph, span); }

   private:
    std::unique_ptr<ChromeTraceSink> trace_;
  };
  GrowingFile file_;
  std::set<int> gpus_;
};

// The picture of a run, drawn when the run lets go of its sinks.
class DrawingSink final : public TimelineSink {
 public:
  DrawingSink(const TrainingStep& step, std::string& svg) : picture_(step), svg_(svg) {}
  ~DrawingSink() override { svg_ = picture_.svg(); }
  void finished(const OperationGraph& graph, const OpSpan& span) override { picture_.finished(graph, span); }

 private:
  PipelinePictureSink picture_;
  std::string& svg_;
};

void run_training_scenario(const Scenario& scenario, const RunArguments& arguments, RunOptions options,
                           ProgressLine& progress) {
  std::optional<TraceFile> trace;
  if (!arguments.trace.empty()) {
    trace.emplace(arguments.trace, std::set<int>(arguments.trace_gpus.begin(), arguments.trace_gpus.end()));
    options.extra_sinks.push_back([&trace](const TrainingStep& step) { return trace->sink(step); });
  }
  std::string picture;
  if (!arguments.picture.empty()) {
    options.extra_sinks.push_back(
        [&picture](const TrainingStep& step) { return std::make_unique<DrawingSink>(step, picture); });
  }
  const TrainingReport report = run_training(scenario, options);
  progress.clear();
  if (trace) trace->commit();
  if (!arguments.picture.empty()) write_text(arguments.picture, picture);
  present(report, arguments.json);
}

void run(const RunArguments& arguments) {
  check_writable(arguments.json, "--json");
  check_writable(arguments.trace, "--trace");
  check_writable(arguments.picture, "--picture");
  const Libraries libraries = arguments.scenario.libraries();
  Scenario scenario = arguments.scenario.load(libraries);
  if (arguments.unfolded && scenario.training) scenario.training->unfolded = true;

  const InterruptGuard interrupt;
  ProgressLine progress;
  const RunOptions options =
      make_run_options(libraries, scenario.cluster, arguments.backend, arguments.allow_oom, progress);
  if (scenario.training) {
    run_training_scenario(scenario, arguments, options, progress);
  } else {
    const CollectiveReport report = run_collective(scenario, options);
    progress.clear();
    present(report, arguments.json);
  }
}

}  // namespace

void add_run_command(CLI::App& program) {
  CLI::App& command =
      *program.add_subcommand("run", "Replay a scenario: time, where it goes, GPU-hours, energy, cost");
  const auto arguments = std::make_shared<RunArguments>();
  arguments->scenario.add_to(command);
  command
      .add_option("--json", arguments->json, "Write the report as JSON (`-`: to stdout, instead of the text)")
      ->type_name("FILE");
  command
      .add_option("--trace", arguments->trace,
                  "Write the step's timeline for ui.perfetto.dev or chrome://tracing")
      ->type_name("FILE");
  command.add_option("--picture", arguments->picture, "Draw the step's pipeline, a row per rank, as SVG")
      ->type_name("FILE");
  command.add_option("--trace-ranks", arguments->trace_gpus, "Only these GPUs in the trace, e.g. 0,128,256")
      ->type_name("GPU,...")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  add_replay_options(command, arguments->backend, arguments->allow_oom);
  command.add_flag("--unfolded", arguments->unfolded,
                   "Replay every GPU, not one per group of identical ones");
  command.callback([arguments] { run(*arguments); });
}

}  // namespace flopcast
