#include "analysis/studies/size/rl_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/studies/plan/rl_plan.h"
#include "analysis/studies/size/size_search.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"
#include "sim/process.h"

namespace flopcast {
namespace {

class LoopSizing {
 public:
  LoopSizing(const std::string& file, const Environment& environment, const std::vector<std::string>& sets,
             const TrainingSizeOptions& options)
      : file_(file), environment_(environment), sets_(sets), options_(options) {}

  TrainingSize run() && {
    size_.base = load_open_scenario(file_, sets_, libraries()).scenario;
    check();
    size_.date = options_.date ? options_.date : size_.base.date;
    size_.steps = size_.base.rl->loop.run.steps;
    for (const std::string& node : nodes_to_try(options_.nodes, options_.for_china, size_.base, libraries()))
      try_node(node);
    for (std::vector<TrainingCluster>* clusters : {&size_.met, &size_.not_met}) sort(*clusters);
    return std::move(size_);
  }

 private:
  const Libraries& libraries() const { return environment_.data().libraries(); }

  [[noreturn]] void refuse(const std::string& field, const std::string& found, const std::string& expected) const {
    throw InputError(Diagnostic{size_.base.file, 0, 0, field, found, expected, ""});
  }

  void check() const {
    if (!size_.base.rl) refuse("rl", "nothing", "rl { ... }: the loop whose run is to be made");
    if (!options_.deadline && !options_.budget)
      refuse("--deadline", "nothing", "--deadline 10d, --budget 200e3, or both");
    if (options_.for_china && !options_.date && !size_.base.date)
      refuse("--date", "nothing", "the day whose rules hold");
    if (size_.base.rl->loop.run.steps <= 0) refuse("rl.run", "no run", "how many steps: --set rl.run.steps=1000");
    if (size_.base.rl->rollout_cluster)
      refuse("rl.rollout_cluster", "a cluster of its own for the engine", "one cluster, whose size is sought");
  }

  /// What is set for a number of nodes of a kind.
  std::vector<std::string> sets_on(const std::string& node, int nodes) const {
    std::vector<std::string> sets = sets_;
    sets.push_back("cluster.node=" + node);
    sets.push_back(fmt::format("cluster.nodes={}", nodes));
    if (options_.date) sets.push_back("date=" + to_string(*options_.date));
    std::vector<std::string> in_bf16 = sets;
    if (size_.base.rl->loop.algorithm->trains) {
      for (const char* field : {"linear", "dispatch", "activations"})
        in_bf16.push_back(fmt::format("training.precision.{}=bf16", field));
      in_bf16.push_back("training.precision.scaling=none");
    }
    if (size_.base.rl->generates()) {
      in_bf16.push_back("rl.rollout.weights=bf16");
      in_bf16.push_back("rl.rollout.dispatch=bf16");
    }
    const Scenario scenario = load_open_scenario(file_, in_bf16, libraries()).scenario;
    return scenario.cluster.node.gpu.fp8_peak > FlopPerSecond(0) ? sets : in_bf16;
  }

  std::optional<TrainingCluster> best_on(const std::string& node, int nodes) {
    const std::vector<std::string> sets = sets_on(node, nodes);
    LoopPlanOptions options;
    options.workers = options_.workers;
    options.brief = true;
    options.keep = {"batch"};
    const std::string where = fmt::format("{} nodes of {}", nodes, node);
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
    const auto gpu_price = price_on(scenario, node, size_.base, size_.date, environment_.data().prices());
    RlOptions run = rl_options(scenario, environment_, {});
    run.keep_going = {};
    const RlReport report = run_rl(scenario, run);
    TrainingCluster cluster;
    cluster.node = node;
    cluster.gpu = scenario.cluster.node.gpu.name;
    cluster.nodes = nodes;
    cluster.gpus = scenario.cluster.gpus();
    const RlScenario &loop = *scenario.rl, &asked = *size_.base.rl;
    if (!(loop.update.precision == asked.update.precision &&
          loop.rollout.engine.precision == asked.rollout.engine.precision))
      cluster.precision_note = "in BF16";
    cluster.layout = loop_text(study->plans.front().choice);
    cluster.replayed = true;
    cluster.step = report.step.length;
    cluster.days = in_hours(report.run->time.total()) / 24;
    cluster.gpu_hours = cluster.days * 24 * cluster.gpus;
    if (gpu_price) cluster.usd = (*gpu_price * hours(cluster.gpu_hours)).value();
    cluster.in_time = !options_.deadline || cluster.days * 86400 <= options_.deadline->value();
    cluster.in_budget = !options_.budget || (cluster.usd && *cluster.usd <= options_.budget->value());
    return cluster;
  }

  void try_node(const std::string& node) {
    try {
      const Scenario one = load_open_scenario(file_, sets_on(node, 1), libraries()).scenario;
      if (options_.for_china) {
        const RuleBook book = load_rule_book(libraries(), {});
        const std::string why = kept_from_china(one.cluster.node.gpu.name, *size_.date, book, libraries());
        if (!why.empty()) {
          size_.left_out.push_back({node, why});
          return;
        }
      }
      seek(node, one.cluster.node.gpus);
    } catch (const InputError& error) {
      size_.left_out.push_back({node, brief(error)});
    }
  }

  /// Days fall with size as far as the longest answer lets them. The smallest cluster in time is the cheapest that is;
  /// without a deadline the largest within the budget is the fastest.
  void seek(const std::string& node, int gpus_of_node) {
    const std::vector<int> sizes = sizes_tried(std::max(1, options_.most_gpus / gpus_of_node));
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
    const auto good = [&](std::size_t i) {
      if (++walked > kMostSizes) return false;
      const auto& cluster = at(i);
      return cluster && (options_.deadline ? cluster->in_time : cluster->in_budget);
    };
    const std::optional<std::size_t> found = furthest(sizes.size(), guess, !options_.deadline, good);
    std::optional<TrainingCluster> answer, largest;
    if (found) answer = *at(*found);
    if (found && options_.deadline) refine(node, sizes, *found, *answer);
    for (const auto& [i, cluster] : tried) {
      if (!cluster) continue;
      size_.tried.push_back(*cluster);
      if (!largest || cluster->days < largest->days) largest = cluster;
    }
    if (!answer) answer = largest;
    if (!answer) {
      size_.left_out.push_back({node, why_not_.empty() ? "no layout fits into its memory" : why_not_});
      return;
    }
    (answer->in_time && answer->in_budget ? size_.met : size_.not_met).push_back(*answer);
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

  static void sort(std::vector<TrainingCluster>& clusters) {
    std::stable_sort(clusters.begin(), clusters.end(), [](const TrainingCluster& a, const TrainingCluster& b) {
      if (a.usd.has_value() != b.usd.has_value()) return a.usd.has_value();
      if (a.usd && *a.usd != *b.usd) return *a.usd < *b.usd;
      return a.gpus < b.gpus;
    });
  }

  /// Sizes that are tried of a kind of node: each is a search over layouts.
  static constexpr std::size_t kMostSizes = 12;

  const std::string& file_;
  const Environment& environment_;
  const std::vector<std::string>& sets_;
  const TrainingSizeOptions& options_;
  TrainingSize size_;
  std::string why_not_;  // of the last cluster on which nothing ran
};

}  // namespace

TrainingSize size_loop(const std::string& file_or_name, const Environment& environment,
                       const std::vector<std::string>& sets, const TrainingSizeOptions& options) {
  return LoopSizing(file_or_name, environment, sets, options).run();
}

}  // namespace flopcast
