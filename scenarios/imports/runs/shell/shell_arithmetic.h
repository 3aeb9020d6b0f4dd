// `$(( ... ))` of a shell. Internal to scenarios/imports/runs/shell.
#pragma once
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string_view>

namespace flopcast {

/// The length of a variable's name at the beginning of a text; 0: there is none.
inline std::size_t shell_name_length(std::string_view text) {
  const auto part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  std::size_t n = 0;
  while (n < text.size() && part(text[n])) ++n;
  return n > 0 && text[0] >= '0' && text[0] <= '9' ? 0 : n;
}

/// Whole numbers, + - * / %, comparisons, && || ! and a ? b : c, parentheses, names whose values are whole numbers.
class ShellArithmetic {
 public:
  using Lookup = std::function<std::optional<std::int64_t>(std::string_view)>;
  ShellArithmetic(std::string_view text, Lookup lookup) : text_(text), lookup_(std::move(lookup)) {}

  std::optional<std::int64_t> value() {
    const auto result = choice(0);
    blanks();
    return at_ == text_.size() ? result : std::nullopt;
  }

 private:
  static constexpr int kDeepest = 64;
  static constexpr std::int64_t kLargest = std::int64_t{1} << 53;

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  char next() {
    blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  static std::optional<std::int64_t> within(std::int64_t value) {
    return value > -kLargest && value < kLargest ? std::optional(value) : std::nullopt;
  }
  /// Takes an operator of these characters that stands next.
  bool takes(std::string_view sign) {
    blanks();
    if (text_.substr(at_, sign.size()) != sign) return false;
    at_ += sign.size();
    return true;
  }
  std::optional<std::int64_t> choice(int depth) {
    if (depth > kDeepest) return std::nullopt;
    const auto condition = any(depth);
    if (!condition || !takes("?")) return condition;
    const auto first = choice(depth + 1);
    if (!first || !takes(":")) return std::nullopt;
    const auto second = choice(depth + 1);
    if (!second) return std::nullopt;
    return *condition != 0 ? first : second;
  }
  std::optional<std::int64_t> any(int depth) {
    auto left = all(depth);
    while (left && takes("||")) {
      const auto right = all(depth);
      left = right ? std::optional<std::int64_t>(*left != 0 || *right != 0) : std::nullopt;
    }
    return left;
  }
  std::optional<std::int64_t> all(int depth) {
    auto left = comparison(depth);
    while (left && takes("&&")) {
      const auto right = comparison(depth);
      left = right ? std::optional<std::int64_t>(*left != 0 && *right != 0) : std::nullopt;
    }
    return left;
  }
  std::optional<std::int64_t> comparison(int depth) {
    const auto left = sum(depth);
    if (!left) return left;
    const auto against = [&](auto compare) -> std::optional<std::int64_t> {
      const auto right = sum(depth);
      return right ? std::optional<std::int64_t>(compare(*left, *right)) : std::nullopt;
    };
    if (takes("==")) return against([](auto a, auto b) { return a == b; });
    if (takes("!=")) return against([](auto a, auto b) { return a != b; });
    if (takes("<=")) return against([](auto a, auto b) { return a <= b; });
    if (takes(">=")) return against([](auto a, auto b) { return a >= b; });
    if (takes("<")) return against([](auto a, auto b) { return a < b; });
    if (takes(">")) return against([](auto a, auto b) { return a > b; });
    return left;
  }
  std::optional<std::int64_t> sum(int depth) {
    auto left = product(depth);
    while (left && (next() == '+' || next() == '-')) {
      const char sign = text_[at_++];
      const auto right = product(depth);
      left = right ? within(sign == '+' ? *left + *right : *left - *right) : std::nullopt;
    }
    return left;
  }
  std::optional<std::int64_t> product(int depth) {
    auto left = factor(depth);
    while (left && (next() == '*' || next() == '/' || next() == '%')) {
      const char sign = text_[at_++];
      const auto right = factor(depth);
      if (!right || (sign != '*' && *right == 0)) return std::nullopt;
      if (sign == '*' && *left != 0 && std::abs(*right) > kLargest / std::abs(*left)) return std::nullopt;
      left = within(sign == '*' ? *left * *right : sign == '/' ? *left / *right : *left % *right);
    }
    return left;
  }
  std::optional<std::int64_t> factor(int depth) {
    if (depth > kDeepest) return std::nullopt;
    const char c = next();
    if (c == '-') {
      ++at_;
      const auto value = factor(depth + 1);
      return value ? std::optional(-*value) : std::nullopt;
    }
    if (c == '!' && text_.substr(at_ + 1, 1) != "=") {
      ++at_;
      const auto value = factor(depth + 1);
      return value ? std::optional<std::int64_t>(*value == 0) : std::nullopt;
    }
    if (c == '(') {
      ++at_;
      const auto value = choice(depth + 1);
      if (next() != ')') return std::nullopt;
      ++at_;
      return value;
    }
    if (c == '$') ++at_;
    std::string_view rest = text_.substr(at_);
    const bool braces = c == '$' && rest.starts_with('{');
    if (braces) rest.remove_prefix(1);
    if (const std::size_t n = shell_name_length(rest); n > 0) {
      if (braces && (n == rest.size() || rest[n] != '}')) return std::nullopt;
      at_ += n + (braces ? 2 : 0);
      return lookup_(rest.substr(0, n));
    }
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || c == '$') return std::nullopt;
    at_ += static_cast<std::size_t>(end - rest.data());
    return within(number);
  }

  std::string_view text_;
  Lookup lookup_;
  std::size_t at_ = 0;
};

}  // namespace flopcast
