#include "analysis/runs/chakra/chakra_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/render/text/perfetto.h"
#include "scenarios/proto/chakra_report.pb.h"

namespace flopcast {
namespace {

std::string share_text(Seconds part, Seconds all) {
  return all > Seconds(0) ? fmt::format("{}  {:>6}", format_time(part), format_percent(part / all)) : format_time(part);
}

std::string count_text(std::uint64_t count) { return format_integer(static_cast<double>(count)); }

/// The ranks to show of many: the first, the last to end, those with least and most compute.
std::vector<std::size_t> shown_ranks(const ChakraReport& report) {
  constexpr std::size_t kAll = 16;
  std::vector<std::size_t> ranks;
  if (report.shares.size() <= kAll) {
    for (std::size_t r = 0; r < report.shares.size(); ++r) ranks.push_back(r);
    return ranks;
  }
  for (std::size_t r = 0; r < kAll / 2; ++r) ranks.push_back(r);
  const auto extreme = [&](auto less) {
    ranks.push_back(static_cast<std::size_t>(std::max_element(report.shares.begin(), report.shares.end(), less) -
                                             report.shares.begin()));
  };
  using Share = ChakraRankShare;
  extreme([](const Share& a, const Share& b) { return a.end < b.end; });
  extreme([](const Share& a, const Share& b) { return a.compute < b.compute; });
  extreme([](const Share& a, const Share& b) { return a.exposed < b.exposed; });
  extreme([](const Share& a, const Share& b) { return a.idle < b.idle; });
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

std::string rank_table(const ChakraReport& report, const TextStyle& style) {
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"rank", "done", "compute", "communication", "exposed", "host", "idle"});
  for (const std::size_t r : shown_ranks(report)) {
    const ChakraRankShare& share = report.shares[r];
    table.row({std::to_string(r), format_time(share.end), format_time(share.compute), format_time(share.communication),
               format_time(share.exposed), format_time(share.host), format_time(share.idle)});
  }
  return table.render(style);
}

std::string kind_table(const ChakraReport& report, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right});
  table.header({"operations", "count", "bytes", "time, mean of a rank"});
  for (const ChakraKindShare& kind : report.kinds) {
    table.row({kind.kind, count_text(kind.operations), kind.bytes > Bytes(0) ? format_bytes(kind.bytes) : "",
               share_text(kind.time / report.ranks, report.time)});
  }
  return table.render(style);
}

std::string link_table(const ChakraReport& report, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right});
  table.header({"busiest links", "bytes", "busy"});
  for (const LinkLoad& link : report.links)
    table.row({link.name, format_bytes(link.bytes), format_percent(link.utilisation)});
  return table.render(style);
}

Seconds mean_of(const ChakraReport& report, Seconds ChakraRankShare::*part) {
  Seconds sum;
  for (const ChakraRankShare& share : report.shares) sum += share.*part;
  return sum / static_cast<double>(report.shares.size());
}

}  // namespace

std::string chakra_text(const ChakraReport& report, const TextStyle& style) {
  const std::string head = fmt::format(
      "{} takes {}: {} nodes of {} {} on {} GPUs of {}. Of the time, {} compute, {} communication that nothing hides, "
      "{} "
      "idle (mean of the ranks).",
      report.source, format_time(report.time), count_text(report.nodes), report.ranks,
      report.ranks == 1 ? "rank" : "ranks", count_text(static_cast<std::uint64_t>(report.cluster.gpus())),
      report.cluster.title, format_time(mean_of(report, &ChakraRankShare::compute)),
      format_time(mean_of(report, &ChakraRankShare::exposed)), format_time(mean_of(report, &ChakraRankShare::idle)));
  std::string text =
      wrap(head, style.width(), "") + "\n\n" + rank_table(report, style) + "\n" + kind_table(report, style);
  if (!report.links.empty()) text += "\n" + link_table(report, style);
  text +=
      fmt::format("\n  {} operations, {} transfers; {} flows met another on a link", count_text(report.run.operations),
                  count_text(report.run.transfers), count_text(report.run.contended_flows));
  text += report.uncontended < report.time * (1 - 1e-9)
              ? fmt::format(" (none had: {})\n", format_time(report.uncontended))
              : std::string("\n");
  if (!report.notes.empty()) text += "\n" + style.bold("Notes") + "\n";
  for (const std::string& note : report.notes) text += "  " + wrap(note, style.width() - 2, "    ") + "\n";
  return text;
}

std::string chakra_json(const ChakraReport& report, const std::string& program) {
  report::Chakra message;
  message.set_program(program);
  message.set_source(report.source);
  message.set_cluster(report.cluster.title);
  message.set_ranks(report.ranks);
  message.set_time_s(report.time.value());
  message.set_uncontended_time_s(report.uncontended.value());
  message.set_nodes(report.nodes);
  message.set_operations(report.run.operations);
  message.set_transfers(report.run.transfers);
  message.set_contended_flows(report.run.contended_flows);
  message.set_fingerprint(fmt::format("{:016x}", report.run.fingerprint));
  for (std::size_t r = 0; r < report.shares.size(); ++r) {
    const ChakraRankShare& share = report.shares[r];
    report::ChakraRank& rank = *message.add_rank();
    rank.set_rank(static_cast<std::int32_t>(r));
    rank.set_end_s(share.end.value());
    rank.set_compute_s(share.compute.value());
    rank.set_communication_s(share.communication.value());
    rank.set_exposed_communication_s(share.exposed.value());
    rank.set_host_s(share.host.value());
    rank.set_memory_s(share.memory.value());
    rank.set_idle_s(share.idle.value());
  }
  for (const ChakraKindShare& share : report.kinds) {
    report::ChakraKind& kind = *message.add_kind();
    kind.set_kind(share.kind);
    kind.set_operations(share.operations);
    kind.set_bytes(share.bytes.value());
    kind.set_time_s(share.time.value());
  }
  for (const LinkLoad& load : report.links) {
    report::ChakraLink& link = *message.add_link();
    link.set_link(load.name);
    link.set_bytes(load.bytes.value());
    link.set_utilisation(load.utilisation);
  }
  for (const std::string& note : report.notes) message.add_notes(note);
  return to_json(message);
}

namespace {

/// An operation to draw; in order of the starts, those of a lane that overlap on tracks of their own.
struct Drawn {
  OpId op;
  Seconds start, end;
  std::size_t slot;
};

std::vector<Drawn> drawn(const ChakraReplay& replay) {
  const OperationGraph& graph = replay.graph.graph;
  std::vector<Drawn> result;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    const Seconds start = replay.spans->start(op), end = replay.spans->end(op);
    if (graph.lane(op).valid() && end > start) result.push_back({op, start, end, 0});
  }
  std::stable_sort(result.begin(), result.end(), [](const Drawn& a, const Drawn& b) { return a.start < b.start; });
  std::vector<SlotTracks> slots(graph.lane_count());
  for (Drawn& one : result) one.slot = slots[graph.lane(one.op).index()].take(one.start, one.end);
  return result;
}

const std::string& node_name(const ChakraJob& job, const ChakraReplay& replay, OpId op) {
  const NodeRef source = replay.graph.source[op.index()];
  const std::string& called = job.texts.text(job.trace(source.rank).nodes[source.node].name);
  return called.empty() ? replay.graph.graph.kind_names()[replay.graph.graph.label(op).kind] : called;
}

std::uint64_t node_id(const ChakraJob& job, const ChakraReplay& replay, OpId op) {
  const NodeRef source = replay.graph.source[op.index()];
  return job.trace(source.rank).nodes[source.node].id;
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else
      out += c;
  }
  return out + '"';
}

std::string track_name(const OperationGraph& graph, LaneId lane, std::size_t slot) {
  const std::string called = graph.lane_name(lane) == "detached" ? "messages" : graph.lane_name(lane);
  return slot == 0 ? called : fmt::format("{} ({})", called, slot + 1);
}

}  // namespace

std::string chakra_perfetto(const ChakraJob& job, const ChakraReplay& replay) {
  const OperationGraph& graph = replay.graph.graph;
  std::string text;
  PerfettoWriter writer([&](std::string_view piece) { text += piece; });
  const std::vector<Drawn> operations = drawn(replay);
  std::vector<std::size_t> slots(graph.lane_count());
  for (const Drawn& one : operations) {
    std::size_t& count = slots[graph.lane(one.op).index()];
    count = std::max(count, one.slot + 1);
  }
  std::vector<PerfettoWriter::Track> processes;
  for (int rank = 0; rank < job.ranks; ++rank)
    processes.push_back(writer.add_process(rank + 1, fmt::format("rank {}", rank), rank));
  std::vector<std::vector<PerfettoWriter::Track>> tracks(graph.lane_count());
  int place = 0;
  for (std::size_t lane = 0; lane < tracks.size(); ++lane) {
    for (std::size_t slot = 0; slot < slots[lane]; ++slot) {
      tracks[lane].push_back(writer.add_track(processes[graph.lane_rank(LaneId::at(lane)).index()],
                                              track_name(graph, LaneId::at(lane), slot), place++));
    }
  }
  for (const Drawn& one : operations) {
    PerfettoWriter::Slice slice;
    slice.track = tracks[graph.lane(one.op).index()][one.slot];
    slice.start = one.start;
    slice.end = one.end;
    slice.name = node_name(job, replay, one.op);
    slice.category = graph.kind_names()[graph.label(one.op).kind];
    slice.arguments = {{"node", node_id(job, replay, one.op)}};
    writer.slice(slice);
  }
  writer.close();
  return text;
}

std::string chakra_chrome(const ChakraJob& job, const ChakraReplay& replay) {
  const OperationGraph& graph = replay.graph.graph;
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  auto event = [&text, first = true](const std::string& fields) mutable {
    text += first ? "\n" : ",\n";
    text += fields;
    first = false;
  };
  for (int rank = 0; rank < job.ranks; ++rank)
    event(fmt::format(R"j({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"rank {}"}}}})j", rank, rank));
  constexpr std::size_t kSlots = 1000;  // of a lane that have numbers of their own
  std::vector<std::size_t> named(graph.lane_count());
  const auto microseconds = [](Seconds time) {
    const std::int64_t ns = std::llround(time.value() * 1e9);
    return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
  };
  for (const Drawn& one : drawn(replay)) {
    const LaneId lane = graph.lane(one.op);
    const std::size_t thread = lane.index() * kSlots + std::min(one.slot, kSlots - 1);
    const std::size_t pid = graph.lane_rank(lane).index();
    if (one.slot >= named[lane.index()]) {
      named[lane.index()] = one.slot + 1;
      event(fmt::format(R"j({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})j", pid, thread,
                        json_text(track_name(graph, lane, one.slot))));
    }
    event(fmt::format(R"j({{"ph":"X","name":{},"cat":"{}","pid":{},"tid":{},"ts":{},"dur":{},"args":{{"node":{}}}}})j",
                      json_text(node_name(job, replay, one.op)), graph.kind_names()[graph.label(one.op).kind], pid,
                      thread, microseconds(one.start), microseconds(one.end - one.start),
                      node_id(job, replay, one.op)));
  }
  return text + "\n]}\n";
}

}  // namespace flopcast
