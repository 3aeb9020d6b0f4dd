// `flopcast validate`: one table of predictions beside measurements and closed forms.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/evidence/validate/measured_models.h"
#include "analysis/evidence/validate/published_rl.h"
#include "analysis/evidence/validate/validate.h"
#include "analysis/evidence/validate/validate_memory.h"
#include "analysis/evidence/validate/validate_runs.h"
#include "analysis/face/environment_data.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

constexpr const char* kScenario = "deepseek_v3_2048_h800";

struct ValidateArguments {
  ResultFiles files;
  bool runs = false;
  bool without_rl = false;
  int workers = 0;
  std::vector<std::string> library_folders;
};

CsvTable read_table(const Libraries& libraries, const std::string& path_below_root) {
  const std::string file = required_file(libraries, path_below_root);
  return parse_csv(read_text_file(file), file);
}

/// What a part of the table found, and what it has to show beside it.
struct Part {
  std::vector<Check> checks;
  std::string text;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("checks", &Part::checks);
    field("text", &Part::text);
  }
};

/// In order, several at a time where there are workers for them.
std::vector<Part> work_out(const std::vector<std::function<Part()>>& parts, int workers) {
  if (workers > 1) return parallel_map<Part>(parts.size(), workers, [&](std::size_t i) { return parts[i](); });
  std::vector<Part> result;
  for (const std::function<Part()>& part : parts) result.push_back(part());
  return result;
}

void run_validate(const ValidateArguments& arguments) {
  arguments.files.check();
  const Environment environment = load_environment(arguments.library_folders);
  const Libraries& libraries = environment.data().libraries();
  const ResolvedScenario resolved = resolve(kScenario, environment);
  const Scenario& scenario = resolved.value();

  ProgressLine progress;
  ValidationInput input;
  input.libraries = &libraries;
  input.scenario = &scenario;
  input.published = read_table(libraries, "analysis/data/published.csv");
  input.misses = read_table(libraries, "analysis/data/misses.csv");
  input.options = study_options(scenario, environment, progress);
  const TextStyle style = terminal_style(stdout);
  std::vector<std::function<Part()>> parts{
      [&] {
        return Part{validate(input), ""};
      },
      [&] {
        const std::vector<MeasuredModelError> models = predict_measured_models(input);
        return Part{check_models(models), arguments.runs ? to_text(models, style) + "\n" : ""};
      },
      [&] {
        return Part{check_calibration_runs(libraries), ""};
      },
      [&] {
        const std::vector<RunError> runs = predict_published_runs(libraries, RunOptions{});  // three hundred short ones
        std::string text = arguments.runs ? to_text(runs, style) + "\n" + left_out_to_text(libraries, style) + "\n" +
                                                profiles_to_text(runs, style) + "\n"
                                          : "";
        return Part{summarise_published_runs(runs, libraries), std::move(text)};
      },
      [&] {
        const std::vector<PeakError> peaks = predict_published_peaks(libraries, RunOptions{});
        return Part{summarise_published_peaks(peaks), arguments.runs ? to_text(peaks, style) + "\n" : ""};
      }};
  if (!arguments.without_rl) parts.emplace_back([&] { return Part{check_rl(environment), ""}; });
  std::vector<Check> checks;
  std::string runs;
  for (Part& part : work_out(parts, workers_or_cores(arguments.workers))) {
    checks.insert(checks.end(), part.checks.begin(), part.checks.end());
    runs += part.text;
  }
  explain_misses(checks, input.misses);
  progress.clear();
  if (arguments.runs && !arguments.files.on_stdout()) show(runs);
  present(arguments.files, checks);
}

}  // namespace

void add_validate_command(Command& program) {
  program.add_command<ValidateArguments>(
      "validate", "Hold predictions against measurements, publications and closed forms",
      [](Command& command, ValidateArguments& arguments) {
        add_json(command, arguments.files.json, "table");
        add_page(command, arguments.files.html, "with the errors as pictures");
        command.flag("--runs", arguments.runs, "List every published training run, not only their summary");
        add_workers_option(command, arguments.workers, "Parts of the table");
        command.flag("--without-rl", arguments.without_rl,
                     "Leave the loops of reinforcement learning out: some seconds");
        add_library_option(command, arguments.library_folders);
      },
      run_validate);
}

}  // namespace flopcast
