#include "workloads/rl/packing.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <vector>

namespace flopcast {

MicroBatchShape micro_batch_shape(const TrainingConfig& update, AnswerPacking packing, double token_mean) {
  MicroBatchShape shape;
  shape.sequences = update.batch.micro_batch_sequences;
  shape.sequence_length = update.batch.sequence_length;
  if (packing == AnswerPacking::padded) return shape;
  const double room = shape.tokens();
  // GPUs that share a sequence take equal pieces of it.
  const std::int64_t piece = 2 * std::int64_t{update.plan.context} * update.plan.tensor;
  const auto pieces = static_cast<std::int64_t>(std::ceil(token_mean / static_cast<double>(piece)));
  shape.sequence_length = std::min(std::max<std::int64_t>(1, pieces) * piece, shape.sequence_length);
  shape.sequences = std::max(1, static_cast<int>(room / static_cast<double>(shape.sequence_length)));
  return shape;
}

PackedAnswers pack(std::span<const std::int32_t> sequences, int replicas, AnswerPacking packing,
                   const MicroBatchShape& shape) {
  if (sequences.empty()) return {};
  const auto n = static_cast<double>(sequences.size());
  if (packing == AnswerPacking::padded) {
    const double most = std::ceil(n / replicas);
    return {most / shape.sequences, n / replicas / shape.sequences};
  }
  const double all = std::accumulate(sequences.begin(), sequences.end(), 0.0);
  const double mean = all / replicas;
  double most = 0;
  if (packing == AnswerPacking::in_order) {
    for (int r = 0; r < replicas; ++r) {
      const std::size_t from = sequences.size() * static_cast<std::size_t>(r) / static_cast<std::size_t>(replicas);
      const std::size_t to = sequences.size() * static_cast<std::size_t>(r + 1) / static_cast<std::size_t>(replicas);
      most = std::max(most, std::accumulate(sequences.begin() + static_cast<std::ptrdiff_t>(from),
                                            sequences.begin() + static_cast<std::ptrdiff_t>(to), 0.0));
    }
  } else {
    // The longest first, each to the replica with least so far.
    std::vector<std::int32_t> sorted(sequences.begin(), sequences.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    std::priority_queue<double, std::vector<double>, std::greater<>> load;
    for (int r = 0; r < replicas; ++r) load.push(0);
    for (const std::int32_t length : sorted) {
      const double now = load.top() + length;
      load.pop();
      load.push(now);
      most = std::max(most, now);
    }
  }
  return {most / shape.tokens(), mean / shape.tokens()};
}

}  // namespace flopcast
