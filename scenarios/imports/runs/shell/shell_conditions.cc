#include "scenarios/imports/runs/shell/shell_conditions.h"

#include <fnmatch.h>

#include <algorithm>
#include <span>
#include <string_view>

namespace flopcast {

ShellTruth negated(ShellTruth truth) {
  return truth == ShellTruth::unknown ? truth : truth == ShellTruth::yes ? ShellTruth::no : ShellTruth::yes;
}

namespace {

ShellTruth truth(bool yes) { return yes ? ShellTruth::yes : ShellTruth::no; }

class TestReader {
 public:
  TestReader(bool patterns, const std::function<bool(const std::string&)>& wrote,
             const std::function<std::optional<std::int64_t>(const std::string&)>& number)
      : patterns_(patterns), wrote_(wrote), number_(number) {}

  ShellTruth read(std::span<const TestWord> words) const {
    if (const auto cut = last(words, "||", "-o")) {
      const ShellTruth a = read(words.first(*cut)), b = read(words.subspan(*cut + 1));
      if (a == ShellTruth::yes || b == ShellTruth::yes) return ShellTruth::yes;
      return a == ShellTruth::no && b == ShellTruth::no ? ShellTruth::no : ShellTruth::unknown;
    }
    if (const auto cut = last(words, "&&", "-a")) {
      const ShellTruth a = read(words.first(*cut)), b = read(words.subspan(*cut + 1));
      if (a == ShellTruth::no || b == ShellTruth::no) return ShellTruth::no;
      return a == ShellTruth::yes && b == ShellTruth::yes ? ShellTruth::yes : ShellTruth::unknown;
    }
    if (!words.empty() && is(words[0], "!")) return negated(read(words.subspan(1)));
    switch (words.size()) {
      case 1:
        if (is(words[0], "-z")) return ShellTruth::yes;  // of a text that left no word
        if (is(words[0], "-n")) return truth(!patterns_);
        return words[0].text ? truth(!words[0].text->empty()) : ShellTruth::unknown;
      case 2:
        return of_one(words[0], words[1]);
      case 3:
        return of_two(words[0], words[1], words[2]);
      default:
        return ShellTruth::unknown;
    }
  }

 private:
  static bool is(const TestWord& word, std::string_view text) { return !word.quoted && word.text == text; }

  /// The place of the last of these words, inside of the others.
  static std::optional<std::size_t> last(std::span<const TestWord> words, std::string_view one,
                                         std::string_view other) {
    for (std::size_t i = words.size(); i-- > 0;)
      if (i > 0 && i + 1 < words.size() && (is(words[i], one) || is(words[i], other))) return i;
    return std::nullopt;
  }

  ShellTruth of_one(const TestWord& sign, const TestWord& word) const {
    if (!sign.text || !word.text) return ShellTruth::unknown;
    if (is(sign, "-z")) return truth(word.text->empty());
    if (is(sign, "-n")) return truth(!word.text->empty());
    for (const char* file : {"-f", "-e", "-s", "-r", "-d", "-x"}) {
      if (!is(sign, file)) continue;
      if (word.text->empty()) return ShellTruth::no;
      return *sign.text != "-d" && wrote_(*word.text) ? ShellTruth::yes : ShellTruth::unknown;
    }
    return ShellTruth::unknown;
  }

  ShellTruth of_two(const TestWord& left, const TestWord& sign, const TestWord& right) const {
    if (!left.text || !right.text || !sign.text) return ShellTruth::unknown;
    const bool equal = is(sign, "=") || is(sign, "=="), other = is(sign, "!=");
    if (equal || other) {
      const bool pattern = patterns_ && !right.quoted;
      const bool same = pattern ? fnmatch(right.text->c_str(), left.text->c_str(), 0) == 0 : *left.text == *right.text;
      return truth(same == equal);
    }
    const auto a = number_(*left.text), b = number_(*right.text);
    if (!a || !b) return ShellTruth::unknown;
    if (is(sign, "-eq")) return truth(*a == *b);
    if (is(sign, "-ne")) return truth(*a != *b);
    if (is(sign, "-gt")) return truth(*a > *b);
    if (is(sign, "-ge")) return truth(*a >= *b);
    if (is(sign, "-lt")) return truth(*a < *b);
    return is(sign, "-le") ? truth(*a <= *b) : ShellTruth::unknown;
  }

  bool patterns_;
  const std::function<bool(const std::string&)>& wrote_;
  const std::function<std::optional<std::int64_t>(const std::string&)>& number_;
};

}  // namespace

ShellTruth truth_of_test(const std::vector<TestWord>& words, const std::function<bool(const std::string&)>& wrote,
                         const std::function<std::optional<std::int64_t>(const std::string&)>& number) {
  if (words.empty() || !words[0].text) return ShellTruth::unknown;
  const std::string& first = *words[0].text;
  const std::string_view close = first == "[" ? "]" : first == "[[" ? "]]" : "";
  if (close.empty() && first != "test") return ShellTruth::unknown;
  std::span<const TestWord> inner(words);
  inner = inner.subspan(1);
  if (!close.empty()) {
    if (inner.empty() || inner.back().text != close) return ShellTruth::unknown;
    inner = inner.first(inner.size() - 1);
  }
  return inner.empty() ? ShellTruth::no : TestReader(first == "[[", wrote, number).read(inner);
}

void ShellBranches::enter(const std::string& kind) {
  Block block;
  block.branches = kind == "if";
  block.until = kind == "until";
  block.loop = kind == "while" || kind == "until";
  block.condition = block.branches || block.loop;
  blocks_.push_back(block);
}

void ShellBranches::then(ShellTruth condition) {
  if (blocks_.empty() || !blocks_.back().condition) return;
  Block& block = blocks_.back();
  block.condition = false;
  if (block.until) condition = negated(condition);
  block.dead = block.taken || condition == ShellTruth::no;
  // A loop's body may be run many times over.
  block.certain = block.branches && !block.dead && !block.unsure && condition == ShellTruth::yes;
  block.taken = block.taken || (block.branches && condition == ShellTruth::yes);
  block.unsure = block.unsure || condition == ShellTruth::unknown;
}

void ShellBranches::elif () {
  if (blocks_.empty() || !blocks_.back().branches) return;
  blocks_.back().condition = true;
  blocks_.back().dead = blocks_.back().certain = false;
}

void ShellBranches::otherwise() {
  if (blocks_.empty() || !blocks_.back().branches) return;
  Block& block = blocks_.back();
  block.condition = false;
  block.dead = block.taken;
  block.certain = !block.dead && !block.unsure;
}

void ShellBranches::leave() {
  if (!blocks_.empty()) blocks_.pop_back();
}

bool ShellBranches::dead() const { return std::ranges::any_of(blocks_, &Block::dead); }

}  // namespace flopcast
