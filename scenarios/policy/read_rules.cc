// From files of export rules to the rule book.
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "scenarios/policy/export_rules.h"
#include "scenarios/proto/policy.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/quantity.h"

namespace flopcast {
namespace {

constexpr const char* kRuleFile = "scenarios/data/export_rules.textproto";

// Figures.

struct FigureRow {
  std::string_view word;  ///< in the file
  std::string_view name;  ///< in tables
  std::string_view unit;
  Dimension dimension;
  double size;  ///< of the unit, in SI
};
// In the order of ChipFigure.
constexpr std::array<FigureRow, 7> kFigures{
    {{"tpp", "TPP", "", Dimension::count, 1},
     {"performance_density", "PD", "", Dimension::count, 1},
     // A link rate is held per direction; rules count both.
     {"io_bandwidth", "I/O", "GB/s", Dimension::link_rate, 0.5e9},
     {"memory_bandwidth", "DRAM", "GB/s", Dimension::data_rate, 1e9},
     {"memory_plus_io", "DRAM + I/O", "GB/s", Dimension::data_rate, 1e9},
     {"memory_bandwidth_density", "density", "GB/s/mm2", Dimension::data_rate, 1e9},
     {"transistors", "transistors", "", Dimension::count, 1}}};
const FigureRow& row_of(ChipFigure figure) { return kFigures[static_cast<std::size_t>(figure)]; }

ChipFigure figure_named(const std::string& word) {
  const auto* row = std::find_if(kFigures.begin(), kFigures.end(), [&](const FigureRow& r) { return r.word == word; });
  return static_cast<ChipFigure>(row - kFigures.begin());
}

std::string expected_value(ChipFigure figure) {
  if (figure == ChipFigure::io_bandwidth) return "a rate such as \"600 GB/s both directions\"";
  if (figure == ChipFigure::memory_bandwidth_density) return "a density such as \"2 GB/s/mm2\"";
  return row_of(figure).unit.empty() ? "a number such as \"4800\"" : "a rate such as \"1400 GB/s\"";
}

/// A bound as a file states it, in the unit of the figure; nothing when it is none.
std::optional<double> bound_value(ChipFigure figure, std::string text) {
  if (figure == ChipFigure::memory_bandwidth_density) {
    for (const char* per : {"/mm2", " per mm2"}) {
      if (text.ends_with(per)) text.resize(text.size() - std::string_view(per).size());
    }
  }
  const auto parsed = parse_quantity(text, row_of(figure).dimension);
  if (!std::holds_alternative<double>(parsed)) return std::nullopt;
  return std::get<double>(parsed) / row_of(figure).size;
}

// Reading.

/// Reads one file of rules; `known` are the rules before it, which bases may name.
class RuleReader {
 public:
  RuleReader(std::string file, const std::vector<proto::ExportRule>& known, Diagnostics& faults)
      : file_(std::move(file)), known_(known), faults_(faults) {}

  std::vector<proto::ExportRule> read(const Libraries& libraries) {
    proto::RuleBook& book = book_;
    if (!parse_text(read_text_file(file_), file_, book, places_, faults_)) return {};
    if (!book.read().empty()) check_date(book.read(), "read");
    std::vector<proto::ExportRule> rules;
    for (int i = 0; i < book.rule_size(); ++i)
      rules.push_back(over_base(book.rule(i), fmt::format("rule[{}]", i), rules));
    proto::RuleBook whole;
    for (const proto::ExportRule& rule : rules) *whole.add_rule() = rule;
    *whole.mutable_maker() = book.maker();
    check_fields(whole, "", places_, names_of(libraries), true, faults_);
    for (int i = 0; i < whole.rule_size(); ++i) {
      check(whole.rule(i), fmt::format("rule[{}]", i));
      // A limb that a change of its base's bounds has emptied is what was asked for.
      for (int l = 0; l < book.rule(i).limb_size(); ++l)
        check_can_hold(book.rule(i).limb(l), fmt::format("rule[{}].limb[{}]", i, l));
    }
    return rules;
  }

  /// What the file says beside its rules. @pre read() was called.
  const proto::RuleBook& book() const { return book_; }

 private:
  proto::ExportRule over_base(const proto::ExportRule& own, const std::string& path,
                              const std::vector<proto::ExportRule>& before) {
    if (!own.has_base()) {
      if (own.change_size() > 0) add(path + ".change[0]", "a change without a base", "a rule to change");
      return own;
    }
    const proto::ExportRule* base = find(own.base(), before);
    if (!base) {
      add(path + ".base", quoted(own.base()), "the id of another rule", nearest_name(own.base(), ids(before)));
      return own;
    }
    proto::ExportRule out = *base;
    out.clear_sources();
    lay_over(out, own);
    for (int i = 0; i < own.change_size(); ++i) change(own.change(i), fmt::format("{}.change[{}]", path, i), out);
    out.clear_change();
    return out;
  }

  void change(const proto::ThresholdChange& change, const std::string& path, proto::ExportRule& rule) {
    int changed = 0;
    for (proto::Limb& limb : *rule.mutable_limb()) {
      if (change.has_limb() && change.limb() != limb.name()) continue;
      for (proto::Term& term : *limb.mutable_term()) changed += change_term(change, term);
    }
    if (changed == 0) {
      add(path, fmt::format("no bound of {} on {}", quoted(change.from()), quoted(change.figure())),
          "a bound of " + rule.base());
    }
  }

  static bool change_term(const proto::ThresholdChange& change, proto::Term& term) {
    if (term.figure() != change.figure()) return false;
    const auto* r = term.GetReflection();
    bool changed = false;
    for (const char* bound : kBounds) {
      const auto* field = proto::Term::descriptor()->FindFieldByName(bound);
      if (!r->HasField(term, field)) continue;
      const auto was = bound_value(figure_named(term.figure()), r->GetString(term, field));
      const auto from = bound_value(figure_named(term.figure()), change.from());
      if (was && from && *was == *from) {
        r->SetString(&term, field, change.to());
        changed = true;
      }
    }
    return changed;
  }

  void check(const proto::ExportRule& rule, const std::string& path) {
    for (const auto& [field, text] :
         {std::pair{"in_force", rule.in_force()}, {"until", rule.until()}, {"released", rule.released()}}) {
      check_date(text, path + "." + field);
    }
    check_order(rule.in_force(), rule.until(), path + ".until");
    for (int l = 0; l < rule.limb_size(); ++l) {
      const std::string at = fmt::format("{}.limb[{}]", path, l);
      check_date(rule.limb(l).from(), at + ".from");
      check_date(rule.limb(l).until(), at + ".until");
      check_order(rule.limb(l).from(), rule.limb(l).until(), at + ".until");
      for (int t = 0; t < rule.limb(l).term_size(); ++t)
        check_term(rule.limb(l).term(t), fmt::format("{}.term[{}]", at, t));
    }
  }

  void check_date(const std::string& text, const std::string& path) {
    if (!text.empty() && !parse_date(text)) add(path, quoted(text), "a day such as \"2023-11-17\"");
  }

  void check_order(const std::string& from, const std::string& until, const std::string& path) {
    const auto first = parse_date(from), end = parse_date(until);
    if (first && end && !(*first < *end))
      add(path, quoted(until), fmt::format("a day after {}, the first one", from), to_string(first->plus_days(1)));
  }

  /// Two bounds on a figure must leave something between them.
  void check_can_hold(const proto::Limb& limb, const std::string& path) {
    for (int low = 0; low < limb.term_size(); ++low) {
      for (int high = 0; high < limb.term_size(); ++high) {
        const proto::Term &a = limb.term(low), &b = limb.term(high);
        if (a.figure() != b.figure() || !(a.has_at_least() || a.has_more_than()) ||
            !(b.has_at_most() || b.has_less_than()))
          continue;
        const ChipFigure figure = figure_named(a.figure());
        if (static_cast<std::size_t>(figure) >= kFigures.size()) continue;
        const std::string& at_least = a.has_at_least() ? a.at_least() : a.more_than();
        const std::string& at_most = b.has_at_most() ? b.at_most() : b.less_than();
        const auto least = bound_value(figure, at_least), most = bound_value(figure, at_most);
        const bool touching = a.has_at_least() && b.has_at_most();
        if (!least || !most || *least < *most || (touching && *least == *most)) continue;
        add(fmt::format("{}.term[{}]", path, high), fmt::format("{} below {}", at_most, at_least),
            fmt::format("bounds on {} that some chip can meet", a.figure()));
      }
    }
  }

  void check_term(const proto::Term& term, const std::string& path) {
    const ChipFigure figure = figure_named(term.figure());
    if (static_cast<std::size_t>(figure) >= kFigures.size()) return;  // reported as an unknown name
    const int bounds = term.has_at_least() + term.has_more_than() + term.has_at_most() + term.has_less_than();
    if (bounds != 1)
      return add(path, fmt::format("{} bounds", bounds), "one of at_least, more_than, at_most and less_than");
    for (const char* bound : kBounds) {
      const auto* field = proto::Term::descriptor()->FindFieldByName(bound);
      if (!term.GetReflection()->HasField(term, field)) continue;
      const std::string text = term.GetReflection()->GetString(term, field);
      const auto value = bound_value(figure, text);
      if (!value || *value <= 0) add(path + "." + bound, quoted(text), expected_value(figure) + ", above zero");
    }
  }

  const proto::ExportRule* find(const std::string& id, const std::vector<proto::ExportRule>& before) const {
    for (const auto* list : {&before, &known_}) {
      for (const proto::ExportRule& rule : *list) {
        if (rule.id() == id) return &rule;
      }
    }
    return nullptr;
  }

  std::vector<std::string> ids(const std::vector<proto::ExportRule>& before) const {
    std::vector<std::string> out;
    for (const auto* list : {&before, &known_}) {
      for (const proto::ExportRule& rule : *list) out.push_back(rule.id());
    }
    return out;
  }

  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  static constexpr std::array<const char*, 4> kBounds{"at_least", "more_than", "at_most", "less_than"};

  std::string file_;
  const std::vector<proto::ExportRule>& known_;
  Diagnostics& faults_;
  Places places_;
  proto::RuleBook book_;
};

Threshold threshold_of(const proto::Term& term) {
  const ChipFigure figure = figure_named(term.figure());
  const auto [bound, text] = term.has_at_least()    ? std::pair{Bound::at_least, term.at_least()}
                             : term.has_more_than() ? std::pair{Bound::more_than, term.more_than()}
                             : term.has_at_most()   ? std::pair{Bound::at_most, term.at_most()}
                                                    : std::pair{Bound::less_than, term.less_than()};
  return {figure, bound, bound_value(figure, text).value()};
}

std::optional<Date> date_of(const std::string& text) { return text.empty() ? std::nullopt : parse_date(text); }

RuleLimb limb_of(const proto::Limb& in) {
  RuleLimb out;
  out.name = in.name();
  out.outcome = in.has_outcome() ? in.outcome() : in.name();
  out.controls = in.controls();
  if (in.has_datacenter_marketed()) out.datacenter_marketed = in.datacenter_marketed();
  if (in.has_hbm()) out.hbm = in.hbm();
  out.chips.assign(in.chip().begin(), in.chip().end());
  for (const proto::Term& term : in.term()) out.terms.push_back(threshold_of(term));
  out.from = date_of(in.from());
  out.until = date_of(in.until());
  return out;
}

ExportRule rule_of(const proto::ExportRule& in) {
  ExportRule out;
  out.id = in.id();
  out.title = in.title();
  out.citation = in.citation();
  out.kind = in.kind();
  out.applies_to = in.applies_to();
  out.licence = in.licence();
  out.status = in.status();
  out.confidence = in.confidence();
  out.note = in.note();
  out.until_why = in.until_why();
  out.released = in.released();
  out.published = in.published();
  out.in_force = date_of(in.in_force());
  out.until = date_of(in.until());
  out.memory_stacks = in.subject() == "memory_stack";
  out.vendors.assign(in.vendor().begin(), in.vendor().end());
  out.approved_designers.assign(in.approved_designer().begin(), in.approved_designer().end());
  out.requires_rule = in.only_under();
  out.requires_limbs.assign(in.only_under_limb().begin(), in.only_under_limb().end());
  out.free_outcome = in.has_free_outcome() ? in.free_outcome() : "outside " + in.only_under();
  for (const proto::Limb& limb : in.limb()) out.limbs.push_back(limb_of(limb));
  out.otherwise = in.otherwise();
  out.otherwise_controls = in.otherwise_controls();
  for (const proto::Quota& quota : in.quota())
    out.quotas.push_back({quota.name(), ::flopcast::quantity(quota.tpp(), Dimension::count)});
  for (const proto::Source& s : in.sources()) out.sources.push_back({s.text(), s.date(), s.confirmed()});
  return out;
}

/// A rule that another one needs must be there.
void check_requirements(const std::vector<ExportRule>& rules, Diagnostics& faults) {
  for (const ExportRule& rule : rules) {
    const auto named = [&](const ExportRule& other) { return other.id == rule.requires_rule; };
    const auto required = std::find_if(rules.begin(), rules.end(), named);
    if (required == rules.end()) {
      if (!rule.requires_rule.empty() || !rule.requires_limbs.empty())
        faults.push_back({"", 0, 0, rule.id + ".only_under", quoted(rule.requires_rule), "the id of another rule", ""});
      continue;
    }
    std::vector<std::string> limbs;
    for (const RuleLimb& limb : required->limbs) limbs.push_back(limb.name);
    for (const std::string& limb : rule.requires_limbs) {
      if (std::find(limbs.begin(), limbs.end(), limb) != limbs.end()) continue;
      faults.push_back({"", 0, 0, rule.id + ".only_under_limb", quoted(limb),
                        fmt::format("a limb of {}: {}", required->id, fmt::join(limbs, ", ")),
                        nearest_name(limb, limbs)});
    }
  }
}

}  // namespace

RuleBook load_rule_book(const Libraries& libraries, std::span<const std::string> files) {
  std::vector<std::string> paths;
  if (const auto own = libraries.find_file(kRuleFile)) paths.push_back(*own);
  paths.insert(paths.end(), files.begin(), files.end());
  std::vector<proto::ExportRule> all;
  std::vector<MakerNote> makers;
  std::optional<Date> read;
  Diagnostics faults;
  for (const std::string& path : paths) {
    RuleReader reader(path, all, faults);
    std::vector<proto::ExportRule> own = reader.read(libraries);
    if (const auto day = date_of(reader.book().read())) read = day;
    for (const proto::Maker& maker : reader.book().maker())
      makers.insert(makers.begin(), {maker.vendor(), maker.note(), maker.us_export(), maker.sold()});
    for (proto::ExportRule& rule : own) {
      const auto same = std::find_if(all.begin(), all.end(), [&](const auto& r) { return r.id() == rule.id(); });
      if (same == all.end())
        all.push_back(std::move(rule));
      else
        *same = std::move(rule);
    }
  }
  if (!faults.empty()) throw InputError(faults);
  std::vector<ExportRule> rules;
  for (const proto::ExportRule& rule : all) rules.push_back(rule_of(rule));
  check_requirements(rules, faults);
  if (!faults.empty()) throw InputError(faults);
  return RuleBook(std::move(rules), read, std::move(makers));
}

std::string_view short_name(ChipFigure figure) { return row_of(figure).name; }
std::string_view unit_of(ChipFigure figure) { return row_of(figure).unit; }
std::string_view symbol(Bound bound) {
  constexpr std::array<std::string_view, 4> kSymbols{">=", ">", "<=", "<"};
  return kSymbols[static_cast<std::size_t>(bound)];
}

}  // namespace flopcast
