// Calendar days as data files and command lines write them.
#pragma once
#include <chrono>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace flopcast {

/// A day. Of "2024" and "2024-12" it is the first.
class Date {
 public:
  Date() = default;
  explicit Date(std::chrono::sys_days day) : day_(day) {}
  std::strong_ordering operator<=>(const Date& other) const { return day_ <=> other.day_; }
  bool operator==(const Date& other) const { return day_ == other.day_; }
  /// Days from `other` to this one.
  long days_since(const Date& other) const { return static_cast<long>((day_ - other.day_).count()); }
  /// So many days later, or earlier.
  Date plus_days(long days) const { return Date(day_ + std::chrono::days(days)); }

  Date plus_days(int days) const { return Date(day_ + std::chrono::days(days)); }

 private:
  friend std::string to_string(const Date& date);
  std::chrono::sys_days day_{};
};

/// "2024-12-27", "2024-12" or "2024"; nothing when it is no day of the calendar.
std::optional<Date> parse_date(std::string_view text);

/// "2024-12-27"
std::string to_string(const Date& date);

}  // namespace flopcast
