// Files in Protobuf text format: read with all their faults at once, and with the place of every field
// remembered, so that a fault found much later can still be shown where it stands.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/diagnostic.h"

namespace google::protobuf {
class Message;
}

namespace flopcast {

using Diagnostics = std::vector<Diagnostic>;

/// Where a field was stated.
struct Place {
  std::string file;
  int line = 0;    ///< 1-based, 0 = unknown
  int column = 0;  ///< 1-based
};

/// Places of fields by path: `training.plan.data`, `cluster.slow[1].speed`.
class Places {
 public:
  Places() = default;
  /// @param lines of a file with lines: what is missing at its top level stands in the first one.
  explicit Places(std::string file, bool lines = false) : file_(std::move(file)), lines_(lines && !file_.empty()) {}

  void set(const std::string& path, Place place) { by_path_[path] = std::move(place); }
  /// Takes over the places of another file's fields, below `path`.
  void overlay(const Places& other, const std::string& path = "");
  /// Of the field, or of the innermost stated message round it, or of the file.
  Place find(const std::string& path) const;
  Diagnostic fault(const std::string& path, std::string found, std::string expected, std::string suggestion = "") const;

 private:
  std::string file_;
  bool lines_ = false;
  std::map<std::string, Place> by_path_;
};

/// A fault that lacks a place, with that of its field.
Diagnostic placed(Diagnostic fault, const Places& places);

/// Files that people write stay far below this; what is larger is not one.
constexpr std::size_t kLargestTextFile = 1 << 20;

/// Diagnostics of one input are cut off here: nobody reads on.
constexpr std::size_t kMostDiagnostics = 50;

/// What `found` says of a field that the schema does not have.
constexpr const char* kUnknownField = "an unknown field";

/// What a text file is expected to be.
struct TextFileKind {
  std::string content = "in Protobuf text format";  ///< after "a text file"
  std::size_t largest = kLargestTextFile;           ///< bytes, whole MiB
};

/// The contents of a text file, without the byte order mark that some editors put first.
/// @throws InputError if it is missing, a folder, empty, binary or too large.
std::string read_text_file(const std::string& path, const TextFileKind& kind = {});

/// A text that did not come from a file, held to the same: not empty, not binary, not too large; without its byte order
/// mark. @param file stands for it in diagnostics. @throws InputError.
std::string checked_text(std::string text, const std::string& file, const TextFileKind& kind = {});

/// Parses `text` into `message` and `places`, adding what is wrong to `faults`. Every unknown field is
/// reported, with the nearest field there is, and every value of the wrong type; their paths have no indices. False
/// when a syntax error ended the reading before the end of the text.
bool parse_text(const std::string& text, const std::string& file, google::protobuf::Message& message, Places& places,
                Diagnostics& faults);

/// "run.phase[2].plan" -> "run.phase.plan"
std::string without_indices(const std::string& path);

/// Whether a number begins with zeros that a person reads over and Protobuf takes for octal, as 010 and -007 do, or is
/// hexadecimal, 0x10.
bool misleading_zeros(std::string_view number);
/// The same without them, "10"; empty for a hexadecimal one.
std::string without_zeros(std::string_view number);

/// What is expected instead of such a number: "a number without zeros before it".
inline constexpr const char* kPlainNumber = "a decimal number without zeros before it";

/// Text as it can stand in one line of a diagnostic: quoted, control characters escaped, shortened.
std::string quoted(const std::string& text);

}  // namespace flopcast
