// Small sets of links and flows: most hold a few, which stand in the set itself.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/base/ids.h"
#include "sim/base/state_archive.h"

namespace flopcast {

using FlowNumber = std::uint32_t;

/// Most routes cross a few shared links.
class FlowLinks {
 public:
  void clear() {
    count_ = 0;
    more_.clear();
  }
  void push_back(LinkId link) {
    if (count_ < kFew) few_[count_] = link;
    if (count_ == kFew) more_.assign(few_.begin(), few_.end());
    if (count_++ >= kFew) more_.push_back(link);
  }
  const LinkId* begin() const { return count_ > kFew ? more_.data() : few_.data(); }
  const LinkId* end() const { return begin() + count_; }
  void archive(StateArchive& state) { state(few_, count_, more_); }

 private:
  static constexpr std::size_t kFew = 6;
  std::array<LinkId, kFew> few_;
  std::size_t count_ = 0;
  std::vector<LinkId> more_;  // all of them, when they are more than a few
};
/// Active flows on a link, in the order in which they came. Few on most: those stand in the link itself.
class LinkFlows {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const FlowNumber* begin() const { return more_ ? more_->data() : few_.data(); }
  const FlowNumber* end() const { return begin() + size_; }
  void archive(StateArchive& state) {
    bool many = more_ != nullptr;
    state(many, size_, few_);
    if (many && !more_) more_ = std::make_unique<std::vector<FlowNumber>>();
    if (many) state(*more_);
  }
  void push_back(FlowNumber flow) {
    if (size_ == kFew && !more_) more_ = std::make_unique<std::vector<FlowNumber>>(few_.begin(), few_.end());
    if (more_) {
      more_->push_back(flow);
    } else {
      few_[size_] = flow;
    }
    ++size_;
  }
  void erase(FlowNumber flow) {
    FlowNumber* const first = more_ ? more_->data() : few_.data();
    FlowNumber* const last = first + size_;
    std::move(std::find(first, last, flow) + 1, last, std::find(first, last, flow));
    if (more_) more_->pop_back();
    if (--size_ == 0) more_.reset();
  }

 private:
  static constexpr std::size_t kFew = 6;
  std::unique_ptr<std::vector<FlowNumber>> more_;  // all of them, once they have been more than a few
  std::uint32_t size_ = 0;
  std::array<FlowNumber, kFew> few_{};
};

/// Flows of a round: each is in it once.
class FlowRound {
 public:
  /// Another round, without flows.
  void begin() {
    flows_.clear();
    ++round_;
  }
  void know(FlowNumber flow) {
    if (flow >= mark_.size()) mark_.resize(flow + 1);
  }
  bool has(FlowNumber flow) const { return mark_[flow] == round_; }
  void add(FlowNumber flow) {
    if (has(flow)) return;
    mark_[flow] = round_;
    flows_.push_back(flow);
  }
  const std::vector<FlowNumber>& flows() const { return flows_; }
  std::uint32_t number() const { return round_; }
  void archive(StateArchive& state) { state(mark_, round_); }

 private:
  std::vector<FlowNumber> flows_;
  std::vector<std::uint32_t> mark_;  // by flow: the last round that it was in
  std::uint32_t round_ = 0;
};

}  // namespace flopcast
