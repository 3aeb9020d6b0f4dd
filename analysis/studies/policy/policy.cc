#include "analysis/studies/policy/policy.h"

#include <cmath>

#include <fmt/format.h>

namespace flopcast {
namespace {

[[noreturn]] void refuse_rule(const ExportRule& rule, std::string found, std::string expected, std::string nearest) {
  throw InputError(
      Diagnostic{"", 0, 0, "--rule", fmt::format("{}, {}", rule.id, found), std::move(expected), std::move(nearest)});
}

std::vector<const ExportRule*> rules_in_question(const PolicyQuestion& question, const RuleBook& book) {
  if (!question.rule.empty()) {
    const ExportRule& rule = book.at(question.rule);
    if (!rule.judges()) refuse_rule(rule, "which has no formula", "a rule with thresholds or named chips", "");
    if (question.date && !rule.in_force) refuse_rule(rule, "which never took effect", "a rule with a first day", "");
    if (question.date && !rule.holds_on(*question.date)) {
      refuse_rule(rule, fmt::format("not in force on {}", to_string(*question.date)), "a day on which it holds",
                  to_string(nearest_day(rule, *question.date)));
    }
    return {&rule};
  }
  if (question.date) return rules_on(book, *question.date);
  std::vector<const ExportRule*> out;
  for (const ExportRule& rule : book.rules()) {
    if (rule.bites()) out.push_back(&rule);
  }
  return out;
}

/// What else is in force on a day; of rules without a formula what they require.
std::vector<Classification> also_said(const ChipFigures& chip, const Date& day, const RuleBook& book) {
  std::vector<Classification> out;
  for (const ExportRule* rule : also_in_force(book, day)) {
    const ExportRule* const repeated = repeated_by(*rule, book, day);
    if (rule->judges() && !repeated) {
      out.push_back(classify(chip, *rule, book, day));
      continue;
    }
    Classification said;
    said.rule = rule;
    said.outcome = repeated ? "as " + repeated->id : rule->licence;
    out.push_back(std::move(said));
  }
  return out;
}

}  // namespace

bool just_allowed(const Classification& c) {
  constexpr double kClose = 0.05;
  const std::optional<Margin> off = c.decisive();
  if (!c.controlled || *c.controlled || !off) return false;
  return !is_met(off->threshold, off->value) && std::abs(off->share()) <= kClose;
}

std::vector<ChipVerdict> judge(const PolicyQuestion& question, const RuleBook& book) {
  const std::vector<const ExportRule*> rules = rules_in_question(question, book);
  std::vector<ChipVerdict> out;
  for (const ChipFigures& chip : question.chips) {
    ChipVerdict verdict{chip, {}, controlled_periods(chip, book), unknown_periods(chip, book), {}, true, {}};
    if (const MakerNote* maker = book.note_of(chip.vendor)) {
      verdict.maker_note = maker->note;
      verdict.us_export = maker->us_export;
    }
    for (const ExportRule* rule : rules) verdict.rules.push_back(classify(chip, *rule, book, question.date));
    if (question.date && question.rule.empty()) verdict.also = also_said(chip, *question.date, book);
    out.push_back(std::move(verdict));
  }
  return out;
}

std::vector<double> bounds_on(std::span<const ExportRule* const> rules, ChipFigure figure) {
  std::vector<double> out;
  for (const ExportRule* rule : rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        if (term.figure == figure) out.push_back(term.value);
      }
    }
  }
  return out;
}

std::string reading_note(const PolicyQuestion& question, const RuleBook& book) {
  if (!question.date || !book.read() || *book.read() >= *question.date) return "";
  return fmt::format("The rules were last read on {}: what came later is not in.", to_string(*book.read()));
}

}  // namespace flopcast
