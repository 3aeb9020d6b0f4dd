// What reads and tokenises requests before an engine knows of them.
#pragma once
#include <cstdint>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/base/job_id.h"
#include "workloads/serving/traffic/request.h"

namespace flopcast {

class Frontend {
 public:
  /// @param per_request,per_token what a request and a token of its prompt take
  Frontend(Ticks per_request, Ticks per_token) : per_request_(per_request), per_token_(per_token) {}

  /// Requests are known as soon as they arrive.
  bool immediate() const { return per_request_ == 0 && per_token_ == 0; }
  void add(JobId job, const Request& request) {
    const std::pair ready(to_ticks(request.arrival) + per_request_ + per_token_ * request.input_tokens, job);
    // Shorter prompts overtake longer ones; most come in order.
    auto place = incoming_.end();
    while (place != incoming_.begin() && ready.first < std::prev(place)->first) --place;
    incoming_.insert(place, ready);
  }
  Ticks next() const { return incoming_.empty() ? kNeverTick : incoming_.front().first; }
  /// The first that is ready. @pre there is one
  JobId take() {
    const JobId job = incoming_.front().second;
    incoming_.pop_front();
    return job;
  }
  /// All leave; they are added to `out`.
  void abandon(std::vector<JobId>& out) {
    for (const auto& [ready, job] : incoming_) out.push_back(job);
    incoming_.clear();
  }
  void archive(StateArchive& state) { state(incoming_); }

 private:
  Ticks per_request_, per_token_;
  std::deque<std::pair<Ticks, JobId>> incoming_;  // in the order of time
};

}  // namespace flopcast
