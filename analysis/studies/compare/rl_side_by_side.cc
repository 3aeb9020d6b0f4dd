#include "analysis/studies/compare/rl_side_by_side.h"

#include <fmt/format.h>

#include "analysis/render/csv.h"
#include "analysis/render/format.h"
#include "analysis/runs/metrics.h"

namespace flopcast {
namespace {

/// Below the parts of the step.
constexpr const char* kShownMetrics[] = {"rl.tokens_per_s_per_gpu",
                                         "rl.written_tokens_per_s_per_gpu",
                                         "rl.gpu_busy",
                                         "rl.idle_tail",
                                         "rl.idle_waiting",
                                         "rl.idle_moving",
                                         "rl.idle_imbalance",
                                         "rl.staleness",
                                         "rl.memory.models_bytes",
                                         "rl.memory.update_bytes",
                                         "rl.gpus",
                                         "rl.run.gpu_hours",
                                         "rl.run.cost_usd"};

std::string beside(Seconds time, Seconds first) {
  if (first <= Seconds(0)) return format_time(time);
  return fmt::format("{} ({})", format_time(time), format_error(time / first - 1));
}

}  // namespace

std::vector<RlReport> run_side_by_side(std::span<const Scenario> scenarios, std::span<const RlOptions> options) {
  std::vector<RlReport> out;
  for (std::size_t i = 0; i < scenarios.size(); ++i) out.push_back(run_rl(scenarios[i], options[i]));
  return out;
}

std::string side_by_side_text(std::span<const RlReport> reports, const TextStyle& style) {
  std::vector<Align> columns{Align::left};
  std::vector<std::string> header{""};
  for (const RlReport& report : reports) {
    columns.push_back(Align::right);
    header.push_back(report.scenario.name);
  }
  TextTable table(columns);
  table.header(header);
  const auto row = [&](const std::string& what, const auto& cell) {
    std::vector<std::string> cells{what};
    for (const RlReport& report : reports) cells.push_back(cell(report));
    table.row(cells);
  };
  row("algorithm", [](const RlReport& r) { return std::string(r.rl().loop.algorithm->name); });
  row("step", [&](const RlReport& r) { return beside(r.step.length, reports.front().step.length); });
  for (std::size_t i = 0; i < kRlParts; ++i) {
    bool any = false;
    for (const RlReport& report : reports) any = any || report.step.parts[i] > Seconds(0);
    if (any)
      row("  " + std::string(name(static_cast<RlPart>(i))),
          [&](const RlReport& r) { return beside(r.step.parts[i], reports.front().step.parts[i]); });
  }
  std::vector<std::vector<Metric>> found;
  for (const RlReport& report : reports) found.push_back(metrics(report));
  for (const char* const shown : kShownMetrics) {
    const Metric* const first = find_metric(found.front(), shown);
    std::vector<std::string> cells{first->title};
    bool any = false;
    for (const std::vector<Metric>& of : found) {
      cells.push_back(find_metric(of, shown)->shown());
      any = any || !cells.back().empty();
    }
    if (any) table.row(cells);
  }
  return table.render(style);
}

std::string side_by_side_csv(std::span<const RlReport> reports) {
  std::string out = "name,unit";
  std::vector<std::vector<Metric>> found;
  for (const RlReport& report : reports) {
    out += "," + csv_cell(report.scenario.name);
    found.push_back(metrics(report));
  }
  out += "\n";
  for (std::size_t i = 0; i < found.front().size(); ++i) {
    if (found.front()[i].text == nullptr) continue;
    out += csv_cell(found.front()[i].name) + "," + csv_cell(found.front()[i].unit);
    for (const std::vector<Metric>& of : found) {
      const std::optional<double> number = of[i].number();
      out += number ? fmt::format(",{:.10g}", *number) : ",";
    }
    out += "\n";
  }
  return out;
}

}  // namespace flopcast
