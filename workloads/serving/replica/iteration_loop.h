// The iterations of a replica, one after the other: an iteration begins in start() and ends in commit().
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "workloads/serving/replica/decode_pacing.h"
#include "workloads/serving/replica/group/batcher.h"
#include "workloads/serving/replica/nic_sharing.h"

namespace flopcast {

/// Keeps the answers that end at a boundary back until it is known when users get their last tokens.
class Outbox final : public ReplicaListener {
 public:
  Outbox(ReplicaListener& listener, bool keeps) : listener_(&listener), keeps_(keeps) {}
  void handed_on(JobId job, Ticks now) override { listener_->handed_on(job, now); }
  void placed(JobId job, Ticks now) override { listener_->placed(job, now); }
  void expired(JobId job, Ticks now) override { listener_->expired(job, now); }
  void finished(JobId job, Ticks now) override {
    if (keeps_) return kept_.push_back(job);
    listener_->finished(job, now);
  }
  void archive(StateArchive& state) { state(kept_); }
  void send(Ticks shown) {
    for (const JobId job : kept_) listener_->finished(job, shown);
    kept_.clear();
  }

 private:
  ReplicaListener* listener_;
  bool keeps_;
  std::vector<JobId> kept_;
};

class IterationLoop {
 public:
  IterationLoop(const ReplicaConfig& config, IterationPricer& pricer, std::deque<Batcher>& groups, ReplicaState& state,
                GapHistogram& gaps, Outbox& outbox);

  /// When something happens next: running iterations end, or a cached prompt is back in HBM.
  Ticks next_event() const;
  /// It happens (`now` = next_event()).
  void advance(Ticks now);
  /// Starts iterations if they stand still and there is something to do.
  void wake(Ticks now);
  /// Something has happened that the next iteration may heed; `submitted`: a request has come.
  void heed(Ticks now) { pacing_.heed(now); }
  void submitted(Ticks now);
  /// Iterations that are over count; the one under way does not, and nothing runs then.
  void break_off(Ticks now);
  /// Other prices from the next iteration on.
  void set_pricer(IterationPricer& pricer, Ticks now);

  IterationPricer& pricer() const { return *pricer_; }
  const TokenPattern& pattern() const { return pattern_; }
  const DecodePacing& pacing() const { return pacing_; }
  NicSharing& nic() { return nic_; }
  const NicSharing& nic() const { return nic_; }
  /// @param pricers all that there are, in an order that stays
  void archive(StateArchive& state, std::span<IterationPricer* const> pricers);

 private:
  void list_busy(std::int64_t iteration);
  bool put_together(Ticks now);
  void start(Ticks now);
  void start_prompts(Ticks now, bool decodes);
  void start_decoding(Ticks now);
  void choose_drafts();
  void commit(Ticks now);
  void commit_decoding(Ticks now, std::int64_t iterations);
  void hand_out(Ticks now);
  void show_first_tokens(Ticks when);

  const ReplicaConfig* config_;
  IterationPricer* pricer_;
  IterationPricer* next_pricer_ = nullptr;
  std::deque<Batcher>* groups_;
  ReplicaState* state_;
  Outbox* outbox_;
  TokenPattern pattern_;
  DecodePacing pacing_;
  NicSharing nic_;
  std::vector<std::uint32_t> busy_;  // groups that are looked at; saves allocations
  Ticks launch_ = 0;                 // by the host, of the iteration that runs or ran last
  Ticks ahead_ = 0;                  // it had been done so long before that one ended
  Ticks late_ = 0;                   // tokens of the one before had so long to wait for its launch
  Ticks submitted_ = 0;              // when the last request came
  bool warm_ = false;                // prompts have been computed
};

}  // namespace flopcast
