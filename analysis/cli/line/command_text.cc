#include "analysis/cli/line/command_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

template <class Named>
const Named* find_named(const std::vector<Named>& all, std::string_view name) {
  const auto at = std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return at == all.end() ? nullptr : &*at;
}

/// Candidates that begin with what stands there already.
void keep_begun(std::vector<Candidate>& all, const std::string& begun) {
  std::erase_if(all, [&](const Candidate& one) { return !one.word.starts_with(begun); });
}

/// Candidates for an option's value, those that begin as it does.
std::vector<Candidate> values_of(const OptionText& option, const std::string& begun, const NamedValues& values) {
  std::vector<Candidate> out;
  for (const std::string& choice : option.choices) out.push_back({choice, ""});
  for (const std::string& offer : option.offers) out.push_back({offer, ""});
  if (option.values != Values::any || !option.libraries.empty()) {
    for (Candidate& one : values(option, begun)) out.push_back(std::move(one));
  }
  keep_begun(out, begun);
  return out;
}

/// Text for roff: a line may not begin with its control characters, and a backslash is none.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

}  // namespace

const CommandText* CommandText::command(std::string_view named) const { return find_named(commands, named); }
const OptionText* CommandText::option(std::string_view named) const { return find_named(options, named); }

std::vector<Candidate> candidates(const CommandText& program, std::span<const std::string> words,
                                  const NamedValues& values) {
  const std::string begun = words.empty() ? "" : words.back();
  const CommandText* command = &program;
  const OptionText* waiting = nullptr;  // for its value
  std::size_t positional = 0;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (waiting != nullptr) {
      waiting = nullptr;
    } else if (word.starts_with("-")) {
      const OptionText* const option = command->option(word.substr(0, word.find('=')));
      if (option != nullptr && !option->value.empty() && word.find('=') == std::string::npos) waiting = option;
    } else if (const CommandText* const next = command->command(word)) {
      command = next;
    } else {
      ++positional;
    }
  }
  std::vector<Candidate> out;
  if (waiting != nullptr) return values_of(*waiting, begun, values);
  if (const std::size_t equals = begun.find('='); begun.starts_with("--") && equals != std::string::npos) {
    const OptionText* const option = command->option(begun.substr(0, equals));
    if (option == nullptr || option->value.empty()) return out;
    out = values_of(*option, begun.substr(equals + 1), values);
    for (Candidate& one : out) one.word.insert(0, begun, 0, equals + 1);
    return out;
  }
  if (begun.starts_with("-")) {
    for (const OptionText& option : command->options) {
      if (!option.positional) out.push_back({option.name, option.help});
    }
    out.push_back({"--help", "Show what the command takes"});
  } else {
    // What a command takes may stand beside commands of its own: `sweep STUDY`, `sweep merge`.
    for (const CommandText& one : command->commands) out.push_back({one.name, one.help});
    const OptionText* argument = nullptr;
    for (const OptionText& option : command->options) {
      if (!option.positional) continue;
      argument = &option;
      if (positional == 0 || option.repeated) break;
      argument = nullptr;
      --positional;
    }
    if (argument != nullptr)
      for (Candidate& one : values_of(*argument, begun, values)) out.push_back(std::move(one));
  }
  keep_begun(out, begun);
  return out;
}

std::string_view completion_script(std::string_view shell) {
  if (shell == "bash") {
    return R"sh(# flopcast completion bash > ~/.local/share/bash-completion/completions/flopcast
_flopcast() {
  local word begun before i words=() parts=("${COMP_WORDS[@]:1:COMP_CWORD}")
  # bash takes words apart at = and : and completes what stands behind
  for ((i = 0; i < ${#parts[@]}; i++)); do
    if ((i > 0)) && [[ ${parts[i]} == [=:]* || ${parts[i - 1]} == *[=:] ]]; then
      words[${#words[@]} - 1]+=${parts[i]}
    else
      words+=("${parts[i]}")
    fi
  done
  begun=${words[${#words[@]} - 1]}
  before=${COMP_WORDS[COMP_CWORD]}
  if [[ $before == [=:] ]]; then before=; fi
  before=${begun%"$before"}
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do COMPREPLY+=("${word#"$before"}"); done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
  if ((${#COMPREPLY[@]} == 0)) && [[ $begun != [a-z]*=* ]]; then compopt -o default; fi
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=.] ]]; then compopt -o nospace; fi
}
complete -F _flopcast flopcast
)sh";
  }
  if (shell == "zsh") {
    return R"sh(#compdef flopcast
# flopcast completion zsh > a folder of $fpath, as _flopcast
_flopcast() {
  local -a found
  local word meaning
  while IFS=$'\t' read -r word meaning; do found+=("${word//:/\\:}:$meaning"); done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#found} )); then _describe flopcast found; elif [[ ${words[CURRENT]} != [a-z]*=* ]]; then _files; fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _flopcast "$@"; else compdef _flopcast flopcast; fi
)sh";
  }
  return R"sh(# flopcast completion fish > ~/.config/fish/completions/flopcast.fish
function __flopcast_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] complete -- $words[2..-1] 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\n' $found
  else if not string match -qr '^[a-z].*=' -- (commandline -ct)
    __fish_complete_path (commandline -ct)
  end
end
complete -c flopcast -f -a '(__flopcast_complete)'
)sh";
}

std::string manual_page(const CommandText& command, const std::string& path, const std::string& version) {
  std::string title = path;
  std::replace(title.begin(), title.end(), ' ', '-');
  std::string upper = title;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string out = fmt::format(".TH {} 1 \"\" \"{}\" \"Flopcast\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
                                roff(upper), roff(version), roff(title), roff(command.help), roff(path));
  const auto positional = [](const OptionText& option) { return option.positional; };
  if (!command.commands.empty()) out += "COMMAND\n";
  if (std::any_of(command.options.begin(), command.options.end(), [](auto& o) { return !o.positional; }))
    out += "[OPTIONS]\n";
  for (const OptionText& option : command.options) {
    if (!positional(option)) continue;
    const std::string name = option.name + (option.repeated ? "..." : "");
    out += roff(option.required ? name : "[" + name + "]") + "\n";
  }
  const auto entries = [&](const char* heading, bool of_positional) {
    bool any = false;
    for (const OptionText& option : command.options) {
      if (option.positional != of_positional) continue;
      if (!any) out += fmt::format(".SH {}\n", heading);
      any = true;
      std::string name = (option.brief.empty() ? "" : option.brief + ", ") + option.name;
      if (!option.positional && !option.value.empty()) name += " " + option.value;
      out += ".TP\n.B " + roff(name) + "\n" + roff(option.help) + "\n";
      if (!option.choices.empty()) out += roff(fmt::format("One of: {}.", fmt::join(option.choices, ", "))) + "\n";
    }
  };
  entries("ARGUMENTS", true);
  entries("OPTIONS", false);
  if (!command.commands.empty()) {
    out += ".SH COMMANDS\n";
    for (const CommandText& one : command.commands) out += ".TP\n.B " + roff(one.name) + "\n" + roff(one.help) + "\n";
  }
  out +=
      ".SH \"EXIT STATUS\"\n0: done. 1: a fault of the program. 2: bad input, each fault on stderr. 130: "
      "interrupted. 141: the reader of stdout has gone.\n";
  return out + ".SH \"SEE ALSO\"\n" + roff("flopcast help, flopcast TOPIC --help") + "\n";
}

const std::vector<Topic>& topics() {
  static const std::vector<Topic> kTopics{
      {"start", "Three things to try",
       "  flopcast run deepseek_v3_2048_h800\ta training run, replayed operation by operation\n"
       "  flopcast run deepseek_v3_2048_h800 --html page.html\tthe same as a page to look at\n"
       "  flopcast compare deepseek_v3_2048_h800 deepseek_v3_2048_h20\twhat another chip changes, cause by cause\n"
       "\n"
       "Scenarios are text files: `flopcast show deepseek_v3_2048_h800` prints one, `--set PATH=VALUE` changes a field "
       "for one run, `flopcast list scenarios` names them all.\n"},
      {"scenarios", "What a scenario is",
       "One text file: a cluster, a model and work on it (training, serving, reinforcement learning, a collective, or "
       "a "
       "job's life).\n"
       "\n"
       "`flopcast fields` explains every field with unit, default and bounds, `flopcast fields training.plan` those of "
       "a section. `flopcast check FILE` says everything that is wrong with a file, with line and column.\n"},
      {"units", "How quantities are written",
       "Quantities have units: \"400 GB/s\", \"64 MiB\", \"3.7 us\", \"2 USD/h\". Bits and bytes are kept apart: Gb/s "
       "is an eighth of GB/s. A link's rate says whether it counts one direction or both: \"450 GB/s per direction\". "
       "Counts may be written 14.8T, 469B (10^9), 7.5M.\n"},
      {"output", "What can be written",
       "Most commands take --json FILE, --csv FILE and --html FILE; `-` as a file of --json and --csv is stdout. `run` "
       "also takes --trace FILE (a timeline for ui.perfetto.dev), --picture FILE (SVG) and --requests FILE (CSV). "
       "Files "
       "are written whole or not at all. `flopcast list metrics` explains every figure.\n"
       "\n"
       "Every command takes --quiet (only faults, files and what `-` asks for) and --verbose (what is read, how long "
       "each stage takes, what is written). Text is as wide as the terminal, 60 to 200 columns, 80 in a pipe.\n"},
      {"environment", "Variables and exit codes",
       "NO_COLOR: no colours, also on a terminal (no-color.org).\n"
       "\n"
       "FLOPCAST_LIBRARY: folders of your own, separated by colons, as --library names them.\n"
       "\n"
       "FLOPCAST_DIAGNOSTICS: a file that gets the faults of an input as JSON, too, for programs that start this one.\n"
       "\n"
       "Exit codes: 0 done; 1 a fault of the program; 2 bad input, every fault on stderr; 130 interrupted;\n"
       "141 the reader of stdout has gone.\n"},
  };
  return kTopics;
}

std::string topic_text(const Topic& topic, std::size_t width) {
  std::string out = std::string(topic.title) + "\n\n";
  for (std::string_view rest = topic.text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (const std::size_t tab = line.find('\t'); tab != std::string_view::npos) {
      out += "  " + wrap(line.substr(2, tab - 2), width - 2, "      ") + "\n";
      out += "      " + wrap(line.substr(tab + 1), width - 6, "      ") + "\n";
    } else {
      out += wrap(line, width, "") + "\n";
    }
  }
  return out;
}

}  // namespace flopcast
