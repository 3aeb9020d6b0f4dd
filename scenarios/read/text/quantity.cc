#include "scenarios/read/text/quantity.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "sim/base/diagnostic.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

/// A unit's size as a fraction, so that "3.7 us" is 3.7 / 1e6: correctly rounded, which 3.7 * 1e-6 is not.
struct Unit {
  std::string symbol;
  double factor = 1;
  double divisor = 1;
};
using Units = std::vector<Unit>;

struct Prefix {
  const char* symbol;
  double factor;
};
constexpr std::array<Prefix, 8> kDecimal{
    {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}, {"E", 1e18}}};
constexpr std::array<Prefix, 5> kBinary{
    {{"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}}};

void add_prefixed(Units& units, const std::string& base, std::span<const Prefix> prefixes, double divisor = 1) {
  for (const Prefix& prefix : prefixes) units.push_back({prefix.symbol + base, prefix.factor, divisor});
}

/// Amounts of data with `suffix` after them: "/s" makes them rates. Bits are eighths of a byte.
Units data_units(const std::string& suffix, bool bits) {
  Units units;
  add_prefixed(units, "B" + suffix, kDecimal);
  add_prefixed(units, "B" + suffix, kBinary);
  if (!bits) return units;
  for (const std::string bit : {"b", "bit"}) {
    add_prefixed(units, bit + suffix, kDecimal, 8);
    add_prefixed(units, bit + suffix, kBinary, 8);
  }
  return units;
}

Units rate_units() {
  Units units = data_units("/s", true);
  for (const std::string base : {"Bps", "bps"}) add_prefixed(units, base, kDecimal, base == "Bps" ? 1 : 8);
  return units;
}

Units compute_units() {
  Units units;
  for (const std::string base : {"FLOPS", "FLOP/s", "OPS"}) add_prefixed(units, base, kDecimal);
  return units;
}

Units prefixed(const std::string& base) {
  Units units;
  add_prefixed(units, base, kDecimal);
  return units;
}

Units money_rates() {
  Units units;
  for (const std::string per : {"/h", "/hour", "/GPU-hour", " per hour", " per GPU-hour"})
    units.push_back({"USD" + per, 1, 3600});
  units.push_back({"USD/s", 1, 1});
  units.push_back({"USD/d", 1, 86400});
  return units;
}

const Units& units_of(Dimension dimension) {
  static const std::array<Units, 12> table{{
      {{"", 1, 1}, {"k", 1e3, 1}, {"K", 1e3, 1}, {"M", 1e6, 1}, {"B", 1e9, 1}, {"T", 1e12, 1}},
      data_units("", false),
      rate_units(),
      rate_units(),
      compute_units(),
      prefixed("Hz"),
      {{"s", 1, 1},
       {"ms", 1, 1e3},
       {"us", 1, 1e6},
       {"µs", 1, 1e6},
       {"ns", 1, 1e9},
       {"min", 60, 1},
       {"h", 3600, 1},
       {"hour", 3600, 1},
       {"hours", 3600, 1},
       {"d", 86400, 1},
       {"day", 86400, 1},
       {"days", 86400, 1}},
      prefixed("W"),
      {{"USD", 1, 1}, {"kUSD", 1e3, 1}, {"MUSD", 1e6, 1}},
      money_rates(),
      {{"mm2", 1, 1e6}, {"mm^2", 1, 1e6}, {"cm2", 1, 1e4}, {"m2", 1, 1}},
      {{"per GPU-hour", 1, 3600}, {"/GPU-hour", 1, 3600}, {"/GPU-h", 1, 3600}, {"per GPU-day", 1, 86400}},
  }};
  return table[static_cast<std::size_t>(dimension)];
}

struct Name {
  const char* noun;
  const char* example;
};

Name name_of(Dimension dimension) {
  constexpr std::array<Name, 12> names{{
      {"a count", "14.8T"},
      {"an amount of data in bytes", "64 MiB"},
      {"a data rate", "3.35 TB/s"},
      {"a link rate with its direction", "200 GB/s per direction"},
      {"a computing rate", "989.4 TFLOPS"},
      {"a frequency", "1830 MHz"},
      {"a time", "3.7 us"},
      {"a power", "700 W"},
      {"an amount of money", "33750 USD"},
      {"a price over time", "2 USD/h"},
      {"an area", "814 mm2"},
      {"a failure rate", "1.97e-5 per GPU-hour"},
  }};
  return names[static_cast<std::size_t>(dimension)];
}

std::string in_quotes(std::string_view text) { return fmt::format("\"{}\"", text); }

const Unit* find_unit(Dimension dimension, std::string_view symbol) {
  for (const Unit& unit : units_of(dimension)) {
    if (unit.symbol == symbol) return &unit;
  }
  return nullptr;
}

/// The dimension that has such a unit, other than `wanted`: for "this is a time, not a power".
std::optional<Dimension> dimension_with(std::string_view symbol, Dimension wanted) {
  for (const Dimension other :
       {Dimension::data, Dimension::data_rate, Dimension::compute_rate, Dimension::frequency, Dimension::time,
        Dimension::power, Dimension::money, Dimension::money_rate, Dimension::area, Dimension::failure_rate}) {
    if (other != wanted && find_unit(other, symbol)) return other;
  }
  return std::nullopt;
}

bool is_bits(std::string_view symbol) {
  for (const char* bit : {"b", "bit", "bits"}) {
    for (const Prefix& prefix : kDecimal) {
      if (symbol == std::string(prefix.symbol) + bit) return true;
    }
  }
  return false;
}

struct Split {
  double value = 0;
  std::string_view number;
  std::string_view unit;
};

/// Number and unit apart; nothing when the text does not start with a plain decimal number.
std::optional<Split> split(std::string_view text) {
  const bool signed_number = !text.empty() && (text[0] == '+' || text[0] == '-');
  const std::string_view digits = text.substr(signed_number ? 1 : 0);
  if (digits.empty() || !(std::isdigit(static_cast<unsigned char>(digits[0])) || digits[0] == '.')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc()) return std::nullopt;
  const auto length = static_cast<std::size_t>(end - text.data());
  return Split{text[0] == '-' ? -value : value, text.substr(0, length), trimmed(text.substr(length))};
}

QuantityFault no_number(std::string_view text, Dimension dimension) {
  return {in_quotes(text), describe(dimension) + ", starting with its number", ""};
}

/// "80 Gb" where bytes are wanted.
QuantityFault bits_for_bytes(std::string_view text, const Split& parts, Dimension dimension) {
  const std::string_view prefix = parts.unit.substr(0, parts.unit.find('b'));
  return {
      fmt::format("{}, which is in bits (b)", in_quotes(text)), describe(dimension), "",
      fmt::format("{} {}B if bytes were meant, {} {}B if bits were", parts.number, prefix, parts.value / 8, prefix)};
}

QuantityFault wrong_unit(std::string_view text, const Split& parts, Dimension dimension) {
  QuantityFault fault{in_quotes(text), describe(dimension), ""};
  if (parts.unit.empty()) {
    fault.found += " without a unit";
    return fault;
  }
  if (dimension == Dimension::data && is_bits(parts.unit)) return bits_for_bytes(text, parts, dimension);
  if (const auto other = dimension_with(parts.unit, dimension)) {
    fault.found += fmt::format(", which is {}", name_of(*other).noun);
    return fault;
  }
  std::vector<std::string> symbols;
  for (const Unit& unit : units_of(dimension)) symbols.push_back(unit.symbol);
  fault.found += fmt::format(" with the unknown unit \"{}\"", parts.unit);
  const std::string near = nearest_name(parts.unit, symbols);
  if (!near.empty()) fault.suggestion = fmt::format("{} {}", parts.number, near);
  return fault;
}

/// "200 GB/s per direction" -> 200 GB/s; "400 GB/s both directions" -> 200 GB/s.
std::variant<double, QuantityFault> parse_link_rate(std::string_view text) {
  constexpr std::string_view kOne = "per direction", kBoth = "both directions";
  const bool one = text.ends_with(kOne);
  const bool both = text.ends_with(kBoth);
  const std::string_view rate = trimmed(text.substr(0, text.size() - (one ? kOne.size() : both ? kBoth.size() : 0)));
  auto value = parse_quantity(rate, Dimension::data_rate);
  if (auto* fault = std::get_if<QuantityFault>(&value)) {
    fault->expected = describe(Dimension::link_rate);
    return *fault;
  }
  if (one || both) return std::get<double>(value) / (both ? 2 : 1);
  return QuantityFault{fmt::format("\"{}\", which does not say whether it counts one direction or both", text),
                       describe(Dimension::link_rate), "",
                       fmt::format("{0} per direction or {0} both directions", rate)};
}

}  // namespace

std::string quantity_text(double value, Dimension dimension) {
  const auto si = [&](double size, const char* unit) { return fmt::format("{} {}", value / size, unit); };
  switch (dimension) {
    case Dimension::count:
      return fmt::format("{}", value);
    case Dimension::data:
      return si(1e9, "GB");
    case Dimension::data_rate:
      return si(1e9, "GB/s");
    case Dimension::link_rate:
      return si(1e9, "GB/s per direction");
    case Dimension::compute_rate:
      return si(1e12, "TFLOPS");
    case Dimension::frequency:
      return si(1e6, "MHz");
    case Dimension::time:
      return si(1, "s");
    case Dimension::power:
      return si(1, "W");
    case Dimension::money:
      return si(1, "USD");
    case Dimension::money_rate:
      return fmt::format("{} USD/h", value * 3600);
    case Dimension::area:
      return fmt::format("{} mm2", value * 1e6);
    case Dimension::failure_rate:
      return fmt::format("{} per GPU-hour", value * 3600);
  }
  return {};
}

std::string describe(Dimension dimension) {
  const Name name = name_of(dimension);
  return fmt::format("{} such as \"{}\"", name.noun, name.example);
}

std::variant<double, QuantityFault> parse_quantity(std::string_view raw, Dimension dimension) {
  const std::string_view text = trimmed(raw);
  if (dimension == Dimension::link_rate) return parse_link_rate(text);
  const auto parts = split(text);
  if (!parts) return no_number(text, dimension);
  std::string_view symbol = parts->unit;
  if (dimension == Dimension::count && symbol.ends_with("tokens")) {
    symbol = trimmed(symbol.substr(0, symbol.size() - std::string_view("tokens").size()));
  }
  const Unit* unit = find_unit(dimension, symbol);
  if (!unit) return wrong_unit(text, *parts, dimension);
  const double value = parts->value * unit->factor / unit->divisor;
  if (!std::isfinite(value))
    return QuantityFault{in_quotes(text), describe(dimension) + ", within the range of a number", ""};
  return value;
}

double quantity(std::string_view text, Dimension dimension) {
  const auto value = parse_quantity(text, dimension);
  assert(std::holds_alternative<double>(value));
  const double* number = std::get_if<double>(&value);
  return number ? *number : 0.0;
}

}  // namespace flopcast
