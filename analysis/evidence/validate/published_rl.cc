#include "analysis/evidence/validate/published_rl.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/face/environment_data.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/rl/rl_run.h"
#include "flopcast/scenario.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

std::vector<std::string> settings_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = std::min(text.find(';', from), text.size());
    if (to > from) out.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

Check predicted_row(const CsvTable& table, std::size_t row, const Environment& environment) {
  const ResolvedScenario resolved = resolve(table.text(row, "base"), environment, settings_of(table.text(row, "sets")));
  // Published figures of the scenario itself are those of the row.
  Scenario scenario = resolved.value();
  scenario.published.clear();
  RlOptions options;
  options.allow_oom = true;
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  const std::string& metric = table.text(row, "metric");
  options.project = metric.starts_with("rl.run.");
  const std::vector<Metric> found = metrics(run_rl(scenario, options));
  const Metric* const figure = find_metric(found, metric);
  const std::optional<double> number = figure ? figure->number() : std::nullopt;
  if (!number)
    throw InputError(Diagnostic{"", 0, 0, "metric", metric, "a number that reports of rl scenarios have", ""});
  Check check;
  check.group = table.text(row, "group");
  check.what = table.text(row, "what");
  check.predicted = *number;
  check.published = table.number(row, "value");
  if (figure->text != nullptr) check.write(figure->text);
  check.source = table.text(row, "source");
  check.why = table.text(row, "why");
  return check;
}

}  // namespace

std::vector<Check> check_rl(const Environment& environment) {
  const std::string file = required_file(environment.data().libraries(), "analysis/data/published_rl.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<Check> checks;
  std::vector<double> errors;
  const auto end_group = [&] {
    if (errors.size() > 2) {
      std::sort(errors.begin(), errors.end());
      Check median;
      median.group = checks.back().group;
      median.what = fmt::format("median of {}", errors.size());
      median.unit = "%";
      median.predicted = 100 * errors[errors.size() / 2];
      median.published = 25;
      median.upper_bound = true;
      median.source = "the rows above";
      median.why = checks.back().why;
      checks.push_back(std::move(median));
    }
    errors.clear();
  };
  for (std::size_t row = 0; row < table.size(); ++row) {
    if (!checks.empty() && checks.back().group != table.text(row, "group")) end_group();
    checks.push_back(predicted_row(table, row, environment));
    errors.push_back(std::abs(checks.back().error()));
  }
  end_group();
  return checks;
}

}  // namespace flopcast
