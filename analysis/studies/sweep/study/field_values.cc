#include "analysis/studies/sweep/study/field_values.h"

#include <charconv>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "scenarios/proto/rules.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using PbField = pb::FieldDescriptor;

/// What units the metrics table would give a quantity.
std::string unit_of_dimension(Dimension dimension) {
  switch (dimension) {
    case Dimension::data:
      return "bytes";
    case Dimension::data_rate:
    case Dimension::link_rate:
      return "bytes/s";
    case Dimension::compute_rate:
      return "FLOPS";
    case Dimension::time:
      return "s";
    case Dimension::power:
      return "W";
    case Dimension::money:
      return "USD";
    case Dimension::money_rate:
      return "USD/s";
    default:
      return "";
  }
}

bool is_quantity(const PbField& field) {
  return field.cpp_type() == PbField::CPPTYPE_STRING && field.options().GetExtension(proto::rule).unit() != proto::TEXT;
}

std::string_view step_of(std::string_view& rest) {
  const auto dot = rest.find('.');
  const std::string_view step = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  return step;
}

/// The text of a field that is set; `index` is of lists.
std::string stated_text(const pb::Message& m, const PbField& field, int index) {
  const auto* r = m.GetReflection();
  const bool one = !field.is_repeated();
  switch (field.cpp_type()) {
    case PbField::CPPTYPE_BOOL:
      return (one ? r->GetBool(m, &field) : r->GetRepeatedBool(m, &field, index)) ? "true" : "false";
    case PbField::CPPTYPE_INT32:
      return fmt::format("{}", one ? r->GetInt32(m, &field) : r->GetRepeatedInt32(m, &field, index));
    case PbField::CPPTYPE_INT64:
      return fmt::format("{}", one ? r->GetInt64(m, &field) : r->GetRepeatedInt64(m, &field, index));
    case PbField::CPPTYPE_DOUBLE:
      return fmt::format("{}", one ? r->GetDouble(m, &field) : r->GetRepeatedDouble(m, &field, index));
    case PbField::CPPTYPE_STRING:
      return one ? r->GetString(m, &field) : r->GetRepeatedString(m, &field, index);
    default:
      return "";
  }
}

int index_of(std::string_view step) {
  const auto open = step.find('[');
  int index = 0;
  if (open != std::string_view::npos) std::from_chars(step.data() + open + 1, step.data() + step.size(), index);
  return index;
}

}  // namespace

const pb::FieldDescriptor* field_at(const pb::Descriptor& type, std::string_view path) {
  const std::string bare = without_indices(std::string(path));
  const pb::Descriptor* at = &type;
  const PbField* field = nullptr;
  for (std::string_view rest = bare; !rest.empty();) {
    field = at ? at->FindFieldByName(std::string(step_of(rest))) : nullptr;
    if (!field) return nullptr;
    at = field->message_type();
  }
  return field && !field->message_type() ? field : nullptr;
}

NamedValue field_value(const PbField& field, std::string_view text) {
  if (text.empty()) return {};
  if (is_quantity(field)) {
    const Dimension dimension = dimension_of(field);
    const auto parsed = parse_quantity(text, dimension);
    if (const double* value = std::get_if<double>(&parsed)) return {*value, unit_of_dimension(dimension)};
    return {std::string(text)};
  }
  if (field.cpp_type() == PbField::CPPTYPE_STRING) return {std::string(text)};
  if (field.cpp_type() == PbField::CPPTYPE_BOOL)
    return {text == "true" || text == "on" || text == "yes" || text == "1"};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return {};
  return {number};
}

std::optional<NamedValue> message_value(const pb::Message& message, std::string_view path) {
  const pb::Message* at = &message;
  for (std::string_view rest = path;;) {
    const std::string_view step = step_of(rest);
    const PbField* field = at->GetDescriptor()->FindFieldByName(without_indices(std::string(step)));
    if (!field) return std::nullopt;
    const int index = index_of(step);
    const auto* r = at->GetReflection();
    const bool there = field->is_repeated() ? index < r->FieldSize(*at, field) : r->HasField(*at, field);
    if (!rest.empty()) {
      if (!field->message_type()) return std::nullopt;
      if (!there) return message_value(*r->GetMessageFactory()->GetPrototype(field->message_type()), rest);
      at = field->is_repeated() ? &r->GetRepeatedMessage(*at, field, index) : &r->GetMessage(*at, field);
      continue;
    }
    if (field->message_type()) return std::nullopt;
    if (there) return field_value(*field, stated_text(*at, *field, index));
    if (!field->has_default_value() || field->is_repeated()) return NamedValue{};
    std::string text = default_text(*field);
    if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
    return field_value(*field, text);
  }
}

}  // namespace flopcast
