// Protobuf messages as JSON text: snake_case names as in the schema, every field printed, numbers as numbers
// (64-bit integers too) and doubles in the shortest form that reads back as the same value. Byte-identical
// for equal messages.
#pragma once
#include <string>

namespace google::protobuf {
class Message;
}

namespace flopcast {

/// Two-space indentation, a newline at the end. Doubles must be finite.
std::string to_json(const google::protobuf::Message& message);

/// A double in the shortest form that reads back as the same value.
std::string shortest(double value);

}  // namespace flopcast
