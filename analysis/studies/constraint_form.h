// The form of conditions and goals: units, and what a text is read into. Internal to constraints.cc.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/studies/constraints.h"

namespace flopcast {

/// A literal, a name, or an operation on others.
struct MetricExpression::Node {
  enum class Kind {
    number,
    text,
    truth,
    name,
    minus,
    add,
    subtract,
    multiply,
    divide,
    call,
    compare,
    both,
    either,
    negation
  };
  Kind kind;
  double number = 0;      // of literals, in SI base units
  std::string word = {};  // name, text, function, operator of a comparison
  std::string unit = {};  // of a literal that states one: as it was written
  bool bare = false;      // a number without a unit
  std::vector<std::shared_ptr<const Node>> parts = {};
  bool condition() const {
    return kind == Kind::compare || kind == Kind::both || kind == Kind::either || kind == Kind::negation;
  }
};

/// Exponents of time, data, money, energy and FLOP. Things that are counted (tokens, GPUs) have none.
struct UnitPowers {
  std::array<int, 5> of{};
  bool operator==(const UnitPowers& other) const { return of == other.of; }
};

struct ExpressionUnit {
  double factor = 1;  ///< in SI base units
  UnitPowers powers;
};

/// Of the units that conditions may state: "GB", "ms", "USD".
const std::map<std::string, ExpressionUnit, std::less<>>& expression_units();

/// Units as the metrics table writes them: "GPU-hours", "tokens/day", "USD/h".
ExpressionUnit table_unit(std::string_view unit);

/// The unit of a literal as it stands in Node::unit: "TB/s".
ExpressionUnit literal_unit(std::string_view unit);

/// @param sign -1 divides by `b`
UnitPowers combined(UnitPowers a, const UnitPowers& b, int sign);

/// "bytes /s"
std::string words_for(const UnitPowers& powers);

/// @param names receives those that stand in it. @throws InputError that says where it goes wrong.
std::shared_ptr<const MetricExpression::Node> parse_expression(const std::string& text,
                                                               std::vector<std::string>& names);

}  // namespace flopcast
