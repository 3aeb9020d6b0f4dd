// When requests of an attention group have waited long enough.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "workloads/serving/config/class_rules.h"
#include "workloads/serving/replica/group/job.h"

namespace flopcast {

class Deadlines {
 public:
  /// @param rules null: there are none
  explicit Deadlines(const ClassRules* rules) : rules_(rules) {}

  void watch(JobId id, const Job& job) {
    if (rules_ == nullptr) return;
    const ClassRule& rule = rules_->of[job.request.request_class];
    const Ticks arrival = to_ticks(job.request.arrival);
    if (rule.deadline != kNeverTick) push({later(arrival, rule.deadline), id, job.request.id});
    if (rule.first_token_deadline != kNeverTick && job.first_token < 0)
      push({later(arrival, rule.first_token_deadline), id, job.request.id});
  }
  Ticks next() const { return dates_.empty() ? kNeverTick : dates_.front().at; }
  /// The next job that is late by now; invalid: none is.
  JobId take(const JobTable& jobs, Ticks now) {
    while (next() <= now) {
      const Date date = dates_.front();
      std::pop_heap(dates_.begin(), dates_.end(), std::greater<>());
      dates_.pop_back();
      const Job& job = jobs[date.job];
      if (job.request.id == date.request && late(job, now)) return date.job;
    }
    return JobId();
  }
  void clear() { dates_.clear(); }
  void archive(StateArchive& state) { state(dates_); }

 private:
  struct Date {
    Ticks at;
    JobId job;
    std::uint64_t request;  // numbers of jobs are used again
    friend bool operator>(const Date& a, const Date& b) { return a.at != b.at ? a.at > b.at : a.request > b.request; }
  };
  void push(Date date) {
    dates_.push_back(date);
    std::push_heap(dates_.begin(), dates_.end(), std::greater<>());
  }
  bool late(const Job& job, Ticks now) const {
    const ClassRule& rule = rules_->of[job.request.request_class];
    const Ticks arrival = to_ticks(job.request.arrival);
    return later(arrival, rule.deadline) <= now ||
           // A token that the iteration under way has shown too late does not help.
           (later(arrival, rule.first_token_deadline) <= now &&
            (job.first_token < 0 || job.first_token > later(arrival, rule.first_token_deadline)));
  }

  const ClassRules* rules_;
  std::vector<Date> dates_;  // heap
};

}  // namespace flopcast
