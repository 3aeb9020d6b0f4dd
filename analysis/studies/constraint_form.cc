#include "analysis/studies/constraint_form.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

using Node = MetricExpression::Node;
using NodePointer = std::shared_ptr<const Node>;
using Kind = Node::Kind;

constexpr UnitPowers kPlainUnit{}, kTime{{1, 0, 0, 0, 0}}, kData{{0, 1, 0, 0, 0}}, kMoney{{0, 0, 1, 0, 0}},
    kEnergy{{0, 0, 0, 1, 0}}, kPower{{-1, 0, 0, 1, 0}}, kFlopRate{{-1, 0, 0, 0, 1}};

void add_prefixed_units(std::map<std::string, ExpressionUnit, std::less<>>& units, const std::string& base,
                        UnitPowers powers, double factor = 1) {
  for (const auto& [prefix, size] :
       {std::pair{"", 1.0}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}, {"E", 1e18}})
    units[prefix + base] = {size * factor, powers};
}

/// A word for a power of ten.
bool is_multiple(std::string_view word) { return word == "k" || word == "K" || word == "M" || word == "T"; }

}  // namespace

const std::map<std::string, ExpressionUnit, std::less<>>& expression_units() {
  static const auto kUnits = [] {
    std::map<std::string, ExpressionUnit, std::less<>> units;
    for (const auto& [name, seconds] : {std::pair{"ns", 1e-9},
                                        {"us", 1e-6},
                                        {"ms", 1e-3},
                                        {"s", 1.0},
                                        {"min", 60.0},
                                        {"h", 3600.0},
                                        {"hour", 3600.0},
                                        {"hours", 3600.0},
                                        {"d", 86400.0},
                                        {"day", 86400.0},
                                        {"days", 86400.0}})
      units[name] = {seconds, kTime};
    add_prefixed_units(units, "B", kData);
    for (const auto& [prefix, size] : {std::pair{"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}})
      units[std::string(prefix) + "B"] = {size, kData};
    add_prefixed_units(units, "b", kData, 0.125);
    units["bytes"] = {1, kData};
    units["USD"] = {1, kMoney};
    add_prefixed_units(units, "J", kEnergy);
    add_prefixed_units(units, "Wh", kEnergy, 3600);
    add_prefixed_units(units, "W", kPower);
    add_prefixed_units(units, "FLOPS", kFlopRate);
    units["GPU-hours"] = {3600, kTime};
    for (const char* counted : {"tokens", "token", "requests", "request", "GPUs", "GPU"})
      units[counted] = {1, kPlainUnit};
    for (const auto& [name, size] : {std::pair{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"T", 1e12}})
      units[name] = {size, kPlainUnit};
    return units;
  }();
  return kUnits;
}

UnitPowers combined(UnitPowers a, const UnitPowers& b, int sign) {
  for (std::size_t i = 0; i < a.of.size(); ++i) a.of[i] += sign * b.of[i];
  return a;
}

ExpressionUnit table_unit(std::string_view unit) {
  if (unit.empty() || unit == "1" || unit == "count" || unit == "text" || unit == "yes/no" || unit == "unit") return {};
  const std::size_t slash = unit.find('/');
  const auto found = expression_units().find(unit.substr(0, slash));
  if (found == expression_units().end()) return {};
  if (slash == std::string_view::npos) return found->second;
  const ExpressionUnit below = table_unit(unit.substr(slash + 1));
  return {found->second.factor / below.factor, combined(found->second.powers, below.powers, -1)};
}

ExpressionUnit literal_unit(std::string_view unit) {
  const std::size_t slash = unit.find('/');
  const ExpressionUnit above = expression_units().find(unit.substr(0, slash))->second;
  if (slash == std::string_view::npos) return above;
  const ExpressionUnit& below = expression_units().find(unit.substr(slash + 1))->second;
  return {above.factor / below.factor, combined(above.powers, below.powers, -1)};
}

std::string words_for(const UnitPowers& powers) {
  constexpr std::array<const char*, 5> kNames{"s", "bytes", "USD", "J", "FLOP"};
  std::string above, below;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    for (int n = 0; n < std::abs(powers.of[i]); ++n) (powers.of[i] > 0 ? above : below) += std::string(" ") + kNames[i];
  }
  if (above.empty() && below.empty()) return "a plain number";
  return (above.empty() ? "1" : above.substr(1)) + (below.empty() ? "" : " /" + below);
}

namespace {

/// A place in the text of a condition, and what stands there.
class ConstraintText {
 public:
  explicit ConstraintText(const std::string& text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(std::string_view sign) {
    skip_space();
    if (text_.compare(at_, sign.size(), sign) != 0) return false;
    at_ += sign.size();
    return true;
  }
  bool word_follows(std::string_view word) {
    skip_space();
    if (text_.compare(at_, word.size(), word) != 0) return false;
    const std::size_t after = at_ + word.size();
    return after >= text_.size() ||
           !(std::isalnum(static_cast<unsigned char>(text_[after])) || text_[after] == '_' || text_[after] == '.');
  }
  bool take_word(std::string_view word) {
    if (!word_follows(word)) return false;
    at_ += word.size();
    return true;
  }

  [[noreturn]] void fail(const std::string& expected) const {
    const std::string rest = text_.substr(std::min(at_, text_.size()), 30);
    throw InputError(Diagnostic{
        "", 0, 0, "",
        rest.empty() ? quoted(text_) + ", which ends there" : fmt::format("{} at {}", quoted(text_), quoted(rest)),
        expected, ""});
  }

  double number() {
    skip_space();
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  /// "projection.phases[pre-training].gpu_hours"
  std::string name() {
    const std::size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '[') {
        const std::size_t end = text_.find(']', at_);
        if (end == std::string::npos) fail("a closing bracket");
        at_ = end + 1;
      } else if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.') {
        ++at_;
      } else {
        break;
      }
    }
    return text_.substr(begin, at_ - begin);
  }

 protected:
  const std::string& text_;
  std::size_t at_ = 0;
};

class ConstraintParser : private ConstraintText {
 public:
  ConstraintParser(const std::string& text, std::vector<std::string>& names) : ConstraintText(text), names_(names) {}

  NodePointer whole() {
    NodePointer node = either();
    if (skip_space(); at_ != text_.size()) fail("an operator");
    return node;
  }

 private:
  static NodePointer made(Kind kind, std::vector<NodePointer> parts, std::string word = {}) {
    return std::make_shared<const Node>(Node{.kind = kind, .word = std::move(word), .parts = std::move(parts)});
  }

  NodePointer either() {
    NodePointer left = both();
    while (take_word("or") || take("||")) left = joined(Kind::either, left, both());
    return left;
  }

  NodePointer both() {
    NodePointer left = negation();
    while (take_word("and") || take("&&")) left = joined(Kind::both, left, negation());
    return left;
  }

  NodePointer joined(Kind kind, const NodePointer& left, const NodePointer& right) {
    if (!is_truth(*left) || !is_truth(*right)) fail("conditions on both sides of \"and\" and \"or\"");
    return made(kind, {left, right});
  }

  NodePointer negation() {
    if (!take_word("not")) return comparison();
    const NodePointer inner = negation();
    if (!is_truth(*inner)) fail("a condition after \"not\"");
    return made(Kind::negation, {inner});
  }

  /// Names may be switches, whose value is a condition by itself.
  static bool is_truth(const Node& node) {
    return node.condition() || node.kind == Kind::name || node.kind == Kind::truth;
  }

  NodePointer comparison() {
    NodePointer left = sum(), all;
    for (;;) {
      const std::string sign = comparison_sign();
      if (sign.empty()) return all ? all : left;
      NodePointer right = sum();
      if (left->condition() || right->condition()) fail("figures on both sides of a comparison");
      const NodePointer one = made(Kind::compare, {left, right}, sign);
      all = all ? made(Kind::both, {all, one}) : one;
      left = std::move(right);
    }
  }

  std::string comparison_sign() {
    for (const char* sign : {"<=", ">=", "==", "!=", "<", ">", "="})
      if (take(sign)) return std::string(sign) == "=" ? "==" : sign;
    return "";
  }

  NodePointer sum() {
    NodePointer left = product();
    for (;;) {
      if (take("+"))
        left = arithmetic(Kind::add, left, product());
      else if (take("-"))
        left = arithmetic(Kind::subtract, left, product());
      else
        return left;
    }
  }

  NodePointer product() {
    NodePointer left = factor();
    for (;;) {
      if (take("*"))
        left = arithmetic(Kind::multiply, left, factor());
      else if (take("/"))
        left = quotient(left, factor());
      else
        return left;
    }
  }

  NodePointer quotient(const NodePointer& left, const NodePointer& right) {
    if (right->kind == Kind::number && right->number == 0) fail("something other than 0 to divide by");
    return arithmetic(Kind::divide, left, right);
  }

  NodePointer arithmetic(Kind kind, const NodePointer& left, const NodePointer& right) {
    for (const NodePointer& side : {left, right})
      if (side->condition() || side->kind == Kind::text || side->kind == Kind::truth) fail("figures to calculate with");
    return made(kind, {left, right});
  }

  NodePointer factor() {
    if (++depth_ > kDeepest) fail("fewer parentheses");
    NodePointer node = value();
    --depth_;
    return node;
  }

  NodePointer value() {
    if (take("-")) {
      const NodePointer inner = factor();
      return arithmetic(Kind::multiply, plain(-1), inner);
    }
    if (take("(")) {
      NodePointer inner = either();
      if (!take(")")) fail("a closing parenthesis");
      return inner;
    }
    const char next = peek();
    if (next == '\'' || next == '"') return text_literal();
    if (take("$")) return with_units(Node{.kind = Kind::number, .number = number(), .unit = "USD"});
    if (std::isdigit(static_cast<unsigned char>(next)) || next == '.') return number_literal();
    if (std::isalpha(static_cast<unsigned char>(next)) || next == '_') return name_or_call();
    fail("a figure, a number with its unit, a 'text' or a parenthesis");
  }

  static NodePointer plain(double value) {
    return std::make_shared<const Node>(Node{.kind = Kind::number, .number = value, .bare = true});
  }

  NodePointer text_literal() {
    const char quote = text_[at_];
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string::npos) fail("a closing quote");
    Node node{.kind = Kind::text, .word = text_.substr(at_ + 1, end - at_ - 1)};
    at_ = end + 1;
    return std::make_shared<const Node>(std::move(node));
  }

  NodePointer number_literal() {
    Node node{.kind = Kind::number, .number = number(), .bare = true};
    return with_units(std::move(node));
  }

  /// What stands right after a number: "%", units ("80 GB", "8 M USD"), or a name that it multiplies ("0.9 hbm").
  NodePointer with_units(Node node) {
    if (take("%")) node.number /= 100;
    for (;;) {
      const std::size_t begin = (skip_space(), at_);
      if (at_ >= text_.size() || !std::isalpha(static_cast<unsigned char>(text_[at_])) || word_follows("and") ||
          word_follows("or"))
        break;
      const std::string word = take_word("GPU-hours") || take_word("GPU-hour") ? "GPU-hours" : name();
      const auto unit = expression_units().find(word);
      if (unit == expression_units().end()) {
        at_ = begin;
        return made(Kind::multiply, {std::make_shared<const Node>(node), name_or_call()});
      }
      add_unit(node, word, unit->second);
    }
    if (peek() == '/' && !node.bare) per_unit(node);
    return std::make_shared<const Node>(std::move(node));
  }

  void add_unit(Node& node, const std::string& word, const ExpressionUnit& unit) {
    node.number *= unit.factor;
    if (is_multiple(word)) return;  // "14.8 T" stays a bare number
    if (!node.unit.empty()) fail("one unit");
    node.unit = word;
    node.bare = false;
  }

  /// "3.35 TB/s": the slash belongs to the unit where a unit follows.
  void per_unit(Node& node) {
    const std::size_t begin = at_;
    take("/");
    skip_space();
    const std::string word = std::isalpha(static_cast<unsigned char>(peek())) ? name() : "";
    const auto unit = expression_units().find(word);
    if (unit == expression_units().end() || unit->second.powers != kTime) {
      at_ = begin;
      return;
    }
    node.number /= unit->second.factor;
    node.unit += "/" + word;
  }

  NodePointer name_or_call() {
    const std::string word = name();
    if (word == "true" || word == "false")
      return std::make_shared<const Node>(Node{.kind = Kind::truth, .number = word == "true" ? 1.0 : 0.0});
    if (take("(")) return call(word);
    if (std::find(names_.begin(), names_.end(), word) == names_.end()) names_.push_back(word);
    return std::make_shared<const Node>(Node{.kind = Kind::name, .word = word});
  }

  NodePointer call(const std::string& function) {
    static const std::map<std::string, std::size_t> kArity{{"min", 2}, {"max", 2}, {"mod", 2}, {"abs", 1}, {"log2", 1}};
    const auto known = kArity.find(function);
    if (known == kArity.end()) fail("one of the functions min, max, mod, abs, log2 before a parenthesis");
    std::vector<NodePointer> arguments{sum()};
    while (take(",")) arguments.push_back(sum());
    if (!take(")")) fail("a closing parenthesis");
    if (arguments.size() != known->second) fail(fmt::format("{} figures for {}", known->second, function));
    return made(Kind::call, std::move(arguments), function);
  }

  static constexpr int kDeepest = 50;
  std::vector<std::string>& names_;
  int depth_ = 0;
};

}  // namespace

NodePointer parse_expression(const std::string& text, std::vector<std::string>& names) {
  return ConstraintParser(text, names).whole();
}

}  // namespace flopcast
