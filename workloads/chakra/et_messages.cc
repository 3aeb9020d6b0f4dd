#include "workloads/chakra/et_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sim/base/diagnostic.h"

namespace flopcast {

using Wire = WireReader::Type;

MessageFile::MessageFile(const std::string& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  errno = 0;
  if (!folder) file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) {
    Diagnostic fault;
    fault.file = path;
    fault.found = folder ? "a folder" : std::strerror(errno);
    fault.expected = "an execution trace (.et)";
    throw InputError(fault);
  }
  buffer_.resize(std::size_t{1} << 18);
}

void MessageFile::rewind() {
  std::rewind(file_.get());
  begin_ = end_ = 0;
  offset_ = at_ = 0;
}

// Fills the buffer to at least `bytes` from begin_ on; false when the file has no more.
bool MessageFile::fill(std::size_t bytes) {
  if (end_ - begin_ >= bytes) return true;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  while (end_ < bytes) {
    // A length that is not true costs no more memory than the file has bytes.
    if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
    const std::size_t got = std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, file_.get());
    if (got == 0) return false;
    end_ += got;
  }
  return true;
}

bool MessageFile::next(std::string_view& message) {
  if (!fill(1)) return false;
  std::uint64_t size = 0;
  int shift = 0;
  const std::uint64_t begin = at_;
  while (true) {
    if (!fill(1)) throw WireFault(begin, "the file ends within the length of a message");
    const auto byte = static_cast<unsigned char>(buffer_[begin_++]);
    ++at_;
    size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
    shift += 7;
    if (shift > 28) throw WireFault(begin, "a message that says that it has 4 GiB or more");
  }
  if (!fill(size)) {
    throw WireFault(
        begin, fmt::format("a message that says that it has {} bytes, of which the file has {}", size, end_ - begin_));
  }
  offset_ = at_;
  message = std::string_view(buffer_).substr(begin_, size);
  begin_ += size;
  at_ += size;
  return true;
}

namespace {

constexpr std::uint64_t kSigned = std::uint64_t{1} << 63;

void set_unsigned(EtAttribute& attribute, std::uint64_t value) {
  attribute.type = EtAttribute::Type::integer;
  attribute.integer = static_cast<std::int64_t>(value);
  attribute.huge = value >= kSigned;
}

void set_signed(EtAttribute& attribute, std::int64_t value) {
  attribute.type = EtAttribute::Type::integer;
  attribute.integer = value;
}

void set_real(EtAttribute& attribute, double value) {
  attribute.type = EtAttribute::Type::real;
  attribute.real = value;
}

// One of thirty fields: a value at an odd number, a list of such values at the even one after it.
void set_current(EtAttribute& attribute, const WireReader& field) {
  constexpr int kFirst = 3, kLast = 32;
  if (field.field() < kFirst || field.field() > kLast) return;  // what comes later says nothing of time
  const bool bytes = field.type() == Wire::bytes;
  if (field.field() % 2 == 0 || field.field() == 29 || field.field() == 31) {
    if (!bytes)
      throw WireFault(field.offset(), fmt::format("field {} of an attribute without a length", field.field()));
    attribute.type = field.field() % 2 == 0 ? EtAttribute::Type::list : EtAttribute::Type::text;
    attribute.text = field.bytes();
    return;
  }
  if (bytes) throw WireFault(field.offset(), fmt::format("field {} of an attribute that is no number", field.field()));
  const std::uint64_t bits = field.number();
  switch (field.field()) {
    case 3:
      return set_real(attribute, double_of_bits(bits));
    case 5:
      return set_real(attribute, float_of_bits(bits));
    case 7:
    case 9:
      return set_signed(attribute, static_cast<std::int64_t>(bits));
    case 15:
    case 17:
      return set_signed(attribute, from_zigzag(bits));
    case 23:
      return set_signed(attribute, static_cast<std::int32_t>(bits));
    case 25:
      return set_signed(attribute, static_cast<std::int64_t>(bits));
    default:
      return set_unsigned(attribute, bits);
  }
}

// Two layouts, the later with unsigned numbers between; told apart by what has a length.
void set_typed(EtAttribute& attribute, const WireReader& field) {
  const bool bytes = field.type() == Wire::bytes;
  if (field.is(4, Wire::varint) || field.is(6, Wire::varint) || field.is(7, Wire::varint))
    return set_signed(attribute, static_cast<std::int64_t>(field.number()));
  if (field.is(5, Wire::fixed32)) return set_real(attribute, float_of_bits(field.number()));
  if (bytes && (field.field() == 7 || field.field() == 8)) {
    attribute.type = EtAttribute::Type::text;
    attribute.text = field.bytes();
  }
}

// 0.0.1: the numbers of a node's properties, under the names that later versions gave them.
constexpr std::string_view kFieldNames[] = {
    "tensor_loc", "tensor_size",  "", "",           "",         "",         "",
    "num_ops",    "comm_type",    "", "comm_group", "comm_src", "comm_dst", "comm_size",
    "comm_tag",   "comm_priority"};
constexpr int kFirstFieldName = 5, kDimensions = 14, kSimulatedTime = 7, kLastField = 20;

[[noreturn]] void another_version(const WireReader& field, EtSchema schema) {
  throw WireFault(field.offset(),
                  fmt::format("a node with field {}{}, which nodes of version {} do not have", field.field(),
                              field.type() == Wire::bytes ? " that has a length" : "", name(schema)));
}

void read_own_field(const WireReader& field, EtNode& node) {
  constexpr EtSchema schema = EtSchema::fields;
  if (field.field() == kDimensions) {
    for_each_varint(field, [&](std::uint64_t value) { node.dimensions.push_back(value); });
    return;
  }
  if (field.type() != Wire::varint || field.field() > kLastField) another_version(field, schema);
  if (field.field() == kSimulatedTime) return;  // what a simulator has found
  const std::string_view called = kFieldNames[field.field() - kFirstFieldName];
  if (called.empty()) return;
  EtAttribute attribute;
  attribute.name = called;
  attribute.offset = field.offset();
  set_unsigned(attribute, field.number());
  node.attributes.push_back(attribute);
}

void read_typed_field(const WireReader& field, EtNode& node) {
  if (field.type() != Wire::bytes || field.field() > 11) another_version(field, EtSchema::attributes);
  if (field.field() == 5) node.inputs = field.bytes();
  if (field.field() == 11) node.attributes.push_back(read_attribute(field.message(), EtSchema::attributes));
}

void read_current_field(const WireReader& field, EtNode& node) {
  constexpr EtSchema schema = EtSchema::current;
  switch (field.field()) {
    case 5:
      for_each_varint(field, [&](std::uint64_t value) { node.data.push_back(value); });
      return;
    case 6:
    case 7:
      if (field.type() != Wire::varint) another_version(field, schema);
      if (field.field() == 7) node.micros = static_cast<std::int64_t>(field.number());
      return;
    case 8:
    case 9:
    case 10:
    case 11: {
      if (field.type() != Wire::bytes) another_version(field, schema);
      if (field.field() == 10) node.attributes.push_back(read_attribute(field.message(), schema));
      if (field.field() != 8) return;
      WireReader inputs = field.message();
      while (inputs.next())
        if (inputs.is(1, Wire::bytes)) node.inputs = inputs.bytes();
      return;
    }
    default:
      another_version(field, schema);
  }
}

}  // namespace

EtAttribute read_attribute(WireReader message, EtSchema schema) {
  EtAttribute attribute;
  bool first = true;
  while (message.next()) {
    if (first) attribute.offset = message.offset();
    first = false;
    if (message.field() == 1) {
      if (message.type() != Wire::bytes) throw WireFault(message.offset(), "an attribute whose name is no text");
      attribute.name = message.bytes();
    } else if (schema == EtSchema::current) {
      set_current(attribute, message);
    } else {
      set_typed(attribute, message);
    }
  }
  return attribute;
}

void read_node(WireReader message, EtSchema schema, EtNode& node) {
  node.id.reset();
  node.name = node.inputs = {};
  node.type = 0;
  node.micros = 0;
  node.control.clear();
  node.data.clear();
  node.attributes.clear();
  node.dimensions.clear();
  while (message.next()) {
    switch (message.field()) {
      case 1:
        if (message.type() != Wire::varint) another_version(message, schema);
        node.id = message.number();
        break;
      case 2:
        if (message.type() != Wire::bytes) another_version(message, schema);
        node.name = message.bytes();
        break;
      case 3:
        if (message.type() != Wire::varint) another_version(message, schema);
        node.type = message.number();
        break;
      case 4: {
        // Before dependencies were told apart every one was a reason to wait.
        auto& needs = schema == EtSchema::current ? node.control : node.data;
        for_each_varint(message, [&](std::uint64_t value) { needs.push_back(value); });
        break;
      }
      default:
        if (schema == EtSchema::fields)
          read_own_field(message, node);
        else if (schema == EtSchema::attributes)
          read_typed_field(message, node);
        else
          read_current_field(message, node);
    }
  }
  if (!node.id) node.id = 0;  // proto3 leaves out what is 0
}

bool is_metadata(WireReader message) {
  // Nodes have a number as their first field, or, where id is 0, one of the fields after it.
  bool first_is_text = false, attributes = true, any = false;
  while (message.next()) {
    any = true;
    if (message.field() == 1) first_is_text |= message.type() == Wire::bytes;
    if (message.field() == 1 && message.type() != Wire::bytes) return false;
    if (message.field() > 2) return false;
    if (message.field() == 2) {
      // A name of a node, or a message whose first field is a name.
      const std::string_view text = message.bytes();
      attributes &= !text.empty() && text.front() == '\n';
    }
  }
  return !any || first_is_text || attributes;
}

namespace {

// The layout that a node has; nothing where it has only what all layouts have.
std::optional<EtSchema> schema_of(WireReader message) {
  const auto is_attribute = [](std::string_view bytes) { return !bytes.empty() && bytes.front() == '\n'; };
  while (message.next()) {
    const bool bytes = message.type() == Wire::bytes;
    if (message.field() == 10 && bytes && is_attribute(message.bytes())) return EtSchema::current;
    if (message.field() == 11 && bytes && is_attribute(message.bytes())) return EtSchema::attributes;
    if (message.field() >= 12 && message.type() == Wire::varint) return EtSchema::fields;
    if ((message.field() == 5 || message.field() == 11) && !bytes && message.type() == Wire::varint)
      return EtSchema::fields;
  }
  return std::nullopt;
}

// "0.0.4", and what has been written of it: "1.0.2-chakra.0.0.4".
bool is_known(const std::string& version) { return version.ends_with("0.0.4"); }

}  // namespace

EtHead read_head(MessageFile& file) {
  EtHead head;
  std::string_view message;
  bool decided = false;
  file.rewind();
  for (bool first = true; file.next(message); first = false) {
    if (first && is_metadata({message, file.offset()})) {
      head.has_metadata = true;
      WireReader fields(message, file.offset());
      while (fields.next()) {
        const bool attribute = !fields.bytes().empty() && fields.bytes().front() == '\n';
        if (fields.field() == 2) decided = true;  // attributes had the number 1 before
        if (fields.field() != 1) continue;
        decided = true;
        if (attribute) {
          head.schema = EtSchema::attributes;
          continue;
        }
        head.version = fields.bytes();
        if (!is_known(head.version))
          throw WireFault(fields.offset(), fmt::format("version \"{}\"", head.version.substr(0, 40)));
      }
    } else if (const auto schema = schema_of({message, file.offset()})) {
      if (!decided) head.schema = *schema;
      decided = true;
    }
    if (decided) break;
  }
  file.rewind();
  return head;
}

}  // namespace flopcast
