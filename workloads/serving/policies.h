// How a replica fills its iterations, when it lets a request in, and what becomes of one that has to give way: tables
// with a row per file of policies/.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "flopcast/policies.h"
#include "workloads/serving/cache/kv_counters.h"

namespace flopcast {

class KvCache;

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
