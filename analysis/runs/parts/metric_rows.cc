#include "analysis/runs/parts/metric_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"

namespace flopcast {
namespace metric_text {

std::string seconds(double value) { return fmt::format("{:.3f} s", value); }
std::string time(double value) { return format_time(Seconds(value)); }
std::string share(double value) { return format_percent(value, 2); }
std::string bytes(double value) { return format_bytes(Bytes(value)); }
std::string rate(double value) { return format_rate(BytesPerSecond(value)); }
std::string tflops(double value) { return fmt::format("{:.0f} TFLOPS", value); }
std::string hours(double value) { return format_integer(value) + " h"; }
std::string days(double value) { return fmt::format("{:.1f}", value); }
std::string usd(double value) { return format_usd(Usd(value)); }
std::string small_usd(double value) { return fmt::format("${:.3f}", value); }
std::string energy(double value) { return format_energy(Joules(value)); }
std::string billions(double value) { return fmt::format("{:.1f} B", value / 1e9); }
std::string whole(double value) { return format_integer(value); }
std::string plain(double value) { return fmt::format("{:.4g}", value); }

}  // namespace metric_text

std::optional<double> Metric::number() const {
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (const std::uint64_t* count = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*count);
  return std::nullopt;
}

std::string Metric::shown() const {
  if (const std::string* word = std::get_if<std::string>(&value)) return *word;
  if (const bool* yes = std::get_if<bool>(&value)) return *yes ? "yes" : "no";
  const std::optional<double> figure = number();
  return figure ? text(*figure) : "";
}

std::vector<std::string> entry_keys(const std::vector<std::string>& names) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool digits = names[i].find_first_not_of("0123456789") == std::string::npos;  // could be a place too
    const bool own = !digits && std::count(names.begin(), names.end(), names[i]) == 1;
    keys.push_back(own ? names[i] : std::to_string(i));
  }
  return keys;
}

}  // namespace flopcast
