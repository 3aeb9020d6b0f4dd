#include "workloads/chakra/job_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <queue>
#include <utility>

#include "sim/base/diagnostic.h"
#include "workloads/chakra/job_faults.h"
#include "workloads/chakra/job_lanes.h"
#include "workloads/chakra/lowering.h"
#include "workloads/chakra/node_prices.h"
#include "workloads/chakra/ports.h"

namespace flopcast {
namespace {

bool times_are_exact(const ChakraJob& job, const JobPrices& prices) {
  return prices.pricing == NodePricing::automatic && prices.links != nullptr && !prices.cluster.empty() &&
         std::all_of(job.traces.begin(), job.traces.end(),
                     [&](const RankTrace& trace) { return trace.cluster == prices.cluster; });
}

static Label join_label() { return {static_cast<std::uint16_t>(JobOp::join), 0, 0, 0}; }

/// Replays the job without contention, and writes down its operations in the order in which they start.
class JobGraphBuilder {
 public:
  JobGraphBuilder(const ChakraJob& job, const MatchedJob& matched, Topology& topology, const JobPrices& prices)
      : job_(job),
        matched_(matched),
        topology_(topology),
        prices_(prices),
        exact_(times_are_exact(job, prices)),
        lowering_(job, topology, prices.links),
        graph_(job_op_names()),
        lanes_(job, exact_, graph_) {}

  JobGraph build() && {
    prepare();
    run();
    std::size_t all = 0;
    for (const JobRank& rank : ranks_) all += rank.waits.size();
    if (finished_ < all) refuse_stuck({job_, matched_, ranks_, arrived_, sent_});
    result_.notes = pricing_notes(job_, prices_);
    result_.uncontended = now_;
    result_.graph = std::move(graph_).build();
    return std::move(result_);
  }

 private:
  struct Group {
    std::deque<std::uint32_t> ready;  // collectives whose ranks have all come
    bool busy = false;
    OpId last;  // the end of the collective before
  };
  enum class End : std::uint8_t { node, collective, message };
  struct Event {
    double at;
    std::uint64_t order;  // ties end in the order in which they began
    End what;
    NodeRef node;
    std::uint32_t index;
    bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  const TraceNode& node(NodeRef ref) const { return job_.trace(ref.rank).nodes[ref.node]; }

  void prepare() {
    if (!exact_) refuse_folded(job_);
    ranks_.resize(static_cast<std::size_t>(job_.ranks));
    groups_.resize(job_.groups.size());
    arrived_.resize(matched_.collectives.size());
    sent_.resize(matched_.messages.size());
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      const RankTrace& trace = job_.trace(static_cast<int>(r));
      JobRank& rank = ranks_[r];
      rank.done.resize(trace.nodes.size());
      rank.first_user.assign(trace.nodes.size() + 1, 0);
      rank.user.resize(trace.needs.size());
      for (const std::uint32_t need : trace.needs) ++rank.first_user[need + 1];
      for (std::size_t i = 0; i < trace.nodes.size(); ++i) rank.first_user[i + 1] += rank.first_user[i];
      std::vector<std::uint32_t> at(rank.first_user.begin(), rank.first_user.end() - 1);
      for (std::size_t i = 0; i < trace.nodes.size(); ++i) {
        rank.waits.push_back(trace.nodes[i].needs);
        for (const std::uint32_t need : trace.needs_of(trace.nodes[i]))
          rank.user[at[need]++] = static_cast<std::uint32_t>(i);
      }
    }
    speeds_.assign(ranks_.size(), 1.0);
    for (const SlowPart& part : topology_.cluster().slow_parts) {
      if (exact_ || part.kind != SlowPart::Kind::gpu) continue;
      for (int rank = 0; rank < job_.ranks; ++rank)
        if (job_.gpu_of(rank) == part.rank) speeds_[static_cast<std::size_t>(rank)] *= part.speed;
    }
  }

  void run() {
    // Nodes without time release others while this goes on: those become ready by finish(), and only once.
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      const std::vector<TraceNode>& nodes = job_.trace(static_cast<int>(r)).nodes;
      for (std::uint32_t i = 0; i < nodes.size(); ++i)
        if (nodes[i].needs == 0) ready({static_cast<std::int32_t>(r), i});
    }
    start_what_can();
    while (!events_.empty()) {
      now_ = Seconds(events_.top().at);
      // All that ends now, before anything starts: a stream then takes the first of all that are ready.
      while (!events_.empty() && events_.top().at <= now_.value()) {
        const Event event = events_.top();
        events_.pop();
        end(event);
      }
      start_what_can();
    }
  }

  void end(const Event& event) {
    switch (event.what) {
      case End::node:
        lanes_[ranks_[static_cast<std::size_t>(event.node.rank)].lane[event.node.node]].busy = false;
        touched_.push_back(ranks_[static_cast<std::size_t>(event.node.rank)].lane[event.node.node]);
        return finish(event.node);
      case End::collective: {
        const MatchedCollective& collective = matched_.collectives[event.index];
        if (!exact_) {
          groups_[collective.group].busy = false;
          touched_groups_.push_back(collective.group);
        }
        const std::vector<int>& members = job_.groups[collective.group].ranks;
        for (std::size_t m = 0; m < members.size(); ++m) finish({members[m], collective.nodes[m]});
        return;
      }
      case End::message: {
        const MatchedMessage& message = matched_.messages[event.index];
        sent_[event.index].arrived = true;
        finish(message.send);
        if (sent_[event.index].awaited) receive(message);
        return;
      }
    }
  }

  void finish(NodeRef ref) {
    ++finished_;
    const JobRank& rank = ranks_[static_cast<std::size_t>(ref.rank)];
    for (std::uint32_t use = rank.first_user[ref.node]; use < rank.first_user[ref.node + 1]; ++use)
      if (--ranks_[static_cast<std::size_t>(ref.rank)].waits[rank.user[use]] == 0) ready({ref.rank, rank.user[use]});
  }

  // Nodes without time end as soon as they may start; chains of them are walked here, not by recursion.
  void ready(NodeRef ref) {
    at_once_.push_back(ref);
    if (walking_) return;
    walking_ = true;
    while (!at_once_.empty()) {
      const NodeRef next = at_once_.back();
      at_once_.pop_back();
      make_ready(next);
    }
    walking_ = false;
  }

  void make_ready(NodeRef ref) {
    const TraceNode& own = node(ref);
    switch (own.kind) {
      case NodeKind::collective: {
        const std::uint32_t index = matched_.of_node[static_cast<std::size_t>(ref.rank)][ref.node];
        const MatchedCollective& collective = matched_.collectives[index];
        if (++arrived_[index] < collective.nodes.size()) return;
        if (exact_) return start_stated(index);
        groups_[collective.group].ready.push_back(index);
        touched_groups_.push_back(collective.group);
        return;
      }
      case NodeKind::send:
        return send(matched_.of_node[static_cast<std::size_t>(ref.rank)][ref.node]);
      case NodeKind::receive: {
        const std::uint32_t index = matched_.of_node[static_cast<std::size_t>(ref.rank)][ref.node];
        sent_[index].awaited = true;
        if (sent_[index].arrived) receive(matched_.messages[index]);
        return;
      }
      default:
        break;
    }
    const Seconds time = taken_by(ref);
    if (time <= Seconds(0)) {
      set_done(ref, join_of(ref));
      finish(ref);
      return;
    }
    const LaneId lane = lanes_.of(ref);
    JobRank& rank = ranks_[static_cast<std::size_t>(ref.rank)];
    if (rank.lane.empty()) rank.lane.resize(rank.waits.size());
    rank.lane[ref.node] = lane;
    lanes_[lane].ready.push(ref.node);
    touched_.push_back(lane);
  }

  void start_what_can() {
    while (!touched_.empty() || !touched_groups_.empty()) {
      const std::vector<LaneId> lanes = std::exchange(touched_, {});
      for (const LaneId lane : lanes) start_node(lane);
      const std::vector<std::uint32_t> groups = std::exchange(touched_groups_, {});
      for (const std::uint32_t group : groups) start_collective(group);
    }
  }

  void start_node(LaneId lane) {
    JobLane& own = lanes_[lane];
    if (own.busy || own.ready.empty()) return;
    own.busy = true;
    const NodeRef ref{own.rank, own.ready.top()};
    own.ready.pop();
    const Seconds time = taken_by(ref);
    const OpId op = add_op(ref, graph_.compute(lane, time, {static_cast<std::uint16_t>(work_of(node(ref))), 0, 0, 0}));
    after_needs(ref, op);
    set_done(ref, op);
    schedule(time, End::node, ref, 0);
  }

  void start_collective(std::uint32_t group) {
    if (groups_[group].busy || groups_[group].ready.empty()) return;
    const std::uint32_t index = groups_[group].ready.front();
    groups_[group].ready.pop_front();
    groups_[group].busy = true;
    const MatchedCollective& collective = matched_.collectives[index];
    const std::vector<int>& members = job_.groups[group].ranks;
    const LoweredCollective& lowered = lowering_.of(collective);
    const Label label{job_label(collective.kind), 0, 0, 0};
    OpId gate = add_op({}, graph_.join(join_label()));
    if (groups_[group].last.valid()) graph_.after(gate, groups_[group].last);
    for (std::size_t m = 0; m < members.size(); ++m) after_needs({members[m], collective.nodes[m]}, gate);
    for (const CollectivePhase& phase : lowered.phases) {
      const OpId left = add_op({}, graph_.join(join_label()));
      for (std::size_t m = 0; m < members.size(); ++m) {
        const LaneId lane = lanes_.of_group(members[m], group);
        const OpId op =
            add_op({members[m], collective.nodes[m]}, graph_.transfer(lane, phase[m].latency, phase[m].flows, label));
        graph_.after(op, gate);
        graph_.after(left, op);
      }
      gate = left;
    }
    // Buffers between ranks are small: whoever sends to a busy port is held up, and all leave together.
    for (std::size_t m = 0; m < members.size(); ++m) set_done({members[m], collective.nodes[m]}, gate);
    groups_[group].last = gate;
    schedule(lowered.alone, End::collective, {}, index);
  }

  // A collective of which every rank states its flows. What waits for what on a stream stands in the file.
  void start_stated(std::uint32_t index) {
    const MatchedCollective& collective = matched_.collectives[index];
    const std::vector<int>& members = job_.groups[collective.group].ranks;
    const Label label{job_label(collective.kind), 0, 0, 0};
    const OpId gate = add_op({}, graph_.join(join_label()));
    for (std::size_t m = 0; m < members.size(); ++m) after_needs({members[m], collective.nodes[m]}, gate);
    const OpId left = add_op({}, graph_.join(join_label()));
    Seconds longest;
    for (std::size_t m = 0; m < members.size(); ++m) {
      const NodeRef ref{members[m], collective.nodes[m]};
      const PortTransfer own = stated(ref, RankId());
      const OpId op = add_op(ref, graph_.transfer(lanes_.of(ref), own.latency, own.flows, label));
      graph_.after(op, gate);
      graph_.after(left, op);
      set_done(ref, node(ref).together ? left : op);
      longest = std::max(longest, time_alone(topology_.network(), own));
    }
    schedule(longest, End::collective, {}, index);
  }

  PortTransfer stated(NodeRef ref, RankId peer) {
    const RankId gpu = RankId::at(job_.gpu_of(ref.rank));
    PortTransfer transfer;
    transfer.latency = node(ref).recorded;
    for (const TraceFlow& flow : job_.flows_of(ref.rank, node(ref))) {
      if (!is_port_number(topology_, flow.port, peer.valid())) {
        Diagnostic fault;
        fault.file = job_.trace(ref.rank).file;
        fault.field = place_of(node(ref));
        fault.found = "a flow over a port that the cluster does not have";
        fault.expected = "flows as this program writes them for the cluster that the file names";
        throw InputError(fault);
      }
      if (flow.bytes > Bytes(0))
        transfer.flows.push_back({port_route(topology_, gpu, peer, flow.port, flow.cap), flow.bytes});
    }
    return transfer;
  }

  void send(std::uint32_t index) {
    const MatchedMessage& message = matched_.messages[index];
    if (exact_) return send_stated(index);
    const PortTransfer transfer = lowering_.of(message);
    const OpId op = add_op(
        message.send, graph_.detached_transfer(RankId::at(job_.gpu_of(message.send.rank)), transfer.latency,
                                               transfer.flows, {static_cast<std::uint16_t>(JobOp::message), 0, 0, 0}));
    after_needs(message.send, op);
    set_done(message.send, op);
    schedule(time_alone(topology_.network(), transfer), End::message, message.send, index);
  }

  void send_stated(std::uint32_t index) {
    const MatchedMessage& message = matched_.messages[index];
    const PortTransfer own = stated(message.send, RankId::at(job_.gpu_of(message.receive.rank)));
    const Label label{static_cast<std::uint16_t>(JobOp::message), 0, 0, 0};
    const bool nothing = own.flows.empty() && own.latency <= Seconds(0);
    const OpId op = nothing
                        ? add_op({}, graph_.join(join_label()))
                        : add_op(message.send, graph_.transfer(lanes_.of(message.send), own.latency, own.flows, label));
    after_needs(message.send, op);
    set_done(message.send, op);
    schedule(time_alone(topology_.network(), own), End::message, message.send, index);
  }

  void receive(const MatchedMessage& message) {
    const OpId op = join_of(message.receive);
    graph_.after(op, done(message.send));
    set_done(message.receive, op);
    finish(message.receive);
  }

  OpId join_of(NodeRef ref) {
    const OpId op = add_op({}, graph_.join(join_label()));
    after_needs(ref, op);
    return op;
  }

  OpId add_op(NodeRef source, OpId op) {
    assert(op.index() == result_.source.size());
    result_.source.push_back(source);
    return op;
  }

  void after_needs(NodeRef ref, OpId op) {
    for (const std::uint32_t need : job_.trace(ref.rank).needs_of(node(ref))) graph_.after(op, done({ref.rank, need}));
  }

  OpId done(NodeRef ref) const { return ranks_[static_cast<std::size_t>(ref.rank)].done[ref.node]; }
  void set_done(NodeRef ref, OpId op) { ranks_[static_cast<std::size_t>(ref.rank)].done[ref.node] = op; }

  void schedule(Seconds time, End what, NodeRef ref, std::uint32_t index) {
    events_.push({(now_ + time).value(), order_++, what, ref, index});
  }

  Seconds taken_by(NodeRef ref) const {
    if (exact_) return node(ref).recorded;
    return node_time(node(ref), prices_, topology_.cluster().node.gpu, speeds_[static_cast<std::size_t>(ref.rank)]);
  }

  const ChakraJob& job_;
  const MatchedJob& matched_;
  Topology& topology_;
  const JobPrices& prices_;
  bool exact_;  // times and flows as the traces state them
  JobLowering lowering_;
  GraphBuilder graph_;
  JobGraph result_;
  std::vector<JobRank> ranks_;
  std::vector<double> speeds_;  // of compute, by rank
  std::vector<Group> groups_;
  JobLanes lanes_;
  std::vector<std::uint32_t> arrived_;  // by collective: ranks that have come
  std::vector<JobMessage> sent_;        // by message
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<NodeRef> at_once_;
  bool walking_ = false;
  std::vector<LaneId> touched_;
  std::vector<std::uint32_t> touched_groups_;
  std::uint64_t order_ = 0;
  std::size_t finished_ = 0;
  Seconds now_;
};

}  // namespace

JobGraph build_job_graph(const ChakraJob& job, const MatchedJob& matched, Topology& topology, const JobPrices& prices) {
  return JobGraphBuilder(job, matched, topology, prices).build();
}

}  // namespace flopcast
