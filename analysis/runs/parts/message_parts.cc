#include "analysis/runs/parts/message_parts.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <cassert>

#include "analysis/runs/parts/slow_parts.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Metrics.

// One step down a path: `training`, or the entry of a list with the key in its brackets. Entries of a list come one
// after the other: a key other than the last one begins the next entry.
class Filler {
 public:
  explicit Filler(Message& message) : message_(message) {}

  void set(const Metric& metric) {
    const Absent* const absent = std::get_if<Absent>(&metric.value);
    if (absent != nullptr && absent->whole_part) return;
    const std::size_t dot = metric.name.rfind('.');
    const bool top = dot == std::string::npos;
    Message& part = top ? message_ : part_at(metric.name.substr(0, dot));
    const FieldDescriptor* const field = part.GetDescriptor()->FindFieldByName(metric.name.substr(top ? 0 : dot + 1));
    assert(field != nullptr && "a metric is a field of the schema too");
    if (absent == nullptr) put(part, *field, metric.value);
  }

 private:
  Message& part_at(const std::string& path) {
    if (path == path_) return *part_;
    const std::size_t open = path.find('['), close = path.rfind(']');
    Message* part = &message_;
    if (open == std::string::npos) {
      part = &child(message_, path);
    } else {
      part = &entry(path.substr(0, open), path.substr(open + 1, close - open - 1));
      if (close + 1 < path.size()) part = &child(*part, path.substr(close + 2));
    }
    path_ = path;
    part_ = part;
    return *part;
  }

  static Message& child(Message& message, const std::string& path) {
    const std::size_t dot = path.find('.');
    const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(path.substr(0, dot));
    assert(field != nullptr && !field->is_repeated());
    Message& next = *message.GetReflection()->MutableMessage(&message, field);
    return dot == std::string::npos ? next : child(next, path.substr(dot + 1));
  }

  Message& entry(const std::string& list, const std::string& key) {
    const std::size_t dot = list.rfind('.');
    const bool top = dot == std::string::npos;
    Message& owner = top ? message_ : child(message_, list.substr(0, dot));
    const FieldDescriptor* const field = owner.GetDescriptor()->FindFieldByName(list.substr(top ? 0 : dot + 1));
    assert(field != nullptr && field->is_repeated());
    const auto& reflection = *owner.GetReflection();
    if (list == list_ && key == key_)
      return *reflection.MutableRepeatedMessage(&owner, field, reflection.FieldSize(owner, field) - 1);
    list_ = list;
    key_ = key;
    return *reflection.AddMessage(&owner, field);
  }

  static void put(Message& message, const FieldDescriptor& field, const MetricValue& value) {
    const auto& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection.SetDouble(&message, &field, std::get<double>(value));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.SetUInt64(&message, &field, std::get<std::uint64_t>(value));
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.SetInt32(&message, &field, static_cast<int>(std::get<std::uint64_t>(value)));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.SetBool(&message, &field, std::get<bool>(value));
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection.SetString(&message, &field, std::get<std::string>(value));
      default:
        assert(false && "a type that no metric has");
    }
  }

  Message& message_;
  std::string path_;
  Message* part_ = nullptr;
  std::string list_, key_;
};

// Lists.

/// @param engine of an engine's own cluster, where nothing is trained
void describe(const ClusterSpec& cluster, const std::optional<TrainingConfig>& training, bool engine,
              report::ScenarioFacts& out) {
  for (const SlowPart& part : cluster.slow_parts) {
    report::SlowPart& item = *out.add_slow_parts();
    item.set_kind(slow_part_name(part.kind));
    item.set_gpu(part.rank);
    item.set_speed(part.speed);
    item.set_pipeline_rank(training ? pipeline_rank_of(*training, part.rank) : -1);
    item.set_engine(engine);
  }
}

void describe(const Comparison& comparison, report::Comparison& out) {
  out.set_field(comparison.field);
  out.set_predicted(comparison.predicted);
  out.set_published(comparison.published);
  if (comparison.is_prediction()) out.set_error(comparison.error());
  out.set_source(comparison.source);
  if (comparison.kind != PublishedKind::value)
    out.set_kind(std::string(enum_names(comparison.kind)[static_cast<std::size_t>(comparison.kind)]));
  if (comparison.is_bound()) out.set_kept(comparison.keeps_bound());
}

// The entry of a repeated field at an index, or with that `name`; null when there is none.
const Message* find_entry(const Message& message, const FieldDescriptor& field, const std::string& key) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const FieldDescriptor* const name = entry.GetDescriptor()->FindFieldByName("name");
    if (key == std::to_string(i) || (name != nullptr && key == entry.GetReflection()->GetString(entry, name))) {
      return &entry;
    }
  }
  return nullptr;
}

// One step down a path: `training`, `phases[0]` or `phases[pre-training]`.
const Message* child(const Message& message, const std::string& step) {
  const std::size_t bracket = step.find('[');
  const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(step.substr(0, bracket));
  if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return nullptr;
  if (!field->is_repeated()) {
    const bool present = bracket == std::string::npos && message.GetReflection()->HasField(message, field);
    return present ? &message.GetReflection()->GetMessage(message, field) : nullptr;
  }
  if (bracket == std::string::npos || step.back() != ']') return nullptr;
  return find_entry(message, *field, step.substr(bracket + 1, step.size() - bracket - 2));
}

}  // namespace

void fill(std::span<const Metric> metrics, Message& message) {
  Filler filler(message);
  for (const Metric& metric : metrics) filler.set(metric);
}

void add_slow_parts(const Scenario& scenario, report::Report& message) {
  report::ScenarioFacts& out = *message.mutable_scenario();
  describe(scenario.cluster, scenario.training, false, out);
  if (scenario.rl && scenario.rl->rollout_cluster) describe(*scenario.rl->rollout_cluster, std::nullopt, true, out);
}

void add_small_print(const std::vector<Comparison>& comparisons, const std::vector<std::string>& notes,
                     const std::vector<std::string>& defaults_used, report::Report& message) {
  for (const Comparison& comparison : comparisons) describe(comparison, *message.add_published());
  for (const std::string& note : notes) message.add_notes(note);
  for (const std::string& setting : defaults_used) message.add_defaults_used(setting);
}

std::optional<double> number_at(const Message& message, const std::string& path) {
  // A name in brackets may hold dots of its own.
  std::size_t dot = path.find('.');
  if (const std::size_t open = path.find('['); open != std::string::npos && open < dot) {
    dot = path.find('.', path.find(']', open));
  }
  if (dot != std::string::npos) {
    const Message* const next = child(message, path.substr(0, dot));
    return next != nullptr ? number_at(*next, path.substr(dot + 1)) : std::nullopt;
  }
  const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(path);
  if (field == nullptr || field->is_repeated()) return std::nullopt;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return message.GetReflection()->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return message.GetReflection()->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return message.GetReflection()->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(message.GetReflection()->GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(message.GetReflection()->GetUInt64(message, field));
    default:
      return std::nullopt;
  }
}

}  // namespace flopcast
