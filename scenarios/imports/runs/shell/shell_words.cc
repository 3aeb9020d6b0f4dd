#include "scenarios/imports/runs/shell/shell_words.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "scenarios/imports/runs/shell/shell_arithmetic.h"

namespace flopcast {
namespace {

constexpr const char* kWithoutArguments = "the script is read as started without arguments";

}  // namespace

ShellWords::Word ShellWords::word() {
  Word out{"", here(), true};
  const std::size_t begin = at_;
  int nested = 0;
  while (at_ < text_.size()) {
    const char c = peek();
    if (is_blank(c) || c == ';' || c == '&' || c == '|' || c == '<' || c == '>') break;
    if (c == ')' && nested-- <= 0) break;
    if (c == '(') ++nested;
    if (c == '\\') {
      if (peek(1) == '\n' || peek(1) == '\r') {
        advance(peek(1) == '\r' && peek(2) == '\n' ? 3 : 2);
        if (out.text.empty() && is_blank(peek())) break;
        continue;
      }
      advance();
      add_character(out);
      out.bare = false;
    } else if (c == '\'' || (c == '$' && peek(1) == '\'')) {
      out.bare = false;
      single_quoted(out);
    } else if (c == '"') {
      out.bare = false;
      double_quoted(out);
    } else if (c == '$' || c == '`') {
      out.bare = false;
      expand(out, false);
    } else {
      add_character(out);
    }
  }
  if (at_ == begin) advance();
  return out;
}

void ShellWords::add_character(Word& out) {
  const char c = peek();
  const bool number = within_ > 0 && (c == kOpen || c == kClose);  // of a variable of the text round this one
  if (c != '\0' && (c < kOpen || c > kEdge || number)) out.text += c;
  advance();
}

void ShellWords::single_quoted(Word& out) {
  const Place open = here();
  advance(peek() == '$' ? 2 : 1);
  out.text += kEdge;
  while (at_ < text_.size() && peek() != '\'') add_character(out);
  if (at_ >= text_.size()) refuse(open, "a quote that is not closed", "another '");
  advance();
}

void ShellWords::double_quoted(Word& out) {
  const Place open = here();
  advance();
  out.text += kEdge;
  while (at_ < text_.size() && peek() != '"') {
    const char c = peek();
    if (c == '\\' && (peek(1) == '\n' || peek(1) == '\r')) {
      advance(peek(1) == '\r' && peek(2) == '\n' ? 3 : 2);
    } else if (c == '\\' && at_ + 1 < text_.size()) {
      advance();
      add_character(out);
    } else if (c == '$' || c == '`') {
      expand(out, true);
    } else {
      add_character(out);
    }
  }
  if (at_ >= text_.size()) refuse(open, "a quote that is not closed", "another \"");
  advance();
}

std::string ShellWords::unknown(std::string written, const Place& place, std::string why, bool may_be_words) {
  unknown_.push_back({std::move(written), place, std::move(why), may_be_words || whole_lists_});
  return fmt::format("{}{}{}", kOpen, unknown_.size() - 1, kClose);
}

/// A variable, an arithmetic expression or the output of a command, at $ or `.
void ShellWords::expand(Word& out, bool in_quotes) {
  const Place place = here();
  const std::size_t begin = at_;
  const auto since = [&] { return std::string(text_.substr(begin, at_ - begin)); };
  const auto leave_out = [&](const char* why) { out.text += unknown(since(), place, why, !in_quotes); };
  constexpr const char* kOutput = "the output of a command, which is not executed";
  std::string inner;
  if (peek() == '`') {
    advance();
    while (at_ < text_.size() && peek() != '`') advance();
    advance();
    return leave_out(kOutput);
  }
  if (peek(1) == '(') {
    const bool arithmetic = peek(2) == '(';
    advance();
    if (!balanced('(', ')', inner)) refuse(place, "a parenthesis that is not closed", "another )");
    if (!arithmetic) return leave_out(kOutput);
    ShellArithmetic sum(inner, [this](std::string_view name) { return variables_.number(std::string(name)); });
    const auto value = inner.size() > 4096 ? std::nullopt : sum.value();
    if (!value) return leave_out("a sum of what is not known");
    out.text += std::to_string(*value);
    return;
  }
  if (peek(1) == '{') {
    advance();
    if (!balanced('{', '}', inner)) refuse(place, "a brace that is not closed", "another }");
    return expand_braces(inner, since(), place, in_quotes, out);
  }
  const std::size_t n = shell_name_length(text_.substr(at_ + 1));
  if (n > 0) {
    const std::string name(text_.substr(at_ + 1, n));
    advance(n + 1);
    return put(name, false, since(), place, in_quotes, out);
  }
  const char c = peek(1);
  if (c == '#' && (is_test() || branches_.in_condition())) {
    advance(2);
    note("$1", kWithoutArguments);
    out.text += '0';
    return;
  }
  if ((c >= '0' && c <= '9') || c == '@' || c == '*' || c == '#' || c == '?' || c == '$' || c == '!') {
    advance(2);
    out.text += unknown(since(), place, "what the script itself is given", !in_quotes || c == '@' || c == '*');
    return;
  }
  add_character(out);  // a lone $
}

/// NAME, NAME[@], NAME[0], NAME:-otherwise, NAME-otherwise, NAME:=otherwise.
void ShellWords::expand_braces(const std::string& inner, const std::string& written, const Place& place, bool in_quotes,
                               Word& out) {
  const std::size_t n = shell_name_length(inner);
  const std::string name = inner.substr(0, n), rest = inner.substr(n);
  // What the script is given: it is read as started without anything.
  if (const std::size_t digits = inner.find_first_not_of("0123456789");
      digits > 0 && digits != std::string::npos && inner[0] != '0') {
    const std::size_t sign = digits + (inner[digits] == ':' ? 1 : 0);
    if (sign < inner.size() && (inner[sign] == '-' || inner[sign] == '=')) {
      note("$1", kWithoutArguments);
      return put_text(fallback(inner.substr(sign + 1), place), in_quotes, out);
    }
  }
  if (n > 0 && (rest.empty() || rest == "[@]" || rest == "[*]"))
    return put(name, !rest.empty(), written, place, in_quotes, out);
  if (n > 0 && rest.size() > 2 && rest.front() == '[' && rest.back() == ']') {
    const ShellValue* found = variables_.find(name);
    std::size_t index = 0;
    const char *first = rest.data() + 1, *last = rest.data() + rest.size() - 1;
    const auto [end, error] = std::from_chars(first, last, index);
    if (found != nullptr && error == std::errc() && end == last && index < found->words.size()) {
      out.text += found->words[index].first;
      return;
    }
  }
  const std::size_t mark = rest.starts_with(':') ? 1 : 0;
  if (n > 0 && rest.size() > mark && (rest[mark] == '-' || rest[mark] == '=')) {
    const ShellValue* found = variables_.find(name);
    const bool empty = found != nullptr && found->words.size() == 1 && found->words[0].first.empty() && mark == 1;
    if ((found != nullptr && !empty) || variables_.doubted(name) != nullptr)
      return put(name, false, written, place, in_quotes, out);
    const std::string otherwise = fallback(rest.substr(mark + 1), place);
    if (rest[mark] == '=') store(name, {{{otherwise, place}}, false});
    return put_text(otherwise, in_quotes, out);
  }
  out.text += unknown(written, place, "an expansion that is not read here", !in_quotes);
}

/// What stands for a variable that has no value: without its quotes, with what its own variables are.
std::string ShellWords::fallback(std::string text, const Place& place) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  if (text.find_first_of("$`") != std::string::npos && depth_ < 8) text = plain_text(text, place);
  return text;
}

/// A text within the text, as between double quotes.
std::string ShellWords::plain_text(const std::string& inner, const Place& place) {
  const auto [text, at, line, column] = std::tuple(text_, at_, line_, column_);
  const std::size_t before = unknown_.size();
  text_ = inner, at_ = 0, ++depth_;
  Word out{"", place, true};
  while (at_ < text_.size()) {
    if (peek() == '$' || peek() == '`')
      expand(out, true);
    else
      add_character(out);
  }
  text_ = text, at_ = at, line_ = line, column_ = column, --depth_;
  for (std::size_t i = before; i < unknown_.size(); ++i) unknown_[i].place = place;
  return out.text;
}

void ShellWords::put(const std::string& name, bool all, const std::string& written, const Place& place, bool in_quotes,
                     Word& out) {
  const ShellValue* found = variables_.find(name);
  if (found == nullptr) {
    const std::string* reason = variables_.doubted(name);
    out.text += unknown(written, place, reason == nullptr ? kUnset : *reason, !in_quotes || all);
    return;
  }
  const ShellValue& value = (*found);
  if (!value.list || !all) {
    if (!value.words.empty()) put_text(value.words[0].first, in_quotes, out);
    return;
  }
  for (std::size_t i = 0; i < value.words.size(); ++i) {
    if (i > 0) out.text += whole_lists_ ? ' ' : kSplit;
    // A flag with its value in one element is cut where the list is not quoted, as the shell does.
    const std::string& text = value.words[i].first;
    put_text(text, in_quotes || !text.starts_with("--"), out);
  }
}

/// Blanks of a value that is not quoted cut the word.
void ShellWords::put_text(const std::string& text, bool in_quotes, Word& out) {
  expanded_ += text.size();
  if (expanded_ > 4 * kLongestValue) refuse(here(), "variables of more than a megabyte", "shorter ones");
  if (in_quotes || whole_lists_) {
    out.text += text;
    return;
  }
  for (const char c : text) out.text += is_blank(c) ? kSplit : c;
}

std::vector<ShellWords::Word> ShellWords::split(const Word& word) {
  std::vector<Word> parts;
  std::size_t from = 0;
  const auto add = [&](std::size_t end) {
    std::string part = word.text.substr(from, end - from);
    from = end + 1;
    const bool quoted_part = part.find(kEdge) != std::string::npos;
    std::erase(part, kEdge);
    if (!part.empty() || quoted_part) parts.push_back({std::move(part), word.place, word.bare});
  };
  for (std::size_t i = 0; i < word.text.size(); ++i)
    if (word.text[i] == kSplit) add(i);
  add(word.text.size());
  return parts;
}

ShellValue ShellWords::list() {
  const Place open = here();
  advance();
  ShellValue value{{}, true};
  for (;;) {
    const char c = peek();
    if (c == '\0') refuse(open, "a list that is not closed", "another )");
    if (c == ')') break;
    if (is_blank(c)) {
      advance();
    } else if (c == '\\' && (peek(1) == '\n' || peek(1) == '\r')) {
      advance(2);
    } else if (c == '#') {
      while (at_ < text_.size() && peek() != '\n') advance();
    } else if (c == ';' || c == '&' || c == '|' || c == '<' || c == '>') {
      advance();
    } else {
      for (Word& part : split(word())) value.words.emplace_back(std::move(part.text), std::move(part.place));
    }
  }
  advance();
  return value;
}

ShellValue ShellWords::plain() {
  if (at_ >= text_.size() || is_blank(peek()) || std::string_view(";&|<>)").find(peek()) != std::string_view::npos)
    return {{{"", here()}}, false};
  const bool whole = std::exchange(whole_lists_, true);
  Word next = word();
  whole_lists_ = whole;
  std::erase_if(next.text, [](char c) { return c == kSplit || c == kEdge; });
  return {{{std::move(next.text), std::move(next.place)}}, false};
}

std::size_t ShellWords::unknown_at(const std::string& text, std::size_t& i) {
  std::size_t index = 0;
  for (++i; i < text.size() && text[i] != kClose; ++i) index = index * 10 + static_cast<std::size_t>(text[i] - '0');
  return index;
}

void ShellWords::note(const std::string& about, std::string text) {
  if (noted_.insert(about).second) notes_.push_back(std::move(text));
}

void ShellWords::assign(Assignment assignment) {
  if (branches_.dead()) return;
  if (uncertain_) return variables_.doubt(assignment.name);
  const bool fits = assignment.adds ? variables_.add(assignment.name, std::move(assignment.value))
                                    : variables_.set(assignment.name, std::move(assignment.value));
  if (!fits) refuse(here(), "variables of more than a megabyte", "shorter ones");
}

void ShellWords::add_word(Word word, RunCommand& command) const {
  std::string text;
  std::vector<UnknownVariable> variables;
  for (std::size_t i = 0; i < word.text.size(); ++i) {
    if (word.text[i] != kOpen) {
      text += word.text[i];
      continue;
    }
    const std::size_t index = unknown_at(word.text, i);
    if (index >= unknown_.size()) continue;
    variables.push_back(unknown_[index]);
    text += unknown_[index].written;
  }
  for (UnknownVariable& variable : variables) variable.may_be_words &= text == variable.written;
  command.add(std::move(text), std::move(word.place), std::move(variables));
}

}  // namespace flopcast
