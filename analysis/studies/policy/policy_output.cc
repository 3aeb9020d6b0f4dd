#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

#include "analysis/render/text/csv_rows.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"

namespace flopcast {
namespace {

/// More chips than this are shown as one row each.
constexpr std::size_t kMostBlocks = 6;

/// The rule is about such things and such makers.
bool addresses(const ExportRule& rule, const Classification& verdict) {
  return !verdict.limb.empty() || verdict.nearest || verdict.outcome == rule.otherwise || !verdict.controlled;
}

std::string number(double value) { return figure_number(value, {}); }

/// A figure of the chip, with the digits that its rules' bounds need.
std::string figure_text(const ChipVerdict& verdict, ChipFigure figure) {
  std::vector<const ExportRule*> rules;
  for (const Classification& c : verdict.rules) {
    rules.push_back(c.rule);
    if (c.under) rules.push_back(c.under);
  }
  const auto value = figure_of(verdict.chip, figure);
  return value ? figure_number(*value, bounds_on(rules, figure)) : "?";
}

std::string period_text(const std::optional<Date>& from, const std::optional<Date>& until) {
  if (!from) return "never";
  return until ? fmt::format("{} to {}", to_string(*from), to_string(*until)) : "from " + to_string(*from);
}

std::string periods_text(const std::vector<ControlledPeriod>& periods) {
  std::vector<std::string> parts;
  for (const ControlledPeriod& p : periods) parts.push_back(period_text(p.from, p.until));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string licence_text(const ChipVerdict& verdict) {
  if (!verdict.us_export) return "no US export";
  if (verdict.unknown.empty()) return verdict.periods.empty() ? "never" : periods_text(verdict.periods);
  const std::string open = "cannot compute " + periods_text(verdict.unknown);
  return verdict.periods.empty() ? open : periods_text(verdict.periods) + "; " + open;
}

std::string margin_text(const std::optional<Margin>& margin) { return margin ? format_error(margin->share()) : ""; }

std::string outcome_text(const Classification& c, const TextStyle& style) {
  if (!c.controlled) return c.outcome + fmt::format(" ({} unknown)", fmt::join(c.missing, ", "));
  if (*c.controlled) return style.bad(c.outcome);
  return just_allowed(c) ? c.outcome + " (just)" : c.outcome;
}

/// A thing that is judged by its memory's density alone.
bool is_stack(const ChipFigures& chip) { return chip.memory_density && !chip.tpp && !chip.io; }

std::string figures_line(const ChipVerdict& verdict) {
  const ChipFigures& chip = verdict.chip;
  if (is_stack(chip)) {
    return fmt::format("DRAM {} GB/s, {:.2f} GB/s per mm2 of stack", figure_text(verdict, ChipFigure::memory_bandwidth),
                       *chip.memory_density);
  }
  std::string line = fmt::format("TPP {}", figure_text(verdict, ChipFigure::tpp));
  if (!chip.tpp_format.empty()) line += fmt::format(" ({})", chip.tpp_format);
  line +=
      chip.density ? fmt::format(", {} per mm2", figure_text(verdict, ChipFigure::performance_density)) : ", density ?";
  if (chip.die_area_mm2) line += fmt::format(" of {} mm2", number(*chip.die_area_mm2));
  return line + fmt::format("; I/O {} GB/s both directions, DRAM {} GB/s; {} data centres",
                            figure_text(verdict, ChipFigure::io_bandwidth),
                            figure_text(verdict, ChipFigure::memory_bandwidth),
                            chip.datacenter_marketed ? "for" : "not for");
}

std::string remarks(const ChipVerdict& verdict, const TextStyle& style) {
  std::string out;
  const auto line = [&](const std::string& text) {
    out += style.dim("  " + wrap(text, style.width() - 2, "  ")) + "\n";
  };
  if (!verdict.chip.unconfirmed.empty())
    line(fmt::format("unconfirmed: {}", fmt::join(verdict.chip.unconfirmed, ", ")));
  if (!verdict.maker_note.empty()) line(verdict.maker_note);
  for (const std::string& note : verdict.chip.notes) line(note);
  for (const Classification& c : verdict.rules) {
    if (!c.note.empty()) line(c.rule->id + ": " + c.note);
    for (const QuotaUse& quota : c.quotas)
      line(fmt::format("{}: {} of this chip for {}", c.rule->id, format_integer(quota.chips), quota.name));
  }
  return out;
}

std::string also_text(const ChipVerdict& verdict, const TextStyle& style) {
  if (verdict.also.empty()) return "";
  std::string out = "  also in force that day\n";
  TextTable table({Align::left, Align::left, Align::left, Align::left});
  for (const Classification& c : verdict.also) {
    table.row({c.rule->id, c.rule->kind, period_text(c.rule->in_force, c.rule->until),
               c.outcome + (c.approved ? "; not of an approved designer such as " + verdict.chip.vendor : "")});
  }
  return out + table.render(style);
}

std::string block(const ChipVerdict& verdict, bool one_rule, const TextStyle& style) {
  const ChipFigures& chip = verdict.chip;
  std::string out = style.bold(wrap(fmt::format("{} ({})", chip.title, chip.name), style.width(), "")) +
                    (chip.launch_date.empty() ? "" : ", launched " + chip.launch_date) + "\n";
  out += "  " + wrap(figures_line(verdict), style.width() - 2, "  ") + "\n";
  out += "  " + wrap("licence for China needed: " + licence_text(verdict), style.width() - 4, "    ") + "\n";
  TextTable table({Align::left, Align::left, Align::right, Align::left, Align::left});
  table.header({"rule", "nearest threshold", "margin", "in force", "says"});
  for (const Classification& c : verdict.rules) {
    if (!one_rule && !addresses(*c.rule, c)) continue;
    const auto margin = c.decisive();
    table.row({c.rule->id, margin ? threshold_text(margin->threshold) : "", margin_text(margin),
               period_text(c.rule->in_force, c.rule->until), outcome_text(c, style)});
  }
  return out + table.render(style) + also_text(verdict, style) + remarks(verdict, style);
}

std::string one_rule_table(std::span<const ChipVerdict> verdicts, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::left, Align::right, Align::left});
  table.header({"chip", "TPP", "PD", "I/O", "DRAM", "nearest", "margin", "outcome"});
  // The chips that are caught by most come first, the freest last; those without a figure to compare at the end.
  std::vector<ChipVerdict> sorted(verdicts.begin(), verdicts.end());
  const auto rank = [](const ChipVerdict& v) {
    const Classification& c = v.rules.front();
    const auto decisive = c.decisive();
    const double margin = decisive ? decisive->share() : -std::numeric_limits<double>::infinity();
    return std::pair{c.controlled.value_or(false), margin};
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) { return rank(a) > rank(b); });
  for (const ChipVerdict& v : sorted) {
    const Classification& c = v.rules.front();
    const auto margin = c.decisive();
    table.row({v.chip.name, figure_text(v, ChipFigure::tpp), figure_text(v, ChipFigure::performance_density),
               figure_text(v, ChipFigure::io_bandwidth), figure_text(v, ChipFigure::memory_bandwidth),
               margin ? threshold_text(margin->threshold) : "", margin_text(margin), outcome_text(c, style)});
  }
  return table.render(style);
}

/// One row per chip: when it needs a licence, or what the rules of a day say.
std::string summary_table(std::span<const ChipVerdict> verdicts, bool of_a_day, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"chip", "TPP", "PD", "I/O", "DRAM", of_a_day ? "what catches it" : "licence for China needed"});
  for (const ChipVerdict& v : verdicts) {
    std::vector<std::string> caught;
    for (const Classification& c : v.rules) {
      if (c.controlled.value_or(false)) caught.push_back(fmt::format("{}: {}", c.rule->id, c.outcome));
      if (!c.controlled) caught.push_back(fmt::format("{}: {}", c.rule->id, c.outcome));
    }
    table.row({v.chip.name, figure_text(v, ChipFigure::tpp), figure_text(v, ChipFigure::performance_density),
               figure_text(v, ChipFigure::io_bandwidth), figure_text(v, ChipFigure::memory_bandwidth),
               !v.us_export     ? "no US export"
               : !of_a_day      ? licence_text(v)
               : caught.empty() ? "nothing"
                                : fmt::format("{}", fmt::join(caught, "; "))});
  }
  return table.render(style);
}

std::string rule_head(const ExportRule& rule, const TextStyle& style) {
  std::string out = style.bold(wrap(rule.id + ": " + rule.title, style.width(), "")) + "\n";
  const auto line = [&](const std::string& name, const std::string& text) {
    if (!text.empty()) out += "  " + wrap(name + ": " + text, style.width() - 4, "    ") + "\n";
  };
  line("citation", rule.citation);
  line("in force", period_text(rule.in_force, rule.until) + (rule.until_why.empty() ? "" : ", " + rule.until_why));
  line("applies to", rule.applies_to);
  line("consequence", rule.licence);
  line("status", rule.status);
  line("confidence", rule.confidence);
  line("note", rule.note);
  return out;
}

void set_margin(const Margin& margin, report::ThresholdMargin& out) {
  out.set_figure(std::string(short_name(margin.threshold.figure)));
  out.set_bound(std::string(symbol(margin.threshold.bound)));
  out.set_threshold(margin.threshold.value);
  out.set_unit(std::string(unit_of(margin.threshold.figure)));
  out.set_value(margin.value);
  out.set_margin_percent(100 * margin.share());
}

void set_verdict(const Classification& c, report::RuleVerdict& out) {
  out.set_rule(c.rule->id);
  out.set_kind(c.rule->kind);
  out.set_just_allowed(just_allowed(c));
  out.set_title(c.rule->title);
  out.set_outcome(c.outcome);
  out.set_controlled(c.controlled ? (*c.controlled ? "yes" : "no") : "unknown");
  out.set_limb(c.limb);
  for (const Margin& margin : c.terms) set_margin(margin, *out.add_terms());
  if (c.nearest) set_margin(*c.nearest, *out.add_nearest());
  if (c.rule->in_force) out.set_from(to_string(*c.rule->in_force));
  if (c.rule->until) out.set_until(to_string(*c.rule->until));
  out.set_licence(c.rule->licence);
  out.set_confidence(c.rule->confidence);
  for (const std::string& figure : c.missing) out.add_missing(figure);
  for (const QuotaUse& quota : c.quotas) {
    out.add_quotas()->set_name(quota.name);
    out.mutable_quotas(out.quotas_size() - 1)->set_chips(quota.chips);
  }
  out.set_note(c.note);
}

constexpr ChipFigure kAllFigures[] = {ChipFigure::tpp,
                                      ChipFigure::performance_density,
                                      ChipFigure::io_bandwidth,
                                      ChipFigure::memory_bandwidth,
                                      ChipFigure::memory_plus_io,
                                      ChipFigure::memory_bandwidth_density,
                                      ChipFigure::transistors};

}  // namespace

std::string limb_text(const RuleLimb& limb) {
  std::vector<std::string> parts;
  if (limb.datacenter_marketed)
    parts.emplace_back(*limb.datacenter_marketed ? "for data centres" : "not for data centres");
  if (limb.hbm) parts.emplace_back(*limb.hbm ? "with HBM" : "without HBM");
  if (!limb.chips.empty()) parts.push_back(fmt::format("{}", fmt::join(limb.chips, ", ")));
  for (const Threshold& term : limb.terms) parts.push_back(threshold_text(term));
  if (parts.empty()) parts.emplace_back("every chip");
  std::string out = fmt::format("{}", fmt::join(parts, ", "));
  if (limb.from) out += " from " + to_string(*limb.from);
  return out;
}

std::string threshold_text(const Threshold& threshold) {
  const std::string_view unit = unit_of(threshold.figure);
  return fmt::format("{} {} {}{}{}", short_name(threshold.figure), symbol(threshold.bound), number(threshold.value),
                     unit.empty() ? "" : " ", unit);
}

std::string figure_number(double value, std::span<const double> bounds) {
  if (std::abs(value) >= 1e15) return fmt::format("{:.4g}", value);
  const auto text_of = [&](int decimals) {
    return value >= 1000 ? with_separators(fmt::format("{:.{}f}", value, decimals))
                         : fmt::format("{:.{}g}", value, 4 + decimals);
  };
  const auto reads_like = [&](double shown, double bound) {
    return (shown < bound) == (value < bound) && (shown > bound) == (value > bound);
  };
  for (int decimals = 0; decimals < 12; ++decimals) {
    const std::string text = text_of(decimals);
    std::string digits = text;
    std::erase(digits, ',');
    const double shown = std::strtod(digits.c_str(), nullptr);
    // What lies at a bound but for the last bits is at the bound (see is_met()).
    const auto right = [&](double bound) {
      return std::abs(value - bound) <= 1e-12 * bound || reads_like(shown, bound);
    };
    if (std::all_of(bounds.begin(), bounds.end(), right)) return text;
  }
  return shortest(value);
}

std::string to_text(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question, const RuleBook& book,
                    const TextStyle& style) {
  std::string out;
  if (question.date) {
    out += style.dim("Rules of " + to_string(*question.date)) + "\n";
    if (const std::string note = reading_note(question, book); !note.empty())
      out += wrap(note, style.width(), "") + "\n";
    out += "\n";
  }
  const bool one_rule = !question.rule.empty();
  if (verdicts.size() > kMostBlocks && one_rule) return out + one_rule_table(verdicts, style);
  if (verdicts.size() > kMostBlocks) return out + summary_table(verdicts, question.date.has_value(), style);
  for (std::size_t i = 0; i < verdicts.size(); ++i) out += (i ? "\n" : "") + block(verdicts[i], one_rule, style);
  return out;
}

void set_figures(const ChipFigures& chip, CsvRows& csv) {
  for (const auto& [column, figure] : {std::pair("tpp", ChipFigure::tpp),
                                       {"performance_density", ChipFigure::performance_density},
                                       {"io_gb_s", ChipFigure::io_bandwidth},
                                       {"dram_gb_s", ChipFigure::memory_bandwidth}})
    // Products of figures of data sheets, without the last digits of binary fractions.
    if (const auto value = figure_of(chip, figure)) csv.set(column, fmt::format("{:.12g}", *value));
}

std::string to_csv(std::span<const ChipVerdict> verdicts) {
  CsvRows csv{
      "chip", "rule",  "outcome", "controlled",          "limb",    "nearest",   "threshold", "value", "margin_percent",
      "from", "until", "tpp",     "performance_density", "io_gb_s", "dram_gb_s", "note"};
  for (const ChipVerdict& v : verdicts) {
    for (const Classification& c : v.rules) {
      csv.row().set("chip", v.chip.name).set("rule", c.rule->id).set("outcome", c.outcome);
      csv.set("controlled", c.controlled ? (*c.controlled ? "yes" : "no") : "unknown").set("limb", c.limb);
      if (c.nearest) {
        csv.set("nearest", std::string(short_name(c.nearest->threshold.figure)));
        csv.set("threshold", c.nearest->threshold.value).set("value", c.nearest->value);
        csv.set("margin_percent", fmt::format("{:.2f}", 100 * c.nearest->share()));
      }
      if (c.rule->in_force) csv.set("from", to_string(*c.rule->in_force));
      if (c.rule->until) csv.set("until", to_string(*c.rule->until));
      set_figures(v.chip, csv);
      csv.set("note", c.note);
    }
  }
  return csv.text();
}

report::PolicyReport to_message(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question,
                                const RuleBook& book) {
  report::PolicyReport out;
  if (book.read()) out.set_rules_read(to_string(*book.read()));
  if (question.date) out.set_date(to_string(*question.date));
  for (const ChipVerdict& v : verdicts) {
    report::ChipVerdict& chip = *out.add_chips();
    chip.set_chip(v.chip.name);
    chip.set_title(v.chip.title);
    chip.set_vendor(v.chip.vendor);
    chip.set_launch_date(v.chip.launch_date);
    chip.set_datacenter_marketed(v.chip.datacenter_marketed);
    chip.set_tpp_format(v.chip.tpp_format);
    for (const ChipFigure f : kAllFigures) {
      const auto value = figure_of(v.chip, f);
      if (!value) continue;
      report::ChipFigure& figure = *chip.add_figures();
      figure.set_name(std::string(short_name(f)));
      figure.set_value(*value);
      figure.set_unit(std::string(unit_of(f)));
    }
    for (const std::string& field : v.chip.unconfirmed) chip.add_unconfirmed(field);
    for (const std::string& note : v.chip.notes) chip.add_notes(note);
    for (const Classification& c : v.rules) set_verdict(c, *chip.add_rules());
    for (const Classification& c : v.also) set_verdict(c, *chip.add_also_in_force());
    chip.set_maker_note(v.maker_note);
    for (const ControlledPeriod& p : v.periods) {
      report::ControlledPeriod& period = *chip.add_licence_needed();
      period.set_from(to_string(p.from));
      if (p.until) period.set_until(to_string(*p.until));
      for (const std::string& rule : p.rules) period.add_rules(rule);
    }
    for (const ControlledPeriod& p : v.unknown) {
      report::ControlledPeriod& period = *chip.add_licence_unknown();
      period.set_from(to_string(p.from));
      if (p.until) period.set_until(to_string(*p.until));
      for (const std::string& rule : p.rules) period.add_rules(rule);
    }
  }
  return out;
}

std::string rules_text(const RuleBook& book, const TextStyle& style) {
  std::string out;
  for (const ExportRule& rule : book.rules()) {
    out += (out.empty() ? "" : "\n") + rule_head(rule, style);
    for (const RuleLimb& limb : rule.limbs)
      out += "  " + wrap(fmt::format("{} if {}", limb.outcome, limb_text(limb)), style.width() - 4, "    ") + "\n";
    for (const RuleQuota& quota : rule.quotas)
      out += fmt::format("  {} TPP for {}\n", format_integer(quota.tpp), quota.name);
    for (const Source& source : rule.sources)
      out += style.dim("  " + wrap(fmt::format("source: {}, {}{}", source.text, source.date,
                                               source.confirmed ? "" : " (unconfirmed)"),
                                   style.width() - 4, "    ")) +
             "\n";
  }
  return out;
}

}  // namespace flopcast
