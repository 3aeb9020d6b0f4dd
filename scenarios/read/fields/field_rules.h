// What the schema says of single fields (scenarios/proto/rules.proto), applied: units, bounds, allowed
// values, names, fields that must be stated, and the defaults of those that were not.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "scenarios/read/text/quantity.h"
#include "scenarios/read/text/text_file.h"

namespace google::protobuf {
class FieldDescriptor;
}

namespace flopcast {

/// Of the quantity that a text field holds. @pre its rule names a unit.
Dimension dimension_of(const google::protobuf::FieldDescriptor& field);

/// The field's default as a file would state it.
std::string default_text(const google::protobuf::FieldDescriptor& field);

/// Names in a library, by its number in rules.proto's enum Library.
using NamesOf = std::function<std::vector<std::string>(int library)>;

/// Everything in `message` that breaks the rule of its field. `complete`: fields that are required must be
/// there (a variant that has not been laid over its base is not complete).
void check_fields(const google::protobuf::Message& message, const std::string& path, const Places& places,
                  const NamesOf& names, bool complete, Diagnostics& faults);

/// `path = value` for each field that has a default and was not stated, in the order of the schema. Of
/// messages that are absent altogether only those are looked into whose path is in `in_force`.
std::vector<std::string> defaults_used(const google::protobuf::Message& message,
                                       const std::vector<std::string>& in_force);

}  // namespace flopcast
