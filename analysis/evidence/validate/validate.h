// Predictions beside what was measured and published, and beside closed forms.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/text_table.h"
#include "analysis/runs/training/run.h"
#include "scenarios/read/libraries/libraries.h"
#include "sim/base/fields.h"

namespace flopcast {

namespace report {
class Validation;
}

/// One line of the table.
struct Check {
  std::string group;  ///< "collectives", "phases", "step", ...
  std::string what;
  std::string unit;
  double predicted = 0;
  double published = 0;      ///< measured, or the closed form
  double tolerance = 0;      ///< largest |error| that counts as good; 0: shown without a bar
  bool upper_bound = false;  ///< `published` is the most that `predicted` may be
  std::string source;
  std::string why;  ///< what a miss comes from, where it is known
  /// As people write the two values; empty: as numbers with their unit.
  std::string predicted_text, published_text;

  /// Both, now that the values are there.
  void write(std::string (*text)(double)) {
    predicted_text = text(predicted);
    published_text = text(published);
  }

  double error() const { return predicted / published - 1.0; }
  bool has_bar() const { return tolerance > 0 || upper_bound; }
  bool within() const;
  bool is_off() const;  ///< misses its bar, or is far off without having one

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("group", &Check::group);
    field("what", &Check::what);
    field("unit", &Check::unit);
    field("predicted", &Check::predicted);
    field("published", &Check::published);
    field("tolerance", &Check::tolerance);
    field("upper_bound", &Check::upper_bound);
    field("source", &Check::source);
    field("why", &Check::why);
    field("predicted_text", &Check::predicted_text);
    field("published_text", &Check::published_text);
  }
};

/// What the checks work on.
struct ValidationInput {
  const Libraries* libraries = nullptr;
  const Scenario* scenario = nullptr;  ///< DeepSeek-V3 on 2,048 H800, with its published figures
  CsvTable published;                  ///< analysis/data/published.csv
  CsvTable misses;                     ///< analysis/data/misses.csv: what known misses come from
  RunOptions options;
};

std::vector<Check> validate(const ValidationInput& input);

// The parts of it.
std::vector<Check> check_held_back(const ValidationInput& input);
std::vector<Check> check_kernels(const ValidationInput& input);
std::vector<Check> check_collectives(const ValidationInput& input);
std::vector<Check> check_nccl(const ValidationInput& input);
std::vector<Check> check_expert_exchange(const ValidationInput& input);
std::vector<Check> check_phases(const ValidationInput& input);
std::vector<Check> check_pair(const ValidationInput& input);
std::vector<Check> check_step(const ValidationInput& input);
std::vector<Check> check_schedules();
std::vector<Check> check_money(const ValidationInput& input);
std::vector<Check> check_serving(const ValidationInput& input);
std::vector<Check> check_power(const ValidationInput& input);

/// Says of misses what they come from, as far as the table (analysis/data/misses.csv) knows.
void explain_misses(std::vector<Check>& checks, const CsvTable& misses);

std::string to_text(const std::vector<Check>& checks, const TextStyle& style);
report::Validation to_message(const std::vector<Check>& checks);
/// A page: how far off each group of checks is, and every check.
std::string to_html(const std::vector<Check>& checks);

/// The values of a check as people write them: "19.56 s". @{
std::string predicted_text(const Check& check);
std::string published_text(const Check& check);
/// @}

}  // namespace flopcast
