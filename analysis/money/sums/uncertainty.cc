#include "analysis/money/sums/uncertainty.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

namespace flopcast {
namespace {

/// One row per draw.
struct Draws {
  std::size_t count = 0, inputs = 0;
  std::vector<double> drawn;     ///< [draw][input]
  std::vector<Outcomes> result;  ///< [draw]
};

MoneyInputs with_inputs(const MoneyInputs& base, const UncertaintyModel& model, std::span<const double> values) {
  MoneyInputs in = base;
  for (std::size_t i = 0; i < model.inputs.size(); ++i) in.*model.inputs[i].input->value = values[i];
  return in;
}

/// Draws `first` to `end` - 1. Each depends on its own number only.
void draw_range(PriceModel price, const MoneyInputs& base, const UncertaintyModel& model, const Copula& copula,
                std::size_t first, std::size_t end, Draws& out) {
  for (std::size_t draw = first; draw < end; ++draw) {
    const std::span<double> row(&out.drawn[draw * out.inputs], out.inputs);
    copula.draw(draw, row);
    for (std::size_t i = 0; i < out.inputs; ++i) row[i] = model.inputs[i].at(row[i], base);
    out.result[draw] = outcomes_of(price, with_inputs(base, model, row));
  }
}

Draws make_draws(PriceModel price, const MoneyInputs& base, const UncertaintyModel& model, int workers) {
  std::vector<std::uint64_t> ids;
  for (const UncertainInput& input : model.inputs)
    ids.push_back(static_cast<std::uint64_t>(input.input - money_inputs().data()) + 1);
  const Copula copula(std::move(ids), model.correlations, model.seed);
  Draws out{static_cast<std::size_t>(model.draws), model.inputs.size(), {}, {}};
  out.drawn.resize(out.count * out.inputs);
  out.result.resize(out.count);
  const auto share = [&](int worker) {
    return out.count * static_cast<std::size_t>(worker) / static_cast<std::size_t>(workers);
  };
  std::vector<std::jthread> threads;
  for (int worker = 1; worker < workers; ++worker) {
    threads.emplace_back(
        [&, worker] { draw_range(price, base, model, copula, share(worker), share(worker + 1), out); });
  }
  draw_range(price, base, model, copula, 0, share(1), out);
  return out;
}

ResultSpread spread_of(std::vector<double> values) {
  ResultSpread out;
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  std::sort(values.begin(), values.end());
  out.p5 = quantile_of_sorted(values, 0.05);
  out.p50 = quantile_of_sorted(values, 0.5);
  out.p95 = quantile_of_sorted(values, 0.95);
  return out;
}

std::vector<TornadoRow> tornado(PriceModel price, const MoneyInputs& base, const UncertaintyModel& model,
                                Outcome headline, const Draws& draws) {
  std::vector<double> values(model.inputs.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = model.inputs[i].at(0.5, base);
  std::vector<double> result(draws.count), drawn(draws.count);
  for (std::size_t d = 0; d < draws.count; ++d) result[d] = draws.result[d][headline];
  std::vector<TornadoRow> rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    TornadoRow row{model.inputs[i].input, model.inputs[i].at(0.05, base), model.inputs[i].at(0.95, base), 0, 0, 0,
                   model.inputs[i].source};
    const double median = values[i];
    values[i] = row.low_input;
    row.at_low = outcomes_of(price, with_inputs(base, model, values))[headline];
    values[i] = row.high_input;
    row.at_high = outcomes_of(price, with_inputs(base, model, values))[headline];
    values[i] = median;
    if (row.at_low == row.at_high) continue;
    for (std::size_t d = 0; d < draws.count; ++d) drawn[d] = draws.drawn[d * draws.inputs + i];
    row.rank_correlation = rank_correlation(drawn, result);
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const TornadoRow& a, const TornadoRow& b) {
    return std::abs(a.at_high - a.at_low) > std::abs(b.at_high - b.at_low);
  });
  return rows;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  constexpr std::string_view kNames[kOutcomes] = {"usd_per_gpu_hour",
                                                  "final_run_usd",
                                                  "programme_usd",
                                                  "usd_per_day",
                                                  "usd_per_million_input_tokens",
                                                  "usd_per_million_cached_tokens",
                                                  "usd_per_million_output_tokens",
                                                  "margin"};
  return kNames[static_cast<int>(outcome)];
}

bool UncertainInput::moves_in_odds() const { return input->unit == "share" && input->max <= 1; }

void UncertainInput::move_to(double point, const MoneyInputs& base) {
  const double middle = at(0.5, base);
  if (middle == 0) return;
  const bool odds = moves_in_odds() && point < 1 && middle < 1;
  moved = odds ? point / (1 - point) / (middle / (1 - middle)) : point / middle;
}

double UncertainInput::at(double p, const MoneyInputs& base) const {
  const double drawn = distribution.quantile(p);
  if (moved == 1) return relative ? drawn * base.*input->value : drawn;
  if (moves_in_odds() && drawn < 1) {
    const double odds = moved * drawn / (1 - drawn);
    return std::clamp(odds / (1 + odds), input->min, input->max);
  }
  return std::clamp(moves_in_odds() ? drawn : drawn * moved, input->min, input->max);
}

Outcomes outcomes_of(PriceModel model, const MoneyInputs& in) {
  const Cost hour = gpu_hour(model, in);
  const double price = hour.usd();
  const ServiceCost service = service_cost(hour, in);
  return {{price, price * in.run_gpu_hours, programme(hour, in).usd(), service.usd_per_day,
           service.usd_per_million_input, service.usd_per_million_cached, service.usd_per_million_output,
           service.margin}};
}

UncertaintyResult propagate(PriceModel model, const MoneyInputs& base, const UncertaintyModel& uncertainty,
                            Outcome headline, int workers) {
  UncertaintyResult out;
  out.headline = headline;
  out.seed = uncertainty.seed;
  if (uncertainty.draws < 2 || uncertainty.inputs.empty()) return out;
  const Draws draws = make_draws(model, base, uncertainty, std::clamp(workers, 1, 256));
  out.draws = uncertainty.draws;
  std::vector<double> values(draws.count);
  for (int o = 0; o < kOutcomes; ++o) {
    for (std::size_t d = 0; d < draws.count; ++d) values[d] = draws.result[d].value[o];
    out.spreads[o] = spread_of(values);
  }
  out.point = outcomes_of(model, base)[headline];
  std::vector<double> medians;
  for (const UncertainInput& input : uncertainty.inputs) medians.push_back(input.at(0.5, base));
  out.at_medians = outcomes_of(model, with_inputs(base, uncertainty, medians))[headline];
  out.tornado = tornado(model, base, uncertainty, headline, draws);
  return out;
}

}  // namespace flopcast
