// `flopcast compare`: scenarios side by side, their difference attributed to causes.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/run.h"
#include "analysis/studies/compare/compare_html.h"
#include "analysis/studies/compare/compare_output.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/studies/study.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct CompareArguments {
  std::vector<std::string> scenarios, causes, sets, other_sets, library_folders;
  std::string measure;
  ResultFiles files;
  int workers = 0;
};

/// What is to stand side by side.
struct Line {
  std::string title;
  std::vector<Scenario> scenarios;
  std::vector<std::string> notes;
};

Line study_line(const Study& study, const CompareArguments& a, const Environment& environment) {
  Line line{study.title, {}, study.notes};
  for (const StudyMember& member : study.members) {
    std::vector<std::string> sets = member.sets;
    sets.insert(sets.end(), a.sets.begin(), a.sets.end());
    line.scenarios.push_back(resolve(member.scenario, environment, sets).value());
    line.scenarios.back().name = member.name;
  }
  return line;
}

Line line_of(const CompareArguments& a, const Environment& environment) {
  const Libraries& libraries = environment.data().libraries();
  if (a.scenarios.size() == 1) {
    const auto path = find_study(libraries, a.scenarios[0]);
    if (path && !a.other_sets.empty())
      throw InputError(
          Diagnostic{"", 0, 0, "--to", "a study", "one or more scenarios: members of a study state what differs", ""});
    if (path) return study_line(load_study(libraries, *path), a, environment);
  }
  Line line;
  std::vector<std::string> names = a.scenarios, sets = a.sets;
  if (names.size() == 1 && !a.other_sets.empty()) names.push_back(names.front());
  for (const std::string& name : names) {
    line.scenarios.push_back(resolve(name, environment, sets).value());
    Scenario& scenario = line.scenarios.back();
    if (line.scenarios.size() == 1) {
      sets.insert(sets.end(), a.other_sets.begin(), a.other_sets.end());
    } else if (scenario.name == line.scenarios.front().name) {
      scenario.name =
          a.other_sets.empty() ? scenario.name + ", again" : fmt::format("{}", fmt::join(a.other_sets, ", "));
      if (a.other_sets.empty() && name == names.front())
        line.notes.push_back(fmt::format(
            "{} stands beside itself: what --set changes it changes in both; --to PATH=VALUE changes all but the first",
            name));
    }
  }
  return line;
}

ScenarioComparison comparison_of(const CompareArguments& a, const Line& line, const CompareOptions& options,
                                 const Libraries& libraries) {
  if (!a.causes.empty() && line.scenarios.size() != 1) {
    throw InputError(Diagnostic{"", 0, 0, "--cause", fmt::format("{} scenarios", line.scenarios.size()),
                                "one scenario, in which the causes are turned on", ""});
  }
  if (!a.causes.empty() && !a.other_sets.empty())
    throw InputError(Diagnostic{"", 0, 0, "--to", "fields of another scenario", "either --to or --cause", ""});
  if (!a.causes.empty()) return compare(line.scenarios[0], causes_by_name(a.causes, line.scenarios[0]), options);
  if (line.scenarios.size() < 2) {
    throw InputError(Diagnostic{"", 0, 0, "", "one scenario",
                                fmt::format("two or more, or a study ({}), causes (--cause), or a change (--to)",
                                            fmt::join(study_names(libraries), ", ")),
                                ""});
  }
  return compare(line.scenarios, options);
}

void run_compare(const CompareArguments& a) {
  a.files.check();
  const Environment environment = load_environment(a.library_folders);
  const Line line = line_of(a, environment);
  ProgressLine progress;
  CompareOptions options;
  options.run = study_options(line.scenarios[0], environment, progress);
  options.workers = workers_or_cores(a.workers);
  for (const MeasureRow& row : measures()) {
    if (a.measure == row.id || (!row.metric.empty() && a.measure == row.metric)) options.measure = row.measure;
  }
  ScenarioComparison comparison = comparison_of(a, line, options, environment.data().libraries());
  comparison.title = line.title;
  comparison.notes.insert(comparison.notes.begin(), line.notes.begin(), line.notes.end());
  present(a.files, comparison);
}

std::vector<std::string> measure_ids() {
  std::vector<std::string> ids;
  for (const MeasureRow& row : measures()) ids.emplace_back(row.id);
  for (const MeasureRow& row : measures()) {
    if (!row.metric.empty()) ids.emplace_back(row.metric);
  }
  return ids;
}

std::vector<std::string> cause_ids() {
  std::vector<std::string> ids;
  for (const NamedCause& cause : named_causes()) ids.emplace_back(cause.id);
  return ids;
}

}  // namespace

void add_compare_command(Command& program) {
  program.add_command<CompareArguments>(
      "compare", "Scenarios side by side, and what makes the difference, cause by cause",
      [](Command& command, CompareArguments& a) {
        command
            .option("SCENARIO", a.scenarios,
                    "Two or more scenarios, or one study, or one scenario with --to or --cause")
            .required()
            .values(Values::scenarios);
        command
            .option("--cause", a.causes,
                    fmt::format("Turn this on in the one scenario: {}; may be repeated", fmt::join(cause_ids(), ", ")))
            .value_name("NAME")
            .repeated()
            .offers(cause_ids());
        command
            .option("--measure", a.measure,
                    "What the waterfall is of; absent: steps by time or GPU-hours, services by GPU-hours per output")
            .one_of(measure_ids());
        add_set_option(command, a.sets, "Override a field in all of them");
        command
            .option("--to", a.other_sets,
                    "Override a field in all but the first; of one scenario: in a copy that stands beside it")
            .value_name("PATH=VALUE")
            .repeated()
            .values(Values::assignments);
        add_workers_option(command, a.workers);
        a.files.add_to(command, "result", "with the waterfalls as pictures");
        add_library_option(command, a.library_folders);
      },
      run_compare);
}

}  // namespace flopcast
