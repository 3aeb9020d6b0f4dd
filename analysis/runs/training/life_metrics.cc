// Metrics of a job's life: failures, checkpoints, restarts. A report of a cluster's life, and part of a projection.
#include <array>

#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

using GoodputRef = const Goodput&;
using ReplaysRef = const ReplayedGoodput&;
namespace as = metric_value;
namespace show = metric_text;

constexpr MetricRow<Goodput> kClosedFormRows[] = {
    {"effective_training_time", "1", "effective training time", "Share of the elapsed time that trains, expected",
     [](GoodputRef g) { return as::number(g.effective()); }, show::share},
    {"elapsed_hours", "h", "elapsed", "Elapsed hours: the sum of the six kinds below",
     [](GoodputRef g) { return as::number(in_hours(g.elapsed())); }, show::hours},
    {"useful_hours", "h", "training that counts", "Hours of training that no failure undoes",
     [](GoodputRef g) { return as::number(in_hours(g.useful)); }, show::hours},
    {"checkpoint_hours", "h", "writing checkpoints", "Hours of completed writes",
     [](GoodputRef g) { return as::number(in_hours(g.checkpoints)); }, show::hours},
    {"lost_work_hours", "h", "work lost to interruptions", "Hours since the last checkpoint, trained anew",
     [](GoodputRef g) { return as::number(in_hours(g.lost_work)); }, show::hours},
    {"restart_hours", "h", "restarting", "Hours from failures to the next step, reading the checkpoint included",
     [](GoodputRef g) { return as::number(in_hours(g.restarts)); }, show::hours},
    {"repair_wait_hours", "h", "waiting for repairs", "Hours with no spare node at hand",
     [](GoodputRef g) { return as::number(in_hours(g.repair_waits)); }, show::hours},
    {"planned_hours", "h", "planned standstill", "Hours of planned interruptions",
     [](GoodputRef g) { return as::number(in_hours(g.planned)); }, show::hours},
    {"interruptions", "count", "interruptions", "Unexpected and planned ones",
     [](GoodputRef g) { return as::number(g.interruptions()); }, show::plain},
    {"unexpected_interruptions", "count", "unexpected interruptions", "Failures",
     [](GoodputRef g) { return as::number(g.failures); }, show::plain},
    {"planned_interruptions", "count", "planned interruptions", "Those that the scenario plans",
     [](GoodputRef g) { return as::number(g.planned_interruptions); }, show::plain},
};

constexpr MetricRow<ReplayedGoodput> kReplaysRows[] = {
    {"replays", "count", "replays", "Replays of random failures", [](ReplaysRef r) { return as::count(r.replays); },
     show::whole},
    {"seed", "count", "seed", "Start of the random streams: equal seeds give equal values",
     [](ReplaysRef r) { return as::count(r.seed); }, show::whole},
};

constexpr std::array<MetricQuantile, 4> kSpreadQuantiles{{{"p5", ", 5 %", "5 % of the replays stay below"},
                                                          {"median", "", "median of the replays"},
                                                          {"p95", ", 95 %", "5 % of the replays go beyond"},
                                                          {"mean", ", mean", "mean of the replays"}}};

MetricValue spread_at(const Spread& spread, std::size_t quantile) {
  const double values[] = {spread.low, spread.median, spread.high, spread.mean};
  return as::number(values[quantile]);
}

constexpr QuantileRow<ReplayedGoodput, 4> kReplayedRows[] = {
    {"effective_training_time", "1", "effective training time", "Share of the elapsed time that trains",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.effective, q); }, show::share},
    {"elapsed_hours", "h", "elapsed", "Elapsed hours",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.elapsed_hours, q); }, show::hours},
    {"useful_hours", "h", "training that counts", "Hours of training that no failure undoes",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.useful_hours, q); }, show::hours},
    {"checkpoint_hours", "h", "writing checkpoints", "Hours of completed writes",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.checkpoint_hours, q); }, show::hours},
    {"lost_work_hours", "h", "work lost to interruptions", "Hours since the last checkpoint, trained anew",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.lost_work_hours, q); }, show::hours},
    {"restart_hours", "h", "restarting", "Hours from failures to the next step",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.restart_hours, q); }, show::hours},
    {"repair_wait_hours", "h", "waiting for repairs", "Hours with no spare node at hand",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.repair_wait_hours, q); }, show::hours},
    {"planned_hours", "h", "planned standstill", "Hours of planned interruptions",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.planned_hours, q); }, show::hours},
    {"interruptions", "count", "interruptions", "Unexpected and planned ones",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.interruptions, q); }, show::plain},
    {"unexpected_interruptions", "count", "unexpected interruptions", "Failures",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.failures, q); }, show::plain},
    {"planned_interruptions", "count", "planned interruptions", "Those that the scenario plans",
     [](ReplaysRef r, std::size_t q) { return spread_at(r.planned_interruptions, q); }, show::plain},
};

constexpr std::string_view kNoReplays = "no replays were asked for, or even one has too many interruptions";

}  // namespace

void add_life_metrics(MetricList& list, const std::string& prefix, const JobLife* life, std::string_view why_absent) {
  const ReplayedGoodput* const replayed = life && life->replayed ? &*life->replayed : nullptr;
  list.add<Goodput>(prefix + "closed_form.", kClosedFormRows, life ? &life->closed : nullptr, why_absent);
  list.add<ReplayedGoodput>(prefix + "replayed.", kReplaysRows, replayed, life ? kNoReplays : why_absent);
  list.add<ReplayedGoodput, 4>(prefix + "replayed.", kReplayedRows, kSpreadQuantiles, replayed,
                               life ? kNoReplays : why_absent);
}

std::vector<Metric> life_metrics(const LifeReport* report) {
  MetricList list;
  add_scenario_metrics(list, report ? &report->scenario : nullptr);
  add_life_metrics(list, "life.", report ? &report->life : nullptr, {});
  return list.take();
}

}  // namespace flopcast
