// The reference of fields (scenarios/read/fields/field_reference.h) for terminals, programs and docs/fields.md.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "scenarios/read/fields/field_reference.h"

namespace flopcast {

namespace report {
class FieldList;
}

/// Within 80 columns.
std::string to_text(const FieldsAt& fields, const TextStyle& style);

report::FieldList to_message(const std::vector<FieldReference>& fields, const std::string& program);

/// docs/fields.md, whole.
std::string to_markdown(const std::vector<FieldSection>& sections);

}  // namespace flopcast
