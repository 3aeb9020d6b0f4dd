// When the decoding batch next changes: until then its iterations are alike, and are taken as one span of time, summed
// in closed form.
//
// A span goes up to the next finish or possible lack of pages; an arrival, a failure or new prices cut it at the end of
// the iteration under way. The results are, to the last bit, those of single iterations (ReplicaConfig::jump switches
// spans off). An iteration with prompts is a span of its own.
#pragma once
#include <cstdint>
#include <deque>
#include <span>

#include "workloads/serving/metrics/gap_histogram.h"
#include "workloads/serving/replica/group/batcher.h"

namespace flopcast {

/// The iterations that run, or ran last.
struct IterationSpan {
  bool running = false, prompts = false, decodes = false;
  bool cut = false;  ///< something has happened that the next iteration may heed: `end` is its boundary
  Ticks begin = 0, end = 0;
  std::int64_t iterations = 0;
  /// It may be cut before its end.
  bool divisible() const { return iterations > 1 && !cut; }
};

/// Writes or reads the place of one of them; none: past the end.
/// @param pricers all that there are, in an order that stays
void archive_pricer(StateArchive& state, IterationPricer*& one, std::span<IterationPricer* const> pricers);

class DecodePacing {
 public:
  using Groups = std::deque<Batcher>;  ///< attention groups, in step: the slowest sets the pace
  DecodePacing(const Groups& groups, const TokenPattern& pattern, ReplicaState& state, GapHistogram& gaps);

  /// Finds the group that sets the pace, where a batch has changed since it was found last.
  void find_pace(IterationPricer& pricer);
  void set_pattern(const TokenPattern& pattern) { pattern_ = pattern; }
  /// That group.
  const DecodeBatch& batch() const { return (*groups_)[group_].decode(); }
  /// The next decoding iteration, once the pace is found.
  Ticks iteration() const { return curve_->at(batch().kv()); }
  /// Iterations until a request finishes, or until pages might run short.
  std::int64_t until_change() const;

  /// A span begins: so many decoding iterations, or one of `duration` with prompts in which decoding requests advance
  /// (`decodes`) or stand still. `wait`: for transfers, before one iteration.
  void begin_decoding(Ticks now, std::int64_t iterations, Ticks wait);
  void begin_prompts(Ticks now, Ticks duration, bool decodes, Ticks wait);
  const IterationSpan& span() const { return span_; }
  /// The last iteration of the span: its only one, or the last of decoding ones.
  Ticks last_iteration() const {
    return span_.prompts ? span_.end - span_.begin : iteration_ticks(span_.iterations - 1);
  }

  /// Iterations of the span that are over; one that ends just now is not, as when it runs alone.
  std::int64_t passed(Ticks now) const;
  /// The span ends at the first boundary that is not before `now`: something has happened that the next iteration may
  /// heed.
  void heed(Ticks now);
  /// The span has only as many iterations as are over. False when it runs on, none being over.
  bool keep_passed(Ticks now);
  /// The span is over; requests have got its tokens.
  void stop() { span_.running = span_.prompts = span_.decodes = false; }

  /// Counts the times between tokens of the span, which ends now.
  void note_gaps(Ticks now);

  /// @param pricers all that there are, in an order that stays
  void archive(StateArchive& state, std::span<IterationPricer* const> pricers);

 private:
  struct CurveKey {
    IterationPricer* pricer = nullptr;
    std::int64_t batch = 0;
    bool drafts = false;
  };
  void take_curve(const CurveKey& key);
  Ticks after(std::int64_t iterations) const {
    return later(span_.begin, curve_->sum(batch().kv(), iterations, pattern_, state_->iteration));
  }
  Ticks iteration_ticks(std::int64_t i) const {
    return curve_->at(batch().kv() + batch().size() * pattern_.tokens(state_->iteration, i));
  }
  void note_gaps_between(std::int64_t from, std::int64_t n, std::int64_t requests);

  const Groups* groups_;
  TokenPattern pattern_;
  ReplicaState* state_;
  GapHistogram* gaps_;
  std::size_t group_ = 0;               // sets the pace of decoding until a batch changes
  const DecodeCurve* curve_ = nullptr;  // its times
  CurveKey curve_key_;                  // and what gave them
  IterationSpan span_;
  Ticks last_tokens_ = 0;  // end of the last decoding iteration
};

}  // namespace flopcast
