// Who is next of the requests that wait in an attention group.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
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
  explicit WaitingQueue(const ClassRules* rules) : rules_(rules), further_(rules ? rules->of.size() - 1 : 0) {}

  bool empty() const { return size_ == 0; }
  JobId front() const { return lane(next()).jobs.front(); }
  /// Some of those that are next, as things are: the first of the class that is.
  std::span<const JobId> first(std::size_t most) const {
    if (empty()) return {};
    const Fifo<JobId>& jobs = lane(next()).jobs;
    return {&jobs.front(), std::min(most, jobs.size())};
  }
  void pop_front() {
    lane(next()).jobs.pop_front();
    --size_;
  }
  void push_back(JobId job, std::uint16_t request_class) { enter(request_class).jobs.push_back(job); }
  /// One that had its place already.
  void push_front(JobId job, std::uint16_t request_class) { enter(request_class).jobs.push_front(job); }
  /// Tokens of prompts count once, of answers twice.
  void served(std::uint16_t request_class, std::int64_t tokens) {
    if (rules_ != nullptr)
      lane(request_class).service += static_cast<double>(tokens) / rules_->of[request_class].weight;
  }
  /// Of those of the lowest priority that waits, if it is lower than that, the last one; invalid: none is.
  JobId last_below(int priority) const {
    JobId out;
    if (rules_ == nullptr) return out;
    for (std::size_t i = 0; i < lanes(); ++i) {
      if (lane(i).jobs.empty() || rules_->of[i].priority >= priority) continue;
      priority = rules_->of[i].priority;
      out = *(lane(i).jobs.end() - 1);
    }
    return out;
  }
  template <class Predicate>
  void erase_if(Predicate predicate) {
    for (std::size_t i = 0; i < lanes(); ++i) size_ -= static_cast<std::int64_t>(lane(i).jobs.erase_if(predicate));
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < lanes(); ++i)
      for (const JobId job : lane(i).jobs) visit(job);
  }
  void clear() {
    for (std::size_t i = 0; i < lanes(); ++i) lane(i) = {};
    size_ = 0;
  }
  void archive(StateArchive& state) { state(first_, further_, size_); }

 private:
  struct Lane {
    Fifo<JobId> jobs;
    double service = 0;
    void archive(StateArchive& state) { state(jobs, service); }
  };
  /// One that comes back stands where the least served of those that wait stands.
  Lane& enter(std::uint16_t request_class) {
    const std::size_t own = rules_ == nullptr ? 0 : request_class;
    Lane& entered = lane(own);
    if (rules_ != nullptr && entered.jobs.empty()) {
      double least = -1;
      for (std::size_t i = 0; i < lanes(); ++i) {
        const bool waits = !lane(i).jobs.empty() && rules_->of[i].priority == rules_->of[own].priority;
        if (waits && (least < 0 || lane(i).service < least)) least = lane(i).service;
      }
      entered.service = std::max(entered.service, least);
    }
    ++size_;
    return entered;
  }
  std::size_t next() const {
    if (rules_ == nullptr) return 0;
    std::size_t best = lanes();
    for (std::size_t i = 0; i < lanes(); ++i) {
      if (lane(i).jobs.empty()) continue;
      if (best == lanes() || before(i, best)) best = i;
    }
    return best;
  }
  bool before(std::size_t a, std::size_t b) const {
    const int first = rules_->of[a].priority, second = rules_->of[b].priority;
    return first != second ? first > second : lane(a).service < lane(b).service;
  }

  std::size_t lanes() const { return 1 + further_.size(); }
  Lane& lane(std::size_t i) { return i == 0 ? first_ : further_[i - 1]; }
  const Lane& lane(std::size_t i) const { return i == 0 ? first_ : further_[i - 1]; }

  const ClassRules* rules_;
  Lane first_;  // at hand, and most often the only one
  std::vector<Lane> further_;
  std::int64_t size_ = 0;
};

}  // namespace flopcast
