// Whether a deployment stands its load.
#pragma once
#include <cstdint>
#include <string_view>

#include "workloads/serving/session/totals.h"

namespace flopcast {

enum class LoadState : std::uint8_t {
  stable,      ///< requests are served as they come
  backlogged,  ///< replicas are busy, and requests wait longer for their turn than they are then worked on; or replicas
               ///< are full and the queue has grown all along, by no more than chance may bring at the capacity
  overloaded,  ///< they come faster than they leave: queues grow to the last arrival, are full, or lose requests to
               ///< their deadlines
};
std::string_view name(LoadState state);

/// What a run shows of its queues.
struct LoadEvidence {
  double turned_away = 0;      ///< share of the requests, by full queues
  double dropped = 0;          ///< share of the requests, at their deadlines
  bool none_answered = false;  ///< requests came, and not one was answered to the end in time
  bool unfinished = false;     ///< requests were inside when the session met the end of its clock
  Seconds arrivals;            ///< from the first to the last
  Seconds backlog;             ///< time to work off what waits at the last arrival, at the mean rate of completions
  Seconds wander;  ///< the same of three times the root of what came: as far as a queue wanders at its capacity
  double waiting_before = 0;   ///< requests that wait, on average over the second quarter of the arrivals' time,
  double waiting_between = 0;  ///< over the third,
  double waiting_late = 0;     ///< and over the last
  Seconds waited, worked_on;   ///< of a request, on average: before and after its first part in an iteration
  double busy = 0;             ///< of the busiest pool
  Seconds typical;             ///< of a request, from its arrival to its end: the median
  Seconds draining;            ///< from the last arrival to the end of the last request
  double slowest = 1;  ///< of requests by their pace, the first token's or the others': the slowest over the median
};
LoadEvidence load_evidence(const SessionTotals& totals);

/// At a load of rho times the capacity, what waits at the end takes rho - 1 of the arrivals' time to be worked off,
/// whatever the deployment: overloaded from 8 % on, provided that the queue has grown, as a burst's has not. A smaller
/// excess shows in long runs: overloaded from 2 % on, or from more than chance brings, where the queue has grown from
/// quarter to quarter, as one that only grows does (by 5/3 and 7/5), and replicas have been busy. A queue that is cut,
/// at its length or at deadlines, does not grow: overloaded where that is more than one request in a hundred, and, of
/// deadlines, replicas are busy; others may just be too near.
LoadState judge(const LoadEvidence& evidence);

/// A replica works at what it was sent for longer than requests came at all, and at a small part of the others' pace:
/// other replicas stand their load, it does not. That is overload too, and nothing of that time is a rate of the load.
bool replica_drowns(const LoadEvidence& evidence);

/// Requests take so long, compared with the time in which they came, that queues cannot have settled.
bool too_short_to_tell(const SessionTotals& totals);

}  // namespace flopcast
