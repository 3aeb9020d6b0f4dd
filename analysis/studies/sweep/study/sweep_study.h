// A sweep as a text file describes it: a base scenario, axes, conditions, what to keep (scenarios/proto/study.proto).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/constraints.h"
#include "flopcast/environment.h"

namespace flopcast {

namespace proto {
class Scenario;
}

/// One value of an axis.
struct AxisValue {
  std::vector<std::string> cells;  ///< per column, as tables show it
  std::string scenario = {};       ///< what the candidate starts from; empty: the study's
  std::vector<std::string> sets;   ///< as --set
};

struct AxisColumn {
  std::string name;
  std::string path;      ///< the first field that it sets; empty: none of its own
  bool numbers = false;  ///< every cell is a plain number
};

/// One dimension of the product: one column, or several that move together.
struct SweepAxis {
  std::string name;
  std::vector<AxisColumn> columns;
  std::vector<AxisValue> values;
};

/// What is best.
struct SweepGoal {
  MetricExpression expression;
  bool smallest = true;
  std::string text;  ///< "min training.step_time_s"
};

/// The parts of "min training.step_time_s".
struct StatedGoal {
  bool smallest = true;
  std::string figure;  ///< an expression
};
/// Nothing where the text does not begin with min or max.
std::optional<StatedGoal> stated_goal(const std::string& text);

/// What candidates start from.
struct BaseScenario {
  std::string path;
  std::string text;
  std::shared_ptr<proto::Scenario> message;  ///< with what the study sets in every candidate
};

struct SweepStudy {
  std::string name;  ///< of its file, or of its own: names the table that its results are kept in
  std::string file;
  std::string title;
  std::vector<std::string> notes;
  std::string scenario;
  std::map<std::string, BaseScenario> bases;  ///< by name: `scenario` and those of axes
  std::vector<std::string> sets;
  std::vector<SweepAxis> axes;           ///< not empty; the last varies fastest
  std::vector<MetricExpression> before;  ///< conditions over fields: what breaks them is not run
  std::vector<MetricExpression> after;   ///< conditions that need a report
  std::vector<SweepGoal> goals;
  std::vector<std::string> keep;   ///< columns of metrics, in their order
  std::vector<std::string> units;  ///< of `keep`: as the metrics table has them
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> sample;
  std::uint64_t product = 0;  ///< candidates before any condition
};

/// Most candidates that a study may have.
inline constexpr std::uint64_t kMostCandidates = 1'000'000'000;

/// @param name_or_file a study of the libraries (`studies/`, `scenarios/studies/`) or a file.
/// @param sets set in every candidate after the study's own.
/// @throws InputError with everything wrong: fields that do not exist or cannot vary, values that no scenario may have,
/// metrics that no report has, conditions that contradict each other, empty axes, too many candidates.
SweepStudy load_sweep(const std::string& name_or_file, const Environment& environment,
                      const std::vector<std::string>& sets = {});

}  // namespace flopcast
