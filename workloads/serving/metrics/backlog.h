// Requests that wait and requests in the system, over the time in which requests come.
#pragma once
#include "workloads/serving/metrics/time_series.h"

namespace flopcast {

/// What a session samples of its queues up to the last arrival: afterwards they run dry and say nothing about the load.
class BacklogCurve {
 public:
  /// From `begin` to `end`, requests that waited and requests in the system; `arrivals`: requests came then or since.
  void add(Seconds begin, Seconds end, double waiting, double in_system, bool arrivals) {
    const double span = (end - begin).value();
    pending_waiting_ += waiting * span;
    pending_in_system_ += in_system * span;
    if (!arrivals) return;
    const double whole = (end - until_).value();
    if (whole <= 0) return;
    waiting_.add(until_, end, pending_waiting_ / whole);
    in_system_.add(until_, end, pending_in_system_ / whole);
    last_waiting_ = waiting;
    until_ = end;
    pending_waiting_ = pending_in_system_ = 0;
  }
  const TimeSeries& waiting() const { return waiting_; }
  const TimeSeries& in_system() const { return in_system_; }
  double last_waiting() const { return last_waiting_; }  ///< at the last sample with arrivals
  Seconds until() const { return until_; }               ///< that sample

  void archive(StateArchive& state) {
    state(waiting_, in_system_, until_, pending_waiting_, pending_in_system_, last_waiting_);
  }

 private:
  TimeSeries waiting_, in_system_;
  Seconds until_;
  double pending_waiting_ = 0, pending_in_system_ = 0, last_waiting_ = 0;
};

}  // namespace flopcast
