#include "analysis/render/text/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace flopcast {
namespace {

struct Scale {
  double factor;
  std::string_view unit;
};

// From there on digits before the point say nothing, and break tables.
constexpr double kTooLongToWrite = 1e7, kTooLongAnInteger = 1e15;

// Three to four significant digits: 1.234, 12.3, 123.
std::string significant(double value) {
  const double magnitude = std::abs(value);
  if (magnitude >= kTooLongToWrite) return fmt::format("{:.3g}", value);
  if (magnitude >= 99.95) return fmt::format("{:.0f}", value);
  if (magnitude >= 9.995) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

// The first scale that the value reaches; the last one below all of them. Scales fall.
template <std::size_t N>
std::string scaled(double value, const std::array<Scale, N>& scales) {
  std::size_t i = 0;
  while (i + 1 < N && std::abs(value) < 0.9995 * scales[i].factor) ++i;
  const std::string number = significant(value / scales[i].factor);
  return scales[i].unit.empty() ? number : fmt::format("{} {}", number, scales[i].unit);
}

constexpr std::array kTimes = {Scale{1, "s"}, Scale{1e-3, "ms"}, Scale{1e-6, "us"}};
constexpr std::array kBytes = {Scale{1e12, "TB"}, Scale{1e9, "GB"}, Scale{1e6, "MB"}, Scale{1e3, "kB"}, Scale{1, "B"}};
constexpr std::array kRates = {Scale{1e12, "TB/s"}, Scale{1e9, "GB/s"}, Scale{1e6, "MB/s"}, Scale{1, "B/s"}};
constexpr std::array kCounts = {Scale{1e12, "T"}, Scale{1e9, "B"}, Scale{1e6, "M"}, Scale{1, ""}};
constexpr std::array kEnergies = {Scale{3.6e12, "GWh"}, Scale{3.6e9, "MWh"}, Scale{3.6e6, "kWh"}, Scale{1e3, "kJ"},
                                  Scale{1, "J"}};

}  // namespace

std::string format_time(Seconds time) {
  if (std::abs(time.value()) < 1e-12) return "0 s";  // less than the replay resolves
  // Shorter than a microsecond's last digit, which nothing that is replayed is.
  if (std::abs(time.value()) < 5e-9) return fmt::format("{:.3g} ns", time.value() * 1e9);
  if (time.value() >= 9.995 && time.value() < 99.995) return fmt::format("{:.2f} s", time.value());
  return scaled(time.value(), kTimes);
}

std::string format_days(Seconds time) { return fmt::format("{} days", significant(in_days(time))); }
std::string format_bytes(Bytes bytes) { return scaled(bytes.value(), kBytes); }
std::string format_rate(BytesPerSecond rate) { return scaled(rate.value(), kRates); }
std::string format_energy(Joules energy) { return scaled(energy.value(), kEnergies); }

std::string format_count(double count) {
  return std::abs(count) < 1e6 ? format_integer(count) : scaled(count, kCounts);
}

std::string with_separators(std::string digits) {
  const std::size_t first = digits.front() == '-' ? 1 : 0;
  const std::size_t end = std::min(digits.find('.'), digits.size());
  for (std::size_t i = end; i > first + 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string format_integer(double count) {
  return std::abs(count) < kTooLongAnInteger ? with_separators(fmt::format("{:.0f}", count))
                                             : fmt::format("{:.3g}", count);
}

std::string format_usd(Usd usd) {
  const double value = usd.value();
  if (std::abs(value) < 1e6) return fmt::format("${}", format_integer(value));
  return std::abs(value) < 1e9 ? fmt::format("${:.3f} M", value / 1e6) : fmt::format("${:.3f} B", value / 1e9);
}

namespace {

/// What rounds to nothing has no minus: "-0.0 %" reads as a loss.
std::string percent(double share, int decimals, bool always_signed) {
  double percent = 100 * share;
  if (std::abs(percent) < 0.5 * std::pow(10.0, -decimals)) percent = 0;
  const std::string sign = always_signed && !std::signbit(percent) ? "+" : "";
  return std::abs(percent) < kTooLongToWrite ? fmt::format("{}{:.{}f} %", sign, percent, decimals)
                                             : fmt::format("{}{:.3g} %", sign, percent);
}

}  // namespace

std::string format_percent(double share, int decimals) { return percent(share, decimals, false); }
std::string format_error(double error) { return percent(error, 1, true); }

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = std::min(text.find('m', i), text.size());
    } else {
      width += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    }
  }
  return width;
}

std::string pad_right(std::string text, std::size_t width) {
  const std::size_t have = display_width(text);
  if (have < width) text.append(width - have, ' ');
  return text;
}

std::string pad_left(std::string text, std::size_t width) {
  const std::size_t have = display_width(text);
  if (have < width) text.insert(0, width - have, ' ');
  return text;
}

namespace {

// Bytes of the longest beginning of `text` that takes at most `width` columns, and at least one character.
std::size_t bytes_within(std::string_view text, std::size_t width) {
  std::size_t end = 0;
  for (std::size_t columns = 0; end < text.size() && columns < std::max<std::size_t>(1, width); ++columns) {
    do {
      ++end;
    } while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  }
  return end;
}

// Where to break a word that is wider than a line: behind a mark between its parts, if there is one late enough.
std::size_t break_of(std::string_view word, std::size_t width) {
  const std::size_t end = bytes_within(word, width);
  const std::size_t mark = word.substr(0, end).find_last_of("/_-.,;:=|");
  return mark != std::string_view::npos && mark + 1 >= end / 2 ? mark + 1 : end;
}

}  // namespace

std::string wrap(std::string_view text, std::size_t width, std::string_view indent) {
  std::string out, line;
  const auto end_line = [&] {
    out += line + "\n" + std::string(indent);
    line.clear();
  };
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = std::min(text.find(' ', begin), text.size());
    if (text.substr(end).starts_with(" %")) end = std::min(text.find(' ', end + 1), text.size());
    std::string_view word = text.substr(begin, end - begin);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > width) end_line();
    if (!line.empty() && !word.empty()) line += ' ';
    // A word of a megabyte takes as long as a megabyte of words.
    std::size_t left = word.find('\x1b') == std::string_view::npos ? display_width(word) : 0;
    while (left > width) {
      const std::size_t part = break_of(word, width);
      left -= std::min(left, display_width(word.substr(0, part)));
      line += word.substr(0, part);
      word.remove_prefix(part);
      end_line();
    }
    line += word;
    begin = end + 1;
  }
  return out + line;
}

std::string shorten(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  return (width > 1 ? text.substr(0, bytes_within(text, width - 1)) : "") + "…";
}

std::vector<std::string> shorten_apart(const std::vector<std::string>& names, std::size_t width) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(shorten(name, width));
  const auto alike = [&] {
    std::vector<std::string> sorted = out;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::string> given = names;
    std::sort(given.begin(), given.end());
    return std::unique(sorted.begin(), sorted.end()) - sorted.begin() !=
           std::unique(given.begin(), given.end()) - given.begin();
  };
  if (!alike()) return out;
  // What all have in common at their beginning says least: leave it out, whole words of it.
  std::size_t common = 0;
  const auto same_at = [&](std::size_t i) {
    return std::all_of(names.begin(), names.end(),
                       [&](const std::string& name) { return i < name.size() && name[i] == names.front()[i]; });
  };
  while (same_at(common)) ++common;
  const auto fits_from = [&](std::size_t begin) {
    return std::all_of(names.begin(), names.end(),
                       [&](const std::string& name) { return display_width(name) + 1 <= width + begin; });
  };
  std::size_t cut = std::string::npos;
  for (std::size_t i = 0; i < common && (cut == std::string::npos || !fits_from(cut)); ++i)
    if (std::string_view("_-./ ").find(names.front()[i]) != std::string_view::npos) cut = i;
  if (cut != std::string::npos)
    for (std::size_t i = 0; i < names.size(); ++i)
      out[i] = display_width(names[i]) <= width ? names[i] : shorten("…" + names[i].substr(cut), width);
  if (!alike()) return out;
  // They differ somewhere in the middle: beginning and end of each.
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (display_width(names[i]) <= width) continue;
    const std::size_t head = width / 3;
    std::size_t tail = names[i].size() - std::min(names[i].size(), width - head - 1);
    while (tail < names[i].size() && (static_cast<unsigned char>(names[i][tail]) & 0xc0) == 0x80) ++tail;
    out[i] = names[i].substr(0, bytes_within(names[i], head)) + "…" + names[i].substr(tail);
  }
  if (!alike()) return out;
  return names;  // a wide table is better than columns that read the same
}

}  // namespace flopcast
