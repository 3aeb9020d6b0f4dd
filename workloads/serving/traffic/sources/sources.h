// What traffic is put together from: one source per class, and one that merges them.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "workloads/serving/traffic/request.h"
#include "workloads/serving/traffic/sources/shapes.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {

/// Independent requests, open loop.
std::unique_ptr<RequestSource> open_source(const OpenLoop& arrivals, std::unique_ptr<ShapeSource> shapes,
                                           const ClassSeed& seed);

/// As `inner`, but with a limit of requests under way: the next is sent when one is answered, and arrives then.
std::unique_ptr<RequestSource> limited_source(std::unique_ptr<RequestSource> inner, std::int32_t most);

/// A trace at its own times.
std::unique_ptr<RequestSource> trace_source(const TraceTraffic& trace, const ClassSeed& seed);

/// Users or conversations that wait for answers. Without `sessions` each request stands for itself.
std::unique_ptr<RequestSource> closed_source(const ClosedLoop& users, std::unique_ptr<ShapeSource> shapes,
                                             const ClassSeed& seed);
std::unique_ptr<RequestSource> session_source(const std::variant<OpenLoop, ClosedLoop>& starts,
                                              const DrawnLengths& lengths, const Sessions& sessions,
                                              const ClassSeed& seed);
/// Recorded conversations: turns at their times, and not before the answers to the ones before.
std::unique_ptr<RequestSource> recorded_source(const RecordedSessions& sessions, const ClassSeed& seed);

}  // namespace flopcast
