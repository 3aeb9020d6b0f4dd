#include "scenarios/read/text/date.h"

#include <charconv>

#include <fmt/format.h>

namespace flopcast {
namespace {

/// Takes `digits` digits off the front of `text`; nothing when there are none.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || text.substr(0, digits).find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  int value = 0;
  std::from_chars(text.data(), text.data() + digits, value);
  text.remove_prefix(digits);
  return value;
}

/// One when the text has ended, else what stands behind a hyphen.
std::optional<int> take_part(std::string_view& text) {
  if (text.empty()) return 1;
  if (text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  return take_number(text, 2);
}

}  // namespace

std::optional<Date> parse_date(std::string_view text) {
  const auto year = take_number(text, 4);
  if (!year) return std::nullopt;
  const auto month = take_part(text);
  const auto day = month ? take_part(text) : std::nullopt;
  if (!day || !text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return Date(std::chrono::sys_days(date));
}

std::string to_string(const Date& date) {
  const std::chrono::year_month_day d{date.day_};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(d.year()), static_cast<unsigned>(d.month()),
                     static_cast<unsigned>(d.day()));
}

}  // namespace flopcast
