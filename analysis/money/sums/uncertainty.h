// How sure a cost is: inputs drawn from their distributions, results with their 5, 50 and 95 % quantiles, and
// which input matters most. Nothing is replayed: 10,000 draws take milliseconds.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/money/sums/cost.h"
#include "analysis/money/sums/distribution.h"

namespace flopcast {

/// The figures that are followed through the draws.
enum class Outcome {
  usd_per_gpu_hour,
  run_usd,
  programme_usd,
  service_usd_per_day,
  usd_per_million_input,
  usd_per_million_cached,
  usd_per_million_output,
  margin,
};
constexpr int kOutcomes = 8;
std::string_view name_of(Outcome outcome);  ///< "usd_per_gpu_hour", as in JSON

struct Outcomes {
  double value[kOutcomes] = {};
  double operator[](Outcome outcome) const { return value[static_cast<int>(outcome)]; }
};
Outcomes outcomes_of(PriceModel model, const MoneyInputs& in);

/// An input and what is known of it.
struct UncertainInput {
  const MoneyInput* input = nullptr;
  Distribution distribution;
  bool relative = false;  ///< draws are factors on the point estimate
  std::string source;
  /// Factor by which a stated spread was moved, so that it is about the point that the input has now: on the input, or
  /// on the odds of a share, which stays one. What would lie beyond the input's own bounds then stands on them.
  double moved = 1;
  /// Moves the spread so that its middle is the point.
  void move_to(double point, const MoneyInputs& base);
  bool moves_in_odds() const;
  double at(double p, const MoneyInputs& base) const;
};

struct UncertaintyModel {
  std::vector<UncertainInput> inputs;
  std::vector<RankPair> correlations;  ///< indices of `inputs`
  std::uint64_t seed = 1;
  int draws = 0;
};

struct ResultSpread {
  double p5 = 0, p50 = 0, p95 = 0, mean = 0;
};

/// One bar: the result with this input at its 5 % and 95 % quantiles, all others at their medians.
struct TornadoRow {
  const MoneyInput* input = nullptr;
  double low_input = 0, high_input = 0;
  double at_low = 0, at_high = 0;
  double rank_correlation = 0;  ///< of input and result over the draws
  std::string source;
};

struct UncertaintyResult {
  ResultSpread spreads[kOutcomes];
  const ResultSpread& of(Outcome outcome) const { return spreads[static_cast<int>(outcome)]; }
  Outcome headline = Outcome::run_usd;
  double point = 0;                 ///< the headline with all inputs at their points
  double at_medians = 0;            ///< the headline with all inputs at their medians
  std::vector<TornadoRow> tornado;  ///< of the headline, the widest first; inputs without effect are left out
  int draws = 0;
  std::uint64_t seed = 0;
};

/// @param workers threads; the result does not depend on them.
/// @throws InputError when correlations contradict each other.
UncertaintyResult propagate(PriceModel model, const MoneyInputs& base, const UncertaintyModel& uncertainty,
                            Outcome headline, int workers = 1);

}  // namespace flopcast
