// Names that conditions and goals of a study may use, of what kind each is, and expressions that are checked against
// them.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/studies/constraints.h"

namespace flopcast {

class FigureNames {
 public:
  /// Names, of which `kinds` gives some value of their kind; it may know others, which go without saying. Where several
  /// know a name, the first that was added counts.
  void add(const std::vector<std::string>& names, NameLookup kinds);
  /// Metrics without values, and figures of the hardware.
  void add(std::span<const Metric> metrics);

  std::optional<NamedValue> kind(std::string_view name) const;
  NameLookup kinds() const;
  /// Those that a wrong one is compared with.
  const std::vector<std::string>& known() const { return known_; }

  /// The expression, unless something is wrong with its form, its names or its units: that is told to `fault`.
  std::optional<MetricExpression> checked(const std::string& text,
                                          const std::function<void(const ExpressionFault&)>& fault) const;

 private:
  std::vector<std::string> known_;
  std::vector<NameLookup> kinds_;
};

/// Asks one after the other.
NameLookup in_turn(NameLookup first, NameLookup second);

}  // namespace flopcast
