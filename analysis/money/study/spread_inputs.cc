#include "analysis/money/study/spread_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/money/sums/distribution.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

/// Spreads: what the scenario states, then the usual ones of inputs that it does not name.
class Spreads {
 public:
  Spreads(const Scenario& scenario, const MoneyInputs& base) : scenario_(scenario), base_(base) {}

  /// Failures that fall at random, as the replays of the job's life have them.
  void add_range(const std::optional<HoursRange>& range) {
    if (range && range->p5 < range->p95) range_ = *range;
  }

  UncertaintyModel build(PriceModel model, std::span<const UsualSpread> usual, const std::optional<RentQuote>& rent,
                         int draws) {
    const UncertaintyConfig& config = scenario_.uncertainty;
    for (std::size_t i = 0; i < config.uncertain.size(); ++i) {
      const UncertainConfig& u = config.uncertain[i];
      const std::string field = fmt::format("uncertainty.uncertain[{}].input", i);
      const MoneyInput& input = find_money_input(u.input, field);
      if (input.value == &MoneyInputs::market_elasticity) refuse_elasticity(input, field);
      add(input, u.spread, u.relative, u.source, field);
    }
    if (config.usual_spreads) {
      for (const UsualSpread& u : usual) add_usual(u, model);
      if (range_ && !range_->quantiles.empty()) {
        add_unless_there("run.gpu_hours", {SpreadConfig::Kind::empirical, 0, 0, 0, range_->quantiles}, false,
                         "errors of the step, and what published runs lost (analysis/data/run_losses.csv)");
      } else if (range_) {
        add_unless_there("run.gpu_hours", {SpreadConfig::Kind::log_normal, range_->p5, range_->p95}, false,
                         range_->source.empty() ? "failures at random, replayed" : range_->source);
      }
      if (model == PriceModel::rental && rent) add_rents(*rent);
    }
    for (std::size_t i = 0; i < config.correlated.size(); ++i) correlate(config.correlated[i], i, model);
    out_.seed = config.seed;
    out_.draws = draws;
    return std::move(out_);
  }

  /// What was done to spreads, and which say nothing.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  /// One offer is not the market: it may be off by as much as offers of other GPUs are.
  void add_rents(const RentQuote& rent) {
    if (rent.observed.size() > 1) {
      add_unless_there("rental.price", {SpreadConfig::Kind::empirical, 0, 0, 0, rent.observed}, false,
                       "the offers of the year");
    } else if (rent.low_factor < rent.high_factor) {
      add_unless_there("rental.price", {SpreadConfig::Kind::log_normal, rent.low_factor, rent.high_factor}, true,
                       "as offers of one GPU spread about their middle");
      notes_.push_back(
          fmt::format("one offer alone is known: its range, {:.2f} to {:.2f} times it, is how offers of one GPU "
                      "spread about their middle",
                      rent.low_factor, rent.high_factor));
    }
  }

  /// It bends the curve of demand, which shows price by price what would be; none of the results that have a range.
  [[noreturn]] void refuse_elasticity(const MoneyInput& input, const std::string& field) const {
    throw InputError(
        Diagnostic{scenario_.file, 0, 0, field, std::string(input.name) + ", which no result with a range depends on",
                   "an input of a cost or a margin", "", "another market.elasticity for another curve of demand"});
  }

  void add(const MoneyInput& input, const SpreadConfig& spread, bool relative, std::string source,
           const std::string& field) {
    UncertainInput row{&input, Distribution(spread), relative, std::move(source)};
    const double low = row.at(0, base_), high = row.at(1, base_);
    if (low < input.min || high > input.max) {
      throw InputError(Diagnostic{scenario_.file, 0, 0, field,
                                  fmt::format("{} from {:.4g} to {:.4g}", input.name, low, high),
                                  fmt::format("from {:g} to {:g}", input.min, input.max), "",
                                  "a log_normal, triangular or uniform spread, which ends where it should"});
    }
    keep_about_the_point(row);
    out_.inputs.push_back(std::move(row));
  }

  /// A range is about its point. A spread that was stated for another point, and that leaves this one outside of nine
  /// cases in ten, moves with it, its shape kept.
  void keep_about_the_point(UncertainInput& row) {
    const double point = base_.*row.input->value;
    const double low = row.at(0.05, base_), middle = row.at(0.5, base_), high = row.at(0.95, base_);
    if (low <= point && point <= high) return;
    if (row.relative) {
      if (point != 0)
        notes_.push_back(
            fmt::format("{}: its factors, {:.3g} to {:.3g}, leave out 1, so that its range does not hold the point",
                        row.input->name, low / point, high / point));
      return;
    }
    if (middle == 0) return;
    row.move_to(point, base_);
    notes_.push_back(
        fmt::format("{}: the spread from {:.4g} to {:.4g} is of another point than {:.4g}, and was moved with it to "
                    "{:.4g} to {:.4g}",
                    row.input->name, low, high, point, row.at(0.05, base_), row.at(0.95, base_)));
  }

  int find(std::string_view name) const {
    for (std::size_t i = 0; i < out_.inputs.size(); ++i) {
      if (out_.inputs[i].input->name == name) return static_cast<int>(i);
    }
    return -1;
  }

  void add_unless_there(const std::string& name, const SpreadConfig& spread, bool relative, const std::string& source) {
    if (find(name) >= 0) return;
    add(find_money_input(name, "uncertainty.csv"), spread, relative, source, "uncertainty.csv");
  }

  void add_usual(const UsualSpread& u, PriceModel model) {
    const std::string prefix = u.input.substr(0, u.input.find('.'));
    const bool of_site = prefix == "site" && (model == PriceModel::owned || model == PriceModel::amortised);
    if (prefix != name_of(model) && !of_site) return;
    SpreadConfig spread;
    if (u.kind == "log_normal") spread = {SpreadConfig::Kind::log_normal, u.p5, u.p95};
    if (u.kind == "normal") spread = {SpreadConfig::Kind::normal, (u.p5 + u.p95) / 2, (u.p95 - u.p5) / 2 / kNormal95};
    if (u.kind == "triangular") {
      const double own = u.relative ? 1 : base_.*find_money_input(u.input, "uncertainty.csv").value;
      spread = {SpreadConfig::Kind::triangular, u.p5, std::clamp(own, u.p5, u.p95), u.p95};
    }
    add_unless_there(u.input, spread, u.relative, u.source);
  }

  void correlate(const CorrelatedConfig& c, std::size_t index, PriceModel model) {
    const std::string field = fmt::format("uncertainty.correlated[{}].input", index);
    const int first = find(find_money_input(c.first, field).name),
              second = find(find_money_input(c.second, field).name);
    if (first >= 0 && second >= 0) {
      out_.correlations.push_back({first, second, c.rank});
      return;
    }
    // An input of another price model is not spread here, so there is nothing to move together.
    notes_.push_back(fmt::format("{}: the correlation of {} with {} says nothing, since {} is not spread",
                                 name_of(model), c.first, c.second,
                                 first < 0 && second < 0 ? "neither"
                                 : first < 0             ? c.first
                                                         : c.second));
  }

  const Scenario& scenario_;
  const MoneyInputs& base_;
  std::optional<HoursRange> range_;
  std::vector<std::string> notes_;
  UncertaintyModel out_;
};

}  // namespace

SpreadInputs spread_inputs(const Scenario& scenario, const MoneyInputs& base, PriceModel model,
                           const std::optional<HoursRange>& hours, std::span<const UsualSpread> usual,
                           const std::optional<RentQuote>& rent, int draws) {
  Spreads spreads(scenario, base);
  spreads.add_range(hours);
  SpreadInputs out;
  out.model = spreads.build(model, usual, rent, draws);
  out.notes = spreads.notes();
  return out;
}

std::string input_text(double value, std::string_view unit) {
  const std::string number = std::abs(value) >= 1000 ? format_integer(value) : fmt::format("{:.4g}", value);
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

}  // namespace flopcast
