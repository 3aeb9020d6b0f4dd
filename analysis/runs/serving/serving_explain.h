// Where the time of a serving deployment goes: what one iteration consists of, and what each mechanism of the
// model adds to the time per output token and to the time to first token.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/serving_run.h"
#include "workloads/serving/pricing/forward.h"

namespace flopcast {

namespace report {
class ServingExplanation;
}

/// Mechanisms of one iteration, each to be left out.
struct IterationMechanisms {
  bool host = true;  ///< gaps between kernels, launches, the engine's own time
  bool all_reduces = true;
  bool exchange = true;
  bool micro_batches = true;
  bool skew = true;  ///< of experts
  bool speculation = true;
  bool transfers = true;  ///< between pipeline stages
};

/// What one attention group has before it in an iteration.
struct DecodeWork {
  double requests = 0, kv_tokens = 0;  ///< the latter behind each
};
/// A prompt alone on its replica, beside others of the same length on the other groups.
struct PromptWork {
  double tokens = 0, cached = 0;
};

struct IterationPart {
  std::string name;
  PassTime pass;
};
/// Parts sum to the time. Of an exchange only what no computation hides is a part: what the iteration's price
/// leaves beside the others.
struct IterationParts {
  std::vector<IterationPart> parts;
  Seconds total() const;
};

IterationParts decode_iteration(const ForwardSetting& setting, const DecodeWork& work,
                                const IterationMechanisms& mechanisms = {});
/// In as many iterations as its tokens take budgets.
IterationParts prompt_iterations(const ForwardSetting& setting, const PromptWork& work,
                                 const IterationMechanisms& mechanisms = {});

struct ExplainedIteration {
  std::string pool, what;  ///< "decode" or "prompt"
  double requests = 0, tokens = 0, kv_tokens = 0;
  IterationParts iteration;
};

/// `bare`, then what each adds: together the mean of the replay.
struct LatencyLadder {
  std::string figure, title;
  Seconds bare, total;
  std::vector<std::pair<std::string, Seconds>> adds;
};

struct ServingExplanation {
  std::vector<ExplainedIteration> iterations;
  std::vector<LatencyLadder> ladders;
};

/// At the mean batch and lengths of a replay.
ServingExplanation explain_serving(const ServingReport& report);

std::string to_text(const ServingExplanation& explanation, const TextStyle& style);
report::ServingExplanation to_message(const ServingExplanation& explanation);

}  // namespace flopcast
