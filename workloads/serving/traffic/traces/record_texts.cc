#include "workloads/serving/traffic/traces/record_texts.h"

#include <algorithm>
#include <string>

#include "workloads/serving/traffic/traces/fields.h"

namespace flopcast {
namespace {

bool has_error(std::string_view line) {
  constexpr std::string_view kKey = "\"error\"";
  const std::size_t at = line.find(kKey);
  if (at == std::string_view::npos) return false;
  const std::size_t value = line.find_first_not_of(" \t:", at + kKey.size());
  return value != std::string_view::npos && line[value] != 'n' && line[value] != 'f';
}

}  // namespace

std::string_view last_key(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string_view only_numbers(std::string_view text, std::string_view key) {
  const std::string quoted = '"' + std::string(key) + '"';
  std::string_view example;
  std::size_t at = text.find(quoted);
  for (int i = 0; i < kSampledRecords && at != std::string_view::npos; ++i, at = text.find(quoted, at + 1)) {
    const std::size_t colon = text.find_first_not_of(" \t\r\n", at + quoted.size());
    if (colon == std::string_view::npos || text[colon] != ':') continue;
    const std::size_t open = text.find_first_not_of(" \t\r\n", colon + 1);
    if (open == std::string_view::npos || text[open] != '"') continue;
    const std::string_view value = text.substr(open + 1, text.find('"', open + 1) - open - 1);
    if (value.empty() || value.find_first_not_of("0123456789. ") != std::string_view::npos) return {};
    example = value;
  }
  return example;
}

bool mentions(std::string_view text, std::string_view key) {
  return text.find('"' + std::string(key) + '"') != std::string_view::npos;
}

bool mentions_any(std::string_view text, std::string_view alternatives) {
  bool there = false;
  for_each_name(alternatives, [&](std::string_view name) { there = there || mentions(text, last_key(name)); });
  return there;
}

std::uint64_t ids_in(std::string_view line, std::string_view key) {
  const std::size_t at = line.find('"' + std::string(key) + '"');
  const std::size_t open = at == std::string_view::npos ? at : line.find('[', at);
  if (open == std::string_view::npos) return 0;
  const std::string_view ids = line.substr(open, line.find(']', open) - open);
  if (ids.find_first_of("0123456789") == std::string_view::npos) return 0;
  return static_cast<std::uint64_t>(std::ranges::count(ids, ',')) + 1;
}

std::string_view first_that_succeeded(std::string_view text) {
  const std::string_view first = text.substr(0, text.find('\n'));
  for (int i = 0; i < kSampledRecords && !text.empty(); ++i) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (!line.empty() && !has_error(line)) return line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return first;
}

}  // namespace flopcast
