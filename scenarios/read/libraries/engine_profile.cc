#include "scenarios/read/libraries/engine_profile.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/libraries/library_entries.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;

std::string value_text(const pb::Message& message, const pb::FieldDescriptor& field) {
  std::string text;
  pb::TextFormat::PrintFieldValueToString(message, &field, -1, &text);
  return text;
}

template <class List>
bool among(const List& list, const std::string& name) {
  return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
}

int reckoned(const proto::BudgetRule& rule, double users, double prompt) {
  const double tokens = (rule.users() ? users : 0) + prompt + rule.beyond();
  const double whole = std::ceil(tokens / rule.multiple()) * rule.multiple();
  return static_cast<int>(std::clamp<double>(whole, rule.least(), std::max(rule.least(), rule.most())));
}

/// Fills in what the benchmark states, where the file states nothing.
void start_as_benchmark(proto::Replicas& replicas, const std::string& path, const BenchmarkRun& run,
                        const proto::EngineProfile& profile, std::vector<std::string>& used) {
  const std::string& weights = replicas.has_weights() ? replicas.weights() : run.weights;
  const auto& all = profile.started();
  const auto start = std::ranges::find_if(all, [&](const proto::BenchmarkStart& s) {
    return s.client() == run.client && among(s.model(), run.model) && among(s.gpu(), run.gpu) &&
           (!s.has_weights() || s.weights() == weights);
  });
  if (start == all.end()) return;
  proto::Replicas states = start->states();
  const double users = std::ceil(run.users / std::max(1, replicas.count()));
  if (start->has_token_budget()) states.set_token_budget(reckoned(start->token_budget(), users, run.prompt));
  if (start->batch_of_users()) states.set_max_batch(std::max(1, static_cast<int>(users)));
  if (start->spreads_experts() && replicas.tensor() * replicas.attention_data() > 1)
    states.set_expert(replicas.tensor() * replicas.attention_data());
  std::vector<const pb::FieldDescriptor*> fields;
  states.GetReflection()->ListFields(states, &fields);
  for (const auto* field : fields)
    if (!replicas.GetReflection()->HasField(replicas, field))
      used.push_back(fmt::format("{}.{} = {} (as {} starts {})", path, field->name(), value_text(states, *field),
                                 run.client, replicas.engine()));
  states.MergeFrom(replicas);
  replicas = std::move(states);
}

/// Fields of replicas as an engine has them.
struct Habits {
  proto::Replicas fields;
  const char* where;  ///< " with drafts": where they hold
};

/// What an engine does by default, general habits first: later ones hold instead.
std::vector<Habits> habits_under(const proto::EngineProfile& profile, const EngineLoad& load, int groups) {
  std::vector<Habits> out = {{profile.habits(), ""}};
  if (load.states && profile.has_with_states()) {
    proto::Replicas fields = profile.with_states();
    // Copies of states are kept for prefixes, and it is they that get in the way of the overlap.
    if (!load.prefixes) {
      fields.clear_state_places();
      fields.clear_overlap_scheduling();
    }
    out.push_back({fields, " with states of layers"});
  }
  if (load.drafts && profile.has_with_drafts()) {
    proto::Replicas fields = profile.with_drafts();
    if (fields.has_max_batch()) fields.set_max_batch(std::max(1, fields.max_batch() / groups));
    out.push_back({fields, " with drafts"});
  }
  return out;
}

}  // namespace

void lay_over_engine(proto::Replicas& replicas, const std::string& path, const EngineLoad& load,
                     const Libraries& libraries, const Places& places, std::vector<std::string>& used,
                     Diagnostics& faults) {
  const auto profile = load_entry<proto::EngineProfile>(libraries, replicas.engine());
  const pb::Reflection& r = *replicas.GetReflection();
  for (const std::string& name : profile.message.lacks()) {
    const auto* field = proto::Replicas::descriptor()->FindFieldByName(name);
    if (field == nullptr) {
      faults.push_back(profile.places.fault("lacks", quoted(name), "a field of replicas"));
      continue;
    }
    // Stated to be off it is as the engine is.
    const bool off = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_BOOL && !r.GetBool(replicas, field);
    if (!r.HasField(replicas, field) || off) continue;
    faults.push_back(places.fault(path + "." + name, value_text(replicas, *field),
                                  fmt::format("nothing: {} could not do it", profile.message.title())));
  }
  std::istringstream later(profile.message.later());
  for (std::string name; later >> name;)
    if (name != "two_micro_batches" && name != "redundant_experts")
      faults.push_back(profile.places.fault("later", quoted(name), "two_micro_batches or redundant_experts"));
  const bool no_overlap = !profile.message.overlaps_stages() && replicas.pipeline() > 1;
  if (no_overlap && replicas.has_overlap_scheduling() && replicas.overlap_scheduling())
    faults.push_back(places.fault(
        path + ".overlap_scheduling", "true",
        fmt::format("false beside pipeline: {}: {} could not do both", replicas.pipeline(), profile.message.title())));
  if (load.benchmark != nullptr) start_as_benchmark(replicas, path, *load.benchmark, profile.message, used);
  const std::vector<Habits> layers = habits_under(profile.message, load, std::max(1, replicas.attention_data()));
  proto::Replicas whole;
  for (const Habits& habits : layers) whole.MergeFrom(habits.fields);
  std::vector<const pb::FieldDescriptor*> fields;
  whole.GetReflection()->ListFields(whole, &fields);
  for (const auto* field : fields) {
    if (r.HasField(replicas, field)) continue;
    const auto from = std::find_if(layers.rbegin(), layers.rend(), [&](const Habits& habits) {
      return habits.fields.GetReflection()->HasField(habits.fields, field);
    });
    used.push_back(fmt::format("{}.{} = {} ({}{})", path, field->name(), value_text(whole, *field), replicas.engine(),
                               from->where));
  }
  whole.MergeFrom(replicas);
  if (no_overlap && whole.overlap_scheduling()) {
    whole.set_overlap_scheduling(false);
    used.push_back(fmt::format("{}.overlap_scheduling = false ({} beside pipeline stages)", path, replicas.engine()));
  }
  // What the engine is given decides, not the engine: a cache in FP8 comes with the checkpoint.
  const bool tensor_scales = whole.has_weights() && whole.weights() == "fp8" && whole.scaling() == "per_tensor";
  const bool fp4 = whole.has_weights() && whole.weights() == "fp4" && !load.latent;
  if ((tensor_scales || fp4) && !whole.has_kv_cache() && profile.message.has_fp8_tensor_cache()) {
    whole.set_kv_cache(profile.message.fp8_tensor_cache());
    used.push_back(fmt::format("{}.kv_cache = \"{}\" ({}: checkpoints in {})", path, whole.kv_cache(),
                               replicas.engine(), fp4 ? "FP4" : "FP8 with one scale per tensor"));
  }
  replicas = std::move(whole);
}

void take_profile(EngineConfig& engine, const Libraries& libraries) {
  const auto profile = load_entry<proto::EngineProfile>(libraries, engine.name).message;
  engine.host = loaded<EngineHost>(profile.host());
  engine.calibrated_on = profile.calibrated();
  engine.refuses_long_prompts = profile.refuses_long_prompts();
  engine.needs_whole_blocks = profile.needs_whole_blocks();
  engine.came_later = profile.later();
}

}  // namespace flopcast
