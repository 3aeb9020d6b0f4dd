// How a replica fills its iterations, when it lets a request in, and what becomes of one that has to give way: tables
// with a row per file of policies/.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "workloads/serving/cache/kv_cache.h"

namespace flopcast {

/// The next iteration of an attention group while a batching policy puts it together. Requests that decode are in it
/// already; the policy says how many tokens of which prompts go beside them.
class IterationPlan {
 public:
  virtual ~IterationPlan() = default;
  std::int64_t token_budget = 0;       ///< SchedulerConfig
  std::int64_t decoding_requests = 0;  ///< in the group's batch,
  std::int64_t decoding_tokens = 0;    ///< and the tokens that they process in an iteration, drafts included
  /// Pieces of prompts that were admitted before, in order of admission, `tokens` at most. What is left of `tokens`.
  virtual std::int64_t continue_prompts(std::int64_t tokens) = 0;
  /// Requests from the queue, first come first served, as long as the cache has room; pieces of their prompts, `tokens`
  /// at most. What is left of `tokens`.
  virtual std::int64_t admit_waiting(std::int64_t tokens) = 0;
};

struct BatchingRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  std::function<void(IterationPlan&)> compose;
  bool decodes_beside_prompts = true;  ///< else decoding requests stand still in iterations with prompts
};

struct AdmissionRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  /// Tokens of its answer, of which `left` are to come, that must fit into the cache beside a request's prompt.
  std::int32_t (*reserved)(std::int32_t left) = nullptr;
  bool grows = true;  ///< requests take further pages as they go on, and may have to give way
};

struct PreemptionRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  /// Brings the cache of a request that gives way elsewhere. False: it is dropped, and computed again later.
  bool (*keep)(KvCache& cache, KvSequence sequence) = nullptr;
};

std::span<const BatchingRow> batching_policies();
std::span<const AdmissionRow> admission_policies();
std::span<const PreemptionRow> preemption_policies();

/// The table that a field with a row of it chooses from.
inline std::span<const BatchingRow> rows_of(const BatchingRow*) { return batching_policies(); }
inline std::span<const AdmissionRow> rows_of(const AdmissionRow*) { return admission_policies(); }
inline std::span<const PreemptionRow> rows_of(const PreemptionRow*) { return preemption_policies(); }

/// The row of that name in one of the tables; null when there is none.
template <class Row>
const Row* find_policy(std::span<const Row> rows, std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace flopcast
