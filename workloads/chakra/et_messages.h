// The messages of an execution trace in each layout that writers have used, read without a schema compiler because the
// layouts give the same field numbers to different things. Field numbers: mlcommons/chakra, et_def.proto, of October
// 2022 (0.0.1), January 2023 (0.0.2), May 2023 (0.0.3) and October 2023 (0.0.4); 2026 adds kinds of nodes to the last.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/chakra/trace.h"
#include "workloads/chakra/wire.h"

namespace flopcast {

/// The messages of a file, one after the other.
class MessageFile {
 public:
  /// @throws InputError when there is no such file.
  explicit MessageFile(const std::string& path);
  /// The next message, valid until the next call; false at the end. @throws WireFault when the file ends within it.
  bool next(std::string_view& message);
  std::uint64_t offset() const { return offset_; }  ///< of that message's first byte
  void rewind();

 private:
  bool fill(std::size_t bytes);
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;    // what of buffer_ has been read from the file and not yet given out
  std::uint64_t offset_ = 0, at_ = 0;  // at_: of begin_ in the file
};

/// A property of a node, as `attributes` and `current` have it.
struct EtAttribute {
  enum class Type { none, integer, real, text, list };
  std::string_view name;
  Type type = Type::none;
  std::int64_t integer = 0;
  bool huge = false;  ///< the integer is unsigned and above 2^63
  double real = 0;
  std::string_view text;     ///< also the bytes of a list's message
  std::uint64_t offset = 0;  ///< in the file
};
EtAttribute read_attribute(WireReader message, EtSchema schema);

/// A node as its message has it, numbers of kinds not yet understood.
struct EtNode {
  std::optional<std::uint64_t> id;
  std::string_view name;
  std::uint64_t type = 0;
  std::vector<std::uint64_t> control, data;
  std::int64_t micros = 0;
  std::string_view inputs;  ///< values of the inputs, of a node of metadata
  std::vector<EtAttribute> attributes;
  std::vector<std::uint64_t> dimensions;  ///< `fields`: which take part
};
/// @throws WireFault; also where the message has fields that the layout does not.
void read_node(WireReader message, EtSchema schema, EtNode& node);

/// What the first messages say of a file.
struct EtHead {
  EtSchema schema = EtSchema::current;
  bool has_metadata = false;
  std::string version;
};
/// @throws WireFault.
EtHead read_head(MessageFile& file);

/// Is this message of metadata, not a node? Of a file in that layout.
bool is_metadata(WireReader message);

}  // namespace flopcast
