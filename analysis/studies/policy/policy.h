// Which chips may be sold: rules of a day, or of all days, applied to chips; as plain values, text, CSV and
// JSON.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

class CsvRows;

namespace report {
class PolicyReport;
}

struct ChipVerdict {
  ChipFigures chip;
  std::vector<Classification> rules;      ///< refer to the rule book
  std::vector<ControlledPeriod> periods;  ///< in which a licence is needed
  std::vector<ControlledPeriod> unknown;  ///< in which nobody can say
  std::string maker_note;                 ///< what holds for all chips of its maker; empty: nothing
  bool us_export = true;                  ///< false: selling it asks for no licence of these rules
  /// Of a day's question: what else is in force, judged where it has a formula.
  std::vector<Classification> also;
};

struct PolicyQuestion {
  std::vector<ChipFigures> chips;
  std::optional<Date> date;  ///< none: the rules of all days
  std::string rule;          ///< empty: those that bite
};

/// @throws InputError when the rule is unknown, judges no chips or does not hold on the day (the nearest day
/// is offered).
std::vector<ChipVerdict> judge(const PolicyQuestion& question, const RuleBook& book);

std::string to_text(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question, const RuleBook& book,
                    const TextStyle& style);
std::string to_csv(std::span<const ChipVerdict> verdicts);
/// The cells tpp, performance_density, io_gb_s and dram_gb_s of a row, as far as the figures are known.
void set_figures(const ChipFigures& chip, CsvRows& csv);
/// A page: since when licences are needed, how far chips lie from the thresholds, what each rule says.
std::string to_html(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question, const RuleBook& book);
report::PolicyReport to_message(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question,
                                const RuleBook& book);
/// Where a day is asked about that lies after the rules were read; else empty.
std::string reading_note(const PolicyQuestion& question, const RuleBook& book);

/// The rules themselves: dates, limbs, sources.
std::string rules_text(const RuleBook& book, const TextStyle& style);

/// So close below a bound that it was built to stay there: within 5 %, and nothing catches it.
bool just_allowed(const Classification& verdict);
/// "for data centres, TPP >= 2,400, PD >= 1.6": when a limb catches a chip.
std::string limb_text(const RuleLimb& limb);
/// "TPP >= 4,800", "I/O >= 600 GB/s"
std::string threshold_text(const Threshold& threshold);

/// A figure with as many digits as show on which side of each bound it lies: 2399.9 beside a bound of 2,400 is
/// "2,399.9"; from 1e15 on with an exponent.
std::string figure_number(double value, std::span<const double> bounds);
/// Bounds on a figure in these rules, in its unit.
std::vector<double> bounds_on(std::span<const ExportRule* const> rules, ChipFigure figure);

}  // namespace flopcast
