#include "analysis/runs/serving/exchange/engine_flags.h"

#include <algorithm>
#include <charconv>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

std::string_view engine_of(std::string_view profile) { return profile.substr(0, profile.find('-')); }

}  // namespace

EngineFlags::Version EngineFlags::version_of(std::string_view text) {
  Version out;
  while (!text.empty()) {
    int part = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), part);
    if (error != std::errc())
      throw InputError(
          Diagnostic{kEngineFlagsFile, 0, 0, "a version", std::string(text), "numbers with points between them", ""});
    out.push_back(part);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) break;  // "0.4.6.post1", "1.0.0rc3": as the release that they are near
    text.remove_prefix(1);
    if (text.empty() || text.front() < '0' || text.front() > '9') break;
  }
  while (!out.empty() && out.size() < 3) out.push_back(0);
  return out;
}

EngineFlags::EngineFlags(const CsvTable& table) {
  for (std::size_t i = 0; i < table.size(); ++i)
    rows_.push_back({table.text(i, "engine"), table.text(i, "setting"), table.text(i, "flag"),
                     version_of(table.text(i, "since")), version_of(table.text(i, "until"))});
}

std::string EngineFlags::release(std::string_view profile) const {
  for (const Row& row : rows_)
    if (row.setting == "release" && row.engine == profile) return row.flag;
  std::string version(profile.substr(std::min(profile.size(), profile.find('-') + 1)));
  if (std::count(version.begin(), version.end(), '.') == 1) version += ".0";  // the first of its kind
  return version;
}

std::optional<std::string> EngineFlags::find(std::string_view profile, std::string_view setting,
                                             std::string_view value) const {
  const Version at = version_of(release(profile));
  for (const Row& row : rows_) {
    if (row.engine != engine_of(profile) || row.setting != setting) continue;
    if (at < row.since || (!row.until.empty() && at >= row.until)) continue;
    std::string flag = row.flag;
    // Braces of JSON hold something.
    if (const auto place = flag.find("{}"); place != std::string::npos) flag.replace(place, 2, value);
    return flag;
  }
  return std::nullopt;
}

bool EngineFlags::knows(std::string_view profile, std::string_view setting) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const Row& row) { return row.engine == engine_of(profile) && row.setting == setting; });
}

}  // namespace flopcast
