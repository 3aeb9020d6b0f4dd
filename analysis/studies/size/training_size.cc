#include "analysis/studies/size/training_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/training/projection.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/show/report_words.h"
#include "analysis/studies/size/cluster_sizing.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

/// Plans to price per cluster while the size is sought.
constexpr double kEffortPerCluster = 20'000;
/// A first guess of what a chip does of its peak: where the search for a size begins.
constexpr double kGuessedUtilisation = 0.35;
/// Sizes that are in time and over the budget, after which no larger one is looked at.
constexpr int kMostTooDear = 3;

class TrainingSizing final : public ClusterSizing {
 public:
  using ClusterSizing::ClusterSizing;

 private:
  void check_work() const override {
    if (!size_.base.training) refuse("training", "nothing", "training { ... }: what is to be trained");
  }
  const char* example() const override { return "--deadline 60d, --budget 8e6"; }
  void count_work() override {
    size_.tokens = tokens_to_train(size_.base);
    if (size_.tokens <= 0) refuse("run", "no tokens to train on", "run { phase { tokens: \"...\" } }");
  }
  Scenario on_one(const std::string& node) const override { return on(node, 1).scenario; }

  /// The scenario on a number of nodes of a kind.
  struct Candidate {
    Scenario scenario;
    std::set<std::string> stated;
  };
  Candidate on(const std::string& node, int nodes) const {
    std::vector<std::string> sets = sets_on(node, nodes);
    OpenScenario open;
    open_in_its_formats(file_, sets, libraries(), open);
    Candidate result;
    open.scenario.published.clear();
    result.stated = std::move(open.stated);
    result.scenario = completed(std::move(open.scenario), environment_.data()).value();
    return result;
  }

  std::optional<TrainingCluster> best_on(const std::string& node, int nodes) {
    const Candidate candidate = on(node, nodes);
    const Scenario& scenario = candidate.scenario;
    OpenFields fields;
    fields.stated = candidate.stated;
    fields.open = {"all"};
    const PlanSpace space = plan_space(scenario, fields, {});
    SearchOptions search;
    search.workers = options_.workers;
    search.keep = 8;
    search.effort = kEffortPerCluster;
    if (scenario.cluster.gpus() == size_.base.cluster.gpus()) search.ranked = own_plan(scenario, space);
    const std::string stage = fmt::format("{} of {}", report_words::plural(nodes, "node"), node);
    if (options_.progress) {
      search.progress = [this, stage](std::size_t done, std::size_t all) {
        return options_.progress(stage, done, all);
      };
    }
    SearchResult found = search_plans(space, estimator_of(scenario, space), search);
    if (found.ranked && found.ranked->estimate.fits) {
      found.best.push_back(*found.ranked);
      std::stable_sort(found.best.begin(), found.best.end(), faster);
    }
    if (found.best.empty()) return std::nullopt;
    TrainingCluster cluster = cluster_of(scenario, node, nodes);
    if (!(scenario.training->precision == size_.base.training->precision)) cluster.precision_note = "in BF16";
    cluster.plan = found.best.front();
    cluster.step = cluster.plan.estimate.step;
    const double steps = size_.tokens / static_cast<double>(scenario.training->batch.tokens());
    set_run(cluster, steps * cluster.step.value() / 86400, price(scenario, node));
    return cluster;
  }

  /// Days fall and dollars rise with size. The smallest cluster in time is the cheapest that is; without a deadline the
  /// largest within the budget is the fastest. A grid of sizes in closed form says where to look; about there every
  /// size is tried, and decided by a replay, which knows ramp and interruptions.
  void seek(const std::string& node, const Scenario& one) override {
    std::vector<int> sizes = sizes_tried(std::max(1, options_.most_gpus / one.cluster.node.gpus));
    const std::string no_larger = keep_those_that_stand(node, sizes);
    std::map<int, std::optional<TrainingCluster>> tried;
    const auto at = [&](int nodes) -> const std::optional<TrainingCluster>& {
      const auto [found, fresh] = tried.try_emplace(nodes);
      if (fresh) found->second = best_on(node, nodes);
      return found->second;
    };
    const auto does = [&](int nodes) { return good(at(nodes)); };
    const std::optional<std::size_t> found = furthest(sizes.size(), first_guess(one, sizes), !options_.deadline,
                                                      [&](std::size_t i) { return does(sizes[i]); });
    std::optional<TrainingCluster> answer, nearest;
    if (found) {
      const FineSizes fine = sizes_about(sizes, *found);
      const std::vector<int> wanted = in_order(fine, sizes, *found);
      int dear = 0;  // in time and over the budget: what is larger is dearer yet, but for how a batch divides
      for (std::size_t i = first_good(wanted, sizes[*found], fine.apart, does); i < wanted.size(); ++i) {
        const int nodes = wanted[i];
        if (!does(nodes)) continue;
        TrainingCluster cluster = *at(nodes);
        replay(cluster);
        cluster.apart = fine.apart;
        if (!nearest || nearer(cluster, *nearest)) nearest = cluster;
        if (options_.deadline && cluster.in_time && !cluster.in_budget && ++dear == kMostTooDear) break;
        if (!cluster.in_time || !cluster.in_budget) continue;
        answer = std::move(cluster);
        break;
      }
    }
    if (answer && options_.deadline) add_larger(*answer, sizes, at);
    for (const auto& [nodes, cluster] : tried) {
      if (!cluster) continue;
      size_.tried.push_back(*cluster);
      if (!found) nearest = cluster;  // the largest
    }
    if (!answer && !nearest) return leave_out(node, "no plan fits into its memory");
    if (!answer && !nearest->replayed) replay(*nearest);
    if (!answer && !no_larger.empty())
      leave_out(node, fmt::format("more than {} nodes: {}", format_integer(sizes.back()), no_larger));
    file(answer ? *answer : *nearest);
  }

  /// Drops the sizes that are too large for what joins the nodes. @return why there are no larger ones; empty: all
  /// stand.
  std::string keep_those_that_stand(const std::string& node, std::vector<int>& sizes) const {
    std::string why;
    const auto stands = [&](int nodes) {
      try {
        const FabricGraph built(on(node, nodes).scenario.cluster);  // refuses what its switches cannot join
        return true;
      } catch (const InputError& error) {
        why = brief(error);
        return false;
      }
    };
    // Where not even the smallest stands, size has nothing to do with it.
    if (stands(sizes.back()) || !stands(sizes.front())) return "";
    std::size_t low = 0, high = sizes.size() - 1;
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (stands(sizes[middle]) ? low : high) = middle;
    }
    sizes.resize(low + 1);
    return why;
  }

  /// Of the sizes about the one that was found those that are wanted most come first; behind them a few of the grid,
  /// for runs whose interruptions take much.
  std::vector<int> in_order(const FineSizes& fine, const std::vector<int>& sizes, std::size_t found) const {
    constexpr std::size_t kFurther = 4;
    std::vector<int> out = fine.nodes;
    if (!options_.deadline) {
      std::reverse(out.begin(), out.end());
      for (std::size_t i = 1; i <= std::min(kFurther, found); ++i) out.push_back(sizes[found - i]);
    } else {
      for (std::size_t i = found + 2; i < std::min(found + 2 + kFurther, sizes.size()); ++i) out.push_back(sizes[i]);
    }
    return out;
  }

  /// Where to begin: at the first, or, where sizes stand for others between them, at the first that does, by halving up
  /// to `known`, which does.
  template <class Good>
  static std::size_t first_good(const std::vector<int>& wanted, int known, int apart, const Good& good) {
    if (apart == 1) return 0;
    std::size_t low = 0,
                high = static_cast<std::size_t>(std::find(wanted.begin(), wanted.end(), known) - wanted.begin());
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (good(wanted[middle]))
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }

  /// Which of two says better what would have to change.
  bool nearer(const TrainingCluster& a, const TrainingCluster& b) const {
    if (a.in_time != b.in_time) return a.in_time;
    if (!a.in_time) return a.days < b.days;
    if (a.usd.has_value() != b.usd.has_value()) return a.usd.has_value();
    return a.usd && *a.usd < *b.usd;
  }

  /// The next larger one of the grid buys time.
  template <class At>
  void add_larger(const TrainingCluster& answer, const std::vector<int>& sizes, const At& at) {
    const auto next = std::upper_bound(sizes.begin(), sizes.end(), answer.nodes);
    if (next == sizes.end() || !at(*next)) return;
    TrainingCluster larger = *at(*next);
    replay(larger);
    if (larger.in_time && larger.in_budget) size_.met.push_back(std::move(larger));
  }

  std::size_t first_guess(const Scenario& one, const std::vector<int>& sizes) const {
    const TrainingConfig& config = *one.training;
    const double flop = size_.tokens * model_flop_per_token(config, true);
    const double node_rate = kGuessedUtilisation * one.cluster.node.gpu.bf16_peak.value() * one.cluster.node.gpus;
    double nodes = static_cast<double>(size_.base.cluster.nodes);
    if (options_.deadline) nodes = flop / node_rate / options_.deadline->value();
    const auto found = std::lower_bound(sizes.begin(), sizes.end(), static_cast<int>(std::ceil(std::min(nodes, 1e8))));
    return std::min(static_cast<std::size_t>(found - sizes.begin()), sizes.size() - 1);
  }

  /// The whole run, with ramp and interruptions.
  void replay(TrainingCluster& cluster) {
    if (options_.progress && !options_.progress("replaying the run", 0, 1)) throw Interrupted();
    const Candidate candidate = on(cluster.node, cluster.nodes);
    OpenFields fields;
    fields.stated = candidate.stated;
    fields.open = {"all"};
    const PlanSpace space = plan_space(candidate.scenario, fields, {});
    Scenario planned = with_plan(candidate.scenario, cluster.plan.choice, space);
    const auto gpu_price = price(candidate.scenario, cluster.node);
    planned.price.gpu = gpu_price.value_or(UsdPerSecond(0));
    RunOptions options;
    options.power = environment_.data().power(planned.cluster.node.gpu.architecture);
    options.errors = environment_.data().step_errors();
    options.losses = environment_.data().run_losses();
    const TrainingReport report = run_training(planned, options);
    const std::vector<Metric> figures = metrics(report);
    const Metric* days = find_metric(figures, "projection.days");
    cluster.replayed = true;
    cluster.step = report.step_time;
    set_run(cluster, days != nullptr && days->number() ? *days->number() : cluster.days, gpu_price);
    if (report.range) cluster.fits = report.range->fits;
    if (!report.projection || !report.projection->spread) return;
    const Projection& run = *report.projection;
    const auto at = [&](double over) { return in_days(run.elapsed_at(over)); };
    cluster.days_range = {at(run.spread->p5), at(run.spread->p50), at(run.spread->p95)};
    if (const auto most = most_days(cluster)) cluster.odds = run.odds_within(Seconds(*most * 86400));
  }
};

}  // namespace

TrainingSize size_training(const std::string& file_or_name, const Environment& environment,
                           const std::vector<std::string>& sets, const TrainingSizeOptions& options) {
  return TrainingSizing(file_or_name, environment, sets, options).run();
}

}  // namespace flopcast
