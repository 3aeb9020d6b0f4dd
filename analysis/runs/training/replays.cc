#include "analysis/runs/training/replays.h"

#include <algorithm>

namespace flopcast {

ReplayOptions replay_options(const RunOptions& options) {
  ReplayOptions replay;
  replay.sharing = options.sharing;
  replay.solver = options.solver;
  replay.progress = options.progress;
  return replay;
}

RunFacts run_facts(const ReplayResult& result, const FingerprintSink& fingerprint, const RunOptions& options) {
  RunFacts run;
  run.operations = result.operations;
  run.transfers = result.transfers;
  run.contended_flows = result.contended_flows;
  run.fingerprint = fingerprint.value();
  run.sharing = options.sharing;
  run.solver = options.solver;
  return run;
}

std::vector<LinkLoad> busiest_links(const OperationGraph& graph, const Network& network, Seconds time,
                                    std::size_t count, std::span<const std::uint32_t> times) {
  std::vector<Bytes> carried(network.link_count());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    for (const Flow& flow : graph.flows(OpId::at(i))) {
      const Bytes bytes = times.empty() ? flow.bytes : flow.bytes * static_cast<double>(times[i]);
      for (const LinkId link : network.route(flow.route)) carried[link.index()] += bytes;
    }
  }
  std::vector<LinkLoad> loads;
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const Link& link = network.link(LinkId::at(i));
    if (!link.shared || carried[i] <= Bytes(0)) continue;
    loads.push_back({link.name, carried[i], carried[i] / (link.bandwidth * time)});
  }
  count = std::min(count, loads.size());
  std::partial_sort(loads.begin(), loads.begin() + static_cast<std::ptrdiff_t>(count), loads.end(),
                    [](const LinkLoad& a, const LinkLoad& b) {
                      return a.utilisation != b.utilisation ? a.utilisation > b.utilisation : a.name < b.name;
                    });
  loads.resize(count);
  return loads;
}

}  // namespace flopcast
