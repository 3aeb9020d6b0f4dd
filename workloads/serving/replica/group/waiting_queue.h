// Who is next of the requests that wait in an attention group.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "workloads/serving/config/class_rules.h"
#include "workloads/serving/replica/group/fifo.h"
#include "workloads/serving/replica/group/job.h"

namespace flopcast {

/// First come, first served; where classes differ, the highest priority first and, of one priority, the class that has
/// got least service for its weight (virtual token counter: Sheng et al. 2024, Fairness in Serving Large Language
/// Models, OSDI '24; tokens of answers count twice). A class that had nothing to ask for saves nothing up.
class WaitingQueue {
 public:
  /// @param rules null: all classes are alike
  explicit WaitingQueue(const ClassRules* rules) : rules_(rules), lanes_(rules ? rules->of.size() : 1) {}

  bool empty() const { return size_ == 0; }
  JobId front() const { return lanes_[next()].jobs.front(); }
  void pop_front() {
    lanes_[next()].jobs.pop_front();
    --size_;
  }
  void push_back(JobId job, std::uint16_t request_class) {
    Lane& lane = enter(request_class);
    lane.jobs.push_back(job);
  }
  /// One that had its place already.
  void push_front(JobId job, std::uint16_t request_class) {
    Lane& lane = enter(request_class);
    lane.jobs.push_front(job);
  }
  /// Tokens of prompts count once, of answers twice.
  void served(std::uint16_t request_class, std::int64_t tokens) {
    if (rules_ != nullptr)
      lanes_[request_class].service += static_cast<double>(tokens) / rules_->of[request_class].weight;
  }
  /// Of those of the lowest priority that waits, if it is lower than that, the last one; invalid: none is.
  JobId last_below(int priority) const {
    JobId out;
    if (rules_ == nullptr) return out;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (lanes_[i].jobs.empty() || rules_->of[i].priority >= priority) continue;
      priority = rules_->of[i].priority;
      out = *(lanes_[i].jobs.end() - 1);
    }
    return out;
  }
  template <class Predicate>
  void erase_if(Predicate predicate) {
    for (Lane& lane : lanes_) size_ -= static_cast<std::int64_t>(lane.jobs.erase_if(predicate));
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const Lane& lane : lanes_)
      for (const JobId job : lane.jobs) visit(job);
  }
  void clear() {
    for (Lane& lane : lanes_) lane = {};
    size_ = 0;
  }
  void archive(StateArchive& state) { state(lanes_, size_); }

 private:
  struct Lane {
    Fifo<JobId> jobs;
    double service = 0;
    void archive(StateArchive& state) { state(jobs, service); }
  };
  /// One that comes back stands where the least served of those that wait stands.
  Lane& enter(std::uint16_t request_class) {
    const std::size_t own = rules_ == nullptr ? 0 : request_class;
    Lane& lane = lanes_[own];
    if (rules_ != nullptr && lane.jobs.empty()) {
      double least = -1;
      for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const bool waits = !lanes_[i].jobs.empty() && rules_->of[i].priority == rules_->of[own].priority;
        if (waits && (least < 0 || lanes_[i].service < least)) least = lanes_[i].service;
      }
      lane.service = std::max(lane.service, least);
    }
    ++size_;
    return lane;
  }
  std::size_t next() const {
    if (rules_ == nullptr) return 0;
    std::size_t best = lanes_.size();
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (lanes_[i].jobs.empty()) continue;
      if (best == lanes_.size() || before(i, best)) best = i;
    }
    return best;
  }
  bool before(std::size_t a, std::size_t b) const {
    const int first = rules_->of[a].priority, second = rules_->of[b].priority;
    return first != second ? first > second : lanes_[a].service < lanes_[b].service;
  }

  const ClassRules* rules_;
  std::vector<Lane> lanes_;
  std::int64_t size_ = 0;
};

}  // namespace flopcast
