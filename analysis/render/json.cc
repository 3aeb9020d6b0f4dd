#include "analysis/render/json.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cassert>
#include <charconv>
#include <cmath>
#include <cstdint>

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
        return append_message(reflection.GetMessage(message, &field), depth);
      case FieldDescriptor::CPPTYPE_STRING:
        return append_quoted(out_, reflection.GetString(message, &field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return append(reflection.GetDouble(message, &field));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return append(double{reflection.GetFloat(message, &field)});
      case FieldDescriptor::CPPTYPE_BOOL:
        return append(reflection.GetBool(message, &field));
      case FieldDescriptor::CPPTYPE_INT32:
        return append(std::int64_t{reflection.GetInt32(message, &field)});
      case FieldDescriptor::CPPTYPE_UINT32:
        return append(std::uint64_t{reflection.GetUInt32(message, &field)});
      case FieldDescriptor::CPPTYPE_INT64:
        return append(std::int64_t{reflection.GetInt64(message, &field)});
      case FieldDescriptor::CPPTYPE_UINT64:
        return append(std::uint64_t{reflection.GetUInt64(message, &field)});
      case FieldDescriptor::CPPTYPE_ENUM:
        return append_quoted(out_, reflection.GetEnum(message, &field)->name());
    }
  }

  void append_entry(const Message& message, const FieldDescriptor& field, int i, int depth) {
    const Reflection& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return append_message(reflection.GetRepeatedMessage(message, &field, i), depth);
      case FieldDescriptor::CPPTYPE_STRING:
        return append_quoted(out_, reflection.GetRepeatedString(message, &field, i));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return append(reflection.GetRepeatedDouble(message, &field, i));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return append(double{reflection.GetRepeatedFloat(message, &field, i)});
      case FieldDescriptor::CPPTYPE_BOOL:
        return append(reflection.GetRepeatedBool(message, &field, i));
      case FieldDescriptor::CPPTYPE_INT32:
        return append(std::int64_t{reflection.GetRepeatedInt32(message, &field, i)});
      case FieldDescriptor::CPPTYPE_UINT32:
        return append(std::uint64_t{reflection.GetRepeatedUInt32(message, &field, i)});
      case FieldDescriptor::CPPTYPE_INT64:
        return append(std::int64_t{reflection.GetRepeatedInt64(message, &field, i)});
      case FieldDescriptor::CPPTYPE_UINT64:
        return append(std::uint64_t{reflection.GetRepeatedUInt64(message, &field, i)});
      case FieldDescriptor::CPPTYPE_ENUM:
        return append_quoted(out_, reflection.GetRepeatedEnum(message, &field, i)->name());
    }
  }

  void append(double value) { out_ += shortest(value); }
  void append(bool value) { out_ += value ? "true" : "false"; }
  void append(std::int64_t value) { out_ += std::to_string(value); }
  void append(std::uint64_t value) { out_ += std::to_string(value); }

  void append_list(const Message& message, const FieldDescriptor& field, int depth) {
    const int size = message.GetReflection()->FieldSize(message, &field);
    out_ += '[';
    for (int i = 0; i < size; ++i) {
      if (i > 0) out_ += ',';
      new_line(depth + 1);
      append_entry(message, field, i, depth + 1);
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
