#include "analysis/runs/serving/saturation.h"
#include "scenarios/resolve/change_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flopcast {

TrafficConfig times_as_much(TrafficConfig traffic, double factor) {
  if (factor > 1) traffic.requests = static_cast<std::uint64_t>(static_cast<double>(traffic.requests) * factor);
  for (TrafficClass& c : traffic.classes) {
    if (auto* loop = std::get_if<OpenLoop>(&c.arrivals)) loop->rate = loop->rate.scaled(factor);
    if (auto* loop = std::get_if<ClosedLoop>(&c.arrivals))
      loop->users = std::max(1, static_cast<std::int32_t>(loop->users * factor));
    if (std::holds_alternative<TraceTimes>(c.arrivals)) std::get<TraceTraffic>(c.lengths).options.rate_scale *= factor;
  }
  return traffic;
}

namespace {

/// Requests at once several times over, else no queue settles.
constexpr double kLivesTold = 5;
/// A load near saturation makes queues that take tens of thousands of requests to show that they grow.
constexpr double kEnoughTold = 50'000;

}  // namespace

ReplayLength::ReplayLength(const TrafficConfig& own) : own_(static_cast<double>(expected_requests(own))) {}

void ReplayLength::cut(ServingScenario& serving, double load) const {
  const auto all = static_cast<double>(expected_requests(serving.traffic));
  const double told = std::max({own_, kEnoughTold, kLivesTold * at_once_per_load_ * load});
  if (own_ <= 0 || load <= 1 || all <= told) return;
  serving.traffic.requests = static_cast<std::uint64_t>(told);
  serving.warm_up = serving.warm_up * (told / all);
}

void ReplayLength::replayed(const ServingReport& report, double load) {
  if (report.state == LoadState::overloaded || report.all.completed.requests == 0) return;
  at_once_per_load_ = report.arrivals_per_s() * report.all.end_to_end.quantile(0.5) / load;
}

bool waits_for_answers(const TrafficConfig& traffic) {
  return std::any_of(traffic.classes.begin(), traffic.classes.end(),
                     [](const TrafficClass& c) { return std::holds_alternative<ClosedLoop>(c.arrivals); });
}

double doubled_load(const std::function<bool(double)>& good, double least, double most) {
  double load = 1;
  if (good(load)) {
    while (load < most && good(2 * load)) load *= 2;
    return load;
  }
  do {
    load /= 2;
    if (load < least) return 0;
  } while (!good(load));
  return load;
}

void bisect_load(const std::function<bool(double)>& good, double low, double close) {
  for (double high = 2 * low; high / low > close;) {
    const double middle = std::sqrt(low * high);
    (good(middle) ? low : high) = middle;
  }
}

SaturationPoint find_saturation(const std::function<LoadTrial(double)>& replay) {
  constexpr double kStep = 1.5, kMost = 64, kBracket = 1.05;
  double stood = 0, not_stood = 0, rate = 0;
  const auto attempt = [&](double load) {
    const LoadTrial trial = replay(load);
    const bool stands = trial.state != LoadState::overloaded;
    (stands ? stood : not_stood) = load;
    if (stands) rate = trial.requests_per_s;
  };
  attempt(1);
  while (not_stood == 0 && stood < kMost) attempt(stood * kStep);
  while (stood == 0 && not_stood > 1 / kMost) attempt(not_stood / kStep);
  if (not_stood == 0)
    return {0, 0, fmt::format("none up to {:g} times the traffic: so few requests do not fill the deployment", kMost)};
  if (stood == 0) return {0, 0, fmt::format("below one {:g}th of the traffic", kMost)};
  while (not_stood / stood > kBracket) attempt(std::sqrt(stood * not_stood));
  return {rate, stood, ""};
}

}  // namespace flopcast
