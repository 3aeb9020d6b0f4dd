// What a rule, or the rules of a day, leave of a piece of work: which chips that exist it frees and by what margin, the
// best chip that it would allow, and how long the work takes on each, with plan and batch searched again.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/money/prices/chip_cost.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/policy/designs.h"
#include "analysis/studies/policy/replanned.h"
#include "flopcast/environment.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

namespace report {
class PolicyAnswer;
}

struct AnswerQuestion {
  std::string asked;               ///< the rule or the day, as the user wrote it
  FrontierQuestion bounds;         ///< the rules, what counts as free, how large a chip may be
  std::vector<std::string> works;  ///< scenarios
  std::vector<std::string> chips;  ///< put the work on these alone; empty: on all that have a node with several GPUs
  std::vector<Limit> sweeps;
  ReplanOptions replan;
  int workers = 1;
  /// What is going on, how much of it is done; false stops.
  std::function<bool(const std::string& stage, std::size_t done, std::size_t all)> progress;
};

/// A chip that exists, under the rules.
struct JudgedChip {
  ChipFigures figures;
  std::optional<bool> free;       ///< none: it hangs on figures that nobody has published
  std::string rule, outcome;      ///< that decides, or comes nearest
  std::optional<Margin> nearest;  ///< Classification::decisive() of that rule
  bool just = false;              ///< free, within 5 % of a bound
  bool us_export = true;
  bool later = false;  ///< launched behind the day that is asked about
  bool sold = true;    ///< false: rented only
  /// What else a rule says of it on that day: of D2025_08 "licence for 15 % of revenue".
  struct Also {
    const ExportRule* rule = nullptr;
    std::string says;
    bool known = true;  ///< false: it hangs on figures that nobody has published
  };
  std::vector<Also> also;
  std::string by_case;  ///< of one that is caught: "case by case, 25% band 1"; empty: it is denied, or free
  std::string note;     ///< what holds for all chips of its maker
  std::string node;     ///< of the library; empty: none, so nothing runs on it
};

/// The work on one chip.
struct AnswerRow {
  std::string chip;  ///< of the library; of a design "best allowed"
  ChipFigures figures;
  bool design = false;
  bool later = false;   ///< JudgedChip::later
  bool sold = true;     ///< JudgedChip::sold
  std::string by_case;  ///< JudgedChip::by_case
  std::optional<bool> free;
  std::vector<std::string> bound_by;  ///< thresholds that a design lies at
  ReplannedWork work;
  std::optional<double> hour;  ///< cost of an hour by what the chip is made of, over that of the scenario's own
  /// USD of the work's GPU-hours at the scenario's price, the same for all, and by what chips are made of.
  std::optional<Ranged> usd_equal, usd_parts;

  /// Nobody is asked for it, and it can be had that day.
  bool to_be_had() const { return free == true && !later && sold; }
};

/// The scenario's chip with one figure cut or raised.
struct AnswerCurve {
  Limit limit = Limit::nvlink;
  double own = 0;  ///< the chip's own figure, in `unit`
  std::string unit;
  struct Point {
    double factor = 1;
    ReplannedWork work;
  };
  std::vector<Point> points;
};

struct AnsweredWork {
  std::string scenario, title, gpu;
  bool training = true;
  double usd_per_hour = 0;                 ///< stated by the scenario; 0: none
  std::vector<AnswerRow> rows;             ///< the scenario's own chip first, then the fastest first
  std::optional<std::size_t> best_free;    ///< the fastest of the free ones, real or not
  std::optional<std::size_t> best_design;  ///< the fastest that nobody sells
  std::vector<std::string> left_out;
  std::vector<AnswerCurve> curves;
};

struct PolicyAnswer {
  std::string asked;
  std::vector<const ExportRule*> rules;
  std::vector<const ExportRule*> bounds;  ///< and those that they ask about first: whose bounds count
  std::vector<const ExportRule*> also;    ///< what else is in force that day, and is no bound
  std::string read_note;                  ///< where the day lies behind the last reading of the rules
  std::optional<Date> date;
  std::vector<JudgedChip> chips;  ///< those that are caught by most first, the freest last
  std::vector<AnsweredWork> works;
  std::vector<std::string> assumptions;
};

/// @throws InputError: no work, a scenario without training or serving, an unknown chip; Interrupted.
PolicyAnswer policy_answer(const AnswerQuestion& question, const Environment& environment, const RuleBook& book,
                           const ChipCosts& costs);

/// "nvlink", "hbm", "flops", "nic". @throws InputError with the nearest.
Limit limit_named(const std::string& name);

/// What holds the work back on a chip, and which rules would hardly bite; empty where it cannot run.
std::string what_binds(const AnsweredWork& work, const AnswerRow& row);
/// "free", "caught", "case by case", "?"; of what cannot be bought that day "later" or "rented only".
std::string rule_says(const AnswerRow& row);
/// What else the rule says that day, by what it says: the chips.
std::map<std::string, std::vector<std::string>> chips_by_saying(const PolicyAnswer& answer, const ExportRule& rule);
/// Chips that nobody could buy on that day, in a sentence; empty: none.
std::string later_chips(const PolicyAnswer& answer);
/// What a page or a table says of a chip under the rules.
std::string outcome_of(const JudgedChip& chip);
/// "91 FR 1684; in force from 2026-01-15; for ..."
std::string days_of(const ExportRule& rule);
/// The answer in a sentence.
std::string headline(const PolicyAnswer& answer, const AnsweredWork& work);
/// "171 days (158 to 184)"; of a service "46.0 ms (31.3 to 84.8)".
std::string time_text(const AnsweredWork& work, const AnswerRow& row);

std::string to_text(const PolicyAnswer& answer, const TextStyle& style);
std::string to_csv(const PolicyAnswer& answer);
std::string to_html(const PolicyAnswer& answer);
report::PolicyAnswer to_message(const PolicyAnswer& answer);

}  // namespace flopcast
