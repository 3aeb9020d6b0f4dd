// What an algorithm of post-training asks of the loop: a table with a row per file of algorithms/.
#pragma once
#include <span>
#include <string_view>

namespace flopcast {

/// Algorithms differ here in the work that they ask for; losses, clips and advantages cost next to nothing beside it.
struct AlgorithmRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  bool generates = true;   ///< answers are drawn from the policy; else they are given (traces)
  bool rewards = true;     ///< answers are scored
  bool trains = true;      ///< the policy is updated, and its weights go to the engine
  bool group = false;      ///< the baseline is made of a group: it takes two answers to a prompt
  bool critic = false;     ///< a value model (RlConfig::critic_model) is asked for values, and trained too
  bool reference = false;  ///< log-probabilities of a frozen copy of the policy (KL term), unless the scenario says no
  bool old_log_probs = true;  ///< the trainer computes log-probabilities of answers again before it updates
  bool teacher = false;       ///< log-probabilities of a teacher take the place of rewards
  bool drops_groups = false;  ///< groups without signal are thrown away, and others drawn (RlConfig::signal_share)
};

/// The default first.
std::span<const AlgorithmRow> algorithms();
const AlgorithmRow* find_algorithm(std::string_view name);  ///< null when there is none

/// The table that a field with a row of it chooses from.
inline std::span<const AlgorithmRow> rows_of(const AlgorithmRow*) { return algorithms(); }

}  // namespace flopcast
