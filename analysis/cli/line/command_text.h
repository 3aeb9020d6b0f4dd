// The command line as plain values: what completion, man pages and `help` are written from, so that all say the same
// as `--help`.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/cli/line/options.h"

namespace flopcast {

struct OptionText {
  std::string name;   ///< "--json", or "FILE" of a positional argument
  std::string brief;  ///< "-q"; empty: there is none
  std::string value;  ///< what stands for the value: "FILE"; empty: a switch
  std::string help;
  bool positional = false, required = false, repeated = false;
  std::vector<std::string> choices;    ///< the only values
  std::vector<std::string> offers;     ///< some of them
  std::vector<std::string> libraries;  ///< whose names are values
  Values values = Values::any;         ///< where further ones come from
};

struct CommandText {
  std::string name, help;
  std::vector<OptionText> options;
  std::vector<CommandText> commands;

  const CommandText* command(std::string_view named) const;
  const OptionText* option(std::string_view named) const;
};

/// Everything that the program takes.
CommandText describe_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands);

/// A word that may come next, and what it means.
struct Candidate {
  std::string word, meaning;
};
/// Values that an option may have, as far as they are known by name; `begun` is what stands there.
using NamedValues = std::function<std::vector<Candidate>(const OptionText& option, const std::string& begun)>;
/// What `words`, the last of which is begun or empty, may go on with.
std::vector<Candidate> candidates(const CommandText& program, std::span<const std::string> words,
                                  const NamedValues& values);

/// How a shell asks the program for candidates: "bash", "zsh" or "fish".
std::string_view completion_script(std::string_view shell);

/// A manual page (roff, man(7)) of the program or one of its commands. @param path "flopcast run"
std::string manual_page(const CommandText& command, const std::string& path, const std::string& version);

/// What `flopcast help TOPIC` says beside commands: paragraphs, each of one line, and commands to try ("  COMMAND\tWHAT
/// IT SHOWS").
struct Topic {
  std::string_view name, title, text;
};
const std::vector<Topic>& topics();
/// Title and text, broken into lines of at most `width` columns.
std::string topic_text(const Topic& topic, std::size_t width);

}  // namespace flopcast
