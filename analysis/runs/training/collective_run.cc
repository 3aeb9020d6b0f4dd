// A collective alone: replayed, beside its closed form, and how sure its time is.
#include <algorithm>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "analysis/runs/parts/published.h"
#include "analysis/runs/training/replays.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/training_metrics.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/link_calibration.h"
#include "workloads/collectives/collectives.h"

namespace flopcast {
namespace {

/// Bytes on busy ports are known as rates of links are; launches and hops less well, and least where nobody measured
/// them.
FigureRange collective_range(const CollectiveReport& report, const CollectiveRow& row, const StepErrors& errors) {
  const Scenario& scenario = report.scenario;
  const bool within = scenario.collective->ranks <= scenario.cluster.node.gpus;
  const bool measured = scenario.links && scenario.links->measured(scenario.cluster.node.gpu.architecture);
  const double rate = !within || !measured ? errors.of("data_exchange").log_sd : errors.of("collective_rate").log_sd;
  const double start =
      errors.of(!measured ? "collective_start_unmeasured"
                : within  ? "collective_start"
                          : "collective_start_network")
          .log_sd;
  const double port = std::min(1.0, report.port_bound / report.time);
  const double log_sd = std::hypot(port * rate, (1 - port) * start);
  FigureRange range = log_normal_range(report.time.value(), log_sd);
  if (std::string_view(row.name).starts_with("nccl")) range.p95 += errors.of("collective_caller").late.value();
  return range;
}

}  // namespace

CollectiveReport run_collective(const Scenario& scenario, const RunOptions& options) {
  assert(scenario.collective);
  check_published(scenario, [] { return collective_metrics(nullptr); });
  const CollectiveConfig& config = *scenario.collective;
  const CollectiveRow* const row = find_collective(config.operation);
  assert(row != nullptr && "the loader checks names");
  Topology topology(config.measured_links ? scenario.cluster : at_full_rates(scenario.cluster));
  const OperationGraph graph = make_collective_graph(topology, *row, config.bytes, config.ranks, config.copies,
                                                     config.measured_links ? scenario.links.get() : nullptr);
  FingerprintSink fingerprint;
  TimelineSink* const sinks[] = {&fingerprint};
  const ReplayResult result = replay(graph, topology.network(), sinks, replay_options(options));

  const NodeSpec& node = scenario.cluster.node;
  CollectiveReport report;
  report.scenario = scenario;
  report.notes = scenario.notes;
  report.run = run_facts(result, fingerprint, options);
  report.run.folded = false;
  report.run.replayed_gpus = static_cast<std::size_t>(config.ranks);
  report.time = result.makespan;
  report.port = config.ranks <= node.gpus ? node.nvlink_bandwidth : node.nics_per_gpu * node.nic_bandwidth;
  report.closed_form = row->closed_form_time(config.ranks, config.bytes, report.port);
  report.closed_form_applies = node.gpus == 1 || config.ranks <= node.gpus;
  for (const LinkLoad& busiest : busiest_links(graph, topology.network(), report.time, 1)) {
    report.port_bound = report.time * busiest.utilisation;
  }
  report.algorithm_bandwidth = config.bytes / report.time;
  // As NCCL's tests have it: what a port of a flat network has to carry, over the time.
  report.bus_bandwidth = report.port * (report.closed_form / report.time);
  if (config.measured_links) {
    if (options.errors) report.range = collective_range(report, *row, *options.errors);
    if (scenario.links && !scenario.links->measured(node.gpu.architecture)) {
      report.notes.push_back(
          fmt::format("links of {} were not measured: protocol costs are those of H100 and H800", node.gpu.title));
    }
  }
  compare_with_published(
      scenario, [&] { return collective_metrics(&report); }, report.comparisons, report.notes);
  return report;
}

}  // namespace flopcast
