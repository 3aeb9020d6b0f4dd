#include <fmt/format.h>

#include "scenarios/resolve/laws/training_laws.h"

namespace flopcast {
namespace {

// "training.plan.expert" of a step -> where the plan stands
std::string moved(const std::string& field, const PlanPaths& paths) {
  for (const auto& [own, path] : {std::pair{"training.plan", paths.plan}, std::pair{"training.batch", paths.batch}})
    if (field.starts_with(own)) return path + field.substr(std::string_view(own).size());
  return field;
}

}  // namespace

void check_local_updates(const TrainingConfig& training, const ClusterSpec& cluster, const PlanPaths& paths,
                         const Places& places, Diagnostics& faults) {
  const int workers = training.local.workers;
  if (workers < 2) return;
  const std::size_t before = faults.size();
  const auto divides = [&](const std::string& path, std::int64_t value, const char* what) {
    if (value % workers == 0) return;
    faults.push_back(places.fault(path, fmt::format("{} for {} workers of training.local_updates", value, workers),
                                  fmt::format("{} that they share evenly", what)));
  };
  divides("cluster.nodes", cluster.nodes, "nodes");
  divides(paths.plan + ".data", training.plan.data, "replicas");
  divides(paths.batch + ".sequences", training.batch.sequences, "sequences");
  if (cluster.fabric.sites > 1 && cluster.fabric.sites != workers)
    faults.push_back(places.fault("training.local_updates.workers",
                                  fmt::format("{} on {} sites", workers, cluster.fabric.sites),
                                  "a worker in each site"));
  if (faults.size() > before) return;
  TrainingConfig worker = training;
  worker.plan.data /= workers;
  worker.batch.sequences /= workers;
  worker.local = {};
  ClusterSpec own = cluster;
  own.nodes /= workers;
  own.fabric.sites = 1;
  for (const Diagnostic& fault : plan_faults(worker, own))
    faults.push_back(places.fault(
        moved(fault.field, paths),
        fmt::format("{} in each of {} workers of training.local_updates", fault.found, workers), fault.expected));
}

}  // namespace flopcast
