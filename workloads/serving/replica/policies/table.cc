#include <array>

#include "workloads/serving/replica/policies/rows.h"

namespace flopcast {

// The first row of each table is the default.
std::span<const BatchingRow> batching_policies() {
  static const std::array kRows = {rows::mixed(), rows::prefill_first(), rows::decode_first()};
  return kRows;
}

std::span<const AdmissionRow> admission_policies() {
  static const std::array kRows = {rows::prompt(), rows::whole()};
  return kRows;
}

std::span<const PreemptionRow> preemption_policies() {
  static const std::array kRows = {rows::recompute(), rows::swap()};
  return kRows;
}

}  // namespace flopcast
