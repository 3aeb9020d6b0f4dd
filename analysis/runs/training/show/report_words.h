// Sentences of a training report that stand in its text and on its page alike.
#pragma once
#include <string>
#include <vector>

#include "analysis/runs/training/training_report.h"

namespace flopcast::report_words {

std::string plural(double count, const std::string& noun);  ///< "1 node", "4 nodes"
std::string cluster_line(const ClusterSpec& cluster);       ///< "2,048 x NVIDIA H800 SXM, 256 nodes of 8, ..."
std::string plan_line(const TrainingConfig& config);        ///< "DeepSeek-V3: pipeline 16 x data 128, ..."
std::string headline(const TrainingReport& report);         ///< what was found, in one or two sentences
/// Of a run without a price: "no price", which is not the same as $0; and nothing in a sentence. @{
std::string cost_cell(Usd cost);
std::string and_cost(Usd cost);  ///< ", $5.6 M"
/// @}
std::string whose_parts(const TrainingReport& report);  ///< whose time the parts of the step are
/// Whether GPUs wait for their hosts long enough to be shown.
bool waits_for_host(const TrainingReport& report);
/// "Inside passes, 3.3 s (31 %) wait for communication."
std::string waits_in_passes(const TrainingReport& report);
/// What the stages of a pipeline rank hold: "s0: embedding 3D 1M, s31: 2M head".
std::string rank_content(const TrainingReport& report, int pipeline_rank);
/// Mean over the replicas of each pipeline rank.
std::vector<RankMetrics> metrics_per_pipeline_rank(const TrainingReport& report);
std::vector<std::string> assumptions(const TrainingReport& report);
std::string run_line(const RunFacts& run);  ///< how the replay went
/// Within what 90 % of the cases lie, and what that comes from; empty where errors were not given.
std::string range_line(const TrainingReport& report);
/// The same of the whole run; empty without one.
std::string hours_line(const TrainingReport& report);
std::string evidence_line(const EvidenceShare& evidence);  ///< what compute time rests on; may be empty

}  // namespace flopcast::report_words
