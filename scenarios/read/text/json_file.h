// JSON files that other programs wrote: read by Protobuf, with the places of the fields remembered.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include <google/protobuf/struct.pb.h>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// What Python writes as NaN is read as this text.
inline constexpr std::string_view kNotANumber = "\x7f";

/// The outermost object of a JSON file.
struct JsonObject {
  std::map<std::string, google::protobuf::Value> fields;
  Places places;  ///< of `fields`, by name
};

/// @param file the text's name, for diagnostics.
/// @throws InputError if the text is anything but one JSON object; with line and column as far as Protobuf
/// tells them.
JsonObject parse_json_object(const std::string& text, const std::string& file);

}  // namespace flopcast
