// Words of a shell script: quotes, variables, lists, sums. What is not known stays as it is written, with the reason.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "scenarios/imports/runs/shell/shell_conditions.h"
#include "scenarios/imports/runs/shell/shell_cursor.h"
#include "scenarios/imports/runs/shell/shell_script.h"
#include "scenarios/imports/runs/shell/shell_variables.h"

namespace flopcast {

class ShellWords : protected ShellCursor {
 protected:
  struct Word {
    std::string text;
    Place place;
    bool bare = true;  ///< nothing of it was quoted
  };
  struct Assignment {
    std::string name;
    ShellValue value;
    bool adds = false;
  };

  // Within a value: an unknown variable, by its number in the list of them.
  static constexpr char kOpen = '\x01', kClose = '\x02';
  // Within a word: where an unquoted variable's blanks cut it; where a quote begins.
  static constexpr char kSplit = '\x03', kEdge = '\x04';
  static constexpr std::size_t kLongestValue = 1 << 20;
  static constexpr const char* kUnset = "which nothing before it sets";

  using ShellCursor::ShellCursor;
  ~ShellWords() = default;
  /// Whether the command that is being read is a test.
  virtual bool is_test() const = 0;

  /// One word; at least one character is taken.
  Word word();
  /// A word, cut where unquoted variables had blanks; an empty one stays only where quotes made it.
  static std::vector<Word> split(const Word& word);
  /// The words of `(a b "c d")`.
  ShellValue list();
  /// What stands behind the `=` of an assignment.
  ShellValue plain();
  /// With what is written in place of the numbers of unknown variables.
  void add_word(Word word, RunCommand& command) const;

  /// Whatever is set where it is not certain that a command is run is not known from there on.
  void assign(Assignment assignment);
  void store(const std::string& name, ShellValue value) { assign({name, std::move(value), false}); }
  /// Stands for a variable of which the value is not known. @param why it is not. @param may_be_words several.
  std::string unknown(std::string written, const Place& place, std::string why, bool may_be_words);

  /// A text within the text, as between double quotes.
  std::string plain_text(const std::string& inner, const Place& place);
  /// The number of the unknown variable at `i` of a word, where kOpen is; `i` goes to its kClose.
  static std::size_t unknown_at(const std::string& text, std::size_t& i);
  /// Once for every `about`.
  void note(const std::string& about, std::string text);

  ShellVariables variables_;
  ShellBranches branches_;
  std::vector<std::string> notes_;
  std::size_t expanded_ = 0;  // characters that variables have put into words
  bool uncertain_ = false;    // whether what is being read is run depends on the command before
  std::vector<UnknownVariable> unknown_;
  int depth_ = 0;   // of texts within the text
  int within_ = 0;  // of them, texts that a shell is to run

 private:
  void add_character(Word& out);
  void single_quoted(Word& out);
  void double_quoted(Word& out);
  void expand(Word& out, bool in_quotes);
  void expand_braces(const std::string& inner, const std::string& written, const Place& place, bool in_quotes,
                     Word& out);
  std::string fallback(std::string text, const Place& place);
  void put(const std::string& name, bool all, const std::string& written, const Place& place, bool in_quotes,
           Word& out);
  void put_text(const std::string& text, bool in_quotes, Word& out);

  bool whole_lists_ = false;  // a list is one text, as in an assignment
  std::set<std::string> noted_;
};

}  // namespace flopcast
