#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "analysis/render/text/csv_rows.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/studies/policy/answer.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"

namespace flopcast {
namespace {

/// A limit of which the half costs less than this hardly bites.
constexpr double kHardlyBites = 0.1;

std::string range_text(const Ranged& r, std::string (*text)(double)) {
  return r.low < r.value || r.high > r.value ? fmt::format("{} ({} to {})", text(r.value), text(r.low), text(r.high))
                                             : text(r.value);
}

std::string days_number(double days) { return fmt::format("{:.3g}", days); }
std::string ms_number(double s) { return fmt::format("{:.3g}", 1000 * s); }
std::string s_number(double s) { return fmt::format("{:.3g}", s); }
std::string hours_number(double hours) { return hours >= 100 ? format_count(hours) : fmt::format("{:.3g}", hours); }
std::string usd_number(double usd) { return usd < 100 ? fmt::format("${:.3g}", usd) : format_usd(Usd(usd)); }

std::string chip_name(const AnswerRow& row) { return row.design ? "the " + row.chip + " chip" : row.chip; }

std::string margin_words(const JudgedChip& c) { return c.nearest ? format_error(c.nearest->share()) : ""; }

std::string figure_words(const PolicyAnswer& a, const ChipFigures& chip, ChipFigure figure) {
  const auto value = figure_of(chip, figure);
  return value ? figure_number(*value, bounds_on(a.bounds, figure)) : "?";
}

/// In the terminal: those for data centres, and whatever was built to stay just below a bound.
bool shown(const JudgedChip& c) { return !c.later && (c.figures.datacenter_marketed || c.just); }

/// What holds beside the rules whose bounds count, and for which chips it says something.
std::string also_block(const PolicyAnswer& a, const TextStyle& style) {
  if (a.also.empty()) return "";
  std::string out = "\n" + style.bold("Also in force that day") + "\n";
  for (const ExportRule* rule : a.also) {
    out += "  " +
           wrap(fmt::format("{}: {} ({}; {})", rule->id, rule->title, rule->kind, days_of(*rule)), style.width() - 4,
                "    ") +
           "\n";
    for (const auto& [says, names] : chips_by_saying(a, *rule))
      out += "    " + wrap(fmt::format("{}: {}", says, fmt::join(names, ", ")), style.width() - 6, "      ") + "\n";
  }
  return out;
}

std::string rules_block(const PolicyAnswer& a, const TextStyle& style) {
  std::string out;
  for (const ExportRule* rule : a.rules) {
    out += style.bold(wrap(rule->id + ": " + rule->title, style.width(), "")) + "\n";
    const auto line = [&](const std::string& text) { out += "  " + wrap(text, style.width() - 4, "    ") + "\n"; };
    line(days_of(*rule));
    for (const RuleLimb& limb : rule->limbs) line(fmt::format("{} if {}", limb.outcome, limb_text(limb)));
    line("consequence: " + rule->licence);
  }
  return out;
}

std::string chips_block(const PolicyAnswer& a, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::left, Align::right, Align::left});
  table.header({"chip", "TPP", "PD", "I/O", "DRAM", "nearest", "margin", "outcome"});
  std::size_t left = 0;
  for (const JudgedChip& c : a.chips) {
    if (!shown(c)) {
      left += c.later ? 0 : 1;
      continue;
    }
    table.row({c.figures.name, figure_words(a, c.figures, ChipFigure::tpp),
               figure_words(a, c.figures, ChipFigure::performance_density),
               figure_words(a, c.figures, ChipFigure::io_bandwidth),
               figure_words(a, c.figures, ChipFigure::memory_bandwidth),
               c.nearest ? threshold_text(c.nearest->threshold) : "", margin_words(c),
               c.free == false && c.by_case.empty() ? style.bad(outcome_of(c)) : outcome_of(c)});
  }
  std::string out = "\n" + style.bold("Chips that exist, by margin") + "\n" + table.render(style);
  if (left > 0)
    out += style.dim("  " + wrap(fmt::format("{} more are not for data centres (--csv lists them)", left),
                                 style.width() - 2, "  ")) +
           "\n";
  if (const std::string later = later_chips(a); !later.empty())
    out += style.dim("  " + wrap(later, style.width() - 2, "  ")) + "\n";
  return out;
}

std::string hours_title(const AnsweredWork& w) {
  if (!w.training) return "GPU-h per 10^6 tokens";
  const auto row = std::find_if(w.rows.begin(), w.rows.end(), [](const AnswerRow& r) { return r.work.tokens > 0; });
  return row == w.rows.end() ? "GPU-h" : fmt::format("GPU-h for {} tokens", format_count(row->work.tokens));
}

bool has_run(const AnsweredWork& w) {
  return std::any_of(w.rows.begin(), w.rows.end(), [](const AnswerRow& r) { return r.work.days.value > 0; });
}

std::string time_title(const AnsweredWork& w) {
  return !w.training ? "ms per output token" : has_run(w) ? "days" : "step, s";
}

std::vector<std::string> work_header(const AnsweredWork& w) {
  return {"chip", "rule says", time_title(w), hours_title(w), "$ at one price", "$ by parts", "as stated"};
}

/// Of a service whose load is stated GPU-hours are those of the load: nothing is said.
std::string stated_hours(const AnsweredWork& w, const ReplannedWork& work) {
  if (work.own_gpu_hours > 0) return hours_number(work.own_gpu_hours);
  return w.training ? "does not fit" : "";
}

std::vector<std::string> work_row(const AnsweredWork& w, const AnswerRow& row) {
  std::vector<std::string> cells{row.chip, rule_says(row)};
  if (!row.work.fault.empty()) {
    cells.insert(cells.end(), {"-", "", "", "", ""});
    return cells;
  }
  cells.push_back(time_text(w, row));
  cells.push_back(range_text(row.work.gpu_hours, hours_number));
  cells.push_back(row.usd_equal ? usd_number(row.usd_equal->value) : "");
  cells.push_back(row.usd_parts ? usd_number(row.usd_parts->value) : "");
  // The same work with the plan and the load that the scenario states.
  cells.push_back(stated_hours(w, row.work));
  return cells;
}

std::string design_words(const PolicyAnswer& a, const AnswerRow& row) {
  const auto text = [&](ChipFigure figure) { return figure_words(a, row.figures, figure); };
  return fmt::format("{}: TPP {}, {} per mm2 on {} mm2, I/O {} GB/s both directions, DRAM {} GB/s; just below {}",
                     row.chip, text(ChipFigure::tpp), text(ChipFigure::performance_density),
                     format_integer(*row.figures.die_area_mm2), text(ChipFigure::io_bandwidth),
                     text(ChipFigure::memory_bandwidth),
                     row.bound_by.empty() ? "nothing" : fmt::format("{}", fmt::join(row.bound_by, ", ")));
}

std::string curve_block(const AnsweredWork& w, const AnswerCurve& curve, const TextStyle& style) {
  const AnswerCurve::Point* whole = nullptr;
  for (const AnswerCurve::Point& p : curve.points) {
    if (p.factor == 1) whole = &p;
  }
  std::string out = "\n  " + style.bold(fmt::format("{} of {} cut and raised", name_of(curve.limit), w.gpu)) + "\n";
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({curve.unit, hours_title(w), "against its own", "as stated", "plan"});
  for (const AnswerCurve::Point& p : curve.points) {
    const ReplannedWork& work = p.work;
    if (!work.fault.empty()) {
      table.row({fmt::format("{:.4g}", p.factor * curve.own), "-", "", "", work.fault});
      continue;
    }
    const bool compared = whole != nullptr && whole->work.fault.empty();
    table.row({fmt::format("{:.4g}", p.factor * curve.own), hours_number(work.gpu_hours.value),
               compared ? fmt::format("{:.2f} x", work.gpu_hours.value / whole->work.gpu_hours.value) : "",
               stated_hours(w, work), work.plan});
  }
  return out + table.render(style, 4);
}

std::string work_block(const PolicyAnswer& a, const AnsweredWork& w, const TextStyle& style) {
  std::string out = "\n" + style.bold(wrap(w.title, style.width(), "")) + "\n";
  const auto line = [&](const std::string& text) { out += "  " + wrap(text, style.width() - 4, "    ") + "\n"; };
  line(headline(a, w));
  TextTable table({Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header(work_header(w));
  for (const AnswerRow& row : w.rows) {
    if (row.work.fault.empty()) table.row(work_row(w, row));
  }
  out += table.render(style);
  for (const AnswerRow& row : w.rows) {
    if (row.design) line(design_words(a, row));
  }
  for (const AnswerRow& row : w.rows) {
    if (!row.work.fault.empty()) line(fmt::format("{}: {}", row.chip, row.work.fault));
  }
  for (const std::string& text : w.left_out) line(text);
  out += "\n  " + style.bold("What binds") + "\n";
  for (const AnswerRow& row : w.rows) {
    const std::string text = what_binds(w, row);
    if (!text.empty() && (row.to_be_had() || !row.by_case.empty() || &row == &w.rows.front())) line(text);
  }
  for (const AnswerCurve& curve : w.curves) out += curve_block(w, curve, style);
  out += "\n  " + style.bold("Plans") + "\n";
  for (const AnswerRow& row : w.rows) {
    if (row.work.fault.empty())
      line(fmt::format("{}: {}{}", row.chip, row.work.plan, row.work.remark.empty() ? "" : "; " + row.work.remark));
  }
  return out;
}

void set_ranged(const Ranged& r, report::Ranged& out) {
  out.set_value(r.value);
  out.set_p5(r.low);
  out.set_p95(r.high);
}

void set_work(const ReplannedWork& w, report::ReplannedWork& out) {
  out.set_fault(w.fault);
  out.set_plan(w.plan);
  out.set_remark(w.remark);
  if (!w.fault.empty()) return;
  out.set_gpus(w.gpus);
  out.set_answers_under_way_per_gpu(w.users_per_gpu);
  set_ranged(w.time, *out.mutable_time_s());
  if (w.days.value > 0) set_ranged(w.days, *out.mutable_days());
  set_ranged(w.gpu_hours, *out.mutable_gpu_hours());
  out.set_tokens(w.tokens);
  out.set_stated_time_s(w.own_time);
  out.set_stated_gpu_hours(w.own_gpu_hours);
  for (const Limit limit : kLimits) {
    const double factor = w.halved[static_cast<std::size_t>(limit)];
    if (factor <= 0) continue;
    report::HalvedLimit& halved = *out.add_halved();
    halved.set_limit(std::string(name_of(limit)));
    halved.set_time_factor(factor);
  }
}

double gb_per_s(const std::optional<BytesPerSecond>& rate) { return rate ? rate->value() / 1e9 : 0; }

void set_work(const ReplannedWork& w, CsvRows& csv) {
  if (!w.fault.empty()) {
    csv.set("fault", w.fault);
    return;
  }
  csv.set("time_s", w.time.value).set("time_s_p5", w.time.low).set("time_s_p95", w.time.high);
  if (w.days.value > 0) csv.set("days", w.days.value);
  csv.set("gpu_hours", w.gpu_hours.value).set("gpu_hours_p5", w.gpu_hours.low).set("gpu_hours_p95", w.gpu_hours.high);
  csv.set("tokens", w.tokens);
  if (w.own_gpu_hours > 0) csv.set("stated_gpu_hours", w.own_gpu_hours);
  csv.set("plan", w.plan);
}

void set_rule(const ExportRule& rule, report::AnswerRule& r) {
  r.set_rule(rule.id);
  r.set_title(rule.title);
  r.set_citation(rule.citation);
  if (rule.in_force) r.set_from(to_string(*rule.in_force));
  if (rule.until) r.set_until(to_string(*rule.until));
  r.set_consequence(rule.licence);
  for (const RuleLimb& limb : rule.limbs) r.add_limbs(fmt::format("{} if {}", limb.outcome, limb_text(limb)));
}

/// "D2025_08: licence for 15 % of revenue".
std::string also_words(const JudgedChip::Also& also) { return also.rule->id + ": " + also.says; }

void set_chip(const JudgedChip& c, report::JudgedChip& chip) {
  chip.set_chip(c.figures.name);
  chip.set_free(!c.free ? "unknown" : *c.free ? "yes" : "no");
  chip.set_rule(c.rule);
  chip.set_outcome(c.outcome);
  if (c.nearest) {
    chip.set_nearest(threshold_text(c.nearest->threshold));
    chip.set_margin_percent(100 * c.nearest->share());
  }
  chip.set_just_allowed(c.just);
  chip.set_us_export(c.us_export);
  chip.set_later(c.later);
  chip.set_sold(c.sold);
  chip.set_by_case(c.by_case);
  for (const JudgedChip::Also& also : c.also) chip.add_also(also_words(also));
}

void set_row(const AnsweredWork& w, const AnswerRow& row, report::AnswerRow& r) {
  r.set_chip(row.chip);
  r.set_design(row.design);
  r.set_free(!row.free ? "unknown" : *row.free ? "yes" : "no");
  r.set_tpp(row.figures.tpp.value_or(0));
  r.set_performance_density(row.figures.density.value_or(0));
  r.set_io_gb_s(gb_per_s(row.figures.io));
  r.set_memory_gb_s(gb_per_s(row.figures.memory_bandwidth));
  for (const std::string& bound : row.bound_by) r.add_bound_by(bound);
  set_work(row.work, *r.mutable_work());
  if (row.usd_equal) set_ranged(*row.usd_equal, *r.mutable_usd_at_one_price());
  if (row.usd_parts) set_ranged(*row.usd_parts, *r.mutable_usd_by_parts());
  r.set_what_binds(what_binds(w, row));
  r.set_later(row.later);
  r.set_sold(row.sold);
  r.set_by_case(row.by_case);
}

void set_curve(const AnswerCurve& curve, report::AnswerCurve& c) {
  c.set_limit(std::string(name_of(curve.limit)));
  c.set_unit(curve.unit);
  for (const AnswerCurve::Point& p : curve.points) {
    report::AnswerPoint& point = *c.add_points();
    point.set_factor(p.factor);
    point.set_figure(p.factor * curve.own);
    set_work(p.work, *point.mutable_work());
  }
}

}  // namespace

std::string outcome_of(const JudgedChip& c) {
  if (!c.us_export) return "no US export";
  return c.outcome + (c.just ? " (just)" : "") + (c.free == true && !c.sold ? ", rented only" : "") +
         (c.by_case.empty() ? "" : "; " + c.by_case);
}

std::string days_of(const ExportRule& rule) {
  return fmt::format("{}; {}{}; for {}", rule.citation,
                     rule.in_force ? "in force from " + to_string(*rule.in_force) : "never in force",
                     rule.until ? " until " + to_string(*rule.until) : "", rule.applies_to);
}

std::string rule_says(const AnswerRow& row) {
  if (row.later) return "later";
  if (row.free == true && !row.sold) return "rented only";
  return !row.free ? "?" : *row.free ? "free" : row.by_case.empty() ? "caught" : "case by case";
}

std::map<std::string, std::vector<std::string>> chips_by_saying(const PolicyAnswer& a, const ExportRule& rule) {
  std::map<std::string, std::vector<std::string>> chips;
  for (const JudgedChip& c : a.chips)
    for (const JudgedChip::Also& also : c.also)
      if (also.rule == &rule) chips[also.says].push_back(c.figures.name);
  return chips;
}

std::string later_chips(const PolicyAnswer& a) {
  std::vector<std::string> names;
  for (const JudgedChip& c : a.chips)
    if (c.later && c.figures.datacenter_marketed) names.push_back(c.figures.name);
  return names.empty() ? ""
                       : fmt::format("Launched behind {}, so no chips of that day: {}", to_string(*a.date),
                                     fmt::join(names, ", "));
}

std::string time_text(const AnsweredWork& w, const AnswerRow& row) {
  if (!w.training) return range_text(row.work.time, ms_number);
  return row.work.days.value > 0 ? range_text(row.work.days, days_number) : range_text(row.work.time, s_number);
}

std::string what_binds(const AnsweredWork& w, const AnswerRow& row) {
  const auto& halved = row.work.halved;
  if (!row.work.fault.empty() || halved[0] <= 0) return "";
  const auto effect = [&](Limit limit) { return halved[static_cast<std::size_t>(limit)] - 1; };
  std::vector<Limit> sorted(kLimits.begin(), kLimits.end());
  std::stable_sort(sorted.begin(), sorted.end(), [&](Limit a, Limit b) { return effect(a) > effect(b); });
  std::vector<std::string> rest, soft;
  for (std::size_t i = 1; i < sorted.size(); ++i)
    rest.push_back(fmt::format("{} {:.0f} %", name_of(sorted[i]), 100 * effect(sorted[i])));
  for (const Limit limit : {Limit::memory, Limit::nvlink, Limit::compute}) {
    if (effect(limit) < kHardlyBites) soft.emplace_back(name_of(limit));
  }
  std::string text = fmt::format("{} on {}{}", w.training ? "Training" : "Decoding", chip_name(row),
                                 w.training ? "" : fmt::format(" at {:.3g} users per GPU", row.work.users_per_gpu));
  if (effect(sorted[0]) < kHardlyBites) {
    text += fmt::format(" is bound by no single limit: half the {} takes {:.0f} % longer", name_of(sorted[0]),
                        100 * effect(sorted[0]));
  } else {
    text +=
        fmt::format(" is bound by {}: half of it takes {:.0f} % longer", name_of(sorted[0]), 100 * effect(sorted[0]));
  }
  text += fmt::format(" (half of others: {})", fmt::join(rest, ", "));
  if (!soft.empty()) text += fmt::format("; a rule on {} hardly bites", fmt::join(soft, " or "));
  if (!row.work.binding.empty())
    text += "; the load ends where the promise does, nearest of which is " + row.work.binding;
  return text + ".";
}

std::string headline(const PolicyAnswer& a, const AnsweredWork& w) {
  const AnswerRow& own = w.rows.front();
  const std::string does = w.training ? "trains" : "serves";
  std::vector<const AnswerRow*> real, by_case;
  for (const AnswerRow& row : w.rows) {
    if (row.design || !row.work.fault.empty()) continue;
    if (row.to_be_had()) real.push_back(&row);
    if (!row.by_case.empty() && row.sold && !row.later) by_case.push_back(&row);
  }
  const auto against = [&](const AnswerRow& row) {
    if (!own.work.fault.empty() || &row == &own) return std::string();
    return fmt::format(", {:.2f} times what {} takes", row.work.gpu_hours.value / own.work.gpu_hours.value, own.chip);
  };
  const auto says = [&](const AnswerRow& row, const std::string& name) {
    return fmt::format("{} {} at {} {}{}", name, does, hours_number(row.work.gpu_hours.value), hours_title(w),
                       against(row));
  };
  std::string text;
  const std::string leaves = a.date ? "leave" : "leaves";  // "the rules of a day" or one rule
  if (own.to_be_had()) text = fmt::format("{} {} {} free. ", a.asked, leaves, own.chip);
  if (real.empty()) {
    text += fmt::format("Of the chips that exist and were tried, {} {} none free", a.asked, leaves);
  } else {
    text += "Of the chips that exist and are free, " + says(*real.front(), real.front()->chip);
  }
  if (!by_case.empty()) {
    const AnswerRow& first = *by_case.front();
    text += fmt::format("; with a licence, decided {}, ", first.by_case) + says(first, first.chip);
  }
  if (w.best_design) {
    const AnswerRow& design = w.rows[*w.best_design];
    const bool beaten = !real.empty() && real.front()->work.gpu_hours.value < design.work.gpu_hours.value;
    text +=
        beaten ? fmt::format("; none of the chips like {} that may be built does better, the best of them ", own.chip) +
                     says(design, "").substr(1)
               : "; " + says(design, "the best chip that may be built");
  }
  return text + ".";
}

std::string to_text(const PolicyAnswer& a, const TextStyle& style) {
  std::string out =
      style.bold(wrap(fmt::format("What {} {}", a.asked, a.date ? "leave" : "leaves"), style.width(), "")) + "\n\n";
  if (!a.read_note.empty()) out += wrap(a.read_note, style.width(), "") + "\n\n";
  out += rules_block(a, style) + also_block(a, style) + chips_block(a, style);
  for (const AnsweredWork& w : a.works) out += work_block(a, w, style);
  out += "\n" + style.bold("Assumed") + "\n";
  out += bullets(a.assumptions, style);
  for (const ExportRule* rule : a.rules) {
    for (const Source& source : rule->sources)
      out += style.dim("  " + wrap(fmt::format("source of {}: {}, {}", rule->id, source.text, source.date),
                                   style.width() - 4, "    ")) +
             "\n";
  }
  return out;
}

std::string to_csv(const PolicyAnswer& a) {
  CsvRows csv{"work",          "chip",          "free",
              "outcome",       "nearest",       "margin_percent",
              "just_allowed",  "tpp",           "performance_density",
              "io_gb_s",       "dram_gb_s",     "swept",
              "factor",        "time_s",        "time_s_p5",
              "time_s_p95",    "days",          "gpu_hours",
              "gpu_hours_p5",  "gpu_hours_p95", "tokens",
              "usd_one_price", "usd_by_parts",  "stated_gpu_hours",
              "plan",          "fault",         "later",
              "sold",          "also_in_force", "by_case"};
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  const auto word = [](const std::optional<bool>& free) { return !free ? "unknown" : *free ? "yes" : "no"; };
  for (const JudgedChip& c : a.chips) {
    csv.row().set("chip", c.figures.name).set("free", word(c.free)).set("outcome", outcome_of(c));
    csv.set("later", yes(c.later)).set("sold", yes(c.sold));
    std::vector<std::string> also;
    for (const JudgedChip::Also& said : c.also) also.push_back(also_words(said));
    csv.set("also_in_force", fmt::format("{}", fmt::join(also, "; "))).set("by_case", c.by_case);
    if (c.nearest) {
      csv.set("nearest", threshold_text(c.nearest->threshold));
      csv.set("margin_percent", fmt::format("{:.2f}", 100 * c.nearest->share()));
    }
    csv.set("just_allowed", c.just ? "yes" : "no");
    set_figures(c.figures, csv);
  }
  for (const AnsweredWork& w : a.works) {
    for (const AnswerRow& row : w.rows) {
      csv.row().set("work", w.scenario).set("chip", row.chip).set("free", word(row.free));
      csv.set("later", yes(row.later)).set("sold", yes(row.sold)).set("by_case", row.by_case);
      set_figures(row.figures, csv);
      set_work(row.work, csv);
      if (!row.work.fault.empty()) continue;
      if (row.usd_equal) csv.set("usd_one_price", row.usd_equal->value);
      if (row.usd_parts) csv.set("usd_by_parts", row.usd_parts->value);
    }
    for (const AnswerCurve& curve : w.curves) {
      for (const AnswerCurve::Point& p : curve.points) {
        csv.row().set("work", w.scenario).set("chip", w.gpu);
        csv.set("swept", std::string(name_of(curve.limit))).set("factor", p.factor);
        set_work(p.work, csv);
      }
    }
  }
  return csv.text();
}

report::PolicyAnswer to_message(const PolicyAnswer& a) {
  report::PolicyAnswer out;
  out.set_asked(a.asked);
  for (const ExportRule* rule : a.rules) set_rule(*rule, *out.add_rules());
  for (const ExportRule* rule : a.also) set_rule(*rule, *out.add_also());
  for (const JudgedChip& c : a.chips) set_chip(c, *out.add_chips());
  for (const AnsweredWork& w : a.works) {
    report::AnsweredWork& work = *out.add_works();
    work.set_scenario(w.scenario);
    work.set_title(w.title);
    work.set_kind(w.training ? "training" : "serving");
    work.set_gpu(w.gpu);
    work.set_headline(headline(a, w));
    for (const AnswerRow& row : w.rows) set_row(w, row, *work.add_rows());
    work.set_best_free(w.best_free ? static_cast<int>(*w.best_free) : -1);
    work.set_best_design(w.best_design ? static_cast<int>(*w.best_design) : -1);
    for (const std::string& text : w.left_out) work.add_left_out(text);
    for (const AnswerCurve& curve : w.curves) set_curve(curve, *work.add_curves());
  }
  for (const std::string& text : a.assumptions) out.add_assumptions(text);
  out.set_read_note(a.read_note);
  return out;
}

}  // namespace flopcast
