#include "scenarios/imports/runs/foreign_settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace flopcast {

const RunSetting* ForeignSettings::find(std::initializer_list<std::string_view> names, std::string_view field) {
  const RunSetting* found = nullptr;
  for (const std::string_view name : names) {
    asked_.emplace(name);
    for (const RunSetting& setting : settings_) {
      if (setting.name != name) continue;
      if (!field.empty()) fields_[setting.name] = field;
      if (setting.null) continue;
      if (!found || found->name == name) found = &setting;
    }
  }
  if (found && !found->unknown.empty() && told_.insert(found->name).second)
    fault(found->unknown.front(), found->written);
  return found;
}

std::string ForeignSettings::hint(std::string_view name) const {
  for (const RunSetting& setting : settings_)
    if (setting.name == name && !setting.null) return setting.value;
  return "";
}

bool ForeignSettings::is_null(std::string_view name, std::string_view field) {
  find({name}, field);
  return std::ranges::any_of(settings_, [&](const RunSetting& s) { return s.name == name && s.null; });
}

std::string ForeignSettings::text(std::initializer_list<std::string_view> names, std::string_view field,
                                  std::string otherwise) {
  const RunSetting* setting = find(names, field);
  return setting && setting->unknown.empty() ? setting->value : otherwise;
}

int ForeignSettings::number(std::initializer_list<std::string_view> names, std::string_view field, int otherwise) {
  const double value = real(names, field, otherwise);
  if (value == std::floor(value) && std::abs(value) <= 1e9) return static_cast<int>(value);
  fault(find(names), fmt::format("{:g}", value), "a whole number up to 1e9");
  return otherwise;
}

int ForeignSettings::degree(std::initializer_list<std::string_view> names, std::string_view field, int otherwise) {
  constexpr int kMost = 1'000'000;
  const int value = number(names, field, otherwise);
  if (value >= 1 && value <= kMost) return value;
  if (value != otherwise) fault(find(names), fmt::format("{}", value), "1 to a million");
  return otherwise;
}

double ForeignSettings::real(std::initializer_list<std::string_view> names, std::string_view field, double otherwise) {
  const RunSetting* setting = find(names, field);
  if (!setting || !setting->unknown.empty() || setting->value == "None" || setting->value == "auto") return otherwise;
  std::string text = setting->value;
  std::erase(text, '_');
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && !setting->in_quotes)
    return value;
  fault(setting, quoted(setting->value), setting->in_quotes ? "a number, without quotes" : "a number");
  return otherwise;
}

bool ForeignSettings::flag(std::initializer_list<std::string_view> names, std::string_view field, bool otherwise) {
  const RunSetting* setting = find(names, field);
  if (!setting || !setting->unknown.empty()) return otherwise;
  const std::string word = run_setting_name(setting->value);
  if (word.empty() || word == "true" || word == "1" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "0" || word == "no" || word == "off" || word == "none") return false;
  fault(setting, quoted(setting->value), "true or false");
  return otherwise;
}

void ForeignSettings::without_effect(std::span<const std::string_view> names) {
  no_effect_.insert(no_effect_.end(), names.begin(), names.end());
}

void ForeignSettings::refuse_unless(std::initializer_list<std::string_view> names,
                                    std::initializer_list<std::string_view> harmless, const std::string& why) {
  const RunSetting* setting = find(names, "nothing: the default");
  if (!setting || !setting->unknown.empty()) return;
  const std::string value = run_setting_name(setting->value);
  if (std::ranges::find(harmless, value) != harmless.end()) return;
  fault(setting, setting->value.empty() ? "it" : quoted(setting->value),
        fmt::format("{}: {}", fmt::join(harmless, " or "), why));
}

void ForeignSettings::fault(const UnknownVariable& variable, std::string field) {
  faults_.push_back(Diagnostic{.file = variable.place.file,
                               .line = variable.place.line,
                               .column = variable.place.column,
                               .field = std::move(field),
                               .found = variable.written + ", " + variable.why,
                               .expected = "its value, in its place or set in the file"});
}

std::vector<std::pair<std::string, RunSetting>> ForeignSettings::origins() const {
  std::vector<std::pair<std::string, RunSetting>> out;
  for (auto setting = settings_.begin(); setting != settings_.end(); ++setting) {
    const auto field = fields_.find(setting->name);
    const bool again = std::any_of(std::next(setting), settings_.end(),
                                   [&](const RunSetting& other) { return other.name == setting->name && !other.null; });
    if (field != fields_.end() && !again) out.emplace_back(field->second, *setting);
  }
  return out;
}

void ForeignSettings::fault(const RunSetting* at, std::string found, std::string expected, std::string suggestion) {
  Diagnostic diagnostic{
      .found = std::move(found), .expected = std::move(expected), .suggestion = std::move(suggestion)};
  if (at) {
    diagnostic.file = at->place.file;
    diagnostic.line = at->place.line;
    diagnostic.column = at->place.column;
    diagnostic.field = at->written;
  }
  faults_.push_back(std::move(diagnostic));
}

void ForeignSettings::finish() {
  std::vector<std::string> known(asked_.begin(), asked_.end());
  for (const std::string& name : no_effect_)
    if (!name.ends_with('*')) known.push_back(name);
  std::set<std::string> told;
  for (const RunSetting& setting : settings_) {
    const bool group = setting.value.empty() && std::ranges::any_of(settings_, [&](const RunSetting& other) {
                         return other.name.starts_with(setting.name + ".");
                       });
    if (group || !told.insert(setting.name).second) continue;
    const auto same = [&](const RunSetting& other) { return other.name == setting.name && !other.null; };
    const auto times = std::ranges::count_if(settings_, same);
    const auto last = std::find_if(settings_.rbegin(), settings_.rend(), same);
    const RunSetting& counts = last != settings_.rend() ? *last : setting;
    const std::string value = counts.value.empty() ? "" : " " + counts.value;
    const std::string shown =
        counts.written + value + (times > 1 ? fmt::format(" (the last of {} statements)", times) : "");
    if (const auto field = fields_.find(setting.name); field != fields_.end()) {
      used_.push_back(shown + ": " + field->second);
    } else if (asked_.contains(setting.name)) {
      used_.push_back(shown);
    } else if (std::ranges::any_of(no_effect_, [&](const std::string& name) {
                 return name.ends_with('*') ? setting.name.starts_with(name.substr(0, name.size() - 1))
                                            : setting.name == name;
               })) {
      ignored_.push_back(shown);
    } else {
      const std::string nearest = nearest_name(setting.name, known);
      unknown_.push_back(fmt::format("{}:{}:{}: {}{}", setting.place.file, setting.place.line, setting.place.column,
                                     shown, nearest.empty() ? "" : ", did you mean " + nearest + "?"));
      // Where something is missing, this may be its name, misspelt.
      if (!faults_.empty() && !nearest.empty()) fault(&setting, "a setting that is not known", "one that is", nearest);
    }
  }
  if (!faults_.empty()) throw InputError(std::move(faults_));
}

}  // namespace flopcast
