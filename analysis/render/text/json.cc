#include "analysis/render/text/json.h"

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
  static constexpr int kAlone = -1;

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
      field.is_repeated() ? append_list(message, field, depth + 1) : append_value(message, field, kAlone, depth + 1);
    }
    if (!first) new_line(depth);
    out_ += '}';
  }

  /// Of a list the entry at `i`; kAlone: the one value of a field.
  void append_value(const Message& message, const FieldDescriptor& field, int i, int depth) {
    const Reflection& r = *message.GetReflection();
    const FieldDescriptor* const f = &field;
    const bool alone = i == kAlone;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return append_message(alone ? r.GetMessage(message, f) : r.GetRepeatedMessage(message, f, i), depth);
      case FieldDescriptor::CPPTYPE_STRING:
        return append_quoted(out_, alone ? r.GetString(message, f) : r.GetRepeatedString(message, f, i));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return append(alone ? r.GetDouble(message, f) : r.GetRepeatedDouble(message, f, i));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return append(double{alone ? r.GetFloat(message, f) : r.GetRepeatedFloat(message, f, i)});
      case FieldDescriptor::CPPTYPE_BOOL:
        return append(alone ? r.GetBool(message, f) : r.GetRepeatedBool(message, f, i));
      case FieldDescriptor::CPPTYPE_INT32:
        return append(std::int64_t{alone ? r.GetInt32(message, f) : r.GetRepeatedInt32(message, f, i)});
      case FieldDescriptor::CPPTYPE_UINT32:
        return append(std::uint64_t{alone ? r.GetUInt32(message, f) : r.GetRepeatedUInt32(message, f, i)});
      case FieldDescriptor::CPPTYPE_INT64:
        return append(std::int64_t{alone ? r.GetInt64(message, f) : r.GetRepeatedInt64(message, f, i)});
      case FieldDescriptor::CPPTYPE_UINT64:
        return append(std::uint64_t{alone ? r.GetUInt64(message, f) : r.GetRepeatedUInt64(message, f, i)});
      case FieldDescriptor::CPPTYPE_ENUM:
        return append_quoted(out_, (alone ? r.GetEnum(message, f) : r.GetRepeatedEnum(message, f, i))->name());
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
      append_value(message, field, i, depth + 1);
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
