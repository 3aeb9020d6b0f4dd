// Metrics of a training run: the step, where it goes, and the whole run that it is projected to.
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

using TrainingRef = const TrainingReport&;
using EvidenceRef = const EvidenceShare&;
using PathRef = const CriticalPath&;
using ProjectionRef = const Projection&;
using PhaseRef = const PhaseProjection&;
namespace as = metric_value;
namespace show = metric_text;

constexpr MetricRow<TrainingReport> kTrainingRows[] = {
    {"step_time_s", "s", "step", "Time of one training step, from the first forward pass to the updated parameters",
     [](TrainingRef t) { return as::number(t.step_time); }, show::seconds},
    {"tokens_per_step", "tokens", "tokens per step", "Tokens of the global batch",
     [](TrainingRef t) { return as::number(t.tokens_per_step); }, show::whole},
    {"tokens_per_day", "tokens/day", "tokens per day", "Tokens trained on in a day without interruptions",
     [](TrainingRef t) { return as::number(t.tokens_per_day); }, show::billions},
    {"tokens_per_s_per_gpu", "tokens/s", "tokens/s, per GPU",
     "Tokens trained on per second, over the GPUs of the cluster: how published runs of unlike size compare",
     [](TrainingRef t) { return as::number(t.tokens_per_step / t.step_time.value() / t.scenario.cluster.gpus()); },
     show::plain},
    {"mfu_bf16_causal", "1", "MFU, causal",
     "Model FLOP over the BF16 peak; of attention only the lower triangle counts, recomputation does not",
     [](TrainingRef t) { return as::number(t.mfu_causal); }, show::share},
    {"mfu_bf16_noncausal", "1", "MFU, non-causal", "The same with attention counted in full",
     [](TrainingRef t) { return as::number(t.mfu); }, show::share},
    {"tflops_per_gpu_causal", "TFLOPS", "per GPU, causal", "Model FLOP per second and GPU; attention counted causal",
     [](TrainingRef t) { return as::number(t.flops_per_gpu_causal / 1_TFLOPS); }, show::tflops},
    {"tflops_per_gpu_noncausal", "TFLOPS", "per GPU, non-causal", "The same with attention counted in full",
     [](TrainingRef t) { return as::number(t.flops_per_gpu / 1_TFLOPS); }, show::tflops},
    {"forward_s", "s", "1F, lone forward",
     "Time of a step in passes that only run forward, mean over replayed GPUs (folded: the busiest of a group of "
     "experts)",
     [](TrainingRef t) { return as::number(t.mean.parts.forward); }, show::seconds},
    {"backward_input_s", "s", "1B, gradient of inputs",
     "Time of a step in gradients of inputs, mean over replayed GPUs (folded: the busiest of a group of experts)",
     [](TrainingRef t) { return as::number(t.mean.parts.backward_input); }, show::seconds},
    {"backward_weight_s", "s", "1W, gradient of weights",
     "Time of a step in gradients of weights, mean over replayed GPUs (folded: the busiest of a group of experts)",
     [](TrainingRef t) { return as::number(t.mean.parts.backward_weight); }, show::seconds},
    {"overlapped_s", "s", "1F1B, overlapped",
     "Time of a step in forward and backward run together, mean over replayed GPUs (folded: the busiest of a group of "
     "experts)",
     [](TrainingRef t) { return as::number(t.mean.parts.overlapped); }, show::seconds},
    {"bubble_s", "s", "bubble",
     "Time of a step that a GPU waits for other stages, mean over replayed GPUs (folded: the busiest of a group of "
     "experts)",
     [](TrainingRef t) { return as::number(t.mean.parts.bubble); }, show::seconds},
    {"optimizer_s", "s", "optimiser", "Gradient reduction, update and gathering of parameters together",
     [](TrainingRef t) { return as::number(t.mean.parts.optimizer()); }, show::seconds},
    {"gradient_reduction_s", "s", "reducing gradients", "Time of a step in which only gradients are reduced",
     [](TrainingRef t) { return as::number(t.mean.parts.gradient_reduction); }, show::seconds},
    {"optimizer_update_s", "s", "updating parameters", "Gradient norm and AdamW",
     [](TrainingRef t) { return as::number(t.mean.parts.optimizer_update); }, show::seconds},
    {"parameter_gather_s", "s", "gathering parameters", "Time of a step in which only parameters are gathered",
     [](TrainingRef t) { return as::number(t.mean.parts.parameter_gather); }, show::seconds},
    {"exposed_communication_s", "s", "exposed communication",
     "Time inside the passes in which computation waits for communication, mean over replayed GPUs (folded: the "
     "busiest of a group of experts)",
     [](TrainingRef t) { return as::number(t.mean.exposed_communication); }, show::seconds},
    {"host_wait_s", "s", "waiting for the host",
     "Time inside the passes in which the GPU waits for its host to start kernels, mean over replayed GPUs (folded: "
     "the busiest of a group of experts)",
     [](TrainingRef t) { return as::number(t.mean.host); }, show::seconds},
    {"compute_busy_s", "s", "computing",
     "Time of a step in which the GPU computes, mean over replayed GPUs (folded: the busiest of a group of experts)",
     [](TrainingRef t) { return as::number(t.mean.compute_busy); }, show::seconds},
    {"communication_busy_s", "s", "communicating",
     "Time of a step in which the GPU communicates, mean over replayed GPUs (folded: the busiest of a group of "
     "experts)",
     [](TrainingRef t) { return as::number(t.mean.communication_busy); }, show::seconds},
    {"peak_memory_bytes", "bytes", "peak memory", "Memory of the fullest GPU at its fullest",
     [](TrainingRef t) { return as::number(t.fullest_memory().total()); }, show::bytes},
    {"memory_capacity_bytes", "bytes", "memory of a GPU", "Memory that a GPU offers to programs",
     [](TrainingRef t) { return as::number(t.scenario.cluster.node.gpu.hbm_usable()); }, show::bytes},
};

constexpr MetricRow<ClockPoint> kClockRows[] = {
    {"clock", "1", "clock", "Clock over the data sheet's at which the board's power limit lets a step's kernels settle",
     [](const ClockPoint& p) { return as::number(p.clock); }, show::share},
    {"board_power_w", "W", "power while computing", "What a board draws at that clock, kernel after kernel",
     [](const ClockPoint& p) { return as::number(p.power.value()); }, show::plain},
};

constexpr std::array<MetricQuantile, 3> kRangeQuantiles{{{"p5", ", low", "5 % of the draws are below"},
                                                         {"p50", ", median", "half of the draws are below"},
                                                         {"p95", ", high", "95 % of the draws are below"}}};

constexpr QuantileRow<TrainingReport, 3> kRangeRows[] = {
    {"step_time_range_s", "s", "step", "Range of the step's time, for the errors of kernels, links, host and software",
     [](TrainingRef t, std::size_t at) { return as::number(t.range->step_s.at(at)); }, show::seconds},
    {"tokens_per_day_range", "tokens/day", "tokens per day", "Range of the tokens of a day, from that of the step",
     [](TrainingRef t, std::size_t at) {
       return as::number(86400.0 * t.tokens_per_step / t.range->step_s.at(2 - at));  // a short step makes many
     },
     show::billions},
    {"peak_memory_range_bytes", "bytes", "peak memory", "Range of the memory of the fullest GPU",
     [](TrainingRef t, std::size_t at) { return as::number(t.range->memory_bytes.at(at)); }, show::bytes},
};

constexpr std::string_view kNoRange = "the errors of what a step is made of were not given";

/// Of what is predicted; given phases stay as they are.
MetricValue projected(const Projection& p, double whole, std::size_t at) {
  const double predicted = p.gpu_hours > 0 ? p.predicted_gpu_hours / p.gpu_hours : 0;
  return as::number(whole * (1 - predicted) + whole * predicted * p.spread->at(at));
}

constexpr QuantileRow<Projection, 3> kProjectionRangeRows[] = {
    {"gpu_hours_range", "GPU-hours", "GPU-hours, whole run",
     "Range of the GPU-hours, from that of the step and what runs lose",
     [](const Projection& p, std::size_t at) { return projected(p, p.gpu_hours, at); }, show::hours},
    {"days_range", "days", "days, whole run", "Range of the days, from that of the step and what runs lose",
     [](const Projection& p, std::size_t at) { return projected(p, in_days(p.elapsed), at); }, show::days},
    {"cost_range_usd", "USD", "cost, whole run", "Range of the cost, from that of the GPU-hours; prices as stated",
     [](const Projection& p, std::size_t at) {
       return p.cost > Usd(0) ? projected(p, p.cost.value(), at) : as::dollars(p.cost);
     },
     show::usd},
};

constexpr MetricRow<CriticalPath> kPathRows[] = {
    {"length_s", "s", "critical path", "Length of the chain of operations that decides the step time",
     [](PathRef c) { return as::number(c.length); }, show::seconds},
    {"operations", "count", "operations of the critical path", "Operations of this chain",
     [](PathRef c) { return as::count(c.operations); }, show::whole},
    {"rank_changes", "count", "rank changes of the critical path", "How often this chain goes over to another rank",
     [](PathRef c) { return as::count(c.rank_changes); }, show::whole},
};

Seconds whole_evidence(const EvidenceShare& share) { return share.measured + share.fitted + share.roofline; }

constexpr MetricRow<EvidenceShare> kEvidenceRows[] = {
    {"measured", "1", "from measured tables", "Share of compute time whose price is a measurement",
     [](EvidenceRef e) { return as::number(e.measured.value() / whole_evidence(e).value()); }, show::share},
    {"fitted", "1", "from fits", "Share of compute time whose price is fitted to measurements",
     [](EvidenceRef e) { return as::number(e.fitted.value() / whole_evidence(e).value()); }, show::share},
    {"roofline", "1", "from rooflines", "Share of compute time whose price is a roofline: no measurement is at hand",
     [](EvidenceRef e) { return as::number(e.roofline.value() / whole_evidence(e).value()); }, show::share},
};

constexpr MetricRow<Projection> kProjectionRows[] = {
    {"gpu_hours", "GPU-hours", "GPU-hours, whole run", "GPU-hours of all phases",
     [](ProjectionRef p) { return as::number(p.gpu_hours); }, show::hours},
    {"predicted_gpu_hours", "GPU-hours", "GPU-hours, predicted part", "GPU-hours without the phases that were given",
     [](ProjectionRef p) { return as::number(p.predicted_gpu_hours); }, show::hours},
    {"days", "days", "days, whole run", "Days of all phases, one after the other",
     [](ProjectionRef p) { return as::number(in_days(p.elapsed)); }, show::days},
    {"cost_usd", "USD", "cost, whole run", "GPU-hours at the scenario's price",
     [](ProjectionRef p) { return as::dollars(p.cost); }, show::usd},
    {"energy_joules", "J", "energy, whole run", "Energy at the wall of the site",
     [](ProjectionRef p) { return as::number(p.energy); }, show::energy},
    {"goodput", "1", "goodput", "Time at the final batch without interruptions, over elapsed time; predicted phases",
     [](ProjectionRef p) { return as::number(p.goodput); }, show::share},
};

double phase_gpu_hours(PhaseRef phase, Seconds time) { return in_hours(time) * phase.gpus; }

constexpr MetricRow<PhaseProjection> kPhaseRows[] = {
    {"given", "yes/no", "given", "The scenario states the phase's GPU-hours: they are no prediction",
     [](PhaseRef p) { return as::yes_or_no(p.given); }, nullptr},
    {"scaled", "yes/no", "scaled", "Not replayed: FLOP per token at the utilisation of the step",
     [](PhaseRef p) { return as::yes_or_no(p.scaled); }, nullptr},
    {"tokens", "tokens", "tokens", "Tokens that the phase trains on", [](PhaseRef p) { return as::number(p.tokens); },
     show::billions},
    {"steps", "count", "steps", "Steps of the phase", [](PhaseRef p) { return as::number(p.steps); }, show::whole},
    {"gpus", "count", "GPUs", "GPUs of the phase", [](PhaseRef p) { return as::count(p.gpus); }, show::whole},
    {"step_time_s", "s", "step", "Time of a step at the phase's final batch",
     [](PhaseRef p) { return as::number(p.step_time); }, show::seconds},
    {"gpu_hours", "GPU-hours", "GPU-hours", "GPU-hours of the phase",
     [](PhaseRef p) { return as::number(p.gpu_hours); }, show::hours},
    {"days", "days", "days", "Days that the phase takes",
     [](PhaseRef p) { return as::number(in_days(p.time.total())); }, show::days},
    {"cost_usd", "USD", "cost", "GPU-hours of the phase at the scenario's price",
     [](PhaseRef p) { return as::dollars(p.cost); }, show::usd},
    {"energy_joules", "J", "energy", "Energy of the phase at the wall of the site",
     [](PhaseRef p) { return as::number(p.energy); }, show::energy},
    {"steady_gpu_hours", "GPU-hours", "GPU-hours at the final batch",
     "Of gpu_hours: all tokens at the final batch, undisturbed",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.steady)); }, show::hours},
    {"ramp_gpu_hours", "GPU-hours", "GPU-hours of the ramp", "Of gpu_hours: what smaller batches of the ramp add",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.ramp)); }, show::hours},
    {"checkpoint_gpu_hours", "GPU-hours", "GPU-hours writing checkpoints", "Of gpu_hours: standing still for writes",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.checkpoints)); }, show::hours},
    {"lost_work_gpu_hours", "GPU-hours", "GPU-hours lost to interruptions",
     "Of gpu_hours: trained again after interruptions",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.lost_work)); }, show::hours},
    {"restart_gpu_hours", "GPU-hours", "GPU-hours restarting", "Of gpu_hours: standing still after interruptions",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.restarts)); }, show::hours},
    {"planned_gpu_hours", "GPU-hours", "GPU-hours of planned standstill", "Of gpu_hours: planned interruptions",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.planned)); }, show::hours},
    {"repair_wait_gpu_hours", "GPU-hours", "GPU-hours waiting for repairs", "Of gpu_hours: no spare node at hand",
     [](PhaseRef p) { return as::number(phase_gpu_hours(p, p.time.repair_waits)); }, show::hours},
};

constexpr std::string_view kNoProjection = "the scenario has no phases, or its whole run was not projected";

void add_projection_metrics(MetricList& list, const TrainingReport* report) {
  const Projection* const projection = report && report->projection ? &*report->projection : nullptr;
  list.add<Projection>("projection.", kProjectionRows, projection, kNoProjection);
  const bool ranged = projection && projection->spread;
  list.add<Projection, 3>("projection.", kProjectionRangeRows, kRangeQuantiles, ranged ? projection : nullptr,
                          projection ? kNoRange : kNoProjection);
  if (!report) list.add<PhaseProjection>("projection.phases[NAME].", kPhaseRows, nullptr);
  if (projection) {
    std::vector<std::string> names;
    for (const PhaseProjection& phase : projection->phases) names.push_back(phase.name);
    const std::vector<std::string> keys = entry_keys(names);
    for (std::size_t i = 0; i < keys.size(); ++i)
      list.add<PhaseProjection>("projection.phases[" + keys[i] + "].", kPhaseRows, &projection->phases[i]);
  }
  add_life_metrics(list, "projection.life.", projection && projection->life ? &*projection->life : nullptr,
                   projection ? "no phase was predicted" : kNoProjection);
}

}  // namespace

std::vector<Metric> training_metrics(const TrainingReport* report) {
  MetricList list;
  add_scenario_metrics(list, report ? &report->scenario : nullptr);
  add_run_metrics(list, report ? &report->run : nullptr);
  list.add<TrainingReport>("training.", kTrainingRows, report);
  list.add<TrainingReport, 3>("training.", kRangeRows, kRangeQuantiles, report && report->range ? report : nullptr,
                              report ? kNoRange : "");
  list.add<ClockPoint>("training.", kClockRows, report && report->settled ? &*report->settled : nullptr,
                       !report ? ""
                       : report->scenario.training->mechanisms.board_limit
                           ? "kernels' times hold the clock that they were measured at"
                           : "mechanisms.board_limit is off");
  list.add<CriticalPath>("training.critical_path.", kPathRows, report && report->path ? &*report->path : nullptr,
                         "known of folded runs only");
  list.add<EvidenceShare>("training.evidence.", kEvidenceRows,
                          report && whole_evidence(report->evidence) > Seconds(0) ? &report->evidence : nullptr,
                          "nothing was computed");
  add_projection_metrics(list, report);
  return list.take();
}

}  // namespace flopcast
