// Values of single fields of scenario and library files, for conditions over what varies.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "analysis/studies/constraints.h"

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace flopcast {

/// The field of a scenario file at `path`, whose indices are passed over; null: there is none, or it is a section.
const google::protobuf::FieldDescriptor* field_at(const google::protobuf::Descriptor& type, std::string_view path);

/// A field's value as a file or --set states it: quantities in SI base units. Nothing stands there: no value.
NamedValue field_value(const google::protobuf::FieldDescriptor& field, std::string_view text);

/// What stands at `path`, or the field's default. Absent: there is no such field.
std::optional<NamedValue> message_value(const google::protobuf::Message& message, std::string_view path);

}  // namespace flopcast
