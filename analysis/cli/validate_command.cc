// `flopcast validate`: one table of predictions beside measurements and closed forms.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/run_options.h"
#include "analysis/cli/standard_streams.h"
#include "analysis/cli/terminal.h"
#include "analysis/evidence/published_rl.h"
#include "analysis/evidence/validate.h"
#include "analysis/evidence/validate_runs.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/json.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/read/data_file.h"
#include "scenarios/read/text_file.h"

namespace flopcast {
namespace {

constexpr const char* kScenario = "deepseek_v3_2048_h800";

struct ValidateArguments {
  std::string json, html;
  bool runs = false;
  bool without_rl = false;
  std::vector<std::string> library_folders;
};

report::Validation to_message(const std::vector<Check>& checks) {
  report::Validation message;
  message.set_program(version());
  for (const Check& check : checks) {
    report::Check& item = *message.add_checks();
    item.set_group(check.group);
    item.set_what(check.what);
    item.set_unit(check.unit);
    item.set_predicted(check.predicted);
    item.set_published(check.published);
    if (check.published != 0) item.set_error(check.error());
    item.set_tolerance(check.tolerance);
    item.set_upper_bound(check.upper_bound);
    item.set_within(check.within());
    item.set_source(check.source);
    if (check.is_off()) item.set_why(check.why);
  }
  return message;
}

CsvTable read_table(const Libraries& libraries, const std::string& path_below_root) {
  const std::string file = required_file(libraries, path_below_root);
  return parse_csv(read_text_file(file), file);
}

void run_validate(const ValidateArguments& arguments) {
  const OutputOption outputs[] = {{"--json", arguments.json}, {"--html", arguments.html, false}};
  check_outputs(outputs);
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
  std::vector<Check> checks = validate(input);
  const auto append = [&](const std::vector<Check>& more) { checks.insert(checks.end(), more.begin(), more.end()); };
  append(check_calibration_runs(libraries));
  RunOptions quiet;  // some three hundred short replays
  const std::vector<RunError> runs = predict_published_runs(libraries, quiet);
  append(summarise_published_runs(runs, libraries));
  if (!arguments.without_rl) append(check_rl(environment));
  explain_misses(checks, input.misses);
  progress.clear();
  if (arguments.runs && arguments.json != "-") {
    const TextStyle style = terminal_style(stdout);
    show(to_text(runs, style) + "\n" + left_out_to_text(libraries, style) + "\n");
  }
  if (arguments.json != "-") show(to_text(checks, terminal_style(stdout)));
  if (!arguments.json.empty()) write_text(arguments.json, to_json(to_message(checks)));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(checks));
}

}  // namespace

void add_validate_command(Command& program) {
  program.add_command<ValidateArguments>(
      "validate", "Hold predictions against measurements, publications and closed forms",
      [](Command& command, ValidateArguments& arguments) {
        command.option("--json", arguments.json, "Write the table as JSON (`-`: to stdout, instead of the text)")
            .value_name("FILE");
        command.option("--html", arguments.html, "Write a page with the errors as pictures").value_name("FILE");
        command.flag("--runs", arguments.runs, "List every published training run, not only their summary");
        command.flag("--without-rl", arguments.without_rl,
                     "Leave the loops of reinforcement learning out: some seconds");
        add_library_option(command, arguments.library_folders);
      },
      run_validate);
}

}  // namespace flopcast
