#include "analysis/runs/training/local_updates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "analysis/render/text/format.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/link_calibration.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "sim/base/diagnostic.h"
#include "workloads/model/model.h"

namespace flopcast {
namespace {

Bytes sent_by_each(const Scenario& scenario) {
  const LocalUpdates& local = scenario.training->local;
  const double parameters = count_parameters(scenario.training->model).total;
  return Bytes(parameters * local.bytes_per_parameter * 2.0 * (local.workers - 1) / local.workers);
}

}  // namespace

Scenario worker_scenario(const Scenario& scenario) {
  const int workers = scenario.training->local.workers;
  assert(workers > 1);
  Diagnostics faults;  // of searches too, which vary what a file states
  check_local_updates(*scenario.training, scenario.cluster, {"training.plan", "training.batch"}, {}, faults);
  if (!faults.empty()) throw InputError(std::move(faults));
  Scenario worker = scenario;
  worker.cluster.nodes /= workers;
  worker.cluster.fabric.sites = 1;
  worker.training->plan.data /= workers;
  worker.training->batch.sequences /= workers;
  worker.training->local = {};
  worker.phases.clear();
  worker.published.clear();
  return worker;
}

OuterExchange outer_exchange(const Scenario& scenario, Seconds inner_step) {
  const ClusterSpec& cluster = scenario.cluster;
  const LocalUpdates& local = scenario.training->local;
  const double nics = static_cast<double>(cluster.gpus()) / local.workers * scenario.links->nic_efficiency.value;
  BytesPerSecond rate = nic_pace(cluster) * nics;
  if (cluster.fabric.sites > 1) rate = std::min(rate, cluster.fabric.site_bandwidth);
  const Seconds hop = cluster.fabric.cross_leaf_latency + cluster.fabric.site_latency;
  OuterExchange exchange;
  exchange.time = sent_by_each(scenario) / rate + hop * (2.0 * (local.workers - 1));
  const Seconds hidden = local.streaming ? inner_step * static_cast<double>(local.inner_steps) : Seconds(0);
  exchange.per_step = std::max(Seconds(0), exchange.time - hidden) / static_cast<double>(local.inner_steps);
  return exchange;
}

std::string local_updates_note(const Scenario& scenario, const OuterExchange& exchange) {
  const LocalUpdates& local = scenario.training->local;
  return fmt::format(
      "local updates: each of {} workers sends {} to the others every {} steps{}, which takes {}; a step waits {} for "
      "it in "
      "the mean. What it does to the loss is not modelled, nor the memory of the outer optimiser, which lies on the "
      "hosts",
      local.workers, format_bytes(sent_by_each(scenario)), local.inner_steps, local.streaming ? ", beside them" : "",
      format_time(exchange.time), format_time(exchange.per_step));
}

}  // namespace flopcast
