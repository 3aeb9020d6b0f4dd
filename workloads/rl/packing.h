// Answers of different lengths as micro-batches of the trainer's replicas.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "workloads/rl/rl.h"
#include "workloads/training/training.h"

namespace flopcast {

/// What one micro-batch of a replica is, so that training's replay prices it: as many sequences as fit, each as long as
/// the sequence that a mean token is in.
struct MicroBatchShape {
  std::int64_t sequence_length = 1;
  int sequences = 1;
  double tokens() const { return static_cast<double>(sequence_length) * sequences; }
};

/// @param room tokens that a micro-batch holds (training.batch: sequence_length x micro_batch_sequences).
/// @param token_mean mean length of the sequence that a token is in.
MicroBatchShape micro_batch_shape(const TrainingConfig& update, AnswerPacking packing, double token_mean);

/// Micro-batches of the replica that has most of them, a part of one included; and of the mean replica.
struct PackedAnswers {
  double most = 0, mean = 0;
};
/// @param sequences tokens of each prompt and answer together.
PackedAnswers pack(std::span<const std::int32_t> sequences, int replicas, AnswerPacking packing,
                   const MicroBatchShape& shape);

/// Of each of a step's updates, which takes as many sequences as the others.
std::vector<PackedAnswers> pack_updates(std::span<const std::int32_t> sequences, int updates, int replicas,
                                        AnswerPacking packing, const MicroBatchShape& shape);

}  // namespace flopcast
