#include "scenarios/imports/runs/shell_script.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "scenarios/imports/runs/shell_arithmetic.h"
#include "scenarios/imports/runs/shell_words.h"

namespace flopcast {
namespace {

class ShellReader : private ShellWords {
 public:
  ShellReader(const std::string& text, const std::string& file) : ShellWords(text, file) {}

  ShellScript read() {
    while (at_ < text_.size()) step();
    end_command();
    return std::move(script_);
  }

 private:
  void step() {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\r') return advance();
    if (c == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) return advance(peek(1) == '\n' ? 2 : 3);
    if (c == '\n') {
      advance();
      end_command();
      return skip_here_documents();
    }
    if (c == '#') return remark();
    if (c == ';') {
      const bool branch = peek(1) == ';';
      advance(branch ? 2 : 1);
      end_command();
      if (branch) variables_.next_branch();
      return;
    }
    if (c == '&' || c == '|') return connect();
    if (c == '<' || c == '>') return redirect();
    if (c == '(' && words_.empty()) {
      advance();
      if (peek() == '(') return skip_arithmetic();
      return variables_.enter("(");
    }
    if (c == ')') {
      advance();
      if (variables_.within("(")) {
        end_command();
        variables_.leave();
      } else {
        words_.clear();  // the pattern of a case
      }
      return;
    }
    word_or_assignment();
  }

  /// && || & | &> : the next word begins a command.
  void connect() {
    const char c = peek();
    if (c == '&' && peek(1) == '>') {
      advance();
      return redirect();
    }
    const bool two = peek(1) == c;
    advance(two || (c == '|' && peek(1) == '&') ? 2 : 1);
    const bool test = !words_.empty() && (words_[0].text == "[" || words_[0].text == "[[" || words_[0].text == "test");
    end_command();
    uncertain_ = two && (c == '|' || test || was_uncertain_);
  }

  void redirect() {
    if (peek() == '<' && peek(1) == '<' && peek(2) != '<') {
      advance(2);
      if (peek() == '-') advance();
      skip_spaces();
      std::string end;
      while (at_ < text_.size() && !is_blank(peek()) && peek() != ';') {
        if (peek() != '"' && peek() != '\'' && peek() != '\\') end += peek();
        advance();
      }
      if (!end.empty()) here_ends_.push_back(end);
      return;
    }
    while (peek() == '<' || peek() == '>' || peek() == '&' || peek() == '|') advance();
    skip_spaces();
    if (peek() == '(') {  // a process in place of a file
      std::string ignored;
      return void(balanced('(', ')', ignored));
    }
    if (peek() != '\n' && peek() != '\0' && peek() != ';' && peek() != '|') word();
  }

  void skip_here_documents() {
    for (const std::string& end : here_ends_) {
      while (at_ < text_.size()) {
        std::string line;
        while (at_ < text_.size() && peek() != '\n') {
          line += peek();
          advance();
        }
        advance();
        const std::size_t first = line.find_first_not_of(" \t");
        if (first == std::string::npos) continue;
        line = line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
        if (line == end) break;
      }
    }
    here_ends_.clear();
  }

  void remark() {
    const Place place = here();
    std::string line;
    while (at_ < text_.size() && peek() != '\n') {
      line += peek();
      advance();
    }
    constexpr std::string_view kBatch = "#SBATCH";
    if (!line.starts_with(kBatch)) return;
    const std::size_t before = script_.batch.size();
    for (std::size_t i = kBatch.size(); i < line.size();) {
      while (i < line.size() && is_blank(line[i])) ++i;
      std::size_t end = i;
      while (end < line.size() && !is_blank(line[end])) ++end;
      if (line[std::min(i, line.size() - 1)] == '#') break;
      if (end > i) script_.batch.add(line.substr(i, end - i), {file_, place.line, place.column + static_cast<int>(i)});
      i = end;
    }
    set_slurm_variables(before);
  }

  /// What a job finds in its environment, of what a line of #SBATCH says. @param first of its words.
  void set_slurm_variables(std::size_t first) {
    struct Option {
      std::string_view name, brief;
      std::array<const char*, 2> variables;
    };
    constexpr Option kOptions[] = {{"--nodes", "-N", {"SLURM_NNODES", "SLURM_JOB_NUM_NODES"}},
                                   {"--ntasks", "-n", {"SLURM_NTASKS", "SLURM_NPROCS"}},
                                   {"--ntasks-per-node", "", {"SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}},
                                   {"--gpus-per-node", "", {"SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"}}};
    const std::vector<std::string>& words = script_.batch.words;
    for (std::size_t i = first; i < words.size(); ++i) {
      const std::size_t equals = words[i].find('=');
      const std::string name = words[i].substr(0, equals);
      for (const Option& option : kOptions) {
        if (name != option.name && name != option.brief) continue;
        const std::string value = equals != std::string::npos ? words[i].substr(equals + 1)
                                  : i + 1 < words.size()      ? words[i + 1]
                                                              : "";
        const bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
        for (const char* variable : option.variables)
          if (number) store(variable, {{{value, script_.batch.places[i]}}, false});
      }
    }
  }

  void skip_arithmetic() {
    int depth = 2;
    advance();
    while (at_ < text_.size() && depth > 0) {
      depth += peek() == '(' ? 1 : peek() == ')' ? -1 : 0;
      advance();
    }
  }

  void word_or_assignment() {
    const std::size_t n = shell_name_length(text_.substr(at_));
    const bool setting = words_.empty() || declares();
    const bool adds = n > 0 && peek(n) == '+' && peek(n + 1) == '=';
    if (setting && n > 0 && (peek(n) == '=' || adds)) {
      const std::string name(text_.substr(at_, n));
      advance(n + (adds ? 2 : 1));
      pending_.push_back({name, peek() == '(' ? list() : plain(), adds});
      return;
    }
    const Word next = word();
    if (next.bare && words_.empty() && keyword(next.text)) return;
    if (next.bare && next.text == "{" && words_.size() == 1 && words_[0].text.ends_with("()")) {
      words_.clear();
      return variables_.enter("{");
    }
    if (next.bare && next.text == "in" && words_.size() == 2 && words_[0].text == "case") {
      words_.clear();
      return variables_.enter("case");
    }
    // A bare number before a redirection is no word: 2>&1.
    if (next.bare && !next.text.empty() && (peek() == '>' || peek() == '<') &&
        std::ranges::all_of(next.text, [](char c) { return c >= '0' && c <= '9'; }))
      return;
    for (Word& part : split(next)) words_.push_back(std::move(part));
  }

  bool declares() const {
    constexpr std::array<std::string_view, 5> kWords{"export", "declare", "local", "readonly", "typeset"};
    return !words_.empty() && std::ranges::find(kWords, words_[0].text) != kWords.end();
  }

  /// Words that open or close a block, or may stand before a command. False: none of them.
  bool keyword(const std::string& text) {
    if (text == "then" || text == "do" || text == "!" || text == "time" || text == "exec" || text == "function")
      return text != "function" || (function_name(), true);
    if (text == "if" || text == "while" || text == "until") return variables_.enter(text), true;
    if (text == "else" || text == "elif") return variables_.next_branch(), true;
    if (text == "fi" || text == "done" || text == "esac" || text == "}") return variables_.leave(), true;
    if (text == "{") return variables_.enter("{"), true;
    if (text != "for" && text != "select") return false;
    skip_spaces();
    const Place place = here();
    const std::size_t n = shell_name_length(text_.substr(at_));
    const std::string name(text_.substr(at_, n));
    advance(n);
    while (at_ < text_.size() && peek() != '\n' && peek() != ';') advance();
    variables_.enter("for");
    if (n > 0) store(name, {{{unknown("$" + name, place, "which a loop changes", false), place}}, false});
    return true;
  }

  void function_name() {
    skip_spaces();
    while (at_ < text_.size() && !is_blank(peek()) && peek() != '{') advance();
  }

  void end_command() {
    was_uncertain_ = uncertain_;
    const bool sets = words_.empty() || declares();
    for (Assignment& assignment : pending_)
      if (sets) assign(std::move(assignment));
    if (!words_.empty() && words_[0].text == "unset")
      for (const Word& name : words_) variables_.unset(name.text);
    if (!words_.empty() && !declares()) {
      RunCommand command;
      // A shell runs no command that begins so: a line of a command, continued without a sign of it.
      const bool continues = words_[0].text.starts_with("-") && !script_.commands.empty();
      RunCommand& onto = continues ? script_.commands.back() : command;
      const std::size_t text = continues ? words_.size() : shell_text();
      if (text < words_.size()) {
        read_within(text);
      } else {
        for (Word& word : words_) add_word(std::move(word), onto);
        if (!continues) script_.commands.push_back(std::move(command));
      }
    }
    words_.clear();
    pending_.clear();
    uncertain_ = false;
  }

  /// Which word of the command is a text that a shell is to run: that behind `bash -c`, or all behind `eval`, which are
  /// made one. Past the end: none is.
  std::size_t shell_text() {
    if (words_[0].text == "eval" && words_.size() > 1) {
      for (std::size_t i = 2; i < words_.size(); ++i) words_[1].text += " " + words_[i].text;
      words_.resize(2);
      return 1;
    }
    for (std::size_t i = 0; i + 2 < words_.size(); ++i) {
      const std::string &shell = words_[i].text, &option = words_[i + 1].text;
      const std::string name = shell.substr(shell.rfind('/') + 1);
      const bool shells = name == "bash" || name == "sh" || name == "zsh";
      if (shells && option.size() > 1 && option[0] == '-' && option[1] != '-' && option.find('c') != std::string::npos)
        return i + 2;
    }
    return words_.size();
  }

  /// The commands of a text within the script, each behind the words that stand before it (srun, docker).
  void read_within(std::size_t text_word) {
    if (depth_ >= 8) return;
    const std::vector<Word> before(words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(text_word));
    const Word inner = words_[text_word];
    const auto [text, at, line, column] = std::tuple(text_, at_, line_, column_);
    const std::vector<Assignment> pending = std::exchange(pending_, {});
    const std::size_t first = script_.commands.size();
    words_.clear();
    text_ = inner.text, at_ = 0, ++depth_, ++within_;
    while (at_ < text_.size()) step();
    end_command();
    text_ = text, at_ = at, line_ = line, column_ = column, --depth_, --within_;
    pending_ = pending;
    for (std::size_t i = first; i < script_.commands.size(); ++i) {
      RunCommand whole;
      for (const Word& word : before) add_word(word, whole);
      const RunCommand& found = script_.commands[i];
      for (std::size_t w = 0; w < found.size(); ++w) {
        std::vector<UnknownVariable> unknown = found.unknown[w];
        for (UnknownVariable& variable : unknown)
          if (variable.place.line >= inner.place.line) variable.place = inner.place;
        whole.add(found.words[w], inner.place, std::move(unknown));
      }
      script_.commands[i] = std::move(whole);
    }
  }

  ShellScript script_;
  std::vector<Word> words_;          // of the command that is being read
  std::vector<Assignment> pending_;  // before its first word
  bool was_uncertain_ = false;
  std::vector<std::string> here_ends_;
};

}  // namespace

ShellScript read_shell(const std::string& text, const std::string& file) { return ShellReader(text, file).read(); }

}  // namespace flopcast
