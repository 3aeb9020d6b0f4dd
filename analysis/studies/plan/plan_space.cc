#include "analysis/studies/plan/plan_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "scenarios/resolve/laws/training_laws.h"
#include "sim/base/diagnostic.h"
#include "workloads/model/key_heads.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/stages.h"

namespace flopcast {
namespace {

/// Values beyond these are of no use to anybody: a sequence cut below so many tokens a GPU, chunks beyond so many.
constexpr std::int64_t kFewestTokensPerGpu = 256;
constexpr int kMostChunksTried = 8, kMostMicroBatchSequences = 16;

std::vector<int> divisors(std::int64_t number, std::int64_t most) {
  std::vector<int> result;
  for (std::int64_t i = 1; i <= std::min(number, most); ++i) {
    if (number % i == 0) result.push_back(static_cast<int>(i));
  }
  return result;
}

bool below(std::string_view path, std::string_view prefix) {
  return path == prefix || (path.starts_with(prefix) && path.size() > prefix.size() && path[prefix.size()] == '.');
}

std::string full_path(const std::string& path) { return path.starts_with("training.") ? path : "training." + path; }

bool matches(std::string_view path, const std::vector<std::string>& list) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
    return entry == "all" || entry == "training" || below(path, full_path(entry));
  });
}

/// Everything that saves memory, from what costs least time. Fields that do not vary stay as they are.
std::vector<RecomputePlan> recompute_ladder(const TrainingConfig& base, const OpenFields& open) {
  const bool latent = base.model.attention.from_latent();
  std::vector<RecomputePlan> steps;
  const auto add = [&](bool norms, bool up, bool activation, bool core, bool mlp, bool full) {
    RecomputePlan plan = base.recompute;
    const auto set = [&](const char* name, bool RecomputePlan::*field, bool value) {
      if (open.varies(std::string("training.recompute.") + name)) plan.*field = value;
    };
    set("norms", &RecomputePlan::norms, norms);
    set("attention_up_projections", &RecomputePlan::attention_up_projections, up && latent);
    set("activation_function", &RecomputePlan::activation_function, activation);
    set("attention_core", &RecomputePlan::attention_core, core);
    set("mlp", &RecomputePlan::mlp, mlp);
    set("full_layer", &RecomputePlan::full_layer, full);
    if (open.varies("training.recompute.full_layers")) plan.full_layers = 0;
    if (std::find(steps.begin(), steps.end(), plan) == steps.end()) steps.push_back(plan);
  };
  add(false, false, false, false, false, false);
  add(true, false, false, false, false, false);
  add(false, false, true, false, false, false);
  add(true, false, true, false, false, false);
  add(true, true, true, false, false, false);
  add(true, true, true, true, false, false);
  add(false, false, false, false, true, false);
  add(true, true, true, false, true, false);
  add(false, false, false, false, false, true);
  return steps;
}

std::vector<std::string> words(const std::string& list) {
  std::vector<std::string> result;
  std::string word;
  for (const char c : list + ",") {
    if (c != ',') {
      word += c;
    } else if (!word.empty()) {
      result.push_back(std::move(word));
      word.clear();
    }
  }
  return result;
}

const PlanField* field_at(const std::string& path) {
  for (const PlanField& field : plan_fields()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

void check_paths(const OpenFields& open) {
  std::vector<Diagnostic> faults;
  std::vector<std::string> known{"training.plan", "training.batch", "training.recompute"};
  for (const PlanField& field : plan_fields()) known.emplace_back(field.path);
  const auto check = [&](const std::string& path, const char* option) {
    const std::string full = full_path(path);
    if (path == "all" || full == "training" || std::find(known.begin(), known.end(), full) != known.end()) return;
    faults.push_back({"", 0, 0, option, path, "a field of the plan, or all", nearest_name(full, known)});
  };
  for (const std::string& path : open.open) check(path, "--open");
  for (const std::string& path : open.keep) check(path, "--keep");
  for (const std::string& entry : open.allowed) check(entry.substr(0, entry.find('=')), "--among");
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// Keeps of a field's values those that `--among` names.
class AllowedValues {
 public:
  AllowedValues(const OpenFields& open, const TrainingConfig& base, const std::vector<PrecisionPlan>& precisions)
      : own_(choice_of_or_default(base, precisions)) {
    for (const std::string& entry : open.allowed) {
      const std::size_t equals = entry.find('=');
      lists_.emplace_back(full_path(entry.substr(0, equals)),
                          equals == std::string::npos ? std::vector<std::string>{} : words(entry.substr(equals + 1)));
    }
  }

  /// @param set puts a value into a choice, so that the field can say it in words.
  template <class Value, class Set>
  std::vector<Value> of(const char* path, std::vector<Value> values, Set set) const {
    for (const auto& [listed, names] : lists_) {
      if (listed != path) continue;
      const PlanField& field = *field_at(listed);
      std::vector<std::string> known;
      std::vector<Value> kept;
      for (const Value& value : values) {
        PlanChoice choice = own_;
        set(choice, value);
        known.push_back(field.value(choice));
        if (std::find(names.begin(), names.end(), known.back()) != names.end()) kept.push_back(value);
      }
      for (const std::string& name : names) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        throw InputError(Diagnostic{"", 0, 0, "--among " + listed, name,
                                    fmt::format("some of {}", fmt::join(known, ", ")), nearest_name(name, known)});
      }
      values = std::move(kept);
    }
    return values;
  }

 private:
  static PlanChoice choice_of_or_default(const TrainingConfig& base, const std::vector<PrecisionPlan>& precisions) {
    TrainingConfig config = base;
    if (config.schedule.empty()) config.schedule = "1f1b";
    return choice_of(config, precisions);
  }
  PlanChoice own_;
  std::vector<std::pair<std::string, std::vector<std::string>>> lists_;
};

}  // namespace

bool OpenFields::varies(std::string_view path) const {
  if (matches(path, keep)) return false;
  return stated.find(std::string(path)) == stated.end() || matches(path, open);
}

PlanSpace plan_space(const Scenario& scenario, const OpenFields& open, std::span<const PrecisionPlan> precisions) {
  check_paths(open);
  PlanSpace space;
  space.base = *scenario.training;
  TrainingConfig& base = space.base;
  base.unfolded = false;
  const ModelConfig& model = base.model;
  space.gpus = scenario.cluster.gpus();
  space.gpus_per_node = scenario.cluster.node.gpus;
  space.precisions.push_back(base.precision);
  for (const PrecisionPlan& precision : precisions) {
    if (!(precision == base.precision)) space.precisions.push_back(precision);
  }
  const AllowedValues allowed(open, base, space.precisions);
  using C = PlanChoice;
  // `values` where the field varies, else its own; of them, what `--among` leaves.
  const auto vary = [&](auto& into, const char* path, auto C::*member, std::remove_cvref_t<decltype(into)> values,
                        auto own) {
    if (!open.varies(path)) values = {own};
    into = allowed.of(path, std::move(values), [&](C& c, auto value) { c.*member = value; });
    if (!into.empty()) space.first.*member = into.front();
  };
  const ParallelPlan& plan = base.plan;
  const BatchConfig& batch = base.batch;
  const std::vector<std::string>& lacks = base.software.lacks;
  const auto has = [&](const char* degree) { return std::find(lacks.begin(), lacks.end(), degree) == lacks.end(); };
  const bool moe = model.moe.experts > 0 && has("expert");

  // Tensor parallelism beyond the GPUs that NVLink joins is possible and never wise, nor are groups of which some lie
  // across two nodes.
  std::vector<int> tensor = divisors(std::gcd<std::int64_t>(model.attention.heads, model.ffn_width),
                                     has("tensor") ? std::min(space.gpus, std::max(8, space.gpus_per_node)) : 1);
  std::erase_if(tensor, [&](int t) {
    const bool straddles = space.gpus_per_node % t != 0 && t % space.gpus_per_node != 0;
    return straddles || !splits_key_heads(model, t);
  });
  vary(space.tensor, "training.plan.tensor", &C::tensor, std::move(tensor), plan.tensor);
  vary(space.context, "training.plan.context", &C::context,
       divisors(std::gcd<std::int64_t>(batch.sequence_length, space.gpus),
                has("context") ? std::max<std::int64_t>(1, batch.sequence_length / kFewestTokensPerGpu) : 1),
       plan.context);
  vary(space.pipeline, "training.plan.pipeline", &C::pipeline, divisors(space.gpus, has("pipeline") ? model.layers : 1),
       plan.pipeline);
  space.data_varies = open.varies("training.plan.data");
  vary(space.data, "training.plan.data", &C::data, divisors(space.gpus, space.gpus), plan.data);
  vary(space.expert, "training.plan.expert", &C::expert,
       moe ? divisors(model.moe.experts, space.gpus) : std::vector<int>{1}, plan.expert);
  vary(space.expert_tensor, "training.plan.expert_tensor", &C::expert_tensor,
       moe ? divisors(model.moe.expert_width, space.gpus_per_node) : std::vector<int>{1}, plan.expert_tensor);
  std::vector<int> chunks(kMostChunksTried);
  std::iota(chunks.begin(), chunks.end(), 1);
  vary(space.chunks, "training.plan.chunks", &C::chunks, std::move(chunks), plan.chunks);
  vary(space.zero_stage, "training.plan.zero_stage", &C::zero_stage, {1, 0, 2, 3}, plan.zero_stage);
  vary(space.shard_group, "training.plan.shard_group", &C::shard_group, {0}, plan.shard_group);
  std::vector<int> sequences;
  for (int s = 1; s <= std::min<std::int64_t>(kMostMicroBatchSequences, batch.sequences); s *= 2) {
    sequences.push_back(s);
  }
  vary(space.micro_batch_sequences, "training.batch.micro_batch_sequences", &C::micro_batch_sequences,
       std::move(sequences), batch.micro_batch_sequences);
  std::vector<int> rows(schedules().size());
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<std::string>& known = base.software.schedules;
  if (!known.empty())
    std::erase_if(rows, [&](int row) {
      return std::find(known.begin(), known.end(), schedules()[static_cast<std::size_t>(row)].name) == known.end();
    });
  if (open.stated.count("training.schedule_file") > 0 && !matches("training.schedule", open.open)) {
    space.schedule = {C{}.schedule};
  } else {
    const int own =
        base.schedule.empty() ? C{}.schedule : static_cast<int>(find_schedule(base.schedule) - schedules().data());
    vary(space.schedule, "training.schedule", &C::schedule, std::move(rows), own);
  }
  if (!plan.stage_layers.empty() && !open.varies("training.plan.stage_layers")) {
    space.first.split = C::Split::stated;
    space.split = allowed.of("training.plan.layer_split", std::vector{space.first.split},
                             [](C& c, C::Split value) { c.split = value; });
  } else {
    // What the software cannot do is not searched: one that spreads layers in a way of its own has no other.
    std::vector<C::Split> splits{C::Split::balanced, C::Split::even};
    if (base.software.splits_layers != "balanced") splits = {split_named(base.software.splits_layers)};
    vary(space.split, "training.plan.layer_split", &C::split, std::move(splits), split_named(plan.layer_split));
  }
  vary(space.context_exchange, "training.plan.context_exchange", &C::context_exchange,
       {ContextExchange::ring, ContextExchange::all_gather}, plan.context_exchange);
  std::vector<ExpertDispatcher> dispatchers;
  if (!moe || base.software.deep_ep) dispatchers.push_back(ExpertDispatcher::deep_ep);
  if (moe && base.software.dispatcher == ExpertDispatcher::hybrid_ep)
    dispatchers.push_back(ExpertDispatcher::hybrid_ep);
  if (moe) dispatchers.push_back(ExpertDispatcher::all_to_all);
  vary(space.dispatcher, "training.plan.dispatcher", &C::dispatcher, std::move(dispatchers), plan.dispatcher);
  const auto either = [](bool first, bool matters) {
    return matters ? std::vector<bool>{first, !first} : std::vector<bool>{first};
  };
  vary(space.sequence_parallel, "training.plan.sequence_parallel", &C::sequence_parallel,
       either(true, !(moe && base.software.experts_split_sequence)), plan.sequence_parallel);
  vary(space.tensor_overlap, "training.plan.tensor_overlap", &C::tensor_overlap, either(true, true),
       plan.tensor_overlap);
  vary(space.overlap_gradients, "training.plan.overlap_gradients", &C::overlap_gradients, either(true, true),
       plan.overlap_gradients);
  vary(space.overlap_parameters, "training.plan.overlap_parameters", &C::overlap_parameters, either(true, true),
       plan.overlap_parameters);
  vary(space.shared_expert_overlap, "training.plan.shared_expert_overlap", &C::shared_expert_overlap,
       either(false, model.moe.shared_experts > 0), plan.shared_expert_overlap);
  space.recompute = recompute_ladder(base, open);
  space.precision.resize(space.precisions.size());
  std::iota(space.precision.begin(), space.precision.end(), 0);
  return space;
}

std::vector<PlanChoice> PlanSpace::shapes() const {
  const ModelConfig& model = base.model;
  std::vector<PlanChoice> result;
  for (const int t : tensor) {
    for (const int c : context) {
      for (const int p : pipeline) {
        const std::int64_t others = std::int64_t{t} * c * p;
        if (gpus % others != 0) continue;
        const int d = static_cast<int>(gpus / others);
        if (std::find(data.begin(), data.end(), d) == data.end()) continue;
        if (model.attention.heads % t != 0 || model.ffn_width % t != 0 || !splits_key_heads(model, t)) continue;
        if (t > 1 && !first.sequence_parallel && model.moe.experts > 0 && base.software.experts_split_sequence)
          continue;
        if (base.batch.sequence_length % c != 0) continue;
        if (c > 1 && first.context_exchange == ContextExchange::all_to_all &&
            std::gcd(model.attention.heads, model.attention.kv_heads) % (t * c) != 0)
          continue;
        for (const int m : micro_batch_sequences) {
          if (base.batch.sequences % (std::int64_t{d} * m) != 0) continue;
          for (const int e : expert) {
            for (const int et : expert_tensor) {
              const std::int64_t ranks = std::int64_t{d} * c * t, group = std::int64_t{e} * et;
              if (model.moe.experts > 0 && (model.moe.experts % e != 0 || model.moe.expert_width % et != 0)) continue;
              if (model.moe.experts == 0 && group > 1) continue;
              if (ranks % group != 0 || ranks % std::lcm<std::int64_t>(group, t) != 0) continue;
              for (const int precise : precision) {
                PlanChoice choice = first;
                choice.tensor = t;
                choice.context = c;
                choice.pipeline = p;
                choice.data = d;
                choice.micro_batch_sequences = m;
                choice.expert = e;
                choice.expert_tensor = et;
                choice.precision = precise;
                result.push_back(choice);
              }
            }
          }
        }
      }
    }
  }
  return result;
}

std::vector<PlanChoice> PlanSpace::schedules_of(const PlanChoice& shape) const {
  const std::int64_t micro_batches = base.batch.sequences / (std::int64_t{shape.data} * shape.micro_batch_sequences);
  std::vector<PlanChoice> result;
  for (const int row : schedule) {
    PlanChoice choice = shape;
    choice.schedule = row;
    if (row < 0) {
      choice.chunks = base.plan.chunks;
      result.push_back(choice);
      continue;
    }
    const ScheduleRow& known = *choice.schedule_row();
    for (const int v : chunks) {
      if (v > 1 && !known.choose_chunks) break;
      const bool may_be_empty =
          split.front() == PlanChoice::Split::stated || split.front() >= PlanChoice::Split::even_with_embedding;
      const int most = base.model.layers + (may_be_empty ? counted_ends(base.plan).count() : 0);
      if (stages_of(known, shape.pipeline, v) > most && split.front() != PlanChoice::Split::stated) break;
      if (micro_batches > 65535) break;
      choice.chunks = v;
      // Without a pipeline all schedules that send a micro-batch forth and back at once are one, unless they have an
      // exchange to hide; and chunks of the only stage are its layers in the same order.
      const bool hides = known.name == "overlapped_1f1b" && (shape.expert > 1 || shape.tensor > 1 || shape.context > 1);
      if (shape.pipeline == 1 && known.name != "1f1b" && known.name != "gpipe" && !known.two_copies && !hides &&
          schedule.size() > 1) {
        break;
      }
      if (shape.pipeline == 1 && v > 1 && chunks.size() > 1) break;
      if (!known.check({shape.pipeline, static_cast<int>(micro_batches), v}).empty()) continue;
      result.push_back(choice);
    }
  }
  return result;
}

std::vector<int> PlanSpace::zero_stages(const PlanChoice& choice) const {
  std::vector<int> stages = zero_stage;
  if (choice.two_copies()) std::erase_if(stages, [](int stage) { return stage >= 2; });
  return stages;
}

double PlanSpace::size_of(const PlanChoice& shape) const {
  double plans = 0;
  for (const PlanChoice& choice : schedules_of(shape)) {
    plans += static_cast<double>(zero_stages(choice).size());
  }
  const auto count = [](bool matters, std::size_t values) { return matters ? static_cast<double>(values) : 1.0; };
  plans *= static_cast<double>(recompute.size() * overlap_gradients.size() * overlap_parameters.size());
  plans *= count(shape.pipeline > 1, split.size());
  plans *= count(shape.context > 1, context_exchange.size());
  plans *= count(shape.expert > 1, dispatcher.size() * shared_expert_overlap.size());
  plans *= count(shape.tensor > 1, sequence_parallel.size() * tensor_overlap.size());
  return plans;
}

double PlanSpace::size() const {
  double sum = 0;
  for (const PlanChoice& shape : shapes()) sum += size_of(shape);
  return sum;
}

}  // namespace flopcast
