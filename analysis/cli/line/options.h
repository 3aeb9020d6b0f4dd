// What a command takes: the one view of the command line that commands have. options.cc alone knows the parser
// (CLI11), whose headers cost seconds of every unit that includes them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base/diagnostic.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace flopcast {

/// What the values of an option name, so that shells can offer them.
enum class Values { any, scenarios, studies, claims, assignments, fields, chips, entries, commands };

/// What is known of an option beside what the parser knows.
struct OptionFacts {
  std::vector<std::string> choices;    ///< the only values
  std::vector<std::string> offers;     ///< some of the values
  std::vector<std::string> libraries;  ///< whose names are values: "nodes"
  Values values = Values::any;
  bool repeated = false;
};

/// An option or a positional argument that was just added to a command; each call narrows what it takes.
class Option {
 public:
  Option(CLI::Option& option, OptionFacts& facts) : option_(&option), facts_(&facts) {}

  /// What the help shows for the value, "FILE".
  Option& value_name(const std::string& name);
  Option& required(bool yes = true);
  /// May stand several times, each time with one value.
  Option& repeated();
  /// Several values in one word: "1,8,64".
  Option& separated_by(char delimiter);
  /// Shows the variable's value as the default.
  Option& show_default();
  /// Sets the variable, and shows it as the default.
  Option& default_value(const std::string& value);
  Option& one_of(const std::vector<std::string>& values);
  /// Both bounds belong to it.
  Option& between(int low, int high);
  Option& between(double low, double high);
  Option& not_negative();
  /// What its values name.
  Option& values(Values named);
  /// Its values are names of these libraries, among others perhaps.
  Option& names_of(std::vector<std::string> libraries);
  /// Values that shells offer; others are not refused here.
  Option& offers(std::vector<std::string> values);
  /// `fault` says what is wrong with a value; empty: nothing.
  Option& check(std::function<std::string(const std::string&)> fault);

 private:
  CLI::Option* option_;
  OptionFacts* facts_;
};

/// Where the value of an option goes. What is absent from the command line stays as it was.
using OptionTarget =
    std::variant<std::string*, int*, std::uint64_t*, double*, std::filesystem::path*, std::optional<int>*,
                 std::optional<double>*, std::vector<std::string>*, std::vector<int>*>;

/// What all commands share: facts about options, and the switches that every command has.
struct CommandLine {
  std::map<const CLI::Option*, OptionFacts> facts;
  bool quiet = false, verbose = false;
};

/// One command of the program. Variables given to it must live as long as it does: `add_command` sees to that.
class Command {
 public:
  /// Adds `--quiet` and `--verbose`.
  Command(CLI::App& app, std::shared_ptr<CommandLine> line);

  /// An option, "--json", or a positional argument, "FILE". @{
  Option option(const std::string& name, OptionTarget target, const std::string& help);
  template <class T>
  Option option(const std::string& name, T& variable, const std::string& help) {
    return option(name, OptionTarget(&variable), help);
  }
  /// @}
  void flag(const std::string& name, bool& variable, const std::string& help);

  /// A command with arguments of its own. `describe(command, arguments)` adds the options, `work(arguments)` does
  /// the work once the whole command line has been read, and throws what goes wrong.
  /// @return the command, which may get commands of its own: where the user names one, `work` of this one is not done.
  template <class Arguments, class Describe, class Work>
  Command add_command(const std::string& name, const std::string& help, Describe describe, Work work) {
    Command command = subcommand(name, help);
    const auto arguments = std::make_shared<Arguments>();
    describe(command, *arguments);
    command.action([arguments, work] { work(*arguments); });
    return command;
  }
  /// A command that only holds others, one of which the user has to name.
  Command add_group(const std::string& name, const std::string& help);

 private:
  Command subcommand(const std::string& name, const std::string& help);
  void action(std::function<void()> work);
  CLI::App* app_;
  std::shared_ptr<CommandLine> line_;
};

/// What is wrong with an option, or with several beside each other: "--ranks: found `x`, expected ...".
Diagnostic option_fault(std::string option, std::string found, std::string expected);

/// What a program says of itself.
struct ProgramText {
  std::string name, description, version;
};

/// Reads a command line and does what it asks. Help and faults of the command line are shown here; what commands
/// throw passes through. @return the exit code: 0, or `fault` for a command line that was not understood.
int run_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands, int argc,
                     const char* const* argv, int fault);

}  // namespace flopcast
