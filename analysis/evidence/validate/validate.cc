#include "analysis/evidence/validate/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/evidence/published/published_collectives.h"
#include "analysis/evidence/published/published_kernels.h"
#include "analysis/money/sums/published_costs.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/runs/training/training_metrics.h"
#include "hwmodels/kernels/calibration.h"
#include "scenarios/proto/report.pb.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/expert_collective.h"
#include "workloads/schedules/schedule_timing.h"
#include "workloads/training/prices/phases.h"

namespace flopcast {
namespace {

// Figures without a bar of their own are marked from here on.
constexpr double kFarOff = 0.10;

// A prediction beside the row of published.csv with that id. @throws InputError when there is none.
Check against_published(const CsvTable& published, const std::string& id, double predicted) {
  for (std::size_t row = 0; row < published.size(); ++row) {
    if (published.text(row, "id") != id) continue;
    Check check;
    check.group = published.text(row, "group");
    check.what = published.text(row, "what");
    check.unit = published.text(row, "unit");
    check.predicted = predicted;
    check.published = published.number(row, "value");
    check.tolerance = published.number(row, "tolerance");
    check.source = published.text(row, "source");
    return check;
  }
  Diagnostic diagnostic;
  diagnostic.found = "no published value called `" + id + "`";
  throw InputError(diagnostic);
}

// Collectives.

// GPUs with one port each on one ideal switch, nothing lost, no latency: what closed forms speak of.
ClusterSpec bare_switch(int gpus, BytesPerSecond port) {
  ClusterSpec cluster;
  cluster.nodes = gpus;
  cluster.node.gpus = 1;
  cluster.node.gpu.name = cluster.node.name = cluster.fabric.name = "bare";
  cluster.node.nic_bandwidth = cluster.node.nvlink_bandwidth = port;
  cluster.node.nic_efficiency = cluster.node.nvlink_efficiency = 1;  // ideal ports, as in what is compared with
  cluster.fabric.kind = FabricKind::single_switch;
  cluster.fabric.port_bandwidth = port;
  cluster.fabric.switch_ports = gpus;
  return cluster;
}

Seconds collective_time(const char* operation, Bytes bytes, int ranks, int copies, BytesPerSecond port,
                        const RunOptions& options) {
  Scenario scenario;
  scenario.cluster = bare_switch(ranks, port);
  scenario.collective = CollectiveConfig{operation, bytes, ranks, copies};
  return run_collective(scenario, options).time;
}

Check closed_form_check(const char* operation, int ranks, int copies, const RunOptions& options) {
  constexpr Bytes kBytes = 64_MiB;
  constexpr BytesPerSecond kPort = 50_GBps;
  const CollectiveRow& row = *find_collective(operation);
  Check check;
  check.group = "collectives";
  check.what = fmt::format("{} of 64 MiB, {} ranks{}", operation, ranks, copies > 1 ? ", two per port" : "");
  check.unit = "ms";
  check.predicted = collective_time(operation, kBytes, ranks, copies, kPort, options).value() * 1e3;
  check.published = copies * row.closed_form_time(ranks, kBytes, kPort).value() * 1e3;
  check.tolerance = 0.02;
  check.source = fmt::format("closed form {} on ports of 50 GB/s", row.closed_form);
  return check;
}

// DeepEP's own benchmark: 4,096 tokens per GPU, 8 of 256 experts within 4 of the nodes, 24 SMs.
constexpr int kDeepEpTokens = 4096;
constexpr int kDeepEpSms = 24;

RoutingRequest deepep_routing(int ranks, Bytes bytes_per_token) {
  RoutingRequest routing;
  routing.ranks = ranks;
  routing.experts = 256;
  routing.experts_per_token = 8;
  routing.groups = ranks / routing.ranks_per_node;
  routing.groups_per_token = std::min(routing.groups, 4);
  routing.tokens_per_rank = kDeepEpTokens;
  routing.bytes_per_token = bytes_per_token;
  return routing;
}

// Bandwidth as DeepEP states it: what is sent, to the sender's own node (one node: its own rank) too, over
// the time of the kernel. A token is 7,168 numbers: FP8 with an FP32 scale per 128 in a dispatch, BF16 in a
// combine.
double deepep_bandwidth(const NodeSpec& node, const LinkCalibration& links, ExpertOp op, int ranks) {
  const Bytes token = op == ExpertOp::dispatch ? 7392_B : 14336_B;
  const RoutingRequest routing = deepep_routing(ranks, token);
  ExpertSetting setting;
  setting.nic = node.nics_of_gpu();
  setting.nvlink = node.nvlink_bandwidth;
  setting.nodes = routing.groups;
  setting.op = op;
  setting.sms = kDeepEpSms;
  const Seconds time = expert_time(setting, expert_traffic(routing)[0], links).transmit;
  const double copies = routing.groups > 1 ? expected_nodes(routing) : expected_ranks(routing);
  return kDeepEpTokens * copies * token / time / 1_GBps;
}

// Phases.

// A rank's share of a micro-batch in the profiled layer: its tokens, and as many copies of tokens for its
// experts as balanced routing sends it.
LayerShape profiled_layer(const TrainingConfig& config) {
  LayerShape shape;
  shape.tokens = config.batch.micro_batch_sequences * config.batch.sequence_length;
  shape.sequence_length = config.batch.sequence_length;
  shape.moe = true;
  shape.expert_rows = static_cast<double>(shape.tokens) * config.model.moe.experts_per_token;
  shape.local_experts = config.model.moe.experts / config.plan.expert;
  return shape;
}

struct ProfiledPhase {
  const char* id;
  Phase phase;
};
constexpr ProfiledPhase kProfiledPhases[] = {
    {"attention_forward", Phase::attention_forward},
    {"mlp_forward", Phase::mlp_forward},
    {"mlp_backward", Phase::mlp_backward},
    {"mlp_weight", Phase::mlp_weight},
    {"attention_backward", Phase::attention_backward},
    {"attention_weight", Phase::attention_weight},
};

// Schedules.

Check bubble_check(const char* name, int ranks, int micro_batches, const PassDurations& times) {
  const ScheduleRow& row = *find_schedule(name);
  const ScheduleRequest request{ranks, micro_batches, 1};
  const Schedule schedule = row.build(request);
  const ScheduleTiming timing = time_schedule(schedule, times);
  Check check;
  check.group = "schedules";
  check.what = fmt::format("{} bubble, {} ranks, {} micro-batches", name, ranks, micro_batches);
  check.unit = std::string("s");
  check.predicted = timing.bubble(0).value();
  check.published = row.closed_form_bubble(request, times).value();
  check.tolerance = 1e-9;
  check.source = fmt::format("closed form {}", row.bubble);
  return check;
}

// Step.

// Bars of the figures that have one; the others are shown beside the published ones.
double bar_of(const std::string& field) {
  for (const char* barred : {"training.step_time_s", "training.tokens_per_day", "projection.gpu_hours",
                             "projection.cost_usd", "projection.phases[0].gpu_hours"}) {
    if (field == barred) return 0.07;
  }
  return 0;
}

void append(std::vector<Check>& all, std::vector<Check> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// The number under which a source is listed, counted from 1; new ones come at the end.
std::size_t number_of(std::vector<std::string>& sources, const std::string& source) {
  const auto found = std::find(sources.begin(), sources.end(), source);
  if (found != sources.end()) return static_cast<std::size_t>(found - sources.begin()) + 1;
  sources.push_back(source);
  return sources.size();
}

std::string number_with_unit(double value, const std::string& unit) {
  const double size = std::abs(value);
  const int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  const std::string number = decimals == 0 ? format_integer(value) : fmt::format("{:.{}f}", value, decimals);
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

}  // namespace

std::string predicted_text(const Check& check) {
  return check.predicted_text.empty() ? number_with_unit(check.predicted, check.unit) : check.predicted_text;
}

std::string published_text(const Check& check) {
  return check.published_text.empty() ? number_with_unit(check.published, check.unit) : check.published_text;
}

bool Check::within() const {
  if (upper_bound) return predicted <= published;
  return tolerance <= 0 || std::abs(error()) <= tolerance;
}

bool Check::is_off() const {
  if (published == 0) return false;  // a figure of its own, beside nothing
  return has_bar() ? !within() : std::abs(error()) > kFarOff;
}

namespace {

// Errors on held-back rows beside the bars that every fit has.
void append_held_back(std::vector<Check>& checks, const char* group, const std::vector<HeldBackError>& fits) {
  for (const HeldBackError& errors : fits) {
    if (errors.held_back == 0) continue;
    Check check;
    check.group = group;
    check.source = fmt::format("{} points held back", format_integer(errors.held_back));
    check.unit = std::string("%");
    check.upper_bound = true;
    const auto add = [&](const char* what, double error, double bar) {
      check.what = fmt::format("{}: {}", errors.table, what);
      check.predicted = 100 * error;
      check.published = 100 * bar;
      checks.push_back(check);
    };
    add("median error", errors.median, 0.07);
    add("90th percentile", errors.percentile_90, 0.15);
  }
}

/// Three digits of per cent leave no room for a decimal.
std::string error_text(double error) {
  return std::abs(error) < 1 ? format_error(error) : fmt::format("{:+.0f} %", 100 * error);
}

}  // namespace

void explain_misses(std::vector<Check>& checks, const CsvTable& misses) {
  for (Check& check : checks) {
    for (std::size_t row = 0; row < misses.size(); ++row) {
      const bool same = misses.text(row, "what") == check.what && check.source.starts_with(misses.text(row, "source"));
      if (same && check.is_off()) check.why = misses.text(row, "why");
    }
  }
}

std::vector<Check> check_held_back(const ValidationInput& input) {
  std::vector<Check> checks;
  append_held_back(checks, "kernels, points not fitted on", input.scenario->kernels->pooled);
  return checks;
}

std::vector<Check> check_kernels(const ValidationInput& input) {
  std::vector<Check> checks;
  for (const KernelComparison& kernel : compare_published_kernels(*input.libraries, input.scenario->kernels)) {
    Check check;
    check.group = "kernels, published one by one";
    check.what = kernel.kernel;
    check.unit = "us";
    check.predicted = kernel.predicted.value() * 1e6;
    check.published = kernel.published.value() * 1e6;
    check.tolerance = kernel.bar;
    check.source = fmt::format("{}, on {}", kernel.source, kernel.gpu);
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Check> check_collectives(const ValidationInput& input) {
  std::vector<Check> checks;
  for (const char* operation : {"ring_all_reduce", "all_to_all"}) {
    for (const int ranks : {64, 256, 1024}) checks.push_back(closed_form_check(operation, ranks, 1, input.options));
    checks.push_back(closed_form_check(operation, 64, 2, input.options));
  }
  return checks;
}

std::vector<Check> check_nccl(const ValidationInput& input) {
  std::vector<Check> checks;
  append_held_back(checks, "NCCL in a node, points not fitted on", input.scenario->links->held_back);
  for (const CollectiveComparison& row : compare_published_collectives(*input.libraries, *input.scenario->links)) {
    Check check;
    check.group = row.nodes > 1 ? "NCCL over nodes, nothing fitted on" : "NCCL in a node";
    check.what = row.what;
    check.unit = "ms";
    check.predicted = row.predicted.total().value() * 1e3;
    check.published = row.published.value() * 1e3;
    check.source = row.source;
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Check> check_expert_exchange(const ValidationInput& input) {
  const NodeSpec& node = input.scenario->cluster.node;
  std::vector<Check> checks;
  for (const int ranks : {8, 16, 32, 64}) {
    for (const auto& [name, op] :
         {std::pair{"dispatch", ExpertOp::dispatch}, std::pair{"combine", ExpertOp::combine}}) {
      checks.push_back(against_published(input.published, fmt::format("deepep_{}_{}", name, ranks),
                                         deepep_bandwidth(node, *input.scenario->links, op, ranks)));
    }
  }
  return checks;
}

std::vector<Check> check_phases(const ValidationInput& input) {
  const TrainingConfig& config = *input.scenario->training;
  const KernelModel kernels = training_kernels(*input.scenario, *input.scenario->training);
  const int sms = kernels.gpu().sms - config.communication_sms;
  std::vector<Check> checks;
  for (const ProfiledPhase& row : kProfiledPhases) {
    const PhaseCost cost = price_phase(row.phase, config, profiled_layer(config), kernels, sms);
    checks.push_back(against_published(input.published, row.id, cost.kernel_sum.value() * 1e3));
  }
  return checks;
}

std::vector<Check> check_pair(const ValidationInput& input) {
  constexpr int kLayers = 4;
  Topology topology(input.scenario->cluster);
  const TrainingStep pair =
      build_overlapped_pair(*input.scenario->training, kLayers, topology,
                            training_kernels(*input.scenario, *input.scenario->training), *input.scenario->links);
  const Seconds time = replay(pair.graph, topology.network(), {}).makespan;
  return {against_published(input.published, "pair", time.value() * 1e3)};
}

std::vector<Check> check_step(const ValidationInput& input) {
  const TrainingReport report = run_training(*input.scenario, input.options);
  const std::vector<Metric> metrics = training_metrics(&report);
  std::vector<Check> checks;
  for (const Comparison& comparison : report.comparisons) {
    if (!comparison.is_prediction()) continue;
    const FigureLabel figure = find_label(metrics, comparison.field);
    Check check;
    check.group = comparison.field.starts_with("projection.") ? "run" : "step";
    check.what = figure.name;
    check.predicted = comparison.predicted;
    check.published = comparison.published;
    check.write(figure.text);
    check.tolerance = bar_of(comparison.field);
    check.source = comparison.source;
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Check> check_schedules() {
  const PassDurations times = PassDurations::plain(1_s, 1_s, 1_s);
  std::vector<Check> checks;
  for (const char* name : {"dualpipe", "zb_h1", "1f1b"}) checks.push_back(bubble_check(name, 16, 120, times));
  return checks;
}

// Amortised cost of published training runs beside published estimates.
std::vector<Check> check_money(const ValidationInput& input) {
  std::vector<Check> checks;
  for (const PublishedCost& cost : published_costs(*input.libraries)) {
    Check check;
    check.group = "amortised cost";
    check.what = cost.run;
    check.unit = "USD";
    check.predicted = cost.predicted_usd;
    check.published = cost.published_usd;
    check.write([](double usd) { return format_usd(Usd(usd)); });
    check.tolerance = 0.15;
    check.source = cost.source;
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Check> validate(const ValidationInput& input) {
  std::vector<Check> checks;
  append(checks, check_held_back(input));
  append(checks, check_kernels(input));
  append(checks, check_collectives(input));
  append(checks, check_nccl(input));
  append(checks, check_expert_exchange(input));
  append(checks, check_phases(input));
  append(checks, check_pair(input));
  append(checks, check_step(input));
  append(checks, check_schedules());
  append(checks, check_money(input));
  append(checks, check_power(input));
  append(checks, check_serving(input));
  explain_misses(checks, input.misses);
  return checks;
}

report::Validation to_message(const std::vector<Check>& checks) {
  report::Validation message;
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

std::string to_text(const std::vector<Check>& checks, const TextStyle& style) {
  std::string out, group;
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left, Align::left});
  table.header({"", "predicted", "published", "error", "", "source"});
  std::vector<std::string> misses, sources;
  for (const Check& check : checks) {
    if (check.group != group) table.row({style.bold(check.group), "", "", "", "", ""});
    group = check.group;
    const char* const verdict = check.is_off() ? (check.has_bar() ? "miss" : "off") : check.has_bar() ? "ok" : "";
    table.row({"  " + check.what, predicted_text(check),
               !check.has_bar() && check.published == 0 ? "" : (check.upper_bound ? "<= " : "") + published_text(check),
               check.upper_bound || check.published == 0 ? "" : error_text(check.error()), verdict,
               fmt::format("[{}]", number_of(sources, check.source))});
    if (check.is_off())
      misses.push_back(fmt::format("{} [{}]{}{}", check.what, number_of(sources, check.source),
                                   check.why.empty() ? "" : ": ", check.why));
  }
  out += table.render(style, 0);
  if (!misses.empty()) out += "\n" + style.bold("Misses and what they come from, as far as that is known") + "\n";
  out += bullets(misses, style);
  if (!sources.empty()) out += "\n" + style.bold("Sources") + "\n";
  for (std::size_t i = 0; i < sources.size(); ++i)
    out += wrap(fmt::format("{:>4} {}", fmt::format("[{}]", i + 1), sources[i]), style.width() - 5, "     ") + "\n";
  return out;
}

}  // namespace flopcast
