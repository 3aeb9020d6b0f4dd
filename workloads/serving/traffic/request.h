// One request to a model, and where requests come from.
#pragma once
#include <cstdint>

#include "flopcast/outcome.h"
#include "sim/base/units.h"
#include "workloads/serving/base/clock.h"
#include "workloads/serving/cache/prefix_blocks.h"

namespace flopcast {

struct Request {
  std::uint64_t id = 0;  ///< 0, 1, 2, ... in the order in which the source hands them out
  Seconds arrival;
  std::int32_t input_tokens = 0;   ///< of the whole prompt, at least 1
  std::int32_t output_tokens = 0;  ///< of the answer, at least 1
  /// Leading tokens of the prompt that the traffic's description states to be in a cache already, where it
  /// gives a hit rate instead of blocks to replay.
  std::int32_t stated_cached_tokens = 0;
  std::uint16_t request_class = 0;  ///< row of the traffic's table of classes, each with its SLO
  std::uint16_t turn = 0;           ///< of its session, 0 = the first
  std::uint32_t session = 0;        ///< which conversation (or user of a closed loop); 0 = none
  /// Full blocks of prompt and answer, as far as they can recur; empty when nothing of it does.
  PrefixBlocks prefix;
  void archive(StateArchive& state) {
    state(id, arrival, input_tokens, output_tokens, stated_cached_tokens, request_class, turn, session, prefix);
  }
};

/// Requests one after the other, in bounded memory. Open-loop sources know all arrivals beforehand; closed
/// loops and sessions release a request when an earlier one is answered, so whoever simulates asks for the
/// time of the next one again after every `finished`:
///
///   while (source.next_arrival() <= now) start(source.take());
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  /// When the next request arrives, as far as is known now: `kNever` when none is left, or none before one is
  /// finished.
  virtual Seconds next_arrival() const = 0;
  /// The request that arrives then. Arrivals never go back in time. Not to be called at `kNever`.
  virtual Request take() = 0;
  /// Told once of every request taken, in order of time and not before the last arrival taken. A conversation
  /// that did not get its answer is not continued.
  virtual void finished(const Request& /*request*/, Seconds /*when*/, RequestOutcome /*outcome*/) {}
  /// Tokens of one block of `Request::prefix`; 0 when the source gives none.
  virtual int prefix_block_tokens() const { return 0; }
  /// What is left to come, written or read. False: this source has no state that could be kept.
  virtual bool archive(StateArchive& /*state*/) { return false; }
};

}  // namespace flopcast
