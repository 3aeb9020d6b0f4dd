// A job's life on a cluster: failures, checkpoints, restarts, spares and maintenance; how much of the time is
// left for training. Once as a closed form, once as replays of random failures, over the same model:
//
//   failures      a Poisson process, rate per GPU-hour x GPUs, at all times but while waiting for a repair
//   checkpoints   after every interval of training; training stands still for the write
//   a failure     loses the work since the last complete checkpoint and the time of an unfinished write,
//                 then costs a restart and reading the checkpoint; a failure on the way starts both anew
//   spares        a share of the failures breaks a node; a spare takes its place, a repair brings it back
//                 among the spares; with none left the job waits for the next repair
//   planned       interruptions come evenly spaced, write a checkpoint of their own and lose no work
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// How long the job is looked at: until an amount of work is done, or until a time has passed.
struct LifeSpan {
  enum class Kind { work, elapsed } kind = Kind::work;
  Seconds length;
  static LifeSpan of_work(Seconds useful) { return {Kind::work, useful}; }
  static LifeSpan of_time(Seconds elapsed) { return {Kind::elapsed, elapsed}; }
};

/// Where the time goes. The parts sum to the elapsed time.
struct Goodput {
  Seconds useful;        ///< training that counts
  Seconds checkpoints;   ///< standing still for writes that were completed
  Seconds lost_work;     ///< training, and writing, that a failure undid
  Seconds restarts;      ///< from a failure to the next training step, reading the checkpoint included
  Seconds repair_waits;  ///< no spare at hand
  Seconds planned;       ///< standing still for planned interruptions, their checkpoint not included
  double failures = 0;   ///< unexpected interruptions
  double planned_interruptions = 0;

  Seconds elapsed() const { return useful + checkpoints + lost_work + restarts + repair_waits + planned; }
  double effective() const { return elapsed() > Seconds(0) ? useful / elapsed() : 1.0; }
  double interruptions() const { return failures + planned_interruptions; }
};

/// Expected values over a long run. With failure rate n, L = interval i + write w, restart time R, a share h of
/// failures that break a node, repair time d, planned standstill P:
///   time for one interval of training   (exp(n L) - 1) / (n s), s = E[exp(-n R)]   (Daly 2006, exact)
///   share of time waiting for repairs   Erlang's B(spares + 1, n h d)
///   time of a planned interruption      w / 2 + (1 - exp(-n P)) / (n s)   (to first order in n L)
/// Half a write: its checkpoint takes the place of half a periodic one on average.
/// @throws InputError when less than 1 % of the time would be left for training.
Goodput closed_form(LifeSpan span, int gpus, const ResilienceConfig& resilience);

/// A figure over many replays.
struct Spread {
  double low = 0, median = 0, high = 0;  ///< 5, 50 and 95 %
  double mean = 0;
};

struct ReplayedGoodput {
  int replays = 0;
  std::uint64_t seed = 0;
  Spread effective;
  Spread elapsed_hours, useful_hours, checkpoint_hours, lost_work_hours, restart_hours, repair_wait_hours,
      planned_hours;
  Spread interruptions, failures, planned_interruptions;
};

/// Replays with random streams of their own: the same numbers for the same seed, whatever runs beside.
/// Fewer than `replays` when that many would take more than some seconds; none when a single one would.
std::optional<ReplayedGoodput> replay_failures(LifeSpan span, int gpus, const ResilienceConfig& resilience,
                                               std::uint64_t seed, int replays);

/// One replay, for those who want to look at it.
Goodput replay_once(LifeSpan span, int gpus, const ResilienceConfig& resilience, std::uint64_t seed, int replay);

/// Both, with the seed and the number of replays that the scenario states.
struct JobLife {
  Goodput closed;
  std::optional<ReplayedGoodput> replayed;
  int replays_asked = 0;
};
JobLife job_life(LifeSpan span, int gpus, const ResilienceConfig& resilience);

/// Quantiles by linear interpolation between order statistics.
Spread spread_of(std::span<const double> values);

/// Share of the time that all of `servers` are busy under an offered load in erlangs; all of them busy is a
/// lost arrival (Erlang 1917; holds for any distribution of the service time).
double erlang_b(int servers, double load);

}  // namespace flopcast
