// Export-control rules: read from data files, applied to chips.
//
// Figures may be unknown, so terms have three values: holds, does not hold, cannot be said. A rule is the
// list of its limbs; the first limb that holds decides, whatever is unknown before it; where none holds and
// one might, the outcome cannot be computed.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "scenarios/policy/chip.h"
#include "scenarios/read/text/date.h"

namespace flopcast {

enum class ChipFigure {
  tpp,
  performance_density,
  io_bandwidth,
  memory_bandwidth,
  memory_plus_io,
  memory_bandwidth_density,
  transistors
};

enum class Bound { at_least, more_than, at_most, less_than };

/// A bound on a figure, in TPP, TPP/mm2, GB/s, GB/s/mm2 or transistors.
struct Threshold {
  ChipFigure figure = ChipFigure::tpp;
  Bound bound = Bound::at_least;
  double value = 0;
  bool operator==(const Threshold&) const = default;
};

struct RuleLimb {
  std::string name;
  std::string outcome;
  bool controls = true;
  std::optional<bool> datacenter_marketed, hbm;
  std::vector<std::string> chips;  ///< only these; empty: all
  std::vector<Threshold> terms;
  std::optional<Date> from, until;
  bool operator==(const RuleLimb&) const = default;
};

struct RuleQuota {
  std::string name;
  double tpp = 0;
};

struct ExportRule {
  std::string id, title, citation, kind, applies_to, licence, status, confidence, note, until_why;
  std::string released, published;
  std::optional<Date> in_force, until;          ///< until: the first day on which it no longer holds
  bool memory_stacks = false;                   ///< judges memory stacks, not chips
  std::vector<std::string> vendors;             ///< of these makers only; empty: all
  std::vector<std::string> approved_designers;  ///< of their own designs a foundry has to presume nothing
  std::string requires_rule, free_outcome;
  std::vector<std::string> requires_limbs;  ///< of requires_rule, by name; empty: any
  std::vector<RuleLimb> limbs;
  std::string otherwise;
  bool otherwise_controls = false;
  std::vector<RuleQuota> quotas;
  std::vector<Source> sources;

  bool holds_on(const Date& day) const { return in_force && *in_force <= day && (!until || day < *until); }
  /// Something can be said of a chip under it.
  bool judges() const { return !limbs.empty(); }
  /// It needs a licence, says how licences are decided or takes a duty: what is shown unless a rule is named.
  bool bites() const;
};

/// What has to be said of a maker's chips, whatever the rules say of their figures.
struct MakerNote {
  std::string vendor, note;
  bool us_export = true;  ///< false: selling it asks for no licence of these rules
  bool sold = true;       ///< false: rented only, so that no rule leaves it to a buyer
};

class RuleBook {
 public:
  explicit RuleBook(std::vector<ExportRule> rules, std::optional<Date> read = {}, std::vector<MakerNote> makers = {})
      : rules_(std::move(rules)), read_(read), makers_(std::move(makers)) {}
  /// The day on which the rules were last read: of later ones nothing is known.
  const std::optional<Date>& read() const { return read_; }
  /// None: nothing.
  const MakerNote* note_of(const std::string& vendor) const;
  const std::vector<ExportRule>& rules() const { return rules_; }
  const ExportRule* find(const std::string& id) const;
  /// @throws InputError with the nearest id.
  const ExportRule& at(const std::string& id) const;

 private:
  std::vector<ExportRule> rules_;
  std::optional<Date> read_;
  std::vector<MakerNote> makers_;
};

/// The program's rules and those of the user's files: a rule with the id of another replaces it.
/// @throws InputError with everything that is wrong in the files.
RuleBook load_rule_book(const Libraries& libraries, std::span<const std::string> files);

/// How far a figure lies from a threshold: +0.04 is 4 % above it.
struct Margin {
  Threshold threshold;
  double value = 0;
  double share() const { return value / threshold.value - 1.0; }
};

struct QuotaUse {
  std::string name;
  double chips = 0;  ///< the chips that fit
};

/// What a rule says of a chip.
struct Classification {
  const ExportRule* rule = nullptr;
  std::string outcome;             ///< "3A090.a", "not controlled", "cannot compute"
  std::optional<bool> controlled;  ///< none: cannot be computed
  std::string limb;                ///< that decided; empty: none did
  std::vector<Margin> terms;       ///< of that limb
  /// The threshold that lies nearest to the chip, in per cent. Left out: limbs that only add conditions on
  /// figures by which the chip is caught already.
  std::optional<Margin> nearest;
  /// Of a chip that no limb catches: the bound that keeps it from being caught, of the limb that comes nearest to that.
  /// A limb catches what meets all of its bounds, so the one it is farthest from keeps it off.
  std::optional<Margin> kept_off_by;
  const ExportRule* under = nullptr;  ///< the rule that it asks about first
  std::vector<std::string> missing;   ///< figures that would be needed

  /// What a chip is measured by: of one that is caught, the nearest bound of the limb that catches it (to come below a
  /// bound of another limb would free nothing); of a free one what keeps it off; of others the nearest of all.
  std::optional<Margin> decisive() const;
  std::vector<QuotaUse> quotas;
  bool approved = false;  ///< of a designer of whom the rule presumes nothing (ExportRule::approved_designers)
  std::string note;
};

/// @param when decides which limbs hold, and whether the chip is there already; none: the rule's first day.
/// @pre rule.judges()
Classification classify(const ChipFigures& chip, const ExportRule& rule, const RuleBook& book,
                        std::optional<Date> when = {});

/// A time in which export rules or letters ask for a licence.
struct ControlledPeriod {
  Date from;
  std::optional<Date> until;  ///< first free day
  std::vector<std::string> rules;
  bool holds_on(const Date& day) const { return from <= day && (!until || day < *until); }
};
std::vector<ControlledPeriod> controlled_periods(const ChipFigures& chip, const RuleBook& book);
/// Times in which a licence might be needed: a rule depends on figures that are not known, and no other rule or letter
/// asks for a licence.
std::vector<ControlledPeriod> unknown_periods(const ChipFigures& chip, const RuleBook& book);

/// The rules and those that they ask about first.
std::vector<const ExportRule*> with_required(std::span<const ExportRule* const> rules, const RuleBook& book);

/// Rules in force on a day that judge chips and bite. @throws InputError, with the nearest day, when there
/// are none.
std::vector<const ExportRule*> rules_on(const RuleBook& book, const Date& day);

/// What else is in force on a day: rules that only advise, tax, ration or bind others than the exporter of a chip, and
/// those without a formula.
std::vector<const ExportRule*> also_in_force(const RuleBook& book, const Date& day);

/// The rule in force that day whose bounds an amendment only repeats; null: it says something of chips of its own.
const ExportRule* repeated_by(const ExportRule& amendment, const RuleBook& book, const Date& day);

/// The day nearest to `day` on which the rule holds. @pre it took effect once.
Date nearest_day(const ExportRule& rule, const Date& day);

/// The figure's short name and its unit: "TPP", "I/O" "GB/s".
std::string_view short_name(ChipFigure figure);
std::string_view unit_of(ChipFigure figure);
std::string_view symbol(Bound bound);
std::optional<double> figure_of(const ChipFigures& chip, ChipFigure figure);
bool is_met(const Threshold& threshold, double value);

}  // namespace flopcast
