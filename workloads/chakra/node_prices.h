// How long nodes of a trace take that are no communication, and what their operations are called.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/chips/gpu.h"
#include "workloads/chakra/job_graph.h"

namespace flopcast {

/// The kind of a node that is no communication.
JobOp work_of(const TraceNode& node);
/// Label::kind of a collective's operations.
std::uint16_t job_label(CommKind kind);

/// @param speed of the GPU over that of its kind.
Seconds node_time(const TraceNode& node, const JobPrices& prices, const GpuSpec& gpu, double speed);

/// Nodes whose times are not what one would think.
std::vector<std::string> pricing_notes(const ChakraJob& job, const JobPrices& prices);

}  // namespace flopcast
