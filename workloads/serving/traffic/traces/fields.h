// Numbers and times in the lines of a trace, and what is wrong with them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/base/units.h"

namespace flopcast {

/// What is wrong with a line; thrown while it is parsed.
struct LineFault {
  int column = 0;  ///< from 1
  std::string field, found, expected;
  std::string remedy = {};
};

/// Faults of a file, the first ones in full, the rest counted.
class TraceFaults {
 public:
  static constexpr std::size_t kShown = 20;
  explicit TraceFaults(std::string file) : file_(std::move(file)) {}
  void add(int line, LineFault fault);
  bool empty() const { return shown_.empty(); }
  /// @throws InputError with all of them when there are any.
  void throw_if_any() const;

 private:
  std::string file_;
  std::vector<Diagnostic> shown_;
  std::uint64_t more_ = 0;
};

/// Part of a line with its place in it.
struct Field {
  std::string_view text;
  int column = 0;
  std::string_view name;
  [[noreturn]] void refuse(std::string expected) const;
  [[noreturn]] void refuse(std::string expected, std::string remedy) const;
};

/// As it can stand in a diagnostic: quoted, shortened, bytes that are no plain text spelt out.
std::string shown(std::string_view text);

/// Elements of "a|b|c", first to last.
template <class Visit>
void for_each_name(std::string_view names, Visit&& visit) {
  while (!names.empty()) {
    const std::size_t end = names.find('|');
    visit(names.substr(0, end));
    names = end == std::string_view::npos ? std::string_view() : names.substr(end + 1);
  }
}

/// More tokens than any context has.
constexpr std::int32_t kMostTokens = 100'000'000;
std::int32_t parse_tokens(const Field& field);
/// The same, and 0 for a request that failed.
std::int32_t parse_tokens_or_none(const Field& field);
/// Ids stay far below PrefixBlocks::kLargestId: each repetition and each class of a traffic has its own.
constexpr std::uint64_t kLargestTraceBlock = (std::uint64_t{1} << 40) - 1;
std::uint64_t parse_block_id(std::string_view text, const Field& place);

/// A moment: a date in double precision would be off by a quarter of a microsecond.
struct TraceTime {
  std::int64_t seconds = 0;
  double fraction = 0;  ///< 0 to 1
  Seconds since(const TraceTime& start) const {
    return Seconds(static_cast<double>(seconds - start.seconds) + (fraction - start.fraction));
  }
  auto operator<=>(const TraceTime&) const = default;
};

/// A number of units of `unit` seconds.
TraceTime parse_number_of(double unit, const Field& field);
/// A time from the end of one thing to the start of another, in units of `unit` seconds.
Seconds parse_delay(double unit, const Field& field);
/// 2023-11-16 18:15:46.6805900, perhaps with a T between and Z or +01:00 behind.
TraceTime parse_date_time(const Field& field);

}  // namespace flopcast
