// What a trace is like: rate, bursts, lengths, how much of its prompts recurs.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "workloads/serving/cache/block_index.h"
#include "workloads/serving/metrics/quantile_sketch.h"
#include "workloads/serving/traffic/trace_reader.h"

namespace flopcast {

/// How many blocks were seen before, in bounded memory: every block up to kMost different ones, then those of
/// a sample of block numbers that halves whenever it grows too large (spatial sampling: SHARDS, Waldspurger
/// et al. 2015, FAST '15). Each block is counted or not for all of its occurrences, so that the share found
/// in the sample is the share of all on average.
class BlockReuse {
 public:
  static constexpr std::size_t kMost = 1u << 20;
  void see(std::uint64_t id);
  bool sampled() const { return limit_ != kAll; }
  double distinct() const;  ///< different blocks, an estimate when sampled
  /// Share of the blocks that had come before; a cache that keeps everything would have had them.
  double reused_share() const;

 private:
  static constexpr std::uint64_t kAll = ~std::uint64_t{0};
  void halve();
  BlockIndex index_;
  std::vector<std::uint64_t> kept_;  // what is in the index
  std::uint64_t limit_ = kAll;       // of the mixed numbers that count
  double seen_ = 0, reused_ = 0;     // scaled to all blocks when they were seen
};

/// Gaps and counts of arrivals.
class ArrivalStats {
 public:
  void add(Seconds at);
  Seconds duration() const { return last_ - first_; }
  std::uint64_t peak_minute() const { return peak_; }
  double gap_cv() const;  ///< standard deviation of the gaps over their mean; 1 for Poisson
  /// Variance over mean of the requests per full minute; 1 for Poisson. 0 with fewer than two full minutes.
  double minute_dispersion() const;

 private:
  void end_minute();
  std::uint64_t count_ = 0, in_minute_ = 0, peak_ = 0, minutes_ = 0;
  std::int64_t minute_ = 0;
  double gap_squares_ = 0, minute_sum_ = 0, minute_squares_ = 0;
  Seconds first_, last_;
};

struct TraceStats {
  std::shared_ptr<const TraceFormat> format;
  std::string evidence;  ///< on what the format was found
  std::uint64_t requests = 0;
  ArrivalStats arrivals;                  ///< where the format has times
  QuantileSketch input, output, context;  ///< tokens; context = prompt and answer
  std::uint64_t failed = 0;               ///< without an answer, left out
  std::uint32_t sessions = 0;             ///< with how many turns: requests that name one over sessions
  std::uint64_t turns = 0;                ///< requests of sessions
  std::uint64_t waiting = 0;              ///< of those: come when the turn before is answered
  std::uint64_t blocks = 0;
  BlockReuse reuse;

  bool has_times() const { return format->time_notation != TimeNotation::none; }
  Hertz mean_rate() const;  ///< gaps per second between the first and the last arrival
  /// Share of all prompt tokens that a cache without limits would have found.
  double hit_bound() const;
};

/// Streams the whole trace. @throws InputError with every fault of the file.
TraceStats trace_stats(const TraceOptions& options);

}  // namespace flopcast
