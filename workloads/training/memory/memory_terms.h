// What a training configuration's memory is made of, worked out once: what a rank needs is then a sum over the stages
// that it holds. The table of a report (memory.h) and searches over plans read the same terms.
#pragma once
#include "sim/base/units.h"
#include "workloads/training/stages.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Bytes on one GPU, in the order of the table.
struct MemoryFigures {
  double parameters = 0, gathered_layers = 0, gradients = 0, gradients_of_layer = 0, optimiser_states = 0;
  double activations = 0;
  /// At the end of a forward pass the loss is made, or in the backward pass a layer is worked on, with its gradients:
  /// never both at once.
  double logits = 0, layer_again = 0, expert_buffers = 0;
  double scratch = 0;
  double beside = 0;  ///< by something else on the same GPU
  Bytes total() const;
};

/// Bytes that one micro-batch leaves behind in a layer, wherever they lie: in the mean of a model's layers, of which
/// some may be computed again and some multiply in BF16.
/// @param load of the experts of this GPU over the mean. @param token_ranks MemoryTerms::ranks_of_a_token().
Bytes kept_in_mean_layer(const TrainingConfig& config, bool moe, double load, double token_ranks);

class MemoryTerms {
 public:
  /// What a rank holds, over its stages.
  struct Held {
    StageParameters elements, trained;
    double layers = 0;
    double kept = 0;     ///< bytes that one micro-batch leaves behind in its layers, wherever they lie
    double largest = 0;  ///< the most that it leaves behind in one of them
    bool head = false, embedding = false;
    double all() const { return elements.replicated + elements.expert; }
  };

  /// What many plans of a model share.
  struct Shared {
    ParameterCount count;
    double token_ranks = 0;  ///< ranks_of_a_token()
  };

  /// @param config outlives the terms.
  /// @param hottest_load expert load of the fullest rank over the mean.
  MemoryTerms(const TrainingConfig& config, double hottest_load);
  MemoryTerms(const TrainingConfig& config, double hottest_load, const Shared& shared);

  /// Expert-parallel ranks that want a token, on average, where it is sent to each once; 0 where every copy is sent on
  /// its own. Depends on the model, on expert parallelism and on the dispatcher.
  static double ranks_of_a_token(const TrainingConfig& config);

  /// Bytes that one micro-batch leaves behind on the GPU in one stage.
  Bytes activation(const StageContent& stage) const;
  void add(Held& held, const StageContent& stage) const;
  /// @param holders ranks that hold the same stages: DualPipe has two, and so twice the replicas to shard over.
  /// @param activations the most that is held at once.
  MemoryFigures figures(const Held& held, int holders, Bytes activations) const;

  /// Ways over which states that are on every rank of a stage are sharded, and those of experts.
  double dense_shards(int holders) const;
  double expert_shards(int holders) const;
  /// Of an element of parameters, with the operand that FP8 multiplies.
  double parameter_bytes() const;
  bool keeps_narrow_copy() const;
  /// Of an element of parameters where it is held, and of what the optimiser keeps beside it.
  double held_bytes() const;
  double state_bytes() const;
  bool shards_are_master() const;
  /// No gradient is there while activations are most.
  bool frees_gradients() const;
  /// Of logits and what is made of them, at once.
  double logit_bytes() const;

 private:
  Bytes kept_in(const StageContent& stage) const;
  double sharded(const StageParameters& of, int holders) const;
  double passing(const Held& held, const StageParameters& whole, int holders, double units, double bytes) const;

  const TrainingConfig& config_;
  ParameterCount count_;
  double hottest_load_;
  bool experts_, mtp_moe_;
  double own_,
      sliced_;          // tokens of a micro-batch that a GPU keeps between layers, and its share where matrices are cut
  double dense_, moe_;  // kept in a layer of which nothing is done again as a whole
};

}  // namespace flopcast
