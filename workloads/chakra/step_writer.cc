#include "workloads/chakra/step_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "sim/base/diagnostic.h"
#include "workloads/chakra/et_attributes.h"
#include "workloads/chakra/ports.h"
#include "workloads/chakra/trace.h"
#include "workloads/chakra/wire.h"
#include "workloads/training/passes/end_of_step.h"

namespace flopcast {
namespace {

constexpr std::uint32_t kNoProgram = ~std::uint32_t{0};
constexpr int kComputeNode = 4, kSendNode = 5, kReceiveNode = 6, kCollectiveNode = 7;
// Fields of AttributeProto that hold a value.
constexpr int kDouble = 3, kDoubles = 4, kInt32 = 7, kInt64 = 9, kBool = 27, kText = 29;

OpName name_of(const OperationGraph& graph, OpId op) { return static_cast<OpName>(graph.label(op).kind); }

WireWriter attribute(std::string_view name) {
  WireWriter message;
  message.bytes(1, name);
  return message;
}

/// A node while it is being written.
class NodeMessage {
 public:
  NodeMessage(std::uint64_t id, std::string_view name, int type) {
    node_.varint(1, id);
    node_.bytes(2, name);
    node_.varint(3, static_cast<std::uint64_t>(type));
  }
  NodeMessage& needs(const std::vector<std::uint64_t>& ids) {
    WireWriter packed;
    for (const std::uint64_t id : ids) packed.raw(id);
    if (!ids.empty()) node_.bytes(5, packed.str());
    return *this;
  }
  NodeMessage& micros(Seconds time) {
    if (time <= Seconds(0)) return *this;
    node_.varint(7, static_cast<std::uint64_t>(std::max(1.0, std::round(time.value() * 1e6))));
    return *this;
  }
  NodeMessage& integer(std::string_view name, int field, std::int64_t value) {
    WireWriter message = attribute(name);
    message.varint(field, static_cast<std::uint64_t>(value));
    return add(message);
  }
  NodeMessage& number(std::string_view name, double value) {
    WireWriter message = attribute(name);
    message.number(kDouble, value);
    return add(message);
  }
  NodeMessage& numbers(std::string_view name, const std::vector<double>& values) {
    WireWriter packed, list, message = attribute(name);
    for (const double value : values) packed.raw_double(value);
    list.bytes(1, packed.str());
    message.message(kDoubles, list);
    return add(message);
  }
  NodeMessage& text(std::string_view name, std::string_view value) {
    WireWriter message = attribute(name);
    message.bytes(kText, value);
    return add(message);
  }
  void append_to(std::string& out) const {
    WireWriter length;
    length.raw(node_.str().size());
    out += length.str();
    out += node_.str();
  }

 private:
  NodeMessage& add(const WireWriter& message) {
    node_.message(10, message);
    return *this;
  }
  WireWriter node_;
};

std::uint64_t id_of(OpId op) { return op.index() + std::uint64_t{1}; }

/// What is at the disposal of a lane of a rank: 0 compute, 1 communication, ...
int stream_of(const ReplayedRank& rank, LaneId lane) {
  const LaneId lanes[] = {rank.compute, rank.communication, rank.pipeline, rank.gradients, rank.parameters};
  return static_cast<int>(std::find(std::begin(lanes), std::end(lanes), lane) - std::begin(lanes));
}

std::string node_name(const OperationGraph& graph, OpId op) {
  const Label& label = graph.label(op);
  const std::string& kind = graph.kind_names()[label.kind];
  switch (name_of(graph, op)) {
    case OpName::gradient_reduce_scatter:
    case OpName::parameter_all_gather:
    case OpName::gradient_norm:
    case OpName::optimizer:
    case OpName::host:
    case OpName::collective_share:
    case OpName::shard_copy:
      return kind;
    default:
      return fmt::format("{} stage {} micro-batch {} layer {}", kind, label.stage, label.micro_batch, label.layer);
  }
}

CommKind comm_kind(StepCollective::What what) {
  return what == StepCollective::What::all_gather       ? CommKind::all_gather
         : what == StepCollective::What::reduce_scatter ? CommKind::reduce_scatter
                                                        : CommKind::all_reduce;
}

/// The number of a collective in CollectiveCommType.
int comm_number(CommKind kind) {
  switch (kind) {
    case CommKind::all_gather:
      return 2;
    case CommKind::all_to_all:
      return 6;
    case CommKind::reduce_scatter:
      return 7;
    default:
      return 0;
  }
}

std::vector<int> sorted(const std::vector<RankId>& ranks) {
  std::vector<int> numbers;
  for (const RankId rank : ranks) numbers.push_back(static_cast<int>(rank.index()));
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace

StepWriter::StepWriter(const TrainingConfig& config, const TrainingStep& step, Topology& topology, std::string cluster)
    : config_(config),
      step_(step),
      topology_(topology),
      cluster_(std::move(cluster)),
      grid_(config.plan),
      shard_groups_(config.plan, grid_) {
  if (step.repeated) {
    Diagnostic fault;
    fault.found = "a step of which only some micro-batches were built";
    fault.expected = "one that was built whole";
    throw InputError(fault);
  }
  list_operations();
  find_messages();
}

std::vector<RankId> StepWriter::replayed() const {
  std::vector<RankId> gpus;
  for (const ReplayedRank& rank : step_.ranks) gpus.push_back(rank.gpu);
  std::sort(gpus.begin(), gpus.end());
  return gpus;
}

void StepWriter::list_operations() {
  const OperationGraph& graph = step_.graph;
  std::map<std::uint32_t, std::uint32_t> program_of_gpu;
  for (std::uint32_t i = 0; i < step_.ranks.size(); ++i) program_of_gpu[step_.ranks[i].gpu.index()] = i;
  for (std::size_t lane = 0; lane < graph.lane_count(); ++lane)
    program_of_lane_.push_back(program_of_gpu.at(graph.lane_rank(LaneId::at(lane)).index()));

  operations_.resize(step_.ranks.size());
  first_need_.assign(graph.size() + 1, 0);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    if (graph.lane(op).valid()) operations_[program_of_lane_[graph.lane(op).index()]].push_back(op);
    first_need_[i + 1] = first_need_[i] + graph.predecessor_count(op);
  }
  needs_.resize(first_need_.back());
  std::vector<std::uint32_t> at(first_need_.begin(), first_need_.end() - 1);
  for (std::size_t i = 0; i < graph.size(); ++i)
    for (const OpId next : graph.successors(OpId::at(i))) needs_[at[next.index()]++] = OpId::at(i);
  for (std::size_t i = 0; i < step_.collectives.size(); ++i) collective_of_[step_.collectives[i].op.index()] = i;
}

bool StepWriter::is_message(OpId op) const {
  const OpName name = name_of(step_.graph, op);
  return step_.graph.kind(op) == OpKind::transfer && (name == OpName::send_activation || name == OpName::send_gradient);
}

bool StepWriter::is_collective(OpId op) const {
  if (step_.graph.kind(op) != OpKind::transfer) return false;
  switch (name_of(step_.graph, op)) {
    case OpName::dispatch_forward:
    case OpName::combine_forward:
    case OpName::combine_backward:
    case OpName::dispatch_backward:
    case OpName::gradient_reduce_scatter:
    case OpName::parameter_all_gather:
    case OpName::gradient_norm:
    case OpName::layer_exchange:
      return true;
    default:
      return false;
  }
}

// Operations that `op` waits for, joins looked through: of its own program, and of others.
void StepWriter::needs_of(OpId op, std::uint32_t program, std::vector<OpId>& own, std::vector<OpId>& foreign) const {
  own.clear();
  foreign.clear();
  std::vector<OpId> open{op};
  std::vector<OpId> joins;
  while (!open.empty()) {
    const OpId next = open.back();
    open.pop_back();
    for (std::uint32_t i = first_need_[next.index()]; i < first_need_[next.index() + 1]; ++i) {
      const OpId need = needs_[i];
      if (step_.graph.lane(need).valid()) {
        (program_of_lane_[step_.graph.lane(need).index()] == program ? own : foreign).push_back(need);
      } else if (std::find(joins.begin(), joins.end(), need) == joins.end()) {
        joins.push_back(need);
        open.push_back(need);
      }
    }
  }
  for (std::vector<OpId>* list : {&own, &foreign}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
}

// Whether a collective says already that `op` waits for that operation of another GPU: all ranks enter and, where they
// do, leave it together.
bool StepWriter::covered(OpId op, std::span<const OpId> own, OpId foreign) const {
  if (is_collective(op)) return true;
  return is_collective(foreign) && std::any_of(own.begin(), own.end(), [&](OpId need) {
           return is_collective(need) && name_of(step_.graph, need) == name_of(step_.graph, foreign);
         });
}

// Barriers wait for messages too, of whomever they go to.
bool StepWriter::goes_to(OpId op, std::uint32_t from, std::uint32_t to) const {
  const auto flows = step_.graph.flows(op);
  return !flows.empty() &&
         port_number(topology_, step_.ranks[from].gpu, step_.ranks[to].gpu, flows[0].route) == kPeerPort;
}

void StepWriter::find_messages() {
  std::vector<OpId> own, foreign;
  for (std::uint32_t program = 0; program < operations_.size(); ++program) {
    for (const OpId op : operations_[program]) {
      needs_of(op, program, own, foreign);
      for (const OpId need : foreign) {
        const std::uint32_t from = program_of_lane_[step_.graph.lane(need).index()];
        const bool sent = is_message(need) && goes_to(need, from, program);
        if (!sent && covered(op, own, need)) continue;
        Message message;
        message.from = from;
        message.to = program;
        message.op = need;
        message.receiver = op;
        message.sent = sent;
        messages_.push_back(message);
      }
    }
  }
  std::sort(messages_.begin(), messages_.end(), [](const Message& a, const Message& b) {
    return std::tuple(a.op, !a.sent, a.to, a.receiver) < std::tuple(b.op, !b.sent, b.to, b.receiver);
  });
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> tags;
  std::map<std::pair<OpId, std::uint32_t>, std::size_t> first;  // one message tells a rank, whoever waits there
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    Message& message = messages_[i];
    const auto [found, fresh] = first.try_emplace({message.op, message.to}, i);
    if (fresh) {
      message.tag = tags[{message.from, message.to}]++;
      sent_by_[message.op.index()].push_back(i);
    }
    awaited_by_[message.receiver.index()].push_back(found->second);
  }
}

std::uint32_t StepWriter::stands_for(RankId gpu) const {
  const int stage = grid_.pipeline_rank(gpu), gpus_per_node = topology_.cluster().node.gpus;
  std::uint32_t best = kNoProgram;
  for (std::uint32_t i = 0; i < step_.ranks.size(); ++i) {
    const ReplayedRank& rank = step_.ranks[i];
    if (rank.gpu == gpu) return i;
    if (grid_.pipeline_rank(rank.gpu) != stage) continue;
    const bool same_node =
        static_cast<int>(rank.gpu.index()) / gpus_per_node == static_cast<int>(gpu.index()) / gpus_per_node;
    if (best == kNoProgram || same_node) best = i;
  }
  return best;
}

// Where a partner of the representative lies for another GPU: as far from it, in its own stage.
RankId StepWriter::moved(RankId partner, RankId representative, RankId gpu) const {
  const int stage = grid_.per_stage();
  const int position = grid_.position(partner) + grid_.position(gpu) - grid_.position(representative);
  return grid_.gpu(grid_.pipeline_rank(partner), (position % stage + stage) % stage);
}

std::vector<int> StepWriter::exchange_group(RankId gpu) const {
  const int position = grid_.position(gpu), size = grid_.expert_group();
  const int first = position / size * size + position % grid_.expert_tensor;
  std::vector<RankId> ranks;
  for (int e = 0; e < grid_.expert; ++e)
    ranks.push_back(grid_.gpu(grid_.pipeline_rank(gpu), first + e * grid_.expert_tensor));
  return sorted(ranks);
}

std::vector<int> StepWriter::group(Among among, RankId gpu) const {
  const int stage = grid_.pipeline_rank(gpu), position = grid_.position(gpu);
  std::vector<RankId> ranks;
  const auto add = [&](const std::vector<RankId>& more) { ranks.insert(ranks.end(), more.begin(), more.end()); };
  switch (among) {
    case Among::shard_group:
      add(shard_groups_.dense(stage, position, false));
      break;
    case Among::across_shard_groups:
      add(shard_groups_.across(stage, position));
      break;
    default:
      for (const int holder : holders_of_same_stages(step_.schedule, stage)) {
        add(among == Among::experts ? shard_groups_.experts(holder, position)
                                    : shard_groups_.dense(holder, position, true));
      }
  }
  return sorted(ranks);
}

/// 0: all ranks, which ASTRA-sim and PyTorch call so.
int StepWriter::group_number(std::vector<int> all) {
  if (static_cast<int>(all.size()) == ranks()) return 0;
  return groups_.try_emplace(std::move(all), static_cast<int>(groups_.size()) + 1).first->second;
}

void StepWriter::write_receive(std::string& out, std::size_t index, std::uint32_t program, RankId gpu) const {
  const Message& message = messages_[index];
  const RankId from = moved(step_.ranks[message.from].gpu, step_.ranks[program].gpu, gpu);
  Bytes bytes;
  if (message.sent)
    for (const Flow& flow : step_.graph.flows(message.op)) bytes += flow.bytes;
  NodeMessage(step_.graph.size() + 1 + index, "RECEIVE", kReceiveNode)
      .integer("is_cpu_op", kBool, 0)
      .integer("comm_size", kInt64, std::llround(bytes.value()))
      .integer("comm_src", kInt32, static_cast<std::int64_t>(from.index()))
      .integer("comm_dst", kInt32, static_cast<std::int64_t>(gpu.index()))
      .integer("comm_tag", kInt32, message.tag)
      .number(kEtSeconds, 0)
      .append_to(out);
}

void StepWriter::write_node(std::string& out, OpId op, std::uint32_t program, RankId gpu) {
  const OperationGraph& graph = step_.graph;
  const RankId representative = step_.ranks[program].gpu;
  std::vector<OpId> own, foreign;
  needs_of(op, program, own, foreign);
  std::vector<std::uint64_t> needs;
  for (const OpId need : own) needs.push_back(id_of(need));
  if (const auto awaited = awaited_by_.find(op.index()); awaited != awaited_by_.end()) {
    for (const std::size_t message : awaited->second) needs.push_back(graph.size() + 1 + message);
  }
  const auto sent = sent_by_.find(op.index());
  const bool sends = is_message(op) && sent != sent_by_.end() && messages_[sent->second.front()].sent;
  const bool collective = is_collective(op) && name_of(graph, op) != OpName::layer_exchange;
  RankId peer_there, peer;
  if (sends) {
    peer_there = step_.ranks[messages_[sent->second.front()].to].gpu;
    peer = moved(peer_there, representative, gpu);
  }

  Bytes out_bytes, all_bytes;
  std::vector<double> flows;
  Seconds longest;
  for (const Flow& flow : graph.flows(op)) {
    const auto links = step_.network->route(flow.route);
    const int number = port_number(topology_, representative, peer_there, flow.route);
    const bool capped = !step_.network->link(links.back()).shared;
    const double cap = capped ? step_.network->link(links.back()).bandwidth.value() : 0;
    flows.insert(flows.end(), {static_cast<double>(number), flow.bytes.value(), cap});
    all_bytes += flow.bytes;
    if (!only_comes_in(number)) out_bytes += flow.bytes;
    longest = std::max(longest, flow.bytes / step_.network->bottleneck(flow.route));
  }

  NodeMessage node(id_of(op), node_name(graph, op), sends ? kSendNode : collective ? kCollectiveNode : kComputeNode);
  node.needs(needs).micros(graph.duration(op) + longest).integer("is_cpu_op", kBool, 0);
  node.integer("stream", kInt64, stream_of(step_.ranks[program], graph.lane(op)));
  if (sends) {
    node.integer("comm_size", kInt64, std::llround(all_bytes.value()));
    node.integer("comm_src", kInt32, static_cast<std::int64_t>(gpu.index()));
    node.integer("comm_dst", kInt32, static_cast<std::int64_t>(peer.index()));
    node.integer("comm_tag", kInt32, messages_[sent->second.front()].tag);
  } else if (collective) {
    CommKind kind = CommKind::all_to_all;
    std::vector<int> members;
    double bytes = out_bytes.value();
    if (const auto found = collective_of_.find(op.index()); found != collective_of_.end()) {
      const StepCollective& of = step_.collectives[found->second];
      kind = comm_kind(of.what);
      members = group(of.among, gpu);
      bytes = of.bytes.value();
      if (kind == CommKind::all_gather) bytes /= static_cast<double>(members.size());  // what a rank hands in
    } else if (name_of(graph, op) == OpName::gradient_norm) {
      kind = CommKind::all_reduce;
      bytes = 4;
      for (int rank = 0; rank < ranks(); ++rank) members.push_back(rank);
    } else {
      members = exchange_group(gpu);
    }
    node.integer("comm_type", kInt64, comm_number(kind)).integer("comm_size", kInt64, std::llround(bytes));
    if (const int number = group_number(std::move(members)); number > 0) node.text("pg_name", std::to_string(number));
    // What waits for the others' ends too waits for them by a join.
    const auto next = graph.successors(op);
    const bool together = std::any_of(next.begin(), next.end(), [&](OpId join) {
      if (graph.lane(join).valid()) return false;
      const auto first = needs_.begin() + first_need_[join.index()],
                 last = needs_.begin() + first_need_[join.index() + 1];
      return std::all_of(first, last, [&](OpId need) {
        return graph.lane(need).valid() && is_collective(need) && name_of(graph, need) == name_of(graph, op);
      });
    });
    if (together) node.integer(kEtTogether, kBool, 1);
  }
  node.number(kEtSeconds, graph.duration(op).value());
  if (!flows.empty()) node.numbers(kEtFlows, flows);
  node.append_to(out);

  // Others that wait for what is no message are told by one without bytes.
  if (sent == sent_by_.end()) return;
  for (const std::size_t index : sent->second) {
    if (messages_[index].sent) continue;
    const RankId to = moved(step_.ranks[messages_[index].to].gpu, representative, gpu);
    NodeMessage(graph.size() + 1 + messages_.size() + index, "TELL", kSendNode)
        .needs({id_of(op)})
        .integer("is_cpu_op", kBool, 0)
        .integer("comm_size", kInt64, 0)
        .integer("comm_src", kInt32, static_cast<std::int64_t>(gpu.index()))
        .integer("comm_dst", kInt32, static_cast<std::int64_t>(to.index()))
        .integer("comm_tag", kInt32, messages_[index].tag)
        .number(kEtSeconds, 0)
        .append_to(out);
  }
}

Seconds StepWriter::host_wait(RankId gpu) const {
  const std::uint32_t program = stands_for(gpu);
  Seconds sum;
  for (const PassRecord& pass : step_.passes)
    if (pass.rank == program) sum += pass.host * static_cast<double>(pass.times);
  return sum;
}

std::string StepWriter::rank_file(RankId gpu, bool folded) {
  const std::uint32_t program = stands_for(gpu);
  WireWriter metadata;
  metadata.bytes(1, "0.0.4");
  const auto add = [&](std::string_view name, int field, std::uint64_t number, std::string_view text = {}) {
    WireWriter message = attribute(name);
    if (field == kText)
      message.bytes(field, text);
    else
      message.varint(field, number);
    metadata.message(2, message);
  };
  add("schema", kText, 0, "flopcast training step");
  add(kEtCluster, kText, 0, cluster_);
  add(kEtRanks, kInt64, static_cast<std::uint64_t>(ranks()));
  add(kEtFolded, kBool, folded ? 1 : 0);
  WireWriter wait = attribute(kEtHostWait);
  wait.number(kDouble, host_wait(gpu).value());
  metadata.message(2, wait);
  WireWriter length;
  length.raw(metadata.str().size());
  std::string out = length.str() + metadata.str();
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    const Message& message = messages_[i];
    const auto sent = sent_by_.find(message.op.index());
    const bool first =
        sent != sent_by_.end() && std::find(sent->second.begin(), sent->second.end(), i) != sent->second.end();
    if (first && message.to == program) write_receive(out, i, program, gpu);
  }
  for (const OpId op : operations_[program]) write_node(out, op, program, gpu);
  return out;
}

std::string StepWriter::groups_json() const {
  std::map<int, const std::vector<int>*> by_number;
  for (const auto& [members, number] : groups_) by_number[number] = &members;
  std::string text = "{";
  for (const auto& [number, members] : by_number)
    text += fmt::format("{}\n  \"{}\": [{}]", number == by_number.begin()->first ? "" : ",", number,
                        fmt::join(*members, ", "));
  return text + "\n}\n";
}

}  // namespace flopcast
