// A toy engine for tests of serving: fixed times of iterations, requests from a list.
#pragma once
#include <vector>

#include "workloads/serving/session/session.h"

namespace flopcast {

inline constexpr Ticks kMilli = 1'000'000'000;  ///< a millisecond

/// Requests known beforehand.
class ListSource final : public RequestSource {
 public:
  explicit ListSource(std::vector<Request> requests) : requests_(std::move(requests)) {
    for (std::size_t i = 0; i < requests_.size(); ++i) requests_[i].id = i;
  }
  Seconds next_arrival() const override { return next_ < requests_.size() ? requests_[next_].arrival : kNever; }
  Request take() override { return requests_[next_++]; }

 private:
  std::vector<Request> requests_;
  std::size_t next_ = 0;
};

inline Request toy_request(double arrival, std::int32_t input, std::int32_t output) {
  Request request;
  request.arrival = Seconds(arrival);
  request.input_tokens = input;
  request.output_tokens = output;
  return request;
}

inline PoolConfig toy_pool(std::int64_t kv_tokens = 1 << 20, int max_batch = 64) {
  PoolConfig pool;
  pool.name = "replicas";
  pool.replica.scheduler.max_batch = max_batch;
  pool.replica.cache.page_tokens = 16;
  pool.replica.cache.capacity_tokens[KvTier::hbm] = kv_tokens;
  pool.kv_bytes_per_token = Bytes(1000);
  return pool;
}

inline SessionConfig toy_session(PoolConfig pool) {
  SessionConfig config;
  config.pools = {std::move(pool)};
  config.levels = {ServiceLevel{}};
  return config;
}

/// Results of a session, request by request, in the order in which they left.
struct ToyRun {
  std::vector<RequestResult> results;
  SessionTotals totals;
};

inline ToyRun run_toy(const SessionConfig& config, std::vector<PoolPricers> pricers, std::vector<Request> requests,
                      Topology* topology = nullptr) {
  ListSource source(std::move(requests));
  ServingSession session(config, std::move(pricers), topology, &source);
  std::vector<RequestResult> results;
  session.on_result([&](const Request&, const RequestResult& result) { results.push_back(result); });
  session.run();
  return {std::move(results), session.totals()};
}

}  // namespace flopcast
