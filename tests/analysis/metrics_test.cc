// Has every figure of a report one name everywhere, and does a figure without a value say why?
#include "analysis/runs/metrics.h"

#include <google/protobuf/descriptor.h>

#include <limits>
#include <set>

#include "analysis/money/study/cost_metrics.h"
#include "analysis/render/text/csv.h"
#include "analysis/runs/metric_output.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/parts/page_parts.h"
#include "analysis/runs/parts/published.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/training_message.h"
#include "analysis/runs/training/training_metrics.h"
#include "analysis/studies/compare/compare.h"
#include "scenarios/proto/cost_report.pb.h"
#include "sim/base/diagnostic.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using testing::contents;

// Paths of all single values of a message; of lists only those whose entries are metrics.
void list_values(const Descriptor& type, const std::string& prefix, const std::set<std::string>& lists,
                 std::set<std::string>& paths) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = prefix + field.name();
    if (field.message_type() == nullptr) {
      if (!field.is_repeated()) paths.insert(path);
    } else if (!field.is_repeated()) {
      list_values(*field.message_type(), path + ".", lists, paths);
    } else if (lists.contains(path)) {
      list_values(*field.message_type(), path + "[NAME].", lists, paths);
    }
  }
}

std::set<std::string> names_of(const std::vector<MetricKind>& kinds) {
  std::set<std::string> names;
  for (const MetricKind& kind : kinds) {
    for (const Metric& metric : kind.metrics) names.insert(metric.name);
  }
  return names;
}

TEST_CASE("every single value of the JSON reports is a metric, and every metric is one", "[metrics]") {
  std::set<std::string> fields;
  list_values(*report::Report::descriptor(), "", {"projection.phases", "serving.pools", "serving.streams"}, fields);
  for (const char* label : {"program", "projection.phases[NAME].name", "projection.phases[NAME].source",
                            "serving.pools[NAME].name", "serving.streams[NAME].name"})
    CHECK(fields.erase(label) == 1);
  CHECK(names_of(metric_kinds()) == fields);
}

TEST_CASE("every sum of a cost report is a metric, and every metric is one", "[metrics]") {
  std::set<std::string> fields;
  list_values(*report::CostReport::descriptor(), "", {"phases", "models"}, fields);
  for (const char* label : {"program", "phases[NAME].name", "phases[NAME].source", "models[NAME].model"})
    CHECK(fields.erase(label) == 1);
  std::erase_if(fields, [](const std::string& path) { return path.starts_with("models[NAME].uncertainty."); });
  const std::vector<MetricKind> kinds = all_metric_kinds();
  CHECK(names_of({kinds.back()}) == fields);
}

TEST_CASE("a row says its unit, its meaning and how a number is written", "[metrics]") {
  const std::set<std::string> units = {"1",         "count",     "text",    "yes/no",   "s",          "h",
                                       "days",      "tokens",    "bytes",   "J",        "USD",        "USD/h",
                                       "USD/day",   "TFLOPS",    "bytes/s", "tokens/s", "tokens/day", "requests/s",
                                       "answers/s", "GPU-hours", "W"};
  for (const MetricKind& kind : all_metric_kinds()) {
    for (const Metric& metric : kind.metrics) {
      INFO(metric.name);
      CHECK(units.contains(metric.unit));
      CHECK_FALSE(metric.title.empty());
      CHECK_FALSE(metric.meaning.empty());
      CHECK((metric.text == nullptr) == (metric.unit == "text" || metric.unit == "yes/no"));
    }
  }
}

TEST_CASE("what compare measures goes by metrics' names", "[metrics]") {
  for (const MeasureRow& row : measures()) {
    INFO(row.id);
    if (!row.metric.empty()) CHECK(describe_metric(row.metric).has_value());
  }
}

LifeReport small_life() {
  LifeReport report;
  report.scenario.name = "life";
  report.life.closed.useful = hours(90);
  report.life.closed.restarts = hours(10);
  return report;
}

TEST_CASE("metrics: values by name, absent ones with the reason, none that is not finite", "[metrics]") {
  LifeReport report = small_life();
  report.life.closed.failures = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Metric> found = metrics(report);
  CHECK(find_metric(found, "life.closed_form.effective_training_time")->number() == 0.9);
  CHECK(find_metric(found, "life.closed_form.effective_training_time")->shown() == "90.00 %");
  CHECK(find_metric(found, "scenario.name")->shown() == "life");
  CHECK(std::get<Absent>(find_metric(found, "life.closed_form.unexpected_interruptions")->value).reason ==
        "not a finite number");
  CHECK_FALSE(std::get<Absent>(find_metric(found, "life.replayed.elapsed_hours.p95")->value).reason.empty());
  CHECK(find_metric(found, "life.closed_form.nonsense") == nullptr);
}

TrainingReport two_phases() {
  TrainingReport report;
  report.memory.emplace_back();
  report.projection.emplace();
  for (const char* name : {"v1.0 run", "v1.0 run", "last"}) {
    PhaseProjection phase;
    phase.name = name;
    phase.gpus = 1;
    phase.gpu_hours = static_cast<double>(report.projection->phases.size());
    report.projection->phases.push_back(phase);
  }
  return report;
}

TEST_CASE("entries of lists go by name or by place; a name that is not the only one goes by place", "[metrics]") {
  const TrainingReport report = two_phases();
  const std::vector<Metric> found = metrics(report);
  CHECK(find_metric(found, "projection.phases[last].gpu_hours")->number() == 2.0);
  CHECK(find_metric(found, "projection.phases[2].gpu_hours")->number() == 2.0);
  CHECK(find_metric(found, "projection.phases[1].gpu_hours")->number() == 1.0);
  CHECK(find_metric(found, "projection.phases[v1.0 run].gpu_hours") == nullptr);
  CHECK(find_metric(found, "projection.phases[3].gpu_hours") == nullptr);
  const report::Report message = to_message(report);
  REQUIRE(message.projection().phases_size() == 3);
  CHECK(message.projection().phases(2).gpu_hours() == 2);
  CHECK(message.projection().phases(2).name() == "last");
}

TEST_CASE("what is published may be of any number; others are refused with the nearest name", "[metrics]") {
  Scenario scenario;
  scenario.cluster_life.emplace();
  scenario.published = {{"life.closed_form.lost_work_hours", 1, ""}, {"scenario.gpus", 8, ""}};
  CHECK_NOTHROW(check_published(scenario));
  scenario.published = {{"life.closed_form.lost_work_hour", 1, ""}};
  CHECK_THROWS_WITH(check_published(scenario), ContainsSubstring("life.closed_form.lost_work_hours"));
  scenario.published = {{"training.step_time_s", 1, ""}};  // of another kind
  CHECK_THROWS_AS(check_published(scenario), InputError);
}

TEST_CASE("a run without a price has no dollars, which are not $0", "[metrics]") {
  const Scenario scenario = resolve_text(R"(title: "no price"
cluster { node: "hgx-h100" nodes: 1 fabric: "rail-ft2" }
model: "llama-2-7b"
training { plan { tensor: 2 data: 4 } schedule: "1f1b" batch { sequences: 8 sequence_length: 1024 } }
run { phase { name: "all" tokens: "1 B" } })",
                                         "free.textproto", testing::environment())
                                .value();
  RunOptions options;
  options.allow_oom = true;
  TrainingReport report = run_training(scenario, options);
  const std::vector<Metric> free = training_metrics(&report);
  CHECK_FALSE(find_metric(free, "projection.cost_usd")->number());
  report.projection->cost = Usd(5);
  const std::vector<Metric> paid = training_metrics(&report);
  CHECK(find_metric(paid, "projection.cost_usd")->number() == 5.0);
}

TEST_CASE("a published figure without a counterpart is a note that says why", "[metrics]") {
  LifeReport report = small_life();
  report.scenario.published = {{"life.replayed.interruptions.median", 466, "a paper"},
                               {"life.closed_form.useful_hours", 100, "a paper"}};
  compare_with_published(
      report.scenario, [&] { return life_metrics(&report); }, report.comparisons, report.notes);
  REQUIRE(report.comparisons.size() == 1);
  CHECK(report.comparisons.front().predicted == 90);
  REQUIRE(report.notes.size() == 1);
  CHECK_THAT(report.notes.front(), ContainsSubstring("no replays were asked for"));
}

TEST_CASE("an input that comes back and a bound that is kept are no predictions that were right", "[metrics]") {
  LifeReport report = small_life();
  const auto published = [](double value, PublishedKind kind) {
    return Scenario::Published{"life.closed_form.useful_hours", value, "a paper", kind};
  };
  report.scenario.published = {published(100, PublishedKind::value), published(90, PublishedKind::input),
                               published(80, PublishedKind::at_least), published(80, PublishedKind::at_most)};
  compare_with_published(
      report.scenario, [&] { return life_metrics(&report); }, report.comparisons, report.notes);  // 90 are predicted
  std::vector<std::string> verdicts;
  for (const Comparison& c : report.comparisons) verdicts.push_back(c.verdict());
  CHECK(verdicts == std::vector<std::string>{"-10.0 %", "an input", "at least this: kept", "at most this: missed"});
  const report::Report message = to_message(report);
  REQUIRE(message.published_size() == 4);
  CHECK((message.published(0).has_error() && !message.published(0).has_kind()));
  CHECK((message.published(1).kind() == "input" && !message.published(1).has_error()));
  CHECK((message.published(2).kept() && message.published(3).has_kept() && !message.published(3).kept()));
  Page page("life");
  add_published(report.comparisons, life_metrics(&report), page);
  CHECK_THAT(page.str(), ContainsSubstring("10.0 %"));  // the one prediction alone makes the title
  CHECK_THAT(page.str(), ContainsSubstring("is no prediction"));
}

TEST_CASE("metrics as CSV: words that a spreadsheet would run are harmless, numbers stay numbers", "[metrics]") {
  LifeReport report = small_life();
  report.scenario.name = "=HYPERLINK(\"x\")";
  report.scenario.title = "-2+3, said \"Bob\"";
  const CsvTable table = parse_csv(to_csv(metrics(report)), "metrics.csv");
  CHECK(table.text(0, "name") == "scenario.name");
  CHECK(table.text(0, "value").starts_with("'="));
  CHECK(table.text(1, "value").starts_with("'-"));
  CHECK(csv_line({"-0.5", "-1e-3", "+1", "@x", "", "-"}) == "-0.5,-1e-3,'+1,'@x,,'-\n");
}

TEST_CASE("flopcast run --csv: the same numbers as --json, for every kind of scenario", "[metrics][program]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/chat.textproto";
  std::ofstream(file) << testing::kChat;
  const testing::Outcome csv = testing::flopcast("run " + file + " --csv -");
  INFO(csv.err);
  REQUIRE(csv.code == 0);
  const CsvTable table = parse_csv(csv.out, "out.csv");
  std::set<std::string> names;
  for (std::size_t row = 0; row < table.size(); ++row) names.insert(table.text(row, "name"));
  CHECK(names.size() == table.size());
  CHECK(names.contains("serving.streams[chat].ttft_s.p90"));
  CHECK(names.contains("cost.usd_per_million_output_tokens"));
  const testing::Outcome both = testing::flopcast("run " + file + " --csv - --json -");
  CHECK(both.code == 2);
  CHECK_THAT(both.err, ContainsSubstring("one output on stdout"));
}

TEST_CASE("docs/metrics.md is what the table says", "[metrics]") {
  CHECK(contents(testing::source_dir() + "/docs/metrics.md") == metric_reference_markdown(all_metric_kinds()));
}

}  // namespace
}  // namespace flopcast
