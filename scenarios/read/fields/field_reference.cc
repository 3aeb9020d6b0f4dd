#include "scenarios/read/fields/field_reference.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/descriptor.pb.h>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/field_rules.h"

namespace flopcast {

/// The schema's files with their comments, as protoc wrote them: a FileDescriptorSet (scenarios/CMakeLists.txt).
std::string_view schema_with_comments();

namespace {

namespace pb = google::protobuf;
using Descriptor = pb::FieldDescriptor;

/// Kinds of library files, and what each holds.
const std::vector<std::pair<std::string, const pb::Descriptor*>>& library_kinds() {
  static const std::vector<std::pair<std::string, const pb::Descriptor*>> kKinds{
      {"gpus", proto::Gpu::descriptor()},       {"nodes", proto::Node::descriptor()},
      {"fabrics", proto::Fabric::descriptor()}, {"clusters", proto::Cluster::descriptor()},
      {"models", proto::Model::descriptor()},   {"software", proto::Software::descriptor()}};
  return kKinds;
}

// Comments.

/// Several lines of a comment as one.
std::string comment_line(const std::string& comment) {
  std::string out;
  for (const char c : comment) {
    const bool space = std::isspace(static_cast<unsigned char>(c));
    if (!space)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

/// Comments begin small where they stand beside a field.
std::string comment_sentence(std::string text) {
  if (text.empty()) return text;
  const bool word = text.size() > 1 && std::islower(static_cast<unsigned char>(text[1]));
  const auto colon = text.find_first_of(": ");
  const bool names_value = colon != std::string::npos && text[colon] == ':';  // "ring: hop by hop"
  if (word && !names_value) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  if (std::string_view(".!?:").find(text.back()) == std::string_view::npos) text += '.';
  return text;
}

std::string comment_text(const pb::SourceCodeInfo::Location& place) {
  const std::string before = comment_sentence(comment_line(place.leading_comments()));
  const std::string beside = comment_sentence(comment_line(place.trailing_comments()));
  return before.empty() ? beside : beside.empty() ? before : before + " " + beside;
}

using Meanings = std::map<std::string, std::string>;  // by full name of a message or field

void add_meanings(const pb::FileDescriptorProto& file, Meanings& out) {
  // Paths of locations are numbers of fields in descriptor.proto: messages are 4, their fields 2.
  constexpr int kMessage = 4, kField = 2;
  for (const auto& place : file.source_code_info().location()) {
    const auto& path = place.path();
    if (path.size() < 2 || path[0] != kMessage) continue;
    const pb::DescriptorProto& message = file.message_type(path[1]);
    const std::string name = file.package() + "." + message.name();
    if (path.size() == 2) out[name] = comment_text(place);
    if (path.size() == 4 && path[2] == kField) out[name + "." + message.field(path[3]).name()] = comment_text(place);
  }
}

const Meanings& meanings() {
  static const Meanings kMeanings = [] {
    const std::string_view bytes = schema_with_comments();
    pb::FileDescriptorSet files;
    files.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    Meanings out;
    for (const auto& file : files.file()) add_meanings(file, out);
    return out;
  }();
  return kMeanings;
}

std::string meaning_of(const std::string& full_name) {
  const auto found = meanings().find(full_name);
  return found == meanings().end() ? "" : found->second;
}

// Fields.

std::string library_name(proto::Library library) {
  std::string name = proto::Library_Name(library);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string type_of(const Descriptor& field, const proto::Rule& rule) {
  switch (field.cpp_type()) {
    case Descriptor::CPPTYPE_MESSAGE:
      return "section";
    case Descriptor::CPPTYPE_BOOL:
      return "switch";
    case Descriptor::CPPTYPE_STRING:
      return rule.unit() == proto::TEXT ? "text" : "quantity";
    case Descriptor::CPPTYPE_DOUBLE:
      return "number";
    default:
      return "whole number";
  }
}

std::string step_below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

FieldReference reference(const Descriptor& field, const std::string& place) {
  const proto::Rule& rule = field.options().GetExtension(proto::rule);
  FieldReference out;
  out.name = field.name();
  out.list = field.is_repeated();
  out.path = step_below(place, out.name) + (out.list ? "[]" : "");
  out.type = type_of(field, rule);
  if (out.type == "quantity") out.unit = describe(dimension_of(field));
  if (field.has_default_value()) out.default_value = default_text(field);
  out.least = rule.min();
  out.most = rule.max();
  out.allowed.assign(rule.one_of().begin(), rule.one_of().end());
  if (rule.has_also()) out.allowed.push_back(rule.also());
  if (rule.has_names()) out.library = library_name(rule.names());
  out.required = rule.required();
  out.meaning = meaning_of(field.full_name());
  if (out.meaning.empty() && out.section()) out.meaning = meaning_of(field.message_type()->full_name());
  return out;
}

FieldSection section_of(const pb::Descriptor& type, const std::string& place) {
  FieldSection out{type.name(), {place}, meaning_of(type.full_name()), {}};
  for (int i = 0; i < type.field_count(); ++i) out.fields.push_back(reference(*type.field(i), place));
  return out;
}

void add_below(const pb::Descriptor& type, const std::string& place, std::vector<FieldReference>& out) {
  for (int i = 0; i < type.field_count(); ++i) {
    out.push_back(reference(*type.field(i), place));
    if (const auto* inner = type.field(i)->message_type()) {
      const std::string below = out.back().path;  // a copy: `out` grows, and what it holds moves
      add_below(*inner, below, out);
    }
  }
}

std::vector<FieldReference> every_field() {
  std::vector<FieldReference> out;
  add_below(*proto::Scenario::descriptor(), "", out);
  for (const auto& [kind, type] : library_kinds()) add_below(*type, kind, out);
  return out;
}

// Paths.

std::vector<std::string> steps_of(const std::string& path) {
  std::vector<std::string> steps;
  const std::string bare = without_indices(path);
  for (std::size_t from = 0; from <= bare.size();) {
    const std::size_t dot = std::min(bare.find('.', from), bare.size());
    steps.push_back(bare.substr(from, dot - from));
    from = dot + 1;
  }
  return bare.empty() ? std::vector<std::string>{} : steps;
}

/// The path that somebody meant: the same name elsewhere, or one spelled nearly so.
std::string nearest_path(const std::string& path, const std::string& name) {
  std::vector<std::string> paths, names;
  for (const FieldReference& field : every_field()) {
    if (field.name == name) return without_indices(field.path);
    paths.push_back(without_indices(field.path));
    names.push_back(field.name);
  }
  if (std::string near = nearest_name(path, paths); !near.empty()) return near;
  const std::string near = nearest_name(name, names);
  const auto found = std::find(names.begin(), names.end(), near);
  return found == names.end() ? "" : paths[static_cast<std::size_t>(found - names.begin())];
}

[[noreturn]] void refuse_path(const std::string& path, const std::string& name, const pb::Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  if (&type == proto::Scenario::descriptor()) {
    for (const auto& kind : library_kinds()) names.push_back(kind.first);
  }
  throw InputError(Diagnostic{"", 0, 0, path, kUnknownField, fmt::format("one of {}", fmt::join(names, ", ")),
                              nearest_path(path, name)});
}

/// Where a path leads: into a section, or to a field of one.
struct FieldPlace {
  const pb::Descriptor* type = proto::Scenario::descriptor();
  std::string path;
  const Descriptor* field = nullptr;
};

FieldPlace find_place(const std::string& path) {
  FieldPlace at;
  std::vector<std::string> steps = steps_of(path);
  if (!steps.empty()) {
    for (const auto& [kind, type] : library_kinds()) {
      if (steps.front() != kind) continue;
      at.type = type;
      at.path = kind;
      steps.erase(steps.begin());
      break;
    }
  }
  for (const std::string& step : steps) {
    const auto* field = at.field ? nullptr : at.type->FindFieldByName(step);
    if (!field) refuse_path(path, steps.back(), *at.type);
    if (!field->message_type()) {
      at.field = field;
      continue;
    }
    at.path = step_below(at.path, step) + (field->is_repeated() ? "[]" : "");
    at.type = field->message_type();
  }
  return at;
}

}  // namespace

FieldsAt fields_at(const std::string& path) {
  const FieldPlace at = find_place(path);
  if (!at.field) return {section_of(*at.type, at.path), true};
  return {{at.type->name(), {at.path}, "", {reference(*at.field, at.path)}}, false};
}

std::vector<FieldReference> fields_below(const std::string& path) {
  if (path.empty()) return every_field();
  const FieldPlace at = find_place(path);
  if (at.field) return {reference(*at.field, at.path)};
  std::vector<FieldReference> out;
  add_below(*at.type, at.path, out);
  return out;
}

std::vector<FieldSection> all_sections() {
  std::vector<FieldSection> out;
  const std::function<void(const pb::Descriptor&, const std::string&)> visit = [&](const pb::Descriptor& type,
                                                                                   const std::string& place) {
    const auto known = std::find_if(out.begin(), out.end(), [&](const auto& s) { return s.title == type.name(); });
    if (known != out.end()) {
      known->places.push_back(place);
      return;
    }
    out.push_back(section_of(type, place));
    for (int i = 0; i < type.field_count(); ++i) {
      const auto* field = type.field(i);
      if (field->message_type())
        visit(*field->message_type(), step_below(place, field->name()) + (field->is_repeated() ? "[]" : ""));
    }
  };
  visit(*proto::Scenario::descriptor(), "");
  for (const auto& [kind, type] : library_kinds()) visit(*type, kind);
  return out;
}

}  // namespace flopcast
