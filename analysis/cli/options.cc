#include "analysis/cli/options.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <type_traits>

#include "analysis/cli/command_text.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

/// What no option takes, whatever it is for.
std::string text_fault(const std::string& value) {
  if (value.empty()) return "an empty text, expected a value";
  return first_unplain(value) == std::string::npos ? "" : "expected text in UTF-8, without control characters";
}

std::string number_fault(const std::string& value) {
  return std::isfinite(std::strtod(value.c_str(), nullptr)) ? "" : "expected a finite number, found " + value;
}

/// What the parser has to say, which repeats words of the command line.
int show(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out, faults;
  const int code = app.exit(error, out, faults);
  std::cout << visible(out.str(), LineEnds::allowed);
  std::cerr << visible(faults.str(), LineEnds::allowed);
  return code;
}

}  // namespace

Option& Option::value_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Option& Option::required(bool yes) {
  option_->required(yes);
  return *this;
}

Option& Option::repeated() {
  option_->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  facts_->repeated = true;
  return *this;
}

Option& Option::separated_by(char delimiter) {
  option_->delimiter(delimiter);
  return *this;
}

Option& Option::show_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::default_value(const std::string& value) {
  option_->default_val(value);
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  facts_->choices = values;
  return *this;
}

Option& Option::values(Values named) {
  facts_->values = named;
  return *this;
}

Option& Option::between(int low, int high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

Option& Option::between(double low, double high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

Option& Option::not_negative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}

Option& Option::check(std::function<std::string(const std::string&)> fault) {
  option_->check(std::move(fault));
  return *this;
}

Option Command::option(const std::string& name, OptionTarget target, const std::string& help) {
  return std::visit(
      [&](auto* variable) {
        using Variable = std::remove_pointer_t<decltype(variable)>;
        CLI::Option* option = app_->add_option(name, *variable, help);
        if constexpr (std::is_same_v<Variable, double> || std::is_same_v<Variable, std::optional<double>>)
          option->check(number_fault);
        else
          option->check(text_fault);
        return Option(*option, (*facts_)[option]);
      },
      target);
}

void Command::flag(const std::string& name, bool& variable, const std::string& help) {
  app_->add_flag(name, variable, help);
}

Command Command::add_group(const std::string& name, const std::string& help) {
  Command group = subcommand(name, help);
  group.app_->require_subcommand(1);
  return group;
}

Command Command::subcommand(const std::string& name, const std::string& help) {
  return Command(*app_->add_subcommand(name, help), facts_);
}

void Command::action(std::function<void()> work) { app_->callback(std::move(work)); }

int run_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands, int argc,
                     const char* const* argv, int fault) {
  CLI::App app{text.description, text.name};
  app.set_version_flag("--version", text.version);
  app.require_subcommand(1);
  Command program(app, std::make_shared<Command::Facts>());
  add_commands(program);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return show(app, error) == 0 ? 0 : fault;
  }
}

namespace {

CommandText described(const CLI::App& app, const Command::Facts& facts) {
  CommandText out{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_name() == "--help" || option->get_name().starts_with("-h,")) continue;
    OptionText text;
    text.positional = option->get_positional();
    text.name = text.positional                ? option->get_name(true)
                : option->get_lnames().empty() ? "-" + option->get_snames().front()
                                               : "--" + option->get_lnames().front();
    // Of a positional argument the name says what stands there; a switch takes no value.
    if (!text.positional && option->get_type_size() > 0) {
      text.value = option->get_type_name();
      text.value = text.value.substr(0, text.value.find(':'));
    }
    text.help = option->get_description();
    text.required = option->get_required();
    text.repeated = option->get_expected_max() > 1;
    if (const auto known = facts.find(option); known != facts.end()) {
      text.choices = known->second.choices;
      text.values = known->second.values;
      text.repeated = text.repeated || known->second.repeated;
    }
    out.options.push_back(std::move(text));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) out.commands.push_back(described(*command, facts));
  }
  return out;
}

}  // namespace

CommandText describe_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands) {
  CLI::App app{text.description, text.name};
  app.set_version_flag("--version", text.version);
  const auto facts = std::make_shared<Command::Facts>();
  Command program(app, facts);
  add_commands(program);
  return described(app, *facts);
}

}  // namespace flopcast
