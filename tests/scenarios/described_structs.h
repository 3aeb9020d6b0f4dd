// Every described struct, for tests of what follows from descriptions.
#pragma once
#include <string>
#include <vector>

#include "scenarios/resolve/rl_scenario.h"
#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast::testing {

/// Calls `visit(T{})` for each described struct that a scenario is made of.
template <class Visit>
void for_each_described(Visit visit) {
  const auto all = [&](auto... part) { (visit(part), ...); };
  all(ParallelPlan{}, BatchConfig{}, PrecisionPlan{}, RecomputePlan{}, ExpertLoad{}, Mechanisms{}, TrainingOverheads{},
      SoftwareProfile{}, TrainingConfig{}, GpuSpec{}, NodeSpec{}, FabricSpec{}, SlowPart{}, ClusterSpec{}, Source{},
      WindowConfig{}, IndexerConfig{}, StateLayersConfig{}, AttentionConfig{}, MoeConfig{}, ModelConfig{},
      ServingPlan{}, ServingPrecision{}, SchedulerConfig{}, SpeculationConfig{}, EngineConfig{}, PrefixCacheConfig{},
      PoolSpec{}, AutoscaleConfig{}, FailureConfig{}, ExpertPaceConfig{}, ServiceLevel{}, TokenPriceTable{},
      ServingScenario{}, TokenLengths{}, AsynchronyConfig{}, RewardConfig{}, SyncConfig{}, HandoverConfig{},
      GrowthPoint{}, RlRunConfig{}, RlConfig{}, RlScenario{}, RentalConfig{}, OwnedConfig{}, AmortisedConfig{},
      SiteConfig{}, PriceConfig{}, Spending{}, StaffConfig{}, ProgrammeConfig{}, GivenServiceConfig{}, MarketConfig{},
      SpreadConfig{}, UncertainConfig{}, CorrelatedConfig{}, UncertaintyConfig{}, TrainingPhase{}, ResilienceConfig{},
      ClusterLifeConfig{}, CollectiveConfig{}, Scenario::Published{}, Scenario{});
}

/// Another value than it has, for any type of field.
template <class T>
void change(T& value) {
  if constexpr (std::is_same_v<T, bool>)
    value = !value;
  else if constexpr (requires { enum_names(value); })
    value = static_cast<T>((static_cast<std::size_t>(value) + 1) % enum_names(value).size());
  else if constexpr (std::is_arithmetic_v<T>)
    value += 1;
  else if constexpr (requires { value += T(1.0); })
    value += T(1.0);
  else if constexpr (std::is_same_v<T, std::string>)
    value += "x";
  else if constexpr (requires { rows_of(value); })
    value = value == &rows_of(value)[0] ? &rows_of(value)[1] : &rows_of(value)[0];
  else if constexpr (requires { value.emplace_back(); })
    value.emplace_back();
  else if constexpr (requires { value.has_value(); }) {
    auto inner = value.value_or(typename T::value_type{});
    change(inner);
    value = inner;
  }
}

/// Calls `visit(row, get)` for each field of T that is no struct itself, `get` leading there from a T.
template <class T, class Visit, class Get>
void for_each_leaf(const Visit& visit, Get get) {
  using Part = std::remove_cvref_t<decltype(get(std::declval<T&>()))>;
  for_each_field<Part>([&](const auto& row) {
    const auto within = [ get, member = row.member ](T & whole) -> auto& { return get(whole).*member; };
    using Member = std::remove_cvref_t<decltype(within(std::declval<T&>()))>;
    if constexpr (Described<Member>)
      for_each_leaf<T>(visit, within);
    else
      visit(row, within);
  });
}
template <class T, class Visit>
void for_each_leaf(const Visit& visit) {
  for_each_leaf<T>(visit, [](T& whole) -> T& { return whole; });
}

}  // namespace flopcast::testing
