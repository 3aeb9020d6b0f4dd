#include "scenarios/library_entries.h"

#include <algorithm>

#include <fmt/format.h>

#include "workloads/collectives.h"
#include "workloads/schedule.h"

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

Source typed(const proto::Source& source) { return {source.text(), source.date(), source.confirmed()}; }

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
  for (const char* not_a_fact : {"sources", "base"}) out.erase(not_a_fact);
  return out;
}

std::vector<std::string> stated_fields(const pb::Message& message) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::vector<std::string> names;
  for (const auto* field : fields) {
    if (field->name() != "base" && field->name() != "sources") names.push_back(field->name());
  }
  return names;
}

/// A source that vouches for a field which the message does not have is a slip of the pen.
template <class Message>
void check_source_fields(const Message& message, const Places& places, Diagnostics& faults) {
  std::vector<std::string> names;
  for (int i = 0; i < Message::descriptor()->field_count(); ++i)
    names.push_back(Message::descriptor()->field(i)->name());
  for (int s = 0; s < message.sources_size(); ++s) {
    for (int f = 0; f < message.sources(s).field_size(); ++f) {
      const std::string& field = message.sources(s).field(f);
      if (std::find(names.begin(), names.end(), field) != names.end()) continue;
      faults.push_back(places.fault(fmt::format("sources[{}].field[{}]", s, f), quoted(field),
                                    "a field of this file", nearest_name(field, names)));
    }
  }
}

template <class Message>
Entry<Message> read_entry(const Libraries& libraries, const std::string& name, Diagnostics& faults) {
  const auto path = libraries.find(kKind<Message>, name);
  if (!path) {
    const auto names = libraries.names(kKind<Message>);
    throw InputError(Diagnostic{"", 0, 0, "", quoted(name), fmt::format("one of {}", fmt::join(names, ", ")),
                                nearest_name(name, names)});
  }
  Entry<Message> entry;
  entry.name = name;
  if (!parse_text(read_text_file(*path), *path, entry.message, entry.places, faults))
    throw InputError(faults);
  check_source_fields(entry.message, entry.places, faults);
  entry.sources = sources_of(entry.message, entry.message.sources());
  return entry;
}

/// `chain`: the entries that led here by their bases, to find circles.
template <class Message>
Entry<Message> read_with_bases(const Libraries& libraries, const std::string& name,
                               std::vector<std::string> chain, Diagnostics& faults) {
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
    faults.push_back(entry.places.fault("base", quoted(base_name),
                                        fmt::format("one of {}", fmt::join(names, ", ")),
                                        nearest_name(base_name, names)));
    throw InputError(faults);
  }
  Entry<Message> base = read_with_bases<Message>(libraries, base_name, chain, faults);
  base.name = name;
  base.changed.clear();
  lay_over(base, entry.message, entry.places, "");
  return base;
}

}  // namespace

void lay_over(pb::Message& under, const pb::Message& over) {
  std::vector<const pb::FieldDescriptor*> fields;
  over.GetReflection()->ListFields(over, &fields);
  for (const auto* field : fields) {
    if (field->is_repeated() && field->name() != "sources") under.GetReflection()->ClearField(&under, field);
  }
  under.MergeFrom(over);
}

template <class Message>
void lay_over(Entry<Message>& under, const Message& over, const Places& places, const std::string& path) {
  lay_over(static_cast<pb::Message&>(under.message), static_cast<const pb::Message&>(over));
  for (const std::string& field : stated_fields(over)) {
    under.places.set(field, places.find(path + field));
    if (std::find(under.changed.begin(), under.changed.end(), field) == under.changed.end())
      under.changed.push_back(field);
    const std::string where = places.find(path + field).file;
    under.sources[field] = {"stated in " + where, "", true};
  }
  for (const auto& [field, source] : sources_of(over, over.sources())) under.sources[field] = source;
}

template <class Message>
Entry<Message> load_entry(const Libraries& libraries, const std::string& name) {
  Diagnostics faults;
  Entry<Message> entry = read_with_bases<Message>(libraries, name, {}, faults);
  check_fields(entry.message, "", entry.places, names_of(libraries), true, faults);
  if (!faults.empty()) throw InputError(faults);
  return entry;
}

template Entry<proto::Gpu> load_entry(const Libraries&, const std::string&);
template Entry<proto::Node> load_entry(const Libraries&, const std::string&);
template Entry<proto::Fabric> load_entry(const Libraries&, const std::string&);
template Entry<proto::Cluster> load_entry(const Libraries&, const std::string&);
template Entry<proto::Model> load_entry(const Libraries&, const std::string&);
template void lay_over(Entry<proto::Gpu>&, const proto::Gpu&, const Places&, const std::string&);
template void lay_over(Entry<proto::Node>&, const proto::Node&, const Places&, const std::string&);
template void lay_over(Entry<proto::Fabric>&, const proto::Fabric&, const Places&, const std::string&);
template void lay_over(Entry<proto::Cluster>&, const proto::Cluster&, const Places&, const std::string&);

NamesOf names_of(const Libraries& libraries) {
  return [&libraries](int library) { return libraries.names(static_cast<LibraryKind>(library)); };
}

}  // namespace flopcast
