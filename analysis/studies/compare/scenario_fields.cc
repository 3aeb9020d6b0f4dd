#include "analysis/studies/compare/scenario_fields.h"

#include <algorithm>
#include <cassert>
#include <memory>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

using Fields = std::vector<ScenarioField>;

// Values for people.

std::string text_of(BytesPerSecond rate) { return format_rate(rate); }
std::string text_of(FlopPerSecond rate) { return fmt::format("{:.4g} TFLOPS", rate.value() / 1e12); }
std::string text_of(Hertz clock) { return fmt::format("{:.4g} MHz", clock.value() / 1e6); }
std::string text_of(Watts power) { return fmt::format("{:.4g} W", power.value()); }
std::string text_of(Bytes bytes) { return format_bytes(bytes); }
std::string text_of(Seconds time) { return format_time(time); }
std::string text_of(double value) { return fmt::format("{:.4g}", value); }
std::string text_of(bool value) { return value ? "yes" : "no"; }
std::string text_of(const std::string& value) { return value.size() > 40 ? "" : value; }
std::string text_of(const std::vector<int>& values) { return fmt::format("{}", fmt::join(values, " ")); }
std::string text_of(const std::vector<double>&) { return ""; }
std::string text_of(const std::vector<SlowPart>& parts) { return fmt::format("{} slow", parts.size()); }
std::string text_of(const std::vector<PoolSpec>& pools) {
  std::vector<std::string> names;
  for (const PoolSpec& pool : pools) names.push_back(pool.name);
  return fmt::format("{}", fmt::join(names, " and "));
}
std::string text_of(const std::vector<GrowthPoint>& points) { return fmt::format("{} points", points.size()); }
std::string text_of(const ClusterSpec& cluster) { return fmt::format("{} x {}", cluster.nodes, cluster.node.name); }
template <class T>
requires std::is_integral_v<T> std::string text_of(T value) { return fmt::format("{}", value); }
template <class T>
requires std::is_enum_v<T> std::string text_of(T value) {
  return std::string(enum_names(value)[static_cast<std::size_t>(value)]);
}
std::string text_of(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }
/// A row of one of the program's tables.
template <class T>
requires requires(const T* row) { rows_of(row); }
std::string text_of(const T* row) { return std::string(row->name); }

// Fields by description.

bool changes_time(const FieldTraits& traits) {
  return std::find(std::begin(kUntimedGroups), std::end(kUntimedGroups), traits.cause) == std::end(kUntimedGroups);
}

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

template <class Member>
std::string shown_value(const Member& value, const FieldTraits& traits) {
  if constexpr (kIsOptional<Member>)
    return value ? text_of(*value) : std::string(traits.absent);
  else if constexpr (requires { value == Member{}; })
    return !traits.absent.empty() && value == Member{} ? std::string(traits.absent) : text_of(value);
  else
    return text_of(value);
}

/// A field that a comparison may show, somewhere within a struct.
template <class Struct>
struct Leaf {
  FieldTraits traits;
  std::string_view shown;

  Leaf(const FieldTraits& field_traits, std::string_view name) : traits(field_traits), shown(name) {}
  virtual ~Leaf() = default;
  virtual bool same(const Struct& a, const Struct& b) const = 0;
  virtual void copy(const Struct& from, Struct& to) const = 0;
  virtual std::string text(const Struct& whole) const = 0;
};

template <class Struct, class Member>
struct OwnLeaf final : Leaf<Struct> {
  Member Struct::*member;

  OwnLeaf(const FieldRow<Struct, Member>& row) : Leaf<Struct>(row.traits, row.shown()), member(row.member) {}
  bool same(const Struct& a, const Struct& b) const override { return a.*member == b.*member; }
  void copy(const Struct& from, Struct& to) const override { to.*member = from.*member; }
  std::string text(const Struct& whole) const override { return shown_value(whole.*member, this->traits); }
};

/// A leaf of a struct within this one.
template <class Struct, class Part>
struct PartLeaf final : Leaf<Struct> {
  Part Struct::*part;
  const Leaf<Part>* leaf;

  PartLeaf(Part Struct::*where, const Leaf<Part>& which)
      : Leaf<Struct>(which.traits, which.shown), part(where), leaf(&which) {}
  bool same(const Struct& a, const Struct& b) const override { return leaf->same(a.*part, b.*part); }
  void copy(const Struct& from, Struct& to) const override { leaf->copy(from.*part, to.*part); }
  std::string text(const Struct& whole) const override { return leaf->text(whole.*part); }
};

template <class Struct>
using Leaves = std::vector<std::unique_ptr<const Leaf<Struct>>>;

/// The fields of a struct, and of the structs within it. Each struct is walked over once, not once for every way that
/// leads to it: those are hundreds, and a compiler takes a minute over them.
template <class Struct>
const Leaves<Struct>& leaves_of() {
  static const Leaves<Struct> kLeaves = [] {
    Leaves<Struct> out;
    for_each_field<Struct>([&]<class Member>(const FieldRow<Struct, Member>& row) {
      if constexpr (Described<Member>) {
        for (const auto& leaf : leaves_of<Member>()) out.emplace_back(new PartLeaf<Struct, Member>(row.member, *leaf));
      } else if constexpr (requires(const Member& value) { text_of(value); } || kIsOptional<Member>) {
        if (changes_time(row.traits)) out.emplace_back(new OwnLeaf<Struct, Member>(row));
      } else {
        assert(!changes_time(row.traits));
      }
    });
    return out;
  }();
  return kLeaves;
}

template <class Struct>
ScenarioField field_of(const Leaf<Struct>& leaf) {
  return {std::string(leaf.traits.cause), std::string(leaf.shown), {}, {}, {}};
}

/// A field of the part of a scenario that `part(scenario)` gives; `change(scenario, with)` calls with(Struct&) on it.
template <class Struct, class Part, class Change>
ScenarioField adapted(const Leaf<Struct>& of, const Part& part, const Change& change) {
  ScenarioField field = field_of(of);
  const Leaf<Struct>* const leaf = &of;
  field.same = [=](const Scenario& a, const Scenario& b) { return leaf->same(part(a), part(b)); };
  field.copy = [=](const Scenario& from, Scenario& to) {
    change(to, [&](Struct& changed) { leaf->copy(part(from), changed); });
  };
  field.text = [=](const Scenario& s) { return leaf->text(part(s)); };
  return field;
}

void add_cluster(Fields& out) {
  for (const auto& leaf : leaves_of<ClusterSpec>()) {
    out.push_back(adapted(
        *leaf, [](const Scenario& s) -> const ClusterSpec& { return s.cluster; },
        [](Scenario& s, const auto& with) { with(s.cluster); }));
  }
}

void add_training(Fields& out) {
  for (const auto& leaf : leaves_of<TrainingConfig>()) {
    out.push_back(adapted(
        *leaf, [](const Scenario& s) -> const TrainingConfig& { return *s.training; },
        [](Scenario& s, const auto& with) { with(*s.training); }));
  }
}

/// The same of each pool. Scenarios with different numbers of pools differ in `pools`, which copies all.
void add_pools(Fields& out) {
  for (const auto& leaf : leaves_of<PoolSpec>()) {
    ScenarioField field = field_of(*leaf);
    field.same = [leaf = leaf.get()](const Scenario& a, const Scenario& b) {
      const auto &x = a.serving->pools, &y = b.serving->pools;
      return x.size() != y.size() || std::equal(x.begin(), x.end(), y.begin(),
                                                [&](const PoolSpec& p, const PoolSpec& q) { return leaf->same(p, q); });
    };
    field.copy = [leaf = leaf.get()](const Scenario& from, Scenario& to) {
      change_serving(to, [&](ServingScenario& serving) {
        const auto& pools = from.serving->pools;
        for (std::size_t i = 0; pools.size() == serving.pools.size() && i < pools.size(); ++i)
          leaf->copy(pools[i], serving.pools[i]);
      });
    };
    field.text = [leaf = leaf.get()](const Scenario& s) {
      std::vector<std::string> values;
      for (const PoolSpec& pool : s.serving->pools) values.push_back(leaf->text(pool));
      values.erase(std::unique(values.begin(), values.end()), values.end());
      return fmt::format("{}", fmt::join(values, ", "));
    };
    out.push_back(std::move(field));
  }
}

void add_service(Fields& out) {
  for (const auto& leaf : leaves_of<ServingScenario>()) {
    if (leaf->shown == "requests" || leaf->shown == "pools" || leaf->shown == "seed" || leaf->shown == "faults")
      continue;  // in rows below
    out.push_back(adapted(
        *leaf, [](const Scenario& s) -> const ServingScenario& { return *s.serving; },
        [](Scenario& s, const auto& with) { change_serving(s, with); }));
  }
}

/// Replicas that have slow parts. Which they are the loader works out from the cluster.
ScenarioField slow_pools_field() {
  return {"slow", "slow replicas",
          [](const Scenario& a, const Scenario& b) {
            const auto &x = a.serving->pools, &y = b.serving->pools;
            return x.size() != y.size() ||
                   std::equal(x.begin(), x.end(), y.begin(),
                              [](const PoolSpec& p, const PoolSpec& q) { return p.slow == q.slow; });
          },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) {
              const auto& pools = from.serving->pools;
              for (std::size_t i = 0; pools.size() == serving.pools.size() && i < pools.size(); ++i)
                serving.pools[i].slow = pools[i].slow;
            });
          },
          [](const Scenario& s) {
            std::ptrdiff_t slow = 0;
            for (const PoolSpec& pool : s.serving->pools)
              slow += static_cast<std::ptrdiff_t>(pool.slow.size()) -
                      std::count(pool.slow.begin(), pool.slow.end(), ReplicaSpeed{});
            return fmt::format("{}", slow);
          }};
}

/// What is stated to fail and to restart. Which replicas that meets the loader works out from the cluster.
ScenarioField faults_field() {
  return {"upkeep", "faults",
          [](const Scenario& a, const Scenario& b) { return a.serving->faults == b.serving->faults; },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) {
              serving.faults = from.serving->faults;
              serving.failures.stated = from.serving->failures.stated;
            });
          },
          [](const Scenario& s) {
            const std::size_t stated = s.serving->failures.stated.size();
            return stated > 0 ? fmt::format("{} stated", stated) : std::string();
          }};
}

/// Whether requests of lower priority give way: of the deployment, though it stands with the rules of the streams.
ScenarioField preemption_field() {
  return {"engine", "priority_preemption",
          [](const Scenario& a, const Scenario& b) { return a.serving->classes.preempt == b.serving->classes.preempt; },
          [](const Scenario& from, Scenario& to) {
            change_serving(to,
                           [&](ServingScenario& serving) { serving.classes.preempt = from.serving->classes.preempt; });
          },
          [](const Scenario& s) { return text_of(s.serving->classes.preempt); }};
}

ScenarioField pools_field() {
  return {"plan", "pools",
          [](const Scenario& a, const Scenario& b) { return a.serving->pools.size() == b.serving->pools.size(); },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) { serving.pools = from.serving->pools; });
          },
          [](const Scenario& s) { return text_of(s.serving->pools); }};
}

std::string arrivals_text(const TrafficClass& c) {
  if (const auto* open = std::get_if<OpenLoop>(&c.arrivals)) {
    const std::string rate = fmt::format("{:.4g} requests/s", open->rate.mean().value());
    return open->max_concurrency > 0 ? fmt::format("{}, {} under way at most", rate, open->max_concurrency) : rate;
  }
  if (const auto* closed = std::get_if<ClosedLoop>(&c.arrivals)) return fmt::format("{} users", closed->users);
  return "times of a trace";
}

std::string load_text(const TrafficClass& c) {
  std::string text = arrivals_text(c);
  if (const auto* drawn = std::get_if<DrawnLengths>(&c.lengths))
    text += fmt::format(", {:.4g} tokens in and {:.4g} out", drawn->input.mean(), drawn->output.mean());
  if (c.stated_cached_share > 0) text += fmt::format(", {:.3g} % cached", 100 * c.stated_cached_share);
  return text;
}

/// Deadlines and priorities.
std::string rule_text(const ClassRule& rule) {
  std::string text;
  if (rule.first_token_deadline != kNeverTick)
    text += fmt::format(", first token within {}", format_time(to_seconds(rule.first_token_deadline)));
  if (rule.deadline != kNeverTick) text += fmt::format(", answered within {}", format_time(to_seconds(rule.deadline)));
  if (rule.priority != 0) text += fmt::format(", priority {}", rule.priority);
  return text;
}

/// Requests and promises as the file describes them, and what they are drawn with.
ScenarioField traffic_field() {
  return {"traffic", "requests",
          [](const Scenario& a, const Scenario& b) {
            return a.serving->traffic_description == b.serving->traffic_description &&
                   a.serving->seed == b.serving->seed;
          },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) {
              serving.traffic = from.serving->traffic;
              serving.class_names = from.serving->class_names;
              serving.levels = from.serving->levels;
              serving.classes.of = from.serving->classes.of;
              serving.classes.weights_stated = from.serving->classes.weights_stated;
              serving.traffic_description = from.serving->traffic_description;
              serving.seed = from.serving->seed;
              serving.failures.seed = from.serving->failures.seed;
            });
          },
          [](const Scenario& s) {
            std::vector<std::string> loads;
            const std::vector<ClassRule>& rules = s.serving->classes.of;
            for (std::size_t i = 0; i < s.serving->traffic.classes.size(); ++i)
              loads.push_back(load_text(s.serving->traffic.classes[i]) + (i < rules.size() ? rule_text(rules[i]) : ""));
            std::string text = fmt::format("{}", fmt::join(loads, " + "));
            if (const std::uint64_t most = s.serving->traffic.requests; most > 0)
              text = fmt::format("{} in all, {}", most, text);
            return s.serving->seed != 1 ? fmt::format("{}, seed {}", text, s.serving->seed) : text;
          }};
}

/// The cluster of the engine alone, field by field as the other one. Loops of which only one has such a cluster differ
/// in that, which copies all of it.
void add_rollout_cluster(Fields& out) {
  const auto both = [](const Scenario& a, const Scenario& b) {
    return a.rl->rollout_cluster.has_value() && b.rl->rollout_cluster.has_value();
  };
  for (const auto& leaf : leaves_of<ClusterSpec>()) {
    ScenarioField field = field_of(*leaf);
    field.name = "engine's " + field.name;
    field.same = [both, leaf = leaf.get()](const Scenario& a, const Scenario& b) {
      return !both(a, b) || leaf->same(*a.rl->rollout_cluster, *b.rl->rollout_cluster);
    };
    field.copy = [both, leaf = leaf.get()](const Scenario& from, Scenario& to) {
      if (both(from, to))
        change_loop(to, [&](RlScenario& rl) { leaf->copy(*from.rl->rollout_cluster, *rl.rollout_cluster); });
    };
    field.text = [leaf = leaf.get()](const Scenario& s) {
      return s.rl->rollout_cluster ? leaf->text(*s.rl->rollout_cluster) : std::string();
    };
    out.push_back(std::move(field));
  }
  out.push_back({"plan", "rollout_cluster",
                 [](const Scenario& a, const Scenario& b) {
                   return a.rl->rollout_cluster.has_value() == b.rl->rollout_cluster.has_value();
                 },
                 [](const Scenario& from, Scenario& to) {
                   change_loop(to, [&](RlScenario& rl) { rl.rollout_cluster = from.rl->rollout_cluster; });
                 },
                 [](const Scenario& s) {
                   return s.rl->rollout_cluster ? text_of(*s.rl->rollout_cluster) : std::string("the trainer's");
                 }});
}

/// Replicas of the engine that have slow parts. Which they are the loader works out from the clusters.
ScenarioField slow_engine_field() {
  return {"slow", "slow replicas of the engine",
          [](const Scenario& a, const Scenario& b) { return a.rl->rollout.slow == b.rl->rollout.slow; },
          [](const Scenario& from, Scenario& to) {
            change_loop(to, [&](RlScenario& rl) { rl.rollout.slow = from.rl->rollout.slow; });
          },
          [](const Scenario& s) {
            const auto& slow = s.rl->rollout.slow;
            return fmt::format(
                "{}", slow.size() - static_cast<std::size_t>(std::count(slow.begin(), slow.end(), ReplicaSpeed{})));
          }};
}

/// Everything of a loop: the update and the engine are parts of it.
void add_loop(Fields& out) {
  for (const auto& leaf : leaves_of<RlScenario>()) {
    if (leaf->traits.cause == "run" || leaf->shown == "rollout_cluster") continue;
    out.push_back(adapted(
        *leaf, [](const Scenario& s) -> const RlScenario& { return *s.rl; },
        [](Scenario& s, const auto& with) { change_loop(s, with); }));
  }
}

Fields make_training_fields() {
  Fields out;
  add_cluster(out);
  add_training(out);
  return out;
}

Fields make_serving_fields() {
  Fields out;
  add_cluster(out);
  add_pools(out);
  out.push_back(pools_field());
  out.push_back(slow_pools_field());
  out.push_back(faults_field());
  out.push_back(preemption_field());
  add_service(out);
  out.push_back(traffic_field());
  return out;
}

Fields make_rl_fields() {
  Fields out;
  add_cluster(out);
  add_rollout_cluster(out);
  out.push_back(slow_engine_field());
  add_loop(out);
  return out;
}

}  // namespace

std::span<const FieldGroup> field_groups() {
  static constexpr FieldGroup kGroups[] = {
      {"compute", "computing rate of the GPU", false},
      {"memory-bandwidth", "memory bandwidth of the GPU", false},
      {"memory-capacity", "memory capacity of the GPU", false},
      {"nvlink", "links between GPUs of a node", false},
      {"pcie", "links to hosts", false},
      {"nic", "NICs", false},
      {"fabric", "network between nodes", false},
      {"slow", "slow parts", false},
      {"precision", "number formats", false},
      {"kv-cache", "number format of the KV cache", false},
      {"attention", "attention", false},
      {"experts", "experts", true},
      {"routing", "node-limited routing", false},
      {"model", "size of the model", true},
      {"schedule", "pipeline schedule", true},
      {"plan", "cluster size and parallel plan", true},
      {"batch", "batch", true},
      {"overlap", "what runs beside what, and how it travels", false},
      {"software", "kernels, launches and what frameworks add", false},
      {"speculation", "drafts", false},
      {"micro-batches", "one micro-batch or two", false},
      {"engine", "scheduling and exchange", false},
      {"prefix-cache", "cache of prompts", false},
      {"transfers", "transfers of caches", false},
      {"rollouts", "prompts, answers and rewards", false},
      {"algorithm", "algorithm", false},
      {"placement", "same GPUs in turn, or apart", true},
      {"ahead", "how far the engine runs ahead", false},
      {"loop", "packing, handover and the host", false},
      {"weight-sync", "how new weights reach the engine", false},
      {"upkeep", "failures and scaling", false},
      {"traffic", "requests", false},
      {"recompute", "recomputation", false},
      {"offload", "what lies in the host's memory", false},
      {"local updates", "workers that train on their own", false},
      {"expert-load", "unevenness of expert load", false},
      {"mechanisms", "mechanisms of the model of a step", false},
      {"what-if", "computing at a fraction of its speed", false},
  };
  return kGroups;
}

std::span<const ScenarioField> training_fields() {
  static const Fields fields = make_training_fields();
  return fields;
}

std::span<const ScenarioField> serving_fields() {
  static const Fields fields = make_serving_fields();
  return fields;
}

std::span<const ScenarioField> rl_fields() {
  static const Fields fields = make_rl_fields();
  return fields;
}

}  // namespace flopcast
