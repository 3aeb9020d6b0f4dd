#include "workloads/serving/traffic/traces/fields.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

constexpr double kLatestTime = 1e10;  // seconds; since 1970 that is the year 2286
constexpr double kLongestDelay = 1e9;

template <class Number>
bool parse_all(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Reads a date from left to right.
class DateCursor {
 public:
  explicit DateCursor(const Field& field) : field_(field), rest_(field.text) {}
  bool done() const { return rest_.empty(); }
  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse();
  }
  int digits(std::size_t count) {
    int number = 0;
    if (rest_.size() < count || rest_[0] == '-' || !parse_all(rest_.substr(0, count), number)) refuse();
    rest_.remove_prefix(count);
    return number;
  }
  double fraction() {
    double value = 0, unit = 1;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      value = value * 10 + (rest_[0] - '0');
      unit *= 10;
      rest_.remove_prefix(1);
    }
    return value / unit;
  }
  [[noreturn]] void refuse() const { field_.refuse("a time such as 2023-11-16 18:15:46.6805900"); }

 private:
  const Field& field_;
  std::string_view rest_;
};

std::int64_t seconds_of_date(DateCursor& cursor) {
  const int year = cursor.digits(4);
  cursor.expect('-');
  const int month = cursor.digits(2);
  cursor.expect('-');
  const int day = cursor.digits(2);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) cursor.refuse();
  return std::int64_t{86400} * std::chrono::sys_days(date).time_since_epoch().count();
}

/// hh:mm in seconds.
std::int64_t seconds_of_minutes(DateCursor& cursor) {
  const int hour = cursor.digits(2);
  cursor.expect(':');
  const int minute = cursor.digits(2);
  if (hour > 23 || minute > 59) cursor.refuse();
  return std::int64_t{3600} * hour + std::int64_t{60} * minute;
}

std::int64_t zone_offset(DateCursor& cursor) {
  if (cursor.done() || cursor.accept('Z')) return 0;
  const bool west = cursor.accept('-');
  if (!west) cursor.expect('+');
  const std::int64_t offset = seconds_of_minutes(cursor);
  return west ? -offset : offset;
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  if (text.empty()) return "nothing";
  return '"' + visible(cut_text(text, kLongest)) + (text.size() > kLongest ? "...\"" : "\"");
}

void TraceFaults::add(int line, LineFault fault) {
  if (shown_.size() == kShown) {
    ++more_;
    return;
  }
  shown_.push_back({.file = file_,
                    .line = line,
                    .column = fault.column,
                    .field = std::move(fault.field),
                    .found = std::move(fault.found),
                    .expected = std::move(fault.expected),
                    .remedy = std::move(fault.remedy)});
}

void TraceFaults::throw_if_any() const {
  if (empty()) return;
  std::vector<Diagnostic> all = shown_;
  if (more_ > 0) {
    all.push_back({.file = file_, .found = std::to_string(more_) + " more faults, not shown", .expected = "none"});
  }
  throw InputError(std::move(all));
}

void Field::refuse(std::string expected) const { refuse(std::move(expected), ""); }

void Field::refuse(std::string expected, std::string remedy) const {
  throw LineFault{column, std::string(name), shown(text), std::move(expected), std::move(remedy)};
}

namespace {

/// "12.0" is what tables make of 12.
std::string_view without_zero_fraction(std::string_view text) {
  const std::size_t point = text.find('.');
  if (point == 0 || point == std::string_view::npos || point + 1 == text.size()) return text;
  return text.find_first_not_of('0', point + 1) == std::string_view::npos ? text.substr(0, point) : text;
}

}  // namespace

std::int32_t parse_tokens(const Field& field) {
  std::int32_t tokens = 0;
  if (!parse_all(without_zero_fraction(field.text), tokens) || tokens < 1 || tokens > kMostTokens) {
    field.refuse("a whole number of tokens from 1 to " + std::to_string(kMostTokens),
                 tokens == 0 && field.text == "0" ? "leaving failed requests out of the trace" : "");
  }
  return tokens;
}

std::int32_t parse_tokens_or_none(const Field& field) {
  return without_zero_fraction(field.text) == "0" ? 0 : parse_tokens(field);
}

std::uint64_t parse_block_id(std::string_view text, const Field& place) {
  std::uint64_t id = 0;
  if (!parse_all(text, id) || id > kLargestTraceBlock) {
    place.refuse("the id of a block, a whole number from 0 to " + std::to_string(kLargestTraceBlock));
  }
  return id;
}

namespace {

/// Counts of milli-, micro- and nanoseconds since 1970 keep every digit.
std::optional<TraceTime> exact_time(double unit, std::string_view text) {
  std::uint64_t count = 0;
  const auto per_second = static_cast<std::uint64_t>(std::llround(1.0 / unit));
  if (unit >= 1.0 || !parse_all(text, count)) return std::nullopt;
  return TraceTime{static_cast<std::int64_t>(count / per_second),
                   static_cast<double>(count % per_second) / static_cast<double>(per_second)};
}

bool is_date(const Field& field) {
  try {
    parse_date_time(field);
    return true;
  } catch (const LineFault&) {
    return false;
  }
}

/// In which smaller unit a number would be a time.
std::string smaller_unit(double unit, double number) {
  constexpr std::pair<double, const char*> kSmaller[] = {{1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
  for (const auto& [size, name] : kSmaller)
    if (size < unit && number > 0 && number * size <= kLatestTime)
      return std::string("columns { unit: \"") + name + "\" }, if that is what it counts";
  return "";
}

}  // namespace

TraceTime parse_number_of(double unit, const Field& field) {
  double number = 0;
  if (!parse_all(field.text, number))
    field.refuse("a time, a number from 0 to 1e10 s", is_date(field) ? "columns { unit: \"date\" }" : "");
  if (!(number >= 0.0 && number * unit <= kLatestTime)) {
    field.refuse("a time, a number from 0 to 1e10 s", std::isfinite(number) ? smaller_unit(unit, number) : "");
  }
  if (const auto exact = exact_time(unit, field.text)) return *exact;
  const double seconds = number * unit, whole = std::floor(seconds);
  return {static_cast<std::int64_t>(whole), seconds - whole};
}

Seconds parse_delay(double unit, const Field& field) {
  double number = 0;
  if (!parse_all(field.text, number) || !(number >= 0.0 && number * unit <= kLongestDelay))
    field.refuse("a delay, a number from 0 to 1e9 s");
  return Seconds(number * unit);
}

TraceTime parse_date_time(const Field& field) {
  DateCursor cursor(field);
  std::int64_t seconds = seconds_of_date(cursor);
  if (!cursor.accept('T')) cursor.expect(' ');
  seconds += seconds_of_minutes(cursor);
  cursor.expect(':');
  const int second = cursor.digits(2);
  if (second > 60) cursor.refuse();  // 60: a leap second
  seconds += second;
  const double fraction = cursor.accept('.') ? cursor.fraction() : 0.0;
  seconds -= zone_offset(cursor);
  if (!cursor.done()) cursor.refuse();
  return {seconds, fraction};
}

}  // namespace flopcast
