#include "workloads/chakra/et_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "sim/base/diagnostic.h"
#include "sim/base/plain_text.h"
#include "workloads/chakra/et_attributes.h"
#include "workloads/chakra/et_messages.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostFaults = 50;  // nobody reads on
constexpr std::uint32_t kNowhere = ~std::uint32_t{0};
constexpr std::int64_t kMostRanks = 10'000'000;

// What the numbers of kinds mean in each layout; beyond them: unknown.
constexpr NodeKind kFieldKinds[] = {NodeKind::nothing, NodeKind::load,    NodeKind::store,     NodeKind::compute,
                                    NodeKind::send,    NodeKind::receive, NodeKind::collective};
constexpr NodeKind kKinds[] = {NodeKind::nothing, NodeKind::nothing, NodeKind::load,    NodeKind::store,
                               NodeKind::compute, NodeKind::send,    NodeKind::receive, NodeKind::collective,
                               NodeKind::storage, NodeKind::storage, NodeKind::storage};
constexpr std::size_t kKindsBefore2026 = 8;
constexpr CommKind kOldComm[] = {CommKind::all_reduce, CommKind::all_to_all, CommKind::all_gather,
                                 CommKind::reduce_scatter, CommKind::broadcast};
constexpr CommKind kComm[] = {
    CommKind::all_reduce, CommKind::reduce,     CommKind::all_gather,     CommKind::gather,         CommKind::scatter,
    CommKind::broadcast,  CommKind::all_to_all, CommKind::reduce_scatter, CommKind::reduce_scatter, CommKind::barrier};

std::span<const NodeKind> kinds_of(EtSchema schema) {
  if (schema == EtSchema::fields) return kFieldKinds;
  return std::span(kKinds).first(schema == EtSchema::attributes ? kKindsBefore2026 : std::size(kKinds));
}

std::string highest(std::size_t count) { return fmt::format("a number from 0 to {}", count - 1); }

/// Reads one file.
class EtReader {
 public:
  EtReader(const std::string& path, int rank, TextPool& texts) : file_(path), texts_(texts) {
    trace_.file = path;
    trace_.rank = rank;
  }

  RankTrace read() && {
    try {
      read_messages();
    } catch (const WireFault& wire) {
      add("byte " + std::to_string(wire.offset()), wire.what(), expected_instead());
    }
    stop_at_faults();
    if (trace_.nodes.empty()) {
      add("", "no nodes", "GlobalMetadata and at least one Node");
      stop_at_faults();
    }
    sort_ids();
    stop_at_faults();
    connect();
    stop_at_faults();
    look_for_cycles();
    stop_at_faults();
    return std::move(trace_);
  }

 private:
  /// Dependencies of a node while their nodes may be still to come.
  struct Need {
    std::uint64_t id;
    std::uint32_t node;
    bool control;
  };

  std::string expected_instead() const {
    return fmt::format(
        "whole messages of Chakra {}, each with its length before it: a file that was not cut off, of one "
        "version, not compressed",
        head_read_ ? name(trace_.schema) : "0.0.1 to 0.0.4");
  }

  void add(const std::string& where, const std::string& found, const std::string& expected) {
    if (faults_.size() >= kMostFaults) return;
    Diagnostic fault;
    fault.file = trace_.file;
    fault.field = where;
    fault.found = found;
    fault.expected = expected;
    faults_.push_back(std::move(fault));
  }
  void add(const TraceNode& node, const std::string& found, const std::string& expected) {
    add(fmt::format("node {} (byte {})", node.id, node.offset), found, expected);
  }
  void stop_at_faults() {
    if (!faults_.empty()) throw InputError(std::move(faults_));
  }

  void read_messages() {
    const EtHead head = read_head(file_);
    trace_.schema = head.schema;
    trace_.version = head.version;
    head_read_ = true;
    std::string_view message;
    EtNode node;
    for (bool first = true; file_.next(message) && faults_.size() < kMostFaults; first = false) {
      const WireReader reader(message, file_.offset());
      if (is_metadata(reader) && (first || !message.empty())) {
        if (first) {
          take_metadata(reader);
          continue;
        }
        throw WireFault(file_.offset(), "a second GlobalMetadata: two files in one");
      }
      read_node(reader, trace_.schema, node);
      take(node);
    }
  }

  // What the program itself writes beside what the format knows.
  void take_metadata(WireReader message) {
    if (trace_.schema != EtSchema::current) return;
    while (message.next()) {
      if (!message.is(2, WireReader::Type::bytes)) continue;
      const EtAttribute attribute = read_attribute(message.message(), trace_.schema);
      if (attribute.name == kEtCluster) trace_.cluster = visible(attribute.text);
      if (attribute.name == kEtHostWait && std::isfinite(attribute.real))
        trace_.host_wait = Seconds(std::max(0.0, attribute.real));
      if (attribute.name == kEtFolded) trace_.folded = attribute.integer != 0;
      if (attribute.name == kEtRanks)
        trace_.job_ranks = static_cast<int>(std::clamp<std::int64_t>(attribute.integer, 0, kMostRanks));
    }
    trace_.folded &= !trace_.cluster.empty();
  }

  void take_flows(TraceNode& node, const EtAttribute& attribute) {
    std::vector<double> numbers;
    WireReader list(attribute.text, attribute.offset);
    while (list.next()) {
      if (list.field() != 1 || list.type() != WireReader::Type::bytes || list.bytes().size() % sizeof(double) != 0)
        return add(node, "flows that are no list of numbers", "port, bytes and cap of each flow");
      for (std::size_t at = 0; at < list.bytes().size(); at += sizeof(double)) {
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < sizeof(double); ++i)
          bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(list.bytes()[at + i])) << (8 * i);
        numbers.push_back(double_of_bits(bits));
      }
    }
    constexpr double kMost = 1e18;
    const bool sound = numbers.size() % 3 == 0 && std::all_of(numbers.begin(), numbers.end(), [](double value) {
                         return value >= 0 && value <= kMost;
                       });
    if (!sound) return add(node, "flows that cannot be", "port, bytes and cap of each flow, from 0 to 1e18");
    node.first_flow = static_cast<std::uint32_t>(trace_.flows.size());
    node.flows = static_cast<std::uint32_t>(numbers.size() / 3);
    constexpr double kMostPorts = 1000;
    for (std::size_t i = 0; i < numbers.size(); i += 3) {
      const bool port = numbers[i] == std::floor(numbers[i]) && numbers[i] < kMostPorts;
      trace_.flows.push_back(
          {port ? static_cast<int>(numbers[i]) : -1, Bytes(numbers[i + 1]), BytesPerSecond(numbers[i + 2])});
    }
  }

  void take(const EtNode& raw) {
    if (trace_.nodes.size() >= kNowhere - 1) throw WireFault(file_.offset(), "more than 4 billion nodes");
    TraceNode& node = trace_.nodes.emplace_back();
    node.id = *raw.id;
    node.offset = file_.offset();
    node.name = texts_.number(visible(raw.name));
    const auto kinds = kinds_of(trace_.schema);
    if (raw.type >= kinds.size()) {
      add(node, fmt::format("type {}", static_cast<std::int64_t>(raw.type)), highest(kinds.size()));
    } else {
      node.kind = kinds[raw.type];
    }
    if (raw.micros < 0) add(node, "a duration of 2^63 microseconds or more", "microseconds");
    node.recorded = Seconds(1e-6 * static_cast<double>(std::max<std::int64_t>(0, raw.micros)));
    if (node.kind == NodeKind::nothing && raw.inputs.find("pg_name") != std::string_view::npos)
      trace_.process_groups.emplace_back(raw.inputs);
    const auto position = static_cast<std::uint32_t>(trace_.nodes.size() - 1);
    for (const std::uint64_t id : raw.data) needs_.push_back({id, position, false});
    for (const std::uint64_t id : raw.control) needs_.push_back({id, position, true});
    take_attributes(node, raw);
  }

  void take_attributes(TraceNode& node, const EtNode& raw) {
    const EtAttribute *comm = nullptr, *size = nullptr, *to = nullptr, *from = nullptr;
    bool all_dimensions = std::find(raw.dimensions.begin(), raw.dimensions.end(), 0u) == raw.dimensions.end();
    for (const EtAttribute& attribute : raw.attributes) {
      const std::string_view called = attribute.name;
      if (called == "is_cpu_op") {
        node.on_host = attribute.integer != 0;
      } else if (called == "num_ops") {
        node.operations = Flop(amount(node, attribute));
      } else if (called == "tensor_size") {
        if (is_work(node.kind)) node.bytes = Bytes(amount(node, attribute));
      } else if (called == "runtime") {
        node.recorded = Seconds(1e-6 * amount(node, attribute));
      } else if (called == "comm_type") {
        comm = &attribute;
      } else if (called == "comm_size") {
        size = &attribute;
      } else if (called == "comm_dst") {
        to = &attribute;
      } else if (called == "comm_src") {
        from = &attribute;
      } else if (called == "comm_tag") {
        node.tag = static_cast<std::int32_t>(attribute.integer);
      } else if (called == "root" || called == "root_rank" || called == "comm_root") {
        if (node.kind == NodeKind::collective) node.peer = rank_of(node, attribute);
      } else if (called == "pg_name" || called == "comm_group") {
        node.group = texts_.number(attribute.type == EtAttribute::Type::text ? visible(attribute.text)
                                                                             : std::to_string(attribute.integer));
      } else if (called == kEtSeconds && !trace_.cluster.empty()) {
        node.recorded = Seconds(amount(node, attribute));
      } else if (called == kEtFlows && !trace_.cluster.empty()) {
        take_flows(node, attribute);
      } else if (called == kEtTogether) {
        node.together = attribute.integer != 0;
      } else if (called == "stream" || called == "tid") {
        if (called == "stream" || node.stream == 0) node.stream = attribute.integer;
      } else if (called == "involved_dim" || called == "involved_dims") {
        if (attribute.type == EtAttribute::Type::list) all_dimensions &= all_true(attribute);
      } else if (called == "rf_id" || called == "op_schema" || called == "fw_parent") {
        trace_.control_is_call = true;
      }
    }
    settle_communication(node, comm, size, to, from);
    if (!all_dimensions && node.kind == NodeKind::collective && node.group == 0) {
      add(node, "involved_dim that leaves out dimensions of a network",
          "all of them, or a communicator (pg_name): clusters here have no numbered dimensions");
    }
  }

  static bool is_work(NodeKind kind) {
    return kind == NodeKind::compute || kind == NodeKind::load || kind == NodeKind::store || kind == NodeKind::storage;
  }

  static bool all_true(const EtAttribute& attribute) {
    bool all = true;
    WireReader list(attribute.text, attribute.offset);
    while (list.next())
      if (list.field() == 1) for_each_varint(list, [&](std::uint64_t value) { all &= value != 0; });
    return all;
  }

  double amount(const TraceNode& node, const EtAttribute& attribute) {
    using Type = EtAttribute::Type;
    double value = 0;
    if (attribute.type == Type::integer) {
      value = attribute.huge ? static_cast<double>(static_cast<std::uint64_t>(attribute.integer))
                             : static_cast<double>(attribute.integer);
    } else if (attribute.type == Type::real) {
      value = attribute.real;
    } else {
      add(node, fmt::format("{} that is no number", attribute.name), "a number");
      return 0;
    }
    constexpr double kMost = 1e18;
    if (value >= 0 && value <= kMost) return value;
    add(node, fmt::format("{} of {:g}", attribute.name, value), "from 0 to 1e18");
    return 0;
  }

  std::int32_t rank_of(const TraceNode& node, const EtAttribute& attribute) {
    if (attribute.type == EtAttribute::Type::integer && attribute.integer >= 0 && attribute.integer < kMostRanks)
      return static_cast<std::int32_t>(attribute.integer);
    add(node, fmt::format("{} of {}", attribute.name, attribute.integer), "the number of a rank, from 0");
    return 0;
  }

  void settle_communication(TraceNode& node, const EtAttribute* comm, const EtAttribute* size, const EtAttribute* to,
                            const EtAttribute* from) {
    if (node.kind != NodeKind::collective && node.kind != NodeKind::send && node.kind != NodeKind::receive) return;
    if (node.on_host) {  // the host's call, beside which the GPU's node stands
      node.kind = NodeKind::compute;
      return;
    }
    if (node.kind == NodeKind::collective) settle_kind(node, comm);
    const bool sized = node.kind != NodeKind::collective || node.comm != CommKind::barrier;
    if (size != nullptr)
      node.bytes = Bytes(amount(node, *size));
    else if (sized)
      add(node, "communication without comm_size", "how many bytes a rank hands in");
    if (node.kind == NodeKind::send) settle_peer(node, to, from, "comm_dst", "comm_src");
    if (node.kind == NodeKind::receive) settle_peer(node, from, to, "comm_src", "comm_dst");
  }

  void settle_kind(TraceNode& node, const EtAttribute* comm) {
    if (comm == nullptr) return add(node, "a collective without comm_type", "which collective it is");
    const bool current = trace_.schema == EtSchema::current;
    const std::int64_t first = trace_.schema == EtSchema::fields ? 1 : 0;  // there 0 is none
    const std::span<const CommKind> kinds = current ? std::span<const CommKind>(kComm) : kOldComm;
    const std::int64_t kind = comm->integer - first;
    if (comm->type != EtAttribute::Type::integer || kind < 0 || kind >= static_cast<std::int64_t>(kinds.size())) {
      return add(node, fmt::format("comm_type {}", comm->integer),
                 fmt::format("a number from {} to {}", first, first + static_cast<std::int64_t>(kinds.size()) - 1));
    }
    node.comm = kinds[static_cast<std::size_t>(kind)];
  }

  void settle_peer(TraceNode& node, const EtAttribute* peer, const EtAttribute* self, const char* peer_name,
                   const char* self_name) {
    if (peer == nullptr) return add(node, fmt::format("a message without {}", peer_name), "the rank at its other end");
    node.peer = rank_of(node, *peer);
    if (self != nullptr && self->integer != trace_.rank && trace_.schema != EtSchema::fields)
      add(node, fmt::format("{} of {}", self_name, self->integer),
          fmt::format("the rank of the file, {}", trace_.rank));
    if (node.peer == trace_.rank) add(node, "a message of a rank to itself", "another rank");
  }

  void sort_ids() {
    ids_.reserve(trace_.nodes.size());
    for (std::size_t i = 0; i < trace_.nodes.size(); ++i)
      ids_.emplace_back(trace_.nodes[i].id, static_cast<std::uint32_t>(i));
    std::sort(ids_.begin(), ids_.end());
    for (std::size_t i = 1; i < ids_.size(); ++i) {
      if (ids_[i].first != ids_[i - 1].first) continue;
      add(trace_.nodes[ids_[i].second],
          fmt::format("an id that the node at byte {} has too", trace_.nodes[ids_[i - 1].second].offset),
          "an id of its own");
    }
  }

  std::uint32_t position_of(std::uint64_t id) const {
    const auto found = std::lower_bound(ids_.begin(), ids_.end(), std::pair(id, std::uint32_t{0}));
    return found != ids_.end() && found->first == id ? found->second : kNowhere;
  }

  void connect() {
    std::size_t next = 0;
    std::vector<std::uint32_t>& needs = trace_.needs;
    for (std::size_t i = 0; i < trace_.nodes.size(); ++i) {
      TraceNode& node = trace_.nodes[i];
      node.first_need = static_cast<std::uint32_t>(needs.size());
      for (; next < needs_.size() && needs_[next].node == i; ++next) {
        const Need& need = needs_[next];
        if (need.control && trace_.control_is_call) continue;
        const std::uint32_t position = position_of(need.id);
        if (position == kNowhere) {
          add(node, fmt::format("a {} dependency on node {}", need.control ? "control" : "data", need.id),
              "a node of this file");
        } else {
          needs.push_back(position);
        }
      }
      const auto first = needs.begin() + node.first_need;
      std::sort(first, needs.end());
      needs.erase(std::unique(first, needs.end()), needs.end());
      node.needs = static_cast<std::uint32_t>(needs.size() - node.first_need);
    }
    needs_ = {};
    ids_ = {};
  }

  // Kahn's algorithm; of what is left, each node needs another one that is left.
  void look_for_cycles() {
    const std::size_t count = trace_.nodes.size();
    std::vector<std::uint32_t> waits(count), first(count + 1), users(trace_.needs.size());
    for (const std::uint32_t need : trace_.needs) ++first[need + 1];
    for (std::size_t i = 0; i < count; ++i) first[i + 1] += first[i];
    std::vector<std::uint32_t> at(first.begin(), first.end() - 1), ready;
    for (std::size_t i = 0; i < count; ++i) {
      waits[i] = trace_.nodes[i].needs;
      for (const std::uint32_t need : trace_.needs_of(trace_.nodes[i]))
        users[at[need]++] = static_cast<std::uint32_t>(i);
      if (waits[i] == 0) ready.push_back(static_cast<std::uint32_t>(i));
    }
    std::size_t done = 0;
    for (; !ready.empty(); ++done) {
      const std::uint32_t node = ready.back();
      ready.pop_back();
      for (std::uint32_t use = first[node]; use < first[node + 1]; ++use)
        if (--waits[users[use]] == 0) ready.push_back(users[use]);
    }
    if (done < count) report_cycle(waits);
  }

  void report_cycle(const std::vector<std::uint32_t>& waits) {
    const auto left = std::find_if(waits.begin(), waits.end(), [](std::uint32_t n) { return n > 0; });
    std::vector<std::uint32_t> path{static_cast<std::uint32_t>(left - waits.begin())};
    std::vector<bool> seen(waits.size());
    while (!seen[path.back()]) {
      seen[path.back()] = true;
      for (const std::uint32_t need : trace_.needs_of(trace_.nodes[path.back()])) {
        if (waits[need] == 0) continue;
        path.push_back(need);
        break;
      }
    }
    const auto begin = std::find(path.begin(), path.end(), path.back());
    std::string shown;
    constexpr std::size_t kShown = 8;
    const std::size_t length = static_cast<std::size_t>(path.end() - begin);
    for (std::size_t i = 0; i < std::min(length, kShown); ++i)
      shown += fmt::format("{}{}", i > 0 ? " needs " : "", trace_.nodes[begin[static_cast<std::ptrdiff_t>(i)]].id);
    if (length > kShown) shown += " needs ...";
    add(trace_.nodes[*begin], fmt::format("dependencies that go round in a circle: {}", shown),
        "nodes that can be put in an order");
  }

  MessageFile file_;
  TextPool& texts_;
  RankTrace trace_;
  bool head_read_ = false;
  std::vector<Need> needs_;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> ids_;
  std::vector<Diagnostic> faults_;
};

}  // namespace

RankTrace read_et_file(const std::string& path, int rank, TextPool& texts) {
  return EtReader(path, rank, texts).read();
}

}  // namespace flopcast
