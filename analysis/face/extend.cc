// The caller's functions take the place of rows of the tables of schedules, routers and batching policies.
#include "flopcast/extend.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "flopcast/errors.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "workloads/schedules/schedule.h"
#include "workloads/serving/policies.h"
#include "workloads/serving/router.h"

namespace flopcast {
namespace {

constexpr const char* kOwn = "custom";  // what reports call it

/// Asks the caller where a request goes.
class OwnRouter final : public Router {
 public:
  OwnRouter(const Extensions::Router& route, std::string pool) : route_(route), pool_(std::move(pool)) {}

  std::size_t choose(const Request& request, std::span<const ReplicaView> replicas) override {
    const RoutedRequest asked{request.id,
                              pool_,
                              request.arrival.value(),
                              request.input_tokens,
                              request.output_tokens,
                              request.request_class,
                              request.turn,
                              request.session};
    const std::optional<std::size_t> chosen = route_(asked, replicas);
    if (!chosen) return kNoReplica;
    if (*chosen < replicas.size() && replicas[*chosen].accepting) return *chosen;
    throw InputError(Diagnostic{
        .field = "router",
        .found = *chosen < replicas.size() ? fmt::format("replica {}, which accepts no requests now", *chosen)
                                           : fmt::format("{}", *chosen),
        .expected = fmt::format("the index of one of {} replicas that accepts requests, or none", replicas.size())});
  }

 private:
  Extensions::Router route_;
  std::string pool_;
};

/// Holds the caller to two rules: no tokens below zero, and prompts where nothing else would ever happen.
class WatchedPlan final : public IterationPlan {
 public:
  explicit WatchedPlan(IterationPlan& plan) : plan_(plan) {
    token_budget = plan.token_budget;
    decoding_requests = plan.decoding_requests;
    decoding_tokens = plan.decoding_tokens;
  }
  std::int64_t continue_prompts(std::int64_t tokens) override {
    return counted(plan_.continue_prompts(tokens), tokens);
  }
  std::int64_t admit_waiting(std::int64_t tokens) override { return counted(plan_.admit_waiting(tokens), tokens); }

  void check() {
    if (taken_ > 0 || decoding_requests > 0 || token_budget <= 0) return;
    admit_waiting(continue_prompts(token_budget));
    if (taken_ == 0) return;
    throw InputError(Diagnostic{.field = "batching",
                                .found = "an iteration with nothing in it while prompts wait",
                                .expected = "prompts (continue_prompts, admit_waiting) whenever nothing decodes"});
  }

 private:
  std::int64_t counted(std::int64_t left, std::int64_t tokens) {
    taken_ += tokens - left;
    return left;
  }
  IterationPlan& plan_;
  std::int64_t taken_ = 0;
};

/// A scenario and what its policies point to.
struct Extended {
  Scenario scenario;
  std::shared_ptr<const Scenario> base;  // may be extended too
  std::vector<std::unique_ptr<const BatchingRow>> batching;
};

/// The function for a pool: its own, else that for every pool; null when there is neither.
template <class Function>
const Function* for_pool(const std::map<std::string, Function>& functions, const std::string& pool) {
  auto found = functions.find(pool);
  if (found == functions.end()) found = functions.find("");
  return found == functions.end() ? nullptr : &found->second;
}

bool callable(const Extensions::Router& route) { return static_cast<bool>(route); }
bool callable(const Extensions::Batching& batching) { return static_cast<bool>(batching.compose); }

template <class Function>
void check_pools(const std::map<std::string, Function>& functions, const Scenario& scenario, const std::string& what,
                 std::vector<Diagnostic>& faults) {
  std::vector<std::string> pools;
  if (scenario.serving)
    for (const PoolSpec& pool : scenario.serving->pools) pools.push_back(pool.name);
  for (const auto& [name, function] : functions) {
    if (!callable(function)) {
      faults.push_back({.file = scenario.file,
                        .field = what,
                        .found = "an empty function",
                        .expected = fmt::format("one that can be called, or no entry for pool \"{}\"", name)});
    }
    if (name.empty() ? !pools.empty() : std::find(pools.begin(), pools.end(), name) != pools.end()) continue;
    faults.push_back(
        {.file = scenario.file,
         .field = what,
         .found = pools.empty() ? "a scenario that serves nothing" : fmt::format("pool \"{}\"", name),
         .expected = pools.empty() ? "a scenario with `serving`" : fmt::format("one of {}", fmt::join(pools, ", ")),
         .suggestion = nearest_name(name, pools)});
  }
}

void check_use(const Scenario& scenario, const Extensions& extensions) {
  std::vector<Diagnostic> faults;
  if (extensions.schedule && !scenario.training) {
    faults.push_back({.file = scenario.file,
                      .field = "schedule",
                      .found = "a scenario that trains nothing",
                      .expected = "a scenario with `training`"});
  }
  check_pools(extensions.routers, scenario, "router", faults);
  check_pools(extensions.batching, scenario, "batching", faults);
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// As if the scenario had named a file with that order.
void set_schedule(TrainingConfig& training, const std::function<std::string(const PipelineSizes&)>& order) {
  const ScheduleRequest request{training.plan.pipeline, training.micro_batches() / training.rounds(),
                                training.plan.chunks};
  training.schedule = kOwn;
  training.schedule_file = "schedule";
  training.schedule_text = order({request.ranks, request.micro_batches, request.chunks});
  parse_schedule(training.schedule_text, training.schedule_file, request);
}

std::shared_ptr<const RouterRow> own_router(const Extensions::Router& route, const std::string& pool) {
  RouterRow row{.name = kOwn, .title = "of the caller", .sees_prefix_match = true, .sees_kv = true};
  row.make = [route, pool](std::uint64_t) { return std::make_unique<OwnRouter>(route, pool); };
  return std::make_shared<const RouterRow>(std::move(row));
}

std::unique_ptr<const BatchingRow> own_batching(const Extensions::Batching& policy) {
  const auto compose = [own = policy.compose](IterationPlan& plan) {
    WatchedPlan watched(plan);
    own(watched);
    watched.check();
  };
  return std::make_unique<const BatchingRow>(BatchingRow{.name = kOwn,
                                                         .title = "of the caller",
                                                         .compose = compose,
                                                         .decodes_beside_prompts = policy.decodes_beside_prompts});
}

}  // namespace

ResolvedScenario extend(const ResolvedScenario& scenario, Extensions extensions) {
  check_use(scenario.value(), extensions);
  auto out = std::make_shared<Extended>();
  out->scenario = scenario.value();
  out->base = scenario.shared();
  if (extensions.schedule) set_schedule(*out->scenario.training, extensions.schedule);
  if (!extensions.routers.empty() || !extensions.batching.empty()) {
    change_serving(out->scenario, [&](ServingScenario& serving) {
      for (PoolSpec& pool : serving.pools) {
        if (const auto* route = for_pool(extensions.routers, pool.name)) {
          pool.router = kOwn;
          pool.own_router = own_router(*route, pool.name);
        }
        if (const auto* policy = for_pool(extensions.batching, pool.name)) {
          out->batching.push_back(own_batching(*policy));
          pool.engine.scheduler.batching = out->batching.back().get();
        }
      }
    });
  }
  return ResolvedScenario(std::shared_ptr<const Scenario>(out, &out->scenario));
}

std::string order_of_passes(const std::string& schedule, const PipelineSizes& sizes) {
  const ScheduleRow* row = find_schedule(schedule);
  if (row == nullptr) {
    std::vector<std::string> names;
    for (const ScheduleRow& known : schedules()) names.emplace_back(known.name);
    throw InputError(Diagnostic{.field = "schedule",
                                .found = schedule,
                                .expected = fmt::format("one of {}", fmt::join(names, ", ")),
                                .suggestion = nearest_name(schedule, names)});
  }
  const ScheduleRequest request{sizes.ranks, sizes.micro_batches, sizes.chunks};
  if (auto faults = row->check(request); !faults.empty()) throw InputError(std::move(faults));
  return to_text(row->build(request));
}

}  // namespace flopcast
