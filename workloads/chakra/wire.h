// Protocol Buffers as bytes: reads the fields of a message one after the other, each with its place in the file, and
// writes them. For files whose schema is decided while they are read; nothing is kept.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace flopcast {

/// Bytes that are no Protocol Buffers message.
class WireFault : public std::runtime_error {
 public:
  WireFault(std::uint64_t offset, const std::string& what) : std::runtime_error(what), offset_(offset) {}
  std::uint64_t offset() const { return offset_; }  ///< in the file

 private:
  std::uint64_t offset_;
};

/// The fields of one message.
class WireReader {
 public:
  enum class Type { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  /// @param offset of the first byte in the file.
  WireReader(std::string_view message, std::uint64_t offset) : message_(message), offset_(offset) {}
  /// Goes to the next field; false at the end. @throws WireFault.
  bool next();
  int field() const { return field_; }
  Type type() const { return type_; }
  bool is(int field, Type type) const { return field_ == field && type_ == type; }
  std::uint64_t number() const { return number_; }        ///< varint, fixed64, fixed32: the bits
  std::string_view bytes() const { return bytes_; }       ///< of a field with a length
  std::uint64_t offset() const { return field_offset_; }  ///< of the field's first byte in the file
  /// The field as a message of its own. @pre type() is bytes.
  WireReader message() const { return {bytes_, offset_ + static_cast<std::uint64_t>(bytes_.data() - message_.data())}; }

 private:
  std::uint64_t varint();
  std::uint64_t fixed(std::size_t size);
  std::string_view message_;
  std::uint64_t offset_;
  std::size_t at_ = 0;
  int field_ = 0;
  Type type_ = Type::varint;
  std::uint64_t number_ = 0, field_offset_ = 0;
  std::string_view bytes_;
};

/// Calls `use(number)` for every number of a repeated field, packed into one run of bytes or standing alone.
template <class Use>
void for_each_varint(const WireReader& field, Use&& use) {
  if (field.type() != WireReader::Type::bytes) return use(field.number());
  std::uint64_t value = 0;
  int shift = 0;
  for (const char c : field.bytes()) {
    if (shift > 63) throw WireFault(field.offset(), "a number of more than 10 bytes");
    value |= static_cast<std::uint64_t>(c & 0x7f) << shift;
    shift += 7;
    if ((c & 0x80) != 0) continue;
    use(value);
    value = 0;
    shift = 0;
  }
  if (shift != 0) throw WireFault(field.offset(), "a list of numbers that ends within one");
}

/// A number with zigzag encoding (sint32, sint64).
constexpr std::int64_t from_zigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

/// The bits of a double or a float as its value.
double double_of_bits(std::uint64_t bits);
double float_of_bits(std::uint64_t bits);

/// A message being written.
class WireWriter {
 public:
  void varint(int field, std::uint64_t value);
  void number(int field, double value);  ///< a double
  void bytes(int field, std::string_view value);
  void message(int field, const WireWriter& value) { bytes(field, value.out_); }
  /// Bare, as packed lists and lengths have it.
  void raw(std::uint64_t value);
  void raw_double(double value);
  const std::string& str() const { return out_; }
  void clear() { out_.clear(); }

 private:
  std::string out_;
};

}  // namespace flopcast
