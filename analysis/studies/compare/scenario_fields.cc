#include "analysis/studies/compare/scenario_fields.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

#include "analysis/render/format.h"
#include "scenarios/resolve/rl_scenario.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast {
namespace {

using Fields = std::vector<ScenarioField>;

// ------------------------------------------------------------------------------------------- values for people

std::string text_of(BytesPerSecond rate) { return format_rate(rate); }
std::string text_of(FlopPerSecond rate) { return fmt::format("{:.4g} TFLOPS", rate.value() / 1e12); }
std::string text_of(Hertz clock) { return fmt::format("{:.4g} MHz", clock.value() / 1e6); }
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
/// A row of one of the program's tables.
template <class T>
requires requires(const T* row) { rows_of(row); }
std::string text_of(const T* row) { return std::string(row->name); }

// ------------------------------------------------------------------------------------------- fields by description

bool changes_time(const FieldTraits& traits) {
  return std::find(std::begin(kUntimedGroups), std::end(kUntimedGroups), traits.cause) == std::end(kUntimedGroups);
}

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

/// Calls `add(row, get)` for each field of T and of the structs in it that a comparison may show, `get` leading there
/// from the whole, const or not.
template <class T, class Get, class Add>
void for_each_leaf(Get get, const Add& add) {
  for_each_field<T>([&](const auto& row) {
    const auto within = [ get, member = row.member ](auto& whole) -> auto& { return get(whole).*member; };
    using Member = std::remove_cvref_t<decltype(std::declval<T&>().*row.member)>;
    if constexpr (Described<Member>)
      for_each_leaf<Member>(within, add);
    else if constexpr (requires(const Member& value) { text_of(value); } || kIsOptional<Member>)
      add(row, within);
    else
      assert(!changes_time(row.traits));
  });
}

template <class Member>
std::string shown_value(const Member& value, const FieldTraits& traits) {
  if constexpr (kIsOptional<Member>)
    return value ? text_of(*value) : std::string(traits.absent);
  else
    return text_of(value);
}

/// The fields of a part that every scenario of the kind has once, at `find(scenario)`.
template <class Part, class Find>
void add(Find find, Fields& out) {
  for_each_leaf<Part>(
      [](auto& part) -> auto& { return part; },
      [&](const auto& row, const auto& get) {
        if (!changes_time(row.traits)) return;
        out.push_back(
            {std::string(row.traits.cause), std::string(row.shown()),
             [get, find](const Scenario& a, const Scenario& b) { return get(find(a)) == get(find(b)); },
             [get, find](const Scenario& from, Scenario& to) { get(find(to)) = get(find(from)); },
             [get, find, traits = row.traits](const Scenario& s) { return shown_value(get(find(s)), traits); }});
      });
}

/// The same of each pool. Scenarios with different numbers of pools differ in `pools`, which copies all.
void add_pools(Fields& out) {
  for_each_leaf<PoolSpec>(
      [](auto& pool) -> auto& { return pool; },
      [&](const auto& row, const auto& get) {
        if (!changes_time(row.traits)) return;
        const auto same = [get](const Scenario& a, const Scenario& b) {
          const auto &x = a.serving->pools, &y = b.serving->pools;
          for (std::size_t i = 0; x.size() == y.size() && i < x.size(); ++i) {
            if (!(get(x[i]) == get(y[i]))) return false;
          }
          return true;
        };
        const auto copy = [get](const Scenario& from, Scenario& to) {
          change_serving(to, [&](ServingScenario& serving) {
            const auto& pools = from.serving->pools;
            for (std::size_t i = 0; pools.size() == serving.pools.size() && i < pools.size(); ++i)
              get(serving.pools[i]) = get(pools[i]);
          });
        };
        const auto text = [get, traits = row.traits](const Scenario& s) {
          std::vector<std::string> values;
          for (const PoolSpec& pool : s.serving->pools) values.push_back(shown_value(get(pool), traits));
          values.erase(std::unique(values.begin(), values.end()), values.end());
          return fmt::format("{}", fmt::join(values, ", "));
        };
        out.push_back({std::string(row.traits.cause), std::string(row.shown()), same, copy, text});
      });
}

void add_service(Fields& out) {
  for_each_leaf<ServingScenario>(
      [](auto& service) -> auto& { return service; },
      [&](const auto& row, const auto& get) {
        if (!changes_time(row.traits)) return;
        if (row.shown() == "requests" || row.shown() == "pools") return;  // rows of their own, below
        out.push_back({std::string(row.traits.cause), std::string(row.shown()),
                       [get](const Scenario& a, const Scenario& b) { return get(*a.serving) == get(*b.serving); },
                       [get](const Scenario& from, Scenario& to) {
                         change_serving(to, [&](ServingScenario& serving) { get(serving) = get(*from.serving); });
                       },
                       [get, traits = row.traits](const Scenario& s) { return shown_value(get(*s.serving), traits); }});
      });
}

ScenarioField pools_field() {
  return {"plan", "pools",
          [](const Scenario& a, const Scenario& b) { return a.serving->pools.size() == b.serving->pools.size(); },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) { serving.pools = from.serving->pools; });
          },
          [](const Scenario& s) { return text_of(s.serving->pools); }};
}

std::string load_text(const TrafficClass& c) {
  if (const auto* open = std::get_if<OpenLoop>(&c.arrivals))
    return fmt::format("{:.4g} requests/s", open->rate.mean().value());
  if (const auto* closed = std::get_if<ClosedLoop>(&c.arrivals)) return fmt::format("{} users", closed->users);
  return "times of a trace";
}

/// Requests and promises as the file describes them.
ScenarioField traffic_field() {
  return {"traffic", "requests",
          [](const Scenario& a, const Scenario& b) {
            return a.serving->traffic_description == b.serving->traffic_description;
          },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) {
              serving.traffic = from.serving->traffic;
              serving.class_names = from.serving->class_names;
              serving.levels = from.serving->levels;
              serving.traffic_description = from.serving->traffic_description;
            });
          },
          [](const Scenario& s) {
            std::vector<std::string> loads;
            for (const TrafficClass& c : s.serving->traffic.classes) loads.push_back(load_text(c));
            return fmt::format("{}", fmt::join(loads, " + "));
          }};
}

/// Everything of a loop: the update and the engine are parts of it.
void add_loop(Fields& out) {
  for_each_leaf<RlScenario>(
      [](auto& loop) -> auto& { return loop; },
      [&](const auto& row, const auto& get) {
        if (!changes_time(row.traits) || row.traits.cause == "run") return;
        out.push_back({std::string(row.traits.cause), std::string(row.shown()),
                       [get](const Scenario& a, const Scenario& b) { return get(*a.rl) == get(*b.rl); },
                       [get](const Scenario& from, Scenario& to) {
                         auto copy = std::make_shared<RlScenario>(*to.rl);
                         get(*copy) = get(*from.rl);
                         to.rl = std::move(copy);
                       },
                       [get, traits = row.traits](const Scenario& s) { return shown_value(get(*s.rl), traits); }});
      });
}

Fields make_training_fields() {
  Fields out;
  add<ClusterSpec>(
      [](auto& s) -> auto& { return s.cluster; }, out);
  add<TrainingConfig>(
      [](auto& s) -> auto& { return *s.training; }, out);
  return out;
}

Fields make_serving_fields() {
  Fields out;
  add<ClusterSpec>(
      [](auto& s) -> auto& { return s.cluster; }, out);
  add_pools(out);
  out.push_back(pools_field());
  add_service(out);
  out.push_back(traffic_field());
  return out;
}

Fields make_rl_fields() {
  Fields out;
  add<ClusterSpec>(
      [](auto& s) -> auto& { return s.cluster; }, out);
  add_loop(out);
  return out;
}

}  // namespace

void change_serving(Scenario& scenario, const std::function<void(ServingScenario&)>& change) {
  auto copy = std::make_shared<ServingScenario>(*scenario.serving);
  change(*copy);
  scenario.serving = std::move(copy);
}

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
      {"speculation", "drafts by MTP", false},
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
