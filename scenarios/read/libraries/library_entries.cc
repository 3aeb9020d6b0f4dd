#include "scenarios/read/libraries/library_entries.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "scenarios/proto/rules.pb.h"
#include "scenarios/read/libraries/library_cache.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/quantity.h"

#include "workloads/collectives/collectives.h"
#include "workloads/model/attention_kinds.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;

template <class Message>
constexpr LibraryKind kKind = LibraryKind::gpus;
template <>
constexpr LibraryKind kKind<proto::Node> = LibraryKind::nodes;
template <>
constexpr LibraryKind kKind<proto::Fabric> = LibraryKind::fabrics;
template <>
constexpr LibraryKind kKind<proto::Cluster> = LibraryKind::clusters;
template <>
constexpr LibraryKind kKind<proto::Model> = LibraryKind::models;
template <>
constexpr LibraryKind kKind<proto::Software> = LibraryKind::software;
template <>
constexpr LibraryKind kKind<proto::EngineProfile> = LibraryKind::engines;
template <>
constexpr LibraryKind kKind<proto::RlFramework> = LibraryKind::frameworks;

Source typed(const proto::Source& source) { return {source.text(), source.date(), source.confirmed()}; }

/// What says how to read the other fields is no figure itself.
bool is_figure(const std::string& field) {
  return field != "base" && field != "sources" && field != "unknown" && field != "scale" && field != "alias";
}

/// The source of each field that `message` states: one that names the field, else the one that names none.
std::map<std::string, Source> sources_of(const pb::Message& message,
                                         const pb::RepeatedPtrField<proto::Source>& sources) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::map<std::string, Source> out;
  for (const auto* field : fields) {
    for (const auto& source : sources) {
      if (source.field_size() == 0 && !out.contains(field->name())) out[field->name()] = typed(source);
      if (std::find(source.field().begin(), source.field().end(), field->name()) != source.field().end()) {
        out[field->name()] = typed(source);
      }
    }
  }
  std::erase_if(out, [](const auto& item) { return !is_figure(item.first); });
  return out;
}

std::vector<std::string> stated_fields(const pb::Message& message) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::vector<std::string> names;
  for (const auto* field : fields) {
    if (is_figure(field->name())) names.push_back(field->name());
  }
  return names;
}

template <class Message>
std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (int i = 0; i < Message::descriptor()->field_count(); ++i)
    names.push_back(Message::descriptor()->field(i)->name());
  return names;
}

/// A source that vouches for a field which the message does not have is a slip of the pen.
template <class Message>
void check_source_fields(const Message& message, const Places& places, Diagnostics& faults) {
  const std::vector<std::string> names = field_names<Message>();
  for (int s = 0; s < message.sources_size(); ++s) {
    for (int f = 0; f < message.sources(s).field_size(); ++f) {
      const std::string& field = message.sources(s).field(f);
      if (std::find(names.begin(), names.end(), field) != names.end()) continue;
      faults.push_back(places.fault(fmt::format("sources[{}].field[{}]", s, f), quoted(field), "a field of this file",
                                    nearest_name(field, names)));
    }
  }
}

/// What is stated is known, and what is known has no scale without something under it.
void check_unknown_fields(const proto::Gpu& gpu, const Places& places, Diagnostics& faults) {
  const std::vector<std::string> names = field_names<proto::Gpu>(), stated = stated_fields(gpu);
  for (int i = 0; i < gpu.unknown_size(); ++i) {
    const std::string& field = gpu.unknown(i);
    const std::string path = fmt::format("unknown[{}]", i);
    if (std::find(names.begin(), names.end(), field) == names.end())
      faults.push_back(places.fault(path, quoted(field), "a field of this file", nearest_name(field, names)));
    if (std::find(stated.begin(), stated.end(), field) != stated.end())
      faults.push_back(places.fault(path, quoted(field), "a field that is not stated"));
  }
}

template <class Message>
constexpr bool kHasScale = requires(const Message& m) {
  m.scale();
};

/// A name of the library, or a file of the user's own.
std::optional<std::string> entry_path(const Libraries& libraries, LibraryKind kind, const std::string& name) {
  return looks_like_path(name) ? std::optional(name) : libraries.find(kind, name);
}

template <class Message>
Entry<Message> read_entry(const Libraries& libraries, const std::string& name, Diagnostics& faults) {
  const auto path = entry_path(libraries, kKind<Message>, name);
  if (!path) {
    const auto names = libraries.names(kKind<Message>);
    throw InputError(Diagnostic{"", 0, 0, "", quoted(name), one_of(name, names), nearest_name(name, names)});
  }
  Entry<Message> entry;
  entry.name = std::filesystem::path(*path).stem().string();
  if (!parse_text(read_text_file(*path), *path, entry.message, entry.places, faults)) throw InputError(faults);
  check_source_fields(entry.message, entry.places, faults);
  if constexpr (std::is_same_v<Message, proto::Gpu>) check_unknown_fields(entry.message, entry.places, faults);
  if constexpr (kHasScale<Message>) {
    if (!entry.message.has_base() && entry.message.scale_size() > 0)
      faults.push_back(entry.places.fault("scale[0]", "a scale without a base", "a base whose figure it multiplies"));
  }
  entry.sources = sources_of(entry.message, entry.message.sources());
  return entry;
}

/// `chain`: the entries that led here by their bases, to find circles.
template <class Message>
Entry<Message> read_with_bases(const Libraries& libraries, const std::string& name, std::vector<std::string> chain,
                               Diagnostics& faults) {
  Entry<Message> entry = read_entry<Message>(libraries, name, faults);
  if (!entry.message.has_base()) return entry;
  chain.push_back(name);
  const std::string base_name = entry.message.base();
  const auto names = libraries.names(kKind<Message>);
  if (std::find(chain.begin(), chain.end(), base_name) != chain.end()) {
    faults.push_back(entry.places.fault("base", fmt::format("{} -> {}", fmt::join(chain, " -> "), base_name),
                                        "bases without a circle"));
    throw InputError(faults);
  }
  if (std::find(names.begin(), names.end(), base_name) == names.end()) {
    faults.push_back(
        entry.places.fault("base", quoted(base_name), one_of(base_name, names), nearest_name(base_name, names)));
    throw InputError(faults);
  }
  Entry<Message> base = read_with_bases<Message>(libraries, base_name, chain, faults);
  base.name = entry.name;
  base.changed.clear();
  lay_over(base, entry.message, entry.places, "");
  apply_scales(base, entry.message, entry.places, "", faults);
  return base;
}

/// A figure that a variant states is known; one that it declares unknown is not its base's.
void settle_unknown(Entry<proto::Gpu>& under, const proto::Gpu& over) {
  proto::Gpu& gpu = under.message;
  for (const std::string& name : over.unknown()) {
    if (const auto* field = proto::Gpu::descriptor()->FindFieldByName(name))
      gpu.GetReflection()->ClearField(&gpu, field);
    under.sources.erase(name);
  }
  std::vector<std::string> still;
  const std::vector<std::string> stated = stated_fields(over);
  for (const std::string& name : gpu.unknown()) {
    if (std::find(stated.begin(), stated.end(), name) == stated.end() &&
        std::find(still.begin(), still.end(), name) == still.end())
      still.push_back(name);
  }
  gpu.mutable_unknown()->Assign(still.begin(), still.end());
}

/// `value` times `by` as a whole number of 32 bits, where it is one.
std::optional<std::int32_t> scaled_whole(std::int32_t value, double by) {
  const double product = std::round(value * by);
  if (std::abs(product) > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::int32_t>(product);
}

/// Multiplies one field of `message`; what was expected instead where that makes no sense.
std::string scale_field(pb::Message& message, const std::string& name, double by) {
  const auto* field = message.GetDescriptor()->FindFieldByName(name);
  const auto* r = message.GetReflection();
  if (!field || field->is_repeated()) return "a figure that can be scaled";
  if (!r->HasField(message, field)) return "a figure that the base states";
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      if (const auto product = scaled_whole(r->GetInt32(message, field), by)) {
        r->SetInt32(&message, field, *product);
        return "";
      }
      return "a smaller figure, or a smaller factor";
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      r->SetDouble(&message, field, r->GetDouble(message, field) * by);
      return "";
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      const proto::Unit unit = field->options().GetExtension(proto::rule).unit();
      if (unit == proto::TEXT) return "a figure that can be scaled";
      const auto dimension = static_cast<Dimension>(static_cast<int>(unit) - static_cast<int>(proto::COUNT));
      const auto value = parse_quantity(r->GetString(message, field), dimension);
      if (!std::holds_alternative<double>(value)) return "a base whose figure is sound";
      r->SetString(&message, field, quantity_text(std::get<double>(value) * by, dimension));
      return "";
    }
    default:
      return "a figure that can be scaled";
  }
}

bool needed_to_replay(const pb::FieldDescriptor& field) {
  // The link between GPUs has a default for chips without one; not to know it is another thing.
  return field.options().GetExtension(proto::rule).required() || field.name() == "nvlink_bandwidth";
}

}  // namespace

void lay_over(pb::Message& under, const pb::Message& over) {
  std::vector<const pb::FieldDescriptor*> fields;
  over.GetReflection()->ListFields(over, &fields);
  const pb::Reflection& r = *under.GetReflection();
  const pb::FieldDescriptor* first_counts = nullptr;  // how benchmarks start an engine: the first that fits
  int of_base = 0;
  for (const auto* field : fields) {
    if (!field->is_repeated() || field->name() == "sources" || field->name() == "unknown") continue;
    if (field->name() == "started") {
      first_counts = field;
      of_base = r.FieldSize(under, field);
    } else {
      r.ClearField(&under, field);
    }
  }
  under.MergeFrom(over);
  if (first_counts == nullptr) return;
  // Own entries before the base's: reversing both parts and the whole.
  const auto reverse = [&](int begin, int end) {
    for (--end; begin < end; ++begin, --end) r.SwapElements(&under, first_counts, begin, end);
  };
  const int all = r.FieldSize(under, first_counts);
  reverse(0, of_base);
  reverse(of_base, all);
  reverse(0, all);
}

namespace {

/// Where everything stands that is stated below `message`, of which `path` is the place in its own file.
void take_places(const pb::Message& message, const std::string& here, const std::string& path, const Places& places,
                 Places& out) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const auto* field : fields) {
    const int count = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string name = field->name() + (field->is_repeated() ? fmt::format("[{}]", i) : "");
      out.set(here + name, places.find(path + name));
      if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
      const auto& nested = field->is_repeated() ? message.GetReflection()->GetRepeatedMessage(message, field, i)
                                                : message.GetReflection()->GetMessage(message, field);
      take_places(nested, here + name + ".", path + name + ".", places, out);
    }
  }
}

}  // namespace

namespace {

/// Another kind of attention than the base's does without the fields that its base's kind reads.
void leave_other_attention(proto::Model& under, const proto::Model& over) {
  const AttentionKindRow* kind = find_attention_kind(over.attention().type());
  if (kind == nullptr || !over.attention().has_type()) return;
  proto::Attention& a = *under.mutable_attention();
  for (std::string_view field : unread_fields(*kind))
    a.GetReflection()->ClearField(&a, proto::Attention::descriptor()->FindFieldByName(std::string(field)));
}

}  // namespace

template <class Message>
void lay_over(Entry<Message>& under, const Message& over, const Places& places, const std::string& path) {
  if constexpr (std::is_same_v<Message, proto::Model>) leave_other_attention(under.message, over);
  lay_over(static_cast<pb::Message&>(under.message), static_cast<const pb::Message&>(over));
  take_places(over, "", path, places, under.places);
  for (const std::string& field : stated_fields(over)) {
    under.places.set(field, places.find(path + field));
    if (std::find(under.changed.begin(), under.changed.end(), field) == under.changed.end())
      under.changed.push_back(field);
    const std::string where = places.find(path + field).file;
    under.sources[field] = {"stated in " + where, "", true};
  }
  for (const auto& [field, source] : sources_of(over, over.sources())) under.sources[field] = source;
  if constexpr (std::is_same_v<Message, proto::Gpu>) settle_unknown(under, over);
}

template <class Message>
void apply_scales(Entry<Message>& under, const Message& over, const Places& places, const std::string& path,
                  Diagnostics& faults) {
  if constexpr (kHasScale<Message>) {
    for (int i = 0; i < over.scale_size(); ++i) {
      const proto::Scale& scale = over.scale(i);
      const std::size_t before = faults.size();
      check_fields(scale, fmt::format("{}scale[{}].", path, i), places, {}, true, faults);
      if (faults.size() > before) continue;
      const std::string at = fmt::format("{}scale[{}].field", path, i);
      const std::string fault = scale_field(under.message, scale.field(), scale.by());
      if (!fault.empty()) {
        faults.push_back(
            places.fault(at, quoted(scale.field()), fault, nearest_name(scale.field(), field_names<Message>())));
        continue;
      }
      if (std::find(under.changed.begin(), under.changed.end(), scale.field()) == under.changed.end())
        under.changed.push_back(scale.field());
      under.places.set(scale.field(), places.find(at));
      under.sources[scale.field()] = {fmt::format("times {:g} in {}", scale.by(), places.find(at).file), "", true};
    }
    under.message.clear_scale();
  }
}

template <class Message>
void check_overridden(const Entry<Message>& entry, const std::string& path, const Libraries& libraries,
                      Completeness completeness, Diagnostics& faults) {
  Places places;
  places.overlay(entry.places, path);
  check_fields(entry.message, path, places, names_of(libraries), completeness == Completeness::full, faults);
}

std::vector<std::string> unpublished_figures(const proto::Gpu& gpu) {
  std::vector<std::string> out;
  for (const std::string& name : gpu.unknown()) {
    const auto* field = proto::Gpu::descriptor()->FindFieldByName(name);
    if (field && needed_to_replay(*field) && !gpu.GetReflection()->HasField(gpu, field)) out.push_back(name);
  }
  return out;
}

namespace {

template <class Message>
Entry<Message> read_checked(const Libraries& libraries, const std::string& name, Completeness completeness) {
  Diagnostics faults;
  Entry<Message> entry = read_with_bases<Message>(libraries, name, {}, faults);
  check_fields(entry.message, "", entry.places, names_of(libraries), completeness == Completeness::full, faults);
  if (!faults.empty()) throw InputError(faults);
  return entry;
}

}  // namespace

template <class Message>
Entry<Message> load_entry(const Libraries& libraries, const std::string& name, Completeness completeness) {
  if (!libraries.cache()) return read_checked<Message>(libraries, name, completeness);
  const std::string key = fmt::format("{}/{}/{}", Message::descriptor()->name(), static_cast<int>(completeness), name);
  return *libraries.cache()->get<Entry<Message>>(key,
                                                 [&] { return read_checked<Message>(libraries, name, completeness); });
}

template Entry<proto::Gpu> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::Node> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::Fabric> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::Cluster> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::Model> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::Software> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::EngineProfile> load_entry(const Libraries&, const std::string&, Completeness);
template Entry<proto::RlFramework> load_entry(const Libraries&, const std::string&, Completeness);
template void lay_over(Entry<proto::Gpu>&, const proto::Gpu&, const Places&, const std::string&);
template void lay_over(Entry<proto::Node>&, const proto::Node&, const Places&, const std::string&);
template void lay_over(Entry<proto::Fabric>&, const proto::Fabric&, const Places&, const std::string&);
template void lay_over(Entry<proto::Cluster>&, const proto::Cluster&, const Places&, const std::string&);
template void apply_scales(Entry<proto::Gpu>&, const proto::Gpu&, const Places&, const std::string&, Diagnostics&);
template void apply_scales(Entry<proto::Node>&, const proto::Node&, const Places&, const std::string&, Diagnostics&);
template void apply_scales(Entry<proto::Fabric>&, const proto::Fabric&, const Places&, const std::string&,
                           Diagnostics&);
template void lay_over(Entry<proto::Model>&, const proto::Model&, const Places&, const std::string&);
template void lay_over(Entry<proto::Software>&, const proto::Software&, const Places&, const std::string&);
template void check_overridden(const Entry<proto::Gpu>&, const std::string&, const Libraries&, Completeness,
                               Diagnostics&);
template void check_overridden(const Entry<proto::Node>&, const std::string&, const Libraries&, Completeness,
                               Diagnostics&);
template void check_overridden(const Entry<proto::Fabric>&, const std::string&, const Libraries&, Completeness,
                               Diagnostics&);
template void check_overridden(const Entry<proto::Model>&, const std::string&, const Libraries&, Completeness,
                               Diagnostics&);
template void check_overridden(const Entry<proto::Software>&, const std::string&, const Libraries&, Completeness,
                               Diagnostics&);

NamesOf names_of(const Libraries& libraries) {
  return [&libraries](int library) { return libraries.names(static_cast<LibraryKind>(library)); };
}

}  // namespace flopcast
