// Metrics of a collective on its own.
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

using CollectiveRef = const CollectiveReport&;
namespace as = metric_value;
namespace show = metric_text;

constexpr MetricRow<CollectiveReport> kCollectiveRows[] = {
    {"operation", "text", "operation", "The collective, a name of `flopcast list collectives`",
     [](CollectiveRef c) { return as::word(c.scenario.collective->operation); }, nullptr},
    {"ranks", "count", "ranks", "GPUs that take part",
     [](CollectiveRef c) { return as::count(c.scenario.collective->ranks); }, show::whole},
    {"copies", "count", "at once", "How many run at once on the same ports",
     [](CollectiveRef c) { return as::count(c.scenario.collective->copies); }, show::whole},
    {"bytes", "bytes", "buffer", "Buffer of a rank that is reduced, gathered or exchanged",
     [](CollectiveRef c) { return as::number(c.scenario.collective->bytes); }, show::bytes},
    {"time_s", "s", "time", "Time until every rank is done", [](CollectiveRef c) { return as::number(c.time); },
     show::time},
    {"closed_form_s", "s", "closed form", "Time on ports at full rate, without contention, latency or protocol",
     [](CollectiveRef c) { return as::number(c.closed_form); }, show::time},
    {"port_bytes_per_s", "bytes/s", "port", "Rate of the port that the closed form assumes",
     [](CollectiveRef c) { return as::number(c.port); }, show::rate},
    {"algorithm_bandwidth_bytes_per_s", "bytes/s", "algorithm bandwidth", "Bytes over time",
     [](CollectiveRef c) { return as::number(c.algorithm_bandwidth); }, show::rate},
    {"bus_bandwidth_bytes_per_s", "bytes/s", "bus bandwidth",
     "Comparable with a port's rate, whatever the collective (as NCCL's tests define it)",
     [](CollectiveRef c) { return as::number(c.bus_bandwidth); }, show::rate},
    {"closed_form_applies", "yes/no", "closed form applies", "All traffic takes such ports",
     [](CollectiveRef c) { return as::yes_or_no(c.closed_form_applies); }, nullptr},
    {"port_bound_s", "s", "busiest port", "How long the busiest link is busy, protocol costs included: a lower bound",
     [](CollectiveRef c) { return as::number(c.port_bound); }, show::time},
};

constexpr QuantileRow<CollectiveReport, 3> kTimeRange[] = {
    {"time_range_s", "s", "time",
     "Range of the time, for the errors of launches, hops and rates, and for what a program adds that calls it",
     [](CollectiveRef c, std::size_t at) { return as::number(c.range->at(at)); }, show::time},
};

}  // namespace

std::vector<Metric> collective_metrics(const CollectiveReport* report) {
  MetricList list;
  add_scenario_metrics(list, report ? &report->scenario : nullptr);
  add_run_metrics(list, report ? &report->run : nullptr);
  list.add<CollectiveReport>("collective.", kCollectiveRows, report);
  list.add<CollectiveReport, 3>("collective.", kTimeRange, kErrorQuantiles, report && report->range ? report : nullptr,
                                "links are taken at full rate");
  return list.take();
}

}  // namespace flopcast
