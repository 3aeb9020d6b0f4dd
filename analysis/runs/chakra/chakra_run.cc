#include "analysis/runs/chakra/chakra_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/node_count.h"
#include "scenarios/resolve/fingerprint.h"

namespace flopcast {
namespace {

struct Interval {
  Seconds start, end;
};

/// Sorted, and those that touch made one.
std::vector<Interval> joined(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.start < b.start; });
  std::vector<Interval> result;
  for (const Interval& next : intervals) {
    if (!result.empty() && next.start <= result.back().end)
      result.back().end = std::max(result.back().end, next.end);
    else
      result.push_back(next);
  }
  return result;
}

Seconds length(const std::vector<Interval>& intervals) {
  Seconds sum;
  for (const Interval& one : intervals) sum += one.end - one.start;
  return sum;
}

std::vector<Interval> joined(std::vector<Interval> a, const std::vector<Interval>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return joined(std::move(a));
}

/// What the operations of a rank were busy with.
struct Busy {
  std::vector<Interval> compute, communication, host, memory;
};

std::vector<Interval>& of_kind(Busy& busy, JobOp op) {
  switch (op) {
    case JobOp::compute:
      return busy.compute;
    case JobOp::host:
      return busy.host;
    case JobOp::load:
    case JobOp::store:
    case JobOp::storage:
      return busy.memory;
    default:
      return busy.communication;
  }
}

ChakraRankShare share_of(Busy busy, Seconds end, Seconds all) {
  ChakraRankShare share;
  const auto compute = joined(std::move(busy.compute)), communication = joined(std::move(busy.communication));
  const auto host = joined(std::move(busy.host)), memory = joined(std::move(busy.memory));
  share.end = end;
  share.compute = length(compute);
  share.communication = length(communication);
  const auto both = joined(compute, communication);
  share.exposed = length(both) - share.compute;
  share.host = length(host);
  share.memory = length(memory);
  share.idle = std::max(Seconds(0), all - length(joined(joined(both, host), memory)));
  return share;
}

void check_room(const ChakraJob& job, const ClusterSpec& cluster) {
  const int gpus = job.gpu_of(job.ranks - 1) + 1;
  if (gpus <= cluster.gpus()) return;
  Diagnostic fault;
  fault.field = "cluster.nodes";
  fault.found = fmt::format("{} GPUs for {} ranks", cluster.gpus(), gpus);
  fault.expected = "a GPU for every rank";
  fault.remedy = fmt::format("--set cluster.nodes={}", nodes_for(gpus, cluster.node));
  throw InputError(fault);
}

// Times by rank and by kind.
void add_shares(const ChakraJob& job, ChakraReplay& replay) {
  const OperationGraph& graph = replay.graph.graph;
  std::vector<Busy> busy(static_cast<std::size_t>(job.ranks));
  std::vector<Seconds> ends(busy.size());
  std::vector<ChakraKindShare> kinds(job_op_names().size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    const NodeRef source = replay.graph.source[i];
    if (source.rank < 0) continue;
    const auto rank = static_cast<std::size_t>(source.rank);
    const Interval when{replay.spans->start(op), replay.spans->end(op)};
    ends[rank] = std::max(ends[rank], when.end);
    if (when.end > when.start) of_kind(busy[rank], job_op(graph.label(op))).push_back(when);
    ChakraKindShare& kind = kinds[graph.label(op).kind];
    ++kind.operations;
    kind.bytes += job.trace(source.rank).nodes[source.node].bytes;
    kind.time += when.end - when.start;
  }
  for (std::size_t rank = 0; rank < busy.size(); ++rank)
    replay.report.shares.push_back(share_of(std::move(busy[rank]), ends[rank], replay.report.time));
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    kinds[k].kind = job_op_names()[k];
    if (kinds[k].operations > 0) replay.report.kinds.push_back(std::move(kinds[k]));
  }
}

}  // namespace

std::string chakra_cluster_text(const ClusterSpec& cluster) {
  Scenario scenario;
  scenario.cluster = cluster;
  scenario.cluster.name.clear();
  scenario.cluster.title.clear();
  return fingerprint_text(scenario);
}

ChakraReplay replay_chakra(const ChakraJob& job, const ClusterSpec& cluster, const JobPrices& prices,
                           const RunOptions& options) {
  check_room(job, cluster);
  Topology topology(prices.links ? cluster : at_full_rates(cluster));
  ChakraReplay result;
  JobPrices own = prices;
  own.cluster = chakra_cluster_text(cluster);
  result.graph = build_job_graph(job, match_communication(job), topology, own);
  result.spans = std::make_unique<SpanSink>(result.graph.graph);
  FingerprintSink fingerprint;
  TimelineSink* const sinks[] = {result.spans.get(), &fingerprint};
  const ReplayResult found = replay(result.graph.graph, topology.network(), sinks, replay_options(options));

  ChakraReport& report = result.report;
  report.cluster = cluster;
  report.ranks = job.ranks;
  for (int rank = 0; rank < job.ranks; ++rank) report.nodes += job.trace(rank).nodes.size();
  report.time = found.makespan;
  report.uncontended = result.graph.uncontended;
  report.run = run_facts(found, fingerprint, options);
  report.notes = job.notes;
  const auto of_another = [&](const RankTrace& trace) {
    return !trace.cluster.empty() && trace.cluster != own.cluster;
  };
  if (prices.pricing != NodePricing::roofline && std::any_of(job.traces.begin(), job.traces.end(), of_another))
    report.notes.emplace_back(
        "the traces were written of another cluster: computing takes what it took there, only what is sent is of this "
        "one "
        "(write them anew for this cluster; --times roofline prices nodes that state FLOP and bytes)");
  Seconds host_wait;
  for (const RankTrace& trace : job.traces)
    if (of_another(trace)) host_wait = std::max(host_wait, trace.host_wait);
  if (prices.pricing != NodePricing::roofline && host_wait > Seconds(0))
    report.notes.push_back(fmt::format(
        "compute nodes hold up to {} a rank in which the GPU waited for its host: it stays here, though communication "
        "that takes longer would run in that time (flopcast run of the scenario prices it)",
        format_time(host_wait)));
  report.notes.insert(report.notes.end(), result.graph.notes.begin(), result.graph.notes.end());
  constexpr std::size_t kLinks = 5;
  if (report.time > Seconds(0))
    report.links = busiest_links(result.graph.graph, topology.network(), report.time, kLinks);
  add_shares(job, result);
  return result;
}

}  // namespace flopcast
