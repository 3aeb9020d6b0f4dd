// Every described struct, for tests of what follows from descriptions.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast::testing {

/// Calls `visit(T{})` for each described struct that a scenario is made of.
template <class Visit>
void for_each_described(Visit visit) {
  const auto all = [&](auto... part) { (visit(part), ...); };
  all(ParallelPlan{}, BatchConfig{}, PrecisionPlan{}, RecomputePlan{}, OffloadPlan{}, ExpertLoad{}, Mechanisms{},
      TrainingOverheads{}, SoftwareProfile{}, TrainingConfig{}, GpuSpec{}, NodeSpec{}, FabricSpec{}, SlowPart{},
      ClusterSpec{}, Source{}, WindowConfig{}, IndexerConfig{}, StateLayersConfig{}, AttentionConfig{}, MoeConfig{},
      ModelConfig{}, ServingPlan{}, ServingPrecision{}, SchedulerConfig{}, SpeculationConfig{}, EngineConfig{},
      PrefixCacheConfig{}, PoolSpec{}, AutoscaleConfig{}, FailureConfig{}, ExpertPaceConfig{}, ServiceLevel{},
      TokenPriceTable{}, ServingScenario{}, TokenLengths{}, AsynchronyConfig{}, HostWorkers{}, RewardConfig{},
      ToolConfig{}, SyncConfig{}, HandoverConfig{}, GrowthPoint{}, RlRunConfig{}, RlConfig{}, RlScenario{},
      RentalConfig{}, OwnedConfig{}, AmortisedConfig{}, SiteConfig{}, PriceConfig{}, Spending{}, StaffConfig{},
      ProgrammeConfig{}, GivenServiceConfig{}, MarketConfig{}, SpreadConfig{}, UncertainConfig{}, CorrelatedConfig{},
      UncertaintyConfig{}, TrainingPhase{}, ResilienceConfig{}, ClusterLifeConfig{}, CollectiveConfig{},
      Scenario::Published{}, Scenario{});
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
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    value.emplace_back("x");  // an empty word more reads as none
  else if constexpr (requires { value.emplace_back(); })
    value.emplace_back();
  else if constexpr (requires { value.has_value(); }) {
    auto inner = value.value_or(typename T::value_type{});
    change(inner);
    value = inner;
  }
}

/// What a description says of one field. Tests go through lists of these: a check that is instantiated for each of
/// hundreds of fields takes the compiler longer than all the rest.
struct DescribedField {
  std::string_view name, shown, cause, on;
  bool resolved = false;
  bool is_struct = false;               ///< described itself
  bool holds_structs = false;           ///< a list, an optional or a pointer of such
  std::vector<std::string_view> words;  ///< of an enum
  std::vector<DescribedField> inner;    ///< of a struct whose fields stand where those of the struct round it do
};

template <class T>
std::vector<DescribedField> described_fields() {
  std::vector<DescribedField> out;
  for_each_field<T>([&]<class Struct, class Member>(const FieldRow<Struct, Member>& row) {
    DescribedField field{row.name,      row.shown(),         row.traits.cause,
                         row.traits.on, row.traits.resolved, Described<Member>};
    if constexpr (Described<Member>) {
      if (row.name.empty()) field.inner = described_fields<Member>();
    } else {
      field.holds_structs = requires { requires Described<typename Member::value_type>; }
      || requires { requires Described<typename Member::element_type>; };
    }
    if constexpr (requires { enum_names(Member{}); }) {
      constexpr auto kNames = enum_names(Member{});
      field.words.assign(kNames.begin(), kNames.end());
    }
    out.push_back(std::move(field));
  });
  return out;
}

/// A field that is no struct itself, however deep within structs.
struct Leaf {
  std::string_view name, shown, cause;
  std::ptrdiff_t offset;  ///< in bytes, from the struct that it was looked for in
  void (*change_it)(void*);

  /// Gives the field of `whole` another value.
  template <class T>
  void change_in(T& whole) const {
    change_it(reinterpret_cast<char*>(&whole) + offset);
  }
};

template <class Part>
void add_leaves(const Part& part, const void* whole, std::vector<Leaf>& leaves) {
  for_each_field<Part>([&]<class Struct, class Member>(const FieldRow<Struct, Member>& row) {
    const Member& member = part.*row.member;
    if constexpr (Described<Member>) {
      add_leaves(member, whole, leaves);
    } else {
      leaves.push_back({row.name, row.shown(), row.traits.cause,
                        reinterpret_cast<const char*>(&member) - static_cast<const char*>(whole),
                        [](void* field) { change(*static_cast<Member*>(field)); }});
    }
  });
}

template <class T>
std::vector<Leaf> leaves_of() {
  const T sample{};
  std::vector<Leaf> leaves;
  add_leaves(sample, &sample, leaves);
  return leaves;
}

}  // namespace flopcast::testing
