// `flopcast help`, and what shells need to complete its command lines.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/command_text.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/exit_codes.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/claims/claims.h"
#include "scenarios/read/fields/field_reference.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/studies/study.h"

namespace flopcast {
namespace {

CommandText everything() { return describe_command_line(program_text(), add_commands); }

struct HelpArguments {
  std::vector<std::string> words;
  std::string man;
};

/// The command that the words name; the program for none. @throws InputError
const CommandText& named_command(const CommandText& program, const std::vector<std::string>& words) {
  const CommandText* command = &program;
  for (const std::string& word : words) {
    const CommandText* const next = command->command(word);
    if (next != nullptr) {
      command = next;
      continue;
    }
    std::vector<std::string> known;
    for (const CommandText& one : command->commands) known.push_back(one.name);
    if (command == &program) {
      for (const Topic& topic : topics()) known.emplace_back(topic.name);
    }
    throw InputError(Diagnostic{"", 0, 0, "help", quoted(word), fmt::format("one of {}", fmt::join(known, ", ")),
                                nearest_name(word, known)});
  }
  return *command;
}

void write_manuals(const CommandText& command, const std::string& path, const std::string& folder) {
  std::string name = path;
  std::replace(name.begin(), name.end(), ' ', '-');
  write_text_in_new_folder(folder + "/" + name + ".1", manual_page(command, path, "flopcast " + version()));
  for (const CommandText& one : command.commands) write_manuals(one, path + " " + one.name, folder);
}

void show_help(const HelpArguments& a) {
  const CommandText program = everything();
  if (!a.man.empty()) {
    const OutputOption first{"--man", a.man + "/" + program_text().name + ".1", false, true};
    check_outputs({&first, 1});
    return write_manuals(named_command(program, a.words), program_text().name, a.man);
  }
  const std::vector<Topic>& all = topics();
  const std::size_t width = terminal_style(stdout).width();
  if (a.words.size() == 1) {
    const auto topic = std::find_if(all.begin(), all.end(), [&](const Topic& t) { return t.name == a.words[0]; });
    if (topic != all.end()) return put(topic_text(*topic, width));
  }
  if (a.words.empty()) {
    constexpr std::size_t kNames = 16;
    const std::string indent(kNames, ' ');
    const auto row = [&](std::string_view name, std::string_view meaning) {
      return pad_right("  " + std::string(name), kNames) + wrap(meaning, width - kNames, indent) + "\n";
    };
    std::string out = topic_text(all.front(), width) + "\nCommands, each with `flopcast help COMMAND`:\n";
    for (const CommandText& one : program.commands) out += row(one.name, one.help);
    out += "\nTopics, each with `flopcast help TOPIC`:\n";
    for (const Topic& topic : all) out += row(topic.name, topic.title);
    put(out);
    return;
  }
  named_command(program, a.words);
  std::vector<const char*> words{"flopcast"};
  for (const std::string& word : a.words) words.push_back(word.c_str());
  words.push_back("--help");
  run_command_line(program_text(), add_commands, static_cast<int>(words.size()), words.data(), kExitBadInput);
}

/// Values of the field that an assignment names, `training.schedule=`, as its description has them.
std::vector<Candidate> assigned_values(const std::string& begun, const Libraries& libraries) {
  std::vector<Candidate> out;
  const std::string path = begun.substr(0, begun.find('='));
  FieldsAt at;
  try {
    at = fields_at(path);
  } catch (const InputError&) {
    return out;  // no field of that name: no values either
  }
  if (at.is_section || at.section.fields.empty()) return out;
  const FieldReference& field = at.section.fields.front();
  for (const std::string& word : field.allowed) out.push_back({path + "=" + word, ""});
  if (field.type == "switch") out.insert(out.end(), {{path + "=true", ""}, {path + "=false", ""}});
  if (!field.library.empty())
    for (const LibraryRow& row : list_library(library_kind(field.library), libraries))
      out.push_back({path + "=" + row.name, row.title});
  return out;
}

std::vector<Candidate> help_subjects() {
  std::vector<Candidate> out;
  for (const CommandText& command : everything().commands) out.push_back({command.name, command.help});
  for (const Topic& topic : topics()) out.push_back({std::string(topic.name), std::string(topic.title)});
  return out;
}

/// Names for shells. What the libraries cannot say just now is no candidate.
std::vector<Candidate> named_values(const OptionText& option, const std::string& begun) {
  const Values values = option.values;
  if (values == Values::commands) return help_subjects();
  std::vector<Candidate> out;
  if (values == Values::assignments && begun.find('=') != std::string::npos)
    return assigned_values(begun, Libraries::discover({}));
  if (values == Values::assignments || values == Values::fields) {
    const std::string end = values == Values::assignments ? "=" : "";
    for (const FieldReference& field : fields_below("")) {
      if (values == Values::assignments && field.section()) continue;
      std::string path = field.path;
      for (std::size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]", at + 1))
        path.replace(at, 2, values == Values::assignments ? "[0]" : "");
      out.push_back({path + end, field.meaning});
    }
    return out;
  }
  const Libraries libraries = Libraries::discover({});
  const auto add = [&](const char* kind) {
    for (const LibraryRow& row : list_library(library_kind(kind), libraries)) out.push_back({row.name, row.title});
  };
  for (const std::string& kind : option.libraries) add(kind.c_str());
  if (values == Values::scenarios) add("scenarios");
  if (values == Values::studies)
    for (const std::string& name : study_names(libraries, StudyKind::sweep)) out.push_back({name, ""});
  if (values == Values::claims)
    for (const Claim& claim : load_claims(required_file(libraries, kClaimsFile))) out.push_back({claim.id, claim.text});
  if (values == Values::chips) add("gpus");
  if (values == Values::entries) {
    for (const char* kind : {"gpus", "nodes", "fabrics", "clusters", "models", "scenarios"}) add(kind);
  }
  return out;
}

struct CompletionArguments {
  std::string shell;
};

}  // namespace

void print_candidates(std::span<const std::string> words) {
  for (const Candidate& one : candidates(everything(), words, named_values)) {
    std::string meaning = one.meaning.substr(0, one.meaning.find('\n'));
    std::replace(meaning.begin(), meaning.end(), '\t', ' ');
    put(fmt::format("{}\t{}\n", one.word, meaning));
  }
}

void add_help_command(Command& program) {
  program.add_command<HelpArguments>(
      "help", "Explain a command or a topic; alone: what to try first",
      [](Command& command, HelpArguments& a) {
        command.option("TOPIC", a.words, "A command, or start, scenarios, units, output, environment")
            .values(Values::commands);
        command.option("--man", a.man, "Instead: write manual pages into this folder").value_name("DIR");
      },
      show_help);
}

void add_completion_command(Command& program) {
  program.add_command<CompletionArguments>(
      "completion", "Print what makes a shell complete commands, scenarios and fields",
      [](Command& command, CompletionArguments& a) {
        command.option("SHELL", a.shell, "bash, zsh or fish").required().one_of({"bash", "zsh", "fish"});
      },
      [](const CompletionArguments& a) { put(completion_script(a.shell)); });
}

}  // namespace flopcast
