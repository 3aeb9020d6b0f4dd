#include "scenarios/read/fields/field_rules.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/rules.pb.h"
#include "scenarios/read/text/quantity.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

/// "vllm-0.9", "torchtitan-2025.06-eager": software, the numbers of its version, and what stands behind them.
struct VersionedName {
  std::string software, behind;
  std::vector<int> version;
};

/// Nothing where the name has no version of at least two numbers.
std::optional<VersionedName> versioned(const std::string& name) {
  VersionedName out;
  for (std::size_t dash = name.find('-'); dash != std::string::npos; dash = name.find('-', dash + 1)) {
    const char *at = name.data() + dash + 1, *const end = name.data() + name.size();
    out.version.clear();
    for (int number = 0;; ++at) {
      const auto [next, error] = std::from_chars(at, end, number);
      if (error != std::errc() || next == at) break;
      out.version.push_back(number);
      at = next;
      if (at == end || *at != '.') break;
    }
    if (out.version.size() < 2 || (at < end && *at != '-')) continue;
    out.software = name.substr(0, dash);
    out.behind.assign(at, end);
    return out;
  }
  return std::nullopt;
}

/// A version that is not there: which ones there are before and after it. Empty where the name is none, or no other
/// version of the same software is there.
std::string versions_beside(const std::string& found, const std::vector<std::string>& candidates) {
  const std::optional<VersionedName> asked = versioned(found);
  if (!asked) return {};
  std::optional<std::pair<std::vector<int>, std::string>> before, after;
  for (const std::string& candidate : candidates) {
    const std::optional<VersionedName> there = versioned(candidate);
    if (!there || there->software != asked->software) continue;
    if (there->version == asked->version) return {};  // written otherwise
    if (!asked->behind.empty() && there->behind != asked->behind) continue;
    const std::pair named(there->version, candidate);
    if (there->version < asked->version && (!before || *before < named)) before = named;
    if (there->version > asked->version && (!after || named < *after)) after = named;
  }
  if (!before && !after) return {};
  const std::string places = before && after ? fmt::format("between {} and {}", before->second, after->second)
                             : before        ? fmt::format("after {}, the last there is", before->second)
                                             : fmt::format("before {}, the first there is", after->second);
  return fmt::format("; that version comes {} (`flopcast show NAME` says what each does)", places);
}

const proto::Rule& rule_of(const Field* field) { return field->options().GetExtension(proto::rule); }

Dimension dimension_of(proto::Unit unit) {
  // Unit counts TEXT first; the rest stands in the order of Dimension.
  return static_cast<Dimension>(static_cast<int>(unit) - static_cast<int>(proto::COUNT));
}

/// A field's value (`index` -1: not repeated) as a number, whatever its integer or floating type.
double number(const pb::Message& message, const Field* field, int index) {
  const auto* r = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case Field::CPPTYPE_INT32:
      return one ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index);
    case Field::CPPTYPE_INT64:
      return static_cast<double>(one ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index));
    default:
      return one ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index);
  }
}

std::string text(const pb::Message& message, const Field* field, int index) {
  const auto* r = message.GetReflection();
  return index < 0 ? r->GetString(message, field) : r->GetRepeatedString(message, field, index);
}

/// A message may say of a field that nobody knows its value.
bool declared_unknown(const pb::Message& message, const Field* field) {
  const Field* unknown = message.GetDescriptor()->FindFieldByName("unknown");
  if (!unknown || !unknown->is_repeated()) return false;
  const auto* r = message.GetReflection();
  for (int i = 0; i < r->FieldSize(message, unknown); ++i) {
    if (r->GetRepeatedString(message, unknown, i) == field->name()) return true;
  }
  return false;
}

std::string bounds(const proto::Rule& rule) {
  if (rule.has_min() && rule.has_max()) return fmt::format("from {} to {}", rule.min(), rule.max());
  return rule.has_min() ? fmt::format("at least {}", rule.min()) : fmt::format("at most {}", rule.max());
}

class Checker {
 public:
  Checker(const Places& places, const NamesOf& names, Diagnostics& faults)
      : places_(places), names_(names), faults_(faults) {}

  void message(const pb::Message& m, const std::string& prefix, bool complete) {
    const auto* type = m.GetDescriptor();
    for (int i = 0; i < type->field_count() && faults_.size() < kMostDiagnostics; ++i)
      field(m, type->field(i), prefix, complete);
  }

 private:
  void field(const pb::Message& m, const Field* f, const std::string& prefix, bool complete) {
    const auto* r = m.GetReflection();
    const std::string path = prefix + f->name();
    if (f->is_repeated()) {
      for (int i = 0; i < r->FieldSize(m, f) && faults_.size() < kMostDiagnostics; ++i) {
        value(m, f, i, fmt::format("{}[{}]", path, i), complete);
      }
    } else if (r->HasField(m, f)) {
      value(m, f, -1, path, complete);
    } else if (complete && rule_of(f).required() && !declared_unknown(m, f)) {
      missing(f, path);
    }
  }

  void value(const pb::Message& m, const Field* f, int index, const std::string& path, bool complete) {
    const auto* r = m.GetReflection();
    switch (f->cpp_type()) {
      case Field::CPPTYPE_MESSAGE:
        // An entry of a list replaces nothing: it is whole even where the message round it is not.
        message(index < 0 ? r->GetMessage(m, f) : r->GetRepeatedMessage(m, f, index), path + ".",
                index >= 0 || (complete && !rule_of(f).partial()));
        break;
      case Field::CPPTYPE_STRING:
        string(text(m, f, index), rule_of(f), path);
        break;
      case Field::CPPTYPE_BOOL:
        break;
      default:
        in_bounds(number(m, f, index), rule_of(f), path);
        break;
    }
  }

  void missing(const Field* f, const std::string& path) {
    // It may have been stated with a value of the wrong type.
    const std::string bare = without_indices(path);
    // Or it would have come from a base that is not known by that name.
    const std::string base = bare.substr(0, bare.size() - f->name().size()) + "base";
    if (std::any_of(faults_.begin(), faults_.end(),
                    [&](const Diagnostic& d) { return d.field == bare || without_indices(d.field) == base; }))
      return;
    const proto::Rule& rule = rule_of(f);
    std::string expected = "a value";
    if (rule.unit() != proto::TEXT)
      expected = describe(dimension_of(rule.unit()));
    else if (rule.one_of_size() > 0)
      expected = fmt::format("one of {}", fmt::join(rule.one_of(), ", "));
    else if (rule.has_names() && names_)
      expected = one_of("", names_(rule.names()));
    else if (f->cpp_type() == Field::CPPTYPE_MESSAGE)
      expected = f->name() + " { ... }";
    add(path, "nothing", expected);
  }

  void string(const std::string& found, const proto::Rule& rule, const std::string& path) {
    if (first_unplain(found) != std::string::npos)
      return add(path, quoted(found), "text in UTF-8, without control characters");
    if (rule.one_of_size() > 0) name(found, {rule.one_of().begin(), rule.one_of().end()}, path);
    if (rule.has_names() && names_) name(found, names_(rule.names()), path);
    if (rule.required() && found.empty()) add(path, "an empty text", "a text");
    if (rule.unit() == proto::TEXT || (rule.has_also() && found == rule.also())) return;
    const auto parsed = parse_quantity(found, dimension_of(rule.unit()));
    if (const auto* fault = std::get_if<QuantityFault>(&parsed)) {
      const std::string also = rule.has_also() ? fmt::format(", or \"{}\"", rule.also()) : "";
      faults_.push_back(
          with_remedy(places_.fault(path, fault->found, fault->expected + also, fault->suggestion), fault->remedy));
    } else {
      quantity_in_bounds(std::get<double>(parsed), found, rule, path);
    }
  }

  void quantity_in_bounds(double value, const std::string& found, const proto::Rule& rule, const std::string& path) {
    const Dimension dimension = dimension_of(rule.unit());
    if ((rule.has_min() && value < quantity(rule.min(), dimension)) ||
        (rule.has_max() && value > quantity(rule.max(), dimension))) {
      add(path, quoted(found), bounds(rule));
    }
  }

  /// Whatever the locale of the program that the library is part of.
  static double bound(const std::string& number) {
    double value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    return value;
  }

  void in_bounds(double value, const proto::Rule& rule, const std::string& path) {
    if (!std::isfinite(value)) {
      add(path, fmt::format("{}", value), "a finite number");
    } else if ((rule.has_min() && value < bound(rule.min())) || (rule.has_max() && value > bound(rule.max()))) {
      add(path, fmt::format("{}", value), "a number " + bounds(rule));
    }
  }

  void name(const std::string& found, const std::vector<std::string>& candidates, const std::string& path) {
    if (std::find(candidates.begin(), candidates.end(), found) != candidates.end()) return;
    add(path, quoted(found), one_of(found, candidates) + versions_beside(found, candidates),
        nearest_name(found, candidates));
  }

  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  const Places& places_;
  const NamesOf& names_;
  Diagnostics& faults_;
};

void collect_defaults(const pb::Message& m, const std::string& prefix, const std::vector<std::string>& in_force,
                      std::vector<std::string>& out) {
  const auto* type = m.GetDescriptor();
  const auto* r = m.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const Field* f = type->field(i);
    const std::string path = prefix + f->name();
    const bool listed = std::find(in_force.begin(), in_force.end(), path) != in_force.end();
    if (f->is_repeated()) continue;
    if (f->cpp_type() == Field::CPPTYPE_MESSAGE) {
      if (listed || (r->HasField(m, f) && !rule_of(f).partial()))
        collect_defaults(r->GetMessage(m, f), path + ".", in_force, out);
    } else if (f->has_default_value() && !r->HasField(m, f)) {
      out.push_back(path + " = " + default_text(*f));
    }
  }
}

}  // namespace

Dimension dimension_of(const pb::FieldDescriptor& field) { return dimension_of(rule_of(&field).unit()); }

std::string default_text(const pb::FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case Field::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case Field::CPPTYPE_INT32:
      return fmt::format("{}", field.default_value_int32());
    case Field::CPPTYPE_INT64:
      return fmt::format("{}", field.default_value_int64());
    case Field::CPPTYPE_DOUBLE:
      return fmt::format("{}", field.default_value_double());
    default:
      return fmt::format("\"{}\"", field.default_value_string());
  }
}

void check_fields(const pb::Message& message, const std::string& path, const Places& places, const NamesOf& names,
                  bool complete, Diagnostics& faults) {
  Checker(places, names, faults).message(message, path, complete);
}

std::vector<std::string> defaults_used(const pb::Message& message, const std::vector<std::string>& in_force) {
  std::vector<std::string> out;
  collect_defaults(message, "", in_force, out);
  return out;
}

}  // namespace flopcast
