#include "analysis/studies/size/rl_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/runs/training/show/report_words.h"
#include "analysis/studies/plan/rl_plan.h"
#include "analysis/studies/size/cluster_sizing.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

class LoopSizing final : public ClusterSizing {
 public:
  using ClusterSizing::ClusterSizing;

 private:
  void check_work() const override {
    if (!size_.base.rl) refuse("rl", "nothing", "rl { ... }: the loop whose run is to be made");
  }
  const char* example() const override { return "--deadline 10d, --budget 200e3"; }
  void count_work() override {
    size_.steps = size_.base.rl->loop.run.steps;
    if (size_.steps <= 0) refuse("rl.run", "no run", "how many steps: --set rl.run.steps=1000");
  }
  /// Where the engine has a cluster of its own, both grow together: its nodes stay in the stated proportion.
  int engine_nodes(int nodes) const {
    const auto& elsewhere = size_.base.rl->rollout_cluster;
    if (!elsewhere) return 0;
    const double proportion = static_cast<double>(elsewhere->nodes) / size_.base.cluster.nodes;
    return std::max(1, static_cast<int>(std::lround(nodes * proportion)));
  }
  Scenario on_one(const std::string& node) const override {
    return load_open_scenario(file_, sets_in_its_formats(node, 1), libraries()).scenario;
  }

  /// The same in BF16, where the chip has no FP8 units.
  std::vector<std::string> sets_in_its_formats(const std::string& node, int nodes) const {
    std::vector<std::string> sets = sets_on(node, nodes);
    const auto& elsewhere = size_.base.rl->rollout_cluster;
    if (elsewhere) sets.push_back(fmt::format("rl.rollout_cluster.nodes={}", engine_nodes(nodes)));
    std::vector<std::string> in_bf16 = sets;
    if (size_.base.rl->loop.algorithm->trains) {
      for (const char* field : {"linear", "dispatch", "activations"})
        in_bf16.push_back(fmt::format("training.precision.{}=bf16", field));
      in_bf16.push_back("training.precision.scaling=none");
    }
    if (size_.base.rl->generates() && !elsewhere) {
      in_bf16.push_back("rl.rollout.weights=bf16");
      in_bf16.push_back("rl.rollout.dispatch=bf16");
    }
    const Scenario scenario = load_open_scenario(file_, in_bf16, libraries()).scenario;
    return scenario.cluster.node.gpu.fp8_peak > FlopPerSecond(0) ? sets : in_bf16;
  }

  std::optional<TrainingCluster> best_on(const std::string& node, int nodes) {
    const std::vector<std::string> sets = sets_in_its_formats(node, nodes);
    LoopPlanOptions options;
    options.workers = options_.workers;
    options.brief = true;
    options.keep = {"batch"};
    const std::string where = fmt::format("{} of {}", report_words::plural(nodes, "node"), node);
    if (options_.progress) {
      options.progress = [this, where](const std::string&, std::size_t done, std::size_t all) {
        return options_.progress(where, done, all);
      };
    }
    std::optional<LoopPlanStudy> study;
    try {
      study = plan_loop(file_, environment_, sets, options);
    } catch (const InputError& error) {
      why_not_ = first_of(error);
      return std::nullopt;
    }
    std::vector<std::string> chosen = sets;
    for (std::string& setting : loop_settings(study->plans.front().choice, study->base))
      chosen.push_back(std::move(setting));
    Scenario scenario = resolve(file_, environment_, chosen).value();
    scenario.published.clear();
    RlOptions run = rl_options(scenario, environment_, {});
    run.keep_going = {};
    const RlReport report = run_rl(scenario, run);
    TrainingCluster cluster = cluster_of(scenario, node, nodes);
    if (const auto& elsewhere = scenario.rl->rollout_cluster) {
      cluster.gpus += elsewhere->gpus();
      cluster.gpu += " + " + elsewhere->node.gpu.name;
      cluster.beside = fmt::format("{} x {}", elsewhere->nodes, elsewhere->node.name);
    }
    const RlScenario &loop = *scenario.rl, &asked = *size_.base.rl;
    if (!(loop.update.precision == asked.update.precision &&
          loop.rollout.engine.precision == asked.rollout.engine.precision))
      cluster.precision_note = "in BF16";
    cluster.layout = loop_text(study->plans.front().choice);
    cluster.replayed = true;
    cluster.step = report.step.length;
    set_run(cluster, in_hours(report.run->time.total()) / 24, mean_price(scenario, node));
    cluster.days_range = report.range_of(cluster.days);
    const auto most = most_days(cluster);
    if (most && cluster.days_range) cluster.odds = odds_within(*cluster.days_range, *most);
    return cluster;
  }

  /// Of a GPU-hour of the loop: where there are two kinds, the mean of both.
  std::optional<UsdPerSecond> mean_price(const Scenario& scenario, const std::string& node) const {
    const std::optional<UsdPerSecond> own = price(scenario, node);
    const auto& elsewhere = scenario.rl->rollout_cluster;
    if (!elsewhere || !own) return own;
    if (size_.base.price.stated && node == size_.base.cluster.node.name) return own;  // of all GPUs alike
    Scenario engine = scenario;
    engine.cluster = *elsewhere;
    const std::optional<UsdPerSecond> other = price(engine, elsewhere->node.name);
    if (!other) return std::nullopt;
    const double share = static_cast<double>(elsewhere->gpus()) / (elsewhere->gpus() + scenario.cluster.gpus());
    return *own * (1 - share) + *other * share;
  }

  /// Days fall with size as far as the longest answer lets them. The smallest cluster in time is the cheapest that is;
  /// without a deadline the largest within the budget is the fastest.
  void seek(const std::string& node, const Scenario& one) override {
    const int gpus_of_node = one.cluster.node.gpus;
    const auto& elsewhere = size_.base.rl->rollout_cluster;
    const int beside =  // GPUs of the engine's cluster for a node
        elsewhere ? (elsewhere->gpus() + size_.base.cluster.nodes - 1) / size_.base.cluster.nodes : 0;
    const std::vector<int> sizes = sizes_tried(std::max(1, options_.most_gpus / (gpus_of_node + beside)));
    std::map<std::size_t, std::optional<TrainingCluster>> tried;
    const auto at = [&](std::size_t i) -> const std::optional<TrainingCluster>& {
      const auto [found, fresh] = tried.try_emplace(i);
      if (fresh) found->second = best_on(node, sizes[i]);
      return found->second;
    };
    const auto place_of = [&](double nodes) {
      const auto found = std::lower_bound(sizes.begin(), sizes.end(), std::ceil(std::min(nodes, 1e8)));
      return std::min(static_cast<std::size_t>(found - sizes.begin()), sizes.size() - 1);
    };
    std::size_t guess =
        place_of(std::max(1.0, std::ceil(static_cast<double>(size_.base.cluster.gpus()) / gpus_of_node)));
    if (at(guess) && options_.deadline) guess = place_of(sizes[guess] * at(guess)->days / in_days(*options_.deadline));
    std::size_t walked = 0;
    const auto does = [&](std::size_t i) { return ++walked <= kMostSizes && good(at(i)); };
    const std::optional<std::size_t> found = furthest(sizes.size(), guess, !options_.deadline, does);
    std::optional<TrainingCluster> answer, largest;
    if (found) answer = *at(*found);
    if (found && options_.deadline) refine(node, sizes, *found, *answer);
    for (const auto& [i, cluster] : tried) {
      if (!cluster) continue;
      size_.tried.push_back(*cluster);
      if (!largest || cluster->days < largest->days) largest = cluster;
    }
    if (!answer) answer = largest;
    if (!answer) return leave_out(node, why_not_.empty() ? "no layout fits into its memory" : why_not_);
    file(*answer);
  }

  /// Between the smallest size in time and the one below it, halving: each is a search over layouts.
  void refine(const std::string& node, const std::vector<int>& sizes, std::size_t found, TrainingCluster& answer) {
    FineSizes fine = sizes_about(sizes, found);
    std::erase_if(fine.nodes, [&](int nodes) { return nodes >= sizes[found]; });
    answer.apart = fine.apart;
    std::size_t low = 0, high = fine.nodes.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      const auto cluster = best_on(node, fine.nodes[middle]);
      if (cluster) size_.tried.push_back(*cluster);
      const bool does = cluster && cluster->in_time && (cluster->in_budget || !answer.in_budget);
      if (does) {
        answer = *cluster;
        answer.apart = fine.apart;
        high = middle;
      } else {
        low = middle + 1;
      }
    }
  }

  /// Sizes that are tried of a kind of node: each is a search over layouts.
  static constexpr std::size_t kMostSizes = 12;

  std::string why_not_;  // of the last cluster on which nothing ran
};

}  // namespace

TrainingSize size_loop(const std::string& file_or_name, const Environment& environment,
                       const std::vector<std::string>& sets, const TrainingSizeOptions& options) {
  return LoopSizing(file_or_name, environment, sets, options).run();
}

}  // namespace flopcast
