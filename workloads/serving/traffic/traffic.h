// Who asks what, and when: the traffic that a serving session replays, described or read from traces.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "workloads/serving/traffic/arrivals.h"
#include "workloads/serving/traffic/distribution.h"
#include "workloads/serving/traffic/request.h"
#include "workloads/serving/traffic/session_file.h"
#include "workloads/serving/traffic/trace_reader.h"

namespace flopcast {

/// Requests come whatever becomes of the earlier ones.
struct OpenLoop {
  RateCurve rate = RateCurve::constant(Hertz(1));
  Spacing spacing = Spacing::exponential;
  double cv = 1.0;  ///< of gamma gaps
  /// Most requests under way; further ones are sent when one is answered, and arrive then. 0: any number.
  std::int32_t max_concurrency = 0;
};

/// So many users, each with one request under way; after its answer a user thinks (seconds), then asks again.
/// Each begins with a time to think, user i of n after i / n of `ramp`.
struct ClosedLoop {
  std::int32_t users = 1;
  RandomNumber think = RandomNumber::fixed(0);
  Seconds ramp;
};

/// A trace that scan_trace has passed.
struct TraceTraffic {
  explicit TraceTraffic(TraceOptions trace) : options(std::move(trace)), summary(scan_trace(options)) {}
  TraceOptions options;
  TraceSummary summary;
  /// Begins again at its end, with blocks that no earlier pass had, a mean gap after the last request.
  bool repeat = false;
};

/// At the times of the trace, or of the recorded sessions, that give the lengths.
struct TraceTimes {};

struct DrawnLengths {
  RandomNumber input = RandomNumber::fixed(1), output = RandomNumber::fixed(1);  ///< tokens
};

/// Conversations: each turn's prompt is a system prompt that conversations share, all earlier turns with
/// their answers, and what is new (the class's input length).
struct Sessions {
  RandomNumber turns = RandomNumber::fixed(1);
  RandomNumber think = RandomNumber::fixed(0);  ///< seconds from an answer to the next turn
  std::int32_t system_prompt_tokens = 0;
  std::int32_t system_prompts = 1;  ///< different ones, equally often
  int block_tokens = 64;            ///< of the blocks by which prefixes are found; of scenarios: pages of their pools
  std::int64_t context = 0;         ///< a conversation ends before its turn would be longer; 0: never
  /// Answers of a turn that call a tool, before the one to the user; 0: none. Results are there after `tool_time`.
  double tool_calls = 0;
  RandomNumber tool_time = RandomNumber::fixed(0);  ///< seconds
  std::optional<RandomNumber> tool_result;          ///< tokens; as what a user asks
  std::optional<RandomNumber> tool_call;            ///< tokens; as other answers
};

struct TrafficClass {
  std::string name;
  std::variant<OpenLoop, ClosedLoop, TraceTimes> arrivals;
  /// Those of a trace in its order, begun again at its end; of recorded sessions turn by turn.
  std::variant<DrawnLengths, TraceTraffic, RecordedSessions> lengths;
  std::optional<Sessions> sessions;  ///< with drawn lengths; arrivals are then those of first turns
  double stated_cached_share = 0.0;  ///< of each prompt, where the description gives a hit rate instead of prefixes
};

struct TrafficConfig {
  std::vector<TrafficClass> classes;
  std::uint64_t seed = 1;
  Seconds duration = kNever;   ///< no request arrives at or after this time
  std::uint64_t requests = 0;  ///< most of them; 0: any number
};

/// A 1-in-n sample of the same traffic: rates and users divided (users to at least 1), traces thinned at
/// random.
TrafficConfig sampled(TrafficConfig config, std::int32_t keep_one_in);

/// How many requests it gives, about; 0 where only answers decide that (users).
std::uint64_t expected_requests(const TrafficConfig& config);

/// The same rates for a 1-in-n part of the time: days pass n times as fast. Not for the times of traces.
TrafficConfig hastened(TrafficConfig config, std::int32_t times);

/// Most classes of one traffic: what numbers of blocks leave room for.
constexpr std::size_t kMostTrafficClasses = 16;

/// Streams the traffic in bounded memory. Same configuration, same requests (in closed loops and sessions:
/// same answers, too).
/// @throws InputError when classes give prefix blocks of different sizes, or a combination makes no sense.
std::unique_ptr<RequestSource> make_traffic(const TrafficConfig& config);

}  // namespace flopcast
