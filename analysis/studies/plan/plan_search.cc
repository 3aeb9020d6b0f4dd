#include "analysis/studies/plan/plan_search.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// Shapes that are looked at under one bound. What is ruled out depends on it, so it is the same for any number of
/// workers.
constexpr std::size_t kRound = 24;
/// Plans whose remaining switches are tried.
constexpr std::size_t kPolished = 24;
constexpr Seconds kForever(std::numeric_limits<double>::infinity());

struct Shape {
  PlanChoice choice;
  Seconds bound;
  Bytes least;  ///< of the fullest GPU, whatever else is chosen
};

/// What one shape gave.
struct ShapeResult {
  std::vector<ScreenedPlan> plans;
  double priced = 0, no_memory = 0, too_large = 0, beyond = 0, refused = 0, ruled_out = 0;
  std::optional<ScreenedPlan> leanest;
};

/// Workers with an estimator each, which keeps what it has priced from round to round.
class Workers {
 public:
  Workers(int count, const MakeEstimator& make) {
    for (int i = 0; i < std::max(1, count); ++i) estimators_.push_back(make());
  }

  /// work(i, estimator) for all i below `jobs`, in any order.
  template <class Work>
  void each(std::size_t jobs, Work work) {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto run = [&](StepEstimator& estimator) {
      try {
        for (std::size_t i = next++; i < jobs; i = next++) work(i, estimator);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = jobs;
      }
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < estimators_.size(); ++i) threads.emplace_back(run, std::ref(*estimators_[i]));
    run(*estimators_.front());
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }
  StepEstimator& first() { return *estimators_.front(); }

 private:
  std::vector<std::shared_ptr<StepEstimator>> estimators_;
};

class Search {
 public:
  Search(const PlanSpace& space, const MakeEstimator& make, const SearchOptions& options)
      : space_(space), options_(options), workers_(options.workers, make) {}

  SearchResult run() && {
    list_shapes();
    price_ranked();
    for (std::size_t begin = 0; begin < shapes_.size(); begin += kRound) {
      if (options_.progress && !options_.progress(begin, shapes_.size())) throw Interrupted();
      const Seconds limit = this->limit();
      const bool spent = options_.effort > 0 && result_.priced >= options_.effort && !result_.best.empty();
      if (spent || shapes_[begin].bound > limit) {  // and so are all that follow
        for (std::size_t i = begin; i < shapes_.size(); ++i) {
          (shapes_[i].bound > limit ? result_.ruled_out : result_.left) += main_plans(shapes_[i].choice);
        }
        result_.bound = shapes_[begin].bound;
        break;
      }
      const std::size_t end = std::min(begin + kRound, shapes_.size());
      std::vector<ShapeResult> found(end - begin);
      workers_.each(found.size(), [&](std::size_t i, StepEstimator& estimator) {
        found[i] = price_shape(shapes_[begin + i], limit, estimator);
        estimator.forget_plans();
      });
      for (ShapeResult& of_shape : found) merge(std::move(of_shape));
    }
    polish();
    finish();
    return std::move(result_);
  }

 private:
  void list_shapes() {
    const std::vector<PlanChoice> choices = space_.shapes();
    shapes_.resize(choices.size());
    workers_.each(choices.size(), [&](std::size_t i, StepEstimator& estimator) {
      PlanChoice lean = choices[i];
      lean.recompute = space_.recompute.back();
      shapes_[i] = {choices[i], kForever, least_memory(lean, estimator)};
      estimator.forget_plans();
    });
    result_.shapes = shapes_.size();
    result_.bound = kForever;
    for (const Shape& shape : shapes_) result_.plans += space_.size_of(shape.choice);
    drop_too_large();
    workers_.each(shapes_.size(), [&](std::size_t i, StepEstimator& estimator) {
      shapes_[i].choice.recompute = space_.recompute.front();
      shapes_[i].bound = shape_bound(shapes_[i].choice, estimator);
    });
    std::stable_sort(shapes_.begin(), shapes_.end(), [](const Shape& a, const Shape& b) { return a.bound < b.bound; });
    result_.floor = shapes_.empty() ? kForever : shapes_.front().bound;
  }

  /// Over the schedules and ZeRO stages that are open.
  Bytes least_memory(const PlanChoice& lean, StepEstimator& estimator) const {
    Bytes least(std::numeric_limits<double>::infinity());
    for (PlanChoice choice : space_.schedules_of(lean)) {
      for (const int zero : space_.zero_stages(choice)) {
        choice.zero_stage = zero;
        least = std::min(least, estimator.least_memory(choice));
      }
    }
    return least;
  }

  /// Shapes that no schedule, ZeRO stage and recomputation brings into the memory. Where all are too large, the leanest
  /// stay, so that something can be said about them.
  void drop_too_large() {
    const Bytes capacity = workers_.first().capacity();
    const auto fits = [&](const Shape& shape) { return shape.least <= capacity; };
    const auto end = std::stable_partition(shapes_.begin(), shapes_.end(), fits);
    all_too_large_ = end == shapes_.begin();
    if (all_too_large_) {
      std::stable_sort(shapes_.begin(), shapes_.end(),
                       [](const Shape& a, const Shape& b) { return a.least < b.least; });
      if (shapes_.size() > kRound) shapes_.resize(kRound);
      return;
    }
    for (auto shape = end; shape != shapes_.end(); ++shape) result_.too_large += main_plans(shape->choice);
    shapes_.erase(end, shapes_.end());
  }

  /// Over the dispatchers and overlaps of shared experts beside a shape.
  Seconds shape_bound(PlanChoice choice, StepEstimator& estimator) const {
    if (choice.expert == 1) return estimator.lower_bound(choice);
    Seconds least = kForever;
    for (const ExpertDispatcher dispatcher : space_.dispatcher) {
      for (std::size_t i = 0; i < space_.shared_expert_overlap.size(); ++i) {
        choice.dispatcher = dispatcher;
        choice.shared_expert_overlap = space_.shared_expert_overlap[i];
        least = std::min(least, estimator.lower_bound(choice));
      }
    }
    return least;
  }

  void price_ranked() {
    if (!options_.ranked) return;
    const StepEstimate estimate = workers_.first().estimate(*options_.ranked);
    if (estimate.possible) result_.ranked = ScreenedPlan{*options_.ranked, estimate};
  }

  /// What cannot be faster than this need not be priced.
  Seconds limit() const {
    Seconds limit = result_.best.size() < options_.keep ? kForever : result_.best.back().estimate.step;
    limit = std::min(limit, options_.longest);
    if (result_.ranked && result_.ranked->estimate.fits && !result_.best.empty()) {
      const Seconds own = result_.ranked->estimate.step;
      if (own <= options_.rank_slack * result_.best.front().estimate.step) limit = std::max(limit, own);
    }
    return limit;
  }

  /// Schedules, ZeRO stages, dispatchers and recomputation beside a shape: what is priced of each.
  double main_plans(const PlanChoice& shape) const {
    double plans = 0;
    for_each_variant(
        shape, [&](const PlanChoice& choice) { plans += static_cast<double>(space_.zero_stages(choice).size()); });
    return plans * static_cast<double>(space_.recompute.size());
  }

  /// Calls `visit` with every schedule, dispatcher and overlap of shared experts beside a shape.
  template <class Visit>
  void for_each_variant(const PlanChoice& shape, Visit visit) const {
    const std::vector<PlanChoice> schedules = space_.schedules_of(shape);
    const bool experts = shape.expert > 1;
    for (std::size_t d = 0; d < (experts ? space_.dispatcher.size() : 1); ++d) {
      for (std::size_t s = 0; s < (experts ? space_.shared_expert_overlap.size() : 1); ++s) {
        for (PlanChoice choice : schedules) {
          choice.dispatcher = space_.dispatcher[d];
          choice.shared_expert_overlap = space_.shared_expert_overlap[s];
          visit(choice);
        }
      }
    }
  }

  /// Whether forwards and backwards of different micro-batches run together.
  static bool pairs(const PlanChoice& choice) {
    const ScheduleRow* row = choice.schedule_row();
    if (row == nullptr) return true;
    const std::string_view name = row->name;
    return name.find("overlapped") != std::string_view::npos || name.starts_with("dualpipe");
  }

  /// By how much the first micro-batch's way down the pipeline and the last one's way back stretch a step.
  double fill(const PlanChoice& choice) const {
    const ScheduleRow* row = choice.schedule_row();
    if (row == nullptr) return 1;
    const std::string_view name = row->name;
    if (name != "1f1b" && name != "gpipe" && name != "interleaved_1f1b") return 1;
    const double micro_batches = static_cast<double>(space_.base.batch.sequences) /
                                 (static_cast<double>(choice.data) * choice.micro_batch_sequences);
    return 1 + (choice.pipeline - 1) / (choice.chunks * micro_batches);
  }

  ShapeResult price_shape(const Shape& shape, Seconds limit, StepEstimator& estimator) const {
    ShapeResult result;
    if (shape.bound > limit) {
      result.ruled_out = main_plans(shape.choice);
      return result;
    }
    const std::size_t steps = space_.recompute.size();
    for_each_variant(shape.choice, [&](PlanChoice choice) {
      if (estimator.lower_bound(choice, pairs(choice)) * fill(choice) > limit) {
        result.ruled_out += static_cast<double>(space_.zero_stages(choice).size() * steps);
        return;
      }
      bool spare = false;  // ZeRO-1 fits with everything kept: sharding more sends more and saves what nobody needs
      for (const int zero : space_.zero_stages(choice)) {
        choice.zero_stage = zero;
        if (zero >= 2 && spare) {
          result.ruled_out += static_cast<double>(steps);
          continue;
        }
        // What does not fit with all of it computed again does not fit with less.
        choice.recompute = space_.recompute.back();
        if (!all_too_large_ && estimator.least_memory(choice) > estimator.capacity()) {
          result.too_large += static_cast<double>(steps);
          continue;
        }
        if (steps > 1) {
          if (const StepEstimate lean = estimator.memory_alone(choice); !lean.fits) {
            accepted(choice, lean, result);
            result.too_large += static_cast<double>(steps - 1);
            continue;
          }
        }
        // From the least recomputation to the most: the first that fits is the fastest.
        for (std::size_t i = 0; i < steps; ++i) {
          choice.recompute = space_.recompute[i];
          if (!price(choice, limit, estimator, result)) continue;
          result.ruled_out += static_cast<double>(steps - i - 1);
          spare |= zero == 1 && i == 0;
          break;
        }
      }
    });
    std::stable_sort(result.plans.begin(), result.plans.end(), faster);
    return result;
  }

  /// Whether it fits and is accepted: then plans that save more memory are no better.
  bool price(const PlanChoice& choice, Seconds limit, StepEstimator& estimator, ShapeResult& result) const {
    return accepted(choice, estimator.estimate(choice, limit), result);
  }

  bool accepted(const PlanChoice& choice, const StepEstimate& estimate, ShapeResult& result) const {
    result.priced += 1;
    if (!estimate.possible) return false;
    if (!estimate.fits) {
      result.no_memory += 1;
      if (!result.leanest || estimate.memory < result.leanest->estimate.memory) {
        result.leanest = ScreenedPlan{choice, estimate};
      }
      return false;
    }
    if (estimate.beyond || estimate.step > options_.longest) {
      result.beyond += 1;
      return true;
    }
    if (options_.accepts && !options_.accepts(choice, estimate)) {
      result.refused += 1;
      return false;
    }
    result.plans.push_back({choice, estimate});
    return true;
  }

  void merge(ShapeResult of_shape) {
    result_.priced += of_shape.priced;
    result_.no_memory += of_shape.no_memory;
    result_.too_large += of_shape.too_large;
    result_.beyond += of_shape.beyond;
    result_.refused += of_shape.refused;
    result_.ruled_out += of_shape.ruled_out;
    if (of_shape.leanest &&
        (!result_.leanest || of_shape.leanest->estimate.memory < result_.leanest->estimate.memory)) {
      result_.leanest = of_shape.leanest;
    }
    for (const ScreenedPlan& plan : of_shape.plans) {
      if (result_.ranked && plan.estimate.step < result_.ranked->estimate.step) ++faster_than_ranked_;
    }
    const auto middle = static_cast<std::ptrdiff_t>(result_.best.size());
    result_.best.insert(result_.best.end(), of_shape.plans.begin(), of_shape.plans.end());
    std::inplace_merge(result_.best.begin(), result_.best.begin() + middle, result_.best.end(), faster);
    if (result_.best.size() > options_.keep) result_.best.resize(options_.keep);
  }

  /// Tries what is left of the switches on the best, one at a time, and goes on from what helps.
  void polish() {
    std::set<PlanChoice> seen;
    for (const ScreenedPlan& plan : result_.best) seen.insert(plan.choice);
    for (int round = 0; round < 2; ++round) {
      std::vector<PlanChoice> neighbours;
      for (std::size_t i = 0; i < std::min(kPolished, result_.best.size()); ++i) {
        for_each_neighbour(result_.best[i].choice, [&](const PlanChoice& choice) {
          if (seen.insert(choice).second) neighbours.push_back(choice);
        });
      }
      std::vector<ShapeResult> found(neighbours.size());
      const Seconds limit = this->limit();
      workers_.each(neighbours.size(),
                    [&](std::size_t i, StepEstimator& estimator) { price(neighbours[i], limit, estimator, found[i]); });
      for (ShapeResult& of_plan : found) merge(std::move(of_plan));
    }
  }

  template <class Visit>
  void for_each_neighbour(const PlanChoice& choice, Visit visit) const {
    const auto with = [&](const auto& values, auto PlanChoice::*member, bool matters) {
      if (!matters) return;
      for (const auto& value : values) {
        PlanChoice other = choice;
        other.*member = value;
        if (!(other == choice)) visit(other);
      }
    };
    with(space_.split, &PlanChoice::split, choice.pipeline > 1);
    with(space_.context_exchange, &PlanChoice::context_exchange, choice.context > 1);
    with(space_.sequence_parallel, &PlanChoice::sequence_parallel, choice.tensor > 1);
    with(space_.tensor_overlap, &PlanChoice::tensor_overlap, choice.tensor > 1);
    with(space_.overlap_gradients, &PlanChoice::overlap_gradients, true);
    with(space_.overlap_parameters, &PlanChoice::overlap_parameters, choice.zero_stage > 0);
    with(space_.recompute, &PlanChoice::recompute, true);
    // Some layers of each stage instead of all.
    if (!choice.recompute.full_layer || space_.recompute.size() < 2) return;
    for (int layers = 1; layers <= 8; layers *= 2) {
      PlanChoice other = choice;
      other.recompute.full_layers = layers;
      visit(other);
    }
  }

  void finish() {
    result_.untried =
        std::max(0.0, result_.plans - result_.priced - result_.too_large - result_.ruled_out - result_.left);
    if (!result_.ranked) return;
    const bool within = result_.ranked->estimate.fits && !result_.best.empty() &&
                        result_.ranked->estimate.step <= options_.rank_slack * result_.best.front().estimate.step;
    result_.rank = faster_than_ranked_ + 1;
    result_.rank_is_exact = within && result_.left == 0;
    if (!result_.ranked->estimate.fits) result_.rank = 0;
  }

  const PlanSpace& space_;
  const SearchOptions& options_;
  Workers workers_;
  std::vector<Shape> shapes_;  // the lowest bound first
  bool all_too_large_ = false;
  std::uint64_t faster_than_ranked_ = 0;
  SearchResult result_;
};

}  // namespace

bool faster(const ScreenedPlan& a, const ScreenedPlan& b) {
  if (a.estimate.step != b.estimate.step) return a.estimate.step < b.estimate.step;
  return a.choice < b.choice;
}

SearchResult search_plans(const PlanSpace& space, const MakeEstimator& make, const SearchOptions& options) {
  return Search(space, make, options).run();
}

}  // namespace flopcast
