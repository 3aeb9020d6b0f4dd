#include "analysis/studies/size/training_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
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

/// By how much longer than it may take a step may be in closed form: replays are that much faster at times.
constexpr double kSlack = 1.05;
/// Plans that are looked for in closed form where only the fastest counts.
constexpr std::size_t kKept = 8;
/// Sizes above the smallest that does, as many times as large: one of them may be cheaper.
constexpr double kEveryUpTo = 1.25, kSomeUpTo = 2;
/// Clusters that get the whole search for a plan, and a replay, before the search for a size ends.
constexpr int kMostPlanned = 24;
constexpr int kMostSizesBetween = 64;

/// What is asked for, all of it or a part.
struct Limits {
  std::optional<Seconds> deadline;
  std::optional<Usd> budget;
};

bool keeps(const TrainingCluster& cluster, const Limits& limits) {
  return (!limits.deadline || cluster.in_time) && (!limits.budget || cluster.in_budget);
}

/// Which of two says better what would have to change.
bool nearer(const TrainingCluster& a, const TrainingCluster& b) {
  if (a.in_time != b.in_time) return a.in_time;
  if (!a.in_time) return a.days < b.days;
  if (a.usd.has_value() != b.usd.has_value()) return a.usd.has_value();
  return a.usd && *a.usd < *b.usd;
}

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

  struct Planned {
    std::optional<TrainingCluster> cluster;
    Seconds longest;  ///< plans that take longer were not looked for
  };

  /// What the closed form finds on a number of nodes.
  struct Looked {
    std::optional<TrainingCluster> best;
    Seconds longest;  ///< plans that take longer were not looked for
    Seconds floor;    ///< no step takes less
  };

  /// The longest step with which a run keeps the limits, without ramp and interruptions. A budget says nothing where no
  /// price is known.
  Seconds longest_step(int nodes, const Limits& limits) const {
    double seconds = StepEstimator::kAnyLength.value();
    if (limits.deadline) seconds = limits.deadline->value();
    if (limits.budget && kind_.price) {
      const double gpus = static_cast<double>(nodes) * kind_.gpus_per_node;
      seconds = std::min(seconds, limits.budget->value() / (kind_.price->value() * gpus));
    }
    return Seconds(seconds / kind_.steps);
  }

  /// The fastest plan in closed form, as far as it takes no longer.
  const Looked& look(int nodes, Seconds longest) {
    const auto known = kind_.looked.find(nodes);
    if (known != kind_.looked.end() && (known->second.best || known->second.longest >= longest)) return known->second;
    const Candidate candidate = on(kind_.node, nodes);
    const Scenario& scenario = candidate.scenario;
    OpenFields fields;
    fields.stated = candidate.stated;
    fields.open = {"all"};
    const PlanSpace space = plan_space(scenario, fields, {});
    SearchOptions search;
    search.workers = options_.workers;
    search.keep = kKept;
    search.longest = longest;
    search.effort = PlanOptions{}.effort;
    search.rank_slack = 1;
    if (scenario.cluster.gpus() == size_.base.cluster.gpus()) search.ranked = own_plan(scenario, space);
    if (options_.progress) search.progress = progress_on(nodes);
    SearchResult found = search_plans(space, estimator_of(scenario, space), search);
    if (found.ranked && found.ranked->estimate.fits && found.ranked->estimate.step <= longest) {
      found.best.push_back(*found.ranked);
      std::stable_sort(found.best.begin(), found.best.end(), faster);
    }
    Looked& looked = kind_.looked[nodes];
    looked = {std::nullopt, longest, found.floor};
    if (found.best.empty()) return looked;
    TrainingCluster cluster = cluster_of(scenario, kind_.node, nodes);
    if (!(scenario.training->precision == size_.base.training->precision)) cluster.precision_note = "in BF16";
    cluster.plan = found.best.front();
    cluster.step = cluster.plan.estimate.step;
    set_run(cluster, kind_.steps * cluster.step.value() / 86400, kind_.price);
    looked.best = std::move(cluster);
    return looked;
  }

  std::function<bool(std::size_t, std::size_t)> progress_on(int nodes) const {
    const std::string stage = fmt::format("{} of {}", report_words::plural(nodes, "node"), kind_.node);
    return [this, stage](std::size_t done, std::size_t all) { return options_.progress(stage, done, all); };
  }

  /// Whether a plan may keep the limits on a number of nodes, as far as the closed form says.
  bool may_do(int nodes, Seconds longest) {
    const Looked& looked = look(nodes, longest);
    return looked.best && looked.best->step <= longest;
  }
  bool may_do(int nodes, const Limits& limits) { return may_do(nodes, longest_step(nodes, limits) * kSlack); }

  /// The plan that `plan` finds on a number of nodes, and the run with it, replayed with ramp and interruptions.
  std::optional<TrainingCluster> with_plan_of(int nodes, Seconds longest) {
    std::vector<std::string> sets = sets_on(kind_.node, nodes);
    OpenScenario open;
    open_in_its_formats(file_, sets, libraries(), open);
    PlanOptions plan;
    plan.open.open = {"all"};
    plan.workers = options_.workers;
    plan.rank_slack = 1;
    plan.longest = longest;
    if (options_.progress) {
      plan.progress = [progress = progress_on(nodes)](const std::string&, std::size_t done, std::size_t all) {
        return progress(done, all);
      };
    }
    try {
      const PlanStudy study = plan_study(file_, environment_, sets, plan);
      TrainingCluster cluster = cluster_of(study.base, kind_.node, nodes);
      if (!(study.base.training->precision == size_.base.training->precision)) cluster.precision_note = "in BF16";
      cluster.plan = study.plans.front().screened;
      cluster.surely_fits = study.plans.front().surely_fits();
      replay(cluster);
      cluster.apart = kind_.apart;
      return cluster;
    } catch (const InputError& error) {
      if (longest == StepEstimator::kAnyLength) kind_.why_not = brief(error);
      return std::nullopt;
    }
  }

  /// The same, or none: no plan takes so little. What `plan` puts first surely fits, if any plan does: where none that
  /// takes so little does, a longer one may, which is looked for unless this is but an alternative.
  const std::optional<TrainingCluster>& planned(int nodes, Seconds longest, bool alternative = false) {
    static const std::optional<TrainingCluster> kNone;
    Planned& known = kind_.planned[nodes];
    if (!known.cluster && known.longest < longest) known = {with_plan_of(nodes, longest), longest};
    const bool unsure = known.cluster && known.cluster->in_time && !known.cluster->surely_fits &&
                        known.longest < StepEstimator::kAnyLength;
    if (unsure && alternative) return kNone;
    if (unsure) known = {with_plan_of(nodes, StepEstimator::kAnyLength), StepEstimator::kAnyLength};
    return known.cluster;
  }

  bool may_plan_more() const { return static_cast<int>(kind_.planned.size()) < kMostPlanned; }

  /// Days fall and dollars rise with size, but for how a model and a batch divide: a size is looked at in closed form,
  /// and decided by the plan that `plan` finds for it.
  void seek(const std::string& node, const Scenario& one) override {
    kind_ = {};
    kind_.node = node;
    kind_.gpus_per_node = one.cluster.node.gpus;
    kind_.price = price(one, node);
    kind_.steps = size_.tokens / static_cast<double>(one.training->batch.tokens());
    std::vector<int> sizes = sizes_tried(std::max(1, options_.most_gpus / one.cluster.node.gpus));
    const std::string no_larger = keep_those_that_stand(node, sizes);
    const Limits all{options_.deadline, options_.budget};
    std::vector<TrainingCluster> answers = clusters_within(all, one, sizes);
    if (answers.empty()) {
      std::optional<TrainingCluster> nearest;
      // What is in time and too dear says by how much.
      if (options_.deadline && options_.budget) {
        for (TrainingCluster& cluster : clusters_within({options_.deadline, {}}, one, sizes))
          if (!nearest || nearer(cluster, *nearest)) nearest = std::move(cluster);
      }
      if (!nearest) nearest = best_of_all(sizes);
      if (nearest) answers.push_back(std::move(*nearest));
      if (nearest && !no_larger.empty())
        leave_out(node, fmt::format("more than {} nodes: {}", format_integer(sizes.back()), no_larger));
    }
    SizesLookedAt looked{node, {}};
    for (const auto& [nodes, at] : kind_.looked) {
      looked.nodes.push_back(nodes);
      const auto with_plan = kind_.planned.find(nodes);
      if (with_plan != kind_.planned.end() && with_plan->second.cluster)
        size_.tried.push_back(*with_plan->second.cluster);
      else if (at.best)
        size_.tried.push_back(*at.best);
    }
    size_.looked_at.push_back(std::move(looked));
    if (answers.empty()) return leave_out(node, kind_.why_not.empty() ? "no plan fits into its memory" : kind_.why_not);
    for (TrainingCluster& cluster : answers) file(std::move(cluster));
  }

  std::vector<TrainingCluster> clusters_within(const Limits& limits, const Scenario& one,
                                               const std::vector<int>& sizes) {
    return limits.deadline ? smallest_within(limits, one, sizes) : fastest_within(limits, sizes);
  }

  /// The smallest cluster that keeps the limits, and the cheapest where that is a larger one.
  std::vector<TrainingCluster> smallest_within(const Limits& limits, const Scenario& one,
                                               const std::vector<int>& sizes) {
    const Limits in_time{limits.deadline, {}};
    const std::size_t first = first_worth_it(one, sizes);
    std::size_t coarse = first;
    while (coarse < sizes.size() && !may_do(sizes[coarse], in_time)) ++coarse;
    if (coarse == sizes.size()) return {};
    std::vector<int> wanted = sizes_between(smallest_possible(sizes, first, coarse, in_time), sizes[coarse]);
    wanted.push_back(sizes[coarse]);
    // Above it for runs whose ramp and interruptions take what was left.
    constexpr std::size_t kFurther = 4;
    if (coarse + 1 < sizes.size()) {
      for (const int nodes : sizes_between(sizes[coarse] + 1, sizes[coarse + 1])) wanted.push_back(nodes);
      for (std::size_t i = coarse + 1; i < std::min(coarse + 1 + kFurther, sizes.size()); ++i)
        wanted.push_back(sizes[i]);
    }
    std::vector<TrainingCluster> out;
    for (const int nodes : wanted) {
      if (!may_plan_more()) break;
      if (!may_do(nodes, limits)) continue;
      const std::optional<TrainingCluster>& cluster = planned(nodes, longest_step(nodes, limits) * kSlack);
      if (!cluster || !keeps(*cluster, limits)) continue;
      out.push_back(*cluster);
      break;
    }
    if (out.empty()) return out;
    const TrainingCluster smallest = out.front();
    std::optional<TrainingCluster> cheapest = cheaper_than(smallest, limits, sizes);
    if (cheapest) out.push_back(std::move(*cheapest));
    add_larger(out.back().nodes, limits, sizes, out);
    return out;
  }

  /// The fewest nodes on which the work of a step, without what it waits for, may take no longer than it may: what is
  /// known of the sizes of the grid that do not do.
  int smallest_possible(const std::vector<int>& sizes, std::size_t first, std::size_t coarse, const Limits& in_time) {
    double node_seconds = std::numeric_limits<double>::infinity();
    for (std::size_t i = first; i <= coarse; ++i)
      node_seconds = std::min(node_seconds, kind_.looked.at(sizes[i]).floor.value() * sizes[i]);
    const double nodes = std::ceil(node_seconds / longest_step(sizes[coarse], in_time).value());
    return std::clamp(static_cast<int>(std::min(nodes, 1e8)), 1, sizes[coarse]);
  }

  /// From one size up to below another: every one where they are not too many, else in equal steps.
  std::vector<int> sizes_between(int from, int to) {
    int apart = 1;
    while ((to - from) / apart > kMostSizesBetween / (to > kMostSizesBetween ? 4 : 1)) apart *= 2;
    kind_.apart = std::max(kind_.apart, apart);
    std::vector<int> out;
    for (int nodes = (from + apart - 1) / apart * apart; nodes < to; nodes += apart) out.push_back(nodes);
    return out;
  }

  /// Where a model or a batch divides badly a larger cluster may need fewer GPU-hours.
  std::optional<TrainingCluster> cheaper_than(const TrainingCluster& smallest, const Limits& limits,
                                              const std::vector<int>& sizes) {
    std::vector<int> wanted =
        sizes_between(smallest.nodes + 1, std::min(sizes.back(), static_cast<int>(smallest.nodes * kEveryUpTo)) + 1);
    for (const int nodes : sizes)
      if (nodes > smallest.nodes * kEveryUpTo && nodes <= smallest.nodes * kSomeUpTo) wanted.push_back(nodes);
    std::optional<TrainingCluster> best;
    for (const int nodes : wanted) {
      const double most = (best ? *best : smallest).gpu_hours;
      const double step = most * 3600 / (static_cast<double>(nodes) * kind_.gpus_per_node * kind_.steps);
      if (!may_plan_more()) break;
      const Seconds longest = std::min(longest_step(nodes, limits), Seconds(step));
      if (!may_do(nodes, longest)) continue;
      const std::optional<TrainingCluster>& cluster = planned(nodes, longest, true);
      if (cluster && keeps(*cluster, limits) && cluster->gpu_hours < most) best = *cluster;
    }
    return best;
  }

  /// The fastest cluster within the budget: as a rule the largest.
  std::vector<TrainingCluster> fastest_within(const Limits& limits, const std::vector<int>& sizes) {
    if (!kind_.price) return {};
    const auto own = std::lower_bound(sizes.begin(), sizes.end(), size_.base.cluster.nodes);
    const std::size_t guess = std::min(static_cast<std::size_t>(own - sizes.begin()), sizes.size() - 1);
    const std::optional<std::size_t> found =
        furthest(sizes.size(), guess, true, [&](std::size_t i) { return may_do(sizes[i], limits); });
    if (!found) return {};
    const int above = *found + 1 < sizes.size() ? sizes[*found + 1] : sizes[*found];
    constexpr std::size_t kFurther = 4;
    std::vector<int> wanted = sizes_between(*found > 0 ? sizes[*found - 1] : 1, above);
    wanted.push_back(sizes[*found]);
    for (std::size_t i = *found; i-- > 0 && *found - i <= kFurther;) wanted.push_back(sizes[i]);
    std::sort(wanted.begin(), wanted.end(), std::greater<>());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::optional<TrainingCluster> best;
    for (const int nodes : wanted) {
      if (!may_plan_more()) break;
      const Seconds faster_than = best ? best->step : StepEstimator::kAnyLength;
      const Seconds longest = std::min(longest_step(nodes, limits) * kSlack, faster_than);
      if (!may_do(nodes, longest)) continue;
      const std::optional<TrainingCluster>& cluster = planned(nodes, longest);
      if (cluster && keeps(*cluster, limits) && (!best || cluster->days < best->days)) best = *cluster;
    }
    if (!best) return {};
    return {std::move(*best)};
  }

  /// Where nothing does: the fastest, or, where only money counts, the cheapest. Those sizes of the grid are replayed
  /// whose work alone says that they may be it.
  std::optional<TrainingCluster> best_of_all(const std::vector<int>& sizes) {
    constexpr std::size_t kLookedAt = 4;
    const auto at_best = [&](int nodes) {
      const Seconds floor = look(nodes, Seconds()).floor;
      return options_.deadline ? floor.value() : floor.value() * nodes;
    };
    std::vector<std::pair<double, int>> order;
    for (const int nodes : sizes) order.emplace_back(at_best(nodes), nodes);
    std::stable_sort(order.begin(), order.end());
    std::optional<TrainingCluster> best;
    std::size_t looked = 0;
    for (const auto& [floor, nodes] : order) {
      if (best &&
          (looked >= kLookedAt || floor >= (options_.deadline ? best->step.value() : best->step.value() * best->nodes)))
        break;
      const Looked& found = look(nodes, StepEstimator::kAnyLength);
      if (!found.best) continue;
      ++looked;
      if (!best || nearer(*found.best, *best)) best = found.best;
    }
    if (!best) return std::nullopt;
    if (const auto& cluster = planned(best->nodes, StepEstimator::kAnyLength)) return cluster;
    replay(*best);
    return best;
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

  /// The next larger one of the grid buys time.
  void add_larger(int nodes, const Limits& limits, const std::vector<int>& sizes, std::vector<TrainingCluster>& out) {
    const auto next = std::upper_bound(sizes.begin(), sizes.end(), nodes);
    if (next == sizes.end() || !may_do(*next, limits)) return;
    const std::optional<TrainingCluster>& larger = planned(*next, longest_step(*next, limits) * kSlack, true);
    if (larger && keeps(*larger, limits) && larger->days < out.back().days) out.push_back(*larger);
  }

  /// The first size of the grid that could be in time if its chips did all that their data sheet says.
  std::size_t first_worth_it(const Scenario& one, const std::vector<int>& sizes) const {
    const TrainingConfig& config = *one.training;
    const GpuSpec& gpu = one.cluster.node.gpu;
    const double flop = size_.tokens * model_flop_per_token(config, true);
    const double node_rate = std::max(gpu.bf16_peak, gpu.fp8_peak).value() * one.cluster.node.gpus;
    const double nodes = flop / node_rate / options_.deadline->value();
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

  /// The kind of node that is looked at.
  struct Kind {
    std::string node;
    int gpus_per_node = 1;
    std::optional<UsdPerSecond> price;
    double steps = 0;
    int apart = 1;
    std::map<int, Looked> looked;
    std::map<int, Planned> planned;
    std::string why_not;
  };
  Kind kind_;
};

}  // namespace

TrainingSize size_training(const std::string& file_or_name, const Environment& environment,
                           const std::vector<std::string>& sets, const TrainingSizeOptions& options) {
  return TrainingSizing(file_or_name, environment, sets, options).run();
}

}  // namespace flopcast
