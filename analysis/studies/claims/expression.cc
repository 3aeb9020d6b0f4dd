#include "analysis/studies/claims/expression.h"

#include <cctype>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "sim/base/diagnostic.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

/// Recursive descent: sum -> product -> factor.
class Parser {
 public:
  Parser(const std::string& text, const CallFunction& call) : text_(text), call_(call) {}

  double whole() {
    const double value = read();
    if (!std::isfinite(value)) fail("a finite result");
    return value;
  }

  /// The value of what was read, whatever it is.
  double read() {
    const double value = sum();
    if (skip_space(); at_ != text_.size()) fail("an operator");
    return value;
  }

 private:
  double sum() {
    double value = product();
    for (;;) {
      if (take('+'))
        value += product();
      else if (take('-'))
        value -= product();
      else
        return value;
    }
  }

  double product() {
    double value = factor();
    for (;;) {
      if (take('*'))
        value *= factor();
      else if (take('/'))
        value /= factor();
      else
        return value;
    }
  }

  double factor() {
    if (++depth_ > kDeepest) fail("fewer parentheses");
    double value = 0;
    if (take('-')) {
      value = -factor();
    } else if (take('(')) {
      value = sum();
      if (!take(')')) fail("a closing parenthesis");
    } else if (std::isalpha(static_cast<unsigned char>(peek()))) {
      value = function();
    } else {
      value = number();
    }
    --depth_;
    return value;
  }

  double number() {
    skip_space();
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("a number, a function or a parenthesis");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  double function() {
    skip_space();
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    const std::string name = text_.substr(begin, at_ - begin);
    if (!take('(')) fail("an opening parenthesis");
    std::vector<std::string> arguments{argument()};
    while (take(',')) arguments.push_back(argument());
    if (!take(')')) fail("a closing parenthesis");
    return call_(name, arguments);
  }

  /// Up to the next comma or parenthesis, or between single quotes.
  std::string argument() {
    const bool quoted = take('\'');
    const std::size_t end = text_.find_first_of(quoted ? "'" : ",)", at_);
    if (end == std::string::npos) fail(quoted ? "a closing quote" : "a closing parenthesis");
    const std::string text(trimmed(std::string_view(text_).substr(at_, end - at_), " \n"));
    at_ = end + (quoted ? 1 : 0);
    return text;
  }

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  [[noreturn]] void fail(const std::string& expected) const {
    throw InputError(
        Diagnostic{"", 0, 0, "compute", fmt::format("\"{}\" at \"{}\"", text_, text_.substr(at_, 20)), expected, ""});
  }

  static constexpr int kDeepest = 100;
  const std::string& text_;
  const CallFunction& call_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

double evaluate(const std::string& expression, const CallFunction& call) { return Parser(expression, call).whole(); }

void read_expression(const std::string& expression,
                     const std::function<void(const std::string& name, std::size_t arguments)>& look) {
  const CallFunction call = [&look](const std::string& name, const std::vector<std::string>& arguments) {
    look(name, arguments.size());
    return 1.0;
  };
  Parser(expression, call).read();
}

}  // namespace flopcast
