#include "analysis/cli/line/options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <type_traits>

#include "analysis/cli/line/command_text.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/format.h"
#include "sim/base/diagnostic.h"
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

Bytes most_memory() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return Bytes(1024.0 * static_cast<double>(usage.ru_maxrss));
}

/// What the program says where nothing is asked of it.
std::string first_words(const ProgramText& text, std::size_t width) {
  return wrap(text.description, width, "") + "\n\n" + topic_text(topics().front(), width) + "\n" +
         wrap("`flopcast help` lists the commands, `flopcast app` opens a page to explore in.", width, "") + "\n";
}

/// What the parser has to say, which repeats words of the command line.
int show_words(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out, faults;
  const int code = app.exit(error, out, faults);
  put(visible(out.str(), LineEnds::allowed));
  std::string fault = faults.str();
  if (fault.ends_with('\n')) fault.pop_back();
  if (!fault.empty()) tell(fault);
  return code;
}

// Help that fits the terminal: names in a column, what they mean broken into lines beside it.
class FittingFormatter final : public CLI::Formatter {
 public:
  explicit FittingFormatter(std::size_t width) : width_(width) { column_width(std::min<std::size_t>(28, width / 3)); }

  std::string make_option(const CLI::Option* option, bool positional) const override {
    return entry(make_option_name(option, positional) + make_option_opts(option), make_option_desc(option));
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_display_name(true), command->get_description());
  }
  std::string make_description(const CLI::App* command) const override {
    return wrap(command->get_description(), width_, "") + "\n";
  }

 private:
  std::string entry(const std::string& name, const std::string& meaning) const {
    const std::size_t column = get_column_width();
    const std::string hanging(column, ' ');
    std::string head = "  " + wrap(spaced(name), width_ - 4, "    ");
    head = head.size() + 2 > column ? head + "\n" + hanging : pad_right(head, column);
    return head + wrap(meaning, width_ - column, hanging) + "\n";
  }
  // "TEXT:{a,b}=a" can be broken after a comma only where there is a space.
  static std::string spaced(const std::string& name) {
    std::string out;
    bool within = false;
    for (const char c : name) {
      within = c == '{' || (within && c != '}');
      out += c;
      if (within && c == ',') out += ' ';
    }
    return out;
  }
  std::size_t width_;
};

std::vector<std::string> command_names(const CLI::App& group) {
  std::vector<std::string> names;
  for (const CLI::App* command : group.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// What is wrong with the words of a command line that should name commands; nothing: empty.
std::string fault_of_command(const CLI::App& program, int argc, const char* const* argv) {
  const CLI::App* group = &program;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with("-")) {
      if (group == &program) continue;  // `flopcast --quiet run`
      return {};
    }
    const std::vector<std::string> names = command_names(*group);
    if (names.empty()) return {};
    if (std::find(names.begin(), names.end(), argv[i]) != names.end()) {
      group = group->get_subcommand(argv[i]);
      continue;
    }
    // A command that takes a word of its own and has commands below it: `sweep STUDY`, `sweep show FILE`.
    if (!group->get_options([](const CLI::Option* o) { return o->get_positional(); }).empty()) return {};
    Diagnostic fault;
    fault.field = group == &program ? "command" : "command of " + group->get_name();
    fault.found = "\"" + std::string(argv[i]) + "\"";
    fault.expected = one_of(argv[i], names, "flopcast --help");
    fault.suggestion = nearest_name(argv[i], names);
    return to_string(fault);
  }
  return {};
}

// An option that the command does not have.
std::string fault_of_option(const CLI::App& program, int argc, const char* const* argv) {
  const CLI::App* command = &program;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (int i = 1; i < argc; ++i) {
    const std::string word(argv[i]), name = word.substr(0, word.find('='));
    if (word == "--") break;
    if (!word.starts_with("--") || std::find(names.begin(), names.end(), name) != names.end()) continue;
    Diagnostic fault;
    fault.field = command->get_name();
    fault.found = "the option " + name;
    fault.expected = one_of(name, names);
    fault.suggestion = nearest_name(name, names);
    return to_string(fault);
  }
  return {};
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

Option& Option::names_of(std::vector<std::string> libraries) {
  facts_->libraries = std::move(libraries);
  return *this;
}

Option& Option::offers(std::vector<std::string> values) {
  facts_->offers = std::move(values);
  return *this;
}

namespace {

/// What is wrong with a number; empty: nothing.
std::string fault_of_number(const std::string& text, double low, double high) {
  const bool bounded = high < std::numeric_limits<double>::max();
  const std::string wanted =
      bounded ? fmt::format("a number from {:g} to {:g}", low, high) : fmt::format("a number of at least {:g}", low);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0' && low <= value && value <= high) return {};
  std::string plain;
  for (const char c : text)
    if (c != ',') plain += c;
  std::strtod(plain.c_str(), &end);
  const bool separated = plain != text && !plain.empty() && *end == '\0';
  return fmt::format("found {}, expected {}{}", text.empty() ? "nothing" : text, wanted,
                     separated ? fmt::format(" (did you mean {}?)", plain) : "");
}

}  // namespace

Option& Option::between(int low, int high) {
  return check([low, high](const std::string& text) { return fault_of_number(text, low, high); });
}

Option& Option::between(double low, double high) {
  return check([low, high](const std::string& text) { return fault_of_number(text, low, high); });
}

Option& Option::not_negative() {
  return check([](const std::string& text) { return fault_of_number(text, 0, std::numeric_limits<double>::max()); });
}

Option& Option::check(std::function<std::string(const std::string&)> fault) {
  option_->check(std::move(fault));
  return *this;
}

Command::Command(CLI::App& app, std::shared_ptr<CommandLine> line) : app_(&app), line_(std::move(line)) {
  app.add_flag("-q,--quiet", line_->quiet,
               "No report on stdout, no progress: only faults, files and what `-` asks for");
  app.add_flag("-v,--verbose", line_->verbose,
               "Tell on stderr what is read, how long each stage takes, what is written");
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
        return Option(*option, line_->facts[option]);
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
  return {*app_->add_subcommand(name, help), line_};
}

void Command::action(std::function<void()> work) {
  app_->callback([app = app_, line = line_, work = std::move(work)] {
    if (!app->get_subcommands().empty()) return;
    if (line->quiet && line->verbose)
      throw InputError(Diagnostic{"", 0, 0, "--verbose", "--quiet too", "one of them", ""});
    set_verbosity(line->quiet ? Verbosity::quiet : line->verbose ? Verbosity::verbose : Verbosity::normal);
    const auto begin = std::chrono::steady_clock::now();
    work();
    note(fmt::format(
        "{} in all, at most {} of memory",
        format_time(Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count())),
        format_bytes(most_memory())));
  });
}

Diagnostic option_fault(std::string option, std::string found, std::string expected) {
  return {.field = std::move(option), .found = std::move(found), .expected = std::move(expected)};
}

int run_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands, int argc,
                     const char* const* argv, int fault) {
  CLI::App app{text.description, text.name};
  app.set_version_flag("--version", text.version);
  app.require_subcommand(1);
  app.formatter(std::make_shared<FittingFormatter>(terminal_style(stdout).width()));  // commands inherit it
  Command program(app, std::make_shared<CommandLine>());
  add_commands(program);
  if (argc <= 1) {
    put(first_words(text, terminal_style(stdout).width()));
    return fault;  // for scripts that left out what they meant
  }
  if (const std::string wrong = fault_of_command(app, argc, argv); !wrong.empty()) {
    tell_fault(wrong);
    return fault;
  }
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ExtrasError& error) {
    const std::string wrong = fault_of_option(app, argc, argv);
    if (wrong.empty()) return show_words(app, error) == 0 ? 0 : fault;
    tell_fault(wrong);
    return fault;
  } catch (const CLI::ParseError& error) {
    return show_words(app, error) == 0 ? 0 : fault;
  }
}

namespace {

CommandText described(const CLI::App& app, const CommandLine& line) {
  CommandText out{app.get_name(), app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_name() == "--help" || option->get_name().starts_with("-h,")) continue;
    OptionText text;
    text.positional = option->get_positional();
    text.name = option->get_name(text.positional);  // the long one where there are two
    if (!option->get_snames().empty() && !option->get_lnames().empty()) text.brief = "-" + option->get_snames().front();
    // Of a positional argument the name says what stands there; a switch takes no value.
    if (!text.positional && option->get_items_expected_max() > 0) {
      text.value = option->get_type_name();
      text.value = text.value.substr(0, text.value.find(':'));
    }
    text.help = option->get_description();
    text.required = option->get_required();
    text.repeated = option->get_expected_max() > 1;
    if (const auto known = line.facts.find(option); known != line.facts.end()) {
      text.choices = known->second.choices;
      text.offers = known->second.offers;
      text.libraries = known->second.libraries;
      text.values = known->second.values;
      text.repeated = text.repeated || known->second.repeated;
    }
    out.options.push_back(std::move(text));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) out.commands.push_back(described(*command, line));
  }
  return out;
}

}  // namespace

CommandText describe_command_line(const ProgramText& text, const std::function<void(Command&)>& add_commands) {
  CLI::App app{text.description, text.name};
  app.set_version_flag("--version", text.version);
  const auto line = std::make_shared<CommandLine>();
  Command program(app, line);
  add_commands(program);
  return described(app, *line);
}

}  // namespace flopcast
