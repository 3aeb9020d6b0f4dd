#include "scenarios/policy/export_rules.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "scenarios/read/libraries/library_entries.h"

namespace flopcast {
namespace {

enum class Truth { no, unknown, yes };

Truth both(Truth a, Truth b) { return std::min(a, b); }

bool names(const RuleLimb& limb, const ChipFigures& chip) {
  return limb.chips.empty() || std::find(limb.chips.begin(), limb.chips.end(), chip.name) != limb.chips.end();
}

Truth holds(const Threshold& threshold, const ChipFigures& chip) {
  const auto value = figure_of(chip, threshold.figure);
  if (!value) return Truth::unknown;
  return is_met(threshold, *value) ? Truth::yes : Truth::no;
}

/// Whether the limb is about such chips, whatever their figures.
bool is_about(const RuleLimb& limb, const ChipFigures& chip) {
  if (limb.datacenter_marketed && *limb.datacenter_marketed != chip.datacenter_marketed) return false;
  if (limb.hbm && *limb.hbm != chip.hbm) return false;
  return names(limb, chip);
}

Truth holds(const RuleLimb& limb, const ChipFigures& chip) {
  if (!is_about(limb, chip)) return Truth::no;
  Truth truth = Truth::yes;
  for (const Threshold& term : limb.terms) truth = both(truth, holds(term, chip));
  return truth;
}

std::optional<Margin> margin(const Threshold& threshold, const ChipFigures& chip) {
  const auto value = figure_of(chip, threshold.figure);
  if (!value) return std::nullopt;
  return Margin{threshold, *value};
}

bool bounds(const RuleLimb& limb, ChipFigure figure) {
  return std::any_of(limb.terms.begin(), limb.terms.end(),
                     [&](const Threshold& term) { return term.figure == figure; });
}

/// `limb` adds conditions on figures by which `met` has caught the chip already.
bool is_moot(const RuleLimb& limb, const RuleLimb* met) {
  return met && &limb != met && !met->terms.empty() &&
         std::all_of(met->terms.begin(), met->terms.end(),
                     [&](const Threshold& term) { return bounds(limb, term.figure); });
}

/// Limbs that hold on a day.
std::vector<const RuleLimb*> limbs_on(const ExportRule& rule, const std::optional<Date>& day) {
  std::vector<const RuleLimb*> out;
  for (const RuleLimb& limb : rule.limbs) {
    const bool early = limb.from && (!day || *day < *limb.from);
    const bool late = limb.until && day && *limb.until <= *day;
    if (!early && !late) out.push_back(&limb);
  }
  return out;
}

std::optional<Margin> nearest_threshold(const std::vector<const RuleLimb*>& limbs, const RuleLimb* met,
                                        const ChipFigures& chip) {
  std::optional<Margin> nearest;
  for (const RuleLimb* limb : limbs) {
    if (is_moot(*limb, met)) continue;
    for (const Threshold& term : limb->terms) {
      const auto here = margin(term, chip);
      if (here && (!nearest || std::abs(here->share()) < std::abs(nearest->share()))) nearest = here;
    }
  }
  return nearest;
}

/// Classification::kept_off_by of a chip that meets none of the limbs.
std::optional<Margin> what_keeps_it_off(const std::vector<const RuleLimb*>& limbs, const ChipFigures& chip) {
  const auto farther = [](const std::optional<Margin>& a, const Margin& b) {
    return !a || std::abs(a->share()) < std::abs(b.share());
  };
  std::optional<Margin> found;
  for (const RuleLimb* limb : limbs) {
    if (!limb->controls || !is_about(*limb, chip)) continue;
    std::optional<Margin> off;
    for (const Threshold& term : limb->terms) {
      const auto here = margin(term, chip);
      if (here && !is_met(term, here->value) && farther(off, *here)) off = here;
    }
    if (off && (!found || !farther(found, *off))) found = off;
  }
  return found;
}

std::vector<std::string> missing_figures(const std::vector<const RuleLimb*>& limbs, const ChipFigures& chip) {
  std::vector<std::string> out;
  for (const RuleLimb* limb : limbs) {
    for (const Threshold& term : limb->terms) {
      const std::string name(short_name(term.figure));
      if (!figure_of(chip, term.figure) && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    }
  }
  return out;
}

constexpr const char* kCannotCompute = "cannot compute";

/// Whether the rule is about such things at all; what is said when it is not.
std::optional<std::string> not_addressed(const ChipFigures& chip, const ExportRule& rule) {
  const bool is_stack = chip.memory_density && !chip.tpp && !chip.io;
  if (rule.memory_stacks != is_stack) return rule.memory_stacks ? "not a memory stack" : "not a chip";
  const bool other_maker =
      !rule.vendors.empty() && std::find(rule.vendors.begin(), rule.vendors.end(), chip.vendor) == rule.vendors.end();
  if (other_maker && !chip.vendor.empty())
    return "not addressed (" + fmt::format("{}", fmt::join(rule.vendors, ", ")) + " only)";
  return std::nullopt;
}

void decide(const ChipFigures& chip, const ExportRule& rule, const std::vector<const RuleLimb*>& limbs,
            Classification& out) {
  const RuleLimb* met = nullptr;
  bool open = false;
  for (const RuleLimb* limb : limbs) {
    const Truth truth = holds(*limb, chip);
    if (truth == Truth::yes) {
      met = limb;
      break;
    }
    open = open || truth == Truth::unknown;
  }
  out.nearest = nearest_threshold(limbs, met, chip);
  if (met) {
    out.outcome = met->outcome;
    out.controlled = met->controls;
    out.limb = met->name;
    for (const Threshold& term : met->terms) out.terms.push_back(margin(term, chip).value());
  } else if (open) {
    out.outcome = kCannotCompute;
    out.missing = missing_figures(limbs, chip);
  } else {
    out.outcome = rule.otherwise;
    out.controlled = rule.otherwise_controls;
    if (!rule.otherwise_controls) out.kept_off_by = what_keeps_it_off(limbs, chip);
  }
}

std::string launch_note(const ChipFigures& chip, const std::optional<Date>& when) {
  const auto launch = parse_date(chip.launch_date);
  if (!launch || !when || *launch <= *when) return "";
  return fmt::format("launched {}, later than {}: hypothetical", chip.launch_date, to_string(*when));
}

}  // namespace

const MakerNote* RuleBook::note_of(const std::string& vendor) const {
  const auto found = std::find_if(makers_.begin(), makers_.end(), [&](const auto& m) { return m.vendor == vendor; });
  return found == makers_.end() ? nullptr : &*found;
}

bool ExportRule::bites() const {
  return judges() && (kind == "export" || kind == "letter" || kind == "review" || kind == "tariff");
}

const ExportRule* RuleBook::find(const std::string& id) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(), [&](const ExportRule& r) { return r.id == id; });
  return found == rules_.end() ? nullptr : &*found;
}

const ExportRule& RuleBook::at(const std::string& id) const {
  if (const ExportRule* rule = find(id)) return *rule;
  std::vector<std::string> ids;
  for (const ExportRule& rule : rules_) ids.push_back(rule.id);
  throw InputError(Diagnostic{"", 0, 0, "--rule", quoted(id), fmt::format("one of {}", fmt::join(ids, ", ")),
                              nearest_name(id, ids)});
}

std::optional<double> figure_of(const ChipFigures& chip, ChipFigure figure) {
  const auto gb_s = [](const std::optional<BytesPerSecond>& rate) {
    return rate ? std::optional(rate->value() / 1e9) : std::nullopt;
  };
  switch (figure) {
    case ChipFigure::tpp:
      return chip.tpp;
    case ChipFigure::performance_density:
      return chip.density;
    case ChipFigure::io_bandwidth:
      return gb_s(chip.io);
    case ChipFigure::memory_bandwidth:
      return gb_s(chip.memory_bandwidth);
    case ChipFigure::memory_plus_io:
      return gb_s(chip.memory_plus_io());
    case ChipFigure::memory_bandwidth_density:
      return chip.memory_density;
    case ChipFigure::transistors:
      return chip.transistors;
  }
  return std::nullopt;
}

bool is_met(const Threshold& threshold, double value) {
  // Figures are products of rounded ones: what differs from a bound in the last bits only is at the bound.
  const double slack = 1e-12 * threshold.value;
  switch (threshold.bound) {
    case Bound::at_least:
      return value >= threshold.value - slack;
    case Bound::more_than:
      return value > threshold.value + slack;
    case Bound::at_most:
      return value <= threshold.value + slack;
    case Bound::less_than:
      return value < threshold.value - slack;
  }
  return false;
}

Classification classify(const ChipFigures& chip, const ExportRule& rule, const RuleBook& book,
                        std::optional<Date> when) {
  assert(rule.judges());
  const std::optional<Date> day = when ? when : rule.in_force;
  Classification out;
  out.rule = &rule;
  out.note = launch_note(chip, day);
  if (const auto said = not_addressed(chip, rule)) {
    out.outcome = *said;
    out.controlled = false;
    return out;
  }
  const std::vector<const RuleLimb*> limbs = limbs_on(rule, day);
  if (!rule.requires_rule.empty()) {
    const ExportRule& required = book.at(rule.requires_rule);
    const Classification first = classify(chip, required, book, when);
    out.under = &required;
    const auto& wanted = rule.requires_limbs;
    const bool other_limb = !wanted.empty() && std::find(wanted.begin(), wanted.end(), first.limb) == wanted.end();
    if (!first.controlled.value_or(false) || other_limb) {
      out.outcome = first.controlled ? rule.free_outcome : kCannotCompute;
      if (first.controlled) out.controlled = false;
      out.missing = first.missing;
      out.nearest = nearest_threshold(limbs, nullptr, chip);
      return out;
    }
  }
  decide(chip, rule, limbs, out);
  const auto& designers = rule.approved_designers;
  out.approved =
      out.controlled != false && std::find(designers.begin(), designers.end(), chip.vendor) != designers.end();
  if (out.approved) {
    if (!out.note.empty()) out.note += "; ";
    out.note += chip.vendor + " is an approved designer, of whose designs nothing is presumed";
  }
  for (const RuleQuota& quota : rule.quotas) {
    if (chip.tpp) out.quotas.push_back({quota.name, std::floor(quota.tpp / *chip.tpp)});
  }
  return out;
}

std::optional<Margin> Classification::decisive() const {
  if (controlled == false && kept_off_by) return kept_off_by;
  if (!controlled.value_or(false) || terms.empty()) return nearest;
  return *std::min_element(terms.begin(), terms.end(),
                           [](const Margin& a, const Margin& b) { return std::abs(a.share()) < std::abs(b.share()); });
}

namespace {

/// When the rules and letters that ask for licences say this of the chip.
std::vector<ControlledPeriod> periods_of(const ChipFigures& chip, const RuleBook& book,
                                         const std::optional<bool>& controlled) {
  std::vector<ControlledPeriod> found;
  for (const ExportRule& rule : book.rules()) {
    const bool asks = rule.judges() && rule.in_force && (rule.kind == "export" || rule.kind == "letter");
    if (asks && classify(chip, rule, book).controlled == controlled)
      found.push_back({*rule.in_force, rule.until, {rule.id}});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.from < b.from; });
  std::vector<ControlledPeriod> merged;
  for (const ControlledPeriod& period : found) {
    ControlledPeriod* last = merged.empty() ? nullptr : &merged.back();
    if (!last || (last->until && *last->until < period.from)) {
      merged.push_back(period);
      continue;
    }
    last->rules.insert(last->rules.end(), period.rules.begin(), period.rules.end());
    if (last->until) last->until = period.until ? std::max(last->until, period.until) : std::nullopt;
  }
  return merged;
}

}  // namespace

std::vector<ControlledPeriod> controlled_periods(const ChipFigures& chip, const RuleBook& book) {
  return periods_of(chip, book, true);
}

std::vector<ControlledPeriod> unknown_periods(const ChipFigures& chip, const RuleBook& book) {
  std::vector<ControlledPeriod> left = periods_of(chip, book, std::nullopt);
  for (const ControlledPeriod& known : controlled_periods(chip, book)) {
    std::vector<ControlledPeriod> rest;
    for (const ControlledPeriod& period : left) {
      const bool apart = (period.until && *period.until <= known.from) || (known.until && *known.until <= period.from);
      if (apart) {
        rest.push_back(period);
        continue;
      }
      if (period.from < known.from) rest.push_back({period.from, known.from, period.rules});
      if (known.until && (!period.until || *known.until < *period.until))
        rest.push_back({*known.until, period.until, period.rules});
    }
    left = std::move(rest);
  }
  return left;
}

std::vector<const ExportRule*> with_required(std::span<const ExportRule* const> rules, const RuleBook& book) {
  std::vector<const ExportRule*> out(rules.begin(), rules.end());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i]->requires_rule.empty()) continue;
    const ExportRule* required = &book.at(out[i]->requires_rule);
    if (std::find(out.begin(), out.end(), required) == out.end()) out.push_back(required);
  }
  return out;
}

std::vector<const ExportRule*> rules_on(const RuleBook& book, const Date& day) {
  std::vector<const ExportRule*> out;
  std::optional<Date> nearest;
  for (const ExportRule& rule : book.rules()) {
    if (!rule.bites() || !rule.in_force) continue;
    if (rule.holds_on(day)) out.push_back(&rule);
    if (!nearest || std::abs(rule.in_force->days_since(day)) < std::abs(nearest->days_since(day)))
      nearest = rule.in_force;
  }
  if (out.empty()) {
    throw InputError(Diagnostic{"", 0, 0, "--date", to_string(day) + ", when no rule was in force",
                                "a day on which one is", nearest ? to_string(*nearest) : ""});
  }
  return out;
}

std::vector<const ExportRule*> also_in_force(const RuleBook& book, const Date& day) {
  std::vector<const ExportRule*> out;
  for (const ExportRule& rule : book.rules()) {
    if (rule.holds_on(day) && !rule.bites()) out.push_back(&rule);
  }
  return out;
}

const ExportRule* repeated_by(const ExportRule& amendment, const RuleBook& book, const Date& day) {
  for (const ExportRule& rule : book.rules()) {
    if (rule.holds_on(day) && rule.bites() && rule.limbs == amendment.limbs && amendment.kind == "amendment")
      return &rule;
  }
  return nullptr;
}

Date nearest_day(const ExportRule& rule, const Date& day) {
  assert(rule.in_force);
  return day < *rule.in_force || !rule.until ? *rule.in_force : rule.until->plus_days(-1);
}

}  // namespace flopcast
