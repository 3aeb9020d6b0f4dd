// What a file may say, field by field, as the schema has it (scenarios/proto/): for `flopcast fields`, its JSON and
// docs/fields.md.
#pragma once
#include <string>
#include <vector>

namespace flopcast {

struct FieldReference {
  std::string path;           ///< "training.plan.data"; of lists "run.phase[].tokens"; of library files "gpus.sms"
  std::string name;           ///< its last step
  std::string type;           ///< "whole number", "number", "switch", "text", "quantity", "section"
  std::string unit;           ///< of a quantity: `a time such as "3.7 us"`
  std::string default_value;  ///< as a file would state it; empty: none
  std::string least, most;    ///< bounds in the notation of the field; empty: none
  std::vector<std::string> allowed;  ///< the only values; beside a quantity: one more
  std::string library;               ///< its value is a name of this library: "gpus"
  bool required = false;
  bool list = false;
  std::string meaning;
  bool section() const { return type == "section"; }
};

/// Fields that stand beside each other, and all places where they do.
struct FieldSection {
  std::string title;                ///< "Plan"
  std::vector<std::string> places;  ///< "training.plan", "run.phase[].plan"; "" is the scenario itself
  std::string meaning;
  std::vector<FieldReference> fields;
};

/// The section or the one field at `path`; indices in it are passed over, and the empty path is a scenario.
struct FieldsAt {
  FieldSection section;  ///< with one field only where `path` is no section
  bool is_section = true;
};
/// @throws InputError naming the nearest path.
FieldsAt fields_at(const std::string& path);

/// Every field at and below `path`, sections before what is in them. @throws InputError as above.
std::vector<FieldReference> fields_below(const std::string& path);

/// Each kind of section once, those of a scenario first, then those of library files.
std::vector<FieldSection> all_sections();

}  // namespace flopcast
