// Settings of another program, from a command line, YAML, TOML or JSON: each with its place; each used, known to have
// no effect here, or named.
#pragma once
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/imports/runs/shell/shell_script.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// "tensor-model-parallel-size" or "parallelism.tensor-parallel-degree": small letters, hyphens, no leading ones.
struct RunSetting {
  std::string name;
  std::string value;  ///< "" of a switch
  Place place;
  std::string written;  ///< as the user wrote it: "--tensor-model-parallel-size"
  bool null = false;    ///< stated as null: as if it were not there, if its default is what null says
  std::vector<UnknownVariable> unknown = {};  ///< in its value
  bool in_quotes = false;                     ///< a text of TOML, where programs that check types take no number
};

/// `--a b`, `--a=b`, `--a` and `-a b` from word `first` on; other words are the program's arguments.
struct ParsedFlags {
  std::vector<RunSetting> settings;
  std::vector<RunSetting> arguments;       ///< words that belong to no flag, without a name
  std::vector<UnknownVariable> strangers;  ///< in whose place any flags may stand
};
/// A word behind a flag that never takes a value is an argument: those of a list, and all that are called no-...,
/// enable-..., disable-... or use-...
ParsedFlags parse_flags(const RunCommand& command, std::size_t first);

/// Scalars of nested mappings as "outer.inner"; lists as one text, "[a, b]". Anchors, tags and documents of their own
/// are no part of the files that are read here. Of YAML also `{a: b}` and references, `${model.length}`, `${.length}`.
/// @throws InputError. @{
std::vector<RunSetting> parse_run_yaml(const std::string& text, const std::string& file);
std::vector<RunSetting> parse_run_toml(const std::string& text, const std::string& file);
std::vector<RunSetting> parse_run_json(const std::string& text, const std::string& file);
/// @}

/// What is asked for is known; what is not asked for has to be in a list of what does not matter.
class ForeignSettings {
 public:
  explicit ForeignSettings(std::vector<RunSetting> settings) : settings_(std::move(settings)) {}

  /// Of several names the first that is stated; of a setting that is stated several times the last, as programs have
  /// it.
  /// @param field what it becomes, for the notes. @{
  const RunSetting* find(std::initializer_list<std::string_view> names, std::string_view field = {});
  /// What it says, for a guess that nothing hangs on: not asked for, no fault. "" where it is not known.
  std::string hint(std::string_view name) const;
  /// Whether it is stated, as null.
  bool is_null(std::string_view name, std::string_view field = {});
  std::string text(std::initializer_list<std::string_view> names, std::string_view field, std::string otherwise = "");
  int number(std::initializer_list<std::string_view> names, std::string_view field, int otherwise);
  /// 1 to a million.
  int degree(std::initializer_list<std::string_view> names, std::string_view field, int otherwise);
  double real(std::initializer_list<std::string_view> names, std::string_view field, double otherwise);
  bool flag(std::initializer_list<std::string_view> names, std::string_view field, bool otherwise);
  /// @}
  /// They change nothing that is predicted here. "checkpoint.*" stands for all that begin so.
  void without_effect(std::span<const std::string_view> names);
  /// Recognised, and refused where it says anything but `harmless`. @param why "weights on the host are not replayed"
  void refuse_unless(std::initializer_list<std::string_view> names, std::initializer_list<std::string_view> harmless,
                     const std::string& why);
  /// Flags may hide in it. @param at the place of what is not known.
  void fault(const UnknownVariable& variable, std::string field = "");
  void note(std::string text) { notes_.push_back(std::move(text)); }
  void fault(const RunSetting* at, std::string found, std::string expected, std::string suggestion = "");
  /// Names what nobody asked for. @throws InputError when anything is wrong.
  void finish();

  /// "--tp 8: plan.tensor", one line each.
  /// The settings that became fields, with these.
  std::vector<std::pair<std::string, RunSetting>> origins() const;
  const std::vector<std::string>& used() const { return used_; }
  const std::vector<std::string>& ignored() const { return ignored_; }
  const std::vector<std::string>& unknown() const { return unknown_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::vector<RunSetting> settings_;
  std::set<std::string, std::less<>> asked_;
  std::set<std::string, std::less<>> told_;                 // whose variables have been refused
  std::map<std::string, std::string, std::less<>> fields_;  // of settings that were asked for and are there
  std::vector<std::string> no_effect_;
  std::vector<std::string> used_, ignored_, unknown_, notes_;
  Diagnostics faults_;
};

/// At most a thousand million.
int run_product(std::initializer_list<int> factors);

/// Small letters, hyphens for underscores.
std::string run_setting_name(std::string_view written);

}  // namespace flopcast
