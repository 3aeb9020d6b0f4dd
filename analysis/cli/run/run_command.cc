// `flopcast run`: replays one scenario and shows what it takes.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "analysis/app/report_page.h"
#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/run/resume_file.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/report_data.h"
#include "analysis/face/run.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metric_output.h"
#include "analysis/runs/rl/rl_trace.h"
#include "analysis/runs/serving/exchange/requests_csv.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/show/text_report.h"
#include "analysis/runs/training/timeline/perfetto_trace.h"
#include "analysis/runs/training/timeline/replayed_gpus.h"
#include "analysis/runs/training/timeline/trace.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/atomic_file.h"

namespace flopcast {
namespace {

struct RunArguments {
  ScenarioArguments scenario;
  std::string json, csv, trace, picture, requests, html, resume;
  std::vector<int> trace_gpus;
  std::string trace_window;
  std::string engine;
  bool allow_oom = false;
  bool unfolded = false;
};

// Shows a report: JSON and CSV where they are asked for, text on stdout unless one of them goes there.
void present(const Report& report, const RunArguments& arguments) {
  if (arguments.json != "-" && arguments.csv != "-")
    show(report.text(terminal_colours(stdout), static_cast<int>(terminal_style(stdout).width())));
  if (!arguments.csv.empty()) write_text(arguments.csv, to_csv(metrics(report)));
  if (!arguments.json.empty()) write_text(arguments.json, report.json());
}

// People who wait for a large trace should know that they could have a small one.
void hint_at_size(const std::set<int>& gpus, const TrainingStep& step, ProgressLine& progress) {
  constexpr std::size_t kLarge = 2'000'000;   // operations: the viewers take minutes over as many
  constexpr double kBytesPerOperation = 170;  // of JSON, arrows included
  if (!gpus.empty() || step.graph.size() < kLarge) return;
  progress.clear();
  remark(fmt::format(
      "the trace will hold some {:.0f} million operations, about {:.1f} GB; `--trace-ranks` shows chosen GPUs "
      "only",
      static_cast<double>(step.graph.size()) / 1e6, static_cast<double>(step.graph.size()) * kBytesPerOperation / 1e9));
}

// The trace of a run: a file and the sink that fills it.
class TraceFile {
 public:
  TraceFile(const std::string& path, TraceChoice choice)
      : path_(path), file_(path), chrome_(path.ends_with(".json")), choice_(std::move(choice)) {}

  std::unique_ptr<TimelineSink> sink(const TrainingStep& step, ProgressLine& progress) {
    check_replayed(std::vector<int>(choice_.gpus.begin(), choice_.gpus.end()), step, "--trace-ranks");
    if (!choice_.window) hint_at_size(choice_.gpus, step, progress);
    return std::make_unique<ClosingSink>(*this, step);
  }
  void commit() {
    if (failure_) std::rethrow_exception(failure_);
    if (choice_.window && shown_ == 0) {
      throw InputError(option_fault("--trace-window",
                                    fmt::format("{} to {}, in which nothing runs", format_time(choice_.window->first),
                                                format_time(choice_.window->second)),
                                    "a part of the step, which takes " + format_time(end_)));
    }
    file_.commit();
    note("wrote " + path_);
  }

 private:
  // Ends the trace when the run lets go of its sinks; what goes wrong then is reported by commit().
  class ClosingSink final : public TimelineSink {
   public:
    ClosingSink(TraceFile& trace, const TrainingStep& step) : owner_(trace) {
      const auto write = [&trace](std::string_view text) { trace.file_.write(text); };
      if (trace.chrome_)
        chrome_.emplace(step, trace.choice_.gpus, write);
      else
        perfetto_.emplace(step, trace.choice_, write);
    }
    ~ClosingSink() override {
      try {
        if (chrome_) chrome_->close();
        if (perfetto_) perfetto_->close();
      } catch (...) {
        owner_.failure_ = std::current_exception();
      }
    }
    void finished(const OperationGraph& graph, const OpSpan& span) override {
      owner_.end_ = std::max(owner_.end_, span.end);
      if (!owner_.choice_.shows(span.start, span.end)) return;
      ++owner_.shown_;
      if (chrome_) chrome_->finished(graph, span);
      if (perfetto_) perfetto_->finished(graph, span);
    }

   private:
    TraceFile& owner_;
    std::optional<ChromeTraceSink> chrome_;
    std::optional<PerfettoTraceSink> perfetto_;
  };
  std::string path_;
  AtomicFile file_;
  bool chrome_;
  TraceChoice choice_;
  std::size_t shown_ = 0;  // operations in the window
  Seconds end_;            // of the step
  std::exception_ptr failure_;
};

TraceChoice trace_choice(const RunArguments& arguments) {
  TraceChoice choice;
  choice.gpus = std::set<int>(arguments.trace_gpus.begin(), arguments.trace_gpus.end());
  if (!arguments.trace_window.empty()) choice.window = parse_window(arguments.trace_window);
  return choice;
}

// What a run writes beside its report.
class SideOutputs {
 public:
  SideOutputs(const RunArguments& arguments, const Scenario& scenario, ProgressLine& progress)
      : arguments_(arguments), progress_(progress) {
    if (!arguments.trace.empty() && scenario.training) step_trace_.emplace(arguments.trace, trace_choice(arguments));
    if (!arguments.requests.empty()) requests_.emplace(arguments.requests, scenario.serving->class_names);
  }

  RunHooks hooks() {
    RunHooks hooks;
    if (step_trace_)
      hooks.sinks.push_back([this](const TrainingStep& step) { return step_trace_->sink(step, progress_); });
    if (!arguments_.picture.empty() || !arguments_.html.empty()) show_step(hooks, shown_, !arguments_.html.empty());
    hooks.on_result = [this](const Request& request, const RequestResult& result) {
      if (requests_) requests_->add(result);
      if (!arguments_.trace.empty()) request_trace_.add(request, result);
    };
    return hooks;
  }

  void write(const Report& report) {
    if (step_trace_) step_trace_->commit();
    if (!arguments_.picture.empty()) write_text(arguments_.picture, picture_svg(shown_.pipeline));
    if (requests_) requests_->commit();
    if (!arguments_.html.empty()) write_text(arguments_.html, to_html(report.data(), shown_));
    if (arguments_.trace.empty()) return;
    const bool chrome = arguments_.trace.ends_with(".json");
    if (const auto* const loop = std::get_if<RlReport>(&report.data().report))
      write_text(arguments_.trace, chrome ? chrome_trace(*loop) : perfetto_trace(*loop));
    if (const auto* const served = std::get_if<ServingReport>(&report.data().report))
      write_text(arguments_.trace, chrome ? request_trace_.json(*served) : request_trace_.perfetto(*served));
  }

 private:
  const RunArguments& arguments_;
  ProgressLine& progress_;
  std::optional<TraceFile> step_trace_;
  StepShown shown_;
  std::optional<RequestsCsv> requests_;
  ServingTrace request_trace_;
};

void check_output_options(const RunArguments& arguments) {
  const OutputOption outputs[] = {{"--json", arguments.json},           {"--csv", arguments.csv},
                                  {"--trace", arguments.trace, false},  {"--requests", arguments.requests, false},
                                  {"--html", arguments.html, false},    {"--picture", arguments.picture, false},
                                  {"--resume", arguments.resume, false}};
  check_outputs(outputs, {arguments.scenario.file});
  if (!arguments.trace_gpus.empty() && arguments.trace.empty())
    throw InputError(option_fault("--trace-ranks", "no --trace", "both: it chooses what the trace shows"));
  if (!arguments.trace_window.empty() && arguments.trace.empty())
    throw InputError(option_fault("--trace-window", "no --trace", "both: it chooses what the trace shows"));
}

// What a kind of scenario has not, and options that would do nothing there, are refused before hours of replay.
void check_fitting_options(const Scenario& scenario, const RunArguments& arguments) {
  if (scenario.training) trace_choice(arguments);
  struct Needed {
    const char* option;
    bool given, fits;
    const char* found;
    const char* expected;
  };
  const bool steps = scenario.training.has_value();
  const bool flows = steps || scenario.collective || scenario.rl;
  const char* const no_step = "a scenario without `training`";
  const Needed needs[] = {
      {"--trace-window", !arguments.trace_window.empty(), steps, no_step, "one with a step to show"},
      {"--trace-ranks", !arguments.trace_gpus.empty(), steps, no_step, "one with a step to show"},
      {"--picture", !arguments.picture.empty(), steps, no_step, "one with a step to show"},
      {"--requests", !arguments.requests.empty(), scenario.serving != nullptr, "a scenario without `serving`",
       "one with requests"},
      {"--trace", !arguments.trace.empty(), steps || scenario.serving || scenario.rl,
       "a scenario without `training`, `serving` or `rl`", "one with something that takes place over time"},
      {"--unfolded", arguments.unfolded, steps, no_step, "one whose GPUs are replayed in groups of identical ones"},
      {"--engine", arguments.engine != kDefaultEngine, flows, "a scenario without `training`, `rl` or `collective`",
       "one whose flows are replayed"},
      {"--resume", !arguments.resume.empty(), scenario.serving != nullptr, "a scenario without `serving`",
       "one with requests: others take seconds"},
  };
  std::vector<Diagnostic> faults;
  for (const Needed& need : needs)
    if (need.given && !need.fits) faults.push_back(option_fault(need.option, need.found, need.expected));
  // What is told of single requests is not in the state that a run goes on from.
  for (const auto& [option, path] : {std::pair("--requests", arguments.requests), {"--trace", arguments.trace}})
    if (!arguments.resume.empty() && !path.empty())
      faults.push_back(option_fault("--resume", std::string("also ") + option,
                                    "one of them: requests that left before a kill are not told of again"));
  if (!faults.empty()) throw InputError(std::move(faults));
}

void run_scenario(const RunArguments& arguments) {
  check_output_options(arguments);
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario scenario = arguments.scenario.load(environment);
  check_fitting_options(scenario.value(), arguments);

  ProgressLine progress;
  RunSettings settings = command_settings(progress);
  set_engine(settings, arguments.engine);
  settings.allow_oom = arguments.allow_oom;
  settings.unfolded = arguments.unfolded;
  settings.threads = 0;
  SideOutputs outputs(arguments, scenario.value(), progress);
  RunHooks hooks = outputs.hooks();
  std::optional<ResumeFile> resume;
  if (!arguments.resume.empty()) {
    resume.emplace(arguments.resume, run_digest(scenario, arguments.scenario.sets, environment));
    hooks.keeper = resume->keeper();
  }
  const Report report = run(scenario, environment, settings, hooks);
  progress.clear();
  outputs.write(report);
  present(report, arguments);
  if (resume) resume->remove();
}

std::string fault_of_gpu_index(const std::string& text) {
  const bool number = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
  return number ? "" : "`" + text + "` is not the number of a GPU, counted from 0";
}

}  // namespace

void add_run_command(Command& program) {
  program.add_command<RunArguments>(
      "run", "Replay a scenario: time, where it goes, GPU-hours, energy, cost",
      [](Command& command, RunArguments& arguments) {
        arguments.scenario.add_to(command);
        add_json(command, arguments.json, "report");
        command
            .option("--csv", arguments.csv,
                    "Write the metrics as CSV, a row each: name, value, unit, meaning (`-`: to stdout, instead of the "
                    "text)")
            .value_name("FILE");
        command
            .option(
                "--trace", arguments.trace,
                "Write the timeline for ui.perfetto.dev: in Perfetto's format, or in Chrome's where FILE ends in .json")
            .value_name("FILE");
        command.option("--requests", arguments.requests, "Write a line per request of a serving scenario, as CSV")
            .value_name("FILE");
        command
            .option("--html", arguments.html,
                    "Write a page to look at: what was found, where the time goes, the timeline; one file, no network")
            .value_name("FILE");
        command
            .option("--resume", arguments.resume,
                    "Keep how far a serving scenario is in FILE every few seconds, and go on from there when it is "
                    "run again after a kill or Ctrl-C; FILE goes when the run is done")
            .value_name("FILE");
        command.option("--picture", arguments.picture, "Draw the step's pipeline, a row per rank, as SVG")
            .value_name("FILE");
        command.option("--trace-ranks", arguments.trace_gpus, "Only these GPUs in the trace, e.g. 0,128,256")
            .value_name("GPU,...")
            .separated_by(',')
            .check(fault_of_gpu_index);
        command
            .option("--trace-window", arguments.trace_window,
                    "Only what runs between these times of the step in the trace, e.g. 1.5s..2s")
            .value_name("FROM..TO");
        add_replay_options(command, arguments.engine, arguments.allow_oom);
        command.flag("--unfolded", arguments.unfolded, "Replay every GPU, not one per group of identical ones");
      },
      run_scenario);
}

}  // namespace flopcast
