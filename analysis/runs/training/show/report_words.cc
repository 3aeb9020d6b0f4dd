#include "analysis/runs/training/show/report_words.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "analysis/render/text/format.h"
#include "analysis/runs/training/show/goodput_text.h"
#include "hwmodels/kernels/calibration.h"

namespace flopcast::report_words {
namespace {

// Nobody measured kernels on this GPU's architecture.
bool is_inferred(const TrainingReport& report) {
  const auto& kernels = report.scenario.kernels;
  if (kernels && !kernels->measured(report.scenario.cluster.node.gpu)) return true;
  const EvidenceShare& share = report.evidence;
  return share.roofline > 0.5 * (share.measured + share.fitted + share.roofline);
}

// What a stage holds, briefly: "3D 1M embedding" for three dense and one MoE layer with the embedding.
std::string stage_text(int index, const StageContent& stage) {
  const auto layers = [](double n, char kind) {
    return n == std::floor(n) ? fmt::format(" {:.0f}{}", n, kind) : fmt::format(" {:.2f}{}", n, kind);
  };
  std::string text = fmt::format("s{}:", index);
  if (stage.embedding) text += " embedding";
  if (stage.dense_layers > 0) text += layers(stage.dense_layers, 'D');
  if (stage.moe_layers > 0) text += layers(stage.moe_layers, 'M');
  if (stage.mtp_modules > 0) text += " MTP";
  if (stage.head) text += " head";
  return text;
}

// Whose kernels price a chip: those of its die, whichever chip of it was measured, or of the most similar die
// (hwmodels/kernels/kernels.h).
std::vector<std::string> kernel_notes(const TrainingReport& report) {
  const GpuSpec& gpu = report.scenario.cluster.node.gpu;
  const std::string die = die_of(gpu).name;
  std::set<std::string> of_die, all;
  for (const FamilyFit& fit : report.scenario.kernels->fits) {
    if (!fit.variant.empty()) continue;
    for (const HeldBackError& table : fit.errors) {
      all.insert(table.gpu);
      if (fit.die.name == die) of_die.insert(table.gpu);
    }
  }
  std::vector<std::string> notes;
  if (report.evidence.roofline > Seconds(0) && !of_die.empty())
    notes.push_back(
        fmt::format("kernels marked as rooflines below are inferred: their families were not measured on any {}, and "
                    "take the fitted efficiencies of the {} with the {}'s own peaks, bandwidth, clock and SM count",
                    die, report.scenario.kernels->lender(), gpu.name));
  if (report.evidence.roofline > Seconds(0) && of_die.empty())
    notes.push_back(fmt::format(
        "kernels marked as rooflines below are inferred: of the {} no measurement is at hand, each family of kernels "
        "takes the fitted efficiencies of the most similar die measured (on {}); peaks, bandwidth, clock and SM count "
        "are the {}'s own, rates inside an SM scale with the peak of an SM",
        die, fmt::join(all, ", "), gpu.name));
  else if (of_die.empty())
    notes.push_back(
        fmt::format("inferred: no kernel was measured on the die {} of {}; fits of the most similar die measured "
                    "(of {}) price it with its own SMs, clock, peaks and memory",
                    die, gpu.name, fmt::join(all, ", ")));
  if (!of_die.empty() && !of_die.contains(gpu.name))
    notes.push_back(fmt::format(
        "{} kernels were measured on its die ({}, on {}), not on {} itself, which is priced with its own SMs, "
        "clock, peaks and memory",
        report.evidence.roofline > Seconds(0) ? "the other" : "all", die, fmt::join(of_die, ", "), gpu.name));
  return notes;
}

}  // namespace

std::string plural(double count, const std::string& noun) {
  return fmt::format("{} {}{}", format_integer(count), noun, count == 1 ? "" : "s");
}

std::string cluster_line(const ClusterSpec& cluster) {
  return fmt::format("{} x {}, {} of {}, {}", format_integer(cluster.gpus()), cluster.node.gpu.title,
                     plural(cluster.nodes, "node"), cluster.node.gpus, cluster.fabric.title);
}

std::string plan_line(const TrainingConfig& config) {
  const ParallelPlan& plan = config.plan;
  std::string line = fmt::format("{}: pipeline {} x data {}", config.model.title, plan.pipeline, plan.data);
  if (plan.tensor > 1) line += fmt::format(" x tensor {}", plan.tensor);
  if (plan.context > 1) line += fmt::format(" x context {}", plan.context);
  if (plan.expert > 1) line += fmt::format(", experts over {}", plan.expert);
  const int micro_batches = config.micro_batches();
  if (!config.schedule.empty()) line += "; " + config.schedule;
  return line + fmt::format(", {} micro-batch{}", micro_batches, micro_batches == 1 ? "" : "es");
}

std::string cost_cell(Usd cost) { return cost > Usd(0) ? format_usd(cost) : "no price"; }

std::string and_cost(Usd cost) { return cost > Usd(0) ? ", " + format_usd(cost) : ""; }

std::string headline(const TrainingReport& report) {
  std::string text = is_inferred(report) ? "Inferred, not measured: one step" : "One step";
  text += fmt::format(" takes {}: {} tokens at {} MFU (causal), {} tokens per day.", format_time(report.step_time),
                      format_count(report.tokens_per_step), format_percent(report.mfu_causal),
                      format_count(report.tokens_per_day));
  if (report.projection) {
    double tokens = 0;
    for (const PhaseProjection& phase : report.projection->phases) tokens += phase.tokens;
    text += fmt::format(" The whole run of {} tokens takes {} GPU-hours: {}{}.", format_count(tokens),
                        format_count(report.projection->gpu_hours), format_days(report.projection->elapsed),
                        and_cost(report.projection->cost));
  }
  return text;
}

// Whose time the parts are. Folded, the busiest GPU stands for its group of experts: the others do the same
// passes, with more waiting and less work inside them.
std::string whose_parts(const TrainingReport& report) {
  if (report.run.folded && report.hottest_load > 1) return "Of the busiest GPU of every group of experts";
  return "Means over " + plural(static_cast<double>(report.scenario.training->plan.gpus()), "GPU");
}

bool waits_for_host(const TrainingReport& report) { return report.mean.host > 0.005 * report.step_time; }

std::string waits_in_passes(const TrainingReport& report) {
  const auto wait = [&](Seconds time, const char* what) {
    return fmt::format("{} ({}) {}", format_time(time), format_percent(time / report.step_time), what);
  };
  return fmt::format(
      "Inside passes, {}{}.", wait(report.mean.exposed_communication, "wait for communication"),
      waits_for_host(report) ? ", " + wait(report.mean.host, "for the host, which starts kernels too slowly") : "");
}

std::string rank_content(const TrainingReport& report, int pipeline_rank) {
  std::vector<std::string> parts;
  for (const int stage : report.stages_of_rank[static_cast<std::size_t>(pipeline_rank)]) {
    parts.push_back(stage_text(stage, report.stages[static_cast<std::size_t>(stage)]));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Mean over the replicas of each pipeline rank.
std::vector<RankMetrics> metrics_per_pipeline_rank(const TrainingReport& report) {
  std::vector<RankMetrics> means;
  for (std::size_t p = 0; p < report.stages_of_rank.size(); ++p) {
    std::vector<RankMetrics> metrics;
    std::vector<ReplayedRank> ranks;
    for (std::size_t r = 0; r < report.ranks.size(); ++r) {
      if (report.ranks[r].pipeline_rank != static_cast<int>(p)) continue;
      metrics.push_back(report.rank_metrics[r]);
      ranks.push_back(report.ranks[r]);
    }
    means.push_back(weighted_mean(metrics, ranks));
  }
  return means;
}

std::vector<std::string> assumptions(const TrainingReport& report) {
  std::vector<std::string> items = report.notes;
  const std::vector<std::string> kernels = kernel_notes(report);
  items.insert(items.begin(), kernels.begin(), kernels.end());
  if (report.projection) {
    items.insert(items.end(), report.projection->notes.begin(), report.projection->notes.end());
    const ResilienceConfig& resilience = report.scenario.resilience;
    items.push_back(habits_text(resilience, report.scenario.cluster.gpus()));
    if (!resilience.source.empty()) items.push_back("interruptions and checkpoints: " + resilience.source);
    if (!report.scenario.price.source.empty()) items.push_back("price: " + report.scenario.price.source);
  }
  return items;
}

std::string run_line(const RunFacts& run) {
  return fmt::format(
      "{} operations, {} transfers ({} flows met another); {} replayed{}; engine {}; fingerprint {:016x}",
      format_integer(static_cast<double>(run.operations)), format_integer(static_cast<double>(run.transfers)),
      format_integer(static_cast<double>(run.contended_flows)), plural(static_cast<double>(run.replayed_gpus), "GPU"),
      run.folded ? " (folded)" : "", run.shared_by(), run.fingerprint);
}

std::string range_line(const TrainingReport& report) {
  if (!report.range) return {};
  const StepRange& range = *report.range;
  std::string text =
      fmt::format("90 % of the cases: step {} to {}, memory {} to {}", format_time(Seconds(range.step_s.p5)),
                  format_time(Seconds(range.step_s.p95)), format_bytes(Bytes(range.memory_bytes.p5)),
                  format_bytes(Bytes(range.memory_bytes.p95)));
  std::vector<std::string> inputs;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, range.inputs.size()); ++i) {
    inputs.push_back(fmt::format("{} ({})", range.inputs[i].title, format_percent(range.inputs[i].variance_share, 0)));
  }
  return text + fmt::format("; most of it for {}", fmt::join(inputs, ", "));
}

std::string hours_line(const TrainingReport& report) {
  if (!report.projection || !report.projection->spread || report.projection->predicted_gpu_hours <= 0) return {};
  const Projection& run = *report.projection;
  const double given = run.gpu_hours - run.predicted_gpu_hours;
  const auto hours = [&](double factor) { return format_integer(given + run.predicted_gpu_hours * factor); };
  return fmt::format(
      "90 % of the cases: {} to {} GPU-hours, for {}", hours(run.spread->p5), hours(run.spread->p95),
      run.lost_as_published
          ? "the range of the step and what published runs lost to restarts, evaluation, loss spikes and "
            "slow nodes (analysis/data/run_losses.csv), since the scenario does not state its resilience"
      : run.life && run.life->replayed ? "the range of the step and of the run's own failures, which fall at random"
                                       : "the range of the step; interruptions as the scenario states them");
}

std::string evidence_line(const EvidenceShare& evidence) {
  const Seconds all = evidence.measured + evidence.fitted + evidence.roofline;
  if (all <= Seconds(0)) return {};
  return fmt::format("compute time rests on: measured tables {}, fits {}, rooflines {}",
                     format_percent(evidence.measured / all), format_percent(evidence.fitted / all),
                     format_percent(evidence.roofline / all));
}

}  // namespace flopcast::report_words
