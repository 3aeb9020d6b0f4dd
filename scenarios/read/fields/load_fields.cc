#include "scenarios/read/fields/load_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "scenarios/read/fields/field_rules.h"

namespace flopcast {

namespace pb = google::protobuf;

FieldValue::FieldValue(const pb::Message& message, std::string_view name)
    : message_(&message), field_(message.GetDescriptor()->FindFieldByName(std::string(name))) {
  assert(field_ && "a described field that the schema does not have");
}

bool FieldValue::stated() const { return index_ >= 0 || message_->GetReflection()->HasField(*message_, field_); }

int FieldValue::size() const { return message_->GetReflection()->FieldSize(*message_, field_); }

FieldValue FieldValue::entry(int index) const {
  FieldValue out = *this;
  out.index_ = index;
  return out;
}

bool FieldValue::truth() const {
  const auto* r = message_->GetReflection();
  return index_ < 0 ? r->GetBool(*message_, field_) : r->GetRepeatedBool(*message_, field_, index_);
}

std::int64_t FieldValue::whole() const {
  const auto* r = message_->GetReflection();
  if (field_->cpp_type() == pb::FieldDescriptor::CPPTYPE_INT32)
    return index_ < 0 ? r->GetInt32(*message_, field_) : r->GetRepeatedInt32(*message_, field_, index_);
  return index_ < 0 ? r->GetInt64(*message_, field_) : r->GetRepeatedInt64(*message_, field_, index_);
}

std::optional<double> FieldValue::number() const {
  const auto* r = message_->GetReflection();
  switch (field_->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return index_ < 0 ? r->GetDouble(*message_, field_) : r->GetRepeatedDouble(*message_, field_, index_);
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      constexpr double kSecondsPerHour = 3600;
      const Dimension dimension = dimension_of(*field_);
      const auto parsed = parse_quantity(text(), dimension);
      const double* value = std::get_if<double>(&parsed);
      if (!value) return std::nullopt;
      return dimension == Dimension::failure_rate ? *value * kSecondsPerHour : *value;
    }
    default:
      return static_cast<double>(whole());
  }
}

std::string FieldValue::text() const {
  const auto* r = message_->GetReflection();
  return index_ < 0 ? r->GetString(*message_, field_) : r->GetRepeatedString(*message_, field_, index_);
}

const pb::Message& FieldValue::message() const {
  const auto* r = message_->GetReflection();
  return index_ < 0 ? r->GetMessage(*message_, field_) : r->GetRepeatedMessage(*message_, field_, index_);
}

}  // namespace flopcast
