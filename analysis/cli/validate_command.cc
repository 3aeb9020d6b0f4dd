// `flopcast validate`: one table of predictions beside measurements and closed forms.
#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

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
#include "sim/process.h"

namespace flopcast {
namespace {

constexpr const char* kScenario = "deepseek_v3_2048_h800";

struct ValidateArguments {
  std::string json, html;
  bool runs = false;
  bool without_rl = false;
  int workers = 0;
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

/// What a part of the table found, and what it has to show beside it.
struct Part {
  std::vector<Check> checks;
  std::string text;
};

/// For a process that this one is a copy of: functions are where they are here.
std::string packed(const Part& part) {
  report::Validation message = to_message(part.checks);
  message.set_program(part.text);
  std::string functions;
  for (std::size_t i = 0; i < part.checks.size(); ++i) {
    const Check& check = part.checks[i];
    message.mutable_checks(static_cast<int>(i))->set_why(check.why);  // also of what is not off
    functions.append(reinterpret_cast<const char*>(&check.text), sizeof check.text);
  }
  return message.SerializeAsString() + functions;
}

Part unpacked(const std::string& bytes, std::size_t count) {
  const std::size_t functions = bytes.size() - count * sizeof(Check::text);
  report::Validation message;
  message.ParseFromArray(bytes.data(), static_cast<int>(functions));
  Part part;
  part.text = message.program();
  for (const report::Check& item : message.checks()) {
    Check check;
    check.group = item.group();
    check.what = item.what();
    check.unit = item.unit();
    check.predicted = item.predicted();
    check.published = item.published();
    check.tolerance = item.tolerance();
    check.upper_bound = item.upper_bound();
    check.source = item.source();
    check.why = item.why();
    std::memcpy(&check.text, bytes.data() + functions + part.checks.size() * sizeof check.text, sizeof check.text);
    part.checks.push_back(std::move(check));
  }
  return part;
}

/// In order, several at a time where there are workers for them.
std::vector<Part> work_out(const std::vector<std::function<Part()>>& parts, int workers) {
  std::vector<Part> result;
  if (workers <= 1) {
    for (const std::function<Part()>& part : parts) result.push_back(part());
    return result;
  }
  const auto job = [&](std::size_t i) {
    const Part part = parts[i]();
    return fmt::format("{:08}", part.checks.size()) + packed(part);
  };
  for (const std::string& bytes : parallel_map(parts.size(), workers, job)) {
    result.push_back(unpacked(bytes.substr(8), std::stoul(bytes.substr(0, 8))));
  }
  return result;
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
  const TextStyle style = terminal_style(stdout);
  std::vector<std::function<Part()>> parts{
      [&] {
        return Part{validate(input), ""};
      },
      [&] {
        return Part{check_calibration_runs(libraries), ""};
      },
      [&] {
        const std::vector<RunError> runs = predict_published_runs(libraries, RunOptions{});  // three hundred short ones
        std::string text =
            arguments.runs ? to_text(runs, style) + "\n" + left_out_to_text(libraries, style) + "\n" : "";
        return Part{summarise_published_runs(runs, libraries), std::move(text)};
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
  if (arguments.runs && arguments.json != "-") show(runs);
  if (arguments.json != "-") show(to_text(checks, terminal_style(stdout)));
  if (!arguments.json.empty()) write_text(arguments.json, to_json(to_message(checks)));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(checks));
}

}  // namespace

void add_validate_command(Command& program) {
  program.add_command<ValidateArguments>(
      "validate", "Hold predictions against measurements, publications and closed forms",
      [](Command& command, ValidateArguments& arguments) {
        add_json(command, arguments.json, "table");
        add_page(command, arguments.html, "with the errors as pictures");
        command.flag("--runs", arguments.runs, "List every published training run, not only their summary");
        add_workers_option(command, arguments.workers, "Parts of the table");
        command.flag("--without-rl", arguments.without_rl,
                     "Leave the loops of reinforcement learning out: some seconds");
        add_library_option(command, arguments.library_folders);
      },
      run_validate);
}

}  // namespace flopcast
