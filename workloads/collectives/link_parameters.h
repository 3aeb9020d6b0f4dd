// The constants of links and communication kernels: which of them are fitted together, within which bounds, where the
// fit starts, and where each comes from.
#pragma once
#include <span>

#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/fabric/link_calibration.h"

namespace flopcast {

/// A constant with the name, bounds and start of its fit.
struct FittedLink {
  ParameterInfo info;
  Fitted LinkCalibration::*field;
};

// What is fitted together; units stand in the names.
std::span<const FittedLink> expert_parameters();     ///< dispatch and combine of experts (DeepEP)
std::span<const FittedLink> ring_time_parameters();  ///< rings, seen in small collectives
std::span<const FittedLink> ring_rate_parameters();  ///< rings, seen in large ones
std::span<const FittedLink> nccl_parameters();       ///< NCCL's rings and in-switch sums within a node
std::span<const FittedLink> exchange_parameters();   ///< NCCL's all-to-all
std::span<const FittedLink> message_parameters();    ///< NCCL's send and receive
std::span<const FittedLink> direct_parameters();     ///< all-reduce that engines write themselves, over NVLink

/// Writes beside each fitted constant what it was fitted on.
void name_sources(LinkCalibration& links);

/// NCCL's own constants between nodes, which no table of ours measures.
void set_published_network(LinkCalibration& links);

}  // namespace flopcast
