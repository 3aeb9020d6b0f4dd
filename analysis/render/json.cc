#include "analysis/render/json.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cassert>
#include <charconv>
#include <cmath>

#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void append_quoted(std::string& out, const std::string& as_found) {
  const std::string text = visible(as_found, LineEnds::allowed);
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

class Printer {
 public:
  std::string print(const Message& message) {
    append_message(message, 0);
    return std::move(out_) + "\n";
  }

 private:
  void new_line(int depth) { out_.append("\n").append(2 * static_cast<std::size_t>(depth), ' '); }

  // What may be absent (sub-messages, optional numbers) and is, is left out; every other field is printed.
  void append_message(const Message& message, int depth) {
    out_ += '{';
    bool first = true;
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor& field = *message.GetDescriptor()->field(i);
      if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
      if (!first) out_ += ',';
      first = false;
      new_line(depth + 1);
      append_quoted(out_, field.name());
      out_ += ": ";
      field.is_repeated() ? append_list(message, field, depth + 1) : append_single(message, field, depth + 1);
    }
    if (!first) new_line(depth);
    out_ += '}';
  }

  void append_single(const Message& message, const FieldDescriptor& field, int depth) {
    const Reflection& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        append_message(reflection.GetMessage(message, &field), depth);
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        append_quoted(out_, reflection.GetString(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        out_ += shortest(reflection.GetDouble(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        out_ += reflection.GetBool(message, &field) ? "true" : "false";
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        out_ += std::to_string(reflection.GetInt32(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        out_ += std::to_string(reflection.GetInt64(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        out_ += std::to_string(reflection.GetUInt64(message, &field));
        break;
      default:
        assert(false && "a type that report.proto does not use");
    }
  }

  void append_list(const Message& message, const FieldDescriptor& field, int depth) {
    const Reflection& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, &field);
    out_ += '[';
    for (int i = 0; i < size; ++i) {
      if (i > 0) out_ += ',';
      new_line(depth + 1);
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        append_message(reflection.GetRepeatedMessage(message, &field, i), depth + 1);
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        out_ += shortest(reflection.GetRepeatedDouble(message, &field, i));
      } else {
        assert(field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && "reports repeat messages, numbers and strings");
        append_quoted(out_, reflection.GetRepeatedString(message, &field, i));
      }
    }
    if (size > 0) new_line(depth);
    out_ += ']';
  }

  std::string out_;
};

}  // namespace

std::string shortest(double value) {
  assert(std::isfinite(value));
  if (!std::isfinite(value)) return "null";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

std::string to_json(const Message& message) { return Printer().print(message); }

}  // namespace flopcast
