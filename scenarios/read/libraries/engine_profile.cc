#include "scenarios/read/libraries/engine_profile.h"

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

}  // namespace

void lay_over_engine(proto::Replicas& replicas, const std::string& path, const Libraries& libraries,
                     const Places& places, std::vector<std::string>& used, Diagnostics& faults) {
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
  std::vector<const pb::FieldDescriptor*> habits;
  profile.message.habits().GetReflection()->ListFields(profile.message.habits(), &habits);
  for (const auto* field : habits)
    if (!r.HasField(replicas, field))
      used.push_back(fmt::format("{}.{} = {} ({})", path, field->name(), value_text(profile.message.habits(), *field),
                                 replicas.engine()));
  proto::Replicas whole = profile.message.habits();
  whole.MergeFrom(replicas);
  // What the engine is given decides, not the engine: a cache in FP8 comes with the checkpoint.
  const bool tensor_scales = whole.has_weights() && whole.weights() == "fp8" && whole.scaling() == "per_tensor";
  if (tensor_scales && !whole.has_kv_cache() && profile.message.has_fp8_tensor_cache()) {
    whole.set_kv_cache(profile.message.fp8_tensor_cache());
    used.push_back(fmt::format("{}.kv_cache = \"{}\" ({}: checkpoints in FP8 with one scale per tensor)", path,
                               whole.kv_cache(), replicas.engine()));
  }
  replicas = std::move(whole);
}

std::string engine_calibrated_on(const std::string& engine, const Libraries& libraries) {
  return load_entry<proto::EngineProfile>(libraries, engine).message.calibrated();
}

bool engine_refuses_long_prompts(const std::string& engine, const Libraries& libraries) {
  return load_entry<proto::EngineProfile>(libraries, engine).message.refuses_long_prompts();
}

EngineHost engine_host(const std::string& engine, const Libraries& libraries) {
  return loaded<EngineHost>(load_entry<proto::EngineProfile>(libraries, engine).message.host());
}

}  // namespace flopcast
