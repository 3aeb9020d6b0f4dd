#include "analysis/studies/compare/compare_output.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "scenarios/proto/policy_report.pb.h"

namespace flopcast {
namespace {

constexpr std::size_t kNameWidth = 17;
constexpr std::size_t kTitleWidth = 34;

// Table.

struct MetricRow {
  std::string name;
  std::function<std::string(const ComparedScenario&)> text;
};

std::string versus(double value, double reference) {
  return value == reference ? "1" : fmt::format("{:.3f}", value / reference);
}

std::string dollars(Usd value) { return value > Usd(0) ? fmt::format("${:.3f}", value.value()) : ""; }
std::string rate(double tokens_per_s) { return tokens_per_s > 0 ? format_integer(tokens_per_s) : ""; }
std::string latency(Seconds time) { return time > Seconds(0) ? format_time(time) : ""; }

std::vector<MetricRow> service_rows(const ComparedScenario& first) {
  using S = const ComparedScenario&;
  return {
      {"output tokens/s, per GPU", [](S s) { return rate(s.service->output_per_gpu); }},
      {"  against the first",
       [&first](S s) {
         const double own = s.service->output_per_gpu;
         return own > 0 ? versus(own, first.service->output_per_gpu) : "";
       }},
      {"output tokens/s, per GPU that answers", [](S s) { return rate(s.service->answers_per_gpu()); }},
      {"output tokens/s, per node", [](S s) { return rate(s.service->answers_per_node(s.gpus_per_node)); }},
      {"input tokens/s, per node", [](S s) { return rate(s.service->prompts_per_node(s.gpus_per_node)); }},
      {"time per output token", [](S s) { return latency(s.service->tpot); }},
      {"time to first token", [](S s) { return latency(s.service->ttft); }},
      {"answers under way, per GPU that answers",
       [](S s) { return fmt::format("{:.1f}", s.service->under_way_per_gpu); }},
      {"KV cache in use, mean", [](S s) { return format_percent(s.service->kv_share); }},
      {"attention, of an iteration",
       [](S s) { return s.service->attention_share > 0 ? format_percent(s.service->attention_share) : ""; }},
      {"within the promises",
       [](S s) { return s.service->promised ? format_percent(s.service->slo_attainment) : std::string(); }},
      {"state", [](S s) { return s.service->state; }},
      {"GPU-hours that answer, per 10^6 output tokens",
       [](S s) { return s.service->answer_rate > 0 ? fmt::format("{:.3f}", s.service->answer_hours()) : ""; }},
      {"$ per 10^6 output tokens", [](S s) { return dollars(s.service->per_million_output); }},
      {"$ per 10^6 computed input tokens", [](S s) { return dollars(s.service->per_million_input); }},
  };
}

std::optional<double> figure_of(const ComparedScenario& s, std::string_view name) {
  for (const LoopFigure& figure : s.loop) {
    if (figure.name == name) return figure.value;
  }
  return std::nullopt;
}

/// The step and its parts, then what is made of the GPUs.
std::vector<MetricRow> loop_rows() {
  using S = const ComparedScenario&;
  std::vector<MetricRow> rows;
  const auto row = [&](const char* title, const char* metric, std::string (*text)(double)) {
    rows.push_back({title, [metric, text](S s) {
                      const std::optional<double> value = figure_of(s, metric);
                      return value && *value > 0 ? text(*value) : std::string();
                    }});
  };
  const auto seconds = [](double v) { return format_time(Seconds(v)); };
  const auto share = [](double v) { return format_percent(v); };
  const auto plain = [](double v) { return fmt::format("{:.4g}", v); };
  const auto bytes = [](double v) { return format_bytes(Bytes(v)); };
  row("one step", "rl.step_time_s", seconds);
  row("  waiting for answers", "rl.generation_s", seconds);
  row("  waiting for rewards", "rl.reward_s", seconds);
  row("  handover", "rl.handover_s", seconds);
  row("  log-probabilities", "rl.log_probs_s", seconds);
  row("  reference", "rl.reference_s", seconds);
  row("  values", "rl.values_s", seconds);
  row("  reward model", "rl.reward_model_s", seconds);
  row("  teacher", "rl.teacher_s", seconds);
  row("  updates", "rl.update_s", seconds);
  row("  updates of the critic", "rl.critic_update_s", seconds);
  row("  host", "rl.host_s", seconds);
  row("  drain", "rl.drain_s", seconds);
  row("  weight synchronisation", "rl.sync_s", seconds);
  row("tokens/s per GPU", "rl.tokens_per_s_per_gpu", plain);
  row("written tokens/s per GPU", "rl.written_tokens_per_s_per_gpu", plain);
  row("GPUs at work", "rl.gpu_busy", share);
  row("idle: tail", "rl.idle_tail", share);
  row("idle: waiting", "rl.idle_waiting", share);
  row("idle: moving", "rl.idle_moving", share);
  row("idle: imbalance", "rl.idle_imbalance", share);
  row("idle: host", "rl.idle_host", share);
  row("staleness", "rl.staleness", plain);
  row("all models, once", "rl.memory.models_bytes", bytes);
  row("memory, update", "rl.memory.update_bytes", bytes);
  row("GPUs", "rl.gpus", plain);
  row("whole run, GPU-hours", "rl.run.gpu_hours", [](double v) { return format_count(v); });
  row("whole run, cost", "rl.run.cost_usd", [](double v) { return format_usd(Usd(v)); });
  return rows;
}

std::vector<MetricRow> metric_rows(const ComparedScenario& first) {
  using S = const ComparedScenario&;
  if (first.service) return service_rows(first);
  if (!first.loop.empty()) return loop_rows();
  return {
      {"one step", [](S s) { return format_time(s.step); }},
      {"MFU (causal, BF16)", [](S s) { return format_percent(s.mfu); }},
      {"bubble, of the step", [](S s) { return format_percent(s.bubble); }},
      {"exposed communication", [](S s) { return format_percent(s.exposed); }},
      {"fullest GPU", [](S s) { return format_bytes(s.memory) + (s.fits() ? "" : " (!)"); }},
      {"GPU-hours per 10^12 tokens", [](S s) { return format_integer(s.gpu_hours_per_trillion()); }},
      {"  against the first",
       [&first](S s) { return versus(s.gpu_hours_per_trillion(), first.gpu_hours_per_trillion()); }},
      {"whole run, GPU-hours", [](S s) { return s.run_gpu_hours ? format_count(*s.run_gpu_hours) : ""; }},
      {"whole run, cost", [](S s) { return s.run_cost ? format_usd(*s.run_cost) : ""; }},
      {"whole run, energy", [](S s) { return s.run_energy ? format_energy(*s.run_energy) : ""; }},
  };
}

/// Names of scenarios as column heads: short ones stand as they are, long ones are cut where they are alike.
std::vector<std::string> column_heads(const ScenarioComparison& c) {
  std::vector<std::string> names;
  for (const ComparedScenario& s : c.scenarios) names.push_back(s.name);
  return shorten_apart(names, kNameWidth);
}

std::string table_of(const ScenarioComparison& c, std::size_t begin, std::size_t end, const TextStyle& style) {
  std::vector<Align> columns{Align::left};
  std::vector<std::string> head{""};
  const std::vector<std::string> heads = column_heads(c);
  for (std::size_t i = begin; i < end; ++i) {
    columns.push_back(Align::right);
    head.push_back(heads[i]);
  }
  TextTable table(columns);
  table.header(head);
  for (const MetricRow& row : metric_rows(c.scenarios.front())) {
    std::vector<std::string> cells{row.name};
    for (std::size_t i = begin; i < end; ++i) cells.push_back(row.text(c.scenarios[i]));
    if (std::any_of(cells.begin() + 1, cells.end(), [](const std::string& cell) { return !cell.empty(); }))
      table.row(cells);
  }
  return table.render(style);
}

std::string tables(const ScenarioComparison& c, const TextStyle& style) {
  constexpr std::size_t kColumns = 4;
  std::string out;
  for (std::size_t begin = 0; begin < c.scenarios.size(); begin += kColumns) {
    out += (begin ? "\n" : "") + table_of(c, begin, std::min(begin + kColumns, c.scenarios.size()), style);
  }
  return out;
}

// Waterfall.

/// Decimals that leave five figures of the larger end.
int decimals(const Waterfall& w) {
  const double most = std::max(std::abs(w.start), std::abs(w.end));
  if (w.unit == "s") return 3;
  return most > 0 ? std::clamp(4 - static_cast<int>(std::floor(std::log10(most))), 0, 4) : 0;
}

std::string amount(double value, const Waterfall& w) {
  const int places = decimals(w);
  const std::string number = places == 0 ? format_integer(value) : fmt::format("{:.{}f}", value, places);
  return w.unit == "GPU-h" ? number : number + " " + w.unit;
}
std::string signed_amount(double value, const Waterfall& w) {
  return (value < 0 ? "-" : "+") + amount(std::abs(value), w);
}

/// Where a step of the waterfall lies between the smallest and the largest running total.
std::string bar(double from, double to, double low, double high) {
  constexpr int kCells = 12;
  if (high <= low) return "";
  const auto cell = [&](double value) {
    return std::clamp(static_cast<int>(std::lround((value - low) / (high - low) * kCells)), 0, kCells);
  };
  const int a = cell(std::min(from, to)), b = cell(std::max(from, to));
  const std::string mark = to >= from ? "+" : "-";
  std::string out(static_cast<std::size_t>(a), '.');
  for (int i = a; i < b; ++i) out += mark;
  return a == b ? out + "|" : out;
}

std::pair<double, double> range(const Waterfall& w) {
  double running = w.start, low = std::min(w.start, w.end), high = std::max(w.start, w.end);
  for (const CauseShare& cause : w.causes) {
    running += cause.forward;
    low = std::min(low, running);
    high = std::max(high, running);
  }
  return {low, high};
}

std::string changes_text(const Waterfall& w, const TextStyle& style) {
  std::string out;
  for (const CauseShare& cause : w.causes) {
    if (!cause.change.empty())
      out += style.dim("  " + wrap(fmt::format("{}: {}", cause.title, cause.change), style.width() - 4, "    ")) + "\n";
  }
  return out;
}

std::string waterfall_text(const ScenarioComparison& c, const Waterfall& w, const TextStyle& style) {
  const std::string from = c.scenarios[w.from].name, to = c.scenarios[w.to].name;
  std::string out = "\n" +
                    style.bold(wrap(fmt::format("From {} to {}: {} {} to {}", from, to, w.measure, amount(w.start, w),
                                                amount(w.end, w)),
                                    style.width(), "")) +
                    "\n";
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"cause", "in this order", "in reverse", "interaction", "alone", ""});
  const auto [low, high] = range(w);
  double running = w.start;
  for (const CauseShare& cause : w.causes) {
    table.row({shorten(cause.title, kTitleWidth), signed_amount(cause.forward, w), signed_amount(cause.reverse, w),
               signed_amount(cause.interaction(), w), signed_amount(cause.alone, w),
               bar(running, running + cause.forward, low, high)});
    running += cause.forward;
  }
  if (w.unexplained != 0) {
    const std::string rest = signed_amount(w.unexplained, w);
    table.row({"what no cause covers", rest, rest, "", "", ""});
  }
  const std::string total = signed_amount(w.end - w.start, w);
  table.row({"together", total, total, "", signed_amount(w.sum_alone(), w), ""});
  table.row({"interaction of all", "", "", "", signed_amount(w.interaction(), w), ""});
  out += table.render(style) + changes_text(w, style);
  for (const std::string& remark : w.remarks) out += "  " + wrap("- " + remark, style.width() - 4, "    ") + "\n";
  return out;
}

}  // namespace

std::string to_text(const ScenarioComparison& c, const TextStyle& style) {
  std::string out = c.title.empty() ? "" : style.bold(wrap(c.title, style.width(), "")) + "\n\n";
  out += tables(c, style);
  for (const ComparedScenario& s : c.scenarios) {
    for (const std::string& remark : s.remarks)
      out += "  " + wrap(fmt::format("- {}: {}", s.name, remark), style.width() - 4, "    ") + "\n";
  }
  for (const Waterfall& w : c.waterfalls) out += waterfall_text(c, w, style);
  if (!c.waterfalls.empty()) {
    out += "\n" +
           style.dim(wrap("Each cause is added to those above it; in reverse, to those below it; alone, to the "
                          "first scenario only. Interaction is what differs between the two orders.",
                          style.width(), "")) +
           "\n";
  }
  for (const std::string& note : c.notes) out += wrap("- " + note, style.width() - 2, "  ") + "\n";
  return out;
}

namespace {

/// A figure of a scenario, as CSV has it. What is not known is left out.
struct CsvFigure {
  const char *measure, *unit;
  std::optional<double> value;
};

/// What is 0 where it says nothing.
std::optional<double> unless_zero(double value) { return value > 0 ? std::optional(value) : std::nullopt; }

std::vector<CsvFigure> service_figures(const ComparedScenario& s) {
  const ServedFigures& f = *s.service;
  return {{"gpus", "1", s.gpus},
          {"output_tokens_per_s_per_gpu", "tokens/s", f.output_per_gpu},
          {"output_tokens_per_s_per_node", "tokens/s", unless_zero(f.answers_per_node(s.gpus_per_node))},
          {"input_tokens_per_s_per_node", "tokens/s", unless_zero(f.prompts_per_node(s.gpus_per_node))},
          {"tpot_s", "s", f.tpot.value()},
          {"ttft_s", "s", f.ttft.value()},
          {"requests_per_gpu", "1", f.under_way_per_gpu},
          {"kv_utilization", "1", f.kv_share},
          {"attention_share", "1", f.attention_share},
          {"slo_attainment", "1", f.promised ? std::optional(f.slo_attainment) : std::nullopt},
          {"gpu_hours_per_million_output_tokens", "GPU-h", f.answer_hours()},
          {"usd_per_million_output_tokens", "USD", unless_zero(f.per_million_output.value())},
          {"usd_per_million_input_tokens", "USD", unless_zero(f.per_million_input.value())}};
}

std::vector<CsvFigure> loop_figures(const ComparedScenario& s) {
  std::vector<CsvFigure> out;
  for (const LoopFigure& figure : s.loop) out.push_back({figure.name.c_str(), figure.unit.c_str(), figure.value});
  return out;
}

std::vector<CsvFigure> step_figures(const ComparedScenario& s) {
  std::optional<double> cost;
  if (s.run_cost) cost = s.run_cost->value();
  return {{"gpus", "1", s.gpus},
          {"tokens_per_step", "tokens", s.tokens_per_step},
          {"step_time_s", "s", s.step.value()},
          {"mfu_bf16_causal", "1", s.mfu},
          {"bubble_share", "1", s.bubble},
          {"exposed_communication_share", "1", s.exposed},
          {"memory_bytes", "B", s.memory.value()},
          {"fits", "1", s.fits() ? 1 : 0},
          {"gpu_hours_per_trillion_tokens", "GPU-h", s.gpu_hours_per_trillion()},
          {"run_gpu_hours", "GPU-h", s.run_gpu_hours},
          {"run_cost_usd", "USD", cost}};
}

}  // namespace

// One table: figures of the scenarios first, without a cause; then what each cause adds on the way from one to another.
std::string to_csv(const ScenarioComparison& c) {
  std::string out = csv_line({"scenario", "measure", "unit", "value", "from", "cause", "change", "forward", "reverse",
                              "alone", "interaction"});
  for (const ComparedScenario& s : c.scenarios) {
    for (const CsvFigure& f : s.service ? service_figures(s) : s.loop.empty() ? step_figures(s) : loop_figures(s)) {
      if (f.value && std::isfinite(*f.value))
        out += csv_line({s.name, f.measure, f.unit, shortest(*f.value), "", "", "", "", "", "", ""});
    }
    if (s.service) out += csv_line({s.name, "state", "", s.service->state, "", "", "", "", "", "", ""});
  }
  for (const Waterfall& w : c.waterfalls) {
    for (const CauseShare& cause : w.causes) {
      out += csv_line({c.scenarios[w.to].name, w.measure, w.unit, "", c.scenarios[w.from].name, cause.id, cause.change,
                       shortest(cause.forward), shortest(cause.reverse), shortest(cause.alone),
                       shortest(cause.interaction())});
    }
  }
  return out;
}

namespace {

void set_service(const ComparedScenario& s, report::ComparedService& out) {
  const ServedFigures& f = *s.service;
  out.set_output_tokens_per_s_per_gpu(f.output_per_gpu);
  out.set_output_tokens_per_s_per_node(f.answers_per_node(s.gpus_per_node));
  out.set_input_tokens_per_s_per_node(f.prompts_per_node(s.gpus_per_node));
  out.set_tpot_s(f.tpot.value());
  out.set_ttft_s(f.ttft.value());
  out.set_requests_per_gpu(f.under_way_per_gpu);
  out.set_kv_utilization(f.kv_share);
  out.set_attention_share(f.attention_share);
  if (f.promised) out.set_slo_attainment(f.slo_attainment);
  out.set_state(f.state);
  out.set_gpu_hours_per_million_output_tokens(f.answer_hours());
  out.set_usd_per_million_output_tokens(f.per_million_output.value());
  out.set_usd_per_million_input_tokens(f.per_million_input.value());
}

void set_step(const ComparedScenario& s, report::ComparedScenario& out) {
  out.set_tokens_per_step(s.tokens_per_step);
  out.set_step_time_s(s.step.value());
  out.set_mfu_bf16_causal(s.mfu);
  out.set_bubble_share(s.bubble);
  out.set_exposed_communication_share(s.exposed);
  out.set_memory_bytes(s.memory.value());
  out.set_memory_capacity_bytes(s.capacity.value());
  out.set_fits(s.fits());
  out.set_gpu_hours_per_trillion_tokens(s.gpu_hours_per_trillion());
  if (s.run_gpu_hours) {
    report::RunTotals& run = *out.add_run();
    run.set_gpu_hours(*s.run_gpu_hours);
    run.set_cost_usd(s.run_cost.value_or(Usd()).value());
    run.set_energy_j(s.run_energy.value_or(Joules()).value());
  }
}

void set_loop(const ComparedScenario& s, report::ComparedScenario& out) {
  out.set_tokens_per_step(s.tokens_per_step);
  out.set_step_time_s(s.step.value());
  out.set_memory_bytes(s.memory.value());
  out.set_memory_capacity_bytes(s.capacity.value());
  out.set_fits(s.fits());
  for (const LoopFigure& figure : s.loop) {
    report::ComparedFigure& entry = *out.add_loop();
    entry.set_name(figure.name);
    entry.set_unit(figure.unit);
    entry.set_value(figure.value);
  }
}

void set_scenario(const ComparedScenario& s, report::ComparedScenario& out) {
  out.set_name(s.name);
  out.set_title(s.title);
  out.set_hardware(s.hardware);
  out.set_gpus(s.gpus);
  if (s.service)
    set_service(s, *out.mutable_service());
  else if (!s.loop.empty())
    set_loop(s, out);
  else
    set_step(s, out);
  for (const std::string& remark : s.remarks) out.add_remarks(remark);
}

void set_cause(const CauseShare& cause, report::CauseShare& out) {
  out.set_id(cause.id);
  out.set_title(cause.title);
  out.set_change(cause.change);
  out.set_forward(cause.forward);
  out.set_reverse(cause.reverse);
  out.set_alone(cause.alone);
  out.set_mean(cause.mean());
  out.set_interaction(cause.interaction());
}

}  // namespace

report::ComparisonReport to_message(const ScenarioComparison& c) {
  report::ComparisonReport out;
  out.set_title(c.title);
  for (const ComparedScenario& s : c.scenarios) set_scenario(s, *out.add_scenarios());
  for (const Waterfall& w : c.waterfalls) {
    report::Waterfall& fall = *out.add_waterfalls();
    fall.set_from(c.scenarios[w.from].name);
    fall.set_to(c.scenarios[w.to].name);
    fall.set_measure(w.measure);
    fall.set_unit(w.unit);
    fall.set_start(w.start);
    fall.set_end(w.end);
    for (const CauseShare& cause : w.causes) set_cause(cause, *fall.add_causes());
    fall.set_sum_of_causes_alone(w.sum_alone());
    fall.set_interaction(w.interaction());
    fall.set_unexplained(w.unexplained);
    for (const std::string& remark : w.remarks) fall.add_remarks(remark);
  }
  for (const std::string& note : c.notes) out.add_notes(note);
  return out;
}

}  // namespace flopcast
