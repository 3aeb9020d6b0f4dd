#include "analysis/runs/training/show/text_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/metric_paths.h"
#include "analysis/runs/parts/slow_parts.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/runs/training/show/goodput_text.h"
#include "analysis/runs/training/show/report_words.h"
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

using namespace report_words;

std::string section(const TextStyle& style, const std::string& title) {
  return fmt::format("\n{}\n", style.bold(title));
}

// Head.

std::string head(const TrainingReport& report, const TextStyle& style) {
  const Scenario& scenario = report.scenario;
  std::string out = style.bold(wrap(scenario.title, style.width(), "")) + "\n";
  out += style.dim(wrap(cluster_line(scenario.cluster), style.width(), "")) + "\n";
  out += style.dim(wrap(plan_line(*scenario.training), style.width(), "")) + "\n";
  if (const std::string slow = slow_parts_text(scenario); !slow.empty())
    out += style.bad(wrap("slow: " + slow, style.width(), "")) + "\n";
  out += "\n" + style.bold(wrap(headline(report), style.width(), "")) + "\n";
  if (const std::string range = range_line(report); !range.empty()) out += wrap(range, style.width(), "") + "\n";
  return out;
}

std::string published_section(const std::vector<Comparison>& comparisons, std::span<const Metric> metrics,
                              const TextStyle& style) {
  return comparisons.empty() ? "" : "\n" + published_text(comparisons, metrics, style);
}

// The step.

std::string share_bar(double share, int width) {
  const int eighths = static_cast<int>(std::lround(share * width * 8));
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

std::string kinds_section(const TrainingReport& report, const TextStyle& style) {
  TextTable table({Align::left, Align::left, Align::right, Align::right, Align::left});
  // Kind, meaning, time and share take the rest.
  const int whole_bar = std::min(40, static_cast<int>(style.width()) - 66);
  const auto add = [&](const std::string& kind, const std::string& meaning, Seconds time, bool bar) {
    if (time <= Seconds(0)) return;
    const double share = time / report.step_time;
    table.row({kind, meaning, fmt::format("{:.3f} s", time.value()), format_percent(share),
               bar && whole_bar > 4 ? share_bar(share, whole_bar) : ""});
  };
  const TimeParts& parts = report.mean.parts;
  add("1F", "forward alone", parts.forward, true);
  add("1B", "gradient of inputs", parts.backward_input, true);
  add("1W", "gradient of weights", parts.backward_weight, true);
  add("1F1B", "forward and backward overlapped", parts.overlapped, true);
  add("bubble", "waiting for other stages", parts.bubble, true);
  add("optimiser", "", parts.optimizer(), true);
  add("", "reducing gradients", parts.gradient_reduction, false);
  add("", "updating parameters", parts.optimizer_update, false);
  add("", "gathering parameters", parts.parameter_gather, false);
  std::string out = section(style, "Where the step goes") + table.render(style);
  const std::string remark = fmt::format("{}; they sum to the step. {}", whose_parts(report), waits_in_passes(report));
  out += style.dim("  " + wrap(remark, style.width() - 2, "  "));
  return out + "\n";
}

std::string ranks_section(const TrainingReport& report, const TextStyle& style) {
  const int bar = std::min(26, static_cast<int>(style.width()) / 5);
  const std::vector<RankMetrics> means = metrics_per_pipeline_rank(report);
  const bool hosts = waits_for_host(report);
  std::vector<Align> columns(hosts ? 7 : 6, Align::right);
  columns[1] = columns.back() = Align::left;
  TextTable table(columns);
  table.header(hosts ? std::vector<std::string>{"rank", "", "compute", "exposed", "host", "bubble", "holds"}
                     : std::vector<std::string>{"rank", "", "compute", "exposed", "bubble", "holds"});
  for (std::size_t p = 0; p < means.size(); ++p) {
    const RankMetrics& mean = means[p];
    const auto share = [&](Seconds time) { return time / report.step_time; };
    const double host = hosts ? share(mean.host) : 0;
    const double compute = share(mean.parts.passes() - mean.exposed_communication) - host;
    const double exposed = share(mean.exposed_communication), optimizer = share(mean.parts.optimizer());
    const double bubble = share(mean.parts.bubble);
    std::vector<std::string> row{
        fmt::format("{}", p), stacked_bar({compute, exposed, host, bubble, optimizer}, {"█", "▒", "░", "·", "▚"}, bar),
        format_percent(compute), format_percent(exposed)};
    if (hosts) row.push_back(format_percent(host));
    row.push_back(format_percent(bubble));
    row.push_back(rank_content(report, static_cast<int>(p)) +
                  (has_slow_part(report.scenario, static_cast<int>(p)) ? ", slow part" : ""));
    table.row(row);
  }
  return section(style, "Pipeline ranks") + table.render(style) +
         style.dim("  " +
                   wrap(fmt::format("█ computing  ▒ waiting for communication  {}· bubble  ▚ optimiser; D dense, M MoE "
                                    "layer",
                                    hosts ? "░ waiting for the host  " : ""),
                        style.width() - 2, "  ")) +
         "\n";
}

std::string links_line(const TrainingReport& report, const TextStyle& style) {
  if (report.busiest_links.empty()) return {};
  std::vector<std::string> links;
  for (const LinkLoad& load : report.busiest_links) {
    links.push_back(fmt::format("{} {}", load.name, format_percent(load.utilisation, 0)));
  }
  return "  " +
         wrap(fmt::format("busiest links, share of the step in use: {}", fmt::join(links, ", ")), style.width() - 2,
              "  ") +
         "\n";
}

std::string path_section(const TrainingReport& report, const TextStyle& style) {
  if (!report.path) {
    return section(style, "Critical path") + "  " +
           wrap("shown for folded runs only: it takes the times of all operations in memory", style.width() - 2, "  ") +
           "\n" + links_line(report, style);
  }
  const CriticalPath& path = *report.path;
  std::vector<std::string> shares;
  Seconds rest = path.length;
  const std::vector<CriticalPath::Share> named = shares_with_host(path, report.sources);
  for (const CriticalPath::Share& share : named) {
    if (shares.size() == 8) break;
    shares.push_back(fmt::format("{} {}", share.name, format_percent(share.time / path.length)));
    rest -= share.time;
  }
  if (named.size() > shares.size()) shares.push_back("rest " + format_percent(rest / path.length));
  std::vector<CriticalPath::Visit> visits = path.by_rank;
  std::stable_sort(visits.begin(), visits.end(), [](const auto& a, const auto& b) { return a.time > b.time; });
  std::vector<std::string> stays;
  for (std::size_t i = 0; i < std::min<std::size_t>(visits.size(), 5); ++i) {
    stays.push_back(
        fmt::format("rank {} ({})", visits[i].pipeline_rank, format_percent(visits[i].time / path.length, 0)));
  }
  std::string out = section(style, "Critical path");
  out += "  " +
         wrap(fmt::format("{} operations in a chain that changes rank {} times: {}",
                          format_integer(static_cast<double>(path.operations)), path.rank_changes,
                          fmt::join(shares, ", ")),
              style.width() - 2, "  ") +
         "\n";
  out += "  " + wrap(fmt::format("longest on {}", fmt::join(stays, ", ")), style.width() - 2, "  ") + "\n";
  return out + links_line(report, style);
}

// Projection.

std::string phase_text(const PhaseProjection& phase) {
  if (phase.given) return "given" + (phase.source.empty() ? "" : ": " + phase.source);
  return phase.scaled ? "scaled by FLOP" : "";
}

std::string phases_table(const Projection& projection, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"phase", "tokens", "step", "GPU-hours", "days", "cost", "energy", ""});
  const auto days = [](Seconds time) { return fmt::format("{:.2f}", in_days(time)); };
  for (const PhaseProjection& phase : projection.phases) {
    table.row({phase.name, phase.tokens > 0 ? format_count(phase.tokens) : "",
               phase.step_time > Seconds(0) ? format_time(phase.step_time) : "", format_integer(phase.gpu_hours),
               days(phase.time.total()), cost_cell(phase.cost), format_energy(phase.energy), phase_text(phase)});
  }
  if (projection.phases.size() > 1) {
    table.row({"together", "", "", format_integer(projection.gpu_hours), days(projection.elapsed),
               cost_cell(projection.cost), format_energy(projection.energy), ""});
  }
  return table.render(style);
}

// How the GPU-hours of the predicted phases come about.
std::string makeup_table(const Projection& projection, const TextStyle& style) {
  double steady = 0, ramp = 0, checkpoints = 0, lost = 0, restarts = 0, planned = 0, repairs = 0;
  for (const PhaseProjection& phase : projection.phases) {
    if (phase.given) continue;
    steady += in_hours(phase.time.steady) * phase.gpus;
    ramp += in_hours(phase.time.ramp) * phase.gpus;
    checkpoints += in_hours(phase.time.checkpoints) * phase.gpus;
    lost += in_hours(phase.time.lost_work) * phase.gpus;
    restarts += in_hours(phase.time.restarts) * phase.gpus;
    planned += in_hours(phase.time.planned) * phase.gpus;
    repairs += in_hours(phase.time.repair_waits) * phase.gpus;
  }
  TextTable table({Align::left, Align::right, Align::right});
  const auto add = [&](const std::string& what, double gpu_hours) {
    table.row({what, format_integer(gpu_hours), format_percent(gpu_hours / projection.predicted_gpu_hours, 2)});
  };
  add("all tokens at the final batch, undisturbed", steady);
  add("smaller batches of the ramp", ramp);
  add("writing checkpoints", checkpoints);
  add("work lost to interruptions", lost);
  add("restarting after them", restarts);
  if (planned > 0) add("planned standstill", planned);
  if (repairs > 0) add("waiting for repairs", repairs);
  return table.render(style);
}

std::string projection_section(const TrainingReport& report, const TextStyle& style) {
  if (!report.projection) return {};
  const Projection& projection = *report.projection;
  std::string out = section(style, "The whole run") + phases_table(projection, style);
  if (projection.predicted_gpu_hours > 0) {
    out += "\n" + style.dim("  GPU-hours of the predicted part") + "\n" + makeup_table(projection, style);
  }
  if (const std::string hours = hours_line(report); !hours.empty())
    out += "\n  " + wrap(hours, style.width() - 2, "  ") + "\n";
  if (projection.life) {
    out += "\n" +
           style.dim("  " + wrap("Failures and goodput: " + life_caption(*projection.life), style.width() - 2, "  ")) +
           "\n" + life_table(*projection.life, style);
  }
  return out;
}

// Small print.

std::string notes_section(const TextStyle& style, const std::string& title, const std::vector<std::string>& notes) {
  return notes.empty() ? "" : section(style, title) + bullets(notes, style);
}

std::string defaults_section(const Scenario& scenario, const TextStyle& style) {
  if (scenario.defaults_used.empty()) return {};
  const std::string list = fmt::format("{}", fmt::join(scenario.defaults_used, "; "));
  return section(style, "Defaults used") + style.dim("  " + wrap(list, style.width() - 2, "  ")) + "\n";
}

std::string foot(const TrainingReport& report, const TextStyle& style) {
  const std::string evidence = evidence_line(report.evidence);
  std::string out = "\n";
  if (!evidence.empty()) out += style.dim(wrap(evidence, style.width(), "")) + "\n";
  return out + style.dim(wrap(run_line(report.run), style.width(), "")) + "\n";
}

}  // namespace

std::string stacked_bar(const std::vector<double>& shares, const std::vector<std::string>& symbols, int width) {
  std::string bar;
  double sum = 0;
  int drawn = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    sum += shares[i];
    for (const int end = static_cast<int>(std::lround(sum * width)); drawn < end; ++drawn) bar += symbols[i];
  }
  return bar;
}

std::string memory_text(const MemoryTable& fullest, Bytes capacity, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::left});
  for (const MemoryRow& row : fullest.rows) {
    table.row({row.item, format_bytes(row.bytes), format_percent(row.bytes / capacity), row.detail});
  }
  table.row({"together", format_bytes(fullest.total()), format_percent(fullest.total() / capacity),
             fmt::format("of {}", format_bytes(capacity))});
  return section(style, fmt::format("Memory of the fullest GPU (pipeline rank {})", fullest.pipeline_rank)) +
         table.render(style);
}

std::string to_text(const TrainingReport& report, const TextStyle& style) {
  std::string out = head(report, style);
  out += published_section(report.comparisons, training_metrics(&report), style);
  out += kinds_section(report, style);
  out += ranks_section(report, style);
  out += path_section(report, style);
  out += memory_text(report.fullest_memory(), report.scenario.cluster.node.gpu.hbm_usable(), style);
  out += projection_section(report, style);
  out += notes_section(style, "Assumptions and notes", assumptions(report));
  out += defaults_section(report.scenario, style);
  return out + foot(report, style);
}

std::string to_text(const LifeReport& report, const TextStyle& style) {
  const Scenario& scenario = report.scenario;
  const Goodput& closed = report.life.closed;
  const int gpus = scenario.cluster.gpus();
  std::string out = style.bold(wrap(scenario.title, style.width(), "")) + "\n";
  out += style.dim(wrap(cluster_line(scenario.cluster), style.width(), "")) + "\n\n";
  out += style.bold(
             wrap(fmt::format("Of {}, {} are left for training: {} interruptions and checkpoints take {} GPU-hours.",
                              format_days(closed.elapsed()), format_percent(closed.effective()),
                              format_integer(closed.interruptions()),
                              format_count(in_hours(closed.elapsed() - closed.useful) * gpus)),
                  style.width(), "")) +
         "\n";
  out += published_section(report.comparisons, life_metrics(&report), style);
  out += section(style, "Where the time goes") +
         style.dim("  " + wrap(life_caption(report.life), style.width() - 2, "  ")) + "\n" +
         life_table(report.life, style);
  std::vector<std::string> notes = {habits_text(scenario.resilience, gpus)};
  if (!scenario.resilience.source.empty()) notes.push_back("sources: " + scenario.resilience.source);
  notes.insert(notes.end(), report.notes.begin(), report.notes.end());
  out += notes_section(style, "Assumptions and notes", notes);
  return out + defaults_section(scenario, style);
}

std::string to_text(const CollectiveReport& report, const TextStyle& style) {
  const Scenario& scenario = report.scenario;
  const CollectiveConfig& config = *scenario.collective;
  std::string out = style.bold(wrap(scenario.title, style.width(), "")) + "\n";
  out += style.dim(wrap(cluster_line(scenario.cluster), style.width(), "")) + "\n\n";
  out += style.bold(wrap(
             fmt::format("{} of {} over {} GPUs takes {}: {} on the bus.", config.operation, format_bytes(config.bytes),
                         format_integer(config.ranks), format_time(report.time), format_rate(report.bus_bandwidth)),
             style.width(), "")) +
         "\n";
  const std::vector<Metric> found = collective_metrics(&report);
  out += published_section(report.comparisons, found, style) + "\n";
  TextTable table({Align::left, Align::right, Align::left});
  const auto row = [&](std::string_view name, const std::string& remark) {
    const Metric& metric = *find_metric(found, name);
    table.row({metric.title, metric.shown(), remark});
  };
  row("collective.time_s", config.copies > 1 ? fmt::format("{} at once", config.copies) : "");
  if (report.range)
    table.row({"90 % range",
               fmt::format("{} to {}", format_time(Seconds(report.range->p5)), format_time(Seconds(report.range->p95))),
               "for the error of exchanges"});
  row("collective.port_bound_s", "how long it is busy, protocol costs included: a lower bound");
  if (report.closed_form_applies) {
    row("collective.closed_form_s",
        fmt::format("ports of {} at full rate ({}); the rest is {}", format_rate(report.port),
                    format_error(report.time / report.closed_form - 1),
                    report.run.contended_flows == 0 ? "protocol efficiency, latency and launches: no flow met another"
                                                    : "protocol efficiency, latency, launches and sharing links"));
  }
  row("collective.algorithm_bandwidth_bytes_per_s", "bytes over time");
  row("collective.bus_bandwidth_bytes_per_s", "comparable with a port's rate, whatever the collective");
  out += table.render(style) + "\n" + style.dim(wrap(run_line(report.run), style.width(), "")) + "\n";
  out += notes_section(style, "Notes", report.notes);
  return out;
}

}  // namespace flopcast
