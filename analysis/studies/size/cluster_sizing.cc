#include "analysis/studies/size/cluster_sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "analysis/face/environment_data.h"
#include "scenarios/resolve/load_scenario.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

/// The cheapest first; where prices are not known, the fewest GPUs first.
void sort_by_cost(std::vector<TrainingCluster>& clusters) {
  std::stable_sort(clusters.begin(), clusters.end(), [](const TrainingCluster& a, const TrainingCluster& b) {
    if (a.usd.has_value() != b.usd.has_value()) return a.usd.has_value();
    if (a.usd && *a.usd != *b.usd) return *a.usd < *b.usd;
    return a.gpus < b.gpus;
  });
}

}  // namespace

ClusterSizing::ClusterSizing(const std::string& file, const Environment& environment,
                             const std::vector<std::string>& sets, const TrainingSizeOptions& options)
    : file_(file), environment_(environment), sets_(sets), options_(options) {}

TrainingSize ClusterSizing::run() {
  size_.base = load_open_scenario(file_, sets_, libraries()).scenario;
  check_work();
  if (!options_.deadline && !options_.budget) refuse("--deadline", "nothing", fmt::format("{}, or both", example()));
  if (options_.for_china && !options_.date && !size_.base.date) refuse("--date", "nothing", "the day whose rules hold");
  size_.date = options_.date ? options_.date : size_.base.date;
  count_work();
  if (options_.for_china) rules_ = load_rule_book(libraries(), {});
  try_nodes();
  sort_by_cost(size_.met);
  sort_by_cost(size_.not_met);
  return std::move(size_);
}

void ClusterSizing::try_nodes() {
  for (const std::string& node : nodes_to_try(options_.nodes, options_.for_china, size_.base, libraries()))
    try_node(node);
  if (!rules_ || !options_.nodes.empty()) return;
  for (const std::string& gpu : chips_without_node(libraries())) try_made_node(gpu);
}

void ClusterSizing::try_node(const std::string& node) {
  try {
    const Scenario one = on_one(node);
    std::vector<std::string> gpus{one.cluster.node.gpu.name};
    if (one.rl && one.rl->rollout_cluster) gpus.push_back(one.rl->rollout_cluster->node.gpu.name);
    if (!kept(node, gpus)) seek(node, one);
  } catch (const InputError& error) {
    leave_out(node, brief(error));
  }
}

void ClusterSizing::try_made_node(const std::string& gpu) {
  if (kept(gpu, {gpu})) return;
  const MadeNode made = made_node(gpu, libraries());
  if (made.sets.empty()) return leave_out(gpu, made.what);
  made_of_ = made.sets;
  const std::size_t left_out = size_.left_out.size();
  try_node(made.name);
  made_of_.clear();
  if (size_.left_out.size() == left_out) size_.made.push_back({made.name, made.what});
}

bool ClusterSizing::kept(const std::string& node, const std::vector<std::string>& gpus) {
  if (!rules_) return false;
  for (const std::string& gpu : gpus) {
    const KeptFromChina found = kept_from_china(gpu, *size_.date, *rules_, libraries());
    if (found.why.empty()) continue;
    leave_out(node, (gpu == gpus.front() ? "" : gpu + ": ") + found.why, found.times_over);
    size_.left_out.back().free_until = last_free_day(gpu, *size_.date, *rules_, libraries());
    return true;
  }
  return false;
}

const Libraries& ClusterSizing::libraries() const { return environment_.data().libraries(); }

void ClusterSizing::refuse(const std::string& field, const std::string& found, const std::string& expected) const {
  throw InputError(Diagnostic{size_.base.file, 0, 0, field, found, expected, ""});
}

std::vector<std::string> ClusterSizing::sets_on(const std::string& node, int nodes) const {
  std::vector<std::string> sets = sets_;
  if (made_of_.empty())
    sets.push_back("cluster.node=" + node);
  else
    sets.insert(sets.end(), made_of_.begin(), made_of_.end());
  sets.push_back(fmt::format("cluster.nodes={}", nodes));
  if (options_.date) sets.push_back("date=" + to_string(*options_.date));
  return sets;
}

std::optional<UsdPerSecond> ClusterSizing::price(const Scenario& scenario, const std::string& node) const {
  return price_on(scenario, node, size_.base, size_.date, environment_.data().prices());
}

TrainingCluster ClusterSizing::cluster_of(const Scenario& scenario, const std::string& node, int nodes) const {
  TrainingCluster cluster;
  cluster.node = node;
  cluster.gpu = scenario.cluster.node.gpu.name;
  cluster.nodes = nodes;
  cluster.gpus = scenario.cluster.gpus();
  return cluster;
}

void ClusterSizing::set_run(TrainingCluster& cluster, double days, std::optional<UsdPerSecond> gpu_price) const {
  cluster.days = days;
  cluster.gpu_hours = days * 24 * cluster.gpus;
  if (gpu_price) cluster.usd = (*gpu_price * hours(cluster.gpu_hours)).value();
  cluster.in_time = !options_.deadline || days * 86400 <= options_.deadline->value();
  cluster.in_budget = !options_.budget || (cluster.usd && *cluster.usd <= options_.budget->value());
}

std::optional<double> ClusterSizing::most_days(const TrainingCluster& cluster) const {
  std::optional<double> out;
  if (options_.deadline) out = in_days(*options_.deadline);
  if (options_.budget && cluster.usd && *cluster.usd > 0) {
    const double affordable = cluster.days * options_.budget->value() / *cluster.usd;
    out = std::min(out.value_or(affordable), affordable);
  }
  return out;
}

bool ClusterSizing::good(const std::optional<TrainingCluster>& cluster) const {
  return cluster && (options_.deadline ? cluster->in_time : cluster->in_budget);
}

void ClusterSizing::leave_out(const std::string& node, std::string why, double times_over) {
  size_.left_out.push_back({node, std::move(why), times_over});
}

void ClusterSizing::file(TrainingCluster cluster) {
  (cluster.in_time && cluster.in_budget ? size_.met : size_.not_met).push_back(std::move(cluster));
}

}  // namespace flopcast
