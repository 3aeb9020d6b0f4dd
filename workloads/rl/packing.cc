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

namespace {

std::size_t cut(std::size_t size, int part, int parts) {
  return size * static_cast<std::size_t>(part) / static_cast<std::size_t>(parts);
}

double sum_of(std::span<const std::int32_t> sequences) {
  return std::accumulate(sequences.begin(), sequences.end(), 0.0);
}

/// What each replica gets of a step: as many sequences as the others, of tokens as equal as that allows (of every
/// `replicas` sequences of like length one each, the longest to the one that has least); in the order of the step.
std::vector<std::vector<std::int32_t>> shares_of(std::span<const std::int32_t> sequences, int replicas) {
  const auto count = static_cast<std::size_t>(replicas);
  std::vector<std::size_t> sorted(sequences.size());
  std::iota(sorted.begin(), sorted.end(), std::size_t{0});
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::size_t a, std::size_t b) { return sequences[a] > sequences[b]; });
  std::vector<double> load(count, 0.0);
  std::vector<std::size_t> least(count), replica_of(sequences.size());
  std::iota(least.begin(), least.end(), std::size_t{0});
  for (std::size_t begin = 0; begin < sorted.size(); begin += count) {
    std::stable_sort(least.begin(), least.end(), [&](std::size_t a, std::size_t b) { return load[a] < load[b]; });
    for (std::size_t i = begin; i < std::min(begin + count, sorted.size()); ++i) {
      replica_of[sorted[i]] = least[i - begin];
      load[least[i - begin]] += sequences[sorted[i]];
    }
  }
  std::vector<std::vector<std::int32_t>> shares(count);
  for (std::size_t i = 0; i < sequences.size(); ++i) shares[replica_of[i]].push_back(sequences[i]);
  return shares;
}

/// The longest first, each to the replica with least so far.
double most_of_balanced(std::span<const std::int32_t> sequences, int replicas) {
  std::vector<std::int32_t> sorted(sequences.begin(), sequences.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::priority_queue<double, std::vector<double>, std::greater<>> load;
  for (int r = 0; r < replicas; ++r) load.push(0);
  double most = 0;
  for (const std::int32_t length : sorted) {
    const double now = load.top() + length;
    load.pop();
    load.push(now);
    most = std::max(most, now);
  }
  return most;
}

}  // namespace

PackedAnswers pack(std::span<const std::int32_t> sequences, int replicas, AnswerPacking packing,
                   const MicroBatchShape& shape) {
  return pack_updates(sequences, 1, replicas, packing, shape).front();
}

std::vector<PackedAnswers> pack_updates(std::span<const std::int32_t> sequences, int updates, int replicas,
                                        AnswerPacking packing, const MicroBatchShape& shape) {
  const auto shares = packing == AnswerPacking::balanced_step ? shares_of(sequences, replicas)
                                                              : std::vector<std::vector<std::int32_t>>();
  std::vector<PackedAnswers> out;
  for (int u = 0; u < updates; ++u) {
    const std::size_t from = cut(sequences.size(), u, updates), to = cut(sequences.size(), u + 1, updates);
    const auto of_update = sequences.subspan(from, to - from);
    const auto n = static_cast<double>(of_update.size());
    double most = 0, all = sum_of(of_update);
    switch (packing) {
      case AnswerPacking::padded:
        out.push_back({std::ceil(n / replicas) / shape.sequences, n / replicas / shape.sequences});
        continue;
      case AnswerPacking::in_order:
        for (int r = 0; r < replicas; ++r) {
          const std::size_t first = cut(of_update.size(), r, replicas), last = cut(of_update.size(), r + 1, replicas);
          most = std::max(most, sum_of(of_update.subspan(first, last - first)));
        }
        break;
      case AnswerPacking::balanced_step:
        all = 0;
        for (const std::vector<std::int32_t>& share : shares) {
          const std::size_t first = cut(share.size(), u, updates), last = cut(share.size(), u + 1, updates);
          const double own = sum_of(std::span(share).subspan(first, last - first));
          all += own;
          most = std::max(most, own);
        }
        break;
      case AnswerPacking::balanced:
        most = most_of_balanced(of_update, replicas);
        break;
    }
    out.push_back({most / shape.tokens(), all / replicas / shape.tokens()});
  }
  return out;
}

}  // namespace flopcast
