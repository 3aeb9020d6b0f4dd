#include "analysis/studies/plan/serving_plan.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/plan/plan_study.h"
#include "analysis/studies/plan/unit_trial.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/load_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

constexpr int kWidestTensor = 8;
constexpr int kLargestReplica = 320;     // GPUs: DeepSeek's decoding unit, the largest that anybody has published
constexpr std::size_t kShapesApart = 4;  // of prompts and of answers each that are tried beside one another
constexpr int kMostReplicasOfAKind = 8;  // in a unit of prefill and decode replicas
/// Units that are tried before what the best of them serves decides which others are worth a closer look: the same for
/// any number of workers.
constexpr std::size_t kUnitsAtATime = 8;

const std::vector<std::string>& open_names() {
  static const std::vector<std::string> kNames{"tensor", "attention_data", "expert", "pipeline", "split"};
  return kNames;
}

void set_shape(proto::Replicas& replicas, const ReplicaShape& shape, int count) {
  replicas.set_count(count);
  replicas.set_tensor(shape.tensor);
  replicas.set_attention_data(shape.attention_data);
  replicas.set_pipeline(shape.pipeline);
  replicas.set_expert(shape.expert);
  if (shape.expert == 1) replicas.clear_two_micro_batches();  // they hide the exchange of experts
  replicas.clear_autoscale();
}

ReplicaShape shape_of(const ServingPlan& plan) {
  return {plan.tensor, plan.attention_data, plan.expert, plan.pipeline};
}

/// The scenario's text with a deployment in place of its own, always all of it up.
std::string text_with(const std::string& text, const std::string& file, const DeploymentUnit& unit, int copies,
                      const std::string& title = "") {
  proto::Scenario scenario;
  Places places;
  Diagnostics faults;
  parse_text(text, file, scenario, places, faults);
  if (!faults.empty()) throw InputError(std::move(faults));
  proto::Serving& serving = *scenario.mutable_serving();
  // What is said of one kind holds for the kinds that take its place.
  const proto::Replicas any = serving.has_replicas() ? serving.replicas() : serving.decode();
  const proto::Replicas of_prompts = serving.has_prefill() ? serving.prefill() : any;
  serving.clear_replicas();
  serving.clear_prefill();
  serving.clear_decode();
  if (unit.prompts) {
    *serving.mutable_prefill() = of_prompts;
    *serving.mutable_decode() = any;
    set_shape(*serving.mutable_prefill(), *unit.prompts, copies * unit.prefill);
    set_shape(*serving.mutable_decode(), unit.answers, copies * unit.decode);
  } else {
    *serving.mutable_replicas() = any;
    serving.mutable_replicas()->clear_reserved_tokens();
    set_shape(*serving.mutable_replicas(), unit.answers, copies * unit.decode);
  }
  serving.clear_autoscale();
  serving.clear_failures();
  serving.clear_sample();
  serving.clear_sample_by();
  scenario.clear_published();
  if (!title.empty()) scenario.set_title(title);
  std::string out;
  google::protobuf::TextFormat::PrintToString(scenario, &out);
  return out;
}

bool promises_something(const ServiceLevel& level) {
  return level.ttft < kNever || level.tpot < kNever || level.end_to_end < kNever;
}

class ServingPlanner {
 public:
  ServingPlanner(const std::string& file, const Environment& environment, const std::vector<std::string>& sets,
                 const ServingPlanOptions& options)
      : environment_(environment), options_(options) {
    OpenScenario open = load_open_scenario(file, sets, environment.data().libraries());
    study_.base = std::move(open.scenario);
    study_.text = std::move(open.text);
    stated_ = std::move(open.stated);
  }

  ServingPlanStudy run() && {
    check();
    const ServingScenario& serving = *study_.base.serving;
    study_.attainment = options_.attainment;
    study_.promised = limits_of(options_.promise ? *options_.promise : serving.levels.front());
    study_.asked = requests_asked(serving.traffic);
    own_split_ = serving.pools.size() > 1;
    if (possible(own_unit()).empty()) study_.own = own_unit();

    const bool split = varies("split");
    if (split || !own_split_) together();
    if (split || own_split_) apart();
    if (study_.own) {  // as a unit of its own, whatever its counts
      DeploymentUnit own = *study_.own;
      const auto listed = std::any_of(study_.plans.begin(), study_.plans.end(),
                                      [&](const PlannedUnit& plan) { return plan.unit == own; });
      if (!listed) try_units({own}, "the scenario's own deployment");
    }
    sort();
    if (study_.plans.empty()) nothing_serves();
    return std::move(study_);
  }

 private:
  [[noreturn]] void refuse(const std::string& field, const std::string& found, const std::string& expected) const {
    throw InputError(Diagnostic{study_.base.file, 0, 0, field, found, expected, ""});
  }

  void check() const {
    for (const std::vector<std::string>* names : {&options_.open, &options_.keep}) {
      for (const std::string& name : *names) {
        if (name == "all" || std::find(open_names().begin(), open_names().end(), name) != open_names().end()) continue;
        Diagnostic d{"",   0,
                     0,    names == &options_.open ? "--open" : "--keep",
                     name, fmt::format("all, or some of {}", fmt::join(open_names(), ", ")),
                     ""};
        d.suggestion = nearest_name(name, open_names());
        throw InputError(d);
      }
    }
    const ServingScenario& serving = *study_.base.serving;
    if (!options_.promise) {
      for (const ServiceLevel& level : serving.levels)
        if (!promises_something(level)) refuse("--slo", "nothing promised", "--slo ttft=2s,tpot=50ms");
    }
    const bool any =
        std::any_of(open_names().begin(), open_names().end(), [&](const std::string& name) { return varies(name); });
    if (!any)
      refuse("--open", "nothing open", "--open all, or some of " + fmt::format("{}", fmt::join(open_names(), ", ")));
  }

  bool varies(const std::string& name) const {
    const auto in = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end() ||
             std::find(names.begin(), names.end(), "all") != names.end();
    };
    if (in(options_.keep)) return false;
    if (in(options_.open)) return true;
    if (name == "split") return false;  // a file always says which
    return std::none_of(stated_.begin(), stated_.end(), [&](const std::string& path) {
      return path == "serving.replicas." + name || path == "serving.prefill." + name ||
             path == "serving.decode." + name;
    });
  }

  DeploymentUnit own_unit() const {
    const ServingScenario& serving = *study_.base.serving;
    DeploymentUnit unit;
    if (serving.pools.size() == 1) {
      unit.answers = shape_of(serving.pools[0].engine.plan);
      return unit;
    }
    const PoolSpec& prompts = serving.pools[serving.prompt_pool_index()];
    const PoolSpec& answers = serving.pools[serving.answer_pool_index()];
    unit.prompts = shape_of(prompts.engine.plan);
    unit.answers = shape_of(answers.engine.plan);
    const int common = std::gcd(prompts.replicas, answers.replicas);
    unit.prefill = prompts.replicas / common;
    unit.decode = answers.replicas / common;
    return unit;
  }

  static std::optional<double> requests_asked(const TrafficConfig& traffic) {
    double sum = 0;
    for (const TrafficClass& c : traffic.classes) {
      const auto* open = std::get_if<OpenLoop>(&c.arrivals);
      if (!open) return std::nullopt;
      sum += open->rate.mean().value();
    }
    return sum;
  }

  /// Shapes that divide what they have to, whatever the memory says.
  std::vector<ReplicaShape> shapes(const ReplicaShape& own) const {
    const ModelConfig& model = study_.base.serving->model();
    const int node = study_.base.cluster.node.gpus;
    const int most = std::min(study_.base.cluster.gpus(), kLargestReplica);
    const bool moe = model.moe.experts > 0;
    const auto values = [&](const std::string& name, int stated, std::vector<int> all) {
      return varies(name) ? all : std::vector<int>{stated};
    };
    std::vector<int> groups{1};
    if (moe)
      for (int n = 2; n <= most; n *= 2) groups.push_back(n);
    std::vector<int> stages{1};
    for (int n = 2; n * node <= most && n <= 8; n *= 2) stages.push_back(n);
    std::set<ReplicaShape> found;
    for (const int tensor : values("tensor", own.tensor, {1, 2, 4, kWidestTensor})) {
      for (const int data : values("attention_data", own.attention_data, groups)) {
        for (const int pipeline : values("pipeline", own.pipeline, stages)) {
          for (const bool spread : {false, true}) {
            ReplicaShape shape{tensor, data, spread ? tensor * data : 1, pipeline};
            if (!varies("expert"))
              shape.expert = own.expert == own.tensor * own.attention_data ? tensor * data : own.expert;
            if (shape.gpus() > most || (spread && !moe)) continue;
            if (data > 1 && shape.expert == 1) continue;  // copies of a model are replicas
            // Stages are for models that a node does not hold.
            if (varies("pipeline") && pipeline > 1 && (tensor < std::min(node, kWidestTensor) || data > 1)) continue;
            found.insert(shape);
          }
        }
      }
    }
    return {found.begin(), found.end()};
  }

  /// Nothing, or why a unit cannot be: in the words of `check`.
  std::string possible(const DeploymentUnit& unit) const {
    if (unit.gpus() > study_.base.cluster.gpus())
      return fmt::format("{} GPUs, and the cluster has {}", unit.gpus(), study_.base.cluster.gpus());
    try {
      scenario_of(unit);
      return "";
    } catch (const InputError& error) {
      return brief(error);
    }
  }

  Scenario scenario_of(const DeploymentUnit& unit) const {
    return resolve_text(text_with(study_.text, study_.base.file, unit, 1), study_.base.file, environment_).value();
  }

  /// Those that are possible; the others are left out with their reason.
  std::vector<DeploymentUnit> sifted(const std::vector<DeploymentUnit>& units) {
    std::vector<DeploymentUnit> good;
    for (const DeploymentUnit& unit : units) {
      std::string why = possible(unit);
      if (why.empty()) {
        good.push_back(unit);
      } else {
        study_.left_out.push_back({unit, std::move(why)});
      }
    }
    return good;
  }

  std::vector<PlannedUnit> tried(const std::vector<DeploymentUnit>& units, const std::string& stage) {
    std::vector<PlannedUnit> out;
    for (std::size_t begin = 0; begin < units.size(); begin += kUnitsAtATime) {
      if (options_.progress && !options_.progress(stage, begin, units.size())) throw Interrupted();
      const std::size_t count = std::min(kUnitsAtATime, units.size() - begin);
      const std::vector<Capacity> found = parallel_map<Capacity>(count, options_.workers, [&](std::size_t i) {
        const DeploymentUnit& unit = units[begin + i];
        const bool own = study_.own && *study_.own == unit;
        return capacity_of_unit(scenario_of(unit), options_, own ? 0 : best_per_gpu_ * unit.gpus());
      });
      for (std::size_t i = 0; i < count; ++i) {
        const Capacity& capacity = found[i];
        PlannedUnit plan;
        plan.unit = units[begin + i];
        plan.at_most = capacity.at_most;
        plan.at_most.gpus = plan.unit.gpus();
        plan.limited_by = limit_text(capacity.limit);
        plan.roughly = capacity.roughly;
        best_per_gpu_ = std::max(best_per_gpu_, plan.requests_per_gpu());
        plan.copies = study_.base.cluster.gpus() / plan.unit.gpus();
        out.push_back(plan);
      }
    }
    return out;
  }

  void keep(const std::vector<PlannedUnit>& plans) {
    for (const PlannedUnit& plan : plans) {
      if (plan.at_most.requests_per_s > 0) {
        study_.plans.push_back(plan);
        continue;
      }
      const CurveSample& s = plan.at_most;
      study_.left_out.push_back(
          {plan.unit, fmt::format("too slow even with next to no traffic: TTFT {}, TPOT {}",
                                  format_time(Seconds(s.ttft_p90)), format_time(Seconds(s.tpot_p90)))});
    }
  }

  void try_units(const std::vector<DeploymentUnit>& units, const std::string& stage) {
    keep(tried(sifted(units), stage));
  }

  void together() {
    std::vector<DeploymentUnit> units;
    for (const ReplicaShape& shape : shapes(own_unit().answers)) units.push_back({shape, std::nullopt, 1, 0});
    try_units(units, "replicas that do all");
  }

  /// Shapes of prompts and answers are those that do best together with others of their kind: first every shape beside
  /// the same one, then the best of each side crossed.
  void apart() {
    const DeploymentUnit own = own_unit();
    std::vector<ReplicaShape> for_prompts = best_shapes(shapes(own.prompts.value_or(own.answers)));
    std::vector<ReplicaShape> for_answers = best_shapes(shapes(own.answers));
    std::vector<DeploymentUnit> units;
    for (const ReplicaShape& prompts : for_prompts)
      for (const ReplicaShape& answers : for_answers) units.push_back({answers, prompts, 1, 1});
    std::vector<DeploymentUnit> possible_units = sifted(units);
    std::vector<PlannedUnit> best = tried(possible_units, "prefill beside decode");
    // More of the kind that breaks the promise, as long as that pays.
    std::vector<bool> grows(best.size(), true);
    for (int round = 0; round < 2 * kMostReplicasOfAKind; ++round) {
      std::vector<DeploymentUnit> next;
      std::vector<std::size_t> of;
      for (std::size_t i = 0; i < best.size(); ++i) {
        if (!grows[i] || best[i].at_most.requests_per_s <= 0) continue;
        DeploymentUnit unit = best[i].unit;
        (best[i].limited_by == "TPOT" ? unit.decode : unit.prefill) += 1;
        grows[i] = std::max(unit.decode, unit.prefill) <= kMostReplicasOfAKind && possible(unit).empty();
        if (!grows[i]) continue;
        next.push_back(unit);
        of.push_back(i);
      }
      if (next.empty()) break;
      const std::vector<PlannedUnit> larger = tried(next, "more of what is short");
      for (std::size_t k = 0; k < larger.size(); ++k) {
        grows[of[k]] = larger[k].requests_per_gpu() > best[of[k]].requests_per_gpu();
        if (grows[of[k]]) best[of[k]] = larger[k];
      }
    }
    keep(best);
  }

  /// Of many shapes those that serve most together with answers and prompts, and the smallest, in that order.
  std::vector<ReplicaShape> best_shapes(const std::vector<ReplicaShape>& all) {
    std::vector<ReplicaShape> good;
    for (const ReplicaShape& shape : all)
      if (possible({shape, std::nullopt, 1, 0}).empty()) good.push_back(shape);
    if (good.size() <= kShapesApart) return good;
    std::vector<PlannedUnit> plans;
    for (const PlannedUnit& plan : study_.plans)
      if (!plan.unit.prompts) plans.push_back(plan);
    if (plans.empty()) {
      std::vector<DeploymentUnit> units;
      for (const ReplicaShape& shape : good)
        if (!alone_.contains(shape)) units.push_back({shape, std::nullopt, 1, 0});
      for (const PlannedUnit& plan : tried(units, "shapes of replicas")) alone_[plan.unit.answers] = plan;
      for (const ReplicaShape& shape : good) plans.push_back(alone_.at(shape));
    }
    std::stable_sort(plans.begin(), plans.end(), [](const PlannedUnit& a, const PlannedUnit& b) {
      return a.requests_per_gpu() > b.requests_per_gpu();
    });
    std::vector<ReplicaShape> best;
    for (const PlannedUnit& plan : plans)
      if (best.size() < kShapesApart && std::find(good.begin(), good.end(), plan.unit.answers) != good.end())
        best.push_back(plan.unit.answers);
    return best;
  }

  void sort() {
    std::stable_sort(study_.plans.begin(), study_.plans.end(), [](const PlannedUnit& a, const PlannedUnit& b) {
      if (a.requests_per_gpu() != b.requests_per_gpu()) return a.requests_per_gpu() > b.requests_per_gpu();
      return a.unit < b.unit;
    });
  }

  [[noreturn]] void nothing_serves() const {
    Diagnostic d;
    d.file = study_.base.file;
    d.field = "--slo";
    d.found = fmt::format("{} of requests within {}, which no deployment keeps", format_percent(options_.attainment, 0),
                          study_.promised);
    d.expected = "a promise that one can keep";
    if (!study_.left_out.empty()) {
      const ShapeLeftOut& last = study_.left_out.back();
      d.remedy = fmt::format("a later promise, or another cluster: {}, {}", unit_text(last.unit), last.why);
    }
    throw InputError(d);
  }

  const Environment& environment_;
  const ServingPlanOptions& options_;
  std::set<std::string> stated_;
  bool own_split_ = false;
  double best_per_gpu_ = 0;                    // requests per second, of what was tried
  std::map<ReplicaShape, PlannedUnit> alone_;  // replicas that do all, where only splits are asked for
  ServingPlanStudy study_;
};

}  // namespace

std::string shape_text(const ReplicaShape& shape) {
  std::string text = fmt::format("TP{}", shape.tensor);
  if (shape.attention_data > 1) text += fmt::format(" DP{}", shape.attention_data);
  if (shape.expert > 1) text += fmt::format(" EP{}", shape.expert);
  if (shape.pipeline > 1) text += fmt::format(" PP{}", shape.pipeline);
  return text;
}

std::string unit_text(const DeploymentUnit& unit) {
  if (!unit.prompts) return shape_text(unit.answers);
  return fmt::format("{} prefill {} + {} decode {}", unit.prefill, shape_text(*unit.prompts), unit.decode,
                     shape_text(unit.answers));
}

std::optional<int> ServingPlanStudy::copies_for_traffic(const PlannedUnit& plan) const {
  if (!asked) return std::nullopt;
  return static_cast<int>(std::ceil(*asked / plan.at_most.requests_per_s - 1e-9));
}

const PlannedUnit& ServingPlanStudy::for_traffic() const {
  const PlannedUnit* least = nullptr;
  const auto gpus = [&](const PlannedUnit& plan) { return copies_for_traffic(plan).value_or(0) * plan.unit.gpus(); };
  for (const PlannedUnit& plan : plans) {
    const auto copies = copies_for_traffic(plan);
    if (copies && *copies <= plan.copies && (!least || gpus(plan) < gpus(*least))) least = &plan;
  }
  return least ? *least : plans.front();
}

ServingPlanStudy plan_serving(const std::string& file_or_name, const Environment& environment,
                              const std::vector<std::string>& sets, const ServingPlanOptions& options) {
  return ServingPlanner(file_or_name, environment, sets, options).run();
}

std::string scenario_text(const ServingPlanStudy& study, const PlannedUnit& plan, const Environment& environment) {
  const int copies = std::clamp(study.copies_for_traffic(plan).value_or(plan.copies), 1, std::max(1, plan.copies));
  const std::string deployment =
      copies > 1 ? fmt::format("{} x ({})", copies, unit_text(plan.unit)) : unit_text(plan.unit);
  const std::string text = fmt::format(
      "# {}\n# With the best deployment that flopcast plan found.\n{}", study.base.title,
      text_with(study.text, study.base.file, plan.unit, copies, planned_title(study.base.title, deployment)));
  resolve_text(text, study.base.file, environment);
  return text;
}

}  // namespace flopcast
