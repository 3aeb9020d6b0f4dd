#include "scenarios/imports/runs/shell/shell_variables.h"

#include <charconv>

namespace flopcast {

void ShellVariables::doubt(const std::string& name) {
  values_.erase(name);
  reasons_[name] = "which is set under a condition, in a loop or in a function";
}

void ShellVariables::next_branch(bool certain) {
  if (blocks_.empty()) return;
  for (const std::string& name : blocks_.back().set) {
    if (!certain) doubt(name);
    if (blocks_.size() > 1) blocks_[blocks_.size() - 2].set.insert(name);
  }
  blocks_.back().set.clear();
}

void ShellVariables::leave(bool certain) {
  next_branch(certain);
  if (!blocks_.empty()) blocks_.pop_back();
}

bool ShellVariables::set(const std::string& name, ShellValue value) {
  constexpr std::size_t kMost = 1 << 20;
  for (const auto& [text, place] : value.words) held_ += text.size() + 1;
  if (held_ > kMost) return false;
  values_[name] = std::move(value);
  if (!blocks_.empty()) blocks_.back().set.insert(name);
  return true;
}

bool ShellVariables::add(const std::string& name, ShellValue value) {
  const ShellValue* before = find(name);
  if (before == nullptr) return doubted(name) != nullptr || set(name, std::move(value));
  ShellValue sum = *before;
  if (sum.list)
    sum.words.insert(sum.words.end(), value.words.begin(), value.words.end());
  else if (!sum.words.empty() && !value.words.empty())
    sum.words[0].first += value.words[0].first;
  return set(name, std::move(sum));
}

const ShellValue* ShellVariables::find(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

const std::string* ShellVariables::doubted(const std::string& name) const {
  const auto found = reasons_.find(name);
  return found == reasons_.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> ShellVariables::number(const std::string& name) const {
  const ShellValue* value = find(name);
  if (value == nullptr || value->words.size() != 1) return std::nullopt;
  const std::string& text = value->words[0].first;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace flopcast
