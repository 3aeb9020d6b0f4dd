// Execution traces made by tests: a node a line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/chakra/wire.h"

namespace flopcast::testing {

/// Attributes of a node in the current layout (0.0.4).
class EtAttributes {
 public:
  EtAttributes& integer(std::string_view name, std::int64_t value) { return add(name, 9, value); }
  EtAttributes& boolean(std::string_view name, bool value) { return add(name, 27, value ? 1 : 0); }
  EtAttributes& text(std::string_view name, std::string_view value) {
    WireWriter attribute;
    attribute.bytes(1, name);
    attribute.bytes(29, value);
    list_.push_back(attribute);
    return *this;
  }
  const std::vector<WireWriter>& list() const { return list_; }

 private:
  EtAttributes& add(std::string_view name, int field, std::int64_t value) {
    WireWriter attribute;
    attribute.bytes(1, name);
    attribute.varint(field, static_cast<std::uint64_t>(value));
    list_.push_back(attribute);
    return *this;
  }
  std::vector<WireWriter> list_;
};

inline constexpr int kLoad = 2, kCompute = 4, kSend = 5, kReceive = 6, kCollective = 7;  // types of nodes

/// A file, message by message.
class EtText {
 public:
  /// @param version "": no metadata.
  explicit EtText(const std::string& version = "0.0.4") {
    if (version.empty()) return;
    WireWriter metadata;
    metadata.bytes(1, version);
    message(metadata);
  }
  EtText& node(std::uint64_t id, int type, std::vector<std::uint64_t> data, std::uint64_t micros,
               const EtAttributes& attributes = {}, std::vector<std::uint64_t> control = {}) {
    WireWriter node;
    node.varint(1, id);
    node.bytes(2, "node " + std::to_string(id));
    node.varint(3, static_cast<std::uint64_t>(type));
    if (!control.empty()) node.bytes(4, packed(control));
    if (!data.empty()) node.bytes(5, packed(data));
    if (micros > 0) node.varint(7, micros);
    for (const WireWriter& attribute : attributes.list()) node.message(10, attribute);
    return message(node);
  }
  EtText& compute(std::uint64_t id, std::uint64_t micros, std::vector<std::uint64_t> data = {}) {
    return node(id, kCompute, std::move(data), micros);
  }
  EtText& collective(std::uint64_t id, int kind, std::int64_t bytes, std::vector<std::uint64_t> data = {},
                     std::string_view group = "") {
    EtAttributes attributes;
    attributes.boolean("is_cpu_op", false).integer("comm_type", kind).integer("comm_size", bytes);
    if (!group.empty()) attributes.text("pg_name", group);
    return node(id, kCollective, std::move(data), 0, attributes);
  }
  EtText& message(const WireWriter& message) {
    WireWriter length;
    length.raw(message.str().size());
    text_ += length.str() + message.str();
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  static std::string packed(const std::vector<std::uint64_t>& values) {
    WireWriter bytes;
    for (const std::uint64_t value : values) bytes.raw(value);
    return bytes.str();
  }
  std::string text_;
};

}  // namespace flopcast::testing
