#include "analysis/runs/training/goodput.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

constexpr double kLeastEffective = 0.01;
/// Of all replays together; about two seconds on one core.
constexpr double kMostInterruptions = 2e7;
constexpr Seconds kNoEnd{std::numeric_limits<double>::infinity()};

// Streams of one seed: when failures strike, and which of them break a node. The offset keeps clear of the
// purposes that other parts draw for.
enum class Purpose : std::uint64_t { failure_times = 0x6c696665'0000'0000, failure_kinds = 0x6c696665'8000'0000 };

RandomStream stream(std::uint64_t seed, Purpose purpose, int replay) {
  return RandomStream(seed, static_cast<std::uint64_t>(purpose) + static_cast<std::uint64_t>(replay));
}

/// What the configuration says, in the terms of the model.
struct LifeModel {
  double failures_per_second = 0;
  Seconds interval, write;        // no checkpoints before the end: all work in one interval
  Seconds restart, swap_restart;  // after a failure that leaves every node in place, that takes one away
  double hardware_share = 0;
  std::optional<int> spares;
  Seconds repair;
  double planned_per_second = 0;
  Seconds pause;

  LifeModel(const ResilienceConfig& r, int gpus, Seconds span)
      : failures_per_second(r.failures_per_gpu_hour * gpus / 3600.0),
        interval(r.checkpoint_interval),
        write(r.checkpoint_write),
        restart(r.restart + r.checkpoint_read),
        swap_restart(restart + r.spare_swap),
        hardware_share(r.hardware_share),
        spares(r.hot_spares),
        repair(r.repair),
        planned_per_second(r.planned_interruptions_per_day / 86400.0),
        pause(r.planned_pause + r.checkpoint_read) {
    if (interval > Seconds(0) && interval <= span) return;
    interval = span;
    write = Seconds(0);
  }
  Seconds cycle() const { return interval + write; }
};

// (exp(rate t) - 1) / rate and (1 - exp(-rate t)) / rate: the time to get through t when every failure starts
// it anew, and the time until t is over or a failure comes first. Both are t without failures.
double time_through(double rate, Seconds t) { return rate > 0 ? std::expm1(rate * t.value()) / rate : t.value(); }
double time_until(double rate, Seconds t) { return rate > 0 ? -std::expm1(-rate * t.value()) / rate : t.value(); }

// Probability that a restart gets through without another failure.
double restart_success(const LifeModel& m) {
  const auto undisturbed = [&](Seconds t) { return std::exp(-m.failures_per_second * t.value()); };
  return m.hardware_share * undisturbed(m.swap_restart) + (1 - m.hardware_share) * undisturbed(m.restart);
}

// Standing still after a failure, further failures on the way included.
double down_time(const LifeModel& m, double success) {
  if (m.failures_per_second <= 0)
    return (m.hardware_share * m.swap_restart + (1 - m.hardware_share) * m.restart).value();
  return (1 / success - 1) / m.failures_per_second;
}

/// @param planned_share of the time, that pauses take
[[noreturn]] void refuse(const LifeModel& m, double planned_share) {
  Diagnostic diagnostic;
  if (planned_share > 0.5) {
    diagnostic.field = "resilience.planned_interruptions_per_day";
    diagnostic.found = fmt::format("{:.3g}, with what follows them, leaves less than {:.0f} % of the time",
                                   m.planned_per_second * 86400, 100 * kLeastEffective);
    diagnostic.expected = "fewer of them, or a shorter planned_pause";
    throw InputError(diagnostic);
  }
  diagnostic.field = "resilience.failure_rate";
  diagnostic.found = fmt::format(
      "a failure every {:.3g} s, with checkpoints every {:.3g} s and restarts of {:.3g} s, leaves less than "
      "{:.0f} % of "
      "the time",
      1.0 / m.failures_per_second, m.interval.value(), m.restart.value(), 100 * kLeastEffective);
  diagnostic.expected =
      "failures rarer than the job recovers from them; shorten the checkpoint interval or restart, or add "
      "spares";
  throw InputError(diagnostic);
}

/// One job from its start to the end of its span.
class Replay {
 public:
  Replay(const LifeModel& model, LifeSpan span, std::uint64_t seed, int replay)
      : m_(model),
        work_left_(span.kind == LifeSpan::Kind::work ? span.length : kNoEnd),
        end_(span.kind == LifeSpan::Kind::elapsed ? span.length : kNoEnd),
        // Half a period first: so a span of n periods holds n of them, whatever the rounding.
        planned_at_(m_.planned_per_second > 0 ? Seconds(0.5 / m_.planned_per_second) : kNoEnd),
        times_(stream(seed, Purpose::failure_times, replay)),
        kinds_(stream(seed, Purpose::failure_kinds, replay)) {
    draw_failure();
  }

  Goodput run() {
    while (train()) {
    }
    return found_;
  }

 private:
  enum class Stopped { done, failure, planned, out_of_time };

  // Trains from a checkpoint on until something stops it and deals with that. False: the span is over.
  bool train() {
    const Seconds finish = now_ + work_left_ + whole_intervals(work_left_) * m_.write;
    const Seconds planned = std::max(planned_at_, now_);
    const Seconds stop = std::min({finish, end_, failure_at_, planned});
    const Seconds trained = stop - now_;
    now_ = stop;
    if (stop == finish) return book_rest(), false;
    const double cycles = std::floor(trained / m_.cycle());
    book_work(cycles * m_.interval);
    found_.checkpoints += cycles * m_.write;
    const Seconds begun = std::max(trained - cycles * m_.cycle(), Seconds(0));
    if (stop == end_) return keep(begun, Seconds(0)), false;
    if (stop == failure_at_) return fail(begun);
    return pause(begun);
  }

  double whole_intervals(Seconds work) const { return is_finite(work) ? std::floor(work / m_.interval) : 0; }

  void book_work(Seconds work) {
    found_.useful += work;
    work_left_ -= work;
  }

  void book_rest() {
    found_.checkpoints += whole_intervals(work_left_) * m_.write;
    book_work(work_left_);
  }

  // A cycle begun counts: its training as useful, the rest, and what was written since, as writing.
  void keep(Seconds begun, Seconds written) {
    const Seconds trained = std::min(begun, m_.interval);
    book_work(trained);
    found_.checkpoints += begun - trained + written;
  }

  bool fail(Seconds undone) {
    found_.lost_work += undone;
    return recover();
  }

  // Saves what was trained, if anything, then stands still for as long as planned.
  bool pause(Seconds begun) {
    const Seconds saving = begun > Seconds(0) ? m_.cycle() - std::max(begun, m_.interval) : Seconds(0);
    Seconds written;
    const Stopped while_saving = stand(saving, written);
    if (while_saving == Stopped::failure) return fail(begun + written);
    keep(begun, written);
    if (while_saving == Stopped::out_of_time) return false;
    planned_at_ += Seconds(1 / m_.planned_per_second);
    found_.planned_interruptions += 1;
    const Stopped paused = stand(m_.pause, found_.planned);
    return paused == Stopped::failure ? recover() : paused == Stopped::done;
  }

  // From a failure to training again. False: the span ends before.
  bool recover() {
    while (true) {
      found_.failures += 1;
      const bool hardware = kinds_.uniform() < m_.hardware_share;
      if (hardware && !take_spare()) return false;
      draw_failure();
      const Stopped restarted = stand(hardware ? m_.swap_restart : m_.restart, found_.restarts);
      if (restarted != Stopped::failure) return restarted == Stopped::done;
    }
  }

  // Waits for a repair when there is no spare. False: the span ends before.
  bool take_spare() {
    if (!m_.spares) return true;
    while (!in_repair_.empty() && in_repair_.front() <= now_) in_repair_.pop_front();
    in_repair_.push_back(now_ + m_.repair);
    if (static_cast<int>(in_repair_.size()) <= *m_.spares) return true;
    const Seconds ready = std::min(in_repair_.front(), end_);
    found_.repair_waits += ready - now_;
    now_ = ready;
    if (now_ == end_) return false;
    in_repair_.pop_front();
    return true;
  }

  // Stands still for `time`, booked under `bucket`, or until a failure or the end of the span comes first.
  Stopped stand(Seconds time, Seconds& bucket) {
    const Seconds stop = std::min({now_ + time, failure_at_, end_});
    const Stopped why = stop == now_ + time ? Stopped::done : stop == end_ ? Stopped::out_of_time : Stopped::failure;
    bucket += stop - now_;
    now_ = stop;
    return why;
  }

  // Failures have no memory: the next one may be drawn anew at any time.
  void draw_failure() {
    failure_at_ = m_.failures_per_second > 0 ? now_ + Seconds(times_.exponential() / m_.failures_per_second) : kNoEnd;
  }

  const LifeModel& m_;
  Goodput found_;
  Seconds now_;
  Seconds work_left_, end_;
  Seconds failure_at_, planned_at_;
  std::deque<Seconds> in_repair_;  // when each broken node comes back, the first one first
  RandomStream times_, kinds_;
};

}  // namespace

double erlang_b(int servers, double load) {
  double blocked = 1;
  for (int n = 1; n <= servers; ++n) blocked = load * blocked / (n + load * blocked);
  return blocked;
}

Goodput closed_form(LifeSpan span, int gpus, const ResilienceConfig& resilience) {
  const LifeModel m(resilience, gpus, span.length);
  const double rate = m.failures_per_second;
  const double success = restart_success(m), down = down_time(m, success);
  const double through = time_through(rate, m.cycle());  // one interval, without restarts
  const double failed = rate * through;                  // failures during it
  const double waiting = m.spares ? erlang_b(*m.spares + 1, rate * m.hardware_share * m.repair.value()) : 0;
  const double paused = time_until(rate, m.pause);
  const double pause_failed = rate * paused;
  const double planned_share = m.planned_per_second * (m.write.value() / 2 + paused + pause_failed * down);

  const double per_useful = span.length > Seconds(0) ? (through + failed * down) / m.interval.value() : 1;
  const double effective = (1 - planned_share - waiting) / per_useful;
  if (!(effective >= kLeastEffective)) refuse(m, planned_share);

  Goodput g;
  g.useful = span.kind == LifeSpan::Kind::work ? span.length : effective * span.length;
  const Seconds elapsed = g.useful / effective;
  const double intervals = span.length > Seconds(0) ? g.useful / m.interval : 0;
  g.planned_interruptions = m.planned_per_second * elapsed.value();
  g.checkpoints = (intervals + g.planned_interruptions / 2) * m.write;
  g.lost_work = intervals * (Seconds(through) - m.cycle());
  g.restarts = Seconds((intervals * failed + g.planned_interruptions * pause_failed) * down);
  g.planned = g.planned_interruptions * Seconds(paused);
  g.repair_waits = waiting * elapsed;
  g.failures = rate * (elapsed - g.repair_waits).value();
  return g;
}

Goodput replay_once(LifeSpan span, int gpus, const ResilienceConfig& resilience, std::uint64_t seed, int replay) {
  const LifeModel model(resilience, gpus, span.length);
  return Replay(model, span, seed, replay).run();
}

Spread spread_of(std::span<const double> values) {
  if (values.empty()) return {};
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const auto quantile = [&](double q) {
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
  };
  double sum = 0;
  for (const double value : sorted) sum += value;
  return {quantile(0.05), quantile(0.5), quantile(0.95), sum / static_cast<double>(sorted.size())};
}

std::optional<ReplayedGoodput> replay_failures(LifeSpan span, int gpus, const ResilienceConfig& resilience,
                                               std::uint64_t seed, int replays) {
  const double expected = 1 + closed_form(span, gpus, resilience).interruptions();
  replays = static_cast<int>(std::min<double>(replays, kMostInterruptions / expected));
  if (replays < 1) return std::nullopt;
  std::vector<Goodput> found;
  found.reserve(static_cast<std::size_t>(replays));
  for (int r = 0; r < replays; ++r) found.push_back(replay_once(span, gpus, resilience, seed, r));

  std::vector<double> values(found.size());
  const auto spread = [&](auto figure) {
    std::transform(found.begin(), found.end(), values.begin(), figure);
    return spread_of(values);
  };
  const auto hours_of = [&](Seconds Goodput::*part) {
    return spread([part](const Goodput& g) { return in_hours(g.*part); });
  };
  ReplayedGoodput out;
  out.replays = replays;
  out.seed = seed;
  out.effective = spread([](const Goodput& g) { return g.effective(); });
  out.elapsed_hours = spread([](const Goodput& g) { return in_hours(g.elapsed()); });
  out.useful_hours = hours_of(&Goodput::useful);
  out.checkpoint_hours = hours_of(&Goodput::checkpoints);
  out.lost_work_hours = hours_of(&Goodput::lost_work);
  out.restart_hours = hours_of(&Goodput::restarts);
  out.repair_wait_hours = hours_of(&Goodput::repair_waits);
  out.planned_hours = hours_of(&Goodput::planned);
  out.interruptions = spread([](const Goodput& g) { return g.interruptions(); });
  out.failures = spread([](const Goodput& g) { return g.failures; });
  out.planned_interruptions = spread([](const Goodput& g) { return g.planned_interruptions; });
  return out;
}

JobLife job_life(LifeSpan span, int gpus, const ResilienceConfig& resilience) {
  return {closed_form(span, gpus, resilience),
          replay_failures(span, gpus, resilience, resilience.seed, resilience.replays), resilience.replays};
}

}  // namespace flopcast
