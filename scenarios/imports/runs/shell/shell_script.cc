#include "scenarios/imports/runs/shell/shell_script.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "scenarios/imports/runs/shell/shell_arithmetic.h"
#include "scenarios/imports/runs/shell/shell_conditions.h"
#include "scenarios/imports/runs/shell/shell_words.h"

namespace flopcast {
namespace {

class ShellReader : private ShellWords {
 public:
  ShellReader(const std::string& text, const std::string& file) : ShellWords(text, file) {}

  ShellScript read() {
    while (at_ < text_.size()) step();
    end_command();
    script_.notes = std::move(notes_);
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
      if (branch) variables_.next_branch(branches_.certain());
      return;
    }
    if (c == '&' || c == '|') return connect();
    if (c == '<' || c == '>') return redirect();
    if (c == '(' && words_.empty()) {
      advance();
      if (peek() == '(') return arithmetic_test();
      return enter("(");
    }
    if (c == ')') {
      advance();
      if (variables_.within("(")) {
        end_command();
        leave();
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
    if (in_double_brackets() && peek(1) == c) {
      words_.push_back({std::string(2, c), here(), true});
      return advance(2);
    }
    if (c == '&' && peek(1) == '>') {
      advance();
      return redirect();
    }
    const bool two = peek(1) == c;
    advance(two || (c == '|' && peek(1) == '&') ? 2 : 1);
    const bool test = is_test() || arithmetic_;
    const bool skipped = skip_;
    end_command();
    if (branches_.in_condition()) {
      join_ = !two ? Join::none : c == '|' ? Join::any : Join::all;
      return;
    }
    if (!two) return;
    const ShellTruth wanted = c == '&' ? ShellTruth::yes : ShellTruth::no;
    if ((test || skipped) && status_ != ShellTruth::unknown && !was_uncertain_) {
      skip_ = status_ != wanted;
      return;
    }
    uncertain_ = c == '|' || test || was_uncertain_;
  }

  bool is_test() const override {
    return !words_.empty() && (words_[0].text == "[" || words_[0].text == "[[" || words_[0].text == "test");
  }
  bool in_double_brackets() const {
    return !words_.empty() && words_[0].text == "[[" && words_[0].bare && words_.back().text != "]]";
  }

  // --- which branches are run ---

  void enter(const std::string& kind) {
    variables_.enter(kind);
    branches_.enter(kind);
    condition_ = ShellTruth::unknown, join_ = Join::none, negates_ = false;
  }
  void leave() {
    variables_.leave(branches_.certain());
    branches_.leave();
    condition_ = ShellTruth::unknown, join_ = Join::none, negates_ = false;
  }

  /// A word of a test, without what nothing sets: a script that is run as it stands finds it empty. Not so where it is
  /// asked for by name (check_env_vars TP).
  TestWord test_word(const Word& word) {
    std::string text;
    for (std::size_t i = 0; i < word.text.size(); ++i) {
      if (word.text[i] == kEdge || word.text[i] == kSplit) continue;
      if (word.text[i] != kOpen) {
        text += word.text[i];
        continue;
      }
      const std::size_t index = unknown_at(word.text, i);
      if (index >= unknown_.size() || unknown_[index].why != kUnset) return {std::nullopt, !word.bare};
      std::string name = unknown_[index].written;
      std::erase_if(name, [](char c) { return c == '$' || c == '{' || c == '}' || c == '"'; });
      if (expected_.contains(name)) return {std::nullopt, !word.bare};
      note(name, "nothing sets " + name + ": tests of the script find it empty");
    }
    return {text, !word.bare};
  }

  /// Of the command that has been read.
  ShellTruth command_truth() {
    if (arithmetic_) return *arithmetic_;
    if (words_.empty()) return ShellTruth::unknown;
    if (words_[0].bare && words_.size() == 1 && (words_[0].text == "true" || words_[0].text == ":"))
      return ShellTruth::yes;
    if (words_[0].bare && words_.size() == 1 && words_[0].text == "false") return ShellTruth::no;
    if (!is_test()) return ShellTruth::unknown;
    std::vector<TestWord> words;
    for (const Word& word : words_) words.push_back(test_word(word));
    return truth_of_test(
        words, [&](const std::string& name) { return written_file(name) != nullptr; },
        [&](const std::string& text) {
          return ShellArithmetic(text, [this](std::string_view name) { return variables_.number(std::string(name)); })
              .value();
        });
  }

  /// Takes the command's truth into that of the condition that it belongs to.
  void take_truth() {
    if (words_.empty() && !arithmetic_) return;
    if (branches_.dead()) {
      negates_ = false;
      return;
    }
    ShellTruth truth = command_truth();
    if (std::exchange(negates_, false)) truth = negated(truth);
    if (!skip_) status_ = truth;
    if (!branches_.in_condition()) return;
    const ShellTruth before = condition_;
    const auto either = [&](ShellTruth wins) {
      return before == wins || truth == wins ? wins : before == truth ? before : ShellTruth::unknown;
    };
    condition_ = join_ == Join::all ? either(ShellTruth::no) : join_ == Join::any ? either(ShellTruth::yes) : truth;
    join_ = Join::none;
  }

  const ShellFile* written_file(const std::string& name) const {
    const auto found = std::ranges::find(script_.files, name, &ShellFile::name);
    return found == script_.files.end() ? nullptr : &*found;
  }

  void redirect() {
    if (peek() == '<' && peek(1) == '<' && peek(2) != '<') {
      advance(2);
      if (peek() == '-') advance();
      skip_spaces();
      HereDocument document;
      while (at_ < text_.size() && !is_blank(peek()) && peek() != ';') {
        if (peek() != '"' && peek() != '\'' && peek() != '\\')
          document.end += peek();
        else
          document.as_written = true;
        advance();
      }
      if (!document.end.empty()) here_.push_back(std::move(document));
      return;
    }
    if (in_double_brackets()) {  // an order of texts
      words_.push_back({std::string(1, peek()), here(), true});
      return advance();
    }
    const bool into = peek() == '>' && (at_ == 0 || text_[at_ - 1] == ' ' || text_[at_ - 1] == '\t');
    if (into) appends_ = peek(1) == '>';
    while (peek() == '<' || peek() == '>' || peek() == '&' || peek() == '|') advance();
    skip_spaces();
    if (peek() == '(') {  // a process in place of a file
      std::string ignored;
      return void(balanced('(', ')', ignored));
    }
    if (peek() == '\n' || peek() == '\0' || peek() == ';' || peek() == '|') return;
    const Word file = word();
    if (into) into_ = file;
  }

  /// What stands up to the end's word goes into the file that the command names.
  void skip_here_documents() {
    for (const HereDocument& document : here_) {
      const Place place = here();
      std::string text;
      while (at_ < text_.size()) {
        std::string line;
        while (at_ < text_.size() && peek() != '\n') {
          line += peek();
          advance();
        }
        advance();
        const std::size_t first = line.find_first_not_of(" \t");
        if (first != std::string::npos &&
            line.substr(first, line.find_last_not_of(" \t\r") - first + 1) == document.end)
          break;
        text += line + "\n";
      }
      if (here_file_) write_file(document.as_written ? text : plain_text(text, place), place);
    }
    here_.clear();
    here_file_.reset();
  }

  void write_file(const std::string& text, const Place& place) {
    const TestWord name = test_word(*here_file_);
    if (!name.text || name.text->empty() || script_.files.size() > 256) return;
    RunCommand written;
    add_word({text, place, true}, written);
    expanded_ += text.size();
    if (expanded_ > 4 * kLongestValue) refuse(place, "files of more than a megabyte", "shorter ones");
    const auto found = std::ranges::find(script_.files, *name.text, &ShellFile::name);
    if (found == script_.files.end())
      script_.files.push_back({*name.text, written.words[0], place});
    else
      found->text = here_appends_ ? found->text + written.words[0] : written.words[0];
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

  /// `(( a < b ))`
  void arithmetic_test() {
    int depth = 2;
    advance();
    const std::size_t begin = at_;
    while (at_ < text_.size() && depth > 0) {
      depth += peek() == '(' ? 1 : peek() == ')' ? -1 : 0;
      advance();
    }
    const std::size_t end = std::max(begin, at_ - std::min<std::size_t>(at_, 2));
    ShellArithmetic sum(text_.substr(begin, end - begin),
                        [this](std::string_view name) { return variables_.number(std::string(name)); });
    const auto value = sum.value();
    arithmetic_ = !value ? ShellTruth::unknown : *value != 0 ? ShellTruth::yes : ShellTruth::no;
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
      return enter("{");
    }
    if (next.bare && next.text == "in" && words_.size() == 2 && words_[0].text == "case") {
      words_.clear();
      return enter("case");
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
    if (text == "then" || text == "do") return branches_.then(condition_), true;
    if (text == "!") return negates_ = !negates_, true;
    if (text == "time" || text == "exec" || text == "function") return text != "function" || (function_name(), true);
    if (text == "if" || text == "while" || text == "until") return enter(text), true;
    if (text == "else" || text == "elif") {
      variables_.next_branch(branches_.certain());
      condition_ = ShellTruth::unknown, join_ = Join::none;
      return text == "else" ? branches_.otherwise() : branches_.elif (), true;
    }
    if (text == "fi" || text == "done" || text == "esac" || text == "}") return leave(), true;
    if (text == "{") return enter("{"), true;
    if (text != "for" && text != "select") return false;
    skip_spaces();
    const Place place = here();
    const std::size_t n = shell_name_length(text_.substr(at_));
    const std::string name(text_.substr(at_, n));
    advance(n);
    while (at_ < text_.size() && peek() != '\n' && peek() != ';') advance();
    enter("for");
    if (n > 0) store(name, {{{unknown("$" + name, place, "which a loop changes", false), place}}, false});
    return true;
  }

  void function_name() {
    skip_spaces();
    while (at_ < text_.size() && !is_blank(peek()) && peek() != '{') advance();
  }

  void end_command() {
    take_truth();
    const bool skipped = std::exchange(skip_, false) || branches_.dead();
    const bool tee = words_.size() > 1 && words_[0].text == "tee";
    here_file_.reset();
    if (!skipped && !words_.empty() && words_[0].text == "cat") here_file_ = into_;
    if (!skipped && tee) here_file_ = words_.back();
    here_appends_ = appends_ || (tee && words_[1].text == "-a");
    into_.reset(), appends_ = false, arithmetic_.reset();
    if (skipped) {
      words_.clear();
      pending_.clear();
      was_uncertain_ = std::exchange(uncertain_, false);
      return;
    }
    was_uncertain_ = uncertain_;
    for (const Word& name : words_)
      if (&name != words_.data() && name.bare && shell_name_length(name.text) == name.text.size())
        expected_.insert(name.text);
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
  struct HereDocument {
    std::string end;
    bool as_written = false;  ///< variables in it are none
  };
  std::vector<HereDocument> here_;  // that begin behind this line
  std::optional<Word> into_, here_file_;
  bool appends_ = false, here_appends_ = false;

  enum class Join : std::uint8_t { none, all, any };
  ShellTruth condition_ = ShellTruth::unknown;  // of the commands of a condition so far
  ShellTruth status_ = ShellTruth::unknown;     // of the last command
  Join join_ = Join::none;                      // with what the next command is joined to them
  std::optional<ShellTruth> arithmetic_;        // the command is `(( ... ))`
  bool negates_ = false, skip_ = false;         // the next command
  std::set<std::string> expected_;
};

}  // namespace

ShellScript read_shell(const std::string& text, const std::string& file) { return ShellReader(text, file).read(); }

}  // namespace flopcast
