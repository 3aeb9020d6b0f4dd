// What requests experienced: latencies, promises kept, and books that must balance.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/base/units.h"
#include "workloads/serving/metrics/quantile_sketch.h"
#include "workloads/serving/metrics/service_level.h"
#include "workloads/serving/traffic/request.h"

namespace flopcast {

/// A request when it has left the system.
struct RequestResult {
  std::uint64_t id = 0;
  std::uint16_t request_class = 0;
  RequestOutcome outcome = RequestOutcome::completed;
  std::int32_t input_tokens = 0;
  std::int32_t cached_tokens = 0;  ///< of the input, found in a cache of any tier
  std::int32_t output_tokens = 0;  ///< made, for a lost request before it was
  Seconds arrival;
  Seconds scheduled;  ///< first part of an iteration
  Seconds first_token;
  Seconds finish;
  Seconds queued;       ///< read and tokenised
  Seconds prompt_done;  ///< computed: where the engine measures its first token

  Seconds queueing() const { return scheduled - arrival; }
  /// Time to first token.
  Seconds ttft() const { return first_token - arrival; }
  /// As the engine that computes the prompt sees it: without what reads and tokenises requests, and without the cache's
  /// way to another engine.
  Seconds engine_ttft() const { return prompt_done - queued; }
  Seconds end_to_end() const { return finish - arrival; }
  bool has_tpot() const { return output_tokens >= 2; }
  /// Time per output token, the first left out: (finish - first token) / (output tokens - 1).
  Seconds tpot() const { return (finish - first_token) / static_cast<double>(output_tokens - 1); }
};

/// Told of every request that has left.
using ResultSink = std::function<void(const Request&, const RequestResult&)>;

/// Whether a request was completed within its limits. An answer of one token has no TPOT and misses none.
bool meets(const RequestResult& result, const ServiceLevel& promised);

struct TokenCount {
  std::int64_t requests = 0;
  std::int64_t input_tokens = 0;
  bool operator==(const TokenCount&) const = default;
};

/// One class of requests, or all.
struct ClassMetrics {
  TokenCount arrived, completed, rejected, lost, expired;
  std::int64_t cached_tokens = 0;  ///< of completed requests, as the next
  std::int64_t output_tokens = 0;
  std::int64_t within_slo = 0;  ///< completed requests within all limits of their class
  QuantileSketch ttft, engine_ttft, tpot, inter_token, end_to_end, queueing;  ///< in seconds, of completed requests

  std::int64_t left() const { return completed.requests + rejected.requests + lost.requests + expired.requests; }
  std::int64_t in_flight() const { return arrived.requests - left(); }
  /// Share of the requests that left, rejected and lost ones included, that met their limits; 1 when none
  /// left.
  double slo_attainment() const;
  /// Requests within their limits per second.
  Hertz goodput(Seconds duration) const;
  /// Every request that arrived is accounted for, with all its tokens; nothing else is.
  bool balanced() const;
  void merge(const ClassMetrics& other);
  void archive(StateArchive& state) {
    state(arrived, completed, rejected, lost, expired, cached_tokens, output_tokens, within_slo, ttft, engine_ttft,
          tpot, inter_token, end_to_end, queueing);
  }
};

/// Bounded in memory, whatever the number of requests.
class ServingMetrics {
 public:
  /// A level of service for each class of the traffic.
  explicit ServingMetrics(std::vector<ServiceLevel> levels);
  void arrived(const Request& request);
  void finished(const RequestResult& result);
  /// A token of a request of this class came `gap` after the one before it, `count` times.
  void inter_token(std::uint16_t request_class, Seconds gap, std::uint64_t count = 1);
  std::span<const ClassMetrics> classes() const { return classes_; }
  std::span<const ServiceLevel> levels() const { return levels_; }
  ClassMetrics all() const;
  void merge(const ServingMetrics& other);
  void archive(StateArchive& state) { state(classes_); }

 private:
  std::vector<ServiceLevel> levels_;
  std::vector<ClassMetrics> classes_;
};

}  // namespace flopcast
