#include "workloads/chakra/wire.h"

#include <fmt/format.h>

#include <bit>

namespace flopcast {

std::uint64_t WireReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == message_.size()) throw WireFault(offset_ + at_, "the message ends within a number");
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw WireFault(offset_ + at_, "a number of more than 10 bytes");
}

std::uint64_t WireReader::fixed(std::size_t size) {
  if (message_.size() - at_ < size) throw WireFault(offset_ + at_, "the message ends within a number");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(message_[at_ + i])) << (8 * i);
  at_ += size;
  return value;
}

bool WireReader::next() {
  if (at_ == message_.size()) return false;
  field_offset_ = offset_ + at_;
  const std::uint64_t key = varint();
  constexpr std::uint64_t kMostFields = (1u << 29) - 1;
  if (key >> 3 == 0 || key >> 3 > kMostFields)
    throw WireFault(field_offset_, fmt::format("field number {}, which no message has", key >> 3));
  field_ = static_cast<int>(key >> 3);
  bytes_ = {};
  number_ = 0;
  switch (key & 7) {
    case 0:
      type_ = Type::varint;
      number_ = varint();
      return true;
    case 1:
      type_ = Type::fixed64;
      number_ = fixed(8);
      return true;
    case 5:
      type_ = Type::fixed32;
      number_ = fixed(4);
      return true;
    case 2: {
      type_ = Type::bytes;
      const std::uint64_t size = varint();
      if (size > message_.size() - at_) {
        throw WireFault(field_offset_, fmt::format("field {} says that it has {} bytes, the message has {} left",
                                                   field_, size, message_.size() - at_));
      }
      bytes_ = message_.substr(at_, size);
      at_ += size;
      return true;
    }
    default:
      throw WireFault(field_offset_, fmt::format("a field of wire type {}, which there is not", key & 7));
  }
}

double double_of_bits(std::uint64_t bits) { return std::bit_cast<double>(bits); }
double float_of_bits(std::uint64_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits)); }

void WireWriter::raw(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out_ += static_cast<char>((value & 0x7f) | 0x80);
  out_ += static_cast<char>(value);
}

void WireWriter::raw_double(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 0; i < 8; ++i) out_ += static_cast<char>((bits >> (8 * i)) & 0xff);
}

void WireWriter::varint(int field, std::uint64_t value) {
  raw(static_cast<std::uint64_t>(field) << 3);
  raw(value);
}

void WireWriter::number(int field, double value) {
  raw(static_cast<std::uint64_t>(field) << 3 | 1);
  raw_double(value);
}

void WireWriter::bytes(int field, std::string_view value) {
  raw(static_cast<std::uint64_t>(field) << 3 | 2);
  raw(value.size());
  out_ += value;
}

}  // namespace flopcast
