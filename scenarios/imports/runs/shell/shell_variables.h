// What variables of a script hold at a place in it. Internal to scenarios/imports/runs/shell.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// Words of a list, or the one text of a plain variable.
struct ShellValue {
  std::vector<std::pair<std::string, Place>> words;
  bool list = false;
};

/// What is set within a branch, a loop or a function holds to its end.
class ShellVariables {
 public:
  void enter(std::string kind) { blocks_.push_back({std::move(kind), {}}); }
  bool within(const std::string& kind) const { return !blocks_.empty() && blocks_.back().kind == kind; }
  /// The branch of an if or a case ends, another begins. @param certain it was run: what it sets holds.
  void next_branch(bool certain = false);
  void leave(bool certain = false);

  /// False where all values together exceed a megabyte.
  [[nodiscard]] bool set(const std::string& name, ShellValue value);
  /// As +=. @copydoc set
  [[nodiscard]] bool add(const std::string& name, ShellValue value);
  /// Set, or not: it depends.
  void doubt(const std::string& name);
  void unset(const std::string& name) { values_.erase(name); }

  /// Null where it holds nothing that is known.
  const ShellValue* find(const std::string& name) const;
  /// Why it is not known although it is set somewhere; null: it is not.
  const std::string* doubted(const std::string& name) const;
  std::optional<std::int64_t> number(const std::string& name) const;

 private:
  struct Block {
    std::string kind;
    std::set<std::string> set;
  };
  std::vector<Block> blocks_;
  std::map<std::string, ShellValue> values_;
  std::map<std::string, std::string> reasons_;
  std::size_t held_ = 0;
};

}  // namespace flopcast
