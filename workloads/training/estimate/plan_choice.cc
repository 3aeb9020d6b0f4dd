#include "workloads/training/estimate/plan_choice.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace flopcast {

namespace {

constexpr std::array<std::string_view, 8> kSplitNames{
    "", "balanced", "even", "fractional", "even_with_embedding", "even_with_head", "even_with_both", "filled"};

/// Calls body(member of a choice, accessor of a configuration) for every field that both hold in the same way.
template <class Body>
constexpr void for_each_shared_field(Body body) {
  const auto of_plan = [&](auto mine, auto theirs) {
    body(
        mine, [theirs](auto& config) -> auto& { return config.plan.*theirs; });
  };
  using C = PlanChoice;
  using P = ParallelPlan;
  of_plan(&C::tensor, &P::tensor);
  of_plan(&C::context, &P::context);
  of_plan(&C::pipeline, &P::pipeline);
  of_plan(&C::data, &P::data);
  of_plan(&C::chunks, &P::chunks);
  of_plan(&C::expert, &P::expert);
  of_plan(&C::expert_tensor, &P::expert_tensor);
  of_plan(&C::zero_stage, &P::zero_stage);
  of_plan(&C::shard_group, &P::shard_group);
  of_plan(&C::context_exchange, &P::context_exchange);
  of_plan(&C::dispatcher, &P::dispatcher);
  of_plan(&C::sequence_parallel, &P::sequence_parallel);
  of_plan(&C::tensor_overlap, &P::tensor_overlap);
  of_plan(&C::overlap_gradients, &P::overlap_gradients);
  of_plan(&C::overlap_parameters, &P::overlap_parameters);
  of_plan(&C::shared_expert_overlap, &P::shared_expert_overlap);
  body(
      &C::micro_batch_sequences, [](auto& config) -> auto& { return config.batch.micro_batch_sequences; });
  body(
      &C::recompute, [](auto& config) -> auto& { return config.recompute; });
}

constexpr int shared_fields() {
  int fields = 0;
  for_each_shared_field([&](const auto&...) { ++fields; });
  return fields;
}
constexpr int kConvertedFields = 3;  // schedule, precision and split: both hold them in ways of their own
static_assert(shared_fields() + kConvertedFields == described_members<PlanChoice>(),
              "a field that choice_of() and set_choice() forget");

/// Calls visit(value, its width in bits) for every number, enumeration and switch of a choice.
template <Described Struct, class Visit>
void for_each_value(const Struct& described, Visit visit) {
  for_each_field<Struct>([&](const auto& field) {
    const auto& value = described.*field.member;
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (Described<Value>) {
      for_each_value(value, visit);
    } else {
      const int bits = std::is_same_v<Value, bool> ? 1 : std::is_enum_v<Value> ? 4 : 32;
      visit(static_cast<std::uint32_t>(value), bits);
    }
  });
}

template <Described Struct>
std::strong_ordering in_order_of_fields(const Struct& a, const Struct& b) {
  std::strong_ordering order = std::strong_ordering::equal;
  for_each_field<Struct>([&](const auto& field) {
    if (order != std::strong_ordering::equal) return;
    const auto &x = a.*field.member, &y = b.*field.member;
    if constexpr (Described<std::remove_cvref_t<decltype(x)>>)
      order = in_order_of_fields(x, y);
    else
      order = x <=> y;
  });
  return order;
}

}  // namespace

std::string_view split_name(PlanChoice::Split split) { return kSplitNames[static_cast<std::size_t>(split)]; }

PlanChoice::Split split_named(std::string_view name) {
  const auto found = std::find(kSplitNames.begin(), kSplitNames.end(), name);
  assert(found != kSplitNames.end() && "the loader checks names");
  return static_cast<PlanChoice::Split>(found - kSplitNames.begin());
}

std::strong_ordering operator<=>(const PlanChoice& a, const PlanChoice& b) { return in_order_of_fields(a, b); }

std::size_t PlanChoiceHash::operator()(const PlanChoice& choice) const {
  std::uint64_t hash = 0x9e3779b97f4a7c15, word = 0;
  int filled = 0;
  const auto mix = [&] {
    hash = (hash ^ word) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
    word = 0;
    filled = 0;
  };
  for_each_value(choice, [&](std::uint32_t value, int bits) {
    if (filled + bits > 64) mix();
    word = word << bits | value;
    filled += bits;
  });
  mix();
  return hash;
}

PlanChoice choice_of(const TrainingConfig& config, std::span<const PrecisionPlan> precisions) {
  PlanChoice choice;
  for_each_shared_field([&](auto mine, auto theirs) { choice.*mine = theirs(config); });
  if (config.schedule_text.empty()) {
    const ScheduleRow* row = find_schedule(config.schedule);
    assert(row != nullptr && "the loader checks names");
    choice.schedule = static_cast<int>(row - schedules().data());
  }
  const auto own = std::find(precisions.begin(), precisions.end(), config.precision);
  assert(own != precisions.end());
  choice.precision = static_cast<int>(own - precisions.begin());
  choice.split = config.plan.stage_layers.empty() ? split_named(config.plan.layer_split) : PlanChoice::Split::stated;
  return choice;
}

TrainingConfig with_choice(const TrainingConfig& base, const PlanChoice& choice,
                           std::span<const PrecisionPlan> precisions) {
  TrainingConfig config = base;
  set_choice(config, base, choice, precisions);
  return config;
}

void set_choice(TrainingConfig& config, const TrainingConfig& base, const PlanChoice& choice,
                std::span<const PrecisionPlan> precisions) {
  for_each_shared_field([&](auto mine, auto theirs) { theirs(config) = choice.*mine; });
  if (const ScheduleRow* row = choice.schedule_row()) {
    config.schedule = row->name;
    config.schedule_text.clear();
    config.schedule_file.clear();
  } else {
    config.schedule = base.schedule;
    config.schedule_text = base.schedule_text;
    config.schedule_file = base.schedule_file;
  }
  config.precision = precisions[static_cast<std::size_t>(choice.precision)];
  if (choice.split != PlanChoice::Split::stated) {
    config.plan.stage_layers.clear();
    config.plan.layer_split = split_name(choice.split);
  } else {
    config.plan.stage_layers = base.plan.stage_layers;
    config.plan.layer_split = base.plan.layer_split;
  }
}

}  // namespace flopcast
