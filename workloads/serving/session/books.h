// What is counted of the requests of a session: their number, their latencies, their time inside, what was in vain.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/session/totals.h"

namespace flopcast {

class RequestBooks {
 public:
  /// @param window, most as SessionConfig::window and most_requests
  RequestBooks(const std::vector<ServiceLevel>& levels, Ticks window, std::uint64_t most)
      : metrics_(levels), company_(levels.size()), window_(window), most_(most) {}

  void arrived(const Request& request);
  /// @param shown when its user had the last token: at the moment `now`, or later
  void left(const RequestResult& result, Ticks arrival, Ticks shown);
  /// The clock goes on by so much.
  void pass(Ticks span) { in_system_ += WideTicks{span} * live_; }
  /// A request that leaves now has its last token so much later.
  void shown_later(Ticks by) { in_system_ += WideTicks{by}; }
  /// What was computed of a request that got nothing of it.
  void in_vain(const Request& request, std::int32_t generated);
  /// A request begins again: so many tokens of its prompt had been computed.
  void retried(std::int32_t computed);
  void too_long() { ++too_long_; }

  /// Of the time that is counted: the first arrival, or 0 where a window was stated; -1: it has not begun.
  Ticks counted_from() const { return window_ > 0 ? 0 : first_arrival_; }
  /// The last event of a request, or the end of the window that was stated where that comes later.
  Ticks counted_to() const { return std::max(last_event_, most_ > 0 && requests_ >= most_ ? Ticks{0} : window_); }
  std::int64_t live() const { return live_; }  ///< inside
  std::uint64_t requests() const { return requests_; }
  /// Tokens handled by replicas that then failed, or for requests that were too late.
  const TokenSnapshot& wasted() const { return wasted_; }
  void add_to(SessionTotals& totals) const;
  void archive(StateArchive& state) {
    state(metrics_, company_, first_arrival_, last_event_, wasted_, live_, retried_, retried_tokens_, in_system_,
          sojourns_, requests_, too_long_);
  }

 private:
  /// Requests of a class that came at the same moment.
  struct Company {
    Ticks at = -1;
    std::int64_t here = 0, requests = 0, sum_of_squares = 0;
    void end() {
      requests += here;
      sum_of_squares += here * here;
      here = 0;
    }
  };

  ServingMetrics metrics_;
  std::vector<Company> company_;  // by class
  Ticks window_;
  std::uint64_t most_;
  Ticks first_arrival_ = -1, last_event_ = 0;
  TokenSnapshot wasted_;
  std::int64_t live_ = 0, retried_ = 0, retried_tokens_ = 0;
  WideTicks in_system_ = 0, sojourns_ = 0;
  std::uint64_t requests_ = 0, too_long_ = 0;
};

}  // namespace flopcast
