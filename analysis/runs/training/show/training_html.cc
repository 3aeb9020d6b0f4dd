#include "analysis/runs/training/show/training_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/parts/page_parts.h"
#include "analysis/runs/parts/slow_parts.h"
#include "analysis/runs/training/show/goodput_text.h"
#include "analysis/runs/training/show/life_page.h"
#include "analysis/runs/training/show/report_words.h"
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

std::string percent_tick(double share) { return fmt::format("{:g}", 100 * share); }
std::string seconds_tick(double s) { return fmt::format("{:g}", s); }

// The step.

void add_head(const TrainingReport& r, std::span<const Metric> found, Page& page) {
  page.lead(report_words::cluster_line(r.scenario.cluster));
  page.lead(report_words::plan_line(*r.scenario.training));
  if (const std::string slow = slow_parts_text(r.scenario); !slow.empty()) page.lead("slow: " + slow);
  std::string said = report_words::headline(r);
  if (r.range)
    said += fmt::format(" In 90 % of the cases a step takes {} to {}.", format_time(Seconds(r.range->step_s.p5)),
                        format_time(Seconds(r.range->step_s.p95)));
  page.headline(said);
  std::vector<KeyFigure> figures;
  add_key_figure(found, "training.step_time_s", figures, "one step");
  add_key_figure(found, "training.mfu_bf16_causal", figures, "MFU, causal");
  add_key_figure(found, "training.tokens_per_day", figures, "tokens per day");
  add_key_figure(found, "projection.gpu_hours", figures, "GPU-hours, whole run");
  add_key_figure(found, "projection.days", figures, "days, whole run");
  if (r.projection && r.projection->cost > Usd(0))
    add_key_figure(found, "projection.cost_usd", figures, "cost, whole run");
  add_key_figure(found, "projection.energy_joules", figures, "energy, whole run");
  add_key_figure(found, "training.peak_memory_bytes", figures, "memory of the fullest GPU",
                 "of " + format_bytes(r.scenario.cluster.node.gpu.hbm_usable()));
  page.key_figures(figures);
}

void add_kinds(const TrainingReport& r, Page& page) {
  struct Kind {
    const char *name, *meaning;
    Seconds time;
    Tone tone;
  };
  const TimeParts& parts = r.mean.parts;
  const Kind kinds[] = {
      {"1F", "forward alone", parts.forward, Tone::forward},
      {"1B", "gradients of inputs", parts.backward_input, Tone::backward},
      {"1W", "gradients of weights", parts.backward_weight, Tone::weight},
      {"1F1B", "forward and backward overlapped", parts.overlapped, Tone::overlapped},
      {"bubble", "waiting for other stages", parts.bubble, Tone::bubble},
      {"optimiser", "reducing gradients", parts.gradient_reduction, Tone::communication},
      {"optimiser", "updating parameters", parts.optimizer_update, Tone::optimizer},
      {"optimiser", "gathering parameters", parts.parameter_gather, Tone::communication},
  };
  BarChart chart;
  chart.axis = "seconds of the step";
  chart.tick = seconds_tick;
  chart.table = {{"", "", "time", "share"}, {}, {Align::left, Align::left, Align::right, Align::right}};
  const Kind* largest = &kinds[0];
  Seconds start;
  for (const Kind& kind : kinds) {
    if (kind.time <= Seconds(0)) continue;
    if (kind.time > largest->time) largest = &kind;
    const std::string share = format_percent(kind.time / r.step_time);
    const std::string name = fmt::format("{}: {}", kind.name, kind.meaning);
    const std::string value = fmt::format("{}, {}", format_time(kind.time), share);
    // One after the other along the step, so that the rows read as one sum.
    chart.rows.push_back(
        {name, value, {{start.value(), (start + kind.time).value(), kind.tone, name + ", " + value}}, {}});
    chart.table.rows.push_back({kind.name, kind.meaning, fmt::format("{:.3f} s", kind.time.value()), share});
    start += kind.time;
  }
  chart.title = fmt::format("{} of the step is {}", format_percent(largest->time / r.step_time, 0), largest->meaning);
  chart.caption =
      fmt::format("{}; the parts sum to the step. {}", report_words::whose_parts(r), report_words::waits_in_passes(r));
  page.heading("Where the step goes");
  page.figure(drawing_of(chart));
}

void add_ranks(const TrainingReport& r, Page& page) {
  const std::vector<RankMetrics> means = report_words::metrics_per_pipeline_rank(r);
  StackedChart chart;
  const bool hosts = report_words::waits_for_host(r);
  chart.parts = {"computing", "waiting for communication", "bubble", "optimiser"};
  chart.tones = {Tone::forward, Tone::communication, Tone::bubble, Tone::optimizer};
  if (hosts) {
    chart.parts.push_back("waiting for the host");
    chart.tones.push_back(Tone::weight);
  }
  chart.axis = "% of the step";
  chart.rows_are = "pipeline rank";
  chart.text = [](double share) { return format_percent(share); };
  chart.tick = percent_tick;
  double least = 1, most = 0;
  for (std::size_t p = 0; p < means.size(); ++p) {
    const RankMetrics& mean = means[p];
    const auto share = [&](Seconds time) { return std::max(0.0, time / r.step_time); };
    const double compute = share(mean.parts.passes() - mean.exposed_communication - (hosts ? mean.host : Seconds(0)));
    least = std::min(least, compute), most = std::max(most, compute);
    const int rank = static_cast<int>(p);
    std::vector<double> parts{compute, share(mean.exposed_communication), share(mean.parts.bubble),
                              share(mean.parts.optimizer())};
    if (hosts) parts.push_back(share(mean.host));
    chart.bars.push_back({fmt::format("rank {} - {}{}", p, report_words::rank_content(r, rank),
                                      has_slow_part(r.scenario, rank) ? ", slow part" : ""),
                          std::move(parts),
                          {},
                          {},
                          "computing " + format_percent(compute)});
  }
  chart.title = means.size() < 2 ? fmt::format("The GPU computes {} of the step", format_percent(most, 0))
                                 : fmt::format("Ranks compute {} to {} of the step", format_percent(least, 0),
                                               format_percent(most, 0));
  chart.caption = "By pipeline rank, with the stages that it holds: D dense, M mixture-of-experts layers.";
  page.figure(drawing_of(chart));
}

void add_path(const TrainingReport& r, Page& page) {
  if (!r.path) return;
  const CriticalPath& path = *r.path;
  BarChart chart;
  chart.axis = "% of the path";
  chart.tick = percent_tick;
  chart.table = {
      {"operation", "time", "share", "how many"}, {}, {Align::left, Align::right, Align::right, Align::right}};
  constexpr std::size_t kShown = 10;
  const std::vector<std::string>& names = training_op_names();
  const std::vector<CriticalPath::Share> named = shares_with_host(path, r.sources);
  for (const CriticalPath::Share& share : named) {
    const double part = share.time / path.length;
    const auto name = std::find(names.begin(), names.end(), share.name) - names.begin();
    const Tone tone = name < std::ptrdiff_t(names.size()) ? tone_of(static_cast<OpName>(name)) : Tone::bubble;
    if (chart.rows.size() < kShown)
      chart.rows.push_back({share.name, format_percent(part), {{0, part, tone, share.name}}, {}});
    chart.table.rows.push_back({share.name, format_time(share.time), format_percent(part),
                                format_integer(static_cast<double>(share.operations))});
  }
  if (named.empty()) return;
  chart.title = fmt::format("The chain that decides the step is {} {}",
                            format_percent(named.front().time / path.length, 0), named.front().name);
  std::vector<CriticalPath::Visit> visits = path.by_rank;
  std::stable_sort(visits.begin(), visits.end(), [](const auto& a, const auto& b) { return a.time > b.time; });
  std::vector<std::string> stays;
  for (std::size_t i = 0; i < std::min<std::size_t>(visits.size(), 4); ++i)
    stays.push_back(
        fmt::format("rank {} ({})", visits[i].pipeline_rank, format_percent(visits[i].time / path.length, 0)));
  chart.caption = fmt::format(
      "{} operations, each the one that the next waited for; the chain changes rank {} times, longest on {}.",
      format_integer(static_cast<double>(path.operations)), path.rank_changes, fmt::join(stays, ", "));
  page.heading("Critical path");
  page.figure(drawing_of(chart));
}

// Memory, network.

void add_memory(const TrainingReport& r, Page& page) {
  const Bytes capacity = r.scenario.cluster.node.gpu.hbm_usable();
  std::vector<MemoryBar> bars;
  for (const MemoryTable& table : r.memory)
    bars.push_back({fmt::format("rank {}", table.pipeline_rank), &table, capacity});
  StackedChart chart = memory_chart(bars, "pipeline rank");
  const MemoryTable& fullest = r.fullest_memory();
  const bool unsure = r.range && r.range->fits < kSurelyFits;
  chart.title =
      fmt::format("{} the memory{}: {} of {} on rank {}",
                  fullest.total() > capacity ? "The plan does not fit into" : "The plan fits into",
                  fullest.total() <= capacity && unsure
                      ? fmt::format(" in {} of the draws of what it may be off by", format_percent(r.range->fits, 0))
                      : "",
                  format_bytes(fullest.total()), format_bytes(capacity), fullest.pipeline_rank);
  chart.caption = "Peak of a GPU of each pipeline rank.";
  page.heading("Memory");
  page.figure(drawing_of(chart));
  DataTable table{
      {"item", "bytes", "share", "how it comes about"}, {}, {Align::left, Align::right, Align::right, Align::left}};
  for (const MemoryRow& row : fullest.rows)
    table.rows.push_back({row.item, format_bytes(row.bytes), format_percent(row.bytes / capacity), row.detail});
  page.folded_table(fmt::format("The fullest GPU (rank {}), item by item", fullest.pipeline_rank), table);
}

/// "gpu1064 nic out" -> GPU and port; nothing where the link is no port of a GPU.
std::optional<std::pair<int, std::string>> port_of(const std::string& link) {
  if (!link.starts_with("gpu")) return std::nullopt;
  int gpu = 0;
  const auto [end, error] = std::from_chars(link.data() + 3, link.data() + link.size(), gpu);
  if (error != std::errc() || end == link.data() + link.size() || *end != ' ') return std::nullopt;
  return std::pair(gpu, std::string(end + 1, link.data() + link.size()));
}

void add_network(const TrainingReport& r, Page& page) {
  if (r.links.empty()) return;
  HeatChart chart;
  chart.rows_are = "port of a GPU";
  chart.columns_are = "pipeline rank";
  chart.text = [](double share) { return format_percent(share); };
  const std::size_t ranks = r.stages_of_rank.size();
  for (std::size_t p = 0; p < ranks; ++p) chart.columns.push_back(fmt::format("{}", p));
  std::map<std::string, std::vector<std::optional<double>>> ports;
  std::map<int, std::size_t> rank_of_gpu;
  for (const ReplayedRank& rank : r.ranks)
    rank_of_gpu[static_cast<int>(rank.gpu.index())] = static_cast<std::size_t>(rank.pipeline_rank);
  for (const LinkLoad& link : r.links) {
    const auto port = port_of(link.name);
    const auto rank = port ? rank_of_gpu.find(port->first) : rank_of_gpu.end();
    if (rank == rank_of_gpu.end()) continue;
    std::vector<std::optional<double>>& row = ports[port->second];
    row.resize(ranks);
    row[rank->second] = std::max(row[rank->second].value_or(0), link.utilisation);
  }
  for (const auto& [port, cells] : ports) {
    chart.rows.push_back(port == "nic out"      ? "NIC, out"
                         : port == "nic in"     ? "NIC, in"
                         : port == "nvlink out" ? "NVLink, out"
                         : port == "nvlink in"  ? "NVLink, in"
                                                : port);
    chart.cells.push_back(cells);
  }
  const LinkLoad& busiest = r.links.front();
  chart.title = fmt::format("The busiest link is in use {} of the step", format_percent(busiest.utilisation, 0));
  chart.caption = fmt::format(
      "Share of the step that a port is busy, the busiest GPU of each pipeline rank; bytes below the full rate count "
      "for "
      "the time they take. Busiest of all: {}.",
      busiest.name);
  page.heading("Network");
  if (!chart.rows.empty()) page.figure(drawing_of(chart));
  DataTable table{{"link", "bytes", "in use"}, {}, {Align::left, Align::right, Align::right}};
  for (std::size_t i = 0; i < std::min<std::size_t>(r.links.size(), 40); ++i)
    table.rows.push_back({r.links[i].name, format_bytes(r.links[i].bytes), format_percent(r.links[i].utilisation)});
  page.folded_table(fmt::format("The {} busiest of {} links in use", table.rows.size(), r.links.size()), table);
}

// The run.

void add_run(const TrainingReport& r, Page& page) {
  if (!r.projection) return;
  const Projection& projection = *r.projection;
  StackedChart chart;
  chart.parts = {"all tokens at the final batch",
                 "smaller batches of the ramp",
                 "checkpoints",
                 "work lost to failures",
                 "restarts",
                 "planned standstill",
                 "waiting for repairs",
                 "given"};
  chart.tones = {Tone::forward,       Tone::weight, Tone::optimizer, Tone::bad,
                 Tone::communication, Tone::fifth,  Tone::bubble,    Tone::eighth};
  chart.axis = "GPU-hours";
  chart.rows_are = "phase";
  chart.text = [](double hours) { return format_integer(hours); };
  chart.tick = [](double hours) { return hours == 0 ? "0" : format_count(hours); };
  DataTable table{
      {"phase", "tokens", "step", "GPU-hours", "days", "cost", "energy", ""},
      {},
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left}};
  for (const PhaseProjection& phase : projection.phases) {
    const auto hours = [&](Seconds time) { return in_hours(time) * phase.gpus; };
    const PhaseTime& t = phase.time;
    chart.bars.push_back(
        {phase.name,
         phase.given ? std::vector<double>{0, 0, 0, 0, 0, 0, 0, phase.gpu_hours}
                     : std::vector<double>{hours(t.steady), hours(t.ramp), hours(t.checkpoints), hours(t.lost_work),
                                           hours(t.restarts), hours(t.planned), hours(t.repair_waits), 0},
         report_words::cost_cell(phase.cost),
         {}});
    table.rows.push_back({phase.name, phase.tokens > 0 ? format_count(phase.tokens) : "",
                          phase.step_time > Seconds(0) ? format_time(phase.step_time) : "",
                          format_integer(phase.gpu_hours), fmt::format("{:.2f}", in_days(phase.time.total())),
                          report_words::cost_cell(phase.cost), format_energy(phase.energy),
                          phase.given    ? "given: " + phase.source
                          : phase.scaled ? "scaled by FLOP"
                                         : ""});
  }
  if (projection.phases.size() > 1) {
    table.rows.push_back({"together", "", "", format_integer(projection.gpu_hours),
                          fmt::format("{:.2f}", in_days(projection.elapsed)), report_words::cost_cell(projection.cost),
                          format_energy(projection.energy), ""});
  }
  chart.title = fmt::format("The run takes {} GPU-hours, {}{}", format_count(projection.gpu_hours),
                            format_days(projection.elapsed), report_words::and_cost(projection.cost));
  chart.caption = "Phase by phase, and what their GPU-hours are made of.";
  page.heading("The whole run");
  page.figure(drawing_of(chart));
  page.table(table.header, table.rows, table.align);
  if (const std::string hours = report_words::hours_line(r); !hours.empty()) page.note(hours);
  if (projection.life) add_life(*projection.life, r.scenario.cluster.gpus(), page);
}

void add_timeline(const StepPictures& pictures, Page& page) {
  if (!pictures.timeline || pictures.timeline->size() == 0) return;
  Drawing drawing;
  drawing.title =
      fmt::format("{} operations, each where it ran", format_integer(static_cast<double>(pictures.timeline->size())));
  drawing.caption =
      "A row per lane of a GPU: what computes, what moves bytes. Choose a GPU, zoom in, point at a block.";
  if (pictures.gpus_left_out > 0)
    drawing.caption +=
        fmt::format(" {} further GPUs are left out; `--trace` writes all of them.", pictures.gpus_left_out);
  drawing.after = pictures.timeline->html("Timeline of the step", pictures.timeline->rows() > 60 ? 10 : 14, "");
  page.heading("Timeline");
  page.figure(drawing);
  page.need_viewer();
}

void add_evidence(const TrainingReport& r, Page& page) {
  const EvidenceShare& e = r.evidence;
  const Seconds all = e.measured + e.fitted + e.roofline;
  page.heading("What it rests on");
  if (all > Seconds(0)) {
    StackedChart chart;
    chart.parts = {"measured tables", "fits to measurements", "rooflines, inferred"};
    chart.tones = {Tone::good, Tone::first, Tone::bad};
    chart.axis = "% of compute time";
    chart.text = [](double share) { return format_percent(share); };
    chart.tick = percent_tick;
    chart.bars = {{"compute time", {e.measured / all, e.fitted / all, e.roofline / all}, "", {}}};
    chart.title = fmt::format("{} of compute time rests on measurements or fits to them",
                              format_percent((e.measured + e.fitted) / all, 0));
    page.figure(drawing_of(chart));
  }
  if (const std::string range = report_words::range_line(r); !range.empty()) page.note(range);
  page.note(report_words::run_line(r.run));
}

void add_command(const Scenario& scenario, Page& page) {
  page.note("The same in a terminal: flopcast run " + scenario.name + " --html page.html");
}

}  // namespace

std::string to_html(const TrainingReport& r, const StepPictures& pictures) {
  const std::vector<Metric> found = training_metrics(&r);
  Page page(r.scenario.title);
  add_head(r, found, page);
  add_published(r.comparisons, found, page);
  if (pictures.pipeline) {
    page.heading("The pipeline");
    page.figure(drawing_of(*pictures.pipeline, r.mean.parts.bubble / r.step_time));
    page.need_viewer();
  }
  add_kinds(r, page);
  add_ranks(r, page);
  add_path(r, page);
  add_memory(r, page);
  add_run(r, page);
  add_network(r, page);
  add_timeline(pictures, page);
  add_evidence(r, page);
  add_small_print(report_words::assumptions(r), r.scenario.defaults_used, page);
  add_metrics(found, page);
  add_command(r.scenario, page);
  return page.str();
}

std::string to_html(const LifeReport& r) {
  const std::vector<Metric> found = life_metrics(&r);
  const Scenario& scenario = r.scenario;
  const Goodput& closed = r.life.closed;
  const int gpus = scenario.cluster.gpus();
  Page page(scenario.title);
  page.lead(report_words::cluster_line(scenario.cluster));
  page.headline(fmt::format("Of {}, {} are left for training: {} interruptions and checkpoints take {} GPU-hours.",
                            format_days(closed.elapsed()), format_percent(closed.effective()),
                            format_integer(closed.interruptions()),
                            format_count(in_hours(closed.elapsed() - closed.useful) * gpus)));
  add_published(r.comparisons, found, page);
  page.heading("Where the time goes");
  add_life(r.life, gpus, page);
  std::vector<std::string> notes = {habits_text(scenario.resilience, gpus)};
  if (!scenario.resilience.source.empty()) notes.push_back("sources: " + scenario.resilience.source);
  notes.insert(notes.end(), r.notes.begin(), r.notes.end());
  add_small_print(notes, scenario.defaults_used, page);
  add_metrics(found, page);
  add_command(scenario, page);
  return page.str();
}

std::string to_html(const CollectiveReport& r) {
  const std::vector<Metric> found = collective_metrics(&r);
  const Scenario& scenario = r.scenario;
  const CollectiveConfig& config = *scenario.collective;
  Page page(scenario.title);
  page.lead(report_words::cluster_line(scenario.cluster));
  page.headline(fmt::format("{} of {} over {} GPUs takes {}: {} on the bus.", config.operation,
                            format_bytes(config.bytes), format_integer(config.ranks), format_time(r.time),
                            format_rate(r.bus_bandwidth)));
  add_published(r.comparisons, found, page);
  BarChart chart;
  chart.axis = "ms";
  chart.tick = [](double s) { return fmt::format("{:g}", s * 1e3); };
  chart.table = {{"", "time"}, {}, {Align::left, Align::right}};
  const auto row = [&](const std::string& name, Seconds time, Tone tone) {
    chart.rows.push_back({name, format_time(time), {{0, time.value(), tone, name}}, {}});
    chart.table.rows.push_back({name, format_time(time)});
  };
  row("predicted", r.time, Tone::communication);
  row("the busiest link is busy: a lower bound", r.port_bound, Tone::bubble);
  if (r.closed_form_applies) {
    row(fmt::format("ports of {} at full rate, without latency", format_rate(r.port)), r.closed_form, Tone::bubble);
    chart.title =
        fmt::format("It takes {} longer than ports at full rate would", format_percent(r.time / r.closed_form - 1, 0));
  } else {
    chart.title = fmt::format("The busiest link is busy {} of the time", format_percent(r.port_bound / r.time, 0));
  }
  page.heading("Beside its bounds");
  page.figure(drawing_of(chart));
  std::vector<KeyFigure> figures;
  for (const char* name :
       {"collective.time_s", "collective.algorithm_bandwidth_bytes_per_s", "collective.bus_bandwidth_bytes_per_s"})
    add_key_figure(found, name, figures);
  page.key_figures(figures);
  page.note(report_words::run_line(r.run));
  add_small_print(r.notes, scenario.defaults_used, page);
  add_metrics(found, page);
  add_command(scenario, page);
  return page.str();
}

}  // namespace flopcast
