// Which flags a version of a serving engine knows (analysis/data/engine_flags.csv).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/text/csv.h"

namespace flopcast {

inline constexpr char kEngineFlagsFile[] = "analysis/data/engine_flags.csv";

class EngineFlags {
 public:
  /// @throws InputError for a version that is none.
  explicit EngineFlags(const CsvTable& table);

  /// The version that a profile of the library is of: "vllm-0.11" is 0.11.0, "sglang-0.4" what the table says.
  std::string release(std::string_view profile) const;
  /// The flag of a setting with its value in place of {}; none: that version has none.
  std::optional<std::string> find(std::string_view profile, std::string_view setting,
                                  std::string_view value = {}) const;
  /// Whether any version has one.
  bool knows(std::string_view profile, std::string_view setting) const;

 private:
  using Version = std::vector<int>;
  struct Row {
    std::string engine, setting, flag;
    Version since, until;
  };
  static Version version_of(std::string_view text);
  std::vector<Row> rows_;
};

}  // namespace flopcast
